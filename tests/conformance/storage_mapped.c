/* SPDX-License-Identifier: Apache-2.0 */
/* The suite's buckets as others of a real server. */
#include "storage_mapped.h"

#include <stdio.h>
#include <string.h>

static unsigned opened;

static const lithops_storage_ops *real_ops;

static const lithops_storage_ops *real(void)
{
    return real_ops;
}

static const char *map(const char *bucket)
{
    static _Thread_local char name[64];
    int len = snprintf(name, sizeof name, "t%u-%.50s", opened, bucket);
    for (int i = 0; i < len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", name[i]))
            name[i] = 'x';
    return name;
}

static int mapped_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                      const lithops_storage_op *op)
{
    int rc = real()->put(state, map(bucket), key, body, op);
    if (rc != LITHOPS_ENOTFOUND)
        return rc;
    rc = real()->make_bucket(state, map(bucket), op);
    return rc ? rc : real()->put(state, map(bucket), key, body, op);
}

static int mapped_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                          const lithops_storage_op *op)
{
    int rc = real()->make_bucket(state, map(bucket), op);
    return rc ? rc : real()->put_new(state, map(bucket), key, body, op);
}

static int mapped_make_bucket(void *state, const char *bucket, const lithops_storage_op *op)
{
    return real()->make_bucket(state, map(bucket), op);
}

/* The engine's upload names the suite's bucket: a copy names the server's. */
static lithops_storage_upload mapped(const lithops_storage_upload *upload)
{
    lithops_storage_upload copy = *upload;
    copy.bucket = map(upload->bucket);
    return copy;
}

static int mapped_begin(void *state, lithops_storage_upload *upload, const lithops_storage_op *op)
{
    lithops_storage_upload copy = mapped(upload);
    int rc = real()->make_bucket(state, copy.bucket, op);
    if (rc == 0)
        rc = real()->upload_begin(state, &copy, op);
    upload->id = copy.id;
    return rc;
}

static int mapped_part(void *state, lithops_storage_upload *upload, size_t number,
                       lithops_bytes body, const lithops_storage_op *op)
{
    lithops_storage_upload copy = mapped(upload);
    return real()->upload_part(state, &copy, number, body, op);
}

static int mapped_part_fd(void *state, lithops_storage_upload *upload, size_t number, int fd,
                          uint64_t offset, size_t len, const lithops_storage_op *op)
{
    lithops_storage_upload copy = mapped(upload);
    return real()->upload_part_fd(state, &copy, number, fd, offset, len, op);
}

static int mapped_complete(void *state, const lithops_storage_upload *upload,
                           const lithops_storage_op *op)
{
    lithops_storage_upload copy = mapped(upload);
    return real()->upload_complete(state, &copy, op);
}

static int mapped_abort(void *state, const lithops_storage_upload *upload,
                        const lithops_storage_op *op)
{
    lithops_storage_upload copy = mapped(upload);
    return real()->upload_abort(state, &copy, op);
}

static int mapped_read(void *state, const char *bucket, const char *key,
                       lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                       size_t *ret_len, const lithops_storage_op *op)
{
    return real()->read(state, map(bucket), key, cursor, offset, buf, len, ret_len, op);
}

static int mapped_head(void *state, const char *bucket, const char *key, lithops_object_info *info,
                       const lithops_storage_op *op)
{
    return real()->head(state, map(bucket), key, info, op);
}

static int mapped_list(void *state, const char *bucket, const char *prefix, const char *after,
                       int (*visit)(const lithops_object_info *info, void *user), void *user,
                       const lithops_storage_op *op)
{
    return real()->list(state, map(bucket), prefix, after, visit, user, op);
}

static int mapped_del(void *state, const char *bucket, const char *key,
                      const lithops_storage_op *op)
{
    return real()->del(state, map(bucket), key, op);
}

static int mapped_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                           const lithops_storage_op *op)
{
    return real()->del_many(state, map(bucket), keys, count, op);
}

static int mapped_copy(void *state, const char *bucket, const char *key, const char *to_bucket,
                       const char *to_key, const lithops_storage_op *op)
{
    char from[64];
    snprintf(from, sizeof from, "%s", map(bucket));
    return real()->copy(state, from, key, map(to_bucket), to_key, op);
}

lithops_storage *storage_mapped_open(const lithops_storage_driver *real_driver,
                                     const lithops_value *settings, const char *bucket,
                                     lithops_error *err)
{
    static lithops_storage_ops ops;
    static lithops_storage_driver driver;
    real_ops = real_driver->ops;
    ops = *real();
    ops.put = mapped_put;
    ops.put_new = mapped_put_new;
    ops.make_bucket = mapped_make_bucket;
    if (ops.upload_begin) {
        ops.upload_begin = mapped_begin;
        ops.upload_part = mapped_part;
        if (ops.upload_part_fd)
            ops.upload_part_fd = mapped_part_fd;
        ops.upload_complete = mapped_complete;
        ops.upload_abort = mapped_abort;
    }
    ops.read = mapped_read;
    ops.head = mapped_head;
    ops.list = mapped_list;
    ops.del = mapped_del;
    if (ops.del_many)
        ops.del_many = mapped_del_many;
    if (ops.copy)
        ops.copy = mapped_copy;
    driver = *real_driver;
    driver.ops = &ops;
    opened++;
    return lithops__storage_open_driver(&driver, settings, bucket, err);
}
