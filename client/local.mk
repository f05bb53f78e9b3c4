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
	client/resume.c \
	client/spec.c client/spec_parts.h \
	client/spec_process.c \
	client/spec_system.c \
	client/trace.c \
	client/unpack.c \
	client/watch.c
$(libnsx_client_la_OBJECTS): proto/nsexec.pb-c.h proto/ttrpc.pb-c.h

lib_LTLIBRARIES += libnsexec.la
# A shared library takes convenience libraries whole, and both libnsx-rpc and
# libnsx-proto contain libnsx-lib: of proto, only the one file it needs.
libnsexec_la_SOURCES = proto/errcode.c
libnsexec_la_CFLAGS = $(AM_CFLAGS)
libnsexec_la_LIBADD = libnsx-client.la libnsx-rpc.la
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

bin_PROGRAMS += nsexecctl
nsexecctl_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
nsexecctl_SOURCES = \
	client/cmd_bootstrap.c \
	client/cmd_completion.c \
	client/cmd_doctor.c \
	client/cmd_enter.c \
	client/cmd_events.c \
	client/cmd_exec.c \
	client/cmd_explain.c \
	client/cmd_idmap.c \
	client/cmd_list.c \
	client/cmd_metrics.c \
	client/cmd_policy.c \
	client/cmd_run.c \
	client/cmd_simple.c \
	client/cmd_version.c \
	client/cmd_wait.c \
	client/ctl.h \
	client/ctl_main.c \
	client/ctl_options.c \
	client/ctl_output.c \
	client/ctl_parse.c \
	client/ctl_report.c \
	client/ctl_trace.c \
	client/ctl_words.c \
	client/complete.c client/complete.h \
	client/explain_idmap.c \
	client/foreground.c client/foreground.h \
	client/input.c client/input.h \
	client/lost_signal.c client/lost_signal.h \
	client/opt_later.c \
	client/opt_maps.c \
	client/opt_mounts.c \
	client/opt_ns.c \
	client/opt_process.c \
	client/opt_stdio.c \
	client/opts.h \
	client/policy.h client/policy_asker.c client/policy_print.c \
	client/process_file.c client/process_file.h \
	client/start_opts.c client/start_opts.h
nsexecctl_LDADD = libnsx-client.la libnsx-rpc.la libnsx-text.la \
	libnsx-policy.la libnsx-proto.la libnsx-lib.la $(JANSSON_LIBS)

EXTRA_DIST += examples/c/agent.c
dist_man_MANS += doc/nsexecctl.1 doc/libnsexec.3
