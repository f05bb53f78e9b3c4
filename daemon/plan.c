/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a struct spec to the bootstrap message; see plan.h. What the caller may
 * do is not decided here (the kernel does, as the caller): these are refusals
 * that would come anyway, told earlier and better.
 */
#include "daemon/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/fd.h"
#include "lib/sys.h"

/* The id inside for an outside one; false: not mapped. */
static bool
map_inside(const struct idmap *map, uint32_t host_id, uint32_t *ret)
{
	for (size_t i = 0; i < map->n_rows; i++) {
		const struct idmap_row *row = &map->rows[i];

		if (host_id < row->host_id ||
		    host_id - row->host_id >= row->size)
			continue;
		*ret = row->container_id + (host_id - row->host_id);
		return true;
	}
	return false;
}

/* One of uid and gid, with all that decides its default. */
struct id_choice {
	const char *field;
	enum bootstrap_attr attr;
	const struct idmap *map; /* NULL: no new user namespace with maps */
	uint32_t own;		 /* the caller's, outside */
	bool unknown_map;	 /* a user namespace that we know nothing of */
	uint32_t *value;
};

static int
choose_id(struct bootstrap *boot, const struct id_choice *choice,
	  struct error *error)
{
	uint32_t host;

	if (bootstrap_has(boot, choice->attr)) {
		if (!choice->map ||
		    idmap_lookup(choice->map, *choice->value, &host))
			return 0;
		(void)error_set(error, ERRCODE_INVALID_ARGUMENT, "check-ids",
				choice->field, "",
				"add a row for it to spec.id_maps");
		error_rule(error, "%u is not mapped in the new user namespace",
			   *choice->value);
		return -EINVAL;
	}
	if (choice->map) {
		if (idmap_lookup(choice->map, 0, &host))
			*choice->value = 0;
		else if (!map_inside(choice->map, choice->own, choice->value))
			return error_set(
				error, ERRCODE_INVALID_ARGUMENT, "check-ids",
				choice->field,
				"is needed: the maps hold neither 0 nor the "
				"caller",
				"name an id that spec.id_maps maps");
	} else if (choice->unknown_map) {
		return 0;
	} else {
		*choice->value = choice->own;
	}
	bootstrap_mark(boot, choice->attr);
	return 0;
}

static int
plan_ids(const struct plan_input *input, struct plan *plan, struct error *error)
{
	struct bootstrap *boot = &plan->boot;
	bool exec = boot->type != BOOTSTRAP_TYPE;
	bool new_user = boot->clone_flags & CLONE_NEWUSER;
	bool unknown = false;
	int r;

	for (size_t i = 0; i < boot->n_joins; i++)
		unknown |= boot->joins[i].clone_flag == CLONE_NEWUSER;
	if (exec)
		unknown = input->target_has_userns;
	/* in a user namespace without maps every id is the overflow id */
	unknown |= new_user && !plan->mapping.present;
	const struct id_choice uid = {
		"process.uid",
		BOOTSTRAP_UID,
		plan->mapping.uid.n_rows ? &plan->mapping.uid : NULL,
		input->uid,
		unknown || (new_user && !plan->mapping.uid.n_rows),
		&boot->uid,
	};
	const struct id_choice gid = {
		"process.gid",
		BOOTSTRAP_GID,
		plan->mapping.gid.n_rows ? &plan->mapping.gid : NULL,
		input->gid,
		unknown || (new_user && !plan->mapping.gid.n_rows),
		&boot->gid,
	};
	r = choose_id(boot, &uid, error);
	if (r == 0)
		r = choose_id(boot, &gid, error);
	return r;
}

static int
plan_caller(const struct spec *spec, const struct plan_input *input,
	    struct plan *plan, struct error *error)
{
	struct bootstrap *boot = &plan->boot;
	uint32_t others = spec->boot.clone_flags & ~(uint32_t)CLONE_NEWUSER;
	bool has_user =
		(spec->boot.clone_flags | spec->join_flags) & CLONE_NEWUSER;

	if (!input->admin && others && !has_user)
		return error_set(error, ERRCODE_NEED_USERNS, "check-request",
				 "spec.namespaces",
				 "without a user namespace only an admin "
				 "creates the other kinds",
				 "add {kind: NS_USER, create: true} and id "
				 "maps such as MAP_ROOT");
	/* the golden rule: set-uid programs gain an ordinary caller nothing */
	if (input->no_new_privs)
		boot->no_new_privs = true;
	bootstrap_mark(boot, BOOTSTRAP_NO_NEW_PRIVS);
	if (input->uid == 0 && input->admin &&
	    !bootstrap_has(boot, BOOTSTRAP_GROUPS) && !boot->keep_groups &&
	    !(boot->clone_flags & CLONE_NEWUSER) &&
	    !(spec->join_flags & CLONE_NEWUSER))
		bootstrap_mark(boot, BOOTSTRAP_GROUPS);
	return 0;
}

/* argv and env into a memfd that nobody can change any more. */
static int
exec_block_new(const struct spec *spec, int *ret_fd)
{
	fd_auto int fd =
		memfd_create("nsexec-args", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, spec->exec_data, spec->argv_size + spec->env_size);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS,
		  F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	*ret_fd = fd_steal(&fd);
	return 0;
}

static int
plan_exec_data(const struct spec *spec, struct plan *plan, struct error *error)
{
	struct bootstrap *boot = &plan->boot;
	int r;

	if (spec->argv_size + spec->env_size <= PLAN_INLINE_MAX) {
		boot->argv = (struct bootstrap_bytes){ spec->exec_data,
						       spec->argv_size };
		bootstrap_mark(boot, BOOTSTRAP_ARGV);
		if (spec->env_size) {
			boot->env = (struct bootstrap_bytes){
				spec->exec_data + spec->argv_size,
				spec->env_size
			};
			bootstrap_mark(boot, BOOTSTRAP_ENV);
		}
		return 0;
	}
	r = exec_block_new(spec, &plan->exec_block);
	if (r < 0) {
		struct failure failure;

		failure_set(&failure, STAGE_DAEMON, "make-exec-block",
			    "memfd_create", -r, "args and env");
		error_from_failure(error, &failure);
		return r;
	}
	boot->exec_block = (struct bootstrap_exec_block){
		.argc = spec->argc,
		.envc = spec->envc,
		.size = spec->argv_size + spec->env_size,
	};
	bootstrap_mark(boot, BOOTSTRAP_EXEC_BLOCK);
	return 0;
}

static void
plan_roles(const struct spec *spec, struct plan *plan)
{
	struct bootstrap *boot = &plan->boot;

	boot->n_fd_roles = 0;
	boot->fd_roles[boot->n_fd_roles++] = FD_ROLE_INIT_CHANNEL;
	boot->fd_roles[boot->n_fd_roles++] = FD_ROLE_CALLER;
	if (spec->has_fd_token)
		boot->fd_roles[boot->n_fd_roles++] = FD_ROLE_FD_CHANNEL;
	if (plan->exec_block >= 0)
		boot->fd_roles[boot->n_fd_roles++] = FD_ROLE_EXEC_BLOCK;
	bootstrap_mark(boot, BOOTSTRAP_FD_ROLES);
}

static void
plan_maps(struct plan *plan)
{
	struct bootstrap *boot = &plan->boot;
	const struct mapping *mapping = &plan->mapping;

	if (mapping->uid_size) {
		boot->uid_map = mapping->uid_text;
		boot->uid_map_size = mapping->uid_size;
		bootstrap_mark(boot, BOOTSTRAP_UID_MAP);
	}
	if (mapping->gid_size) {
		boot->gid_map = mapping->gid_text;
		boot->gid_map_size = mapping->gid_size;
		bootstrap_mark(boot, BOOTSTRAP_GID_MAP);
	}
}

int
plan_build(const struct spec *spec, const struct plan_input *input,
	   struct plan *ret, struct error *error)
{
	struct bootstrap *boot = &ret->boot;
	int r;

	ret->exec_block = -1;
	*boot = spec->boot;
	r = plan_caller(spec, input, ret, error);
	if (r < 0)
		return r;
	r = mapping_build(&(struct mapping_input){ &spec->maps, input->uid,
						   input->gid, input->identity,
						   input->block },
			  &ret->mapping, error);
	if (r < 0)
		return r;
	/* garden's executor: all ids are there, so setgroups is of use */
	if (spec->maps.preset == IDMAP_MAX_UID &&
	    !bootstrap_has(boot, BOOTSTRAP_SETGROUPS_MODE)) {
		boot->setgroups_mode = BOOTSTRAP_SETGROUPS_ALLOW;
		bootstrap_mark(boot, BOOTSTRAP_SETGROUPS_MODE);
	}
	plan_maps(ret);
	r = plan_ids(input, ret, error);
	if (r < 0)
		return r;
	r = plan_exec_data(spec, ret, error);
	if (r < 0)
		return r;
	plan_roles(spec, ret);
	boot->container = input->container;
	bootstrap_mark(boot, BOOTSTRAP_CONTAINER);
	boot->gate = input->gate;
	bootstrap_mark(boot, BOOTSTRAP_GATE);
	boot->phase_timeout_ms = PLAN_PHASE_TIMEOUT_MS;
	bootstrap_mark(boot, BOOTSTRAP_PHASE_TIMEOUT_MS);
	if (input->target_pid) {
		boot->pid = (uint32_t)input->target_pid;
		bootstrap_mark(boot, BOOTSTRAP_PID);
	}
	return 0;
}

void
plan_deinit(struct plan *plan)
{
	fd_close(&plan->exec_block);
}

int
plan_encode(struct plan *plan, uint32_t seq, struct plan_message *message,
	    struct error *error)
{
	struct bootstrap_error refused;
	int r;

	plan->boot.seq = seq;
	r = bootstrap_encode(&plan->boot, message->data, sizeof(message->data),
			     &message->size, &refused);
	if (r == 0)
		return 0;
	return error_set(
		error, ERRCODE_INVALID_ARGUMENT, "encode-bootstrap",
		refused.attr >= 0
			? bootstrap_attr_name((enum bootstrap_attr)refused.attr)
			: "message",
		refused.text, "ask for less in one request");
}
