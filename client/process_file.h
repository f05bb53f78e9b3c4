/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec -p FILE: the Process object of OCI's runtime-spec (runc's process.json)
 * as the process of a request.
 *
 * Strict, since a field that is dropped is a promise broken: duplicate and
 * unknown members, NUL, nesting over PROCESS_FILE_MAX_DEPTH and files over
 * PROCESS_FILE_MAX are refused, and so is what the release does not have.
 */
#ifndef NSX_CLIENT_PROCESS_FILE_H
#define NSX_CLIENT_PROCESS_FILE_H

#include "client/ctl.h"
#include "client/opts.h"

/* A request is at most 4 MiB; as JSON its bytes may be escaped. */
#define PROCESS_FILE_MAX ((size_t)24 << 20)
#define PROCESS_FILE_MAX_DEPTH 8

/*
 * Pure: text[size] is NUL. Put what text says into opts->spec, but nothing that
 * an option gave (opts->given, opts->env). 0; -EINVAL with *ret, and the spec
 * half filled; -ENOMEM.
 */
must_check int process_file_parse(const char *text, size_t size,
				  const struct process_opts *opts,
				  struct ctl_complaint *ret);

#endif
