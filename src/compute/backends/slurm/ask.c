/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the nodes where this user has workers what a command says there: by a step more in one of
 * the allocations on each, beside the worker that runs in it. */
#include "base/error.h"
#include "compute/backends/slurm/slurm.h"
#include "compute/bootstrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VIEW_BYTES = 256 << 10, AT_ONCE = 64, ASK_MS = 20000, EXIT_MS = 1000 };

struct asked {
    char node[64], job[32];
    struct lithops__child child;
    int fd; /* -1: it could not be started */
    lithops_error err;
};

/* Start a step on the node of an allocation. */
static void start(struct asked *asked)
{
    char job[48];
    snprintf(job, sizeof job, "--jobid=%s", asked->job);
    const char *const words[] = {"srun",
                                 job,
                                 "--overlap",
                                 "--nodes=1",
                                 "--ntasks=1",
                                 "--unbuffered",
                                 "--input=all",
                                 "--output=all",
                                 "--error=all",
                                 "--mpi=none",
                                 "sh",
                                 "-c",
                                 lithops__bootstrap_script,
                                 NULL};
    asked->child = (struct lithops__child){.log_fd = -1};
    asked->fd = -1;
    if (lithops__slurm_start((char *const *)words, &asked->child, &asked->fd, &asked->err) != 0)
        asked->fd = -1;
}

static void hear(struct asked *asked, const char *arguments, lithops__probe_say say, void *user)
{
    struct lithops__buffer said = LITHOPS__BUFFER_INIT;
    siginfo_t status;
    int rc = asked->fd < 0
                 ? asked->err.code
                 : lithops__bootstrap_ask(asked->fd, arguments, ASK_MS / 1000, &said, &asked->err);
    if (asked->fd >= 0) {
        close(asked->fd);
        lithops__child_reap(&asked->child, EXIT_MS, &status);
    }
    if (rc == LITHOPS_EIO || rc == LITHOPS_ETIMEDOUT) {
        char text[1024];
        lithops__child_said(&asked->child, text, sizeof text);
        (void)lithops__slurm_refuse(text, asked->err.message, &asked->err);
    }
    lithops__child_close_log(&asked->child);
    lithops__buffer_append(&said, "", 1); /* its end */
    say(user, asked->node, rc == 0,
        rc != 0       ? asked->err.message
        : said.failed ? "out of memory"
                      : (const char *)said.data);
    lithops__buffer_deinit(&said);
}

/* "lithops-1a2b3c4d-0|17|n1": one of our workers, on a node that is not in the list yet. */
static bool take_line(const char *line, const char *machine, const struct asked *all, size_t count,
                      struct asked *ret_asked)
{
    *ret_asked = (struct asked){.fd = -1, .err = LITHOPS_ERROR_INIT};
    if (sscanf(line, "lithops-%*[^|\n]|%31[^|\n]|%63[^|\n]", ret_asked->job, ret_asked->node) !=
            2 ||
        (machine && strcmp(machine, ret_asked->node) != 0))
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].node, ret_asked->node) == 0)
            return false;
    return true;
}

static size_t list_nodes(const char *text, const char *machine, struct asked **ret_all)
{
    size_t count = 0, room = 0;
    struct asked *all = NULL, one;
    for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        if (!take_line(at, machine, all, count, &one))
            continue;
        if (count == room) {
            void *more = realloc(all, (room = room ? 2 * room : 16) * sizeof *all);
            if (!more)
                break;
            all = more;
        }
        all[count++] = one;
    }
    *ret_all = all;
    return count;
}

int lithops__slurm_ask(const char *machine, const char *arguments, lithops__probe_say say,
                       void *user, lithops_error *err)
{
    char owner[32], said[512], *text = malloc(VIEW_BYTES);
    const char *const words[] = {"squeue",           "--noheader",        owner,
                                 "--states=RUNNING", "--format=%j|%i|%N", NULL};
    struct asked *all = NULL;
    snprintf(owner, sizeof owner, "--user=%u", (unsigned)getuid());
    int rc = text ? lithops__slurm_run((char *const *)words, -1, ASK_MS, text, VIEW_BYTES, said,
                                       sizeof said, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc > 0)
        rc = lithops__slurm_refuse(said, "squeue failed", err);
    size_t count = rc == 0 ? list_nodes(text, machine, &all) : 0;
    if (rc == 0 && machine && count == 0)
        rc = lithops__fail(
            err, LITHOPS_EUSAGE,
            "no worker of yours runs on a node '%s': 'lithops worker list' shows them", machine);
    for (size_t first = 0; first < count; first += AT_ONCE) {
        for (size_t i = first; i < count && i < first + AT_ONCE; i++)
            start(&all[i]);
        for (size_t i = first; i < count && i < first + AT_ONCE; i++)
            hear(&all[i], arguments, say, user);
    }
    free(all);
    free(text);
    return rc;
}
