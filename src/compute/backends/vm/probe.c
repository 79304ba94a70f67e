/* SPDX-License-Identifier: Apache-2.0 */
/* Asks all hosts at the same time what they have, or what a command says there, or has them start
 * a worker. */
#include "base/error.h"
#include "compute/backends/vm/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { AT_ONCE = 128, EXIT_MS = 1000 };

struct asked {
    const struct lithops__vm_options *options;
    const struct lithops__vm_host *host;
    pthread_t thread;
    bool has_thread, is_there;
    const char *arguments; /* of a command to run there; NULL: what is it? */
    bool starts;           /* a worker */
    struct lithops__buffer said;
};

static void describe(struct asked *asked, const struct lithops__bootstrap_answer *answer)
{
    lithops__buffer_printf(
        &asked->said,
        "%s%s%s, %s, %d CPUs, %.1f GiB, Python %s, round trip %.1f ms, cache %lld MiB",
        answer->container, answer->container[0] ? " container, " : "", answer->machine,
        answer->libc, answer->cpus, (double)answer->memory_mb / 1024,
        answer->pythons[0] ? answer->pythons : "none", (double)answer->round_trip_ns / 1e6,
        (long long)answer->cache_mb);
}

static void describe_start(struct asked *asked, const struct lithops__bootstrap_answer *answer)
{
    lithops__buffer_printf(
        &asked->said, "ready, %s%s%s, %s, %d CPUs, %.1f GiB%s", answer->container,
        answer->container[0] ? " container, " : "", answer->machine, answer->libc, answer->cpus,
        (double)answer->memory_mb / 1024, answer->has_engine ? "" : "; the engine was sent");
}

static int talk(struct asked *asked, int fd, lithops_error *err)
{
    struct lithops__bootstrap_answer answer;
    const struct lithops__bootstrap wanted =
        lithops__vm_wants(asked->options, asked->host, NULL, !asked->starts);
    if (asked->arguments)
        return lithops__bootstrap_ask(fd, asked->arguments, wanted.timeout_s, &asked->said, err);
    int rc = lithops__bootstrap(fd, -1, &wanted, &answer, err);
    if (rc == 0)
        (asked->starts ? describe_start : describe)(asked, &answer);
    return rc;
}

static void *ask(void *user)
{
    struct asked *asked = user;
    struct lithops__child child = {.log_fd = -1};
    lithops_error err = LITHOPS_ERROR_INIT;
    siginfo_t status;
    int fd = -1;
    int rc = lithops__vm_spawn(asked->options, asked->host, lithops__bootstrap_command, &child, &fd,
                               &err);
    if (rc == 0)
        rc = talk(asked, fd, &err);
    if (fd >= 0)
        close(fd);
    asked->is_there = rc == 0;
    if (rc == 0) {
        lithops__child_reap(&child, EXIT_MS, &status);
    } else {
        if (fd >= 0)
            rc = lithops__vm_give_up(asked->options, asked->host, &child, &err);
        lithops__buffer_deinit(&asked->said);
        lithops__buffer_append_string(&asked->said, err.message);
    }
    lithops__child_close_log(&child);
    return NULL;
}

static void say_all(struct asked *all, uint32_t count, lithops__probe_say say, void *user)
{
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].has_thread)
            pthread_join(all[i].thread, NULL);
        lithops__buffer_append(&all[i].said, "", 1); /* its end */
        say(user, all[i].host->label, all[i].is_there,
            all[i].said.failed ? "out of memory" : (const char *)all[i].said.data);
        lithops__buffer_deinit(&all[i].said);
    }
}

static uint32_t ask_all(const struct lithops__vm_options *options,
                        const struct lithops__vm_hosts *hosts, const struct asked *question,
                        lithops__probe_say say, void *user)
{
    uint32_t there = 0;
    struct asked *all = calloc(AT_ONCE, sizeof *all);
    for (uint32_t first = 0; all && first < hosts->count; first += AT_ONCE) {
        uint32_t count = hosts->count - first < AT_ONCE ? hosts->count - first : AT_ONCE;
        for (uint32_t i = 0; i < count; i++) {
            all[i] = *question;
            all[i].options = options;
            all[i].host = &hosts->hosts[first + i];
            all[i].has_thread = pthread_create(&all[i].thread, NULL, ask, &all[i]) == 0;
            if (!all[i].has_thread)
                ask(&all[i]);
        }
        say_all(all, count, say, user);
        for (uint32_t i = 0; i < count; i++)
            there += all[i].is_there;
    }
    free(all);
    return there;
}

uint32_t lithops__vm_probe(const struct lithops__vm_options *options,
                           const struct lithops__vm_hosts *hosts, bool start,
                           lithops__probe_say say, void *user)
{
    const struct asked question = {.starts = start, .said = LITHOPS__BUFFER_INIT};
    return ask_all(options, hosts, &question, say, user);
}

void lithops__vm_ask(const struct lithops__vm_options *options,
                     const struct lithops__vm_hosts *hosts, const char *arguments,
                     lithops__probe_say say, void *user)
{
    const struct asked question = {.arguments = arguments, .said = LITHOPS__BUFFER_INIT};
    (void)ask_all(options, hosts, &question, say, user);
}
