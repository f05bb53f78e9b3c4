/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id maps and time offsets of a request: what can be said about them without
 * knowing the caller. Presets become rows later (mapping.c).
 */
#include <stdio.h>
#include <string.h>

#include "daemon/request_part.h"
#include "lib/sys.h"

_Static_assert((int)IDMAP_EXPLICIT == NSEXEC__V1__MAP_PRESET__MAP_EXPLICIT &&
		       (int)IDMAP_AUTO_PRIVATE ==
			       NSEXEC__V1__MAP_PRESET__MAP_AUTO_PRIVATE,
	       "presets have the wire's numbers");
_Static_assert((int)BOOTSTRAP_SETGROUPS_DENY ==
		       NSEXEC__V1__SETGROUPS__SETGROUPS_DENY,
	       "setgroups modes have the wire's numbers");

/* A MAP_INVALID that names the map ("uid" or "gid"), the row and the rule. */
static int
map_refuse(struct part *part, const char *kind, const struct idmap *map,
	   const struct idmap_error *map_error)
{
	char field[96];
	size_t row = (size_t)map_error->row;

	if (map_error->row >= 0 && row < map->n_rows)
		snprintf(field, sizeof(field), "spec.id_maps.%s[%zu] %u:%u:%u",
			 kind, row, map->rows[row].container_id,
			 map->rows[row].host_id, map->rows[row].size);
	else
		snprintf(field, sizeof(field), "spec.id_maps.%s", kind);
	return error_set(part->error, ERRCODE_MAP_INVALID, "check-map", field,
			 map_error->rule, map_error->hint);
}

static int
map_rows(struct part *part, Nsexec__V1__IdMapping **rows, size_t n_rows,
	 const char *kind, struct idmap *map)
{
	struct idmap_error map_error = { .row = -1 };

	if (n_rows > IDMAP_MAX_ROWS) {
		snprintf(map_error.rule, sizeof(map_error.rule),
			 "%zu rows, at most %d", n_rows, IDMAP_MAX_ROWS);
		snprintf(map_error.hint, sizeof(map_error.hint),
			 "join neighbouring rows");
		return map_refuse(part, kind, map, &map_error);
	}
	for (size_t i = 0; i < n_rows; i++) {
		const Nsexec__V1__IdMapping *row = rows[i];

		if (!row->has_container_id || !row->has_host_id ||
		    !row->has_size)
			return part_refuse(part,
					   "must have container_id, host_id "
					   "and size",
					   "an absent id never means 0",
					   "spec.id_maps.%s[%zu]", kind, i);
		map->rows[i] = (struct idmap_row){ row->container_id,
						   row->host_id, row->size };
	}
	map->n_rows = n_rows;
	if (n_rows && idmap_check(map, &map_error) < 0)
		return map_refuse(part, kind, map, &map_error);
	return 0;
}

static int
map_preset(struct part *part, const Nsexec__V1__IdMaps *from)
{
	bool has_rows = from->n_uid || from->n_gid;

	if (from->has_preset &&
	    (from->preset < 1 || (int)from->preset >= N_IDMAP_PRESETS))
		return part_refuse(part, "is no preset that this daemon knows",
				   "see MapPreset", "spec.id_maps.preset");
	if (!from->has_preset && !has_rows)
		return part_refuse(part, "has neither a preset nor rows",
				   "choose a preset such as MAP_ROOT",
				   "spec.id_maps");
	if (from->has_preset && (int)from->preset != IDMAP_EXPLICIT && has_rows)
		return part_refuse(part, "rows and a preset exclude each other",
				   "use MAP_EXPLICIT with rows",
				   "spec.id_maps.preset");
	if (from->has_preset && (int)from->preset == IDMAP_EXPLICIT &&
	    !has_rows)
		return part_refuse(part, "MAP_EXPLICIT needs rows",
				   "give rows for uid and gid",
				   "spec.id_maps.uid");
	part->spec->maps.preset = from->has_preset
					  ? (enum idmap_preset)from->preset
					  : IDMAP_EXPLICIT;
	return 0;
}

int
part_maps(struct part *part, const Nsexec__V1__ContainerSpec *from)
{
	const Nsexec__V1__IdMaps *maps = from->id_maps;
	struct spec *spec = part->spec;
	int r;

	if (!maps)
		return 0;
	if (!(spec->boot.clone_flags & CLONE_NEWUSER))
		return part_refuse(part, "needs a new user namespace",
				   "add {kind: NS_USER, create: true}",
				   "spec.id_maps");
	r = map_preset(part, maps);
	if (r == 0)
		r = map_rows(part, maps->uid, maps->n_uid, "uid",
			     &spec->maps.uid);
	if (r == 0)
		r = map_rows(part, maps->gid, maps->n_gid, "gid",
			     &spec->maps.gid);
	if (r < 0)
		return r;
	if (maps->has_setgroups) {
		r = part_range(part, maps->setgroups,
			       (struct part_range){ 1, 3 },
			       "spec.id_maps.setgroups");
		if (r < 0)
			return r;
		spec->boot.setgroups_mode = (uint32_t)maps->setgroups;
		bootstrap_mark(&spec->boot, BOOTSTRAP_SETGROUPS_MODE);
	}
	return 0;
}

/* One line "monotonic SECONDS NANOSECONDS\n", as the kernel and runc have it.
 */
static int
offset_line(struct part *part, const Nsexec__V1__TimeOffset *offset,
	    const char *clock, char *out, size_t size)
{
	char field[48];
	size_t used = strlen(out);
	int r;

	if (!offset)
		return 0;
	snprintf(field, sizeof(field), "spec.%s.nanoseconds", clock);
	r = part_range(part, offset->has_nanoseconds ? offset->nanoseconds : 0,
		       (struct part_range){ 0, 999999999 }, field);
	if (r < 0)
		return r;
	snprintf(field, sizeof(field), "spec.%s.seconds", clock);
	/* the kernel's KTIME_SEC_MAX / 2 (time_namespaces(7), ERANGE) */
	r = part_range(part, offset->has_seconds ? offset->seconds : 0,
		       (struct part_range){ -4611686018, 4611686018 }, field);
	if (r < 0)
		return r;
	snprintf(out + used, size - used, "%s %lld %u\n", clock,
		 offset->has_seconds ? (long long)offset->seconds : 0,
		 offset->has_nanoseconds ? offset->nanoseconds : 0);
	return 0;
}

int
part_offsets(struct part *part, const Nsexec__V1__ContainerSpec *from)
{
	struct spec *spec = part->spec;
	char text[128] = "";
	int r;

	if (!from->monotonic && !from->boottime)
		return 0;
	if (!(spec->boot.clone_flags & CLONE_NEWTIME))
		return part_refuse(part, "needs a new time namespace",
				   "add {kind: NS_TIME, create: true}",
				   "spec.%s",
				   from->monotonic ? "monotonic" : "boottime");
	r = offset_line(part, from->monotonic, "monotonic", text, sizeof(text));
	if (r == 0)
		r = offset_line(part, from->boottime, "boottime", text,
				sizeof(text));
	if (r < 0)
		return r;
	spec->boot.time_offsets = arena_text(&spec->arena, text, strlen(text));
	if (!spec->boot.time_offsets)
		return part_no_memory(part);
	bootstrap_mark(&spec->boot, BOOTSTRAP_TIME_OFFSETS);
	return 0;
}
