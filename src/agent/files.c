/* SPDX-License-Identifier: Apache-2.0 */
/* Function images: the files of a program or a library, by content hash, in the cache (image.c).
 * What is missing comes over the link, or fetch.c gets it from a storage. */
#include "agent/agent.h"
#include "agent/fetch.h"

#include "base/crypto_module.h"
#include "base/error.h"
#include "function/image.h"
#include "value/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FILES = 65536 };

/* ---- lists ----------------------------------------------------------------------------------- */

static bool is_hash(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* Whether a name stays within the image's folder. */
static bool is_name(const char *text)
{
    if (strlen(text) >= LITHOPS__FILE_NAME)
        return false;
    for (const char *part = text;; part = strchr(part, '/') + 1) {
        size_t len = strcspn(part, "/");
        if (len == 0 || len > 255 || strncmp(part, "..", len) == 0) /* or "." */
            return false;
        if (!part[len])
            return true;
    }
}

/* A string without NULs, as file names are; owned by the caller. */
static char *name_of(const lithops_value *item)
{
    lithops_bytes name = lithops_value_get_bytes(lithops_value_get(item, "name"));
    return name.len && !memchr(name.ptr, '\0', name.len) ? strndup(name.ptr, name.len) : NULL;
}

int lithops__files_read(struct lithops__agent_files *files, const lithops_value *map,
                        lithops_error *err)
{
    const lithops_value *list = lithops_value_get(map, "files");
    size_t count = lithops_value_size(list);
    *files = (struct lithops__agent_files){.receiving = {.fd = -1}};
    if (count == 0)
        return 0;
    if (count > MOST_FILES || !(files->files = calloc(count, sizeof *files->files)))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (; files->count < count; files->count++) {
        struct lithops__agent_file *file = &files->files[files->count];
        const lithops_value *item = lithops_value_at(list, files->count);
        const char *hash = lithops_value_get_string(lithops_value_get(item, "sha256"));
        char *name = name_of(item);
        if (!hash || !name || !is_hash(hash) || !is_name(name)) {
            free(name);
            return lithops__fail(err, LITHOPS_EPARSE, "the list of a function's files is invalid");
        }
        memcpy(file->sha256, hash, 65);
        file->size = (uint64_t)lithops_value_get_int(lithops_value_get(item, "size"));
        file->role = (int)lithops_value_get_int(lithops_value_get(item, "role"));
        file->name = name;
    }
    return 0;
}

void lithops__files_deinit(struct lithops__agent_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->files[i].name);
    free(files->files);
    free(files->folder);
    if (files->receiving.fd >= 0)
        close(files->receiving.fd);
    *files = (struct lithops__agent_files){.receiving = {.fd = -1}};
}

/* ---- images ---------------------------------------------------------------------------------- */

static int image_name(const struct lithops__agent_files *files, char buf[LITHOPS__HEX_HASH],
                      lithops_error *err)
{
    struct lithops__buffer list = LITHOPS__BUFFER_INIT;
    const struct lithops__crypto_api *crypto = lithops__crypto_module(err);
    for (size_t i = 0; i < files->count; i++)
        lithops__buffer_printf(&list, "%s %s\n", files->files[i].sha256, files->files[i].name);
    int rc = crypto ? 0 : LITHOPS_EUNSUPPORTED;
    if (rc == 0 && (list.failed ||
                    lithops__hex_sha256(crypto, (lithops_bytes){list.data, list.len}, buf) != 0))
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops__buffer_deinit(&list);
    return rc;
}

/* Hold the image and create its folder if there is none. */
static int hold_folder(struct lithops__agent *agent, struct lithops__agent_files *files,
                       lithops_error *err)
{
    char name[LITHOPS__HEX_HASH], path[sizeof agent->cache.path + 128];
    int rc = image_name(files, name, err);
    if (rc == 0)
        rc = lithops__cache_hold(&agent->cache, name, &files->lock_fd, err);
    if (rc != 0)
        return rc;
    snprintf(path, sizeof path, "%s/images/%s", agent->cache.path, name);
    free(files->folder);
    files->folder = strdup(path);
    if (!files->folder)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return mkdir(path, 0700) != 0 && errno != EEXIST
               ? lithops__cache_fail(&agent->cache, errno, err)
               : 0;
}

/* ---- what is missing ------------------------------------------------------------------------- */

static size_t next_missing(const struct lithops__agent_files *files, size_t from)
{
    while (from < files->count && files->files[from].is_there)
        from++;
    return from;
}

/* What is missing, for NEED. */
static lithops_value *list_missing(const struct lithops__agent_files *files)
{
    lithops_value *hashes = lithops_value_list();
    for (size_t i = 0; hashes && i < files->count; i++)
        if (!files->files[i].is_there &&
            lithops_value_append(hashes, lithops_value_string(files->files[i].sha256)) != 0) {
            lithops_value_free(hashes);
            return NULL;
        }
    return lithops_pack("{s:o}", "sha256", hashes);
}

/* Ask the client in this way. */
static int need(struct lithops__agent *agent, struct lithops__agent_files *files,
                enum lithops__files_way way, lithops_error *err)
{
    uint16_t flags = way == LITHOPS__FILES_PUT ? LITHOPS__FRAME_STORED : 0;
    struct lithops__buffer out = LITHOPS__BUFFER_INIT;
    lithops_value *map = list_missing(files);
    size_t at = lithops__frame_begin(&out, LITHOPS__MESSAGE_NEED, flags, files->stream);
    int rc = map ? lithops__value_encode(map, &out, err)
                 : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops__frame_end_map(&out, at);
    lithops__frame_end(&out, at);
    files->way = way;
    files->next = next_missing(files, 0);
    if (rc == 0 && !lithops__agent_send(agent, &out))
        rc = lithops__fail(err, LITHOPS_EIO, "the client is gone");
    lithops__buffer_deinit(&out);
    lithops_value_free(map);
    return rc;
}

static void fetch(const struct lithops__agent *agent, struct lithops__agent_files *files,
                  enum lithops__files_way way)
{
    files->way = way;
    lithops__fetch_begin(agent->fetch, files);
}

int lithops__files_ask(struct lithops__agent *agent, struct lithops__agent_files *files,
                       uint32_t stream, lithops_error *err)
{
    int rc = hold_folder(agent, files, err);
    for (size_t i = 0; rc == 0 && i < files->count; i++) {
        int found = lithops__files_look_for(agent, files, &files->files[i], err);
        files->files[i].is_there = found == 1;
        files->missing += found == 0;
        rc = found < 0 ? found : 0;
    }
    files->stream = stream;
    if (rc != 0 || files->missing == 0)
        return rc;
    if (!agent->fetch)
        return need(agent, files, LITHOPS__FILES_SENT, err);
    fetch(agent, files, LITHOPS__FILES_LOOKED_FOR);
    return 0;
}

/* The last one has come. */
static void finish(const struct lithops__agent *agent)
{
    (void)lithops__cache_trim(&agent->cache, agent->most_cache_bytes, false);
}

int lithops__files_fetched(struct lithops__agent *agent, struct lithops__agent_files *files,
                           lithops_error *err)
{
    files->missing = 0;
    for (size_t i = 0; i < files->count; i++)
        files->missing += !files->files[i].is_there;
    if (files->missing == 0) {
        finish(agent);
        return 0;
    }
    return need(agent, files,
                files->way == LITHOPS__FILES_LOOKED_FOR ? LITHOPS__FILES_PUT : LITHOPS__FILES_SENT,
                err);
}

/* ---- what comes ------------------------------------------------------------------------------ */

/* The last piece of a file has come. */
static int finish_file(const struct lithops__agent *agent, struct lithops__agent_files *files,
                       lithops_error *err)
{
    struct lithops__agent_file *file = &files->files[files->next];
    int is_right = lithops__partial_is_right(&files->receiving, file->sha256, err);
    if (is_right == 0)
        return lithops__fail(err, LITHOPS_EPARSE,
                             "the file '%s' differs from the one announced: it was "
                             "changed during the transfer",
                             file->name);
    int rc =
        is_right == 1 ? lithops__files_place(agent, files, file, &files->receiving, err) : is_right;
    if (rc != 0)
        return rc;
    lithops__partial_end(agent, &files->receiving);
    file->is_there = true;
    files->missing--;
    files->next = next_missing(files, files->next);
    if (files->missing == 0)
        finish(agent);
    return 0;
}

int lithops__files_receive(struct lithops__agent *agent, struct lithops__agent_files *files,
                           const struct lithops__frame *frame, lithops_error *err)
{
    bool is_stored = frame->flags & LITHOPS__FRAME_STORED;
    if (files->missing == 0 || files->way != (is_stored ? LITHOPS__FILES_PUT : LITHOPS__FILES_SENT))
        return lithops__fail(err, LITHOPS_EPARSE, "a file that was not asked for");
    if (is_stored) {
        fetch(agent, files, LITHOPS__FILES_FOUND);
        return 0;
    }
    int rc = files->receiving.fd < 0
                 ? lithops__partial_begin(agent, files->files[files->next].sha256,
                                          &files->receiving, err)
                 : 0;
    if (rc == 0)
        rc = lithops__partial_write(agent, &files->receiving, frame->payload, err);
    if (rc == 0 && frame->flags & LITHOPS__FRAME_LAST)
        rc = finish_file(agent, files, err);
    if (rc != 0)
        lithops__partial_end(agent, &files->receiving);
    return rc;
}
