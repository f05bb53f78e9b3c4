/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: each rule that a request can break, with the field that the
 * refusal names; and what a good one becomes.
 */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "daemon/identity.h"
#include "daemon/plan.h"
#include "daemon/request.h"
#include "lib/fd.h"
#include "lib/sys.h"

#define BYTES(text) ((ProtobufCBinaryData){ sizeof(text) - 1, (uint8_t *)text })

/* A request that is right until a row of the table spoils it. */
struct sample {
	Nsexec__V1__RunRequest request;
	Nsexec__V1__ContainerSpec spec;
	Nsexec__V1__Process process;
	Nsexec__V1__Namespace ns[9], *ns_pointers[9];
	Nsexec__V1__ProcessRef ref;
	Nsexec__V1__IdMaps maps;
	Nsexec__V1__IdMapping row[3], *row_pointers[3];
	Nsexec__V1__Mount mount, *mount_pointer;
	Nsexec__V1__ResourceLimit limit[2], *limit_pointers[2];
	Nsexec__V1__Stdio stdio;
	Nsexec__V1__PassedFd fd[2], *fd_pointers[2];
	Nsexec__V1__TimeOffset offset;
	Nsexec__V1__Capabilities caps;
	ProtobufCBinaryData args[2], env[2];
	uint32_t groups[1];
	char *labels[1];
	struct spec *out;
	struct error error;
};

static void
sample_namespaces(struct sample *s)
{
	for (size_t i = 0; i < 9; i++) {
		s->ns[i] = (Nsexec__V1__Namespace)NSEXEC__V1__NAMESPACE__INIT;
		s->ns[i].has_kind = true;
		s->ns[i].kind = (Nsexec__V1__NamespaceKind)(i + 1);
		s->ns[i].has_create = s->ns[i].create = true;
		s->ns_pointers[i] = &s->ns[i];
	}
	s->ref = (Nsexec__V1__ProcessRef)NSEXEC__V1__PROCESS_REF__INIT;
	s->spec.n_namespaces = 8;
	s->spec.namespaces = s->ns_pointers;
}

static void
sample_maps(struct sample *s)
{
	s->maps = (Nsexec__V1__IdMaps)NSEXEC__V1__ID_MAPS__INIT;
	s->maps.has_preset = true;
	s->maps.preset = NSEXEC__V1__MAP_PRESET__MAP_EXPLICIT;
	for (size_t i = 0; i < 3; i++) {
		s->row[i] = (Nsexec__V1__IdMapping)NSEXEC__V1__ID_MAPPING__INIT;
		s->row[i].has_container_id = s->row[i].has_host_id = true;
		s->row[i].has_size = true;
		s->row[i].container_id = (uint32_t)i * 10;
		s->row[i].host_id = 1000 + (uint32_t)i * 10;
		s->row[i].size = 10;
		s->row_pointers[i] = &s->row[i];
	}
	s->maps.n_uid = s->maps.n_gid = 3;
	s->maps.uid = s->maps.gid = s->row_pointers;
	s->spec.id_maps = &s->maps;
}

static void
sample_parts(struct sample *s)
{
	s->mount = (Nsexec__V1__Mount)NSEXEC__V1__MOUNT__INIT;
	s->mount.has_kind = s->mount.has_destination = true;
	s->mount.kind = NSEXEC__V1__MOUNT_KIND__MOUNT_TMPFS;
	s->mount.destination = BYTES("/tmp");
	s->mount_pointer = &s->mount;
	s->spec.n_mounts = 1;
	s->spec.mounts = &s->mount_pointer;
	for (size_t i = 0; i < 2; i++) {
		s->limit[i] = (Nsexec__V1__ResourceLimit)
			NSEXEC__V1__RESOURCE_LIMIT__INIT;
		s->limit[i].has_resource = s->limit[i].has_soft = true;
		s->limit[i].has_hard = true;
		s->limit[i].resource = (uint32_t)i;
		s->limit_pointers[i] = &s->limit[i];
		s->fd[i] = (Nsexec__V1__PassedFd)NSEXEC__V1__PASSED_FD__INIT;
		s->fd[i].has_fd_index = s->fd[i].has_number = true;
		s->fd[i].has_name = true;
		s->fd[i].fd_index = (uint32_t)i;
		s->fd[i].number = 3 + (uint32_t)i;
		s->fd[i].name = BYTES("log");
		s->fd_pointers[i] = &s->fd[i];
	}
	s->process.n_rlimits = s->process.n_fds = 2;
	s->process.rlimits = s->limit_pointers;
	s->process.fds = s->fd_pointers;
	s->stdio = (Nsexec__V1__Stdio)NSEXEC__V1__STDIO__INIT;
	s->stdio.has_kind = s->stdio.has_fd_index = true;
	s->stdio.kind = NSEXEC__V1__STDIO_KIND__STDIO_FD;
	s->process.stdin = &s->stdio;
	s->offset = (Nsexec__V1__TimeOffset)NSEXEC__V1__TIME_OFFSET__INIT;
	s->spec.monotonic = &s->offset;
	s->caps = (Nsexec__V1__Capabilities)NSEXEC__V1__CAPABILITIES__INIT;
	s->process.capabilities = &s->caps;
	s->labels[0] = (char *)"a=b";
	s->spec.n_labels = 1;
	s->spec.labels = s->labels;
}

static int
setup(void **state)
{
	struct sample *s = calloc(1, sizeof(*s));

	s->request = (Nsexec__V1__RunRequest)NSEXEC__V1__RUN_REQUEST__INIT;
	s->spec = (Nsexec__V1__ContainerSpec)NSEXEC__V1__CONTAINER_SPEC__INIT;
	s->process = (Nsexec__V1__Process)NSEXEC__V1__PROCESS__INIT;
	s->request.spec = &s->spec;
	s->spec.process = &s->process;
	s->args[0] = BYTES("/bin/sh");
	s->args[1] = BYTES("");
	s->env[0] = BYTES("A=1");
	s->env[1] = BYTES("B=");
	s->process.n_args = s->process.n_env = 2;
	s->process.args = s->args;
	s->process.env = s->env;
	s->request.has_fd_token = s->request.has_n_fds = true;
	s->request.fd_token = BYTES("0123456789abcdef");
	s->request.n_fds = 2;
	sample_namespaces(s);
	sample_maps(s);
	sample_parts(s);
	*state = s;
	return spec_new(&s->out);
}

static int
teardown(void **state)
{
	struct sample *s = *state;

	spec_free(s->out);
	free(s);
	return 0;
}

/* The rows: what is spoiled, and the field that must be named. */

#define ROWS(ROW) \
	ROW("spec", s->request.spec = NULL) \
	ROW("spec.process", s->spec.process = NULL) \
	ROW("spec.process.args", s->process.n_args = 0) \
	ROW("spec.process.args[0]", s->args[0] = BYTES("")) \
	ROW("spec.process.args[1]", s->args[1] = BYTES("a\0b")) \
	ROW("spec.process.env[1]", s->env[1] = BYTES("novalue")) \
	ROW("spec.process.env[0]", s->env[0] = BYTES("=x")) \
	ROW("spec.process.env[0]", s->env[0] = BYTES("NSEXEC_FDNAMES=x")) \
	ROW("spec.process.cwd", \
	    (s->process.has_cwd = 1, s->process.cwd = BYTES("rel"))) \
	ROW("spec.process.uid", \
	    (s->process.has_uid = 1, s->process.uid = UINT32_MAX)) \
	ROW("spec.process.gid", \
	    (s->process.has_gid = 1, s->process.gid = UINT32_MAX)) \
	ROW("spec.process.groups[0]", \
	    (s->groups[0] = UINT32_MAX, s->process.n_groups = 1, \
	     s->process.groups = s->groups)) \
	ROW("spec.process.keep_groups", \
	    (s->process.n_groups = 1, s->process.groups = s->groups, \
	     s->process.has_keep_groups = s->process.keep_groups = 1)) \
	ROW("spec.process.capabilities.ambient", \
	    (s->caps.has_ambient = 1, s->caps.ambient = UINT64_C(1) << 41)) \
	ROW("spec.process.rlimits[1].resource", s->limit[1].resource = 16) \
	ROW("spec.process.rlimits[1].resource", s->limit[1].resource = 0) \
	ROW("spec.process.rlimits[0].soft", s->limit[0].soft = 1) \
	ROW("spec.process.rlimits[0].soft", s->limit[0].has_hard = 0) \
	ROW("spec.process.umask", \
	    (s->process.has_umask = 1, s->process.umask = 01000)) \
	ROW("spec.process.nice", \
	    (s->process.has_nice = 1, s->process.nice = 20)) \
	ROW("spec.process.oom_score_adj", (s->process.has_oom_score_adj = 1, \
					   s->process.oom_score_adj = -1001)) \
	ROW("spec.process.stdin.kind", s->stdio.kind = 4) \
	ROW("spec.process.stdin.fd_index", s->stdio.fd_index = 2) \
	ROW("spec.process.stdin.fd_index", s->stdio.has_fd_index = 0) \
	ROW("spec.process.stdin.path", \
	    s->stdio.kind = NSEXEC__V1__STDIO_KIND__STDIO_PATH) \
	ROW("spec.process.fds[1].fd_index", s->fd[1].fd_index = 2) \
	ROW("spec.process.fds[0].number", s->fd[0].number = 2) \
	ROW("spec.process.fds[0].number", s->fd[0].number = 1024) \
	ROW("spec.process.fds[1].number", s->fd[1].number = 3) \
	ROW("spec.process.fds[1].name", s->fd[1].name = BYTES("a:b")) \
	ROW("spec.id", s->spec.id = (char *)"../x") \
	ROW("spec.name", s->spec.name = (char *)"") \
	ROW("spec.namespaces", s->spec.n_namespaces = 9) \
	ROW("spec.namespaces[7].kind", s->ns[7].kind = 9) \
	ROW("spec.namespaces[7].kind", s->ns[7].has_kind = 0) \
	ROW("spec.namespaces[7].kind", \
	    s->ns[7].kind = NSEXEC__V1__NAMESPACE_KIND__NS_PID) \
	ROW("spec.namespaces[3]", s->ns[3].has_create = 0) \
	ROW("spec.namespaces[3]", s->ns[3].process = &s->ref) \
	ROW("spec.namespaces[3].path", \
	    (s->ns[3].has_create = 0, s->ns[3].has_path = 1, \
	     s->ns[3].path = BYTES("net"))) \
	ROW("spec.namespaces[3].process.pid", \
	    (s->ns[3].has_create = 0, s->ns[3].process = &s->ref)) \
	ROW("spec.namespaces[3].fd_index", \
	    (s->ns[3].has_create = 0, s->ns[3].has_fd_index = 1, \
	     s->ns[3].fd_index = 2)) \
	ROW("spec.id_maps", \
	    (s->maps.has_preset = 0, s->maps.n_uid = s->maps.n_gid = 0)) \
	ROW("spec.id_maps.preset", s->maps.preset = 8) \
	ROW("spec.id_maps.preset", \
	    s->maps.preset = NSEXEC__V1__MAP_PRESET__MAP_ROOT) \
	ROW("spec.id_maps.uid", s->maps.n_uid = s->maps.n_gid = 0) \
	ROW("spec.id_maps.uid[1]", s->row[1].has_host_id = 0) \
	ROW("spec.id_maps.setgroups", \
	    (s->maps.has_setgroups = 1, s->maps.setgroups = 4)) \
	ROW("spec.monotonic.nanoseconds", \
	    (s->offset.has_nanoseconds = 1, \
	     s->offset.nanoseconds = 1000000000)) \
	ROW("spec.hostname", \
	    (s->spec.has_hostname = 1, s->spec.hostname = BYTES(""))) \
	ROW("spec.rootfs", \
	    (s->spec.has_rootfs = 1, s->spec.rootfs = BYTES("rel"))) \
	ROW("spec.read_only_root", \
	    s->spec.has_read_only_root = s->spec.read_only_root = 1) \
	ROW("spec.propagation", \
	    (s->spec.has_propagation = 1, s->spec.propagation = 5)) \
	ROW("spec.mounts[0].kind", s->mount.kind = 9) \
	ROW("spec.mounts[0].destination", s->mount.has_destination = 0) \
	ROW("spec.mounts[0].destination", \
	    s->mount.destination = BYTES("/a/../b")) \
	ROW("spec.mounts[0].source", \
	    s->mount.kind = NSEXEC__V1__MOUNT_KIND__MOUNT_BIND) \
	ROW("spec.mounts[0].source", \
	    (s->mount.has_source = 1, s->mount.source = BYTES("/x"))) \
	ROW("spec.mounts[0].data", \
	    (s->mount.kind = NSEXEC__V1__MOUNT_KIND__MOUNT_PROC, \
	     s->mount.has_data = 1, s->mount.data = BYTES("x"))) \
	ROW("spec.mounts[0].recursive", \
	    s->mount.has_recursive = s->mount.recursive = 1) \
	ROW("spec.parent_death_signal", (s->spec.has_parent_death_signal = 1, \
					 s->spec.parent_death_signal = 65)) \
	ROW("spec.labels[0]", s->labels[0] = (char *)"novalue") \
	ROW("spec.labels[0]", s->labels[0] = (char *)"a=\xff") \
	ROW("key", (s->request.has_key = 1, s->request.key = BYTES("short"))) \
	ROW("fd_token", s->request.has_fd_token = 0) \
	ROW("fd_token", s->request.fd_token = BYTES("short")) \
	ROW("n_fds", s->request.n_fds = 33) \
	ROW("timeout_ms", \
	    (s->request.has_timeout_ms = 1, s->request.timeout_ms = 30001))

#define ROW_NAME(field, spoil) field,
static const char *const row_fields[] = { ROWS(ROW_NAME) };

static void
spoil(struct sample *s, size_t row)
{
	size_t i = 0;

#define ROW_SPOIL(field, action) \
	if (i++ == row) \
		action;
	ROWS(ROW_SPOIL)
}

static void
each_broken_rule_names_its_field(void **state)
{
	for (size_t row = 0; row < ARRAY_SIZE(row_fields); row++) {
		struct sample *s;
		void *fresh;

		setup(&fresh);
		s = fresh;
		spoil(s, row);
		if (request_run(&s->request, s->out, &s->error) != -EINVAL)
			fail_msg("row %zu (%s) was accepted", row,
				 row_fields[row]);
		assert_string_equal(s->error.failure.object, row_fields[row]);
		assert_true(s->error.rule[0] != '\0');
		assert_true(s->error.hint[0] != '\0');
		assert_int_equal(s->error.code, ERRCODE_INVALID_ARGUMENT);
		teardown(&fresh);
	}
}

static void
good_request_becomes_its_spec(void **state)
{
	struct sample *s = *state;
	const struct bootstrap *boot = &s->out->boot;

	assert_int_equal(request_run(&s->request, s->out, &s->error), 0);
	assert_int_equal(boot->clone_flags, 0x7e020080u);
	assert_int_equal(s->out->argc, 2);
	assert_int_equal(s->out->argv_size, 9);
	assert_memory_equal(s->out->exec_data, "/bin/sh\0\0A=1\0B=\0", 16);
	assert_string_equal(s->out->exec_data + 16,
			    "NSEXEC_FDNAMES=3=log:4=log");
	assert_int_equal(s->out->envc, 3);
	assert_string_equal(boot->time_offsets, "monotonic 0 0\n");
	assert_true(boot->loopback && boot->mount_proc);
	assert_int_equal(s->out->timeout_ms, 30000);
	assert_int_equal(s->out->maps.uid.n_rows, 3);
}

static void
wrong_map_names_row_and_rule(void **state)
{
	struct sample *s = *state;

	s->row[2].container_id = 5;
	assert_int_equal(request_run(&s->request, s->out, &s->error), -EINVAL);
	assert_int_equal(s->error.code, ERRCODE_MAP_INVALID);
	assert_string_equal(s->error.failure.object,
			    "spec.id_maps.uid[2] 5:1020:10");
	assert_non_null(strstr(s->error.rule, "overlap"));
}

static void
string_of_128_kib_is_refused_and_one_less_is_not(void **state)
{
	struct sample *s = *state;
	char *big = malloc(128 * 1024);

	memset(big, 'x', 128 * 1024);
	s->args[1] = (ProtobufCBinaryData){ 128 * 1024, (uint8_t *)big };
	assert_int_equal(request_run(&s->request, s->out, &s->error), -EINVAL);
	assert_string_equal(s->error.failure.object, "spec.process.args[1]");
	spec_free(s->out);
	assert_int_equal(spec_new(&s->out), 0);
	s->args[1].len--;
	assert_int_equal(request_run(&s->request, s->out, &s->error), 0);
	free(big);
}

static struct plan *
plan_of(struct sample *s, uid_t uid, int expected)
{
	static struct plan plan;
	struct plan_input input = { .uid = uid,
				    .gid = uid,
				    .admin = uid == 0,
				    .no_new_privs = uid != 0,
				    .container = "c",
				    .gate = GATE_CHANNEL };

	assert_int_equal(request_run(&s->request, s->out, &s->error), 0);
	assert_int_equal(plan_build(s->out, &input, &plan, &s->error),
			 expected);
	return &plan;
}

static void
plan_of_a_good_request_encodes(void **state)
{
	struct sample *s = *state;
	struct plan *plan = plan_of(s, 0, 0);
	struct bootstrap_error refused;
	static struct bootstrap decoded;
	static struct plan_message message;

	assert_int_equal(plan_encode(plan, 5, &message, &s->error), 0);
	assert_int_equal(bootstrap_decode(DIALECT_NX, BOOTSTRAP_TYPE,
					  message.data, message.size, &decoded,
					  &refused),
			 0);
	assert_int_equal(decoded.seq, 5);
	assert_int_equal(decoded.uid, 0);
	assert_string_equal(decoded.container, "c");
	plan_deinit(plan);
}

static void
large_environment_goes_into_a_sealed_memfd(void **state)
{
	struct sample *s = *state;
	struct plan *plan;
	char *big = malloc(20000);

	memset(big, 'x', 20000);
	s->args[1] = (ProtobufCBinaryData){ 20000, (uint8_t *)big };
	plan = plan_of(s, 0, 0);
	assert_true(plan->exec_block >= 0);
	assert_false(bootstrap_has(&plan->boot, BOOTSTRAP_ARGV));
	assert_int_equal(plan->boot.exec_block.size,
			 s->out->argv_size + s->out->env_size);
	assert_int_equal(write(plan->exec_block, "x", 1), -1);
	assert_int_equal(errno, EPERM);
	plan_deinit(plan);
	free(big);
}

static void
ordinary_caller_without_a_user_namespace_is_told_to_add_one(void **state)
{
	struct sample *s = *state;

	s->ns_pointers[0] = &s->ns[7];
	s->spec.n_namespaces = 7;
	s->spec.id_maps = NULL;
	s->spec.monotonic = NULL;
	plan_of(s, 1000, -EINVAL);
	assert_int_equal(s->error.code, ERRCODE_NEED_USERNS);
	spec_free(s->out);
	assert_int_equal(spec_new(&s->out), 0);
	plan_deinit(plan_of(s, 0, 0));
}

static void
id_outside_the_maps_is_refused(void **state)
{
	struct sample *s = *state;

	s->process.has_uid = true;
	s->process.uid = 30;
	plan_of(s, 0, -EINVAL);
	assert_string_equal(s->error.failure.object, "process.uid");
}

static void
ordinary_caller_never_gains_privileges_by_exec(void **state)
{
	struct sample *s = *state;
	struct plan *plan = plan_of(s, 1000, 0);

	assert_true(plan->boot.no_new_privs);
	plan_deinit(plan);
}

static void
auto_preset_uses_the_callers_delegated_ranges(void **state)
{
	struct spec_maps maps = { .preset = IDMAP_AUTO };
	struct identity *identity = calloc(1, sizeof(*identity));
	struct resolved_user *user = &identity->who.resolved;
	struct mapping *mapping = malloc(sizeof(*mapping));
	const struct mapping_input input = {
		&maps, 1000, 1000, identity, { 0 }
	};
	struct error error;

	identity->who.uid = identity->who.gid = 1000;
	user->uid = user->owner = user->gid = 1000;
	user->has_name = 1;
	user->n_uid_ranges = user->n_gid_ranges = 1;
	user->uid_ranges[0] = (struct idmap_range){ 100000, 65536 };
	user->gid_ranges[0] = (struct idmap_range){ 200000, 65536 };
	assert_int_equal(mapping_build(&input, mapping, &error), 0);
	assert_string_equal(mapping->uid_text, "0 1000 1\n1 100000 65536\n");
	assert_string_equal(mapping->gid_text, "0 1000 1\n1 200000 65536\n");

	/* what a rule adds comes after what is delegated */
	identity->who.rights.n_uid_ranges = 1;
	identity->who.rights.uid_ranges[0] = (struct idmap_range){ 500000, 10 };
	assert_int_equal(mapping_build(&input, mapping, &error), 0);
	assert_string_equal(mapping->uid_text,
			    "0 1000 1\n1 100000 65536\n65537 500000 10\n");

	/* with another primary group newuidmap refuses, and so do we */
	identity->who.rights.n_uid_ranges = 0;
	user->gid = 7;
	assert_int_equal(mapping_build(&input, mapping, &error), -EINVAL);
	assert_int_equal(error.code, ERRCODE_MAP_INVALID);
	free(mapping);
	free(identity);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The daemon's heap must not have a hole of this size for each start. */
static void
specs_of_starts_are_the_same_memory_and_empty_again(void **state)
{
	struct spec *specs[SPEC_POOL_MAX + 1], *first;
	struct spec_pool pool = { .n = 0 };
	struct spec empty;

	spec_init(&empty);
	assert_int_equal(spec_take(&pool, &first), 0);
	first->has_key = true;
	first->exec_data = strdup("true");
	assert_non_null(arena_alloc(&first->arena, 1));
	assert_null(spec_give(&pool, first));
	assert_int_equal(spec_take(&pool, &specs[0]), 0);
	assert_ptr_equal(specs[0], first);
	assert_memory_equal(specs[0], &empty, sizeof(empty));
	for (size_t i = 1; i <= SPEC_POOL_MAX; i++)
		assert_int_equal(spec_take(&pool, &specs[i]), 0);
	for (size_t i = 0; i <= SPEC_POOL_MAX; i++)
		spec_give(&pool, specs[i]);
	assert_int_equal(pool.n, SPEC_POOL_MAX);
	spec_pool_deinit(&pool);
	spec_pool_deinit(&pool);
	assert_int_equal(pool.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			specs_of_starts_are_the_same_memory_and_empty_again),
		TEST(each_broken_rule_names_its_field),
		TEST(good_request_becomes_its_spec),
		TEST(wrong_map_names_row_and_rule),
		TEST(string_of_128_kib_is_refused_and_one_less_is_not),
		TEST(plan_of_a_good_request_encodes),
		TEST(large_environment_goes_into_a_sealed_memfd),
		TEST(ordinary_caller_without_a_user_namespace_is_told_to_add_one),
		TEST(id_outside_the_maps_is_refused),
		TEST(ordinary_caller_never_gains_privileges_by_exec),
		cmocka_unit_test(auto_preset_uses_the_callers_delegated_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
