/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: looks at this system, read-only, and says what each finding breaks
 * and how to mend it. One row per check; exit status 1 if one of them fails.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "client/ctl.h"
#include "lib/fd.h"
#include "lib/util.h"
#include "proto/idmap.h"

#define CGROUP2_MAGIC 0x63677270

enum level {
	LEVEL_OK,
	LEVEL_WARN,
	LEVEL_FAIL,
};

struct finding {
	enum level level;
	char text[160];	  /* what is the case */
	char breaks[200]; /* what that breaks and what to do; empty if ok */
};

struct check {
	const char *name;
	void (*fn)(struct ctl *ctl, struct finding *finding);
};

static void find(struct finding *finding, enum level level, const char *breaks,
		 const char *fmt, ...) printf_like(4, 5);

static void
find(struct finding *finding, enum level level, const char *breaks,
     const char *fmt, ...)
{
	va_list args;

	finding->level = level;
	va_start(args, fmt);
	(void)vsnprintf(finding->text, sizeof(finding->text), fmt, args);
	va_end(args);
	(void)snprintf(finding->breaks, sizeof(finding->breaks), "%s",
		       level == LEVEL_OK ? "" : breaks);
}

/* A small file without its newline; false: it is not there. */
static bool
read_line(const char *path, char *buf, size_t size)
{
	ssize_t n = fd_read_file(AT_FDCWD, path, buf, size);

	if (n < 0)
		return false;
	buf[strcspn(buf, "\n")] = '\0';
	return true;
}

static void
check_kernel(struct ctl *ctl, struct finding *finding)
{
	struct utsname name;
	unsigned int major = 0, minor = 0;

	(void)uname(&name);
	(void)sscanf(name.release, "%u.%u", &major, &minor);
	find(finding,
	     major > 6 || (major == 6 && minor >= 1) ? LEVEL_OK : LEVEL_FAIL,
	     "nsexecd needs Linux 6.1 or newer", "Linux %.60s", name.release);
}

static void
check_namespaces(struct ctl *ctl, struct finding *finding)
{
	char path[64], missing[80] = "";

	for (int kind = NSEXEC_NS_USER; kind <= NSEXEC_NS_TIME; kind++) {
		const char *name = nsexec_ns_name((enum nsexec_ns)kind);

		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
		if (access(path, F_OK) == 0)
			continue;
		(void)snprintf(missing + strlen(missing),
			       sizeof(missing) - strlen(missing), " %s", name);
	}
	if (missing[0])
		find(finding, LEVEL_WARN,
		     "--new and --join of these kinds; the kernel was built "
		     "without them",
		     "missing:%s", missing);
	else
		find(finding, LEVEL_OK, "", "all eight kinds");
}

static void
check_max_userns(struct ctl *ctl, struct finding *finding)
{
	char text[32];

	if (!read_line("/proc/sys/user/max_user_namespaces", text,
		       sizeof(text)))
		find(finding, LEVEL_WARN, "--new user",
		     "user.max_user_namespaces cannot be read");
	else if (strcmp(text, "0") == 0)
		find(finding, LEVEL_FAIL,
		     "--new user, and every start of an ordinary user: sysctl "
		     "user.max_user_namespaces=15000",
		     "user.max_user_namespaces is 0");
	else
		find(finding, LEVEL_OK, "", "user.max_user_namespaces is %s",
		     text);
}

/* Debian's, Ubuntu's and Arch's switches; each absent on most systems. */
static void
check_userns_switches(struct ctl *ctl, struct finding *finding)
{
	static const struct {
		const char *path, *bad, *name;
	} rows[] = {
		{ "/proc/sys/kernel/unprivileged_userns_clone", "0",
		  "kernel.unprivileged_userns_clone" },
		{ "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
		  "kernel.apparmor_restrict_unprivileged_userns" },
	};
	char text[32];

	find(finding, LEVEL_OK, "", "ordinary users may create them");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (read_line(rows[i].path, text, sizeof(text)) &&
		    strcmp(text, rows[i].bad) == 0)
			find(finding, LEVEL_WARN,
			     "--new user for callers other than root",
			     "%s is %s", rows[i].name, text);
	}
}

static void
check_cgroup(struct ctl *ctl, struct finding *finding)
{
	static const char *const places[] = { "/sys/fs/cgroup",
					      "/sys/fs/cgroup/unified" };
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (statfs(places[i], &fs) < 0 || fs.f_type != CGROUP2_MAGIC)
			continue;
		find(finding, LEVEL_OK, "", "cgroup v2 at %s%s", places[i],
		     i ? " (hybrid: no limits there)" : "");
		return;
	}
	find(finding, LEVEL_FAIL,
	     "every start: containers need a cgroup v2; mount -t cgroup2 none "
	     "/sys/fs/cgroup",
	     "no cgroup v2 is mounted");
}

/* A program that writes maps for ordinary users: setuid root or capable. */
static void
check_mapper(struct finding *finding, const char *name)
{
	static const char *const places[] = { "/usr/bin", "/bin",
					      "/usr/local/bin" };
	char path[64];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", places[i], name);
		if (stat(path, &st) < 0)
			continue;
		find(finding, LEVEL_OK, "", "%s%s", path,
		     st.st_mode & S_ISUID ? " (setuid)" : "");
		return;
	}
	find(finding, LEVEL_WARN,
	     "a rootless nsexecd with --map-auto or rows: install uidmap; a "
	     "privileged nsexecd needs none",
	     "no %s", name);
}

static void
check_newuidmap(struct ctl *ctl, struct finding *finding)
{
	check_mapper(finding, "newuidmap");
}

static void
check_newgidmap(struct ctl *ctl, struct finding *finding)
{
	check_mapper(finding, "newgidmap");
}

static void
check_delegation(struct finding *finding, const char *path)
{
	const struct passwd *user = getpwuid(geteuid());
	const size_t size = 1024 * 1024;
	free_auto char *text = malloc(size);
	struct idmap_range ranges[64];
	uint64_t ids = 0;
	ssize_t n;

	n = text ? fd_read_file(AT_FDCWD, path, text, size) : -ENOMEM;
	if (n < 0) {
		find(finding, LEVEL_WARN,
		     "--map-auto and rows of other ids for ordinary users",
		     "%s: %s", path, strerror((int)-n));
		return;
	}
	n = (ssize_t)idmap_ranges_parse(text, (size_t)n,
					user ? user->pw_name : "", geteuid(),
					ranges, ARRAY_SIZE(ranges));
	for (ssize_t i = 0; i < n; i++)
		ids += ranges[i].size;
	if (ids == 0)
		find(finding, LEVEL_WARN,
		     "--map-auto and --map-preset keep-id for you: add a line "
		     "NAME:100000:65536",
		     "%s delegates nothing to you", path);
	else
		find(finding, ids < 65536 ? LEVEL_WARN : LEVEL_OK,
		     "images with ids up to 65535: delegate 65536 or more",
		     "%llu ids from %s", (unsigned long long)ids, path);
}

static void
check_subuid(struct ctl *ctl, struct finding *finding)
{
	check_delegation(finding, "/etc/subuid");
}

static void
check_subgid(struct ctl *ctl, struct finding *finding)
{
	check_delegation(finding, "/etc/subgid");
}

static void
check_pid_max(struct ctl *ctl, struct finding *finding)
{
	char text[32] = "?";

	(void)read_line("/proc/sys/kernel/pid_max", text, sizeof(text));
	find(finding, strtol(text, NULL, 10) >= 32768 ? LEVEL_OK : LEVEL_WARN,
	     "many containers at once: sysctl kernel.pid_max",
	     "kernel.pid_max is %s", text);
}

static void
check_daemon(struct ctl *ctl, struct finding *finding)
{
	struct nsexec_version *version = NULL;
	int r = nsexec_connect(ctl->host, &ctl->nsexec);

	if (r >= 0)
		r = nsexec_version(ctl->nsexec, &version);
	if (r < 0) {
		find(finding, LEVEL_FAIL,
		     "every command: systemctl start nsexecd.socket, or "
		     "nsexecd --run-dir DIR and NSEXEC_SOCKET=unix:DIR/"
		     "nsexecd.sock",
		     "cannot reach nsexecd: %s",
		     r == -EREMOTEIO ? "it refused" : strerror(-r));
		return;
	}
	find(finding, LEVEL_OK, "", "nsexecd %.40s (%.20s), pid %d",
	     version->version, version->api, version->pid);
	nsexec_version_free(version);
}

/* What this instance lacks whatever the system has. */
static void
check_instance(struct ctl *ctl, struct finding *finding)
{
	struct nsexec_version *version = NULL;
	bool rootless = false, cgroups = true, bounds = true;

	if (!ctl->nsexec || nsexec_version(ctl->nsexec, &version) < 0) {
		find(finding, LEVEL_WARN, "see daemon", "not known");
		return;
	}
	for (size_t i = 0; i < version->n_features; i++) {
		const struct nsexec_feature *feature = &version->features[i];

		if (strcmp(feature->name, "rootless") == 0)
			rootless = feature->present;
		if (strcmp(feature->name, "container-cgroups") == 0)
			cgroups = feature->present;
		if (strncmp(feature->name, "quota-", 6) == 0)
			bounds &= feature->present;
	}
	nsexec_version_free(version);
	if (!rootless && !bounds) {
		find(finding, LEVEL_WARN,
		     "the policy's quotas tasks and memory_mib: give the "
		     "spawner's cgroup the controllers pids and memory of "
		     "cgroup v2 (Delegate=yes, or --cgroup-root)",
		     "as root; tasks or memory of a user's containers together "
		     "have no limit");
		return;
	}
	find(finding, cgroups ? LEVEL_OK : LEVEL_WARN,
	     "kill --all and delete of containers without a pid namespace "
	     "whose processes leave the tree; limits: run it with cgroups "
	     "delegated (systemd-run --user -p Delegate=yes)",
	     "%s%s",
	     rootless ? "rootless: serves its own user alone" : "as root",
	     cgroups ? "" : "; no cgroups: a container is a process tree");
}

static const struct check checks[] = {
	{ "kernel", check_kernel },
	{ "namespaces", check_namespaces },
	{ "user namespaces", check_max_userns },
	{ "unprivileged", check_userns_switches },
	{ "cgroup", check_cgroup },
	{ "newuidmap", check_newuidmap },
	{ "newgidmap", check_newgidmap },
	{ "subuid", check_subuid },
	{ "subgid", check_subgid },
	{ "pids", check_pid_max },
	{ "daemon", check_daemon },
	{ "instance", check_instance },
};

static const char *const level_names[] = { "ok", "warn", "fail" };

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

static void
print_finding(const struct ctl *ctl, const struct check *check,
	      const struct finding *finding, json_t *rows)
{
	json_t *row;

	if (!rows) {
		printf("%-4s  %-16s %s\n", level_names[finding->level],
		       check->name, finding->text);
		if (finding->breaks[0])
			printf("%23sbreaks: %s\n", "", finding->breaks);
		return;
	}
	row = json_object();
	json_object_set_new(row, "check", json_string(check->name));
	json_object_set_new(row, "level",
			    json_string(level_names[finding->level]));
	json_object_set_new(row, "text", ctl_json_text(finding->text));
	json_object_set_new(row, "breaks", ctl_json_text(finding->breaks));
	json_array_append_new(rows, row);
}

static const struct argp_child doctor_children[] = {
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp doctor_argp = {
	.parser = on_option,
	.doc = "Check this system and say what each finding breaks. "
	       "Exit status 1 if a check failed.",
	.children = doctor_children,
};

int
cmd_doctor(struct ctl *ctl, int argc, char **argv)
{
	struct ctl_line line = { argc, argv, false, 0 };
	json_t *rows = NULL;
	int status = CTL_OK;

	ctl_parse(ctl, &doctor_argp, &line, ctl);
	if (ctl_json(ctl))
		rows = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct finding finding = { .level = LEVEL_OK };

		checks[i].fn(ctl, &finding);
		if (finding.level == LEVEL_FAIL)
			status = CTL_FAILED;
		print_finding(ctl, &checks[i], &finding, rows);
	}
	if (rows)
		ctl_print_json(ctl, rows);
	return status;
}
