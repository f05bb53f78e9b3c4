/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setters for what the new namespaces contain: clocks, names, mounts. See
 * spec.c for ownership and errors.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"
#include "client/spec_parts.h"

static void
set_offset(struct nsexec_spec *spec, Nsexec__V1__TimeOffset **field,
	   int64_t seconds, uint32_t nanoseconds)
{
	if (spec->status < 0)
		return;
	if (!*field) {
		*field = malloc(sizeof(**field));
		if (!*field) {
			spec->status = -ENOMEM;
			return;
		}
		nsexec__v1__time_offset__init(*field);
	}
	(*field)->has_seconds = (*field)->has_nanoseconds = 1;
	(*field)->seconds = seconds;
	(*field)->nanoseconds = nanoseconds;
}

void
nsexec_spec_monotonic(struct nsexec_spec *spec, int64_t seconds,
		      uint32_t nanoseconds)
{
	set_offset(spec, &spec->message->monotonic, seconds, nanoseconds);
}

void
nsexec_spec_boottime(struct nsexec_spec *spec, int64_t seconds,
		     uint32_t nanoseconds)
{
	set_offset(spec, &spec->message->boottime, seconds, nanoseconds);
}

void
nsexec_spec_hostname(struct nsexec_spec *spec, const char *hostname)
{
	spec_set_bytes(spec, &spec->message->hostname,
		       &spec->message->has_hostname, hostname);
}

void
nsexec_spec_domainname(struct nsexec_spec *spec, const char *domainname)
{
	spec_set_bytes(spec, &spec->message->domainname,
		       &spec->message->has_domainname, domainname);
}

void
nsexec_spec_loopback(struct nsexec_spec *spec, bool up)
{
	spec->message->has_loopback = 1;
	spec->message->loopback = up;
}

void
nsexec_spec_rootfs(struct nsexec_spec *spec, const char *path, bool read_only)
{
	spec_set_bytes(spec, &spec->message->rootfs, &spec->message->has_rootfs,
		       path);
	spec->message->has_read_only_root = 1;
	spec->message->read_only_root = read_only;
}

void
nsexec_spec_propagation(struct nsexec_spec *spec,
			enum nsexec_propagation propagation)
{
	spec->message->has_propagation = 1;
	spec->message->propagation = (Nsexec__V1__Propagation)propagation;
}

void
nsexec_spec_mount_proc(struct nsexec_spec *spec, bool mount)
{
	spec->message->has_mount_proc = 1;
	spec->message->mount_proc = mount;
}

void
nsexec_spec_mount(struct nsexec_spec *spec, const struct nsexec_mount *mount)
{
	Nsexec__V1__Mount *item;

	item = spec_append(spec, &spec->message->mounts,
			   &spec->message->n_mounts, sizeof(*item));
	if (!item)
		return;
	nsexec__v1__mount__init(item);
	item->has_kind = 1;
	item->kind = (Nsexec__V1__MountKind)mount->kind;
	spec_set_bytes(spec, &item->source, &item->has_source, mount->source);
	spec_set_bytes(spec, &item->destination, &item->has_destination,
		       mount->destination);
	spec_set_bytes(spec, &item->data, &item->has_data, mount->data);
	item->has_read_only = item->has_nosuid = item->has_nodev = 1;
	item->has_noexec = item->has_recursive = 1;
	item->read_only = (mount->flags & NSEXEC_MOUNT_RDONLY) != 0;
	item->nosuid = (mount->flags & NSEXEC_MOUNT_NOSUID) != 0;
	item->nodev = (mount->flags & NSEXEC_MOUNT_NODEV) != 0;
	item->noexec = (mount->flags & NSEXEC_MOUNT_NOEXEC) != 0;
	item->recursive = (mount->flags & NSEXEC_MOUNT_RECURSIVE) != 0;
}

void
nsexec_spec_kill_on_disconnect(struct nsexec_spec *spec, bool kill)
{
	spec->kill_on_disconnect = kill;
}

void
nsexec_spec_parent_death_signal(struct nsexec_spec *spec, int sig)
{
	spec->message->has_parent_death_signal = 1;
	spec->message->parent_death_signal = (uint32_t)sig;
}
