/* SPDX-License-Identifier: Apache-2.0 */
/* One thread has the connection: it sends what others have put into the outbox, takes what comes,
 * and connects again. An event wakes it.
 *
 * States: CONNECTING, for the first time: the outbox waits. UP. AWAY: what is sent is dropped,
 * since by the time that the server is back, whoever it was for has found it in the storage. */
#include "broker/broker.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "broker/driver.h"
#include "ipc/area.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const uint64_t connect_ns = 10000000000, send_ns = 10000000000,
                      end_ns = 1000000000, /* for what is left */
    steady_ns = 10000000000;               /* a connection that breaks sooner is no good one */
enum { FIRST_PAUSE_MS = 250, LONGEST_PAUSE_MS = 15000, MOST_WAITING = 4096, MOST_BYTES = 16 << 20 };

enum state { CONNECTING, UP, AWAY };

struct letter {
    struct letter *next;
    bool drops; /* the inbox, and is no notice */
    size_t len;
    char *inbox; /* both behind the letter */
    char *bytes;
};

struct lithops__broker {
    const struct lithops__broker_driver *driver;
    struct lithops__broker_events events;
    void *state_of_driver;
    char *inbox;
    pthread_t thread;
    int wake_fd;
    _Atomic uint64_t ending_ns; /* 0: not yet */
    pthread_mutex_t lock;
    struct letter *first, **last;  /* [lock] the outbox */
    size_t waiting, waiting_bytes; /* [lock] letters in it */
    enum state state;              /* [lock] to change it */
    unsigned pause_ms;             /* before it connects again */
    bool is_unsteady;              /* the last connection soon broke: the log has said so */
};

/* ---- the outbox ------------------------------------------------------------------------------ */

static struct letter *take_all(struct lithops__broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    struct letter *first = broker->first;
    broker->first = NULL;
    broker->last = &broker->first;
    broker->waiting = broker->waiting_bytes = 0;
    pthread_mutex_unlock(&broker->lock);
    return first;
}

static void free_letters(struct letter *letter)
{
    while (letter) {
        struct letter *next = letter->next;
        free(letter);
        letter = next;
    }
}

static struct letter *write_letter(const char *inbox, lithops_bytes notice)
{
    size_t name = strlen(inbox) + 1;
    struct letter *letter = malloc(sizeof *letter + name + notice.len);
    if (!letter)
        return NULL;
    *letter = (struct letter){.len = notice.len};
    letter->inbox = memcpy(letter + 1, inbox, name);
    letter->bytes = memcpy(letter->inbox + name, notice.ptr, notice.len);
    return letter;
}

size_t lithops__broker_longest(const struct lithops__broker *broker)
{
    return broker->driver->longest ? broker->driver->longest : LITHOPS__BROKER_NOTICE;
}

/* Takes the letter, which may be NULL. */
static void post(struct lithops__broker *broker, struct letter *letter)
{
    pthread_mutex_lock(&broker->lock);
    bool goes = letter && broker->state != AWAY && broker->waiting < MOST_WAITING &&
                letter->len <= MOST_BYTES - broker->waiting_bytes;
    if (goes) {
        *broker->last = letter;
        broker->last = &letter->next;
        broker->waiting++;
        broker->waiting_bytes += letter->len;
    }
    pthread_mutex_unlock(&broker->lock);
    if (goes)
        (void)eventfd_write(broker->wake_fd, 1);
    else
        free(letter);
}

void lithops__broker_send(struct lithops__broker *broker, const char *inbox, lithops_bytes notice)
{
    post(broker, write_letter(inbox, notice));
}

bool lithops__broker_drops(const struct lithops__broker *broker)
{
    return broker->driver->drop != NULL;
}

void lithops__broker_drop(struct lithops__broker *broker, const char *inbox)
{
    struct letter *letter =
        broker->driver->drop ? write_letter(inbox, (lithops_bytes){"", 0}) : NULL;
    if (letter)
        letter->drops = true;
    post(broker, letter);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static bool is_over(void *user)
{
    struct lithops__broker *broker = user;
    uint64_t ending = atomic_load(&broker->ending_ns);
    return ending && (broker->state == CONNECTING || lithops__now_ns() >= ending + end_ns);
}

static struct lithops__bounds bounds_of(struct lithops__broker *broker, uint64_t ns)
{
    return (struct lithops__bounds){lithops__now_ns() + ns, is_over, broker};
}

static void set_state(struct lithops__broker *broker, enum state state)
{
    pthread_mutex_lock(&broker->lock);
    broker->state = state;
    pthread_mutex_unlock(&broker->lock);
    if (state == AWAY)
        free_letters(take_all(broker));
}

/* Until somebody wakes us, or `fd` is readable. */
static void sleep_on(const struct lithops__broker *broker, int fd, int ms)
{
    struct pollfd fds[] = {{broker->wake_fd, POLLIN, 0}, {fd, POLLIN, 0}};
    eventfd_t count;
    if (poll(fds, 2, ms) > 0 && fds[0].revents)
        (void)eventfd_read(broker->wake_fd, &count);
}

static void complain(struct lithops__broker *broker, enum state before, const lithops_error *err)
{
    if (atomic_load(&broker->ending_ns) || before == AWAY)
        return;
    lithops__log(LITHOPS_LOG_WARNING, "broker",
                 "%s; jobs go on through the storage alone, and outcomes are known later",
                 err->message);
}

/* Before it connects again. */
static void rest(struct lithops__broker *broker)
{
    uint64_t until = lithops__now_ns() + (uint64_t)broker->pause_ms * 1000000, now;
    while (atomic_load(&broker->ending_ns) == 0 && (now = lithops__now_ns()) < until)
        sleep_on(broker, -1, (int)((until - now) / 1000000 + 1));
    broker->pause_ms =
        broker->pause_ms * 2 < LONGEST_PAUSE_MS ? broker->pause_ms * 2 : LONGEST_PAUSE_MS;
}

static bool is_connected(struct lithops__broker *broker)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    const struct lithops__bounds bounds = bounds_of(broker, connect_ns);
    enum state before = broker->state;
    if (broker->driver->connect(broker->state_of_driver, broker->inbox, &bounds, &err) == 0) {
        bool is_news = before == AWAY && !broker->is_unsteady;
        lithops__log(is_news ? LITHOPS_LOG_WARNING : LITHOPS_LOG_DEBUG, "broker", "%s is there%s",
                     broker->driver->name, before == AWAY ? " again" : "");
        set_state(broker, UP);
        return true;
    }
    complain(broker, before, &err);
    set_state(broker, AWAY);
    return false;
}

static int send_all(struct lithops__broker *broker, lithops_error *err)
{
    struct letter *first = take_all(broker);
    int rc = 0;
    for (const struct letter *letter = first; rc == 0 && letter; letter = letter->next) {
        const struct lithops__bounds bounds = bounds_of(broker, send_ns);
        rc = letter->drops
                 ? broker->driver->drop(broker->state_of_driver, letter->inbox, &bounds, err)
                 : broker->driver->send(broker->state_of_driver, letter->inbox,
                                        (lithops_bytes){letter->bytes, letter->len}, &bounds, err);
    }
    free_letters(first);
    return rc;
}

/* While the connection holds. */
static void exchange(struct lithops__broker *broker)
{
    const struct lithops__broker_driver *driver = broker->driver;
    const uint64_t begin_ns = lithops__now_ns();
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = 0;
    for (bool ends = false; rc == 0 && !ends;) {
        const struct lithops__bounds bounds = bounds_of(broker, send_ns);
        ends = atomic_load(&broker->ending_ns) != 0; /* before what was sent last is taken */
        rc = send_all(broker, &err);
        if (rc == 0)
            rc = driver->receive(broker->state_of_driver, broker->events.notice,
                                 broker->events.user, &bounds, &err);
        if (rc == 0 && !ends)
            sleep_on(broker, driver->fd(broker->state_of_driver),
                     (int)(driver->wait_ms ? driver->wait_ms(broker->state_of_driver)
                                           : driver->beat_ms));
    }
    driver->disconnect(broker->state_of_driver);
    if (rc == 0)
        return;
    bool is_steady = lithops__now_ns() - begin_ns >= steady_ns;
    if (is_steady)
        broker->pause_ms = FIRST_PAUSE_MS;
    complain(broker, broker->is_unsteady && !is_steady ? AWAY : UP, &err);
    broker->is_unsteady = !is_steady;
    set_state(broker, AWAY);
    broker->events.lost(broker->events.user);
}

static void *serve(void *user)
{
    struct lithops__broker *broker = user;
    broker->pause_ms = FIRST_PAUSE_MS;
    while (atomic_load(&broker->ending_ns) == 0) {
        if (is_connected(broker))
            exchange(broker);
        rest(broker);
    }
    return NULL;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void destroy(struct lithops__broker *broker)
{
    broker->driver->close(broker->state_of_driver);
    free_letters(take_all(broker));
    if (broker->wake_fd >= 0)
        close(broker->wake_fd);
    pthread_mutex_destroy(&broker->lock);
    free(broker->state_of_driver);
    free(broker->inbox);
    free(broker);
}

static int start(struct lithops__broker *broker, lithops_error *err)
{
    broker->wake_fd = lithops__high_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int rc = broker->wake_fd < 0 ? errno : lithops__thread_start(&broker->thread, serve, broker);
    return rc ? lithops__fail_errno(err, rc, "cannot start a thread") : 0;
}

int lithops__broker_start(const struct lithops__broker_driver *driver,
                          const lithops_value *settings, const char *inbox,
                          const struct lithops__broker_events *events, struct lithops__broker **ret,
                          lithops_error *err)
{
    struct lithops__broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    broker->driver = driver;
    broker->events = *events;
    broker->wake_fd = -1;
    broker->last = &broker->first;
    pthread_mutex_init(&broker->lock, NULL);
    broker->inbox = strdup(inbox);
    broker->state_of_driver = calloc(1, driver->state_size);
    if (!broker->inbox || !broker->state_of_driver) {
        pthread_mutex_destroy(&broker->lock);
        free(broker->state_of_driver);
        free(broker->inbox);
        free(broker);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    int rc = driver->open(broker->state_of_driver, settings, err);
    if (rc == 0)
        rc = start(broker, err);
    if (rc == 0)
        *ret = broker;
    else
        destroy(broker);
    return rc;
}

void lithops__broker_close(struct lithops__broker *broker)
{
    if (!broker)
        return;
    atomic_store(&broker->ending_ns, lithops__now_ns());
    (void)eventfd_write(broker->wake_fd, 1);
    pthread_join(broker->thread, NULL);
    destroy(broker);
}
