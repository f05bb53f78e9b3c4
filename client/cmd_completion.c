/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completion SHELL: a few lines for a shell, which ask nsexecctl itself (the
 * hidden completion --words) what may follow. Nothing is listed twice.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/complete.h"
#include "lib/util.h"

enum { KEY_WORDS = 0x2500 };

static const char bash_text[] =
	"# nsexecctl completion bash: write to\n"
	"# /usr/share/bash-completion/completions/nsexecctl, or source it.\n"
	"_nsexecctl()\n"
	"{\n"
	"\tlocal line cur=${COMP_WORDS[COMP_CWORD]}\n"
	"\t[ \"$cur\" = = ] && cur=\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS= read -r line; do\n"
	"\t\tcase $line in\n"
	"\t\t:files)\n"
	"\t\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "
	"\"$cur\") ;;\n"
	"\t\t:dirs)\n"
	"\t\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "
	"\"$cur\") ;;\n"
	"\t\t:commands)\n"
	"\t\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -c -- "
	"\"$cur\") ;;\n"
	"\t\t*)\n"
	"\t\t\tCOMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
	"\t\tesac\n"
	"\tdone < <(\"${COMP_WORDS[0]}\" completion --words -- "
	"\"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
	"}\n"
	"complete -F _nsexecctl nsexecctl\n";

static const char zsh_text[] =
	"#compdef nsexecctl\n"
	"# nsexecctl completion zsh: write to a file _nsexecctl in $fpath.\n"
	"_nsexecctl() {\n"
	"\tlocal line\n"
	"\tlocal -a names docs\n"
	"\tfor line in \"${(@f)$($words[1] completion --words -- "
	"\"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
	"\t\tcase $line in\n"
	"\t\t(:files) _files ;;\n"
	"\t\t(:dirs) _files -/ ;;\n"
	"\t\t(:commands) _command_names -e ;;\n"
	"\t\t(?*)\n"
	"\t\t\tnames+=(\"${line%%$'\\t'*}\")\n"
	"\t\t\tdocs+=(\"${line/$'\\t'/  -- }\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\t(( $#names )) && compadd -l -d docs -a names\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _nsexecctl ]; then\n"
	"\t_nsexecctl \"$@\"\n"
	"else\n"
	"\tcompdef _nsexecctl nsexecctl\n"
	"fi\n";

static const char fish_text[] =
	"# nsexecctl completion fish: write to\n"
	"# ~/.config/fish/completions/nsexecctl.fish.\n"
	"function __nsexecctl_complete\n"
	"\tset -l before (commandline -opc)\n"
	"\tset -l cur (commandline -ct)\n"
	"\tfor line in ($before[1] completion --words -- $before[2..-1] "
	"\"$cur\" 2>/dev/null)\n"
	"\t\tswitch $line\n"
	"\t\t\tcase :files\n"
	"\t\t\t\t__fish_complete_path \"$cur\"\n"
	"\t\t\tcase :dirs\n"
	"\t\t\t\t__fish_complete_directories \"$cur\"\n"
	"\t\t\tcase :commands\n"
	"\t\t\t\t__fish_complete_command\n"
	"\t\t\tcase '*'\n"
	"\t\t\t\techo $line\n"
	"\t\tend\n"
	"\tend\n"
	"end\n"
	"complete -c nsexecctl -f -a '(__nsexecctl_complete)'\n";

const struct ctl_word completion_words[] = {
	{ "bash", "for bash(1)", NULL, CTL_OPERAND_NONE },
	{ "zsh", "for zsh(1)", NULL, CTL_OPERAND_NONE },
	{ "fish", "for fish(1)", NULL, CTL_OPERAND_NONE },
	{ 0 },
};

/* In the order of completion_words. */
static const char *const texts[] = { bash_text, zsh_text, fish_text };
_Static_assert(ARRAY_SIZE(texts) + 1 == ARRAY_SIZE(completion_words),
	       "a text for each shell");

struct completion_opts {
	struct ctl *ctl;
	bool words;
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct completion_opts *opts = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = opts->ctl;
		return 0;
	case KEY_WORDS:
		opts->words = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "words", KEY_WORDS, NULL, OPTION_HIDDEN, NULL, 5 },
	{ 0 },
};

static const struct argp_child children[] = {
	{ &ctl_argp, 0, "Common:", 90 },
	{ 0 },
};

const struct argp completion_argp = {
	.options = options,
	.parser = on_option,
	.args_doc = "bash|zsh|fish",
	.doc = "Print what makes a shell complete commands, options, their "
	       "words and containers.\vsource <(nsexecctl completion bash)",
	.children = children,
};

int
cmd_completion(struct ctl *ctl, int argc, char **argv)
{
	struct completion_opts opts = { .ctl = ctl };
	struct ctl_line line = { argc, argv, true, 0 };
	int r;

	ctl_parse(ctl, &completion_argp, &line, &opts);
	if (opts.words) {
		r = complete(ctl, argv + line.index,
			     (size_t)(argc - line.index));
		return r < 0 ? ctl_report_local(ctl, r, "complete", "words")
			     : CTL_OK;
	}
	for (size_t i = 0; argc - line.index == 1 && i < ARRAY_SIZE(texts);
	     i++) {
		if (strcmp(argv[line.index], completion_words[i].name) == 0) {
			fputs(texts[i], stdout);
			return CTL_OK;
		}
	}
	return ctl_usage(ctl, "for which shell? write bash, zsh or fish");
}
