/* SPDX-License-Identifier: Apache-2.0 */
/* Files that workers lack: until they have come, the calls that need them wait there.
 *
 * Over a link of its own each worker gets them in pieces. Where a storage carries the links, they
 * are put there, once for all workers (carrier/stock.h); over the link goes only what a worker has
 * not found there even so. */
#include "base/error.h"
#include "base/log.h"
#include "relay/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Only announced files. */
static const struct lithops__file_hash *find_file(const struct lithops__relay *relay,
                                                  const char *sha256)
{
    for (size_t i = 0; sha256 && i < relay->hash_count; i++)
        if (strcmp(relay->hashes[i].sha256, sha256) == 0)
            return &relay->hashes[i];
    return NULL;
}

static int fail_unknown(lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EPARSE, "it asks for a file that no function has");
}

/* ---- over the link --------------------------------------------------------------------------- */

static int send_file(struct lithops__link *link, uint32_t stream,
                     const struct lithops__file_hash *file, lithops_error *err)
{
    struct lithops__parcel *parcel = lithops__parcel_new();
    int rc = 0;
    if (!parcel)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    parcel->stream = stream;
    lithops__log(LITHOPS_LOG_DEBUG, "relay", "worker %s asks for '%s'", link->name, file->path);
    parcel->fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (parcel->fd < 0)
        rc = lithops__fail_errno(err, errno, "cannot read '%s'", file->path);
    lithops__link_send(link, parcel);
    return rc;
}

static int send_files(struct lithops__link *link, uint32_t stream, const lithops_value *hashes,
                      lithops_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(hashes); i++) {
        const char *sha256 = lithops_value_get_string(lithops_value_at(hashes, i));
        const struct lithops__file_hash *file = find_file(link->relay, sha256);
        if (file && link->relay->carrier) /* it was not in the storage */
            lithops__stock_doubt(lithops__carrier_stock(link->relay->carrier), sha256);
        rc = file ? send_file(link, stream, file, err) : fail_unknown(err);
    }
    return rc;
}

/* ---- through the storage --------------------------------------------------------------------- */

static void wake(void *user)
{
    lithops__relay_wake(user);
}

/* They are to be put into the storage, if they are not there or on their way. */
static int wish_files(struct lithops__link *link, uint32_t stream, const lithops_value *hashes,
                      lithops_error *err)
{
    struct lithops__relay *relay = link->relay;
    size_t count = lithops_value_size(hashes);
    struct lithops__bundle_file *files = calloc(count + 1, sizeof *files);
    struct lithops__need *need = calloc(1, sizeof *need), **last = &link->needs;
    int rc = files && need ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct lithops__file_hash *file =
            find_file(relay, lithops_value_get_string(lithops_value_at(hashes, i)));
        if (!file)
            rc = fail_unknown(err);
        else
            files[i] =
                (struct lithops__bundle_file){file->sha256, (uint64_t)file->size, file->path};
    }
    if (rc == 0) {
        need->stream = stream;
        need->wish = lithops__stock_wish(lithops__carrier_stock(relay->carrier), files, count, wake,
                                         relay, err);
        rc = need->wish ? 0 : err->code;
    }
    free(files);
    if (rc != 0) {
        free(need);
        return rc;
    }
    while (*last)
        last = &(*last)->next;
    *last = need;
    return 0;
}

static void free_need(struct lithops__link *link)
{
    struct lithops__need *need = link->needs;
    link->needs = need->next;
    lithops__wish_free(need->wish);
    free(need);
}

void lithops__link_drop_needs(struct lithops__link *link)
{
    while (link->needs)
        free_need(link);
}

/* In the order in which the worker asked. */
static void answer_needs(struct lithops__link *link)
{
    struct lithops__stock *stock = lithops__carrier_stock(link->relay->carrier);
    while (link->needs && lithops__wish_is_done(stock, link->needs->wish)) {
        struct lithops__parcel *parcel = lithops__parcel_new();
        if (!parcel) {
            lithops__link_break(link, ENOMEM, "no memory for what is sent");
            return;
        }
        lithops__frame_end(&parcel->frame,
                           lithops__frame_begin(&parcel->frame, LITHOPS__MESSAGE_FILE,
                                                LITHOPS__FRAME_STORED, link->needs->stream));
        lithops__link_send(link, parcel);
        free_need(link);
    }
}

void lithops__relay_answer_needs(struct lithops__relay *relay)
{
    for (uint32_t i = 0; relay->carrier && i < relay->link_count; i++)
        if (lithops__link_is_up(&relay->links[i]))
            answer_needs(&relay->links[i]);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

int lithops__link_need_came(struct lithops__link *link, const struct lithops__frame *frame,
                            lithops_error *err)
{
    lithops_value *map = lithops__frame_map(frame, err);
    const lithops_value *hashes = lithops_value_get(map, "sha256");
    int rc = map ? 0 : err->code;
    if (rc == 0 && frame->flags & LITHOPS__FRAME_STORED)
        rc = link->relay->carrier
                 ? wish_files(link, frame->stream, hashes, err)
                 : lithops__fail(err, LITHOPS_EPARSE, "it has no storage to look for files in");
    else if (rc == 0)
        rc = send_files(link, frame->stream, hashes, err);
    lithops_value_free(map);
    return rc;
}
