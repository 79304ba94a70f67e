/* SPDX-License-Identifier: Apache-2.0 */
/* Slurm's programs as children. */
#include "base/clock.h"
#include "base/error.h"
#include "compute/backends/slurm/slurm.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ENVIRONMENT = 4096 };

/* Within an allocation srun would make steps of it. So remove the variables that say so, and with
 * them the user's defaults, as there the two cannot be told apart. */
static char **make_environment(void)
{
    size_t count = 0;
    bool is_inside = getenv("SLURM_JOB_ID") != NULL;
    while (count < MOST_ENVIRONMENT && environ[count])
        count++;
    char **env = calloc(count + 1, sizeof *env), **at = env;
    for (size_t i = 0; env && i < count; i++)
        if (!is_inside || strncmp(environ[i], "SLURM_", 6) != 0 ||
            strncmp(environ[i], "SLURM_CONF=", 11) == 0)
            *at++ = environ[i];
    return env;
}

int lithops__slurm_start(char *const *words, struct lithops__child *child, int *ret_fd,
                         lithops_error *err)
{
    char **env = make_environment();
    int rc = env ? lithops__child_start(child, words[0], words, env, ret_fd, err) : ENOMEM;
    free(env);
    if (rc == ENOENT)
        return lithops__fail(err, LITHOPS_EBACKEND,
                             "there is no program '%s' here: run this where Slurm's commands are, "
                             "as on a login node (Debian: slurm-client)",
                             words[0]);
    return rc > 0 ? lithops__fail_errno(err, rc, "cannot start '%s'", words[0]) : rc;
}

/* Read until it ends. 0; ECANCELED, ETIMEDOUT */
static int read_all(int fd, int cancel_fd, uint32_t timeout_ms, char *out, size_t size,
                    lithops_error *err)
{
    struct pollfd fds[] = {{fd, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    uint64_t until = lithops__now_ns() + timeout_ms * (uint64_t)1000000;
    size_t len = 0;
    for (;;) {
        char more[1024];
        uint64_t now = lithops__now_ns();
        int left_ms = now < until ? (int)((until - now) / 1000000 + 1) : 0;
        int ready = poll(fds, cancel_fd >= 0 ? 2 : 1, left_ms);
        if (ready > 0 && fds[1].revents)
            return lithops__fail(err, LITHOPS_ECANCELED, "no worker is needed any more");
        if (ready == 0 && left_ms == 0)
            return lithops__fail(err, LITHOPS_ETIMEDOUT, "no answer within %u s",
                                 timeout_ms / 1000);
        ssize_t n = ready > 0 ? read(fd, more, sizeof more) : -1;
        if (n == 0 || (ready > 0 && n < 0 && errno != EINTR && errno != EAGAIN))
            return 0;
        for (ssize_t i = 0; i < n && len + 1 < size; i++)
            out[len++] = more[i];
        if (size)
            out[len] = '\0';
    }
}

int lithops__slurm_run(char *const *words, int cancel_fd, uint32_t timeout_ms, char *out,
                       size_t out_size, char *said, size_t said_size, lithops_error *err)
{
    struct lithops__child child = {.log_fd = -1};
    siginfo_t status = {.si_pid = 0};
    int fd = -1;
    if (out_size)
        out[0] = '\0';
    said[0] = '\0';
    int rc = lithops__slurm_start(words, &child, &fd, err);
    if (rc != 0)
        return rc;
    rc = read_all(fd, cancel_fd, timeout_ms, out, out_size, err);
    close(fd);
    lithops__child_reap(&child, rc == 0 ? 1000 : 0, &status);
    lithops__child_said(&child, said, said_size);
    lithops__child_close_log(&child);
    if (rc != 0)
        return rc;
    return status.si_code == CLD_EXITED ? status.si_status : 128 + status.si_status;
}
