/* SPDX-License-Identifier: Apache-2.0 */
/* Whom policy explain speaks of. See policy.h. */
#include "config.h"

#include "client/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"

static void
set_id(struct policy_asker *asker, uint32_t uid, uint32_t gid)
{
	memset(asker, 0, sizeof(*asker));
	asker->subject.uid = asker->subject.owner = uid;
	asker->subject.gid = gid;
	asker->subject.groups = asker->groups;
}

/* The line of systemd's own hierarchy, or of cgroup v2. */
static void
set_unit(struct policy_asker *asker)
{
	static const char *const prefixes[] = { "0::", "1:name=systemd:" };
	char text[4096], *line, *save = NULL;
	size_t i;

	if (fd_read_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line && !asker->subject.unit;
	     line = strtok_r(NULL, "\n", &save))
		for (i = 0; i < ARRAY_SIZE(prefixes); i++)
			if (strncmp(line, prefixes[i], strlen(prefixes[i])) ==
				    0 &&
			    policy_unit_of_cgroup(line + strlen(prefixes[i]),
						  asker->unit,
						  sizeof(asker->unit)) == 0)
				asker->subject.unit = asker->unit;
}

static void
set_label(struct policy_asker *asker)
{
	if (fd_read_file(AT_FDCWD, "/proc/self/attr/current", asker->label,
			 sizeof(asker->label)) <= 0)
		return;
	asker->label[strcspn(asker->label, "\n")] = '\0';
	asker->subject.label = asker->label;
}

void
policy_asker_self(struct policy_asker *asker)
{
	int n;

	set_id(asker, getuid(), getgid());
	n = getgroups(SUBJECT_MAX_GROUPS, (gid_t *)asker->groups);
	asker->subject.n_groups = n > 0 ? (size_t)n : 0;
	set_unit(asker);
	set_label(asker);
}

int
policy_asker_user(struct policy_asker *asker, const char *user)
{
	const struct passwd *entry;
	int n = SUBJECT_MAX_GROUPS;
	uint32_t uid;

	if (text_parse_u32(user, &uid) == 0) {
		entry = getpwuid(uid);
	} else {
		entry = getpwnam(user);
		if (!entry)
			return -ENOENT;
		uid = entry->pw_uid;
	}
	set_id(asker, uid, entry ? entry->pw_gid : uid);
	if (!entry)
		return 0;
	if (getgrouplist(entry->pw_name, entry->pw_gid, (gid_t *)asker->groups,
			 &n) < 0)
		n = SUBJECT_MAX_GROUPS;
	asker->subject.n_groups = (size_t)n;
	return 0;
}
