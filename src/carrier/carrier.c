/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of links through a storage: the ends of an executor's links, and the monitor.
 *
 * The monitor is a thread that lists what workers have written, for all links at once, and tells
 * each end how far its objects go. Where there is a broker, notices say so before. What an end has
 * read it deletes, so a list shows what is new. A list that lags shows less, or what was deleted:
 * an end asks for its objects one after the other by number, so neither matters. */
#include "carrier/carrier.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "broker/broker.h"
#include "carrier/end.h"
#include "carrier/goodbye.h"
#include "carrier/notice.h"
#include "config/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STRAYS = 256, LATE = 64 };
static const uint64_t close_ns = 10000000000, /* for deleting what is left */
    late_ns = 5000000000,                     /* for what a server may still put there, */
    settle_ns = 500000000,                    /* and for it to be done with that, */
    goodbye_ns = 5000000000,                  /* and before that for workers to hear BYE */
    spare_ns = 1000000000;                    /* longer than it takes a worker to look again */

struct link {
    struct lithops__end end;                /* the first: its callback finds the link */
    char name[LITHOPS__CARRIER_LINK];       /* "3-1"; "": there is none */
    char token[LITHOPS__CARRIER_TOKEN + 1]; /* of the worker that came first; "": none has come */
    uint32_t deleted;                       /* objects of it */
    uint32_t seen;                          /* those that were read before the last look */
    unsigned life;                          /* how many links this worker has had */
    bool has_ended;                         /* its worker: one more look, then none comes */
    bool is_looked_at;                      /* that look has begun */
    bool is_dead;                           /* its worker, whatever looks have shown */
    bool is_told;                           /* BYE, and nothing else ends its worker */
    bool is_lost;                           /* its worker, and with it what it had at the broker */
    bool has_inbox; /* its last worker had one, and may have left it at the end */
};

struct lithops__carrier {
    lithops_storage *storage;
    struct lithops__stock *stock;
    bool deletes_files;             /* at its end */
    struct lithops__broker *broker; /* NULL: there is none, or it is closed */
    struct lithops__pace pace;
    char folder[LITHOPS__CARRIER_FOLDER];
    char *config; /* the worker's */
    struct link *links;
    struct lithops__goodbye *goodbyes; /* of the last link of each worker */
    uint32_t count;
    pthread_t monitor;
    bool has_monitor;
    uint64_t awaited_ns;  /* when it began to wait for who was told BYE; 0: not yet */
    pthread_mutex_t lock; /* the members below, and the links but for their ends */
    pthread_cond_t wanted;
    uint32_t up;      /* links */
    char *late[LATE]; /* objects whose requests were cut off */
    uint32_t late_count;
    char *strays[STRAYS]; /* keys that the last look has shown and nobody waits for; the looker's */
    size_t stray_count;
    uint64_t requests;          /* of links that are over, and the monitor's */
    _Atomic uint64_t ending_ns; /* 0: not yet */
};

/* ---- the monitor ----------------------------------------------------------------------------- */

/* What a list has shown. */
struct look {
    struct lithops__carrier *carrier;
    size_t skip; /* bytes of keys that say nothing new */
};

static struct link *find_link(struct lithops__carrier *carrier, const char *name, size_t len)
{
    unsigned long worker = strtoul(name, NULL, 10); /* a "/" follows */
    struct link *link = worker < carrier->count ? &carrier->links[worker] : NULL;
    return link && link->name[0] && strlen(link->name) == len && memcmp(link->name, name, len) == 0
               ? link
               : NULL;
}

/* [lock] The first worker that says something has the link. */
static void meet(struct lithops__carrier *carrier, struct link *link, const char *token)
{
    snprintf(link->token, sizeof link->token, "%.*s", LITHOPS__CARRIER_TOKEN, token);
    pthread_mutex_lock(&link->end.lock);
    snprintf(link->end.out, sizeof link->end.out, "%s/to/%s/%s/", carrier->folder, link->name,
             link->token);
    snprintf(link->end.in, sizeof link->end.in, "%s/from/%s/%s/", carrier->folder, link->name,
             link->token);
    pthread_mutex_unlock(&link->end.lock);
}

/* [lock] The link that an object is of; NULL: nobody waits for it. */
static struct link *find_reader(struct lithops__carrier *carrier,
                                const struct lithops__notice *notice)
{
    struct link *link = find_link(carrier, notice->link, notice->link_len);
    if (link && !link->token[0])
        meet(carrier, link, notice->token);
    return link && memcmp(link->token, notice->token, LITHOPS__CARRIER_TOKEN) == 0 ? link : NULL;
}

/* [lock] False: nobody waits for it. */
static bool take_note(struct lithops__carrier *carrier, const char *name)
{
    struct lithops__notice notice;
    struct link *link = lithops__notice_read_name((lithops_bytes){name, strlen(name)}, &notice)
                            ? find_reader(carrier, &notice)
                            : NULL;
    if (link)
        lithops__end_tell(&link->end, notice.number + 1);
    return link;
}

static int note_object(const lithops_object_info *info, void *user)
{
    struct look *look = user;
    struct lithops__carrier *carrier = look->carrier;
    pthread_mutex_lock(&carrier->lock);
    bool is_noted = strlen(info->key) <= look->skip || take_note(carrier, info->key + look->skip);
    pthread_mutex_unlock(&carrier->lock);
    if (!is_noted && carrier->stray_count < STRAYS &&
        (carrier->strays[carrier->stray_count] = strdup(info->key)) != NULL)
        carrier->stray_count++;
    return 0;
}

/* [lock] How many objects of a link may go: those that were read, but the last one only at the next
 * look, as the request that puts it may be under way (end.c). */
static uint32_t count_deletable(struct link *link)
{
    uint32_t taken = atomic_load(&link->end.taken), before = link->seen;
    link->seen = taken;
    return taken > before + 1 ? taken - 1 : before;
}

/* [lock] Keys of objects that were read, up to `most`. */
static size_t list_read(struct lithops__carrier *carrier, char **keys, size_t most)
{
    size_t count = 0;
    for (uint32_t i = 0; i < carrier->count; i++) {
        struct link *link = &carrier->links[i];
        if (!link->name[0])
            continue;
        uint32_t deletable = count_deletable(link);
        while (count < most && link->deleted < deletable) {
            char key[2 * LITHOPS__CARRIER_KEY];
            snprintf(key, sizeof key, "%s/from/%s/%s/%010u", carrier->folder, link->name,
                     link->token, link->deleted);
            if (!(keys[count] = strdup(key)))
                return count;
            count++;
            link->deleted++;
        }
    }
    return count;
}

static void delete_keys(struct lithops__carrier *carrier, char **keys, size_t count)
{
    if (count > 0) /* what stays is deleted at the end */
        (void)lithops_storage_delete_many(carrier->storage,
                                          lithops_storage_bucket(carrier->storage),
                                          (const char *const *)keys, count, NULL);
    for (size_t i = 0; i < count; i++)
        free(keys[i]);
}

/* [lock] Ends of workers that had ended before this look. */
static void begin_last_looks(struct lithops__carrier *carrier)
{
    for (uint32_t i = 0; i < carrier->count; i++)
        carrier->links[i].is_looked_at = carrier->links[i].has_ended;
}

static void end_last_looks(struct lithops__carrier *carrier)
{
    pthread_mutex_lock(&carrier->lock);
    for (uint32_t i = 0; i < carrier->count; i++)
        if (carrier->links[i].is_looked_at && carrier->links[i].name[0]) {
            carrier->links[i].has_ended = false;
            lithops__end_last(&carrier->links[i].end);
        }
    pthread_mutex_unlock(&carrier->lock);
}

/* Who has said hello under a link that another worker has, or that is over, would wait for calls
 * until it thinks that the client is gone: send it away. It looks for object 0, or for 1 where it
 * has read the hello. */
static bool send_away(struct lithops__carrier *carrier, const char *key, size_t skip)
{
    const char *at = strlen(key) > skip ? key + skip : "";
    struct lithops__notice name;
    char link[LITHOPS__CARRIER_LINK], token[LITHOPS__CARRIER_TOKEN + 1];
    if (!lithops__notice_read_name((lithops_bytes){at, strlen(at)}, &name) || name.number != 0 ||
        name.link_len >= LITHOPS__CARRIER_LINK)
        return false;
    snprintf(link, sizeof link, "%.*s", (int)name.link_len, name.link);
    snprintf(token, sizeof token, "%.*s", LITHOPS__CARRIER_TOKEN, name.token);
    for (uint32_t number = 0; number < 2; number++)
        (void)lithops__goodbye_say(carrier->storage, carrier->folder, link, token, number);
    pthread_mutex_lock(&carrier->lock);
    lithops__goodbye_meet(carrier->goodbyes, carrier->count, name.link, name.link_len, name.token);
    pthread_mutex_unlock(&carrier->lock);
    return true;
}

/* What the last look has shown: as late as what was read, for the same reason. */
static bool delete_strays(struct lithops__carrier *carrier)
{
    size_t count = carrier->stray_count;
    delete_keys(carrier, carrier->strays, count);
    carrier->stray_count = 0;
    return count > 0;
}

static void look_once(struct lithops__carrier *carrier)
{
    char prefix[LITHOPS__CARRIER_KEY + 8];
    char *read[LITHOPS_STORAGE_DELETE_MAX];
    struct look look = {.carrier = carrier};
    lithops_error err = LITHOPS_ERROR_INIT;
    int len = snprintf(prefix, sizeof prefix, "%s/from/", carrier->folder);
    look.skip = (size_t)len;
    pthread_mutex_lock(&carrier->lock);
    size_t count = list_read(carrier, read, LITHOPS_STORAGE_DELETE_MAX);
    begin_last_looks(carrier);
    pthread_mutex_unlock(&carrier->lock);
    delete_keys(carrier, read, count);
    bool had_strays = delete_strays(carrier);
    int rc = lithops_storage_list(carrier->storage, lithops_storage_bucket(carrier->storage),
                                  prefix, note_object, &look, &err);
    if (rc != 0 && rc != LITHOPS_ENOTFOUND && rc != LITHOPS_ECANCELED)
        lithops__log(LITHOPS_LOG_WARNING, "carrier", "%s", err.message);
    else
        end_last_looks(carrier);
    size_t sent_away = 0;
    for (size_t i = 0; i < carrier->stray_count; i++)
        sent_away += send_away(carrier, carrier->strays[i], look.skip);
    pthread_mutex_lock(&carrier->lock);
    carrier->requests += 1u + (count > 0) + had_strays + 2 * sent_away;
    pthread_mutex_unlock(&carrier->lock);
}

/* [lock] When to look again; UINT64_MAX: when a link is made. */
static uint64_t next_look(struct lithops__carrier *carrier, uint64_t last_ns)
{
    uint64_t traffic = 0, grace = 0, now = lithops__now_ns();
    bool is_needed = false; /* no notice would come */
    for (uint32_t i = 0; carrier->up > 0 && i < carrier->count; i++) {
        struct link *link = &carrier->links[i];
        if (!link->name[0] || (atomic_load(&link->end.has_notices) && !link->has_ended))
            continue;
        uint64_t ns = atomic_load(&link->end.traffic_ns);
        uint64_t own_grace = link->has_ended ? 0 : lithops__end_grace(&link->end);
        traffic = ns > traffic ? ns : traffic;
        grace = own_grace > grace ? own_grace : grace;
        is_needed = true;
    }
    if (carrier->up == 0)
        return UINT64_MAX;
    if (!is_needed)
        return last_ns + carrier->pace.longest_ns;
    uint64_t wait = lithops__pace_look(&carrier->pace, now > traffic ? now - traffic : 0);
    return last_ns + (wait > grace ? wait : grace);
}

static void *monitor(void *user)
{
    struct lithops__carrier *carrier = user;
    uint64_t last_ns = 0;
    lithops__carrier_heed(&carrier->ending_ns);
    pthread_mutex_lock(&carrier->lock);
    while (atomic_load(&carrier->ending_ns) == 0) {
        uint64_t until = next_look(carrier, last_ns);
        if (until == UINT64_MAX) {
            pthread_cond_wait(&carrier->wanted, &carrier->lock);
        } else if (lithops__now_ns() < until) {
            struct timespec at = {(time_t)(until / 1000000000), (long)(until % 1000000000)};
            (void)pthread_cond_timedwait(&carrier->wanted, &carrier->lock, &at);
        } else {
            pthread_mutex_unlock(&carrier->lock);
            last_ns = lithops__now_ns();
            look_once(carrier);
            pthread_mutex_lock(&carrier->lock);
        }
    }
    pthread_mutex_unlock(&carrier->lock);
    return NULL;
}

static void was_put(struct lithops__end *end, uint32_t number, lithops_bytes object, void *user)
{
    struct lithops__carrier *carrier = user;
    struct link *link = (struct link *)end;
    char token[sizeof link->token], name[sizeof link->name], inbox[LITHOPS__CARRIER_KEY];
    pthread_mutex_lock(&carrier->lock);
    memcpy(name, link->name, sizeof name);
    memcpy(token, link->token, sizeof token);
    memcpy(inbox, link->end.out, sizeof inbox); /* meet() has the lock, too */
    pthread_cond_signal(&carrier->wanted);      /* an answer may come soon */
    pthread_mutex_unlock(&carrier->lock);
    if (!carrier->broker || !token[0])
        return;
    struct lithops__buffer notice = LITHOPS__BUFFER_INIT;
    lithops__notice_write(&notice, name, token, number, object,
                          lithops__broker_longest(carrier->broker));
    if (!notice.failed)
        lithops__broker_send(carrier->broker, inbox, (lithops_bytes){notice.data, notice.len});
    lithops__buffer_deinit(&notice);
}

static void take_notice(lithops_bytes bytes, void *user)
{
    struct lithops__carrier *carrier = user;
    struct lithops__notice notice;
    if (!lithops__notice_read(bytes, &notice))
        return;
    pthread_mutex_lock(&carrier->lock);
    struct link *link = find_reader(carrier, &notice);
    if (link)
        lithops__end_notice(&link->end, notice.number, notice.object);
    pthread_mutex_unlock(&carrier->lock);
}

static void lose_broker(void *user)
{
    struct lithops__carrier *carrier = user;
    pthread_mutex_lock(&carrier->lock);
    for (uint32_t i = 0; i < carrier->count; i++)
        if (carrier->links[i].name[0])
            lithops__end_unnoticed(&carrier->links[i].end);
    pthread_cond_signal(&carrier->wanted);
    pthread_mutex_unlock(&carrier->lock);
}

/* ---- links ----------------------------------------------------------------------------------- */

int lithops__carrier_connect(struct lithops__carrier *carrier, uint32_t worker,
                             char key[LITHOPS__CARRIER_KEY], int *ret_fd, lithops_error *err)
{
    struct link *link = &carrier->links[worker];
    char name[sizeof link->name];
    snprintf(name, sizeof name, "%u-%u", worker, ++link->life);
    link->end = (struct lithops__end){
        .storage = carrier->storage, .pace = carrier->pace, .was_put = was_put, .user = carrier};
    snprintf(link->end.out, sizeof link->end.out, "%s/to/%s/" LITHOPS__CARRIER_HELLO "/",
             carrier->folder, name);
    link->token[0] = '\0'; /* the lock is not needed: there is no such link */
    int rc = lithops__end_start(&link->end, ret_fd, err);
    if (rc != 0)
        return rc;
    snprintf(key, LITHOPS__CARRIER_KEY, "%s/%s", carrier->folder, name);
    pthread_mutex_lock(&carrier->lock);
    link->deleted = link->seen = 0;
    link->has_ended = link->is_looked_at = link->is_dead = false;
    link->is_told = link->is_lost = link->has_inbox = false;
    memcpy(link->name, name, sizeof name);
    carrier->up++;
    pthread_cond_signal(&carrier->wanted);
    pthread_mutex_unlock(&carrier->lock);
    return 0;
}

void lithops__carrier_ended(struct lithops__carrier *carrier, uint32_t worker)
{
    struct link *link = &carrier->links[worker];
    pthread_mutex_lock(&carrier->lock);
    if (link->name[0]) {
        link->has_ended = link->is_dead = true;
        atomic_store(&link->end.traffic_ns, lithops__now_ns()); /* look soon, */
        lithops__end_unnoticed(&link->end);                     /* whatever notices say */
        pthread_cond_signal(&carrier->wanted);
    }
    pthread_mutex_unlock(&carrier->lock);
}

void lithops__carrier_told(struct lithops__carrier *carrier, uint32_t worker)
{
    carrier->links[worker].is_told = true;
}

void lithops__carrier_lost(struct lithops__carrier *carrier, uint32_t worker)
{
    carrier->links[worker].is_lost = true;
}

/* What the worker wrote last, and has not been read, the monitor deletes as it belongs to nobody.
 */
void lithops__carrier_disconnect(struct lithops__carrier *carrier, uint32_t worker, char *ret_how,
                                 size_t size)
{
    struct link *link = &carrier->links[worker];
    lithops__end_finish(&link->end); /* its last notices have the link's name */
    pthread_mutex_lock(&carrier->lock);
    char name[sizeof link->name];
    memcpy(name, link->name, sizeof name);
    bool is_told = link->is_told && !link->is_dead;
    link->name[0] = '\0';
    carrier->up--;
    carrier->requests += atomic_load(&link->end.requests);
    if (link->end.cut_off[0] && carrier->late_count < LATE &&
        (carrier->late[carrier->late_count] = strdup(link->end.cut_off)) != NULL)
        carrier->late_count++;
    pthread_mutex_unlock(&carrier->lock);
    lithops__end_deinit(&link->end);
    link->has_inbox = link->token[0] && !link->is_lost;
    if (link->is_lost && link->token[0] && carrier->broker)
        lithops__broker_drop(carrier->broker, link->end.out);
    if (is_told) {
        const _Atomic uint64_t begin_ns = lithops__now_ns();
        lithops__carrier_heed(&begin_ns); /* a storage that is away must not hold us */
        const struct lithops__goodbye goodbye =
            lithops__goodbye_of(&link->end, carrier->folder, name, link->token);
        lithops__carrier_heed(NULL);
        pthread_mutex_lock(&carrier->lock);
        carrier->goodbyes[worker] = goodbye;
        pthread_mutex_unlock(&carrier->lock);
    }
    size_t len = strlen(ret_how);
    if (link->end.broken.code)
        snprintf(ret_how + len, size - len, "%sthe storage has failed: %s", len ? "; " : "",
                 link->end.broken.message);
}

/* ---- all of it ------------------------------------------------------------------------------- */

const char *lithops__carrier_config(const struct lithops__carrier *carrier)
{
    return carrier->config;
}

struct lithops__stock *lithops__carrier_stock(const struct lithops__carrier *carrier)
{
    return carrier->stock;
}

/* The storage and the broker, and their sections. */
static int make_config(struct lithops__carrier *carrier, const struct lithops__config *config,
                       lithops_error *err)
{
    const char *backend = lithops_storage_backend(carrier->storage);
    const char *broker = lithops__broker_section(config);
    lithops_value *own = lithops_pack(
        "{s:{s:s,s:s,s:f,s:f}}", "lithops", "storage", backend, "monitoring",
        broker ? broker : "storage", "monitoring_interval",
        lithops__config_double(config, "lithops", "monitoring_interval"), "status_interval",
        lithops__config_double(config, "lithops", "status_interval"));
    int rc = own ? 0 : LITHOPS_ENOMEM;
    if (rc == 0)
        rc = lithops_value_set(own, backend, lithops__config_section(config, backend, true));
    if (rc == 0 && broker) /* may be the storage's section, with nothing else in it */
        rc = lithops_value_set(own, broker, lithops__broker_settings(config));
    if (rc == 0)
        rc = lithops_value_to_json(own, &carrier->config, err);
    else
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value_free(own);
    return rc;
}

static int start_monitor(struct lithops__carrier *carrier, lithops_error *err)
{
    int rc = lithops__thread_start(&carrier->monitor, monitor, carrier);
    carrier->has_monitor = rc == 0;
    return rc ? lithops__fail_errno(err, rc, "cannot start a thread") : 0;
}

static int open_broker(struct lithops__carrier *carrier, const struct lithops__config *config,
                       lithops_error *err)
{
    const struct lithops__broker_events events = {take_notice, lose_broker, carrier};
    return lithops__broker_open(config, carrier->folder, &events, &carrier->broker, err);
}

static void init_locks(struct lithops__carrier *carrier)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&carrier->lock, NULL);
    pthread_cond_init(&carrier->wanted, &attributes);
    pthread_condattr_destroy(&attributes);
}

int lithops__carrier_open(const struct lithops__config *config, const char *executor_id,
                          uint32_t workers, struct lithops__carrier **ret, lithops_error *err)
{
    char token[LITHOPS__CARRIER_TOKEN + 1];
    struct lithops__carrier *carrier = calloc(1, sizeof *carrier);
    if (!carrier)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    init_locks(carrier);
    carrier->count = workers;
    lithops__carrier_pace(config, &carrier->pace);
    carrier->deletes_files = lithops__config_bool(config, "lithops", "data_cleaner");
    int rc = lithops__carrier_token(token, err);
    if (rc == 0) {
        snprintf(carrier->folder, sizeof carrier->folder, "lithops.jobs/%.32s-%s", executor_id,
                 token);
        carrier->links = calloc(workers, sizeof *carrier->links);
        carrier->goodbyes = calloc(workers, sizeof *carrier->goodbyes);
        rc = carrier->links && carrier->goodbyes
                 ? 0
                 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    if (rc == 0 && !(carrier->storage = lithops__storage_open(config, NULL, err)))
        rc = err->code;
    if (rc == 0)
        rc = lithops__carrier_bound(carrier->storage, err);
    if (rc == 0)
        rc = make_config(carrier, config, err);
    if (rc == 0 && !(carrier->stock = lithops__stock_new(carrier->storage)))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = open_broker(carrier, config, err);
    if (rc == 0)
        rc = start_monitor(carrier, err);
    if (rc == 0)
        *ret = carrier;
    else
        lithops__carrier_close(carrier);
    return rc;
}

/* A server may carry out a request that its sender has given up: wait for what it puts there, so
 * that it goes with the rest. What has just come may be seen before the server is done with it, and
 * then comes back when it is deleted. */
static void await_late(struct lithops__carrier *carrier, uint64_t until)
{
    const char *bucket = lithops_storage_bucket(carrier->storage);
    lithops_object_info info;
    for (uint32_t i = 0; i < carrier->late_count; i++) {
        while (lithops_storage_head(carrier->storage, bucket, carrier->late[i], &info, NULL) ==
                   LITHOPS_ENOTFOUND &&
               lithops__now_ns() < until)
            (void)nanosleep(&(struct timespec){0, 50000000}, NULL);
        free(carrier->late[i]);
    }
    if (carrier->late_count > 0)
        (void)nanosleep(&(struct timespec){0, settle_ns}, NULL);
    carrier->late_count = 0;
}

/* Before the sweep, which would delete what they are told, and what they write after it. One that
 * says hello only now is sent away by the look. */
static void await_goodbyes(struct lithops__carrier *carrier)
{
    uint64_t patience = carrier->pace.longest_ns + spare_ns, pause_ns = 10000000;
    uint64_t end_ns = lithops__now_ns() + (patience < goodbye_ns ? patience : goodbye_ns);
    bool any = false;
    for (uint32_t i = 0; i < carrier->count; i++)
        any |= carrier->goodbyes[i].link[0] != '\0';
    for (; any; pause_ns += pause_ns / 2) {
        look_once(carrier);
        carrier->requests++;
        if (!lithops__goodbye_is_open(carrier->storage, carrier->folder, carrier->goodbyes,
                                      carrier->count) ||
            lithops__now_ns() >= end_ns)
            return;
        const struct timespec pause = {0,
                                       (long)(pause_ns < spare_ns / 4 ? pause_ns : spare_ns / 4)};
        nanosleep(&pause, NULL);
    }
}

void lithops__carrier_await(struct lithops__carrier *carrier)
{
    if (!carrier || !carrier->has_monitor || carrier->awaited_ns)
        return;
    pthread_mutex_lock(&carrier->lock);
    atomic_store(&carrier->ending_ns, lithops__now_ns());
    pthread_cond_signal(&carrier->wanted);
    pthread_mutex_unlock(&carrier->lock);
    pthread_join(carrier->monitor, NULL);
    carrier->awaited_ns = lithops__now_ns();
    atomic_store(&carrier->ending_ns, carrier->awaited_ns + goodbye_ns);
    lithops__carrier_heed(&carrier->ending_ns);
    await_goodbyes(carrier);
    lithops__carrier_heed(NULL);
}

struct inboxes {
    struct lithops__carrier *carrier;
    size_t skip;                         /* bytes of keys */
    char last[2 * LITHOPS__CARRIER_KEY]; /* that was dropped */
};

/* What a worker says and is told lies below from/<link>/<token>/ and to/<link>/<token>/, and the
 * latter is its inbox. One that ends as it is told deletes its inbox, and then the last of that.
 * Those of workers that have no link, too: nobody else knows their names. */
static int drop_inbox(const lithops_object_info *info, void *user)
{
    struct inboxes *inboxes = user;
    struct lithops__carrier *carrier = inboxes->carrier;
    struct lithops__notice name;
    char inbox[sizeof inboxes->last];
    const char *at = strlen(info->key) > inboxes->skip ? info->key + inboxes->skip : "";
    const char *slash = strchr(at, '/'); /* behind "from" or "to" */
    if (!slash || !lithops__notice_read_name((lithops_bytes){slash + 1, strlen(slash + 1)}, &name))
        return 0;
    snprintf(inbox, sizeof inbox, "%s/to/%.*s/%.*s/", carrier->folder, (int)name.link_len,
             name.link, LITHOPS__CARRIER_TOKEN, name.token);
    unsigned long worker = strtoul(name.link, NULL, 10);
    struct link *link = worker < carrier->count ? &carrier->links[worker] : NULL;
    bool has_link = link && strcmp(link->end.out, inbox) == 0;
    if (has_link ? link->has_inbox : strcmp(inboxes->last, inbox) != 0)
        lithops__broker_drop(carrier->broker, inbox);
    if (has_link)
        link->has_inbox = false;
    memcpy(inboxes->last, inbox, sizeof inbox);
    return 0;
}

/* Of workers that were ended, or may hang. */
static void drop_inboxes(struct lithops__carrier *carrier)
{
    char prefix[LITHOPS__CARRIER_KEY];
    struct inboxes inboxes = {.carrier = carrier};
    bool any = false; /* was there a link */
    for (uint32_t i = 0; i < carrier->count; i++)
        any |= carrier->links[i].life > 0;
    if (!any || !lithops__broker_drops(carrier->broker))
        return;
    inboxes.skip = (size_t)snprintf(prefix, sizeof prefix, "%s/", carrier->folder);
    lithops__carrier_heed(&carrier->ending_ns);
    (void)lithops_storage_list(carrier->storage, lithops_storage_bucket(carrier->storage), prefix,
                               drop_inbox, &inboxes, NULL);
    lithops__carrier_heed(NULL);
    carrier->requests++;
}

static void sweep(struct lithops__carrier *carrier)
{
    char prefix[LITHOPS__CARRIER_KEY + 8];
    lithops_error err = LITHOPS_ERROR_INIT;
    snprintf(prefix, sizeof prefix, "%s/", carrier->folder);
    lithops__carrier_heed(&carrier->ending_ns);
    await_late(carrier, carrier->awaited_ns + late_ns);
    if (lithops__carrier_sweep(carrier->storage, prefix, &err) != 0)
        lithops__log(LITHOPS_LOG_WARNING, "carrier", "objects are left below '%s': %s", prefix,
                     err.message);
    if (carrier->deletes_files)
        lithops__stock_delete(carrier->stock);
    lithops__carrier_heed(NULL);
}

void lithops__carrier_made(const struct lithops__carrier *carrier, uint64_t *ret_reads,
                           uint64_t *ret_writes)
{
    lithops__storage_made(carrier->storage, ret_reads, ret_writes);
}

void lithops__carrier_close(struct lithops__carrier *carrier)
{
    if (!carrier)
        return;
    lithops__carrier_await(carrier);
    atomic_store(&carrier->ending_ns, lithops__now_ns() + close_ns);
    if (carrier->has_monitor && carrier->broker)
        drop_inboxes(carrier);
    lithops__broker_close(carrier->broker);
    if (carrier->has_monitor) {
        lithops__stock_end(carrier->stock);
        sweep(carrier);
        lithops__log(
            LITHOPS_LOG_DEBUG, "carrier", "%llu requests to the storage",
            (unsigned long long)(carrier->requests + 2 + lithops__stock_requests(carrier->stock)));
    }
    lithops__stock_free(carrier->stock);
    lithops_storage_close(carrier->storage);
    pthread_cond_destroy(&carrier->wanted);
    pthread_mutex_destroy(&carrier->lock);
    for (size_t i = 0; i < carrier->stray_count; i++)
        free(carrier->strays[i]);
    free(carrier->config);
    free(carrier->links);
    free(carrier->goodbyes);
    free(carrier);
}
