# SPDX-License-Identifier: Apache-2.0
# libnsx-client: the code of libnsexec, linked into nsexecctl as it is, so that
# the program is a real binary and not a libtool wrapper.
noinst_LTLIBRARIES += libnsx-client.la
libnsx_client_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS)
libnsx_client_la_SOURCES = \
	client/answers.c \
	client/blocking.c \
	client/call.c \
	client/conn.c \
	client/error.c \
	client/fdchan.c \
	client/internal.h \
	client/names.c \
	client/nsexec.h \
	client/requests.c \
	client/spec.c client/spec_parts.h \
	client/spec_process.c \
	client/spec_system.c \
	client/unpack.c
libnsx_client_la_LIBADD = libnsx-rpc.la libnsx-proto.la libnsx-lib.la
$(libnsx_client_la_OBJECTS): proto/nsexec.pb-c.h proto/ttrpc.pb-c.h

lib_LTLIBRARIES += libnsexec.la
libnsexec_la_SOURCES =
libnsexec_la_LIBADD = libnsx-client.la
libnsexec_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/client/libnsexec.map
EXTRA_libnsexec_la_DEPENDENCIES = $(top_srcdir)/client/libnsexec.map
include_HEADERS += client/nsexec.h
EXTRA_DIST += client/libnsexec.map client/nsexec.pc.in

pkgconfig_DATA = client/nsexec.pc
client/nsexec.pc: $(top_srcdir)/client/nsexec.pc.in Makefile
	@$(MKDIR_P) client
	$(AM_V_GEN)sed -e 's|@prefix[@]|$(prefix)|' \
		-e 's|@exec_prefix[@]|$(exec_prefix)|' \
		-e 's|@libdir[@]|$(libdir)|' \
		-e 's|@includedir[@]|$(includedir)|' \
		-e 's|@PACKAGE_VERSION[@]|$(PACKAGE_VERSION)|' \
		$(top_srcdir)/client/nsexec.pc.in >$@
CLEANFILES += client/nsexec.pc
