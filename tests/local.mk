# SPDX-License-Identifier: Apache-2.0
# Unit tests are cmocka programs, one block each at the end of this file.
# Integration tests are Python and need no entry: ./check finds them.
EXTRA_DIST += \
	check quickstart \
	tests/expected_skips.txt \
	tests/run.py \
	tests/lib/build.sh tests/lib/harness.py tests/lib/pb.py \
	tests/lib/openmetrics.py tests/lib/stuck_fuse.py \
	tests/lib/systemd_box.sh tests/lib/trixie_root.sh tests/lib/ttrpc_client.py \
	tests/lint/allow.txt tests/lint/lint.py

.PHONY: lint
lint: all
	$(AM_V_at)python3 $(top_srcdir)/tests/lint/lint.py --build $(abs_builddir)

# The suites that play attackers, with the counts of a release. The programs
# of the tests must be there: make check TESTS= builds them.
HOSTILE_SUITES = test_confine test_fairness test_frames test_hostile_fields \
	test_hostile_requests test_maps_differential test_mount_race \
	test_nsexec_hostile test_quotas \
	test_spawner_hostile test_spawner_relay test_subverted \
	test_rights test_stuck_exec test_threats_daemon test_threats_payload \
	test_threats_stage
# Every point of every kind; TORTURE="--kinds kill --seed 3", say, for less.
TORTURE = --report $(abs_top_srcdir)/doc/TORTURE.md
.PHONY: torture
torture: all
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check TESTS=
	$(AM_V_at)NSX_BUILD=$(abs_builddir) python3 \
		$(top_srcdir)/tests/fault/torture.py --long $(TORTURE)

# 100,000 starts, 10,000 containers at once, 1,000 restarts: a quarter of an hour.
.PHONY: soak
soak: all
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check TESTS=
	$(AM_V_at)NSX_BUILD=$(abs_builddir) python3 \
		$(top_srcdir)/tests/soak/soak.py $(SOAK_FLAGS)

.PHONY: check-hostile
check-hostile: all
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check TESTS=
	$(AM_V_at)failed=0; for suite in $(HOSTILE_SUITES); do \
		echo "== $$suite"; \
		NSX_LONG=1 NSX_BUILD=$(abs_builddir) python3 \
			$(top_srcdir)/tests/integration/$$suite.py || failed=1; \
	done; exit $$failed

# The format: codec, operations, id maps, namespace plan.
if HAVE_CMOCKA
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) \
	-DTEST_DATA='"$(abs_top_srcdir)/tests/data"'
PROTO_TESTS = \
	tests/unit/test_bootstrap \
	tests/unit/test_bootstrap_golden \
	tests/unit/test_bootstrap_text \
	tests/unit/test_hostile_bootstrap \
	tests/unit/test_idmap \
	tests/unit/test_idmap_rights \
	tests/unit/test_nlmsg \
	tests/unit/test_nsplan \
	tests/unit/test_ops \
	tests/unit/test_policy \
	tests/unit/test_policy_check \
	tests/unit/test_policy_json \
	tests/unit/test_resolve \
	tests/unit/test_who \
	tests/unit/test_text \
	tests/unit/test_vfork
check_PROGRAMS += $(PROTO_TESTS)
TESTS += $(PROTO_TESTS)
PROTO_TEST_LIBS = libnsx-proto.la libnsx-lib.la $(CMOCKA_LIBS)
tests_unit_test_bootstrap_SOURCES = tests/unit/test_bootstrap.c \
	tests/unit/bootstrap_everything.h \
	tests/unit/bootstrap_fixture.h tests/unit/unit.h
tests_unit_test_bootstrap_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_bootstrap_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_bootstrap_golden_SOURCES = tests/unit/test_bootstrap_golden.c
tests_unit_test_bootstrap_golden_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_bootstrap_golden_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_bootstrap_text_SOURCES = tests/unit/test_bootstrap_text.c
tests_unit_test_bootstrap_text_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_bootstrap_text_LDADD = libnsx-text.la $(PROTO_TEST_LIBS)
tests_unit_test_hostile_bootstrap_SOURCES = tests/unit/test_hostile_bootstrap.c
tests_unit_test_hostile_bootstrap_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_hostile_bootstrap_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_idmap_SOURCES = tests/unit/test_idmap.c
tests_unit_test_idmap_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_idmap_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_idmap_rights_SOURCES = tests/unit/test_idmap_rights.c
tests_unit_test_idmap_rights_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_idmap_rights_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_nlmsg_SOURCES = tests/unit/test_nlmsg.c
tests_unit_test_nlmsg_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_nlmsg_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_nsplan_SOURCES = tests/unit/test_nsplan.c
tests_unit_test_nsplan_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_nsplan_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_ops_SOURCES = tests/unit/test_ops.c
tests_unit_test_ops_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_ops_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_policy_SOURCES = tests/unit/test_policy.c \
	tests/unit/policy_fixture.h
tests_unit_test_policy_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_policy_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_policy_check_SOURCES = tests/unit/test_policy_check.c \
	tests/unit/policy_fixture.h
tests_unit_test_policy_check_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_policy_check_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_policy_json_SOURCES = tests/unit/test_policy_json.c
tests_unit_test_policy_json_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_policy_json_LDADD = libnsx-policy.la $(PROTO_TEST_LIBS)
tests_unit_test_resolve_SOURCES = tests/unit/test_resolve.c
tests_unit_test_resolve_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_resolve_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_who_SOURCES = tests/unit/test_who.c
tests_unit_test_who_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_who_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_vfork_SOURCES = tests/unit/test_vfork.c
tests_unit_test_vfork_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_vfork_LDADD = $(PROTO_TEST_LIBS)
tests_unit_test_text_SOURCES = tests/unit/test_text.c
tests_unit_test_text_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_text_LDADD = $(PROTO_TEST_LIBS)
endif
EXTRA_DIST += \
	tests/data/hostile_bootstrap.py \
	tests/data/hostile_bootstrap.txt
EXTRA_DIST += examples/policy/policy.json \
	tests/fault/allocation.py tests/fault/auditor.py \
	tests/fault/faults.py tests/fault/random_kills.py \
	tests/fault/scenarios.py tests/fault/torture.py tests/fault/worker.py
include tests/fuzz/local.mk

# Plays spawner and nsexecd for the stages.
EXTRA_DIST += \
	tests/soak/soak.py tests/soak/soak_alive.py tests/soak/soak_lib.py \
	tests/soak/soak_restarts.py tests/soak/soak_starts.py
check_PROGRAMS += tests/soak/payload
tests_soak_payload_SOURCES = tests/soak/payload.c
tests_soak_payload_CFLAGS = -Os -ffreestanding -fno-stack-protector
tests_soak_payload_LDFLAGS = -nostdlib -static -all-static
check_PROGRAMS += tests/fault/injector tests/fault/payload nsexecd-alloc
tests_fault_injector_SOURCES = tests/fault/injector.c
tests_fault_payload_SOURCES = tests/fault/payload.c
# nsexecd, beside the programs that it starts, whose allocations can fail.
nsexecd_alloc_CPPFLAGS = $(nsexecd_CPPFLAGS)
nsexecd_alloc_CFLAGS = $(nsexecd_CFLAGS)
nsexecd_alloc_SOURCES = $(nsexecd_SOURCES) \
	tests/fault/alloc.c tests/fault/alloc.h
nsexecd_alloc_LDADD = $(nsexecd_LDADD)
check_PROGRAMS += tests/integration/stage_driver
tests_integration_stage_driver_SOURCES = \
	tests/integration/stage_driver.c tests/integration/stage_driver.h \
	tests/integration/stage_options.c
tests_integration_stage_driver_LDFLAGS = $(AM_LDFLAGS) $(ROOT_LDFLAGS)
tests_integration_stage_driver_LDADD = libnsx-stage.la libnsx-proto.la libnsx-lib.la

# Holds our rights to id maps against newuidmap and newgidmap.
check_PROGRAMS += tests/integration/maps_probe
tests_integration_maps_probe_SOURCES = tests/integration/maps_probe.c
tests_integration_maps_probe_LDADD = libnsx-proto.la libnsx-lib.la

# Interoperation with runc: the project's decoder and encoder as a filter.
check_PROGRAMS += tests/integration/recode
tests_integration_recode_SOURCES = tests/integration/recode.c
tests_integration_recode_LDADD = libnsx-proto.la libnsx-lib.la

# The server: frames, calls, streams, fd channel, configuration.
if HAVE_CMOCKA
SERVER_TESTS = \
	tests/unit/test_config \
	tests/unit/test_pbpool \
	tests/unit/test_server \
	tests/unit/test_server_streams \
	tests/unit/test_ttrpc_frame
check_PROGRAMS += $(SERVER_TESTS)
TESTS += $(SERVER_TESTS)
SERVER_TEST_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto
SERVER_TEST_CFLAGS = $(UNIT_CFLAGS) $(PROTOBUF_C_CFLAGS)
SERVER_TEST_LIBS = libnsx-daemon.la $(CMOCKA_LIBS)
SERVER_FIXTURE = tests/unit/server_fixture.c tests/unit/server_fixture.h
tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_test_config_CFLAGS = $(SERVER_TEST_CFLAGS)
tests_unit_test_config_LDADD = $(SERVER_TEST_LIBS)
tests_unit_test_pbpool_SOURCES = tests/unit/test_pbpool.c
tests_unit_test_pbpool_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_test_pbpool_CFLAGS = $(SERVER_TEST_CFLAGS)
tests_unit_test_pbpool_LDADD = $(SERVER_TEST_LIBS)
tests_unit_test_server_SOURCES = tests/unit/test_server.c $(SERVER_FIXTURE)
tests_unit_test_server_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_test_server_CFLAGS = $(SERVER_TEST_CFLAGS)
tests_unit_test_server_LDADD = $(SERVER_TEST_LIBS)
tests_unit_test_server_streams_SOURCES = tests/unit/test_server_streams.c \
	$(SERVER_FIXTURE)
tests_unit_test_server_streams_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_test_server_streams_CFLAGS = $(SERVER_TEST_CFLAGS)
tests_unit_test_server_streams_LDADD = $(SERVER_TEST_LIBS)
tests_unit_test_ttrpc_frame_SOURCES = tests/unit/test_ttrpc_frame.c
tests_unit_test_ttrpc_frame_CPPFLAGS = $(SERVER_TEST_CPPFLAGS)
tests_unit_test_ttrpc_frame_CFLAGS = $(SERVER_TEST_CFLAGS)
tests_unit_test_ttrpc_frame_LDADD = libnsx-rpc.la $(CMOCKA_LIBS)
endif

# libnsexec against a server in the same process; words of nsexecctl.
if HAVE_CMOCKA
CLIENT_TESTS = \
	tests/unit/test_client \
	tests/unit/test_client_held \
	tests/unit/test_client_resume \
	tests/unit/test_ctl_words
check_PROGRAMS += $(CLIENT_TESTS)
TESTS += $(CLIENT_TESTS)
tests_unit_test_client_SOURCES = tests/unit/test_client.c \
	tests/unit/client_fixture.c tests/unit/client_fixture.h
tests_unit_test_client_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto
tests_unit_test_client_CFLAGS = $(UNIT_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_unit_test_client_LDADD = libnsx-client.la libnsx-rpc.la \
	libnsx-proto.la libnsx-lib.la $(CMOCKA_LIBS)
tests_unit_test_client_held_SOURCES = tests/unit/test_client_held.c \
	tests/unit/client_fixture.c tests/unit/client_fixture.h
tests_unit_test_client_held_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto
tests_unit_test_client_held_CFLAGS = $(UNIT_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_unit_test_client_held_LDADD = libnsx-client.la libnsx-rpc.la \
	libnsx-proto.la libnsx-lib.la $(CMOCKA_LIBS)
tests_unit_test_client_resume_SOURCES = tests/unit/test_client_resume.c \
	tests/unit/client_fixture.c tests/unit/client_fixture.h
tests_unit_test_client_resume_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto
tests_unit_test_client_resume_CFLAGS = $(UNIT_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_unit_test_client_resume_LDADD = libnsx-client.la libnsx-rpc.la \
	libnsx-proto.la libnsx-lib.la $(CMOCKA_LIBS)
tests_unit_test_ctl_words_SOURCES = tests/unit/test_ctl_words.c \
	client/ctl_words.c client/ctl_output.c client/lost_signal.c
tests_unit_test_ctl_words_CFLAGS = $(UNIT_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_ctl_words_LDADD = libnsx-client.la libnsx-rpc.la \
	libnsx-proto.la libnsx-lib.la $(JANSSON_LIBS) $(CMOCKA_LIBS)
endif

# Stands where nsexecd stands once it is confined.
check_PROGRAMS += tests/integration/confine_probe
tests_integration_confine_probe_SOURCES = tests/integration/confine_probe.c
tests_integration_confine_probe_LDADD = libnsx-daemon.la

# The keeper's test needs a program that plays the worker.
check_PROGRAMS += tests/integration/worker_standin
tests_integration_worker_standin_SOURCES = tests/integration/worker_standin.c
tests_integration_worker_standin_LDADD = libnsx-proto.la libnsx-lib.la
# The same for the resolver.
check_PROGRAMS += tests/integration/resolver_standin
tests_integration_resolver_standin_SOURCES = tests/integration/resolver_standin.c
tests_integration_resolver_standin_LDADD = libnsx-proto.la libnsx-lib.la

# The stages, as far as they are pure.
if HAVE_CMOCKA
STAGE_TESTS = \
	tests/unit/test_stage_execblock \
	tests/unit/test_stage_files \
	tests/unit/test_stage_rights \
	tests/unit/test_stage_state
check_PROGRAMS += $(STAGE_TESTS)
TESTS += $(STAGE_TESTS)
STAGE_TEST_LIBS = libnsx-stage.la libnsx-proto.la libnsx-lib.la $(CMOCKA_LIBS)
tests_unit_test_stage_execblock_SOURCES = tests/unit/test_stage_execblock.c tests/unit/unit.h
tests_unit_test_stage_execblock_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_stage_execblock_LDADD = $(STAGE_TEST_LIBS)
tests_unit_test_stage_files_SOURCES = tests/unit/test_stage_files.c tests/unit/unit.h
tests_unit_test_stage_files_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_stage_files_LDADD = $(STAGE_TEST_LIBS)
tests_unit_test_stage_rights_SOURCES = tests/unit/test_stage_rights.c tests/unit/unit.h
tests_unit_test_stage_rights_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_stage_rights_LDADD = $(STAGE_TEST_LIBS)
tests_unit_test_stage_state_SOURCES = tests/unit/test_stage_state.c tests/unit/unit.h
tests_unit_test_stage_state_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_stage_state_LDADD = $(STAGE_TEST_LIBS)
endif

# The spawner's modules that stand alone.
if HAVE_CMOCKA
SPAWNER_TESTS = \
	tests/unit/test_spawner_cgroup \
	tests/unit/test_spawner_child \
	tests/unit/test_spawner_confine \
	tests/unit/test_spawner_options \
	tests/unit/test_spawner_proc \
	tests/unit/test_spawner_quota \
	tests/unit/test_spawner_state
check_PROGRAMS += $(SPAWNER_TESTS)
TESTS += $(SPAWNER_TESTS)
SPAWNER_TEST_LIBS = libnsx-proto.la libnsx-lib.la $(CMOCKA_LIBS)
tests_unit_test_spawner_cgroup_SOURCES = tests/unit/test_spawner_cgroup.c \
	spawn/spawner_cgroup.c spawn/spawner_log.c spawn/spawner_proc.c
tests_unit_test_spawner_cgroup_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_spawner_cgroup_LDADD = $(SPAWNER_TEST_LIBS)
tests_unit_test_spawner_child_SOURCES = tests/unit/test_spawner_child.c \
	spawn/spawner_child.c
tests_unit_test_spawner_child_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_spawner_child_LDADD = $(SPAWNER_TEST_LIBS)
tests_unit_test_spawner_confine_SOURCES = tests/unit/test_spawner_confine.c \
	spawn/spawner_confine.c
tests_unit_test_spawner_confine_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_spawner_confine_LDADD = $(SPAWNER_TEST_LIBS)
tests_unit_test_spawner_options_SOURCES = tests/unit/test_spawner_options.c \
	spawn/spawner_log.c spawn/spawner_options.c
tests_unit_test_spawner_options_CFLAGS = $(UNIT_CFLAGS) -DNSX_LIBEXECDIR='"/nowhere"'
tests_unit_test_spawner_options_LDADD = $(SPAWNER_TEST_LIBS)
tests_unit_test_spawner_proc_SOURCES = tests/unit/test_spawner_proc.c \
	spawn/spawner_cgroup.c spawn/spawner_log.c spawn/spawner_proc.c
tests_unit_test_spawner_proc_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_spawner_proc_LDADD = $(SPAWNER_TEST_LIBS)
tests_unit_test_spawner_quota_SOURCES = tests/unit/test_spawner_quota.c \
	spawn/spawner_cgroup.c spawn/spawner_log.c spawn/spawner_proc.c \
	spawn/spawner_quota.c
tests_unit_test_spawner_quota_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_spawner_quota_LDADD = $(SPAWNER_TEST_LIBS)
tests_unit_test_spawner_state_SOURCES = tests/unit/test_spawner_state.c \
	tests/unit/state_fixture.h spawn/spawner_state.c spawn/spawner_state_check.c
tests_unit_test_spawner_state_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_spawner_state_LDADD = $(SPAWNER_TEST_LIBS)
endif

# A spawner of a release that writes its state in another way, and programs
# that are no spawner.
check_PROGRAMS += tests/integration/next_spawner tests/integration/reexec_standin
tests_integration_next_spawner_SOURCES = spawn/spawner.c spawn/spawner_state.c \
	spawn/spawner_state_check.c
tests_integration_next_spawner_CPPFLAGS = $(AM_CPPFLAGS) -DSTATE_VERSION=4242u
tests_integration_next_spawner_LDADD = libnsx-spawner.la libnsx-stage.la \
	libnsx-proto.la libnsx-lib.la
tests_integration_reexec_standin_SOURCES = tests/integration/reexec_standin.c

# The spawner with relays that lie.
check_PROGRAMS += tests/integration/false_spawner
tests_integration_false_spawner_SOURCES = tests/integration/false_relay.c \
	spawn/spawner.c
tests_integration_false_spawner_LDADD = libnsx-spawner.la libnsx-stage.la libnsx-proto.la \
	libnsx-lib.la

# The core of nsexecd, against a played spawner where it needs one.
if HAVE_CMOCKA
CORE_TESTS = \
	tests/unit/test_container \
	tests/unit/test_container_restart \
	tests/unit/test_error \
	tests/unit/test_event_ring \
	tests/unit/test_events \
	tests/unit/test_explain \
	tests/unit/test_handover \
	tests/unit/test_identity \
	tests/unit/test_metrics \
	tests/unit/test_record \
	tests/unit/test_request \
	tests/unit/test_tombstones
check_PROGRAMS += $(CORE_TESTS)
TESTS += $(CORE_TESTS)
CORE_TEST_CFLAGS = $(UNIT_CFLAGS) $(PROTOBUF_C_CFLAGS)
CORE_TEST_LIBS = libnsx-daemon.la $(CMOCKA_LIBS)
CORE_FIXTURE = tests/unit/core_fixture.c tests/unit/core_fixture.h \
	tests/unit/core_play.c
tests_unit_test_container_SOURCES = tests/unit/test_container.c $(CORE_FIXTURE)
tests_unit_test_container_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_container_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_container_restart_SOURCES = \
	tests/unit/test_container_restart.c $(CORE_FIXTURE)
tests_unit_test_container_restart_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_container_restart_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_error_SOURCES = tests/unit/test_error.c
tests_unit_test_error_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_error_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_event_ring_SOURCES = tests/unit/test_event_ring.c
tests_unit_test_event_ring_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_event_ring_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_events_SOURCES = tests/unit/test_events.c
tests_unit_test_events_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_events_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_explain_SOURCES = tests/unit/test_explain.c
tests_unit_test_explain_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_explain_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_handover_SOURCES = tests/unit/test_handover.c
tests_unit_test_handover_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_handover_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_identity_SOURCES = tests/unit/test_identity.c
tests_unit_test_identity_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_identity_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_metrics_SOURCES = tests/unit/test_metrics.c $(CORE_FIXTURE)
tests_unit_test_metrics_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_metrics_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_record_SOURCES = tests/unit/test_record.c
tests_unit_test_record_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_record_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_request_SOURCES = tests/unit/test_request.c
tests_unit_test_request_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_request_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_tombstones_SOURCES = tests/unit/test_tombstones.c $(CORE_FIXTURE)
tests_unit_test_tombstones_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_tombstones_LDFLAGS = -Wl,--wrap=clock_gettime
tests_unit_test_tombstones_LDADD = $(CORE_TEST_LIBS)
endif

# Codecs, with each of their allocations failing in turn.
if HAVE_CMOCKA
ALLOC_TESTS = \
	tests/unit/test_alloc \
	tests/unit/test_alloc_client \
	tests/unit/test_alloc_text
check_PROGRAMS += $(ALLOC_TESTS)
TESTS += $(ALLOC_TESTS)
ALLOC_FAIL = tests/unit/alloc_fail.c tests/unit/alloc_fail.h
tests_unit_test_alloc_SOURCES = tests/unit/test_alloc.c $(ALLOC_FAIL)
tests_unit_test_alloc_CFLAGS = $(CORE_TEST_CFLAGS)
tests_unit_test_alloc_LDADD = $(CORE_TEST_LIBS)
tests_unit_test_alloc_client_SOURCES = tests/unit/test_alloc_client.c \
	client/process_file.c client/ctl_words.c proto/json_load.c $(ALLOC_FAIL)
tests_unit_test_alloc_client_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto
tests_unit_test_alloc_client_CFLAGS = $(UNIT_CFLAGS) $(PROTOBUF_C_CFLAGS) \
	$(JANSSON_CFLAGS)
tests_unit_test_alloc_client_LDADD = libnsx-client.la libnsx-rpc.la \
	libnsx-proto.la libnsx-lib.la $(JANSSON_LIBS) $(CMOCKA_LIBS)
tests_unit_test_alloc_text_SOURCES = tests/unit/test_alloc_text.c \
	tests/unit/bootstrap_everything.h tests/unit/state_fixture.h \
	spawn/spawner_state.c spawn/spawner_state_check.c $(ALLOC_FAIL)
tests_unit_test_alloc_text_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_alloc_text_LDADD = libnsx-text.la libnsx-policy.la \
	$(PROTO_TEST_LIBS)
endif
