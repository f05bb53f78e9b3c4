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
	daemon/config.h \
	daemon/daemon.h \
	daemon/error.h \
	daemon/log.h \
	daemon/loop.c daemon/loop.h \
	daemon/rpc.h
