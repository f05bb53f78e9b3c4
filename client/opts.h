/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups of options that several commands share, each an argp to be used as a
 * child with its struct as input, which begins with the struct ctl: namespaces,
 * id maps, mounts, the process, its streams. A group writes into a spec; what
 * needs the whole command line is written by its _apply function, after
 * parsing.
 */
#ifndef NSX_CLIENT_OPTS_H
#define NSX_CLIENT_OPTS_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/ctl.h"
#include "client/nsexec.h"
#include "proto/idmap.h"

/* Keys of long options without a letter, one range a group. */
enum opts_key_base {
	OPTS_NS_KEYS = 0x2000,
	OPTS_MAP_KEYS = 0x2100,
	OPTS_MOUNT_KEYS = 0x2200,
	OPTS_PROCESS_KEYS = 0x2300,
	OPTS_STDIO_KEYS = 0x2400,
	OPTS_COMMAND_KEYS = 0x2500,
	OPTS_LATER_KEYS = 0x2600,
};

/* --new --join --share and what a new namespace holds. */
struct ns_opts {
	struct ctl *ctl;
	struct nsexec_spec *spec;
	unsigned int created, joined, shared; /* bit n: enum nsexec_ns n */
	bool create_rest; /* --new all: what nothing else names */
	bool needs_mnt;	  /* an option that makes no sense without */
	bool needs_user;
	const char *needs_user_why, *needs_mnt_why;
};
extern const struct argp ns_argp;
/* Ask for the namespaces. 0 or an exit status after a report. */
must_check int ns_opts_apply(const struct ctl *ctl, struct ns_opts *opts);

/* --map-*, --setgroups. */
struct map_opts {
	struct ctl *ctl;
	struct ns_opts *ns;
	enum nsexec_map preset; /* 0: none */
	const char *preset_why; /* the option that asked for it */
	bool rows; /* explicit ones were given; they are in the spec */
};
extern const struct argp map_argp;
must_check int map_opts_apply(const struct ctl *ctl, struct map_opts *opts);

/* --root --mount --mount-proc --propagation. */
struct mount_opts {
	struct ctl *ctl;
	struct ns_opts *ns;
	char *rootfs; /* owned */
	bool root_read_only;
};
extern const struct argp mount_argp;
must_check int mount_opts_apply(const struct ctl *ctl, struct mount_opts *opts);
/* "type=tmpfs,dst=/tmp,size=1M" into spec; NULL or what is wrong with it. */
const char *mount_parse(struct nsexec_spec *spec, const char *text);

/* What an option gave: a process file does not change it. */
enum process_given {
	PROCESS_GIVEN_UID,
	PROCESS_GIVEN_GID,
	PROCESS_GIVEN_GROUPS,
	PROCESS_GIVEN_CWD,
	PROCESS_GIVEN_UMASK,
	PROCESS_GIVEN_NO_NEW_PRIVS,
	PROCESS_GIVEN_OOM_SCORE_ADJ,
};

/* -u -e -w, capabilities, limits. */
struct process_opts {
	struct ctl *ctl;
	struct nsexec_spec *spec;
	const struct ns_opts *ns; /* NULL: exec */
	bool clear_env;
	const char **env; /* -e, in order; owned array of borrowed texts */
	size_t n_env;
	unsigned int given;   /* bit n: enum process_given n */
	unsigned int rlimits; /* bit n: resource n */
	uint64_t cap_add, cap_drop, ambient;
	bool has_cap_add, has_cap_drop, has_ambient;
};
extern const struct argp process_argp;
must_check int process_opts_apply(const struct ctl *ctl,
				  struct process_opts *opts);
void process_opts_deinit(struct process_opts *opts);

/* -i --stdin --stdout --stderr --stdio --preserve-fds --fd. */
struct stdio_opts {
	struct ctl *ctl;
	struct nsexec_spec *spec;
	bool interactive;
	bool inherit, null; /* --stdio */
	char *paths[3];	    /* owned */
	int preserve;	    /* 3 to 3 + preserve - 1 keep their numbers */
	struct {
		int fd;
		char *name;	 /* owned; NULL: none */
	} named[NSEXEC_MAX_FDS]; /* get the numbers after those, in order */
	size_t n_named;
};
extern const struct argp stdio_argp;
/* foreground: our own three streams unless told otherwise. */
must_check int stdio_opts_apply(const struct ctl *ctl, struct stdio_opts *opts,
				bool foreground);
void stdio_opts_deinit(struct stdio_opts *opts);

/* Options that wait for a later release: refused by name. Its input is
 * a struct ctl **. */
extern const struct argp later_argp;

/* Refuse an option's argument and end the program. */
_Noreturn void opts_refuse(struct argp_state *state, const char *option,
			   const char *arg, const char *why);

#endif
