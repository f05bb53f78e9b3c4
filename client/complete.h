/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may stand at the end of a command line, from the table of commands and
 * the argp of each: there is no other list. Pure but for the names of
 * containers, for which the daemon is asked.
 */
#ifndef NSX_CLIENT_COMPLETE_H
#define NSX_CLIENT_COMPLETE_H

#include "client/ctl.h"

/*
 * Complete the last of words (what follows "nsexecctl"; it may be empty).
 * Prints lines "WORD<TAB>what it is", and of those that the shell knows better
 * ":files", ":dirs" or ":commands". bash makes three words of --a=b, of which
 * it wants the last completed. 0 or -ENOMEM.
 */
must_check int complete(struct ctl *ctl, char **words, size_t n_words);

#endif
