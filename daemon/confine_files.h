/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a confined nsexecd may open, by Landlock: its records, and
 * what it reads of the kernel. Descriptors that are open stay as they are.
 */
#ifndef NSX_DAEMON_CONFINE_FILES_H
#define NSX_DAEMON_CONFINE_FILES_H

#include "lib/err.h"

/*
 * For ever; needs no_new_privs. The records' directory is made if it is
 * missing. -EOPNOTSUPP: the kernel has no Landlock, or it is off, or an outer
 * filter refuses it, and nothing is confined. -errno.
 */
must_check int confine_files(const char *records_dir);

#endif
