/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library in a program of somebody else. */
#ifndef LITHOPS_BASE_THREAD_H
#define LITHOPS_BASE_THREAD_H

#include <pthread.h>

/* As pthread_create(), with all signals blocked: the program's signals are for the program's
 * threads. 0, or a number of errno */
int lithops__thread_start(pthread_t *ret_thread, void *(*run)(void *user), void *user);

#endif
