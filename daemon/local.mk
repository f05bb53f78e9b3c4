# SPDX-License-Identifier: Apache-2.0
# libnsx-daemon: all of nsexecd but main.c, so that unit tests link it.
noinst_LTLIBRARIES += libnsx-daemon.la
libnsx_daemon_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/proto
libnsx_daemon_la_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(PROTOBUF_C_CFLAGS) \
	$(SYSTEMD_CFLAGS) $(JANSSON_CFLAGS) $(SECCOMP_CFLAGS)
libnsx_daemon_la_LIBADD = libnsx-rpc.la libnsx-proto.la libnsx-lib.la \
	$(EVENT_LIBS) $(PROTOBUF_C_LIBS) $(SYSTEMD_LIBS) $(JANSSON_LIBS) \
	$(SECCOMP_LIBS)
libnsx_daemon_la_SOURCES =

# The server: connections, frames, calls; configuration, log, notify.
libnsx_daemon_la_SOURCES += \
	daemon/config.c daemon/config.h \
	proto/json_load.c proto/json_load.h \
	daemon/confine.c daemon/confine.h \
	daemon/confine_calls.c daemon/confine_calls.h \
	daemon/confine_files.c daemon/confine_files.h \
	daemon/daemon.h \
	daemon/dispatch.c daemon/dispatch.h \
	daemon/error.c daemon/error.h \
	daemon/error_pack.c daemon/error_pack.h \
	daemon/fdchan.c daemon/fdchan.h \
	daemon/identity.c daemon/identity.h \
	daemon/log.c daemon/log.h \
	daemon/loop.c daemon/loop.h \
	daemon/notify.c daemon/notify.h \
	daemon/peer.c daemon/peer.h daemon/peer_handover.c \
	daemon/peer_counts.c daemon/peer_counts.h \
	daemon/peer_out.c daemon/peer_who.c \
	daemon/rpc.h \
	daemon/server.c daemon/server.h \
	daemon/stream.c daemon/stream.h \
	daemon/viewer.h

sbin_PROGRAMS += nsexecd
nsexecd_CPPFLAGS = $(libnsx_daemon_la_CPPFLAGS) \
	-DNSX_LIBEXECDIR='"$(libexecdir)"'
nsexecd_CFLAGS = $(libnsx_daemon_la_CFLAGS)
nsexecd_SOURCES = \
	daemon/launcher.c daemon/launcher.h \
	daemon/launcher_part.c daemon/launcher_part.h \
	daemon/launcher_renew.c daemon/launcher_user.c \
	daemon/main.c \
	daemon/options.c daemon/options.h \
	daemon/worker.c daemon/worker.h
nsexecd_LDADD = libnsx-daemon.la

# The core: requests, containers, events, records, the spawner's connection.
nodist_libnsx_daemon_la_SOURCES = proto/record.pb-c.c proto/record.pb-c.h \
	proto/handover.pb-c.c proto/handover.pb-c.h
BUILT_SOURCES += proto/record.pb-c.c proto/record.pb-c.h \
	proto/handover.pb-c.c proto/handover.pb-c.h
EXTRA_DIST += proto/record.proto proto/handover.proto
libnsx_daemon_la_SOURCES += \
	daemon/adopt.c \
	daemon/audit.c daemon/audit.h \
	daemon/boot.c daemon/boot.h \
	daemon/clean_up.c \
	daemon/container.c daemon/container.h \
	daemon/container_table.c daemon/container_table.h \
	daemon/core.c daemon/core.h daemon/core_parts.h \
	daemon/event_ring.c daemon/event_ring.h \
	daemon/events.c daemon/events.h \
	daemon/explain.c daemon/explain.h \
	daemon/features.c daemon/features.h \
	daemon/handover.c daemon/handover.h daemon/handover_part.h \
	daemon/handover_give.c daemon/handover_take.c \
	daemon/handover_record.c daemon/handover_record.h \
	daemon/id_block.c daemon/id_block.h \
	daemon/launch.c \
	daemon/lease.c daemon/lease.h \
	daemon/mapping.c daemon/mapping.h \
	daemon/methods.c daemon/methods.h daemon/methods_control.c \
	daemon/methods_metrics.c \
	daemon/methods_lease.c \
	daemon/methods_query.c daemon/methods_start.c \
	daemon/memory.c daemon/memory.h \
	daemon/metrics.c daemon/metrics.h \
	daemon/metrics_text.c daemon/metrics_text.h \
	daemon/oci_state.c daemon/oci_state.h \
	daemon/openmetrics.c daemon/openmetrics.h \
	daemon/pack.c daemon/pack.h \
	daemon/park.c daemon/park.h \
	daemon/plan.c daemon/plan.h \
	daemon/proc_stat.c daemon/proc_stat.h \
	daemon/quota.c daemon/quota.h \
	daemon/record.c daemon/record.h daemon/record_part.h \
	daemon/record_event.c daemon/record_event.h \
	daemon/record_store.c daemon/record_store.h \
	daemon/request.c daemon/request.h daemon/request_part.h \
	daemon/request_exec.c daemon/request_maps.c \
	daemon/request_mounts.c daemon/request_process.c \
	daemon/restore.c daemon/restore.h \
	daemon/spawner_client.c daemon/spawner_client.h \
	daemon/spawner_error.c \
	daemon/spec.c daemon/spec.h \
	daemon/start.c daemon/start.h daemon/start_part.h \
	daemon/start_exec.c daemon/start_send.c \
	daemon/store.c daemon/store.h \
	daemon/store_pidfds.c daemon/store_pidfds.h \
	daemon/subscribe.c daemon/subscribe.h daemon/subscribe_part.h \
	daemon/subscribe_handover.c daemon/subscribe_readers.c \
	daemon/task.c daemon/task.h daemon/task_part.h \
	daemon/task_end.c daemon/task_gate.c daemon/task_io.c \
	daemon/trace.c daemon/trace.h \
	daemon/who_ask.c daemon/who_ask.h
