/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>

int lithops__thread_start(pthread_t *ret_thread, void *(*run)(void *user), void *user)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(ret_thread, NULL, run, user);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}
