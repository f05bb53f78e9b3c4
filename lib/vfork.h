/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone3(2) in the manner of vfork(2), with namespaces: the child runs a
 * function in our memory, on a stack of its own, while we sleep until it execs
 * or ends. No page is copied and none is faulted in again.
 *
 * The child shares memory and nothing else (no CLONE_FILES, no CLONE_FS, no
 * CLONE_SIGHAND): descriptors, working directory, masks and handlers are
 * copies. What it writes to memory stays written: errno, static data, and
 * whatever it maps stays mapped.
 */
#ifndef NSX_LIB_VFORK_H
#define NSX_LIB_VFORK_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/sys.h"

/* Is there an implementation for this machine, and may this build use it? The
 * address sanitizer keeps track of stacks that functions never return from. */
#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(NSX_SANITIZED)
#define VFORK_IS_POSSIBLE 1
#else
#define VFORK_IS_POSSIBLE 0
#endif

/*
 * args: as for clone3, stack and stack_size set; CLONE_VM and CLONE_VFORK are
 * added. fn must not return. The child's pid, or -errno.
 */
pid_t vfork_clone(struct clone_args *args, void (*fn)(void *arg), void *arg);

#endif
