# SPDX-License-Identifier: Apache-2.0
# libnsx-daemon: all of nsexecd but main.c, so that unit tests link it.
noinst_LTLIBRARIES += libnsx-daemon.la
libnsx_daemon_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto
libnsx_daemon_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(PROTOBUF_C_CFLAGS) \
	$(SYSTEMD_CFLAGS) $(JANSSON_CFLAGS)
libnsx_daemon_la_LIBADD = libnsx-rpc.la libnsx-proto.la libnsx-lib.la \
	$(EVENT_LIBS) $(PROTOBUF_C_LIBS) $(SYSTEMD_LIBS) $(JANSSON_LIBS)
libnsx_daemon_la_SOURCES =

# The server: connections, frames, calls; configuration, log, notify.
libnsx_daemon_la_SOURCES += \
	daemon/config.c daemon/config.h \
	daemon/confine.c daemon/confine.h \
	daemon/daemon.h \
	daemon/dispatch.c daemon/dispatch.h \
	daemon/error.c daemon/error.h \
	daemon/error_pack.c daemon/error_pack.h \
	daemon/fdchan.c daemon/fdchan.h \
	daemon/log.c daemon/log.h \
	daemon/loop.c daemon/loop.h \
	daemon/notify.c daemon/notify.h \
	daemon/peer.c daemon/peer.h daemon/peer_out.c \
	daemon/rpc.h \
	daemon/server.c daemon/server.h \
	daemon/stream.c daemon/stream.h

sbin_PROGRAMS += nsexecd
nsexecd_CPPFLAGS = $(libnsx_daemon_la_CPPFLAGS) \
	-DNSX_LIBEXECDIR='"$(libexecdir)"'
nsexecd_CFLAGS = $(libnsx_daemon_la_CFLAGS)
nsexecd_SOURCES = \
	daemon/launcher.c daemon/launcher.h \
	daemon/launcher_part.c daemon/launcher_part.h daemon/launcher_user.c \
	daemon/main.c \
	daemon/options.c daemon/options.h \
	daemon/worker.c daemon/worker.h
nsexecd_LDADD = libnsx-daemon.la
