/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of nsexecd; see "nsexecd --help". */
#ifndef NSX_DAEMON_OPTIONS_H
#define NSX_DAEMON_OPTIONS_H

#include "daemon/config.h"
#include "lib/err.h"

/*
 * Fill *config (after config_init()) from the command line and the one file
 * that it names. What is wrong is one line on standard error.
 * 0; -EINVAL, -ENOMEM or the error of the file; OPTIONS_DONE if the answer was
 * printed (--version) or all is well (--check). --help and a usage error exit
 * (64 is argp's, ours 2).
 */
#define OPTIONS_DONE 1
must_check int options_read(struct config *config, int argc, char **argv);

#endif
