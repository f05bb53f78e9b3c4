/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands of nsexecctl share. One struct ctl, on main's stack, holds
 * the options that every command has; a command is one function in one file
 * and one row of the table in ctl_main.c. stdout is for results, stderr for
 * talk. Every function that reports a failure returns the exit status for it.
 */
#ifndef NSX_CLIENT_CTL_H
#define NSX_CLIENT_CTL_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/nsexec.h"
#include "lib/err.h"

enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NOT_FOUND = 3,
	CTL_UNREACHABLE = 5,
	CTL_TIMEOUT = 124,    /* run, exec, enter: --timeout hit */
	CTL_NOT_RUN = 125,    /* the command never ran */
	CTL_NO_EXEC = 126,    /* found, cannot be executed */
	CTL_NO_COMMAND = 127, /* not found */
};

enum ctl_output {
	CTL_OUTPUT_DEFAULT, /* table; streams: JSON lines unless a terminal */
	CTL_OUTPUT_TABLE,
	CTL_OUTPUT_JSON,
	CTL_OUTPUT_JSONL,
};

struct ctl {
	const char *command; /* "run", for messages */
	const char *host;    /* NULL: the environment, then the default */
	enum ctl_output output;
	bool quiet;
	bool no_headings;
	bool trace;	       /* --debug */
	bool runs;	       /* exit statuses 125 to 127 instead of 1 to 6 */
	bool compat_runc;      /* exec --compat=runc: 255 instead of 125 */
	struct nsexec *nsexec; /* owned; NULL until ctl_connect() */
};

/* -o --json -q -H --no-headings; a child for every command's argp. The input
 * is the struct ctl. ctl_list_argp has the short -n as well. */
extern const struct argp ctl_argp;
extern const struct argp ctl_list_argp;
/* "table", "json", "jsonl": 0, or -EINVAL with *ret as it was. */
must_check int ctl_parse_output(const char *text, enum ctl_output *ret);

/* A command line: what a command was called with. */
struct ctl_line {
	int argc;
	char **argv;
	bool payload; /* a program follows: stop at the first operand */
	int index;    /* after ctl_parse(): the first operand */
};
/*
 * Parse a command's options. Ends the program for --help and usage errors. The
 * input of every argp but ctl_argp begins with a pointer to the struct ctl:
 * that is what ctl_option_error() reports by.
 */
void ctl_parse(struct ctl *ctl, const struct argp *argp, struct ctl_line *line,
	       void *input);
/* For a parser of options: report and end the program. */
_Noreturn void ctl_option_error(const struct argp_state *state, const char *fmt,
				...) printf_like(2, 3);

/* One option as every reader of a command's tables sees it. */
struct ctl_option {
	const char *name; /* long; NULL: none */
	const char *arg;  /* how its argument is called; NULL: takes none */
	const char *doc;  /* NULL: none */
	int letter;	  /* 0: none */
	int key;
	bool arg_optional, hidden;
};
#define CTL_MAX_OPTIONS 160
struct ctl_options {
	struct ctl_option items[CTL_MAX_OPTIONS];
	size_t n;
};
/* The options of an argp and its children, aliases and --help among them. */
void ctl_options_read(const struct argp *argp, struct ctl_options *ret);

/* --- ctl_report.c -------------------------------------------------------- */

/* Connect if that was not done. 0, or the exit status after a report. */
must_check int ctl_connect(struct ctl *ctl);
/* One line (or with --json a record) on stderr; the exit status. */
int ctl_report(const struct ctl *ctl, const struct nsexec_error *error);
/* Of the last blocking call. */
int ctl_report_last(const struct ctl *ctl);
/* Of a call that failed with r. */
int ctl_report_call(const struct ctl *ctl, int r,
		    const struct nsexec_call *call);
/* A failure on this side: "cannot VERB OBJECT: strerror(-r)". */
int ctl_report_local(const struct ctl *ctl, int r, const char *verb,
		     const char *object);
/* A wrong command line that argp did not see. */
int ctl_usage(const struct ctl *ctl, const char *fmt, ...) printf_like(2, 3);
/* One option that cannot stand: "OBJECT RULE". */
struct ctl_complaint {
	char object[128];
	char rule[128];
};
int ctl_usage_option(const struct ctl *ctl,
		     const struct ctl_complaint *complaint);
void ctl_warn(const struct ctl *ctl, const char *fmt, ...) printf_like(2, 3);
/* Exit status of a process's end: its code, 128+n, 125 if unknown. */
int ctl_exit_status(const struct nsexec_exit *exit);

/* --- ctl_trace.c --------------------------------------------------------- */

/* CLOCK_MONOTONIC in microseconds. */
uint64_t ctl_trace_now(void);
/* With --debug: on stderr, the points of a start that was just answered, good
 * or bad; sent_us is when it was sent. */
void ctl_trace_print(const struct ctl *ctl, const char *method,
		     const struct nsexec_call *call, uint64_t sent_us);

/* --- ctl_output.c -------------------------------------------------------- */

bool ctl_json(const struct ctl *ctl);
/* Bytes as a JSON string: what is no UTF-8 becomes \xNN. NULL -> null. */
json_t *ctl_json_text(const char *text);
/* A map as [{container_id, host_id, size}, ...]. */
struct idmap;
json_t *ctl_json_idmap(const struct idmap *map);
json_t *ctl_json_error(const struct nsexec_error *error);
json_t *ctl_json_exit(const struct nsexec_exit *exit);
json_t *ctl_json_info(const struct nsexec_info *info);
/* contracts: "v":1, epoch, seq, time, ..., code and signal on exits. */
json_t *ctl_json_event(const struct nsexec_event *event);
/* Print (taking it) as one line, or indented with -o json; flushes. */
void ctl_print_json(const struct ctl *ctl, json_t *value);
void ctl_print_json_line(json_t *value);
/* 2026-01-01T00:00:00.000000000Z */
#define CTL_TIME_MAX 40
const char *ctl_format_time(uint64_t realtime_ns, char buf[CTL_TIME_MAX]);

/* --- ctl_words.c --------------------------------------------------------- */

/* "KILL", "SIGKILL", "9", "RTMIN+1": 1 to 64, or -EINVAL. */
must_check int ctl_parse_signal(const char *text, int *ret);
/* "net_admin", "CAP_NET_ADMIN", "21": 0 to 63, or -EINVAL. */
must_check int ctl_parse_capability(const char *text, int *ret);
/* "cap_chown" and so on for 0 to 40; NULL above. */
const char *ctl_capability_name(unsigned int capability);
/* Every capability that this kernel has. */
uint64_t ctl_all_capabilities(void);
/* "RLIMIT_NOFILE", "nofile": its RLIMIT_*. 0 or -EINVAL. */
must_check int ctl_parse_resource(const char *text, size_t size, int *ret);
/* "NOFILE=64:128", "RLIMIT_CORE=unlimited". 0 or -EINVAL. */
struct ctl_rlimit {
	int resource;
	uint64_t soft, hard;
};
must_check int ctl_parse_rlimit(const char *text, struct ctl_rlimit *ret);
/* "1.5", "300ms", "2m", "1h": milliseconds; 0 or -EINVAL. */
must_check int ctl_parse_duration(const char *text, uint64_t *ret_ms);
/* May a variable of ours be passed on? Not what is no NAME=VALUE, nor what the
 * daemon sets for each payload. */
bool ctl_env_passes(const char *assignment);
/* Is the variable of this assignment or name among those of env? */
bool ctl_env_sets(const char *const *env, size_t n_env, const char *variable);
/* A path made absolute by the current directory; free(3) it. 0 or -errno. */
must_check int ctl_absolute_path(const char *path, char **ret);

/* --- the commands ----------------------------------------------------------
 */

/* What an operand is, for completion. */
enum ctl_operand {
	CTL_OPERAND_NONE,
	CTL_OPERAND_ID, /* a container */
	CTL_OPERAND_FILE,
	CTL_OPERAND_COMMAND, /* a program; the rest is its own */
};

/* A word that a command takes first: "check" of idmap. Ends with a NULL name.
 */
struct ctl_word {
	const char *name;
	const char *summary;
	const struct argp *argp; /* after it; NULL: the command's own */
	enum ctl_operand operand;
};

struct ctl_command {
	const char *name;
	const char *alias; /* NULL: none */
	int (*fn)(struct ctl *ctl, int argc, char **argv);
	const char *summary; /* NULL: not listed */
	const char *missing; /* refused: what it waits for */
	const struct argp *argp;
	const struct ctl_word *words;	   /* NULL: none */
	enum ctl_operand operand, further; /* the first one, those after it */
	bool runs;
};
/* Ends with a NULL name. */
extern const struct ctl_command ctl_commands[];
/* The options before the command. */
extern const struct argp main_argp;

extern const struct argp bootstrap_argp, completion_argp, delete_argp,
	doctor_argp, enter_argp, events_argp, exec_argp, explain_idmap_argp,
	features_argp, idmap_argp, inspect_argp, kill_argp, list_argp,
	metrics_argp, policy_argp, ps_argp, run_argp, start_argp, state_argp,
	version_argp, wait_argp;
extern const struct ctl_word bootstrap_words[], completion_words[],
	explain_words[], idmap_words[], policy_words[];

int cmd_create(struct ctl *ctl, int argc, char **argv);
int cmd_delete(struct ctl *ctl, int argc, char **argv);
int cmd_doctor(struct ctl *ctl, int argc, char **argv);
int cmd_enter(struct ctl *ctl, int argc, char **argv);
int cmd_events(struct ctl *ctl, int argc, char **argv);
int cmd_exec(struct ctl *ctl, int argc, char **argv);
int cmd_explain(struct ctl *ctl, int argc, char **argv);
int cmd_features(struct ctl *ctl, int argc, char **argv);
int cmd_inspect(struct ctl *ctl, int argc, char **argv);
int cmd_kill(struct ctl *ctl, int argc, char **argv);
int cmd_list(struct ctl *ctl, int argc, char **argv);
int cmd_metrics(struct ctl *ctl, int argc, char **argv);
int cmd_policy(struct ctl *ctl, int argc, char **argv);
int cmd_ps(struct ctl *ctl, int argc, char **argv);
int cmd_run(struct ctl *ctl, int argc, char **argv);
int cmd_start(struct ctl *ctl, int argc, char **argv);
int cmd_state(struct ctl *ctl, int argc, char **argv);
int cmd_version(struct ctl *ctl, int argc, char **argv);
int cmd_wait(struct ctl *ctl, int argc, char **argv);
/* These need no daemon. */
int cmd_bootstrap(struct ctl *ctl, int argc, char **argv);
int cmd_completion(struct ctl *ctl, int argc, char **argv);
int cmd_idmap(struct ctl *ctl, int argc, char **argv);

#endif
