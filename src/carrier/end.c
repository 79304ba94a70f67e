/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/end.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "ipc/area.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OBJECT_BYTES = 4 << 20, /* an object is not larger than this and one read */
    READ_BYTES = 256 << 10,
    SWEEP_KEYS = 1000,
    ATTEMPTS = 9, /* of a request: a storage may be away for 13 s */
};
static const uint64_t spacing_ns = 20000000, /* between two objects, while they are small, */
    ahead_ns = 60000000,                     /* in the long run: so much of it may be ahead */
    quiet_ns = 250000,                       /* so long more may come that goes with it */
    grace_ns = 1000000000,                   /* for the last requests of an end */
    hello_ns = 30000000000,                  /* for as long a client waits for its worker */
    gap_ns = 10000000000,                    /* longer than any list or storage lags */
    notice_ns = 400000000,                   /* that a late notice is given */
    late_ns = 2000000000,                    /* notices come, if one has come since */
    patience_ns = 300000000000;              /* a client that says nothing for so long is gone */

static _Thread_local const _Atomic uint64_t *heeded;

void lithops__carrier_heed(const _Atomic uint64_t *ending_ns)
{
    heeded = ending_ns;
}

static bool is_interrupted(void *user)
{
    (void)user;
    uint64_t ending = heeded ? atomic_load(heeded) : 0;
    return ending && lithops__now_ns() >= ending + grace_ns;
}

int lithops__carrier_bound(lithops_storage *storage, lithops_error *err)
{
    lithops__storage_set_retries(storage, ATTEMPTS, 100);
    return lithops_storage_set_bounds(storage, LITHOPS_FOREVER, is_interrupted, NULL, err);
}

void lithops__carrier_pace(const struct lithops__config *config, struct lithops__pace *ret)
{
    double look = lithops__config_double(config, "lithops", "monitoring_interval");
    double status = lithops__config_double(config, "lithops", "status_interval");
    *ret =
        (struct lithops__pace){(uint64_t)(look * 1e9), (uint64_t)(status * 1e9), hello_ns, gap_ns};
}

int lithops__carrier_token(char token[LITHOPS__CARRIER_TOKEN + 1], lithops_error *err)
{
    uint32_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return lithops__fail_errno(err, errno, "no random numbers for a key");
    snprintf(token, LITHOPS__CARRIER_TOKEN + 1, "%08x", random);
    return 0;
}

/* The storage fails: whoever has the link sees its end. */
static void give_up(struct lithops__end *end, const lithops_error *err)
{
    pthread_mutex_lock(&end->lock);
    bool is_first = end->broken.code == 0 && atomic_load(&end->ending_ns) == 0;
    if (is_first)
        end->broken = *err;
    pthread_mutex_unlock(&end->lock);
    if (is_first)
        lithops__log(LITHOPS_LOG_WARNING, "carrier", "%s", err->message);
    (void)shutdown(end->fd, SHUT_RDWR);
}

/* ---- sending --------------------------------------------------------------------------------- */

struct outbox {
    struct lithops__buffer bytes;
    struct lithops__scan scan;
    unsigned found;             /* in the bytes */
    uint64_t first_ns, last_ns; /* of the bytes */
    uint64_t spaced_ns;         /* when objects would have gone, had they kept their distance */
    uint32_t count;
};

/* When the bytes are to go. */
static uint64_t due(const struct lithops__end *end, const struct outbox *box)
{
    if (box->bytes.len == 0)
        return UINT64_MAX;
    if (box->bytes.len >= OBJECT_BYTES)
        return 0;
    if (!(box->found & LITHOPS__SCAN_URGENT) && box->scan.skip == 0)
        return box->first_ns + end->pace.status_ns;
    /* A few may follow each other at once: hello, the answer to the client's question for the time,
     * and the first outcome, which it waits for. */
    uint64_t quiet = box->last_ns + quiet_ns,
             spaced = box->spaced_ns > ahead_ns ? box->spaced_ns - ahead_ns : 0;
    return quiet > spaced ? quiet : spaced;
}

static int put(struct lithops__end *end, struct outbox *box, lithops_error *err)
{
    char key[sizeof end->cut_off];
    pthread_mutex_lock(&end->lock);
    snprintf(key, sizeof key, "%s%010u", end->out, box->count);
    pthread_mutex_unlock(&end->lock);
    atomic_fetch_add(&end->requests, 1);
    int rc = box->bytes.failed
                 ? lithops__fail(err, LITHOPS_ENOMEM, "out of memory")
                 : lithops_storage_put(end->storage, lithops_storage_bucket(end->storage), key,
                                       (lithops_bytes){box->bytes.data, box->bytes.len}, err);
    if (rc == LITHOPS_ECANCELED || rc == LITHOPS_ETIMEDOUT || rc == LITHOPS_EBACKEND)
        memcpy(end->cut_off, key, sizeof end->cut_off);
    if (rc != 0)
        return rc;
    uint64_t now = lithops__now_ns();
    if (box->found & LITHOPS__SCAN_NEWS)
        atomic_store(&end->traffic_ns, now);
    pthread_mutex_lock(&end->lock);
    end->has_put = true;
    if (!atomic_load(&end->was_told))
        memcpy(end->last, key, sizeof end->last);
    pthread_mutex_unlock(&end->lock);
    end->was_put(end, box->count, (lithops_bytes){box->bytes.data, box->bytes.len}, end->user);
    box->count++;
    box->spaced_ns = (box->spaced_ns > now ? box->spaced_ns : now) + spacing_ns;
    box->found = 0;
    box->bytes.len = 0;
    return 0;
}

/* What there is to read. False: it was the end. */
static bool read_some(const struct lithops__end *end, struct outbox *box)
{
    void *room = lithops__buffer_reserve(&box->bytes, READ_BYTES);
    ssize_t n = room ? recv(end->fd, room, READ_BYTES, MSG_DONTWAIT) : 0;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    box->last_ns = lithops__now_ns();
    if (box->bytes.len == 0)
        box->first_ns = box->last_ns;
    bool is_inside = box->scan.skip > 0 || box->scan.have > 0;
    box->found |= lithops__scan_feed(&box->scan, room, (size_t)n);
    if (is_inside) /* the rest of something */
        box->found |= LITHOPS__SCAN_NEWS;
    box->bytes.len += (size_t)n;
    return true;
}

static void *send_all(void *user)
{
    struct lithops__end *end = user;
    struct outbox box = {.bytes = LITHOPS__BUFFER_INIT};
    lithops_error err = LITHOPS_ERROR_INIT;
    int rc = 0;
    lithops__carrier_heed(&end->ending_ns);
    for (bool open = true; rc == 0 && open;) {
        uint64_t now = lithops__now_ns(), until = due(end, &box);
        struct timespec wait = {0};
        if (until > now) {
            uint64_t left = until == UINT64_MAX ? 0 : until - now;
            wait = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
        }
        struct pollfd fd = {end->fd, POLLIN, 0};
        if (ppoll(&fd, 1, until == UINT64_MAX ? NULL : &wait, NULL) > 0 &&
            box.bytes.len < OBJECT_BYTES)
            open = read_some(end, &box);
        if (atomic_load(&end->was_told))
            box.bytes.len = 0;
        if (box.bytes.len && (!open || lithops__now_ns() >= due(end, &box)))
            rc = put(end, &box, &err);
    }
    if (rc != 0)
        give_up(end, &err);
    lithops__buffer_deinit(&box.bytes);
    return NULL;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* The key of the next object. */
static void next_key(struct lithops__end *end, char *key, size_t size)
{
    pthread_mutex_lock(&end->lock);
    bool is_new = end->hello[0] && !end->has_put;
    snprintf(key, size, "%s%010u", is_new ? end->hello : end->in, atomic_load(&end->taken));
    pthread_mutex_unlock(&end->lock);
}

uint64_t lithops__end_grace(const struct lithops__end *end)
{
    uint64_t noticed = atomic_load(&end->noticed_ns), now = lithops__now_ns();
    return noticed && now - noticed < late_ns ? notice_ns : 0;
}

/* [lock] When to look for the next object, unless something is heard of it. */
static uint64_t next_look(const struct lithops__end *end)
{
    bool is_known = end->there > atomic_load(&end->taken);
    if (atomic_load(&end->was_told))
        return UINT64_MAX;
    if (end->is_last)
        return 0;
    if (!is_known && !end->asks)
        return UINT64_MAX;
    uint64_t grace = is_known ? 0 : lithops__end_grace(end);
    if (end->missed_ns == 0)
        return grace ? end->heard_ns + grace : 0;
    if (!is_known && atomic_load(&end->has_notices))
        return end->missed_ns + end->pace.longest_ns;
    uint64_t traffic = atomic_load(&end->traffic_ns), missed = end->missed_ns;
    uint64_t wait = lithops__pace_look(&end->pace, missed > traffic ? missed - traffic : 0);
    return missed + (wait > grace ? wait : grace);
}

/* The object came with a notice: it is the caller's. */
static bool take_handed(struct lithops__end *end, void **ret_data, size_t *ret_len)
{
    if (!end->handed || end->handed_number != atomic_load(&end->taken))
        return false;
    *ret_data = end->handed;
    *ret_len = end->handed_len;
    end->handed = NULL;
    return true;
}

/* Until it is time for the next object, which may be there already: then *ret_data is it. False:
 * it is over. */
static bool await_object(struct lithops__end *end, void **ret_data, size_t *ret_len)
{
    pthread_mutex_lock(&end->lock);
    while (atomic_load(&end->ending_ns) == 0 && !take_handed(end, ret_data, ret_len)) {
        uint64_t until = next_look(end);
        const struct timespec at = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
        if (until == UINT64_MAX)
            pthread_cond_wait(&end->news, &end->lock);
        else if (lithops__now_ns() < until)
            (void)pthread_cond_timedwait(&end->news, &end->lock, &at);
        else
            break;
    }
    bool goes_on = atomic_load(&end->ending_ns) == 0 && end->in[0]; /* else it said nothing */
    pthread_mutex_unlock(&end->lock);
    return goes_on;
}

/* The client is gone; or it was never there for this worker, as its hello was for another one, or
 * is too old. */
static bool has_no_client(struct lithops__end *end, uint64_t now)
{
    bool is_new = atomic_load(&end->taken) == 0;
    uint64_t most_ns = is_new ? end->pace.hello_ns : patience_ns;
    if (now - end->heard_ns <= most_ns)
        return false;
    lithops__log(LITHOPS_LOG_WARNING, "carrier", "the client said nothing for %g s%s",
                 (double)most_ns / 1e9, is_new ? ": it has another worker, or is gone" : "");
    end->is_orphan = !is_new;
    return true;
}

static int find_later(const lithops_object_info *info, void *user)
{
    const struct lithops__end *end = user;
    const char *slash = strrchr(info->key, '/');
    return slash && strtoul(slash + 1, NULL, 10) > atomic_load(&end->taken);
}

/* Whoever asks for one object after the other does not see that later ones are there. Where nothing
 * was heard for long, look. */
static void look_for_gap(struct lithops__end *end, uint64_t now)
{
    uint64_t last = end->heard_ns > end->probed_ns ? end->heard_ns : end->probed_ns;
    if (!end->asks || now - last <= end->pace.gap_ns)
        return;
    end->probed_ns = now;
    atomic_fetch_add(&end->requests, 1);
    if (lithops_storage_list(end->storage, lithops_storage_bucket(end->storage), end->in,
                             find_later, end, NULL) == 1)
        lithops__end_tell(end, atomic_load(&end->taken) + 1);
}

/* Somebody else has deleted the next object: it will never come, though its writer is alive. */
static bool has_gap(struct lithops__end *end, bool is_known, uint64_t now)
{
    if (!is_known || end->gap_ns == 0)
        end->gap_ns = is_known ? now : 0;
    if (!is_known || now - end->gap_ns <= end->pace.gap_ns)
        return false;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops__fail(&err, LITHOPS_EIO,
                  "object %u of a link is missing, though later ones are there: while jobs run, "
                  "nothing else may delete what is below lithops.jobs/ in the bucket '%s'",
                  atomic_load(&end->taken), lithops_storage_bucket(end->storage));
    give_up(end, &err);
    return true;
}

/* The next object is not there yet. False: it is over. */
static bool has_patience(struct lithops__end *end)
{
    uint64_t now = lithops__now_ns();
    pthread_mutex_lock(&end->lock);
    end->missed_ns = now;
    bool is_last = end->is_last, is_known = end->there > atomic_load(&end->taken);
    pthread_mutex_unlock(&end->lock);
    if (is_last || has_gap(end, is_known, now) || (end->asks && has_no_client(end, now)))
        return false;
    look_for_gap(end, now);
    return true;
}

/* The object is read. One that was found though no notice came says that notices are lost; else
 * there is nothing to look for before the next one. */
static void count_taken(struct lithops__end *end)
{
    pthread_mutex_lock(&end->lock);
    uint32_t taken = atomic_fetch_add(&end->taken, 1);
    if (taken >= end->there)
        atomic_store(&end->has_notices, false);
    end->missed_ns = atomic_load(&end->has_notices) ? lithops__now_ns() : 0;
    pthread_mutex_unlock(&end->lock);
}

static bool pass_on(const struct lithops__end *end, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(end->fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* The worker's: what the client wrote is not needed any more. The client would delete it at the
 * end, so a failure does no harm. */
static void forget(struct lithops__end *end, char *key)
{
    if (key[0] && end->asks && !atomic_load(&end->was_told))
        (void)lithops_storage_delete(end->storage, lithops_storage_bucket(end->storage), key, NULL);
    key[0] = '\0';
}

/* The hello goes at once, as no other worker is to find it. What comes after it goes when the next
 * object has come: by then the request that put it is answered. It can be read before, but Ceph
 * lists an object for ever that is deleted while it is being put and others list. */
static void forget_in_turn(struct lithops__end *end, char *last, const char *key)
{
    forget(end, last);
    memcpy(last, key, strlen(key) + 1);
    if (end->hello[0] && strncmp(key, end->hello, strlen(end->hello)) == 0)
        forget(end, last);
}

static int get(struct lithops__end *end, const char *key, void **ret_data, size_t *ret_len,
               lithops_error *err)
{
    atomic_fetch_add(&end->requests, 1);
    return lithops_storage_get(end->storage, lithops_storage_bucket(end->storage), key, 0, SIZE_MAX,
                               ret_data, ret_len, err);
}

/* Nobody reads what a worker writes after BYE. That object stays: whoever deletes it says that
 * nothing comes any more (worker.c). */
static void be_told(struct lithops__end *end, const char *key)
{
    pthread_mutex_lock(&end->lock);
    snprintf(end->last, sizeof end->last, "%s", key);
    atomic_store(&end->was_told, true);
    pthread_mutex_unlock(&end->lock);
}

static bool pass_object_on(struct lithops__end *end, struct lithops__scan *scan, const char *key,
                           const void *data, size_t len)
{
    bool is_inside = scan->skip > 0 || scan->have > 0;
    unsigned found = lithops__scan_feed(scan, data, len);
    uint64_t now = lithops__now_ns();
    if (found & LITHOPS__SCAN_NEWS || is_inside)
        atomic_store(&end->traffic_ns, now);
    if (end->asks && found & LITHOPS__SCAN_BYE)
        be_told(end, key);
    end->heard_ns = now;
    end->gap_ns = 0;
    bool goes_on = pass_on(end, data, len);
    count_taken(end);
    return goes_on;
}

/* @return whether it is there */
static bool look_for_bye_at(struct lithops__end *end, struct lithops__scan *scan, const char *key)
{
    void *data = NULL;
    size_t len = 0;
    if (get(end, key, &data, &len, NULL) != 0)
        return false;
    if (lithops__scan_feed(scan, data, len) & LITHOPS__SCAN_BYE)
        be_told(end, key);
    free(data);
    count_taken(end);
    return true;
}

/* The worker ends, and was not told to. A client that hangs up has written BYE before
 * (relay/connect.c), and reads nothing any more: it may only not have been read here. It lies where
 * a new worker looks if the client has not seen that this one is there. */
static void look_for_bye(struct lithops__end *end, struct lithops__scan *scan)
{
    char key[LITHOPS__CARRIER_KEY + 16];
    pthread_mutex_lock(&end->lock);
    bool is_broken = end->broken.code != 0;
    pthread_mutex_unlock(&end->lock);
    uint32_t taken = atomic_load(&end->taken);
    if (!end->asks || is_broken || taken == 0)
        return;
    snprintf(key, sizeof key, "%s%010u", end->hello, taken);
    if (taken == 1 && look_for_bye_at(end, scan, key))
        return;
    do {
        snprintf(key, sizeof key, "%s%010u", end->in, atomic_load(&end->taken));
    } while (!atomic_load(&end->was_told) && look_for_bye_at(end, scan, key));
}

static void *receive_all(void *user)
{
    struct lithops__end *end = user;
    struct lithops__scan scan = {.have = 0};
    lithops_error err = LITHOPS_ERROR_INIT;
    char key[LITHOPS__CARRIER_KEY + 16], last[sizeof key] = ""; /* that is not deleted yet */
    void *data = NULL;
    size_t len = 0;
    lithops__carrier_heed(&end->ending_ns);
    for (bool goes_on = true; goes_on && await_object(end, &data, &len); data = NULL) {
        next_key(end, key, sizeof key);
        int rc = data ? 0 : get(end, key, &data, &len, &err);
        if (rc == 0) {
            goes_on = pass_object_on(end, &scan, key, data, len);
            free(data);
            forget_in_turn(end, last, key);
        } else if (rc == LITHOPS_ENOTFOUND) {
            goes_on = has_patience(end);
        } else {
            give_up(end, &err);
            goes_on = false;
            last[0] = '\0'; /* nor could it be deleted */
        }
    }
    forget(end, last);
    look_for_bye(end, &scan);
    (void)shutdown(end->fd, SHUT_WR);
    return NULL;
}

/* [lock] */
static void note(struct lithops__end *end, uint32_t there)
{
    if (there > end->there) {
        end->there = there;
        end->missed_ns = 0;
        pthread_cond_signal(&end->news);
    }
}

void lithops__end_tell(struct lithops__end *end, uint32_t there)
{
    pthread_mutex_lock(&end->lock);
    if (there > end->there)
        atomic_store(&end->has_notices, false);
    note(end, there);
    pthread_mutex_unlock(&end->lock);
}

/* One object at a time is kept here. Others are in the storage. */
void lithops__end_notice(struct lithops__end *end, uint32_t number, lithops_bytes object)
{
    uint32_t taken = atomic_load(&end->taken);
    void *copy = object.len > 0 && number >= taken ? malloc(object.len) : NULL;
    if (copy)
        memcpy(copy, object.ptr, object.len);
    pthread_mutex_lock(&end->lock);
    atomic_store(&end->has_notices, true);
    atomic_store(&end->noticed_ns, lithops__now_ns());
    if (copy && (!end->handed || end->handed_number < atomic_load(&end->taken))) {
        free(end->handed);
        end->handed = copy;
        end->handed_len = object.len;
        end->handed_number = number;
        copy = NULL;
    }
    note(end, number + 1);
    pthread_mutex_unlock(&end->lock);
    free(copy);
}

void lithops__end_unnoticed(struct lithops__end *end)
{
    pthread_mutex_lock(&end->lock);
    atomic_store(&end->has_notices, false);
    atomic_store(&end->noticed_ns, 0);
    pthread_cond_signal(&end->news);
    pthread_mutex_unlock(&end->lock);
}

void lithops__end_last(struct lithops__end *end)
{
    pthread_mutex_lock(&end->lock);
    end->is_last = true;
    pthread_cond_signal(&end->news);
    pthread_mutex_unlock(&end->lock);
}

/* ---- beginning and ending -------------------------------------------------------------------- */

static int open_fds(struct lithops__end *end, int *ret_fd)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    *ret_fd = lithops__high_fd(ends[0]);
    end->fd = lithops__high_fd(ends[1]);
    return *ret_fd < 0 || end->fd < 0 ? errno : 0;
}

static void init_locks(struct lithops__end *end)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&end->lock, NULL);
    pthread_cond_init(&end->news, &attributes);
    pthread_condattr_destroy(&attributes);
}

void lithops__end_deinit(struct lithops__end *end)
{
    if (end->fd >= 0)
        close(end->fd);
    free(end->handed);
    pthread_cond_destroy(&end->news);
    pthread_mutex_destroy(&end->lock);
}

static int start_threads(struct lithops__end *end)
{
    int rc = lithops__thread_start(&end->sender, send_all, end);
    if (rc == 0 && (rc = lithops__thread_start(&end->receiver, receive_all, end)) != 0) {
        (void)shutdown(end->fd, SHUT_RDWR);
        pthread_join(end->sender, NULL);
    }
    return rc;
}

int lithops__end_start(struct lithops__end *end, int *ret_fd, lithops_error *err)
{
    *ret_fd = end->fd = -1;
    end->broken = (lithops_error)LITHOPS_ERROR_INIT;
    end->heard_ns = lithops__now_ns();
    atomic_store(&end->traffic_ns, end->heard_ns);
    init_locks(end);
    int rc = open_fds(end, ret_fd);
    if (rc == 0)
        rc = start_threads(end);
    if (rc == 0)
        return 0;
    lithops__end_deinit(end);
    if (*ret_fd >= 0)
        close(*ret_fd);
    return lithops__fail_errno(err, rc, "cannot make a link through a storage");
}

void lithops__end_finish(struct lithops__end *end)
{
    pthread_mutex_lock(&end->lock);
    atomic_store(&end->ending_ns, lithops__now_ns());
    pthread_cond_signal(&end->news);
    pthread_mutex_unlock(&end->lock);
    pthread_join(end->sender, NULL); /* its end of the pair is over */
    pthread_join(end->receiver, NULL);
}

/* ---- sweeping -------------------------------------------------------------------------------- */

struct sweep {
    char *keys[SWEEP_KEYS];
    size_t count;
};

static int take_key(const lithops_object_info *info, void *user)
{
    struct sweep *sweep = user;
    sweep->keys[sweep->count] = strdup(info->key);
    sweep->count += sweep->keys[sweep->count] != NULL;
    return sweep->count == SWEEP_KEYS;
}

int lithops__carrier_sweep(lithops_storage *storage, const char *prefix, lithops_error *err)
{
    const char *bucket = lithops_storage_bucket(storage);
    struct sweep *sweep = calloc(1, sizeof *sweep);
    int rc = sweep ? 1 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    while (rc == 1) { /* more are there */
        sweep->count = 0;
        rc = lithops_storage_list(storage, bucket, prefix, take_key, sweep, err);
        if (rc == LITHOPS_ENOTFOUND)
            rc = 0; /* the bucket is not there */
        int deleted =
            rc < 0 || sweep->count == 0
                ? 0
                : lithops_storage_delete_many(storage, bucket, (const char *const *)sweep->keys,
                                              sweep->count, err);
        for (size_t i = 0; i < sweep->count; i++)
            free(sweep->keys[i]);
        rc = deleted ? deleted : rc;
    }
    free(sweep);
    return rc;
}
