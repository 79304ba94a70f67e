/* SPDX-License-Identifier: Apache-2.0 */
/* The state of our jobs, from squeue: asked once for all jobs, and not again for a while, since it
 * costs the controller as much as a scheduling pass. */
#include "base/clock.h"
#include "base/error.h"
#include "compute/backends/slurm/slurm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VIEW_BYTES = 256 << 10, ASK_MS = 20000 };

void lithops__slurm_queue_init(struct lithops__slurm_queue *queue)
{
    *queue = (struct lithops__slurm_queue){.text = NULL};
    pthread_mutex_init(&queue->lock, NULL);
}

void lithops__slurm_queue_deinit(struct lithops__slurm_queue *queue)
{
    free(queue->text);
    pthread_mutex_destroy(&queue->lock);
}

static int ask(struct lithops__slurm_queue *queue, int cancel_fd, lithops_error *err)
{
    char user[32], said[512];
    const char *words[] = {"squeue", "--noheader", user, "--states=all", "--format=%j|%i|%T|%r|%L",
                           NULL};
    snprintf(user, sizeof user, "--user=%u", (unsigned)getuid());
    if (!queue->text)
        queue->text = malloc(VIEW_BYTES);
    if (!queue->text)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = lithops__slurm_run((char *const *)words, cancel_fd, ASK_MS, queue->text, VIEW_BYTES,
                                said, sizeof said, err);
    queue->asked_ns = lithops__now_ns();
    return rc > 0 ? lithops__slurm_refuse(said, "squeue failed", err) : rc;
}

static void next_field(const char **at, char *buf, size_t size)
{
    size_t len = strcspn(*at, "|\n");
    snprintf(buf, size, "%.*s", (int)len, *at);
    *at += len + ((*at)[len] == '|');
}

/* [days-][hours:]minutes:seconds. @return -1: there is no limit, or none is known */
static int64_t parse_time(const char *text)
{
    long long fields[4] = {0}, days = 0;
    size_t count = 0;
    char *end;
    const char *dash = strchr(text, '-');
    if (dash)
        days = strtoll(text, NULL, 10);
    for (const char *at = dash ? dash + 1 : text; count < 3; at = end + 1) {
        fields[count] = strtoll(at, &end, 10);
        if (end == at)
            return -1;
        count++;
        if (*end != ':')
            break;
    }
    long long seconds = 0;
    for (size_t i = 0; i < count; i++)
        seconds = seconds * 60 + fields[i];
    if (dash && count < 3) /* of hours */
        for (; count < 3; count++)
            seconds *= 60;
    return days * 86400 + seconds;
}

static void find(const char *text, const char *name, const char *id,
                 struct lithops__slurm_state *ret)
{
    size_t len = strlen(name);
    char left[32];
    for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        if (strncmp(at, name, len) != 0 || at[len] != '|')
            continue;
        const char *field = at + len + 1;
        next_field(&field, ret->id, sizeof ret->id);
        if (id && strcmp(ret->id, id) != 0)
            continue;
        next_field(&field, ret->state, sizeof ret->state);
        next_field(&field, ret->reason, sizeof ret->reason);
        next_field(&field, left, sizeof left);
        ret->left_s = parse_time(left);
        ret->is_there = true;
        if (strcmp(ret->state, "PENDING") == 0 || strcmp(ret->state, "RUNNING") == 0)
            return; /* else an older job of this name */
    }
}

int lithops__slurm_queue_find(struct lithops__slurm_queue *queue, const char *name, const char *id,
                              uint32_t age_ms, int cancel_fd,
                              struct lithops__slurm_state *ret_state, lithops_error *err)
{
    int rc = 0;
    *ret_state = (struct lithops__slurm_state){.left_s = -1};
    pthread_mutex_lock(&queue->lock);
    uint64_t age_ns = lithops__now_ns() - queue->asked_ns;
    if (!queue->text || age_ns > age_ms * (uint64_t)1000000)
        rc = ask(queue, cancel_fd, err);
    if (rc == 0)
        find(queue->text, name, id, ret_state);
    pthread_mutex_unlock(&queue->lock);
    return rc;
}
