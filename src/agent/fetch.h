/* SPDX-License-Identifier: Apache-2.0 */
/* Files that this worker lacks, out of the storage that its link goes through (carrier/bundle.h):
 * several objects at a time, in threads, while the reader goes on. What is not there, or is not
 * what its name says, stays missing, and the client is asked. */
#ifndef LITHOPS_AGENT_FETCH_H
#define LITHOPS_AGENT_FETCH_H

#include "agent/agent.h"

/* All by the reader. NULL: no memory, or no thread. */
struct lithops__fetch *lithops__fetch_new(struct lithops__agent *agent, lithops_storage *storage);
void lithops__fetch_free(struct lithops__fetch *fetch); /* NULL is fine */
/* Fetch what is missing of these files, whose folder is held; until they are handed back, they are
 * the fetcher's. */
void lithops__fetch_begin(struct lithops__fetch *fetch, struct lithops__agent_files *files);
/* Readable when some are to be handed back. */
int lithops__fetch_fd(const struct lithops__fetch *fetch);
/* Some that are the reader's again, whatever is missing; NULL: none. */
struct lithops__agent_files *lithops__fetch_take(struct lithops__fetch *fetch);

#endif
