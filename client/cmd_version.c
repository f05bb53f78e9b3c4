/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version and features. version works without a daemon and says so; features
 * is OCI's features.md object, with what the daemon found beside it.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "client/ctl.h"
#include "lib/util.h"

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

static const struct argp_child children[] = {
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};

static json_t *
version_to_json(const struct nsexec_version *version)
{
	json_t *root = json_object(), *features = json_object();
	char epoch[33] = "";

	for (size_t i = 0; i < sizeof(version->epoch); i++)
		(void)snprintf(epoch + 2 * i, 3, "%02x", version->epoch[i]);
	for (size_t i = 0; i < version->n_features; i++) {
		const struct nsexec_feature *row = &version->features[i];
		json_t *value = json_object();

		json_object_set_new(value, "present",
				    json_boolean(row->present));
		json_object_set_new(value, "detail",
				    ctl_json_text(row->detail));
		json_object_set_new(features, row->name, value);
	}
	json_object_set_new(root, "version", ctl_json_text(version->version));
	json_object_set_new(root, "api", ctl_json_text(version->api));
	json_object_set_new(root, "kernel", ctl_json_text(version->kernel));
	json_object_set_new(root, "pid", json_integer(version->pid));
	json_object_set_new(root, "epoch", ctl_json_text(epoch));
	json_object_set_new(root, "last_seq",
			    json_integer((json_int_t)version->last_seq));
	json_object_set_new(root, "features", features);
	return root;
}

const struct argp version_argp = {
	.parser = on_option,
	.doc = "Print the versions of this program and of the daemon.",
	.children = children,
};

int
cmd_version(struct ctl *ctl, int argc, char **argv)
{
	struct ctl_line line = { argc, argv, false, 0 };
	struct nsexec_version *version = NULL;
	json_t *root;
	int status;

	ctl_parse(ctl, &version_argp, &line, ctl);
	if (!ctl_json(ctl)) {
		puts("nsexecctl " PACKAGE_VERSION);
		fflush(stdout);
	}
	status = ctl_connect(ctl);
	if (status)
		return status;
	if (nsexec_version(ctl->nsexec, &version) < 0)
		return ctl_report_last(ctl);
	if (ctl_json(ctl)) {
		root = json_object();
		json_object_set_new(root, "v", json_integer(1));
		json_object_set_new(root, "nsexecctl",
				    json_string(PACKAGE_VERSION));
		json_object_set_new(root, "nsexecd", version_to_json(version));
		ctl_print_json(ctl, root);
	} else {
		printf("nsexecd %s (%s), pid %d, Linux %s\n", version->version,
		       version->api, version->pid, version->kernel);
	}
	nsexec_version_free(version);
	return 0;
}

/* An array of texts. */
static json_t *
texts(const char *const *items, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_string(items[i]));
	return array;
}

static json_t *
linux_features(void)
{
	/* OCI's names of the kinds, in the order of its document. */
	static const char *const kinds[] = { "cgroup",	"ipc", "mount",
					     "network", "pid", "time",
					     "user",	"uts" };
	json_t *root = json_object(), *caps = json_array();
	char name[32];

	for (unsigned int i = 0; ctl_capability_name(i); i++) {
		size_t size = (size_t)snprintf(name, sizeof(name), "CAP_%s",
					       ctl_capability_name(i));

		for (size_t k = 4; k < size; k++) {
			if (name[k] >= 'a' && name[k] <= 'z')
				name[k] = (char)(name[k] - 'a' + 'A');
		}
		json_array_append_new(caps, json_string(name));
	}
	json_object_set_new(root, "namespaces",
			    texts(kinds, ARRAY_SIZE(kinds)));
	json_object_set_new(root, "capabilities", caps);
	json_object_set_new(root, "cgroup",
			    json_pack("{s:b,s:b,s:b,s:b,s:b}", "v1", 0, "v2", 1,
				      "systemd", 0, "systemdUser", 0, "rdma",
				      0));
	json_object_set_new(root, "seccomp", json_pack("{s:b}", "enabled", 0));
	json_object_set_new(root, "apparmor", json_pack("{s:b}", "enabled", 0));
	json_object_set_new(root, "selinux", json_pack("{s:b}", "enabled", 0));
	json_object_set_new(root, "mountExtensions",
			    json_pack("{s:{s:b}}", "idmap", "enabled", 0));
	return root;
}

const struct argp features_argp = {
	.parser = on_option,
	.doc = "Print the features object of OCI's runtime-spec, and "
	       "what the daemon found in the kernel.",
	.children = children,
};

int
cmd_features(struct ctl *ctl, int argc, char **argv)
{
	static const char *const mount_options[] = {
		"bind",	 "nodev", "noexec", "nosuid", "private",
		"rbind", "ro",	  "rw",	    "shared", "slave",
	};
	struct ctl_line line = { argc, argv, false, 0 };
	struct nsexec_version *version = NULL;
	json_t *root;
	int status;

	ctl_parse(ctl, &features_argp, &line, ctl);
	status = ctl_connect(ctl);
	if (status)
		return status;
	if (nsexec_version(ctl->nsexec, &version) < 0)
		return ctl_report_last(ctl);
	root = json_object();
	json_object_set_new(root, "ociVersionMin", json_string("1.0.0"));
	json_object_set_new(root, "ociVersionMax", json_string("1.2.0"));
	json_object_set_new(root, "hooks", json_array());
	json_object_set_new(root, "mountOptions",
			    texts(mount_options, ARRAY_SIZE(mount_options)));
	json_object_set_new(root, "linux", linux_features());
	json_object_set_new(root, "annotations",
			    json_pack("{s:s}", "io.nsexec.nsexecctl.version",
				      PACKAGE_VERSION));
	json_object_set_new(root, "nsexecd", version_to_json(version));
	ctl_print_json(ctl, root);
	nsexec_version_free(version);
	return 0;
}
