# SPDX-License-Identifier: Apache-2.0
# Fuzz targets, twice over: `make check` links each with run_corpus.c, which
# feeds it every file of its checked-in corpus (with any compiler, and with the
# sanitizers where they are configured); `make fuzz` builds real libFuzzer
# programs with clang. A target is a file fuzz_NAME.c that defines
# LLVMFuzzerTestOneInput() and a folder corpus/NAME; add a block below.
FUZZ_CC = clang
FUZZ_CFLAGS = -O1 -g -std=gnu11 -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=undefined
FUZZ_TARGETS =
EXTRA_DIST += tests/fuzz/run_corpus.c

.PHONY: fuzz
fuzz: $(BUILT_SOURCES)
	@$(MAKE) $(AM_MAKEFLAGS) fuzz-programs
.PHONY: fuzz-programs
CLEANFILES += $(FUZZ_TARGETS)

# bootstrap: every dialect; what decodes must encode and decode equal.
FUZZ_BOOTSTRAP_FILES = tests/fuzz/fuzz_bootstrap.c \
	$(libnsx_proto_la_SOURCES) $(libnsx_lib_la_SOURCES)
check_PROGRAMS += tests/fuzz/corpus_bootstrap
TESTS += tests/fuzz/corpus_bootstrap
tests_fuzz_corpus_bootstrap_SOURCES = tests/fuzz/fuzz_bootstrap.c \
	tests/fuzz/run_corpus.c
tests_fuzz_corpus_bootstrap_CPPFLAGS = $(AM_CPPFLAGS) \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/bootstrap"'
tests_fuzz_corpus_bootstrap_LDADD = libnsx-proto.la libnsx-lib.la
EXTRA_DIST += tests/fuzz/corpus/bootstrap
FUZZ_TARGETS += fuzz-bootstrap
fuzz-bootstrap: $(FUZZ_BOOTSTRAP_FILES)
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -D_GNU_SOURCE \
		$(filter %.c,$(FUZZ_BOOTSTRAP_FILES)) \
		-o $(abs_top_builddir)/$@

# frame: a caller's bytes up to the decoded request.
FUZZ_FRAME_FILES = tests/fuzz/fuzz_frame.c $(libnsx_rpc_la_SOURCES) \
	$(libnsx_lib_la_SOURCES)
FUZZ_FRAME_GENERATED = proto/nsexec.pb-c.c proto/ttrpc.pb-c.c
check_PROGRAMS += tests/fuzz/corpus_frame
TESTS += tests/fuzz/corpus_frame
tests_fuzz_corpus_frame_SOURCES = tests/fuzz/fuzz_frame.c \
	tests/fuzz/run_corpus.c
tests_fuzz_corpus_frame_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/frame"'
tests_fuzz_corpus_frame_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_corpus_frame_LDADD = libnsx-rpc.la
EXTRA_DIST += tests/fuzz/corpus/frame
FUZZ_TARGETS += fuzz-frame
fuzz-frame: $(FUZZ_FRAME_FILES) $(FUZZ_FRAME_GENERATED)
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -I$(abs_top_builddir)/proto \
		-D_GNU_SOURCE $(PROTOBUF_C_CFLAGS) \
		$(filter %.c,$(FUZZ_FRAME_FILES)) \
		$(addprefix $(abs_top_builddir)/,$(FUZZ_FRAME_GENERATED)) \
		-o $(abs_top_builddir)/$@ $(PROTOBUF_C_LIBS)

# config: the configuration file.
FUZZ_CONFIG_FILES = tests/fuzz/fuzz_config.c daemon/config.c \
	daemon/error.c daemon/log.c daemon/notify.c proto/errcode.c \
	proto/json_load.c $(libnsx_lib_la_SOURCES)
check_PROGRAMS += tests/fuzz/corpus_config
TESTS += tests/fuzz/corpus_config
tests_fuzz_corpus_config_SOURCES = tests/fuzz/fuzz_config.c \
	tests/fuzz/run_corpus.c
tests_fuzz_corpus_config_CPPFLAGS = $(AM_CPPFLAGS) \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/config"'
tests_fuzz_corpus_config_LDADD = libnsx-daemon.la
EXTRA_DIST += tests/fuzz/corpus/config
FUZZ_TARGETS += fuzz-config
fuzz-config: $(FUZZ_CONFIG_FILES)
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -D_GNU_SOURCE $(JANSSON_CFLAGS) \
		$(SYSTEMD_CFLAGS) $(filter %.c,$(FUZZ_CONFIG_FILES)) \
		-o $(abs_top_builddir)/$@ $(JANSSON_LIBS) $(SYSTEMD_LIBS)

# text: what nsexecctl reads: text and JSON of a message, subuid.
FUZZ_TEXT_FILES = tests/fuzz/fuzz_text.c $(libnsx_text_la_SOURCES) \
	$(libnsx_proto_la_SOURCES) $(libnsx_lib_la_SOURCES)
check_PROGRAMS += tests/fuzz/corpus_text
TESTS += tests/fuzz/corpus_text
tests_fuzz_corpus_text_SOURCES = tests/fuzz/fuzz_text.c \
	tests/fuzz/run_corpus.c
tests_fuzz_corpus_text_CPPFLAGS = $(AM_CPPFLAGS) \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/text"'
tests_fuzz_corpus_text_LDADD = libnsx-text.la libnsx-proto.la libnsx-lib.la
EXTRA_DIST += tests/fuzz/corpus/text
FUZZ_TARGETS += fuzz-text
fuzz-text: $(FUZZ_TEXT_FILES)
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -D_GNU_SOURCE $(JANSSON_CFLAGS) \
		$(filter %.c,$(FUZZ_TEXT_FILES)) \
		-o $(abs_top_builddir)/$@ $(JANSSON_LIBS)

# process: OCI's process.json, as exec -p reads it.
FUZZ_PROCESS_FILES = tests/fuzz/fuzz_process.c client/process_file.c \
	client/ctl_words.c proto/json_load.c $(libnsx_client_la_SOURCES) \
	$(libnsx_rpc_la_SOURCES) $(libnsx_lib_la_SOURCES) proto/errcode.c
FUZZ_PROCESS_GENERATED = proto/nsexec.pb-c.c proto/ttrpc.pb-c.c
check_PROGRAMS += tests/fuzz/corpus_process
TESTS += tests/fuzz/corpus_process
tests_fuzz_corpus_process_SOURCES = tests/fuzz/fuzz_process.c \
	tests/fuzz/run_corpus.c client/process_file.c client/ctl_words.c \
	proto/json_load.c
tests_fuzz_corpus_process_CPPFLAGS = $(AM_CPPFLAGS) \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/process"'
tests_fuzz_corpus_process_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_corpus_process_LDADD = libnsx-client.la libnsx-rpc.la \
	libnsx-proto.la libnsx-lib.la $(JANSSON_LIBS)
EXTRA_DIST += tests/fuzz/corpus/process
FUZZ_TARGETS += fuzz-process
fuzz-process: $(FUZZ_PROCESS_FILES) $(FUZZ_PROCESS_GENERATED)
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -I$(abs_top_builddir)/proto \
		-D_GNU_SOURCE $(PROTOBUF_C_CFLAGS) $(JANSSON_CFLAGS) \
		$(filter %.c,$(FUZZ_PROCESS_FILES)) \
		$(addprefix $(abs_top_builddir)/,$(FUZZ_PROCESS_GENERATED)) \
		-o $(abs_top_builddir)/$@ $(PROTOBUF_C_LIBS) $(JANSSON_LIBS)

fuzz-programs: $(FUZZ_TARGETS)

# request: a caller's protobuf up to the bootstrap message.
FUZZ_REQUEST_FILES = tests/fuzz/fuzz_request.c daemon/error.c daemon/mapping.c \
	daemon/plan.c daemon/request.c daemon/request_exec.c \
	daemon/request_maps.c daemon/request_mounts.c \
	daemon/request_process.c daemon/spec.c \
	$(libnsx_proto_la_SOURCES) $(libnsx_lib_la_SOURCES)
check_PROGRAMS += tests/fuzz/corpus_request
TESTS += tests/fuzz/corpus_request
tests_fuzz_corpus_request_SOURCES = tests/fuzz/fuzz_request.c \
	tests/fuzz/run_corpus.c
tests_fuzz_corpus_request_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/request"'
tests_fuzz_corpus_request_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_corpus_request_LDADD = libnsx-daemon.la
EXTRA_DIST += tests/fuzz/corpus/request
FUZZ_TARGETS += fuzz-request
fuzz-request: $(FUZZ_REQUEST_FILES) proto/nsexec.pb-c.c
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -I$(abs_top_builddir)/proto \
		-D_GNU_SOURCE $(PROTOBUF_C_CFLAGS) \
		$(filter %.c,$(FUZZ_REQUEST_FILES)) \
		$(abs_top_builddir)/proto/nsexec.pb-c.c \
		-o $(abs_top_builddir)/$@ $(PROTOBUF_C_LIBS)

# handover: what a reload hands over.
FUZZ_HANDOVER_FILES = tests/fuzz/fuzz_handover.c daemon/handover_record.c \
	$(libnsx_rpc_la_SOURCES) $(libnsx_lib_la_SOURCES)
check_PROGRAMS += tests/fuzz/corpus_handover
TESTS += tests/fuzz/corpus_handover
tests_fuzz_corpus_handover_SOURCES = tests/fuzz/fuzz_handover.c \
	tests/fuzz/run_corpus.c
tests_fuzz_corpus_handover_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/handover"'
tests_fuzz_corpus_handover_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_corpus_handover_LDADD = libnsx-daemon.la
EXTRA_DIST += tests/fuzz/corpus/handover
FUZZ_TARGETS += fuzz-handover
fuzz-handover: $(FUZZ_HANDOVER_FILES) proto/handover.pb-c.c
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -I$(abs_top_builddir)/proto \
		-D_GNU_SOURCE $(PROTOBUF_C_CFLAGS) \
		$(filter %.c,$(FUZZ_HANDOVER_FILES)) \
		$(abs_top_builddir)/proto/handover.pb-c.c \
		-o $(abs_top_builddir)/$@ $(PROTOBUF_C_LIBS)

# record: what nsexecd reads back of itself.
FUZZ_RECORD_FILES = tests/fuzz/fuzz_record.c daemon/boot.c \
	daemon/container.c daemon/loop.c daemon/record.c \
	daemon/record_event.c $(libnsx_rpc_la_SOURCES) \
	$(libnsx_proto_la_SOURCES) $(libnsx_lib_la_SOURCES)
check_PROGRAMS += tests/fuzz/corpus_record
TESTS += tests/fuzz/corpus_record
tests_fuzz_corpus_record_SOURCES = tests/fuzz/fuzz_record.c \
	tests/fuzz/run_corpus.c
tests_fuzz_corpus_record_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/record"'
tests_fuzz_corpus_record_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_fuzz_corpus_record_LDADD = libnsx-daemon.la
EXTRA_DIST += tests/fuzz/corpus/record
FUZZ_TARGETS += fuzz-record
fuzz-record: $(FUZZ_RECORD_FILES) proto/record.pb-c.c
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -I$(abs_top_builddir)/proto \
		-D_GNU_SOURCE $(PROTOBUF_C_CFLAGS) $(EVENT_CFLAGS) \
		$(filter %.c,$(FUZZ_RECORD_FILES)) \
		$(abs_top_builddir)/proto/record.pb-c.c \
		-o $(abs_top_builddir)/$@ $(PROTOBUF_C_LIBS) $(EVENT_LIBS)

# policy_table: what the resolver sends: tables and records of users.
FUZZ_POLICY_TABLE_FILES = tests/fuzz/fuzz_policy_table.c \
	$(libnsx_proto_la_SOURCES) $(libnsx_lib_la_SOURCES)
check_PROGRAMS += tests/fuzz/corpus_policy_table
TESTS += tests/fuzz/corpus_policy_table
tests_fuzz_corpus_policy_table_SOURCES = tests/fuzz/fuzz_policy_table.c \
	tests/fuzz/run_corpus.c
tests_fuzz_corpus_policy_table_CPPFLAGS = $(AM_CPPFLAGS) \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/policy_table"'
tests_fuzz_corpus_policy_table_LDADD = libnsx-proto.la libnsx-lib.la
EXTRA_DIST += tests/fuzz/corpus/policy_table
FUZZ_TARGETS += fuzz-policy_table
fuzz-policy_table: $(FUZZ_POLICY_TABLE_FILES)
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -D_GNU_SOURCE \
		$(filter %.c,$(FUZZ_POLICY_TABLE_FILES)) \
		-o $(abs_top_builddir)/$@

# policy: a policy file up to the rights of a caller.
FUZZ_POLICY_FILES = tests/fuzz/fuzz_policy.c $(libnsx_policy_la_SOURCES) \
	$(libnsx_proto_la_SOURCES) $(libnsx_lib_la_SOURCES)
check_PROGRAMS += tests/fuzz/corpus_policy
TESTS += tests/fuzz/corpus_policy
tests_fuzz_corpus_policy_SOURCES = tests/fuzz/fuzz_policy.c \
	tests/fuzz/run_corpus.c
tests_fuzz_corpus_policy_CPPFLAGS = $(AM_CPPFLAGS) \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/policy"'
tests_fuzz_corpus_policy_LDADD = libnsx-policy.la libnsx-proto.la libnsx-lib.la
EXTRA_DIST += tests/fuzz/corpus/policy
FUZZ_TARGETS += fuzz-policy
fuzz-policy: $(FUZZ_POLICY_FILES)
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -D_GNU_SOURCE $(JANSSON_CFLAGS) \
		$(filter %.c,$(FUZZ_POLICY_FILES)) \
		-o $(abs_top_builddir)/$@ $(JANSSON_LIBS)

# spawner_state: what a spawner leaves to the program in its place.
FUZZ_SPAWNER_STATE_FILES = tests/fuzz/fuzz_spawner_state.c \
	spawn/spawner_state.c spawn/spawner_state_check.c \
	$(libnsx_proto_la_SOURCES) $(libnsx_lib_la_SOURCES)
check_PROGRAMS += tests/fuzz/corpus_spawner_state
TESTS += tests/fuzz/corpus_spawner_state
tests_fuzz_corpus_spawner_state_SOURCES = tests/fuzz/fuzz_spawner_state.c \
	tests/fuzz/run_corpus.c spawn/spawner_state.c \
	spawn/spawner_state_check.c
tests_fuzz_corpus_spawner_state_CPPFLAGS = $(AM_CPPFLAGS) \
	-DCORPUS='"$(abs_top_srcdir)/tests/fuzz/corpus/spawner_state"'
tests_fuzz_corpus_spawner_state_LDADD = libnsx-proto.la libnsx-lib.la
EXTRA_DIST += tests/fuzz/corpus/spawner_state
FUZZ_TARGETS += fuzz-spawner_state
fuzz-spawner_state: $(FUZZ_SPAWNER_STATE_FILES)
	$(AM_V_CC)cd $(top_srcdir) && $(FUZZ_CC) $(FUZZ_CFLAGS) -I. \
		-I$(abs_top_builddir) -D_GNU_SOURCE \
		$(filter %.c,$(FUZZ_SPAWNER_STATE_FILES)) \
		-o $(abs_top_builddir)/$@
