/* SPDX-License-Identifier: Apache-2.0 */
/* Who has started things elsewhere: a mark by which a later process of this user, on this machine,
 * finds what a killed one has left there. */
#ifndef LITHOPS_COMPUTE_CLIENT_H
#define LITHOPS_COMPUTE_CLIENT_H

enum { LITHOPS__CLIENT_MARK = 17 }; /* 16 digits */

void lithops__client_mark(char ret_mark[LITHOPS__CLIENT_MARK]);

#endif
