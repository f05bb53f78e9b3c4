/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd: sockets passed at start, readiness, watchdog, the journal; see
 * notify.h. A failing notification is no error of the daemon's.
 */
#include "daemon/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/text.h"
#include "lib/util.h"

#define NOTIFY_BARRIER_US 2000000u
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct listener {
	const char *name;
	int type; /* 0: from the store, anything */
	int *ret;
};

static void
free_names(char ***names)
{
	if (*names)
		for (char **name = *names; *name; name++)
			free(*name);
	free(*names);
}

bool
notify_has_listeners(void)
{
	return sd_listen_fds(0) > 0;
}

/* Checked by whoever uses it. Of two the first: they are no error. */
static int
take_stored(const struct listener *listener, int fd)
{
	if (*listener->ret >= 0)
		close(fd);
	else
		*listener->ret = fd;
	return 0;
}

void
notify_pidfds_deinit(struct notify_pidfds *pidfds)
{
	for (size_t i = 0; i < pidfds->n; i++)
		fd_close(&pidfds->pidfds[i].fd);
	free(pidfds->pidfds);
	*pidfds = (struct notify_pidfds){ 0 };
}

/* true: it is one, and taken. */
static bool
take_pidfd(struct notify_pidfds *pidfds, int fd, const char *name)
{
	struct notify_pidfd *grown;

	if (strncmp(name, "pidfd.", 6) != 0)
		return false;
	grown = strlen(name) < NOTIFY_NAME_MAX
			? realloc(pidfds->pidfds,
				  (pidfds->n + 1) * sizeof(*grown))
			: NULL;
	if (!grown) {
		close(fd);
		return true;
	}
	pidfds->pidfds = grown;
	grown[pidfds->n].fd = fd;
	snprintf(grown[pidfds->n++].name, NOTIFY_NAME_MAX, "%s", name);
	return true;
}

/* Takes fd into the listener of this name. */
static int
take_listener(const struct listener *listeners, size_t n_listeners, int fd,
	      const char *name)
{
	const struct listener *listener;
	size_t i;

	for (i = 0; i < n_listeners; i++) {
		listener = &listeners[i];
		if (strcmp(listener->name, name) != 0)
			continue;
		if (listener->type == 0)
			return take_stored(listener, fd);
		if (*listener->ret >= 0)
			return -EINVAL;
		if (sd_is_socket_unix(fd, listener->type, 1, NULL, 0) <= 0)
			return -EINVAL;
		if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
			return -errno;
		*listener->ret = fd;
		return 0;
	}
	return -EINVAL;
}

int
notify_listeners(struct notify_fds *ret, char error_text[NOTIFY_ERROR_MAX])
{
	__attribute__((cleanup(free_names))) char **names = NULL;
	fd_auto int rpc = -1, channel = -1, ring = -1, handover = -1;
	const struct listener listeners[] = {
		{ "rpc", SOCK_STREAM, &rpc },
		{ "fd", SOCK_SEQPACKET, &channel },
		{ "ring", 0, &ring },
		{ "handover", 0, &handover },
	};
	char name[64];
	int i, n, r = 0;

	n = sd_listen_fds_with_names(1, &names);
	if (n < 0) {
		snprintf(error_text, NOTIFY_ERROR_MAX,
			 "cannot take the sockets passed by LISTEN_FDS: %s",
			 strerror(-n));
		return n;
	}
	for (i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (take_pidfd(&ret->pidfds, fd, names[i]))
			continue;
		if (r == 0)
			r = take_listener(listeners, ARRAY_SIZE(listeners), fd,
					  names[i]);
		if (r == 0)
			continue;
		close(fd);
		if (error_text[0] != '\0')
			continue;
		text_escape(name, sizeof(name), names[i], strlen(names[i]));
		snprintf(error_text, NOTIFY_ERROR_MAX,
			 "cannot use the passed socket \"%s\": want one "
			 "listening unix stream socket \"rpc\" and one "
			 "seqpacket socket \"fd\"",
			 name);
	}
	if (r < 0)
		return r;
	ret->rpc = fd_steal(&rpc);
	ret->fd = fd_steal(&channel);
	ret->ring = fd_steal(&ring);
	ret->handover = fd_steal(&handover);
	return 0;
}

void
notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void
notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

void
notify_store_add(const char *name, int fd)
{
	char text[NOTIFY_NAME_MAX + 64];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	(void)sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void
notify_store_drop(const char *name)
{
	(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/*
 * FDPOLL=0: systemd would drop a socket whose other end is closed, and a pidfd
 * at the end of its process. The barrier makes sure that it has read it all
 * before anything is built on it.
 */
int
notify_store(const char *name, int fd)
{
	char text[128];
	int r;

	if (!getenv("NOTIFY_SOCKET"))
		return -ENOTSUP;
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	r = sd_notify(0, text);
	if (r > 0 && fd >= 0) {
		snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s",
			 name);
		r = sd_pid_notify_with_fds(0, 0, text, &fd, 1);
	}
	if (r > 0)
		r = sd_notify_barrier(0, NOTIFY_BARRIER_US);
	return r > 0 ? 0 : r < 0 ? r : -ENOTSUP;
}

void
notify_status(const char *text)
{
	(void)sd_notifyf(0, "STATUS=%s", text);
}

uint64_t
notify_watchdog_usec(void)
{
	uint64_t usec = 0;

	return sd_watchdog_enabled(0, &usec) > 0 ? usec : 0;
}

void
notify_watchdog(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}

bool
notify_stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	char mine[64];
	struct stat st;

	/* sd_journal_sendv(3) says nothing where there is no journal. */
	if (!text || fstat(STDERR_FILENO, &st) < 0 ||
	    access(JOURNAL_SOCKET, W_OK) < 0)
		return false;
	snprintf(mine, sizeof(mine), "%lu:%lu", (unsigned long)st.st_dev,
		 (unsigned long)st.st_ino);
	return strcmp(mine, text) == 0;
}

/*
 * The journal's native protocol by hand (systemd.io/JOURNAL_NATIVE_PROTOCOL):
 * sd_journal_sendv(3) waits for ever once journald is stopped and its queue
 * full. By address each time, so that a new journald is found.
 */
int
notify_journal(const struct iovec *fields, int n_fields)
{
	static int fd = -1;
	static const struct sockaddr_un address = { .sun_family = AF_UNIX,
						    .sun_path =
							    JOURNAL_SOCKET };
	struct iovec iov[2 * NOTIFY_FIELDS_MAX];
	struct msghdr msg = { .msg_name = (void *)&address,
			      .msg_namelen = sizeof(address),
			      .msg_iov = iov };

	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			    0);
	if (fd < 0)
		return -errno;
	for (int i = 0; i < n_fields && i < NOTIFY_FIELDS_MAX; i++) {
		iov[msg.msg_iovlen++] = fields[i];
		iov[msg.msg_iovlen++] = (struct iovec){ (void *)"\n", 1 };
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	return 0;
}
