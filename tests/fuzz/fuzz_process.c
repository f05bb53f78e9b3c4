/* SPDX-License-Identifier: Apache-2.0 */
/* OCI's process.json: taken whole, or refused with the member and the rule. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/process_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_complaint complaint = { .object = "" };
	struct process_opts opts = { .ctl = NULL };
	char *text = malloc(size + 1);
	int r;

	assert(text && nsexec_spec_new(&opts.spec) == 0);
	memcpy(text, data, size);
	text[size] = '\0';
	r = process_file_parse(text, size, &opts, &complaint);
	assert(r == 0 || r == -EINVAL);
	if (r == 0)
		assert(nsexec_spec_status(opts.spec) == 0);
	else
		assert(complaint.object[0] && complaint.rule[0]);
	nsexec_spec_free(opts.spec);
	free(text);
	return 0;
}
