/* SPDX-License-Identifier: Apache-2.0 */
/* The spawner's command line, and what systemd says in the environment. */
#ifndef NSX_SPAWN_SPAWNER_OPTIONS_H
#define NSX_SPAWN_SPAWNER_OPTIONS_H

#include "lib/err.h"

#define OPTIONS_SYSTEM_RUN_DIR "/run/nsexecd"

struct spawner_options;

/*
 * 0 = run, 1 = all is said (--help, --version). -EINVAL: a line of use is on
 * standard error. The environment is read only with --system.
 */
must_check int options_parse(struct spawner_options *ret, int argc, char **argv,
			     char **env);

/*
 * Pure: uid and gid of a user in the text of /etc/passwd. -ENOENT, -EBADMSG.
 * By hand, because name service modules would load code into root.
 */
must_check int options_find_user(const char *passwd, const char *name,
				 unsigned int *ret_uid, unsigned int *ret_gid);
/*
 * Pure: an id for the resolver, that passwd has no line of and that is not
 * taken. -ENOENT.
 */
must_check int options_find_free_uid(const char *passwd, unsigned int taken,
				     unsigned int *ret);
/*
 * Pure: index of name in the colon-separated text of LISTEN_FDNAMES.
 * -ENOENT.
 */
must_check int options_find_listener(const char *names, const char *name);

#endif
