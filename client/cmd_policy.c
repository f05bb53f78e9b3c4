/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy: hold policy files against their rules before nsexecd reads them, and
 * say what they mean for a caller. Needs no daemon, starts nothing. The daemon
 * decides for itself: this only explains. Exit status: 0, 2 bad policy or
 * usage, 4 the request would be refused.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/input.h"
#include "client/policy.h"
#include "client/start_opts.h"
#include "lib/text.h"
#include "lib/util.h"
#include "proto/nsplan.h"
#include "proto/policy_json.h"

enum {
	KEY_DIR = OPTS_COMMAND_KEYS,
	KEY_AS,
	KEY_OWNER,
	KEY_UNIT,
	KEY_LABEL,
	KEY_CONFINED,
};

struct options {
	struct ctl *ctl;
	const char *dir, *user, *unit, *label;
	uint32_t owner, confined;
	bool has_owner;
};

static const struct argp_option dir_options[] = {
	{ "policy-dir", KEY_DIR, "DIR", 0,
	  "Read DIR/policy.json and DIR/policy.d (default: " POLICY_DIR ")",
	  5 },
	{ 0 },
};

static const struct argp_option explain_options[] = {
	{ "as", KEY_AS, "USER", 0, "Of this user, a name or uid (default: you)",
	  5 },
	{ "owner", KEY_OWNER, "UID", 0,
	  "The uid is a delegated id of this user's", 5 },
	{ "unit", KEY_UNIT, "UNIT", 0, "Calling from this systemd unit", 5 },
	{ "label", KEY_LABEL, "LABEL", 0, "With this security label", 5 },
	{ "confined", KEY_CONFINED, "KIND,...", 0,
	  "Confined by userns, mntns, pidns, netns, cgroup_root, chroot, "
	  "seccomp, no_new_privs, label",
	  5 },
	{ 0 },
};

static void
on_confined(struct argp_state *state, char *arg)
{
	struct options *options = state->input;
	char *word, *save = NULL;
	int kind;

	for (word = strtok_r(arg, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		kind = policy_confinement_find(word);
		if (kind < 0)
			opts_refuse(state, "--confined", word,
				    "is no kind of confinement");
		else
			options->confined |=
				POLICY_CONFINED_BIT((unsigned int)kind);
	}
}

static error_t
on_dir(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options->ctl;
		return 0;
	case KEY_DIR:
		options->dir = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Of policy itself, before its word. */
static error_t
on_policy(int key, char *arg, struct argp_state *state)
{
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

static error_t
on_explain(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options;
		return 0;
	case KEY_AS:
		options->user = arg;
		return 0;
	case KEY_OWNER:
		if (text_parse_u32(arg, &options->owner) < 0)
			opts_refuse(state, "--owner", arg, "is no uid");
		options->has_owner = true;
		return 0;
	case KEY_UNIT:
		options->unit = arg;
		return 0;
	case KEY_LABEL:
		options->label = arg;
		return 0;
	case KEY_CONFINED:
		on_confined(state, arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child common_children[] = {
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};
static const struct argp check_argp = {
	.options = dir_options,
	.parser = on_dir,
	.args_doc = "check [FILE...]",
	.doc = "Check policy files. FILEs are read in this order, whoever they "
	       "belong to; without one, the system's, as nsexecd would.",
	.children = common_children,
};
static const struct argp_child explain_children[] = {
	{ &check_argp, 0, NULL, 0 },
	{ 0 },
};
static const struct argp explain_argp = {
	.options = explain_options,
	.parser = on_explain,
	.args_doc = "explain [REQUEST...]",
	.doc = "Say which rule decides for a caller, and what it may.\v"
	       "REQUEST is run, create or explain with their options and "
	       "command, or another verb of a policy. Exit status: 0, 2 bad "
	       "policy or usage, 4 the request would be refused.",
	.children = explain_children,
};

const struct argp policy_argp = {
	.parser = on_policy,
	.args_doc = "check [FILE...]\nexplain [REQUEST...]",
	.doc = "Check policy files, see nsexecd-policy(5), or say what they "
	       "mean for a caller. Each word has its own --help.",
	.children = common_children,
};
const struct ctl_word policy_words[] = {
	{ "check", "hold policy files against their rules", &check_argp,
	  CTL_OPERAND_FILE },
	{ "explain", "say which rule decides and what it gives", &explain_argp,
	  CTL_OPERAND_COMMAND },
	{ 0 },
};

/* --- the files -------------------------------------------------------------
 */

static int
report_policy(const struct ctl *ctl, const struct policy_error *policy)
{
	struct nsexec_error error = { .code = NSEXEC_INVALID_ARGUMENT,
				      .stage = "client",
				      .step = "read-policy" };
	char text[POLICY_ERROR_MAX];

	if (policy->line)
		snprintf(error.object, sizeof(error.object), "%.160s:%u%s%.80s",
			 policy->file, policy->line,
			 policy->path[0] ? ": " : "", policy->path);
	else
		snprintf(error.object, sizeof(error.object), "%s",
			 policy->file);
	snprintf(error.rule, sizeof(error.rule), "%s", policy->rule);
	snprintf(error.hint, sizeof(error.hint), "%s", policy->remedy);
	snprintf(error.message, sizeof(error.message), "%.760s",
		 policy_error_format(policy, text));
	return ctl_report(ctl, &error);
}

static int
read_named(const struct options *options, struct policy_table *table,
	   int n_files, char **files)
{
	struct policy_error error = { 0 };
	int i, r;

	policy_table_init(table);
	for (i = 0; i < n_files; i++) {
		free_auto char *text = NULL;
		size_t size;

		/* one byte more than may be, so that the reader says so */
		r = input_read(files[i], POLICY_FILE_MAX + 1, &text, &size);
		if (r == -EMSGSIZE)
			policy_error_set(&error, files[i],
					 "spread it over policy.d",
					 "more than 64 KiB");
		else if (r < 0)
			policy_error_set(&error, files[i],
					 "see that it is there and readable",
					 "cannot read: %s", strerror(-r));
		else
			r = policy_json_append(table, files[i], text, size,
					       &error);
		if (r < 0)
			return report_policy(options->ctl, &error);
	}
	policy_table_seal(table);
	return 0;
}

static int
read_system(const struct options *options, struct policy_table *table)
{
	struct policy_error error;

	if (policy_files_read(options->dir, table, &error) < 0)
		return report_policy(options->ctl, &error);
	return 0;
}

static void
print_rules(const struct ctl *ctl, const struct policy_table *table)
{
	json_t *rules = json_array();
	uint32_t i;

	for (i = 0; i < table->n_rules; i++) {
		const struct policy_rule *rule = &table->rules[i];

		if (!ctl_json(ctl) && !ctl->quiet)
			printf("%-40s %s\n", rule->name, rule->source);
		json_array_append_new(rules, json_pack("{s:s, s:s}", "name",
						       rule->name, "source",
						       rule->source));
	}
	if (ctl_json(ctl))
		ctl_print_json(ctl,
			       json_pack("{s:i, s:I, s:o}", "v", 1, "files",
					 (json_int_t)table->n_files, "rules",
					 rules));
	else
		json_decref(rules);
	if (!ctl_json(ctl) && table->n_files == 0 && !ctl->quiet)
		puts("no policy: the defaults of nsexecd-policy(5) hold");
}

static int
run_check(struct options *options, int argc, char **argv)
{
	free_auto struct policy_table *table = malloc(sizeof(*table));
	struct ctl_line line = { argc, argv, false, argc };
	int status;

	if (!table)
		return ctl_report_local(options->ctl, -ENOMEM, "read",
					"the policy");
	ctl_parse(options->ctl, &check_argp, &line, options);
	if (line.index < argc)
		status = read_named(options, table, argc - line.index,
				    argv + line.index);
	else
		status = read_system(options, table);
	if (!status)
		print_rules(options->ctl, table);
	return status;
}

/* --- the request ------------------------------------------------------------
 */

static uint32_t
clone_flags(unsigned int kinds)
{
	uint32_t flags = 0;
	size_t i;

	/* bit n is enum nsexec_ns n, which is the row n - 1 */
	for (i = 0; i < N_NS_KINDS; i++)
		if (kinds >> (i + 1) & 1)
			flags |= ns_kinds[i].clone_flag;
	return flags;
}

static int
parse_start(struct ctl *ctl, struct policy_request *request, int argc,
	    char **argv)
{
	struct start_opts opts;
	int status = start_opts_parse(&opts, ctl, argc, argv);

	request->create_kinds = clone_flags(opts.ns.created);
	request->join_kinds = clone_flags(opts.ns.joined);
	start_opts_deinit(&opts);
	return status;
}

static int
parse_request(struct ctl *ctl, struct policy_request *request, int argc,
	      char **argv)
{
	static const struct {
		const char *command, *verb;
	} others[] = {
		{ "kill", "signal" },	{ "ps", "processes" }, { "ls", "list" },
		{ "inspect", "state" }, { "rm", "delete" },
	};
	const char *word = argv[0];
	int verb;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (strcmp(word, others[i].command) == 0)
			word = others[i].verb;
	verb = policy_verb_find(word);
	if (verb < 0)
		return ctl_usage(ctl, "\"%s\" is no verb of a policy", word);
	request->verbs = POLICY_VERB_BIT((unsigned int)verb);
	if (verb == POLICY_VERB_RUN || verb == POLICY_VERB_CREATE ||
	    verb == POLICY_VERB_EXPLAIN)
		return parse_start(ctl, request, argc, argv);
	return 0;
}

static int
find_asker(const struct options *options, struct policy_asker *asker)
{
	if (!options->user)
		policy_asker_self(asker);
	else if (policy_asker_user(asker, options->user) < 0)
		return ctl_usage(options->ctl, "no user \"%s\"", options->user);
	if (options->has_owner)
		asker->subject.owner = options->owner;
	if (options->unit)
		asker->subject.unit = options->unit;
	if (options->label)
		asker->subject.label = options->label;
	asker->subject.confined = options->confined;
	return 0;
}

static int
report_refusal(const struct ctl *ctl, const struct policy_refusal *refusal)
{
	struct nsexec_error error = { .code = (enum nsexec_code)refusal->code,
				      .stage = "client",
				      .step = "policy" };

	snprintf(error.object, sizeof(error.object), "%s", refusal->object);
	snprintf(error.rule, sizeof(error.rule), "%s", refusal->rule);
	snprintf(error.hint, sizeof(error.hint), "%s", refusal->hint);
	snprintf(error.message, sizeof(error.message), "%s: %s; hint: %s",
		 errcode_row(refusal->code)->name, refusal->rule,
		 refusal->hint);
	return ctl_report(ctl, &error);
}

static int
run_explain(struct options *options, int argc, char **argv)
{
	free_auto struct policy_table *table = malloc(sizeof(*table));
	struct ctl_line line = { argc, argv, true, argc };
	struct policy_request request = { 0 };
	struct policy_refusal refusal;
	struct policy_rights rights;
	struct policy_asker asker;
	int status, r;

	if (!table)
		return ctl_report_local(options->ctl, -ENOMEM, "read",
					"the policy");
	ctl_parse(options->ctl, &explain_argp, &line, options);
	status = read_system(options, table);
	if (!status)
		status = find_asker(options, &asker);
	if (!status && line.index < argc)
		status = parse_request(options->ctl, &request,
				       argc - line.index, argv + line.index);
	if (status)
		return status;
	policy_match(table, &asker.subject, &rights);
	r = policy_request_check(&rights, &request, &refusal);
	policy_print(options->ctl, &asker.subject, &rights,
		     r < 0 ? &refusal : NULL);
	return r < 0 ? report_refusal(options->ctl, &refusal) : 0;
}

int
cmd_policy(struct ctl *ctl, int argc, char **argv)
{
	struct options options = { .ctl = ctl, .dir = POLICY_DIR };
	struct ctl_line line = { argc, argv, true, argc };

	/* --json and the like may stand before the word */
	ctl_parse(ctl, &policy_argp, &line, ctl);
	argc -= line.index;
	argv += line.index;
	if (argc > 0 && strcmp(argv[0], "check") == 0)
		return run_check(&options, argc, argv);
	if (argc > 0 && strcmp(argv[0], "explain") == 0)
		return run_explain(&options, argc, argv);
	return ctl_usage(ctl, "write policy check or policy explain");
}
