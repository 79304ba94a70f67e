/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier/bundle.h"

#include "base/buffer.h"
#include "base/crypto_module.h"
#include "base/error.h"
#include "base/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ALONE_BYTES = 1 << 20, /* so long a file has an object of its own */
    FULL_BYTES = 4 << 20,  /* and what others share is not much longer than this */
};

/* ---- planning -------------------------------------------------------------------------------- */

static int name_bundle(const struct lithops__crypto_api *crypto,
                       const struct lithops__bundle_file *files, struct lithops__bundle *bundle)
{
    struct lithops__buffer list = LITHOPS__BUFFER_INIT;
    char hash[LITHOPS__HEX_HASH];
    const char *name = files[bundle->first].sha256;
    int failed = 0;
    for (size_t i = 0; bundle->count > 1 && i < bundle->count; i++) {
        const struct lithops__bundle_file *file = &files[bundle->first + i];
        lithops__buffer_printf(&list, "%s %llu\n", file->sha256, (unsigned long long)file->size);
    }
    if (bundle->count > 1) {
        failed = list.failed ||
                 lithops__hex_sha256(crypto, (lithops_bytes){list.data, list.len}, hash) != 0;
        name = hash;
    }
    if (!failed)
        snprintf(bundle->key, sizeof bundle->key, LITHOPS__BUNDLE_PREFIX "%s", name);
    lithops__buffer_deinit(&list);
    return failed;
}

/* How many files, from this one on, the next object has. */
static void take_files(const struct lithops__bundle_file *files, size_t count, size_t first,
                       struct lithops__bundle *ret_bundle)
{
    *ret_bundle = (struct lithops__bundle){.first = first, .count = 1, .size = files[first].size};
    while (files[first].size < ALONE_BYTES && first + ret_bundle->count < count) {
        uint64_t size = files[first + ret_bundle->count].size;
        if (size >= ALONE_BYTES || ret_bundle->size + size > FULL_BYTES)
            break;
        ret_bundle->size += size;
        ret_bundle->count++;
    }
}

int lithops__bundle_plan(const struct lithops__bundle_file *files, size_t count,
                         struct lithops__bundle **ret_bundles, size_t *ret_count,
                         lithops_error *err)
{
    const struct lithops__crypto_api *crypto =
        lithops__module_symbol("crypto", "lithops__crypto", err);
    struct lithops__bundle *bundles = calloc(count ? count : 1, sizeof *bundles);
    size_t planned = 0;
    int failed = !bundles;
    if (!crypto) {
        free(bundles);
        return LITHOPS_EUNSUPPORTED;
    }
    for (size_t at = 0; !failed && at < count; at += bundles[planned++].count) {
        take_files(files, count, at, &bundles[planned]);
        failed = name_bundle(crypto, files, &bundles[planned]);
    }
    if (failed) {
        free(bundles);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    *ret_bundles = bundles;
    *ret_count = planned;
    return 0;
}

/* ---- putting --------------------------------------------------------------------------------- */

static int open_file(const struct lithops__bundle_file *file, int *ret_fd, lithops_error *err)
{
    struct stat status;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        int failed = errno;
        if (fd >= 0)
            close(fd);
        return lithops__fail_errno(err, failed, "cannot read '%s'", file->path);
    }
    if ((uint64_t)status.st_size != file->size) {
        close(fd);
        return lithops__fail(err, LITHOPS_EIO, "'%s' was changed meanwhile", file->path);
    }
    *ret_fd = fd;
    return 0;
}

static int append_file(struct lithops__buffer *out, const struct lithops__bundle_file *file,
                       lithops_error *err)
{
    int fd = -1, rc = open_file(file, &fd, err);
    if (rc != 0)
        return rc;
    char *room = lithops__buffer_reserve(out, (size_t)file->size);
    size_t done = 0;
    if (!room)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    while (rc == 0 && done < file->size) {
        ssize_t n = read(fd, room + done, (size_t)file->size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            rc = n < 0 ? lithops__fail_errno(err, errno, "cannot read '%s'", file->path)
                       : lithops__fail(err, LITHOPS_EIO, "'%s' was changed meanwhile", file->path);
        done += n > 0 ? (size_t)n : 0;
    }
    out->len += rc == 0 ? done : 0;
    close(fd);
    return rc;
}

static int put_one(lithops_storage *storage, const struct lithops__bundle *bundle,
                   const struct lithops__bundle_file *file, lithops_error *err)
{
    int fd = -1, rc = open_file(file, &fd, err);
    if (rc == 0) {
        rc = lithops_storage_put_fd(storage, lithops_storage_bucket(storage), bundle->key, fd, err);
        close(fd);
    }
    return rc;
}

int lithops__bundle_put(lithops_storage *storage, const struct lithops__bundle *bundle,
                        const struct lithops__bundle_file *files, lithops_error *err)
{
    const struct lithops__bundle_file *own = files + bundle->first;
    struct lithops__buffer all = LITHOPS__BUFFER_INIT;
    int rc = 0;
    if (bundle->count == 1)
        return put_one(storage, bundle, own, err);
    for (size_t i = 0; rc == 0 && i < bundle->count; i++)
        rc = append_file(&all, &own[i], err);
    if (rc == 0)
        rc = lithops_storage_put(storage, lithops_storage_bucket(storage), bundle->key,
                                 (lithops_bytes){all.data, all.len}, err);
    lithops__buffer_deinit(&all);
    return rc;
}
