/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker needs before it can run calls: hello, and jobs, with the list of their files.
 *
 * Files are named by their SHA-256; need.c sends what the worker lacks. A hash is kept as long as
 * its file's inode, size and mtime stay the same. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "config/config.h"
#include "function/function.h"
#include "relay/link.h"
#include "value/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAP_BYTES = 512 << 10,   /* longer ones go as a blob */
    CARRIED_AHEAD_MS = 1000, /* of work, where it takes long to get more */
};

/* ---- files ----------------------------------------------------------------------------------- */

static int64_t mtime_of(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static struct lithops__file_hash *find_hash(struct lithops__relay *relay, const char *path)
{
    for (size_t i = 0; i < relay->hash_count; i++)
        if (strcmp(relay->hashes[i].path, path) == 0)
            return &relay->hashes[i];
    struct lithops__file_hash *more =
        realloc(relay->hashes, (relay->hash_count + 1) * sizeof *more);
    if (!more)
        return NULL;
    relay->hashes = more;
    struct lithops__file_hash *hash = &relay->hashes[relay->hash_count];
    *hash = (struct lithops__file_hash){.path = strdup(path)};
    if (!hash->path)
        return NULL;
    relay->hash_count++;
    return hash;
}

static int hash_item(struct lithops__relay *relay, struct lithops__image_item *item,
                     lithops_error *err)
{
    struct stat status;
    struct lithops__file_hash *known = find_hash(relay, item->path);
    if (!known)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (stat(item->path, &status) != 0)
        return lithops__fail_errno(err, errno, "cannot read '%s'", item->path);
    item->size_bytes = (uint64_t)status.st_size;
    if (known->sha256[0] && known->inode == status.st_ino && known->size == status.st_size &&
        known->mtime_ns == mtime_of(&status)) {
        memcpy(item->sha256, known->sha256, sizeof item->sha256);
        return 0;
    }
    int rc = lithops__image_hash(item, err);
    if (rc != 0)
        return rc;
    memcpy(known->sha256, item->sha256, sizeof known->sha256);
    known->inode = status.st_ino;
    known->size = status.st_size;
    known->mtime_ns = mtime_of(&status);
    return 0;
}

/* The files of a function and of a manifest (or NULL), as a list of maps. The first one is the
 * program or the library; without a function there are those of the manifest. */
static lithops_value *list_files(struct lithops__relay *relay, const lithops_function *function,
                                 const lithops_value *manifest, lithops_error *err)
{
    struct lithops__image *image = NULL;
    lithops_value *list = lithops_value_list();
    int rc = 0;
    if (function)
        rc = lithops__image_open(function, NULL, NULL, &image, err);
    else
        image = calloc(1, sizeof *image);
    if (rc == 0 && (!image || !list))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        rc = lithops__image_add_manifest(image, manifest, err);
    for (size_t i = 0; rc == 0 && i < image->count; i++) {
        struct lithops__image_item *item = &image->items[i];
        if (item->role == LITHOPS__IMAGE_FOLDER)
            continue;
        rc = hash_item(relay, item, err);
        if (rc == 0 && lithops_value_append(
                           list, lithops_pack("{s:s,s:I,s:o,s:i}", "sha256", item->sha256, "size",
                                              (int64_t)item->size_bytes, "name",
                                              lithops__value_text(item->name, strlen(item->name)),
                                              "role", (int)item->role)) != 0)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    lithops__image_free(image);
    if (rc == 0)
        return list;
    lithops_value_free(list);
    return NULL;
}

/* ---- hello ----------------------------------------------------------------------------------- */

/* The configuration for the worker: what is remote for the client is local there. */
static lithops_value *make_config(const struct lithops__link *link)
{
    static const char *const passed[] = {"shared_memory", "spin_us", "max_tasks_per_child"};
    const struct lithops__relay *relay = link->relay;
    lithops_value *config = lithops__config_value(relay->config, true);
    const lithops_value *section = lithops_value_get(config, "lithops");
    const lithops_value *here = lithops_value_get(config, "localhost");
    const lithops_value *backend = lithops_value_get(config, relay->driver->name);
    lithops_value *own = section ? lithops_value_copy(section) : lithops_value_map();
    lithops_value *there = here ? lithops_value_copy(here) : lithops_value_map();
    int failed = lithops_value_set(own, "backend", lithops_value_string("localhost"));
    failed |= lithops_value_set(own, "mode", lithops_value_string("localhost"));
    const lithops_worker *each = relay->workers.each;
    uint32_t count = each ? each[link->worker].worker_processes : relay->workers.worker_processes;
    failed |= lithops_value_set(there, "worker_processes",
                                count ? lithops_value_int(count) : lithops_value_string("AUTO"));
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++) {
        const lithops_value *value = lithops_value_get(backend, passed[i]);
        if (value)
            failed |= lithops_value_set(there, passed[i], lithops_value_copy(value));
    }
    failed |= lithops_value_set(config, "lithops", own);
    failed |= lithops_value_set(config, "localhost", there);
    failed |= lithops_value_set(config, relay->driver->name, lithops_value_map());
    failed |= lithops__config_drop_secrets(config, relay->workers.keeps_secrets);
    if (!failed)
        return config;
    lithops_value_free(config);
    return NULL;
}

/* The command of worker processes; its program may have another path there. */
static lithops_value *list_words(char *const *words, const char *program)
{
    lithops_value *list = lithops_value_list();
    for (size_t i = 0; list && words && words[i]; i++)
        if (lithops_value_append(
                list, lithops_value_string(i == 0 && program[0] ? program : words[i])) != 0) {
            lithops_value_free(list);
            return NULL;
        }
    return list;
}

static int send_map(struct lithops__link *link, uint16_t type, uint32_t stream,
                    const lithops_value *map, lithops_error *err)
{
    struct lithops__parcel *parcel = lithops__parcel_new();
    int rc = parcel && map ? lithops__value_encode(map, &parcel->own, err)
                           : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0 && parcel->own.len > MAP_BYTES) {
        uint32_t blob = lithops__parcel_add(link, parcel, parcel->own.data, parcel->own.len);
        rc = blob ? lithops__frame_write(&parcel->frame, type, stream, NULL,
                                         (lithops_bytes){&blob, sizeof blob}, err)
                  : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    } else if (rc == 0) {
        rc = lithops__frame_write(&parcel->frame, type, stream, map, (lithops_bytes){NULL, 0}, err);
    }
    if (parcel)
        lithops__link_send(link, parcel); /* a failure added no frame */
    return rc;
}

/* The files of a runtime, as a list of maps. */
static lithops_value *list_kit(struct lithops__relay *relay, lithops_error *err)
{
    const lithops_value *files = lithops_value_get(relay->kit, "files");
    lithops_value *list = lithops_value_list();
    int rc = list ? 0 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < lithops_value_size(files); i++) {
        const char *path, *name;
        rc = lithops_unpack(lithops_value_at(files, i), err, "[s,s]", &path, &name);
        if (rc != 0)
            break;
        struct lithops__image_item item = {.role = LITHOPS__IMAGE_FILE, .path = strdup(path)};
        rc = item.path ? hash_item(relay, &item, err)
                       : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        free(item.path);
        if (rc == 0 &&
            lithops_value_append(list, lithops_pack("{s:s,s:I,s:s,s:i}", "sha256", item.sha256,
                                                    "size", (int64_t)item.size_bytes, "name", name,
                                                    "role", (int)item.role)) != 0)
            rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    if (rc == 0)
        return list;
    lithops_value_free(list);
    return NULL;
}

/* Folders that hosts share with the client. */
static lithops_value *shared_folders(const struct lithops__link *link)
{
    const struct lithops__relay *relay = link->relay;
    lithops_value *section = lithops__config_section(relay->config, relay->driver->name, false);
    const lithops_value *folders = lithops_value_get(section, "shared_filesystem");
    lithops_value *copy = lithops_value_type(folders) == LITHOPS_LIST ? lithops_value_copy(folders)
                                                                      : lithops_value_list();
    lithops_value_free(section);
    return copy;
}

/* The files of worker processes. */
static lithops_value *list_program(struct lithops__relay *relay, lithops_error *err)
{
    static const lithops_function program = {
        .magic = LITHOPS_FUNCTION_MAGIC, .name = "program", .symbol = "program"};
    return relay->kit       ? list_kit(relay, err)
           : relay->command ? lithops_value_list()
                            : list_files(relay, &program, NULL, err);
}

void lithops__relay_hash_program(struct lithops__relay *relay)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    relay->has_hashed = true;
    lithops_value_free(list_program(relay, &err));
}

int lithops__link_hello(struct lithops__link *link, lithops_error *err)
{
    struct lithops__relay *relay = link->relay;
    lithops_value *files = list_program(relay, err);
    if (!files)
        return err->code ? err->code : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops_value *hello = lithops_pack(
        "{s:i,s:s,s:s,s:o,s:o,s:o,s:o,s:I,s:i}", "protocol", LITHOPS__WIRE_PROTOCOL, "version",
        LITHOPS_VERSION, "executor", relay->table->area.control->executor_id, "config",
        make_config(link), "command", list_words(relay->command, link->wire.program), "files",
        files, "shared", shared_folders(link), "lost_timeout_ms",
        (int64_t)relay->workers.lost_timeout_ms, "ahead_ms", relay->carrier ? CARRIED_AHEAD_MS : 0);
    int rc = send_map(link, LITHOPS__MESSAGE_HELLO, 0, hello, err);
    lithops_value_free(hello);
    return rc;
}

static void tell_ready(const struct lithops__link *link)
{
    struct lithops__table *table = link->relay->table;
    pthread_mutex_lock(&table->lock);
    lithops__table_set_processes(table, link->worker, link->processes);
    pthread_mutex_unlock(&table->lock);
    lithops__meter_has(&table->meter, link->processes);
    lithops__log(LITHOPS_LOG_DEBUG, "relay", "worker %s is ready after %.1f ms: %u processes",
                 link->name, (double)(lithops__now_ns() - link->state_ns) / 1e6, link->processes);
}

int lithops__link_hello_came(struct lithops__link *link, const struct lithops__frame *frame,
                             lithops_error *err)
{
    lithops_value *map = lithops__frame_map(frame, err);
    if (!map)
        return err->code;
    int64_t protocol = lithops_value_get_int(lithops_value_get(map, "protocol"));
    int64_t processes = lithops_value_get_int(lithops_value_get(map, "processes"));
    const char *version = lithops_value_get_string(lithops_value_get(map, "version"));
    int64_t now_ns = lithops_value_get_int(lithops_value_get(map, "now_ns"));
    int rc = 0;
    if (link->state != LITHOPS__LINK_STARTING)
        rc = lithops__fail(err, LITHOPS_EPARSE, "it says hello twice");
    else if (protocol != LITHOPS__WIRE_PROTOCOL || !version ||
             strcmp(version, LITHOPS_VERSION) != 0)
        rc = lithops__fail(err, LITHOPS_EUNSUPPORTED,
                           "it is Lithops %s, the client " LITHOPS_VERSION
                           ": install one version on both",
                           version ? version : "?");
    else if (processes < 1 || processes > UINT32_MAX)
        rc = lithops__fail(err, LITHOPS_EPARSE, "it has no worker processes");
    lithops_value_free(map);
    if (rc != 0)
        return rc;
    link->state = LITHOPS__LINK_READY;
    link->was_ready = true;
    link->ready_ns = lithops__now_ns();
    lithops__link_note_clock(link, now_ns - (int64_t)lithops__now_ns(),
                             now_ns - (int64_t)link->hello_ns);
    link->processes = (uint32_t)processes;
    link->granted = (uint64_t)processes; /* the first calls may arrive while it gets ready */
    link->beat_ns = 0;
    tell_ready(link);
    return 0;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static const char *string_at(const struct lithops__area *area, lithops__offset offset)
{
    return offset ? lithops__at(area, offset) : NULL;
}

static bool set_string(lithops_value *map, const char *key, const char *value)
{
    return !value || lithops_value_set(map, key, lithops_value_string(value)) == 0;
}

static lithops_value *make_function(const struct lithops__area *area,
                                    const struct lithops__function_slot *slot,
                                    const lithops_value *files)
{
    lithops_value *map = lithops_value_map();
    const char *library =
        lithops_value_get_string(lithops_value_get(lithops_value_at(files, 0), "name"));
    bool set = set_string(map, "name", slot->name) &&
               set_string(map, "symbol", string_at(area, slot->symbol)) &&
               set_string(map, "signature", string_at(area, slot->signature)) &&
               set_string(map, "library", slot->library ? library : NULL);
    if (set && slot->code_id)
        set = lithops_value_set(map, "code_id", lithops_value_int((int64_t)slot->code_id)) == 0 &&
              lithops_value_set(
                  map, "code",
                  lithops_value_bytes(lithops__at(area, slot->code), slot->code_len)) == 0;
    if (set)
        return map;
    lithops_value_free(map);
    return NULL;
}

static int send_job(struct lithops__link *link, uint32_t range_id, lithops_error *err)
{
    const struct lithops__area *area = &link->relay->table->area;
    const struct lithops__range *range = &area->ranges[range_id];
    const struct lithops__function_slot *slot = &area->functions[range->function];
    const lithops_function function = {.magic = LITHOPS_FUNCTION_MAGIC,
                                       .name = slot->name,
                                       .library = string_at(area, slot->library),
                                       .symbol = string_at(area, slot->symbol),
                                       .signature = string_at(area, slot->signature)};
    lithops_value *said =
        range->spec ? lithops__value_decode(lithops__at(area, range->spec), range->spec_len, err)
                    : NULL;
    if (range->spec && !said)
        return err->code;
    lithops_value *files = list_files(link->relay, slot->library ? &function : NULL,
                                      lithops_value_get(said, "manifest"), err);
    lithops_value_free(said);
    if (!files)
        return err->code ? err->code : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    const char kind[] = {range->job_kind, '\0'};
    lithops_value *called = make_function(area, slot, files);
    lithops_value *spec = range->spec
                              ? lithops_value_bytes(lithops__at(area, range->spec), range->spec_len)
                              : lithops_value_null();
    lithops_value *map =
        lithops_pack("{s:o,s:o,s:o,s:s,s:I,s:I,s:I,s:I,s:I}", "function", called, "files", files,
                     "spec", spec, "kind", kind, "number", (int64_t)range->job_number, "timeout_ms",
                     (int64_t)(range->timeout_ticks / area->control->ticks_per_ms), "memory_bytes",
                     (int64_t)range->memory_bytes, "retries", (int64_t)range->retries, "chunk",
                     (int64_t)range->chunk);
    int rc = send_map(link, LITHOPS__MESSAGE_JOB, range_id, map, err);
    lithops_value_free(map);
    return rc;
}

bool lithops__link_knows_job(const struct lithops__link *link, uint32_t range)
{
    return range < link->job_capacity &&
           link->jobs[range] == atomic_load(&link->relay->table->area.ranges[range].generation) + 1;
}

static void forget_job(struct lithops__link *link, uint32_t range)
{
    if (range >= link->job_capacity || !link->jobs[range] || lithops__link_knows_job(link, range))
        return; /* the last: its number has another job meanwhile */
    struct lithops__parcel *parcel = lithops__parcel_new();
    if (!parcel)
        return;
    lithops__frame_end(&parcel->frame,
                       lithops__frame_begin(&parcel->frame, LITHOPS__MESSAGE_FORGET, 0, range));
    lithops__link_send(link, parcel);
    link->jobs[range] = 0;
}

void lithops__relay_forget_jobs(struct lithops__relay *relay)
{
    pthread_mutex_lock(&relay->table->lock);
    uint32_t *freed = relay->freed;
    size_t count = relay->freed_count;
    relay->freed = NULL;
    relay->freed_count = relay->freed_capacity = 0;
    pthread_mutex_unlock(&relay->table->lock);
    for (size_t i = 0; i < count; i++)
        for (uint32_t l = 0; l < relay->link_count; l++)
            if (relay->links[l].state == LITHOPS__LINK_READY)
                forget_job(&relay->links[l], freed[i]);
    free(freed);
}

int lithops__link_job(struct lithops__link *link, uint32_t range, lithops_error *err)
{
    if (lithops__link_knows_job(link, range))
        return 0;
    uint32_t wanted = atomic_load(&link->relay->table->area.ranges[range].generation) + 1;
    if (range >= link->job_capacity) {
        size_t capacity = link->job_capacity ? link->job_capacity : 64;
        while (capacity <= range)
            capacity *= 2;
        uint32_t *more = realloc(link->jobs, capacity * sizeof *more);
        if (!more)
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
        memset(more + link->job_capacity, 0, (capacity - link->job_capacity) * sizeof *more);
        link->jobs = more;
        link->job_capacity = capacity;
    }
    int rc = send_job(link, range, err);
    if (rc == 0)
        link->jobs[range] = wanted;
    return rc;
}
