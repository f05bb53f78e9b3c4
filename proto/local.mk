# SPDX-License-Identifier: Apache-2.0
# libnsx-proto: the format inside; links libc alone (the root side uses it).
# libnsx-rpc: the wire to callers; protobuf-c.
noinst_LTLIBRARIES += libnsx-proto.la libnsx-rpc.la
libnsx_proto_la_CFLAGS = $(STRICT_CFLAGS)
libnsx_proto_la_SOURCES = \
	proto/bootstrap.h proto/bootstrap_table.h \
	proto/bootstrap_check.c proto/bootstrap_decode.c \
	proto/bootstrap_decode_packed.c proto/bootstrap_decode_text.c \
	proto/bootstrap_encode.c proto/bootstrap_table.c \
	proto/errcode.c proto/errcode.h \
	proto/idmap.c proto/idmap_preset.c proto/idmap.h \
	proto/idmap_rights.c proto/idmap_rights_gid.c proto/idmap_rights.h \
	proto/nlmsg.c proto/nlmsg.h \
	proto/nsplan.c proto/nsplan.h \
	proto/ops.c proto/ops.h \
	proto/policy.c proto/policy_match.c proto/policy.h \
	proto/resolve.c proto/resolve.h \
	proto/who.c proto/who.h
libnsx_proto_la_LIBADD = libnsx-lib.la

# Bootstrap messages for people: text, JSON, diff, lint. Not for the daemons.
noinst_LTLIBRARIES += libnsx-text.la
libnsx_text_la_CFLAGS = $(STRICT_CFLAGS) $(JANSSON_CFLAGS)
libnsx_text_la_SOURCES = \
	proto/bootstrap_escape.c \
	proto/bootstrap_fields.c proto/bootstrap_fields.h \
	proto/bootstrap_fields_parse.c \
	proto/bootstrap_json.c \
	proto/bootstrap_lint.c \
	proto/bootstrap_text.c proto/bootstrap_text.h \
	proto/json_load.c proto/json_load.h
libnsx_text_la_LIBADD = $(JANSSON_LIBS)

# Policy files, for the resolver and nsexecctl. The daemons know the table.
noinst_LTLIBRARIES += libnsx-policy.la
libnsx_policy_la_CFLAGS = $(STRICT_CFLAGS) $(JANSSON_CFLAGS)
libnsx_policy_la_SOURCES = \
	proto/json_load.c proto/json_load.h \
	proto/policy_files.c \
	proto/policy_json.c proto/policy_json.h \
	proto/policy_json_values.c proto/policy_json_values.h
libnsx_policy_la_LIBADD = $(JANSSON_LIBS)

nodist_libnsx_rpc_la_SOURCES = \
	proto/nsexec.pb-c.c proto/nsexec.pb-c.h \
	proto/ttrpc.pb-c.c proto/ttrpc.pb-c.h
libnsx_rpc_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto
libnsx_rpc_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS)
libnsx_rpc_la_SOURCES = \
	proto/pbpool.c proto/pbpool.h \
	proto/ttrpc_frame.c proto/ttrpc_frame.h
libnsx_rpc_la_LIBADD = libnsx-lib.la $(PROTOBUF_C_LIBS)

proto/%.pb-c.c proto/%.pb-c.h: $(top_srcdir)/proto/%.proto
	@$(MKDIR_P) proto
	$(AM_V_GEN)$(PROTOC_C) --proto_path=$(top_srcdir)/proto --c_out=proto $<

BUILT_SOURCES += \
	proto/nsexec.pb-c.c proto/nsexec.pb-c.h \
	proto/ttrpc.pb-c.c proto/ttrpc.pb-c.h
CLEANFILES += $(BUILT_SOURCES)
EXTRA_DIST += proto/nsexec.proto proto/ttrpc.proto
