/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/carrier_broker_parts.h"

#include "carrier/notice.h"

#include <lithops/log.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct said said = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, ""};

void listen_to_log(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)level, (void)user;
    if (strcmp(where, "broker") != 0 && strcmp(where, "carrier") != 0)
        return;
    pthread_mutex_lock(&said.lock);
    size_t len = strlen(said.text);
    snprintf(said.text + len, sizeof said.text - len, "%s\n", text);
    pthread_cond_broadcast(&said.news);
    pthread_mutex_unlock(&said.lock);
}

void use(const struct kind *kind, double interval)
{
    monitoring = kind->name;
    broker_section = kind->section;
    monitoring_interval = interval;
    pthread_mutex_lock(&said.lock);
    said.text[0] = '\0';
    pthread_mutex_unlock(&said.lock);
}

/* [lock] */
unsigned count_said(const char *text)
{
    unsigned count = 0;
    for (const char *at = said.text; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

/* Until it has been said so often. The test's time limit ends it. */
void await_said(const char *text, unsigned times)
{
    pthread_mutex_lock(&said.lock);
    while (count_said(text) < times)
        pthread_cond_wait(&said.news, &said.lock);
    pthread_mutex_unlock(&said.lock);
}

static void kill_server(const struct kind *kind)
{
    int pid = 0;
    FILE *file = fopen(getenv(kind->pid_file), "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    assert_int_equal(kill(pid, SIGKILL), 0);
}

/* A look every hour: but for what notices say, nothing would be known. */
void notices_are_enough(const struct kind *kind, unsigned most)
{
    struct both both;
    use(kind, 3600);
    connect_both(&both);
    await_said("is there", 2);
    unsigned lists, reads; /* of a round, until both sides have notices that are in time */
    do {
        talk(&both);
        lists = atomic_load(&server.lists);
        reads = atomic_load(&server.reads);
        for (int i = 0; i < 5; i++)
            talk(&both);
        lists = atomic_load(&server.lists) - lists;
        reads = atomic_load(&server.reads) - reads;
    } while (lists > most || reads > 2 * most);
    end_both(&both);
}

void long_objects_are_fetched(const struct kind *kind)
{
    struct both both;
    use(kind, 3600);
    connect_both(&both);
    await_said("is there", 2);
    talk(&both);
    static const size_t sizes[] = {2 * LITHOPS__NOTICE_OBJECT, 100, 50 << 10, 100};
    for (uint32_t i = 0; i < 4; i++) {
        say(both.worker, LITHOPS__MESSAGE_OUTCOMES, LITHOPS__FRAME_SOON, i, sizes[i]);
        hear(both.client, LITHOPS__MESSAGE_OUTCOMES, i, sizes[i]);
        say(both.client, LITHOPS__MESSAGE_RUN, 0, i, sizes[i]);
        hear(both.worker, LITHOPS__MESSAGE_RUN, i, sizes[i]);
    }
    end_both(&both);
}

/* Both sides go on through the storage, and with the broker when it is back. */
void a_broker_may_die(const struct kind *kind)
{
    struct both both;
    use(kind, 0.2);
    connect_both(&both);
    await_said("is there", 2);
    talk(&both);
    kill_server(kind);
    await_said("jobs go on through the storage alone", 2);
    talk(&both);
    await_said("is there again", 2);
    talk(&both);
    end_both(&both);
}

/* The job goes on, and one warning says why it is slower. */
void goes_on_without(lithops_value *(*section)(void), const char *name, const char *message)
{
    const struct kind kind = {name, section, NULL};
    struct both both;
    use(&kind, 0.2);
    connect_both(&both);
    talk(&both);
    await_said(message, 1);
    pthread_mutex_lock(&said.lock);
    if (strstr(said.text, "wrong-password"))
        fail_msg("a password is in the log: %s", said.text);
    assert_in_range(count_said("jobs go on through the storage alone"), 1, 2); /* each side */
    pthread_mutex_unlock(&said.lock);
    end_both(&both);
}
