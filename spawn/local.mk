# SPDX-License-Identifier: Apache-2.0

# The stages of a start, and the operations that they are made of.
noinst_LTLIBRARIES += libnsx-stage.la
libnsx_stage_la_CFLAGS = $(STRICT_CFLAGS)
libnsx_stage_la_LIBADD = libnsx-proto.la
libnsx_stage_la_SOURCES = \
	spawn/callerstate.c spawn/callerstate.h \
	spawn/caps.c spawn/caps.h \
	spawn/creds.c spawn/creds.h \
	spawn/devices.c spawn/devices.h \
	spawn/direct.c spawn/direct.h \
	spawn/execblock.c spawn/execblock.h \
	spawn/fdsetup.c spawn/fdsetup.h \
	spawn/gate.c spawn/gate.h \
	spawn/guard.c spawn/guard.h \
	spawn/handover.c spawn/handover.h \
	spawn/hygiene.c spawn/hygiene.h \
	spawn/idmapwrite.c spawn/idmapwrite.h \
	spawn/joins.c spawn/joins.h \
	spawn/mapper.c spawn/mapper.h \
	spawn/mapset.c spawn/mapset.h \
	spawn/maptarget.c spawn/maptarget.h \
	spawn/maptool.c spawn/maptool.h \
	spawn/mountfs.c spawn/mountfs.h \
	spawn/mountpoint.c spawn/mountpoint.h \
	spawn/mounts.c spawn/mounts.h \
	spawn/netup.c spawn/netup.h \
	spawn/nsjoin.c spawn/nsjoin.h \
	spawn/report.c spawn/report.h \
	spawn/stagectx.c spawn/stagectx.h \
	spawn/stageplan.c spawn/stageplan.h \
	spawn/stdio.c spawn/stdio.h \
	spawn/timeoffset.c spawn/timeoffset.h \
	spawn/init.c \
	spawn/relay.c \
	spawn/stage.h

# nsexec, the stand-alone drop-in for runc's bootstrap program.
bin_PROGRAMS += nsexec
nsexec_CFLAGS = $(STRICT_CFLAGS)
nsexec_LDFLAGS = $(AM_LDFLAGS) $(ROOT_LDFLAGS)
nsexec_LDADD = libnsx-stage.la libnsx-proto.la libnsx-lib.la
nsexec_SOURCES = \
	spawn/nsexec_env.c \
	spawn/nsexec_init.c \
	spawn/nsexec_input.c \
	spawn/nsexec_inside.c \
	spawn/nsexec_log.c \
	spawn/nsexec_main.c \
	spawn/nsexec_map.c \
	spawn/nsexec_mounts.c \
	spawn/nsexec_outside.c \
	spawn/nsexec_process.c \
	spawn/nsexec_program.h \
	spawn/nsexec_sync.c

# nsexec-spawner, the root side. libc alone. The library is all of it but
# main() and the stages, which a test replaces by false ones.
libexec_PROGRAMS += nsexec-spawner
nsexec_spawner_CFLAGS = $(STRICT_CFLAGS)
nsexec_spawner_LDFLAGS = $(AM_LDFLAGS) $(ROOT_LDFLAGS)
nsexec_spawner_LDADD = libnsx-spawner.la libnsx-stage.la libnsx-proto.la \
	libnsx-lib.la
nsexec_spawner_SOURCES = spawn/spawner.c
noinst_LTLIBRARIES += libnsx-spawner.la
libnsx_spawner_la_CFLAGS = $(STRICT_CFLAGS)
libnsx_spawner_la_CPPFLAGS = $(AM_CPPFLAGS) -DNSX_LIBEXECDIR='"$(libexecdir)"'
libnsx_spawner_la_SOURCES = \
	spawn/spawner.h \
	spawn/spawner_attest.c spawn/spawner_attest.h \
	spawn/spawner_carry.h \
	spawn/spawner_cgroup.c spawn/spawner_cgroup.h \
	spawn/spawner_cgroup_root.c \
	spawn/spawner_quota.c spawn/spawner_quota.h \
	spawn/spawner_child.c spawn/spawner_child.h \
	spawn/spawner_orphan.c spawn/spawner_orphan.h \
	spawn/spawner_confine.c spawn/spawner_confine.h \
	spawn/spawner_conn.c spawn/spawner_conn.h \
	spawn/spawner_defer.c spawn/spawner_defer.h \
	spawn/spawner_errand.c spawn/spawner_errand.h \
	spawn/spawner_flight.c spawn/spawner_flight.h \
	spawn/spawner_gate.c spawn/spawner_gate.h \
	spawn/spawner_identity.c spawn/spawner_identity.h \
	spawn/spawner_keeper.c spawn/spawner_keeper.h \
	spawn/spawner_store.c \
	spawn/spawner_log.c spawn/spawner_log.h \
	spawn/spawner_look.c spawn/spawner_look.h \
	spawn/spawner_loop.c spawn/spawner_loop.h \
	spawn/spawner_ops.c spawn/spawner_ops.h \
	spawn/spawner_ops_child.c \
	spawn/spawner_ops_container.c \
	spawn/spawner_ops_who.c \
	spawn/spawner_options.c spawn/spawner_options.h \
	spawn/spawner_place.c spawn/spawner_place.h \
	spawn/spawner_policy.c spawn/spawner_policy.h \
	spawn/spawner_proc.c spawn/spawner_proc.h \
	spawn/spawner_process.c spawn/spawner_process.h \
	spawn/spawner_program.c spawn/spawner_program.h \
	spawn/spawner_reexec.c spawn/spawner_reexec.h \
	spawn/spawner_reexec_new.c \
	spawn/spawner_reload.c \
	spawn/spawner_removal.c spawn/spawner_removal.h \
	spawn/spawner_resolver.c spawn/spawner_resolver.h \
	spawn/spawner_resume.c \
	spawn/spawner_rundir.c spawn/spawner_rundir.h \
	spawn/spawner_save.c \
	spawn/spawner_start.c spawn/spawner_start.h \
	spawn/spawner_start_check.c spawn/spawner_start_check.h \
	spawn/spawner_state.c spawn/spawner_state.h \
	spawn/spawner_state_check.c spawn/spawner_state_part.h \
	spawn/spawner_sweep.c \
	spawn/spawner_who.c spawn/spawner_who.h \
	spawn/spawner_worker.c \
	spawn/spawner_zygote.c spawn/spawner_zygote.h \
	spawn/zygote.c spawn/zygote.h
