/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnsexec: start processes in Linux namespaces through nsexecd.
 *
 * A connection (struct nsexec) is one socket that the caller drives: poll
 * nsexec_fd() for nsexec_poll_events(), then nsexec_dispatch(). Calls are
 * asynchronous and any number may be in flight (struct nsexec_call); the
 * blocking functions below are the same calls with the polling done inside.
 *
 * Rules that hold for every function:
 * - int results are 0 or a negative errno value. -EREMOTEIO alone means "the
 *   daemon refused": the record is in nsexec_call_error() or, for blocking
 *   functions, nsexec_last_error(). Other values came from this side.
 * - "gives": the result is the caller's, to be freed by the named _free, which
 *   takes NULL and returns NULL. "borrows": valid only as long as its owner.
 * - Pointers to text are NUL-terminated; an absent text is NULL unless said.
 * - Objects are not thread safe; different connections share nothing.
 * - No signal is raised (MSG_NOSIGNAL); every descriptor is CLOEXEC.
 */
#ifndef NSEXEC_H
#define NSEXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NSEXEC_DEFAULT_ADDRESS "unix:/run/nsexecd/nsexecd.sock"
/* Descriptors per start, over stdio, joins and passed ones. */
#define NSEXEC_MAX_FDS 32
/* How long a lost connection is tried again by default. */
#define NSEXEC_RECONNECT_MS 30000

struct nsexec;	    /* a connection */
struct nsexec_call; /* one request and its answer, or a stream */
struct nsexec_spec; /* what to start */

/* --- errors ------------------------------------------------------------- */

/* The numbers of nsexec.v1.ErrorCode. */
enum nsexec_code {
	NSEXEC_OK,
	NSEXEC_INVALID_ARGUMENT,
	NSEXEC_MAP_INVALID,
	NSEXEC_NS_TYPE_MISMATCH,
	NSEXEC_NOT_FOUND,
	NSEXEC_GONE,
	NSEXEC_CONFLICT,
	NSEXEC_FAILED_PRECONDITION,
	NSEXEC_PERMISSION_DENIED,
	NSEXEC_MAP_DENIED,
	NSEXEC_NS_DENIED,
	NSEXEC_NEED_USERNS,
	NSEXEC_CONFINED,
	NSEXEC_CALLER_GONE,
	NSEXEC_QUOTA,
	NSEXEC_RATE,
	NSEXEC_OVERLOADED,
	NSEXEC_NS_LIMIT,
	NSEXEC_EXEC_FAILED,
	NSEXEC_STAGE_FAILED,
	NSEXEC_DEADLINE,
	NSEXEC_CANCELLED,
	NSEXEC_ABORTED_RESTART,
	NSEXEC_UNSUPPORTED,
	NSEXEC_INTERNAL,
};

/*
 * The typed record of a failure, by value. Texts are empty if absent and cut
 * if longer than their field. stage is "client" for what never reached the
 * daemon (code is then INTERNAL, or UNSUPPORTED for a missing method).
 */
struct nsexec_error {
	enum nsexec_code code;
	int ttrpc_code;	 /* gRPC status number of the answer, 0 if none came */
	int errno_value; /* Linux number of the failed system call, 0 if none */
	bool retryable;	 /* the same request may succeed later */
	char stage[32];	 /* client, daemon, spawner, relay, mapper, init */
	char step[64];
	char syscall[64];
	char object[256];  /* path, field, row; escaped as \xNN */
	char rule[256];	   /* the rule that was broken */
	char hint[384];	   /* what to change */
	char message[768]; /* one line with all of it */
	/* The bound that was reached (doc/LIMITS.md); empty: none was. */
	char quota_kind[32];
	uint64_t limit, used; /* used: UINT64_MAX if it was not told */
	uint32_t retry_ms;    /* worth waiting this long; 0: unknown */
};

/* "MAP_INVALID" and so on; never NULL. */
const char *nsexec_code_name(enum nsexec_code code);

/* --- connection --------------------------------------------------------- */

/*
 * Connect to "unix:PATH" (or an absolute PATH). NULL: $NSEXEC_SOCKET, else
 * NSEXEC_DEFAULT_ADDRESS. Gives *ret. 0; -EINVAL address is of no known form;
 * -ENAMETOOLONG path over 107 bytes; -ENOENT, -ECONNREFUSED, -EACCES and the
 * rest of connect(2); -ENOMEM. *ret is unchanged on error.
 */
int nsexec_connect(const char *address, struct nsexec **ret);

/*
 * Close. Calls still there end with -ECANCELED (no callback); they must still
 * be freed by their owner. Starts that the daemon accepted go on.
 */
struct nsexec *nsexec_close(struct nsexec *nsexec);

/*
 * A descriptor, borrowed, only to wait for: poll(2), select(2), epoll(7). It is
 * the same one as long as the connection is not broken, however often the
 * socket behind it is made anew. -1 once it broke, or no descriptor is left.
 */
int nsexec_fd(struct nsexec *nsexec);
/* What to wait for there: POLLIN, or 0 while 4,096 events wait to be taken. */
short nsexec_poll_events(const struct nsexec *nsexec);

/*
 * Do the I/O that is possible without waiting; completions call back from
 * here. 0; -EPIPE, -ECONNRESET, -EPROTO, ...: the connection is broken, all
 * its calls ended with that error. Never blocks.
 */
int nsexec_dispatch(struct nsexec *nsexec);

/*
 * Have every start that is asked for from now on tell its trace, which
 * nsexec_call_get_trace() reads; false: no more.
 */
void nsexec_trace(struct nsexec *nsexec, bool wanted);

/*
 * A connection that is lost (nsexecd was restarted, or crashed) is made again
 * from nsexec_dispatch() and the blocking functions: at once, then after 20 ms,
 * 40 ms and so on, at most 500 ms apart, for timeout_ms until the new nsexecd
 * answers; then it is broken. timeout_ms: NSEXEC_RECONNECT_MS if never set;
 * -1: for ever; 0: a loss is the end. Calls made meanwhile wait.
 *
 * When it answers, the leases of this connection are held again, and then each
 * call in flight goes on, by its method:
 *
 *	Version State List Processes Explain	sent again
 *	Wait			sent again, with what is left of its time
 *	Create Run		sent again with its key: the start is never a
 *				second one. The library makes a key if the
 *				caller gave none
 *	Events			goes on behind the last event of it that came;
 *				none is lost or told twice, and what nsexecd no
 *				longer has is told as a gap and a snapshot
 *	next_events		sent again if it says from where (from_seq)
 *	Exec Start Signal	never sent again: ends with -ECONNRESET and an
 *	Delete Cancel raw	error record of code NSEXEC_ABORTED_RESTART,
 *				retryable, stage "client": it may have been
 *				done. If not all of it had been sent, it was
 *				not, and goes on too.
 *
 * A start whose set-up was under way when nsexecd ended is answered with
 * NSEXEC_ABORTED_RESTART by its successor: it never ran, repeat it with another
 * key.
 */
void nsexec_set_reconnect(struct nsexec *nsexec, int timeout_ms);
/* How often that has happened. */
unsigned int nsexec_reconnects(const struct nsexec *nsexec);

/* Of the last blocking call on this connection that failed. Borrows. */
const struct nsexec_error *nsexec_last_error(const struct nsexec *nsexec);
/* --- what to start ------------------------------------------------------ */

/* The numbers of nsexec.v1.NamespaceKind. */
enum nsexec_ns {
	NSEXEC_NS_USER = 1,
	NSEXEC_NS_IPC,
	NSEXEC_NS_UTS,
	NSEXEC_NS_NET,
	NSEXEC_NS_PID,
	NSEXEC_NS_MNT,
	NSEXEC_NS_CGROUP,
	NSEXEC_NS_TIME,
};
/* "user", "ipc", ...; NULL for another number. And back: 0 if unknown. */
const char *nsexec_ns_name(enum nsexec_ns kind);
enum nsexec_ns nsexec_ns_parse(const char *name);

/* The numbers of nsexec.v1.MapPreset. */
enum nsexec_map {
	NSEXEC_MAP_EXPLICIT = 1,
	NSEXEC_MAP_ROOT,
	NSEXEC_MAP_CURRENT,
	NSEXEC_MAP_IDENTITY,
	NSEXEC_MAP_KEEP_ID,
	NSEXEC_MAP_AUTO,
	NSEXEC_MAP_MAX_UID,
	NSEXEC_MAP_AUTO_PRIVATE,
};

enum nsexec_setgroups {
	NSEXEC_SETGROUPS_AUTO = 1,
	NSEXEC_SETGROUPS_ALLOW,
	NSEXEC_SETGROUPS_DENY,
};

enum nsexec_mount_kind {
	NSEXEC_MOUNT_BIND = 1,
	NSEXEC_MOUNT_TMPFS,
	NSEXEC_MOUNT_PROC,
	NSEXEC_MOUNT_SYSFS,
	NSEXEC_MOUNT_DEV,
	NSEXEC_MOUNT_DEVPTS,
	NSEXEC_MOUNT_MQUEUE,
	NSEXEC_MOUNT_CGROUP2,
};
#define NSEXEC_MOUNT_RDONLY 1u
#define NSEXEC_MOUNT_NOSUID 2u
#define NSEXEC_MOUNT_NODEV 4u
#define NSEXEC_MOUNT_NOEXEC 8u
#define NSEXEC_MOUNT_RECURSIVE 16u

enum nsexec_propagation {
	NSEXEC_PROPAGATION_PRIVATE = 1,
	NSEXEC_PROPAGATION_SLAVE,
	NSEXEC_PROPAGATION_SHARED,
	NSEXEC_PROPAGATION_UNCHANGED,
};

/* Which of the five sets of capabilities(7) a mask is for. */
enum nsexec_capability_set {
	NSEXEC_CAPS_BOUNDING,
	NSEXEC_CAPS_PERMITTED,
	NSEXEC_CAPS_EFFECTIVE,
	NSEXEC_CAPS_INHERITABLE,
	NSEXEC_CAPS_AMBIENT,
};

/*
 * An empty description; gives *ret. Every setter below copies what it is
 * given. A setter that runs out of memory or is given a value out of range
 * makes the description bad: it changes nothing more, and the start that uses
 * it ends with that error (nsexec_spec_status()), so setters need no check.
 * A description may be used for any number of starts.
 */
int nsexec_spec_new(struct nsexec_spec **ret);
struct nsexec_spec *nsexec_spec_free(struct nsexec_spec *spec);
/* 0 or the first error: -ENOMEM, -EINVAL, -E2BIG (over NSEXEC_MAX_FDS). */
int nsexec_spec_status(const struct nsexec_spec *spec);

/* Identity: 1 to 64 of [A-Za-z0-9_.-]; the daemon checks. */
void nsexec_spec_id(struct nsexec_spec *spec, const char *id);
void nsexec_spec_name(struct nsexec_spec *spec, const char *name);
/* "NAME=VALUE", returned in struct nsexec_info. */
void nsexec_spec_label(struct nsexec_spec *spec, const char *label);

/*
 * The container lives no longer than the connection that starts it: it is
 * killed when that is closed, by whatever end of this process. A restart of
 * nsexecd is no such end if the connection is made again within 10 s
 * (nsexec_set_reconnect()).
 */
void nsexec_spec_kill_on_disconnect(struct nsexec_spec *spec, bool kill);

/* Namespaces; a kind that is not named is the daemon's own. */
void nsexec_spec_new_ns(struct nsexec_spec *spec, enum nsexec_ns kind);
void nsexec_spec_join_path(struct nsexec_spec *spec, enum nsexec_ns kind,
			   const char *path);
/* pid_inode: st_ino of its pidfd against pid reuse, 0 = not given. */
void nsexec_spec_join_pid(struct nsexec_spec *spec, enum nsexec_ns kind,
			  pid_t pid, uint64_t pid_inode);
/* fd is lent until the start that uses it was answered. */
void nsexec_spec_join_fd(struct nsexec_spec *spec, enum nsexec_ns kind, int fd);

/* Maps of a new user namespace. */
void nsexec_spec_map_preset(struct nsexec_spec *spec, enum nsexec_map preset);
void nsexec_spec_map_uid(struct nsexec_spec *spec, uint32_t container_id,
			 uint32_t host_id, uint32_t size);
void nsexec_spec_map_gid(struct nsexec_spec *spec, uint32_t container_id,
			 uint32_t host_id, uint32_t size);
void nsexec_spec_setgroups(struct nsexec_spec *spec,
			   enum nsexec_setgroups mode);

/* Of new time, uts, net and mnt namespaces. */
void nsexec_spec_monotonic(struct nsexec_spec *spec, int64_t seconds,
			   uint32_t nanoseconds);
void nsexec_spec_boottime(struct nsexec_spec *spec, int64_t seconds,
			  uint32_t nanoseconds);
void nsexec_spec_hostname(struct nsexec_spec *spec, const char *hostname);
void nsexec_spec_domainname(struct nsexec_spec *spec, const char *domainname);
void nsexec_spec_loopback(struct nsexec_spec *spec, bool up);
void nsexec_spec_rootfs(struct nsexec_spec *spec, const char *path,
			bool read_only);
void nsexec_spec_propagation(struct nsexec_spec *spec,
			     enum nsexec_propagation propagation);
void nsexec_spec_mount_proc(struct nsexec_spec *spec, bool mount);
struct nsexec_mount {
	enum nsexec_mount_kind kind;
	unsigned int flags;	 /* NSEXEC_MOUNT_* */
	const char *source;	 /* bind only: in the caller's mounts */
	const char *destination; /* absolute, inside the root */
	const char *data;	 /* tmpfs: "size=1M,mode=755"; or NULL */
};
void nsexec_spec_mount(struct nsexec_spec *spec,
		       const struct nsexec_mount *mount);
/* Signal for init when its parent, the spawner, dies. */
void nsexec_spec_parent_death_signal(struct nsexec_spec *spec, int sig);

/* The process. arg: once per argument, the first is looked up in PATH. */
void nsexec_spec_arg(struct nsexec_spec *spec, const char *arg);
/* "NAME=VALUE", in this order; names are not compared with each other. */
void nsexec_spec_env(struct nsexec_spec *spec, const char *assignment);
void nsexec_spec_cwd(struct nsexec_spec *spec, const char *path);
void nsexec_spec_uid(struct nsexec_spec *spec, uint32_t uid);
void nsexec_spec_gid(struct nsexec_spec *spec, uint32_t gid);
void nsexec_spec_group(struct nsexec_spec *spec, uint32_t gid);
void nsexec_spec_keep_groups(struct nsexec_spec *spec, bool keep);
void nsexec_spec_capabilities(struct nsexec_spec *spec,
			      enum nsexec_capability_set set, uint64_t mask);
void nsexec_spec_no_new_privileges(struct nsexec_spec *spec, bool on);
/* resource: RLIMIT_*; UINT64_MAX = unlimited. */
void nsexec_spec_rlimit(struct nsexec_spec *spec, int resource, uint64_t soft,
			uint64_t hard);
void nsexec_spec_umask(struct nsexec_spec *spec, mode_t mask);
void nsexec_spec_nice(struct nsexec_spec *spec, int nice);
void nsexec_spec_oom_score_adj(struct nsexec_spec *spec, int score);

/*
 * Standard streams: number is 0, 1 or 2; one that is not set is /dev/null.
 * fd is lent until the start that uses it was answered. path is opened by the
 * stage with the caller's rights, so that a FIFO serves where no descriptor
 * can be passed.
 */
void nsexec_spec_stdio_fd(struct nsexec_spec *spec, int number, int fd);
void nsexec_spec_stdio_path(struct nsexec_spec *spec, int number,
			    const char *path);
/* A further descriptor: number (3 or more) in the payload, name may be NULL. */
void nsexec_spec_pass_fd(struct nsexec_spec *spec, int fd, int number,
			 const char *name);

/* --- results ------------------------------------------------------------ */

enum nsexec_state {
	NSEXEC_STATE_CREATING = 1,
	NSEXEC_STATE_CREATED,
	NSEXEC_STATE_RUNNING,
	NSEXEC_STATE_STOPPED,
};
/* "creating", "created", ...; "unknown". */
const char *nsexec_state_name(enum nsexec_state state);

/* The numbers of nsexec.v1.ExitReason: why nsexecd killed it. */
enum nsexec_exit_reason {
	NSEXEC_EXIT_NONE,  /* it did not */
	NSEXEC_EXIT_LEASE, /* the connection that it was to end with closed */
};

/* How a process ended. */
struct nsexec_exit {
	int code;   /* 0 to 255, -1 if it did not exit */
	int signal; /* that killed it, 0 if none did */
	bool core;
	bool unknown; /* the kernel could not say; code -1, signal 0 */
	uint64_t user_us, system_us, max_rss_kib;
	uint64_t realtime_ns;
	/* In the container's cgroup until then; 0 also where the memory
	 * controller is not on the cgroup v2 hierarchy. */
	uint64_t oom_kills;
	enum nsexec_exit_reason reason;
};

struct nsexec_namespace {
	enum nsexec_ns kind;
	uint64_t inode;
};

struct nsexec_info {
	const char *id;	  /* never NULL */
	const char *name; /* NULL: none */
	enum nsexec_state state;
	pid_t pid; /* 0: none */
	uint64_t pid_inode, start_time;
	uid_t owner_uid;
	const struct nsexec_namespace *namespaces;
	size_t n_namespaces;
	uint64_t created_realtime_ns, started_realtime_ns;
	const struct nsexec_exit *exit; /* NULL: not over */
	const char *command;		/* argv[0], as it was given */
	const char *cgroup;
	const struct nsexec_error *failure; /* NULL: none */
	const char *const *labels;
	size_t n_labels;
	bool leased; /* it lives no longer than a connection */
};
struct nsexec_info *nsexec_info_free(struct nsexec_info *info);

struct nsexec_list {
	struct nsexec_info **items;
	size_t n_items;
	uint8_t epoch[16];
	uint64_t as_of_seq; /* subscribe from here + 1 to miss nothing */
};
struct nsexec_list *nsexec_list_free(struct nsexec_list *list);

/* The numbers of nsexec.v1.EventType. */
enum nsexec_event_type {
	NSEXEC_EVENT_CREATED = 1,
	NSEXEC_EVENT_STARTED,
	NSEXEC_EVENT_EXEC_STARTED,
	NSEXEC_EVENT_EXEC_EXITED,
	NSEXEC_EVENT_EXITED,
	NSEXEC_EVENT_DELETED,
	NSEXEC_EVENT_FAILED,
	NSEXEC_EVENT_GAP,
	NSEXEC_EVENT_SNAPSHOT,
};
/* "created", "exec-started", ...; NULL for another number. Back: 0 unknown. */
const char *nsexec_event_type_name(enum nsexec_event_type type);
enum nsexec_event_type nsexec_event_type_parse(const char *name);

struct nsexec_event {
	uint8_t epoch[16];
	uint64_t seq;
	uint64_t realtime_ns, boottime_ns;
	enum nsexec_event_type type;
	const char *container, *name, *exec_id; /* NULL: none */
	pid_t pid;
	uint64_t pid_inode;
	const struct nsexec_exit *exit;	  /* exited, exec-exited */
	const struct nsexec_error *error; /* failed */
	uint64_t gap_from, gap_to;	  /* gap */
	const struct nsexec_info *info;	  /* snapshot */
};
struct nsexec_event *nsexec_event_free(struct nsexec_event *event);

struct nsexec_feature {
	const char *name;
	bool present;
	const char *detail; /* may be NULL */
};
struct nsexec_version {
	const char *version, *api, *kernel;
	uint8_t epoch[16];
	pid_t pid;
	const struct nsexec_feature *features;
	size_t n_features;
	uint64_t last_seq;
};
struct nsexec_version *nsexec_version_free(struct nsexec_version *version);

struct nsexec_process {
	pid_t pid; /* as the daemon sees it */
	const char *name;
};
struct nsexec_processes {
	const struct nsexec_process *items;
	size_t n_items;
};
struct nsexec_processes *nsexec_processes_free(struct nsexec_processes *list);

/*
 * When a start passed its points, in microseconds of CLOCK_MONOTONIC; 0: it
 * did not. The points are those of nsexec.v1.Trace.
 */
struct nsexec_trace {
	uint64_t received_us, sent_us, child_us, ready_us, opened_us,
		started_us, failed_us;
};

struct nsexec_step {
	const char *stage, *step, *detail;
	const char *decides; /* who says yes or no; empty if not told */
	bool refused;	     /* known already; detail has the rule */
};
struct nsexec_plan {
	const struct nsexec_step *steps;
	size_t n_steps;
	const uint8_t *bootstrap; /* dialect NX, as the spawner would get it */
	size_t bootstrap_size;
};
struct nsexec_plan *nsexec_plan_free(struct nsexec_plan *plan);

/* --- asynchronous calls -------------------------------------------------- */

/* A container, or with exec_id not NULL a process of nsexec_call_exec(). */
struct nsexec_target {
	const char *id;
	const char *exec_id;
};

/* How to start. All zero is fine. */
struct nsexec_start {
	const uint8_t *key;  /* 16 bytes: a repeated key gives the first result;
				NULL: one of the library's own */
	bool want_pidfd;     /* see nsexec_call_take_pidfd() */
	uint32_t timeout_ms; /* whole start; 0: the daemon's (30 s) */
};

/*
 * Each sends one request and gives *ret, which the caller frees with
 * nsexec_call_free() at any time; freeing a call that is in flight forgets it,
 * the daemon still does it. 0; -ENOMEM; -EMSGSIZE (request over 4 MiB); the
 * status of a bad spec; -ENOTCONN (the connection broke earlier); for the
 * starting ones also the errors of connecting and sending on the fd socket.
 * A daemon that this connection activates has no fd socket until it runs:
 * before its first answer a missing one is no error, the start is held in the
 * library and sent after that answer; if there is none even then, the call is
 * done with -ENOENT or -ECONNREFUSED. A held call that is freed is never sent.
 * spec, start and texts are not
 * used after the return, but descriptors in the spec must stay open until the
 * call is done. An id may be a name.
 */
int nsexec_call_version(struct nsexec *nsexec, struct nsexec_call **ret);
int nsexec_call_create(struct nsexec *nsexec, const struct nsexec_spec *spec,
		       const struct nsexec_start *start,
		       struct nsexec_call **ret);
int nsexec_call_run(struct nsexec *nsexec, const struct nsexec_spec *spec,
		    const struct nsexec_start *start, struct nsexec_call **ret);
/* Of the spec only the process, its descriptors and streams are used. */
int nsexec_call_exec(struct nsexec *nsexec, const char *id,
		     const struct nsexec_spec *spec,
		     const struct nsexec_start *start,
		     struct nsexec_call **ret);
int nsexec_call_start(struct nsexec *nsexec, const char *id,
		      struct nsexec_call **ret);
int nsexec_call_state(struct nsexec *nsexec, const char *id,
		      struct nsexec_call **ret);
int nsexec_call_list(struct nsexec *nsexec, struct nsexec_call **ret);
/* timeout_ms 0: until it is over. */
int nsexec_call_wait(struct nsexec *nsexec, const struct nsexec_target *target,
		     uint32_t timeout_ms, struct nsexec_call **ret);
/* all: every process of the container. sig 1 to 64. */
int nsexec_call_signal(struct nsexec *nsexec,
		       const struct nsexec_target *target, int sig, bool all,
		       struct nsexec_call **ret);
int nsexec_call_processes(struct nsexec *nsexec, const char *id,
			  struct nsexec_call **ret);
int nsexec_call_delete(struct nsexec *nsexec, const char *id, bool force,
		       struct nsexec_call **ret);
/* id or key (16 bytes), the other NULL. */
int nsexec_call_cancel(struct nsexec *nsexec, const char *id,
		       const uint8_t *key, struct nsexec_call **ret);
int nsexec_call_explain(struct nsexec *nsexec, const struct nsexec_spec *spec,
			struct nsexec_call **ret);
int nsexec_call_metrics(struct nsexec *nsexec, struct nsexec_call **ret);
/*
 * Any method of service nsexec.v1.Nsexec with a payload that the caller
 * encoded; the answer is nsexec_call_payload().
 */
int nsexec_call_raw(struct nsexec *nsexec, const char *method,
		    const void *payload, size_t size, struct nsexec_call **ret);

/*
 * Call fn(call, data) from nsexec_dispatch() when the call is done, or for a
 * stream whenever there are events to take and when it ends. fn may start
 * calls and may free its own call.
 */
void nsexec_call_on_done(struct nsexec_call *call,
			 void (*fn)(struct nsexec_call *call, void *data),
			 void *data);
/* false while the answer is outstanding. */
bool nsexec_call_done(const struct nsexec_call *call);
/*
 * 0, -EREMOTEIO (the daemon refused: nsexec_call_error()), -EINPROGRESS, or
 * why the connection failed (see nsexec_set_reconnect()).
 */
int nsexec_call_result(const struct nsexec_call *call);
/* Filled in for every failed call; code NSEXEC_OK otherwise. Borrows. */
const struct nsexec_error *nsexec_call_error(const struct nsexec_call *call);
/* The encoded answer of a call that succeeded. Borrows. */
int nsexec_call_payload(const struct nsexec_call *call, const uint8_t **ret,
			size_t *ret_size);
struct nsexec_call *nsexec_call_free(struct nsexec_call *call);

/*
 * Dispatch until the call is done. nsexec_call_result(), or -ETIMEDOUT after
 * timeout_ms (-1: none) with the call still in flight.
 */
int nsexec_call_await(struct nsexec_call *call, int timeout_ms);

/*
 * Read an answer. Each gives *ret. nsexec_call_result() if that is not 0,
 * -EBADMSG if the answer is not of the method's kind or form, -ENOMEM.
 */
int nsexec_call_get_info(const struct nsexec_call *call,
			 struct nsexec_info **ret); /* Create Run Start State */
int nsexec_call_get_oci_state(const struct nsexec_call *call,
			      char **ret); /* State; free(3) it */
int nsexec_call_get_exit(const struct nsexec_call *call,
			 struct nsexec_exit *ret); /* Wait */
/* exec_id: free(3) it; pid and pid_inode may be NULL. */
int nsexec_call_get_exec(const struct nsexec_call *call, char **ret_exec_id,
			 pid_t *ret_pid, uint64_t *ret_pid_inode);
int nsexec_call_get_list(const struct nsexec_call *call,
			 struct nsexec_list **ret);
int nsexec_call_get_version(const struct nsexec_call *call,
			    struct nsexec_version **ret);
int nsexec_call_get_processes(const struct nsexec_call *call,
			      struct nsexec_processes **ret);
int nsexec_call_get_plan(const struct nsexec_call *call,
			 struct nsexec_plan **ret);
int nsexec_call_get_cancelled(const struct nsexec_call *call, bool *ret);
/* OpenMetrics text; free(3) it. */
int nsexec_call_get_metrics(const struct nsexec_call *call, char **ret);
/*
 * Create, Run, Start, Exec, also of one that failed. 0; -ENODATA: it was not
 * asked for (nsexec_trace()), or was refused before anything was started.
 */
int nsexec_call_get_trace(const struct nsexec_call *call,
			  struct nsexec_trace *ret);

/*
 * The pidfd of the started process, given, for a start with want_pidfd that
 * succeeded. Waits up to 2 s for it. The descriptor; -ENODATA it was not
 * asked for or was taken; -ETIMEDOUT; -EPROTO.
 */
int nsexec_call_take_pidfd(struct nsexec_call *call);

/* --- events ----------------------------------------------------------------
 */

/* Which events. All zero: only new ones, of all the caller's containers. */
struct nsexec_filter {
	const uint8_t *epoch;	       /* 16 bytes; NULL: the current one */
	uint64_t from_seq;	       /* first wanted; 0: only new ones */
	const char *const *containers; /* ids or names */
	size_t n_containers;
	const enum nsexec_event_type *types;
	size_t n_types;
};

/* Open a server stream; gives *ret. Errors as of the calls above. */
int nsexec_events_open(struct nsexec *nsexec,
		       const struct nsexec_filter *filter,
		       struct nsexec_call **ret);
/*
 * Take the next event that has arrived; gives *ret. 0; -EAGAIN none is here;
 * -ENODATA the stream ended well; nsexec_call_result() if it failed; -EBADMSG;
 * -ENOMEM, and the event stays the next one.
 */
int nsexec_next_event(struct nsexec_call *stream, struct nsexec_event **ret);
/* The same, waiting up to timeout_ms (-1: for ever); -ETIMEDOUT. */
int nsexec_await_event(struct nsexec_call *stream, int timeout_ms,
		       struct nsexec_event **ret);

/* A batch, for programs that poll. */
struct nsexec_batch {
	struct nsexec_event **items;
	size_t n_items;
	uint8_t epoch[16];
	uint64_t next_seq; /* from_seq of the next call */
};
struct nsexec_batch *nsexec_batch_free(struct nsexec_batch *batch);
/* timeout_ms 0: answer at once. max_events 0: 256. */
int nsexec_call_next_events(struct nsexec *nsexec,
			    const struct nsexec_filter *filter,
			    uint32_t timeout_ms, uint32_t max_events,
			    struct nsexec_call **ret);
int nsexec_call_get_batch(const struct nsexec_call *call,
			  struct nsexec_batch **ret);

/* --- blocking layer --------------------------------------------------------
 */

/*
 * Each is the call of the same name, awaited: 0; -EREMOTEIO with the record in
 * nsexec_last_error(); else the errors of the call. ret may be NULL where the
 * result is not wanted.
 */
int nsexec_version(struct nsexec *nsexec, struct nsexec_version **ret);
int nsexec_create(struct nsexec *nsexec, const struct nsexec_spec *spec,
		  struct nsexec_info **ret);
int nsexec_run(struct nsexec *nsexec, const struct nsexec_spec *spec,
	       struct nsexec_info **ret);
int nsexec_exec(struct nsexec *nsexec, const char *id,
		const struct nsexec_spec *spec, char **ret_exec_id,
		pid_t *ret_pid);
int nsexec_start(struct nsexec *nsexec, const char *id,
		 struct nsexec_info **ret);
int nsexec_state(struct nsexec *nsexec, const char *id,
		 struct nsexec_info **ret);
int nsexec_list(struct nsexec *nsexec, struct nsexec_list **ret);
int nsexec_wait(struct nsexec *nsexec, const char *id, const char *exec_id,
		struct nsexec_exit *ret);
int nsexec_signal(struct nsexec *nsexec, const char *id, int sig, bool all);
int nsexec_processes(struct nsexec *nsexec, const char *id,
		     struct nsexec_processes **ret);
int nsexec_delete(struct nsexec *nsexec, const char *id, bool force);
int nsexec_explain(struct nsexec *nsexec, const struct nsexec_spec *spec,
		   struct nsexec_plan **ret);
/* OpenMetrics text; free(3) it. */
int nsexec_metrics(struct nsexec *nsexec, char **ret);
/* 16 random bytes for struct nsexec_start's key. 0 or -errno. */
int nsexec_key_new(uint8_t key[16]);
#ifdef __cplusplus
}
#endif
#endif
