/* SPDX-License-Identifier: Apache-2.0 */
/* What executors remember of their calls. */
#ifndef LITHOPS_PYTHON_CLIENT_REMEMBERED_H
#define LITHOPS_PYTHON_CLIENT_REMEMBERED_H

struct job;
struct module_state;

/* A program has taken the result of one call of the job. Lets its executor release what was taken
 * before, when that has become much; no exception comes of it. */
void note_one_taken(const struct job *job);
/* Calls wait for memory: release now what was taken and is held nowhere else, of all executors. */
void release_all_taken(const struct module_state *state);

#endif
