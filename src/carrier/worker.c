/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of a link through a storage.
 *
 * A worker has a token of its own, under which it writes. The client answers to the token that it
 * sees first: of two workers with the same key the other one hears nothing, runs nothing, and ends.
 */
#include "base/error.h"
#include "base/log.h"
#include "broker/broker.h"
#include "carrier/end.h"
#include "carrier/notice.h"
#include "config/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lithops__carried {
    struct lithops__end end;
    const struct lithops__config *config; /* for the broker */
    struct lithops__broker *broker;       /* the sender's; NULL: there is none, or not yet */
    char folder[LITHOPS__CARRIER_FOLDER];
    char link[LITHOPS__CARRIER_LINK];
    char token[LITHOPS__CARRIER_TOKEN + 1];
};

static int split_key(struct lithops__carried *carried, const char *key, lithops_error *err)
{
    const char *slash = strrchr(key, '/');
    if (!slash || slash == key || !slash[1] || strlen(slash + 1) >= sizeof carried->link ||
        (size_t)(slash - key) >= sizeof carried->folder)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "'%s' is not the key of a link: give the one that the client gave "
                             "this worker",
                             key);
    snprintf(carried->folder, sizeof carried->folder, "%.*s", (int)(slash - key), key);
    snprintf(carried->link, sizeof carried->link, "%s", slash + 1);
    return 0;
}

static void name_folders(struct lithops__carried *carried)
{
    struct lithops__end *end = &carried->end;
    const char *folder = carried->folder, *link = carried->link, *token = carried->token;
    const size_t size = LITHOPS__CARRIER_KEY;
    snprintf(end->hello, size, "%s/to/%s/" LITHOPS__CARRIER_HELLO "/", folder, link);
    snprintf(end->in, size, "%s/to/%s/%s/", folder, link, token);
    snprintf(end->out, size, "%s/from/%s/%s/", folder, link, token);
}

/* ---- notices --------------------------------------------------------------------------------- */

static void take_notice(lithops_bytes bytes, void *user)
{
    struct lithops__carried *carried = user;
    struct lithops__notice notice;
    if (lithops__notice_read(bytes, &notice) && notice.link_len == strlen(carried->link) &&
        memcmp(notice.link, carried->link, notice.link_len) == 0 &&
        memcmp(notice.token, carried->token, LITHOPS__CARRIER_TOKEN) == 0)
        lithops__end_notice(&carried->end, notice.number, notice.object);
}

static void lose_broker(void *user)
{
    struct lithops__carried *carried = user;
    lithops__end_unnoticed(&carried->end);
}

/* What a worker lacks for it does not end the job. */
static void open_broker(struct lithops__carried *carried)
{
    const struct lithops__broker_events events = {take_notice, lose_broker, carried};
    lithops_error err = LITHOPS_ERROR_INIT;
    if (lithops__broker_open(carried->config, carried->end.in, &events, &carried->broker, &err) !=
        0)
        lithops__log(LITHOPS_LOG_WARNING, "carrier", "no notices from this worker: %s",
                     err.message);
}

/* The inbox is made when the first object is out, and not before: whoever finds that knows the
 * inbox's name, and deletes it if this worker is killed. */
static void was_put(struct lithops__end *end, uint32_t number, lithops_bytes object, void *user)
{
    struct lithops__carried *carried = user;
    struct lithops__buffer notice = LITHOPS__BUFFER_INIT;
    (void)end;
    if (number == 0)
        open_broker(carried);
    if (!carried->broker)
        return;
    lithops__notice_write(&notice, carried->link, carried->token, number, object,
                          lithops__broker_longest(carried->broker));
    if (!notice.failed)
        lithops__broker_send(carried->broker, carried->folder,
                             (lithops_bytes){notice.data, notice.len});
    lithops__buffer_deinit(&notice);
}

/* ---- joining and leaving --------------------------------------------------------------------- */

int lithops__carrier_join(const struct lithops__config *config, const char *key,
                          struct lithops__carried **ret, int *ret_fd, lithops_error *err)
{
    struct lithops__carried *carried = calloc(1, sizeof *carried);
    if (!carried)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = split_key(carried, key, err);
    if (rc == 0)
        rc = lithops__carrier_token(carried->token, err);
    if (rc == 0 && !(carried->end.storage = lithops__storage_open(config, NULL, err)))
        rc = err->code;
    if (rc == 0)
        rc = lithops__carrier_bound(carried->end.storage, err);
    if (rc == 0) {
        carried->end.asks = true;
        carried->end.was_put = was_put;
        carried->end.user = carried;
        lithops__carrier_pace(config, &carried->end.pace);
        carried->config = config;
        name_folders(carried);
        rc = lithops__end_start(&carried->end, ret_fd, err);
    }
    if (rc == 0) {
        *ret = carried;
        return 0;
    }
    lithops_storage_close(carried->end.storage);
    free(carried);
    return rc;
}

lithops_storage *lithops__carrier_storage(const struct lithops__carried *carried)
{
    return carried->end.storage;
}

/* Of its own token: another worker may have the link, and go on. What it was told BYE by goes last:
 * the client may wait for that, as then nothing of this worker comes any more (goodbye.h). */
static void sweep_link(const struct lithops__carried *carried)
{
    static const char *const ways[] = {"from", "to"};
    for (size_t i = 0; i < 2; i++) {
        char prefix[2 * LITHOPS__CARRIER_KEY + 16];
        snprintf(prefix, sizeof prefix, "%s/%s/%s/%s/", carried->folder, ways[i], carried->link,
                 carried->token);
        (void)lithops__carrier_sweep(carried->end.storage, prefix, NULL);
    }
    if (atomic_load(&carried->end.was_told))
        (void)lithops_storage_delete(carried->end.storage,
                                     lithops_storage_bucket(carried->end.storage),
                                     carried->end.last, NULL);
}

int lithops__carrier_leave(struct lithops__carried *carried, bool is_orphan, lithops_error *err)
{
    /* The end sends its last object first, and then is not there for what the broker says. */
    lithops__end_finish(&carried->end);
    lithops__broker_close(carried->broker);
    lithops__end_deinit(&carried->end);
    bool is_lost = carried->end.broken.code != 0;
    if (is_lost)
        *err = carried->end.broken;
    bool was_greeted = atomic_load(&carried->end.taken) > 0; /* else nobody reads what it wrote */
    /* A storage that it has not reached so far is not asked once more: whoever has started it waits
     * for what it says of that. */
    if (is_orphan || carried->end.is_orphan || atomic_load(&carried->end.was_told) ||
        (!was_greeted && !is_lost))
        sweep_link(carried);
    lithops_storage_close(carried->end.storage);
    free(carried);
    return is_lost ? err->code : 0;
}
