/* SPDX-License-Identifier: Apache-2.0 */
/* Root directory, propagation and mounts of a request. */
#include <stdio.h>
#include <string.h>

#include "daemon/request_part.h"
#include "lib/sys.h"
#include "lib/util.h"

#define NEEDS_MNT "needs a new mnt namespace"
#define NEEDS_MNT_HINT "add {kind: NS_MNT, create: true}"

_Static_assert((int)BOOTSTRAP_MOUNT_KIND_CGROUP2 ==
		       NSEXEC__V1__MOUNT_KIND__MOUNT_CGROUP2,
	       "mount kinds have the wire's numbers");
_Static_assert((int)BOOTSTRAP_PROPAGATION_UNCHANGED ==
		       NSEXEC__V1__PROPAGATION__PROPAGATION_UNCHANGED,
	       "propagations have the wire's numbers");

/* A component ".." would make the destination depend on what is mounted. */
static bool
has_dotdot(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at += 2) {
		if ((at == path || at[-1] == '/') &&
		    (at[2] == '/' || at[2] == '\0'))
			return true;
	}
	return false;
}

static uint32_t
mount_flags(const Nsexec__V1__Mount *from)
{
	uint32_t flags = 0;

	if (from->has_read_only && from->read_only)
		flags |= BOOTSTRAP_MOUNT_RDONLY;
	if (from->has_nosuid && from->nosuid)
		flags |= BOOTSTRAP_MOUNT_NOSUID;
	if (from->has_nodev && from->nodev)
		flags |= BOOTSTRAP_MOUNT_NODEV;
	if (from->has_noexec && from->noexec)
		flags |= BOOTSTRAP_MOUNT_NOEXEC;
	if (from->has_recursive && from->recursive)
		flags |= BOOTSTRAP_MOUNT_RECURSIVE;
	return flags;
}

static int
mount_source(struct part *part, const Nsexec__V1__Mount *from,
	     const char *field, struct bootstrap_mount *mount)
{
	char name[64];
	bool bind = mount->kind == BOOTSTRAP_MOUNT_KIND_BIND;
	int r = 0;

	snprintf(name, sizeof(name), "%s.source", field);
	if (bind && !from->has_source)
		return part_refuse(part, "is missing",
				   "a bind mount needs what to bind", "%s",
				   name);
	if (!bind && from->has_source)
		return part_refuse(part, "is for MOUNT_BIND only",
				   "leave it out", "%s", name);
	if (bind)
		r = part_path(part, &from->source, name, &mount->source);
	if (r < 0 || !from->has_data)
		return r;
	snprintf(name, sizeof(name), "%s.data", field);
	if (mount->kind != BOOTSTRAP_MOUNT_KIND_TMPFS)
		return part_refuse(part, "is for MOUNT_TMPFS only",
				   "leave it out", "%s", name);
	return part_text(part, &from->data, 1024, name, &mount->data);
}

static int
mount_one(struct part *part, const Nsexec__V1__Mount *from, size_t i)
{
	struct bootstrap *boot = &part->spec->boot;
	struct bootstrap_mount *mount = &boot->mounts[i];
	char field[40], name[64];
	int r;

	snprintf(field, sizeof(field), "spec.mounts[%zu]", i);
	if (!from->has_kind || from->kind < 1 ||
	    (int)from->kind > BOOTSTRAP_MOUNT_KIND_CGROUP2)
		return part_refuse(part, "must be a kind from 1 to 8",
				   "see MountKind", "%s.kind", field);
	mount->kind = (uint32_t)from->kind;
	mount->flags = mount_flags(from);
	if ((mount->flags & BOOTSTRAP_MOUNT_RECURSIVE) &&
	    mount->kind != BOOTSTRAP_MOUNT_KIND_BIND)
		return part_refuse(part, "is for MOUNT_BIND only",
				   "leave it out", "%s.recursive", field);
	snprintf(name, sizeof(name), "%s.destination", field);
	if (!from->has_destination)
		return part_refuse(part, "is missing", "say where to mount it",
				   "%s", name);
	r = part_path(part, &from->destination, name, &mount->destination);
	if (r < 0)
		return r;
	if (has_dotdot(mount->destination))
		return part_refuse(part, "must not hold ..",
				   "write the path without it", "%s", name);
	return mount_source(part, from, field, mount);
}

static int
part_root(struct part *part, const Nsexec__V1__ContainerSpec *from)
{
	struct bootstrap *boot = &part->spec->boot;
	int r;

	if (from->has_rootfs) {
		r = part_path(part, &from->rootfs, "spec.rootfs",
			      &boot->rootfs);
		if (r < 0)
			return r;
		bootstrap_mark(boot, BOOTSTRAP_ROOTFS);
	}
	if (from->has_read_only_root && from->read_only_root) {
		if (!from->has_rootfs)
			return part_refuse(part, "needs a root directory",
					   "set spec.rootfs",
					   "spec.read_only_root");
		boot->root_readonly = true;
		bootstrap_mark(boot, BOOTSTRAP_ROOT_READONLY);
	}
	if (from->has_propagation) {
		r = part_range(part, from->propagation,
			       (struct part_range){ 1, 4 }, "spec.propagation");
		if (r < 0)
			return r;
	}
	boot->propagation = from->has_propagation
				    ? (uint32_t)from->propagation
				    : BOOTSTRAP_PROPAGATION_PRIVATE;
	if (boot->clone_flags & CLONE_NEWNS)
		bootstrap_mark(boot, BOOTSTRAP_PROPAGATION);
	return 0;
}

/* What of these fields is there without the mnt namespace it needs. */
static const char *
mount_field_used(const Nsexec__V1__ContainerSpec *from)
{
	if (from->has_rootfs)
		return "spec.rootfs";
	if (from->has_read_only_root && from->read_only_root)
		return "spec.read_only_root";
	if (from->has_propagation)
		return "spec.propagation";
	if (from->n_mounts)
		return "spec.mounts";
	if (from->has_mount_proc && from->mount_proc)
		return "spec.mount_proc";
	return NULL;
}

int
part_mounts(struct part *part, const Nsexec__V1__ContainerSpec *from)
{
	struct bootstrap *boot = &part->spec->boot;
	bool new_mnt = boot->clone_flags & CLONE_NEWNS;
	bool new_pid = boot->clone_flags & CLONE_NEWPID;
	const char *used = mount_field_used(from);
	int r;

	if (used && !new_mnt)
		return part_refuse(part, NEEDS_MNT, NEEDS_MNT_HINT, "%s", used);
	r = part_root(part, from);
	if (r < 0)
		return r;
	if (from->n_mounts > BOOTSTRAP_MAX_MOUNTS)
		return part_refuse(part, "has more than 64 entries",
				   "use fewer mounts", "spec.mounts");
	for (size_t i = 0; i < from->n_mounts; i++) {
		r = mount_one(part, from->mounts[i], i);
		if (r < 0)
			return r;
	}
	boot->n_mounts = from->n_mounts;
	if (from->n_mounts)
		bootstrap_mark(boot, BOOTSTRAP_MOUNTS);
	if (new_mnt) {
		boot->mount_proc =
			from->has_mount_proc ? from->mount_proc : new_pid;
		bootstrap_mark(boot, BOOTSTRAP_MOUNT_PROC);
	}
	return 0;
}
