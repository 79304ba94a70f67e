/* SPDX-License-Identifier: Apache-2.0 */
/* Objects in Redis.
 *
 *     {lithops:<bucket>}                 sorted set: the keys of the bucket, and "", which keeps it
 *     {lithops:<bucket>}/<key>           hash: etag, size, part (bytes of one), parts, time
 *     {lithops:<bucket>}#<etag>/<n>      string: part n of one version of an object
 *
 * Parts belong to a version and never change. Those of a large object are stored one by one, and
 * expire after a day if nobody claims them; then one script makes the record name them, and removes
 * the parts of the version before. Small objects are one part, which comes with the script. So
 * readers see the old object or the new one, and a reader whose version is gone notices, since the
 * record's etag has changed or the part is missing.
 *
 * Redis runs one script at a time, so none may take long: lists come in pages, and the whole of a
 * large object passes in parts. All names of a bucket have one hash tag. */
#include "base/error.h"
#include "storage/backends/redis/redis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    ETAG = 33,
    TAG = 280,         /* "{lithops:bucket}" */
    NAME = TAG + 1100, /* and a key, or a part */
    PIECE = 4 << 20,   /* of a read, which the server makes a copy of */
    PART_EXPIRES_S = 86400,
};

/* ---- words ----------------------------------------------------------------------------------- */

static lithops_bytes word(const char *text)
{
    return (lithops_bytes){text, strlen(text)};
}

static lithops_bytes number(char buf[24], uint64_t value)
{
    snprintf(buf, 24, "%" PRIu64, value);
    return word(buf);
}

static void write_tag(char tag[TAG], const char *bucket)
{
    snprintf(tag, TAG, "{lithops:%s}", bucket);
}

static bool copy_text(char *to, size_t size, const struct lithops__resp *from)
{
    bool good = from->type == LITHOPS__RESP_BULK && from->text.len < size;
    if (good) {
        memcpy(to, from->text.ptr, from->text.len);
        to[from->text.len] = '\0';
    }
    return good;
}

static uint64_t number_of(const struct lithops__resp *reply)
{
    char text[24];
    return copy_text(text, sizeof text, reply) ? strtoull(text, NULL, 10) : 0;
}

static double time_of(const struct lithops__resp *reply)
{
    char text[32];
    return copy_text(text, sizeof text, reply) ? strtod(text, NULL) : 0;
}

static int fail_answer(const char *bucket, const char *key, const lithops_storage_op *op)
{
    return lithops__fail(op->err, LITHOPS_EBACKEND,
                         "'%s/%s': Redis holds something else there than an object", bucket, key);
}

/* ---- puts ------------------------------------------------------------------------------------ */

/* KEYS: the record, the set. ARGV: key, tag, etag, size, part, parts, 1 if there must be no object
 * yet, the only part if it is not stored yet. */
static const char commit_script[] =
    "local tag, etag, parts = ARGV[2], ARGV[3], tonumber(ARGV[6])\n"
    "local old = redis.call('HMGET', KEYS[1], 'etag', 'parts')\n"
    "if ARGV[7] == '1' and old[1] then return redis.error_reply('LITHOPS-EXISTS') end\n"
    "for i = 0, ARGV[8] and -1 or parts - 1 do\n"
    "  if redis.call('EXISTS', tag .. '#' .. etag .. '/' .. i) == 0 then\n"
    "    return redis.error_reply('LITHOPS-EXPIRED a part is not there any more')\n"
    "  end\n"
    "end\n"
    "local now = redis.call('TIME')\n"
    "redis.call('ZADD', KEYS[2], 0, '', 0, ARGV[1])\n"
    "if ARGV[8] then redis.call('SET', tag .. '#' .. etag .. '/0', ARGV[8]) end\n"
    "redis.call('HSET', KEYS[1], 'etag', etag, 'size', ARGV[4], 'part', ARGV[5], 'parts', parts,\n"
    "  'time', now[1] .. '.' .. string.format('%06d', now[2]))\n"
    "for i = 0, ARGV[8] and -1 or parts - 1 do\n"
    "  redis.call('PERSIST', tag .. '#' .. etag .. '/' .. i)\n"
    "end\n"
    "if old[1] and old[1] ~= etag then\n"
    "  for i = 0, tonumber(old[2]) - 1 do\n"
    "    redis.call('UNLINK', tag .. '#' .. old[1] .. '/' .. i)\n"
    "  end\n"
    "end\n"
    "return 1\n";

/* One version of an object. */
struct version {
    const char *bucket, *key, *etag;
    uint64_t size, part, parts;
};

static int make_etag(char etag[ETAG], const lithops_storage_op *op)
{
    unsigned char random[(ETAG - 1) / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return lithops__fail_errno(op->err, errno, "no random numbers");
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(etag + 2 * i, 3, "%02x", random[i]);
    return 0;
}

static void describe_put(const char *bucket, const char *key, char doing[400])
{
    snprintf(doing, 400, "store '%.250s/%.100s'", bucket, key);
}

static int do_command(struct lithops__redis *redis, const char *doing, const lithops_bytes *words,
                      size_t count, const lithops_storage_op *op)
{
    struct lithops__redis_request request;
    int rc = lithops__redis_begin(redis, doing, words, count, op, &request);
    if (rc == 0)
        lithops__redis_end(redis, &request);
    return rc;
}

/* `only_part` may be NULL: all are stored. */
static int commit(struct lithops__redis *redis, const struct version *version,
                  const lithops_bytes *only_part, bool only_new, const lithops_storage_op *op)
{
    char tag[TAG], record[NAME], size[24], part[24], parts[24], doing[400];
    write_tag(tag, version->bucket);
    describe_put(version->bucket, version->key, doing);
    snprintf(record, sizeof record, "%s/%s", tag, version->key);
    const lithops_bytes words[] = {word("EVAL"),
                                   word(commit_script),
                                   word("2"),
                                   word(record),
                                   word(tag),
                                   word(version->key),
                                   word(tag),
                                   word(version->etag),
                                   number(size, version->size),
                                   number(part, version->part),
                                   number(parts, version->parts),
                                   word(only_new ? "1" : "0"),
                                   only_part ? *only_part : word("")};
    return do_command(redis, doing, words, only_part ? 13 : 12, op);
}

static int put_whole(struct lithops__redis *redis, const char *bucket, const char *key,
                     lithops_bytes body, bool only_new, const lithops_storage_op *op)
{
    char etag[ETAG];
    const struct version version = {.bucket = bucket,
                                    .key = key,
                                    .etag = etag,
                                    .size = body.len,
                                    .part = body.len ? body.len : 1,
                                    .parts = body.len > 0};
    int rc = make_etag(etag, op);
    return rc ? rc : commit(redis, &version, body.len ? &body : NULL, only_new, op);
}

int lithops__redis_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                       const lithops_storage_op *op)
{
    return put_whole(state, bucket, key, body, false, op);
}

int lithops__redis_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                           const lithops_storage_op *op)
{
    return put_whole(state, bucket, key, body, true, op);
}

int lithops__redis_make_bucket(void *state, const char *bucket, const lithops_storage_op *op)
{
    char tag[TAG];
    write_tag(tag, bucket);
    const lithops_bytes words[] = {word("ZADD"), word(tag), word("0"), word("")};
    return do_command(state, "make a bucket", words, 4, op);
}

/* ---- large objects --------------------------------------------------------------------------- */

int lithops__redis_upload_begin(void *state, lithops_storage_upload *upload,
                                const lithops_storage_op *op)
{
    (void)state;
    upload->id = malloc(ETAG);
    if (!upload->id)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for an object");
    return make_etag(upload->id, op);
}

/* What is known of each part is its length, noted before it is sent: so all are found again. */
int lithops__redis_upload_part(void *state, lithops_storage_upload *upload, size_t part,
                               lithops_bytes body, const lithops_storage_op *op)
{
    char tag[TAG], name[NAME], expires[24], doing[400];
    write_tag(tag, upload->bucket);
    describe_put(upload->bucket, upload->key, doing);
    snprintf(upload->etags[part], sizeof *upload->etags, "%zu", body.len);
    snprintf(name, sizeof name, "%s#%s/%zu", tag, upload->id, part);
    const lithops_bytes words[] = {word("SETEX"), word(name), number(expires, PART_EXPIRES_S),
                                   body};
    return do_command(state, doing, words, 4, op);
}

int lithops__redis_upload_complete(void *state, const lithops_storage_upload *upload,
                                   const lithops_storage_op *op)
{
    const struct version version = {.bucket = upload->bucket,
                                    .key = upload->key,
                                    .etag = upload->id,
                                    .size = upload->size_bytes,
                                    .part = strtoull(upload->etags[0], NULL, 10),
                                    .parts = upload->count};
    for (size_t i = 1; i + 1 < upload->count; i++)
        if (strcmp(upload->etags[i], upload->etags[0]) != 0)
            return lithops__fail(op->err, LITHOPS_EUSAGE,
                                 "'%s/%s' is too long for an object whose size is not known; store "
                                 "it from a file instead of a pipe",
                                 upload->bucket, upload->key);
    return commit(state, &version, NULL, false, op);
}

/* KEYS: the record. ARGV: tag, etag, how many. */
static const char abort_script[] =
    "if redis.call('HGET', KEYS[1], 'etag') ~= ARGV[2] then\n"
    "  for i = 0, tonumber(ARGV[3]) - 1 do\n"
    "    redis.call('UNLINK', ARGV[1] .. '#' .. ARGV[2] .. '/' .. i)\n"
    "  end\n"
    "end\n"
    "return 1\n";

int lithops__redis_upload_abort(void *state, const lithops_storage_upload *upload,
                                const lithops_storage_op *op)
{
    char tag[TAG], record[NAME], count[24];
    size_t end = 0;
    for (size_t i = 0; i < LITHOPS_STORAGE_PARTS_MAX; i++)
        if (upload->etags[i][0])
            end = i + 1;
    write_tag(tag, upload->bucket);
    snprintf(record, sizeof record, "%s/%s", tag, upload->key);
    const lithops_bytes words[] = {word("EVAL"),      word(abort_script), word("1"),
                                   word(record),      word(tag),          word(upload->id),
                                   number(count, end)};
    return do_command(state, "remove the parts of an object", words, 7, op);
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* KEYS: the record, the set. ARGV: tag, offset, length. Bytes up to the end of a part, or whether
 * there is such a bucket. */
static const char read_script[] =
    "local object = redis.call('HMGET', KEYS[1], 'etag', 'size', 'part', 'time')\n"
    "if not object[1] then return redis.call('EXISTS', KEYS[2]) end\n"
    "local at, left, part = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(object[3])\n"
    "local bytes = ''\n"
    "if left > 0 and at < tonumber(object[2]) then\n"
    "  local skip = at % part\n"
    "  bytes = redis.call('GETRANGE',\n"
    "    ARGV[1] .. '#' .. object[1] .. '/' .. string.format('%.0f', (at - skip) / part),\n"
    "    skip, math.min(part, skip + left) - 1)\n"
    "end\n"
    "return {object[1], object[2], object[4], bytes}\n";

static int ask_object(struct lithops__redis *redis, const char *bucket, const char *key,
                      uint64_t offset, uint64_t len, const lithops_storage_op *op,
                      struct lithops__redis_request *ret_request)
{
    char tag[TAG], record[NAME], at[24], wanted[24], doing[400];
    write_tag(tag, bucket);
    snprintf(record, sizeof record, "%s/%s", tag, key);
    snprintf(doing, sizeof doing, "read '%.250s/%.100s'", bucket, key);
    const lithops_bytes words[] = {word("EVAL"),       word(read_script),  word("2"),
                                   word(record),       word(tag),          word(tag),
                                   number(at, offset), number(wanted, len)};
    int rc = lithops__redis_begin(redis, doing, words, 8, op, ret_request);
    if (rc)
        return rc;
    const struct lithops__resp *reply = &ret_request->reply;
    if (reply->type == LITHOPS__RESP_ARRAY && reply->count == 4 &&
        reply->items[3].type == LITHOPS__RESP_BULK)
        return 0;
    if (reply->type != LITHOPS__RESP_INTEGER)
        rc = fail_answer(bucket, key, op);
    else if (reply->number)
        rc = lithops__fail(op->err, LITHOPS_ENOTFOUND, "no object '%s' in bucket '%s' of Redis",
                           key, bucket);
    else
        rc = lithops__fail(op->err, LITHOPS_ENOTFOUND, "no bucket '%s' in Redis", bucket);
    lithops__redis_end(redis, ret_request);
    return rc;
}

/* Read up to the end of a part. *ret_len 0: the object ends here, or cursor->replaced is set. */
static int read_some(struct lithops__redis *redis, const char *bucket, const char *key,
                     lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                     size_t *ret_len, const lithops_storage_op *op)
{
    struct lithops__redis_request request;
    size_t most = len < PIECE ? len : PIECE;
    int rc =
        ask_object(redis, bucket, key, offset < INT64_MAX ? offset : INT64_MAX, most, op, &request);
    if (rc)
        return rc;
    const struct lithops__resp *items = request.reply.items;
    char etag[ETAG];
    lithops_bytes bytes = items[3].text;
    *ret_len = 0;
    if (!copy_text(etag, sizeof etag, &items[0]) || bytes.len > most) {
        rc = fail_answer(bucket, key, op);
    } else if (cursor->etag[0] && strcmp(etag, cursor->etag) != 0) {
        cursor->replaced = true;
    } else {
        cursor->size_bytes = number_of(&items[1]);
        snprintf(cursor->etag, sizeof cursor->etag, "%s", etag);
        if (bytes.len)
            memcpy(buf, bytes.ptr, bytes.len);
        *ret_len = bytes.len;
        if (len && bytes.len == 0 && offset < cursor->size_bytes)
            rc = lithops__fail(op->err, LITHOPS_EIO,
                               "'%s/%s' has lost a part: the server has dropped it; set its "
                               "maxmemory-policy to noeviction",
                               bucket, key);
    }
    lithops__redis_end(redis, &request);
    return rc;
}

int lithops__redis_read(void *state, const char *bucket, const char *key,
                        lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                        size_t *ret_len, const lithops_storage_op *op)
{
    lithops_storage_cursor seen = *cursor;
    size_t done = 0, got = 0;
    int rc;
    do {
        rc = read_some(state, bucket, key, &seen, offset + done, done ? (char *)buf + done : buf,
                       len - done, &got, op);
        done += got;
    } while (rc == 0 && got && done < len && offset + done < seen.size_bytes);
    if (rc)
        return rc;
    *cursor = seen;
    *ret_len = done;
    return 0;
}

int lithops__redis_head(void *state, const char *bucket, const char *key,
                        lithops_object_info *ret_info, const lithops_storage_op *op)
{
    static _Thread_local char etag[ETAG];
    struct lithops__redis_request request;
    int rc = ask_object(state, bucket, key, 0, 0, op, &request);
    if (rc)
        return rc;
    const struct lithops__resp *items = request.reply.items;
    if (!copy_text(etag, sizeof etag, &items[0]))
        etag[0] = '\0';
    *ret_info = (lithops_object_info){.key = key,
                                      .size_bytes = number_of(&items[1]),
                                      .last_modified = time_of(&items[2]),
                                      .etag = etag};
    lithops__redis_end(state, &request);
    return 0;
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* KEYS: the set. ARGV: from, to (as ZRANGEBYLEX has them), how many, tag. For each key: itself,
 * etag, size, time; the record of a key may have been dropped by the server. */
static const char list_script[] =
    "if redis.call('EXISTS', KEYS[1]) == 0 then return false end\n"
    "local found = {}\n"
    "local keys = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])\n"
    "for i, key in ipairs(keys) do\n"
    "  local object = redis.call('HMGET', ARGV[4] .. '/' .. key, 'etag', 'size', 'time')\n"
    "  found[4 * i - 3] = key\n"
    "  for k = 1, 3 do found[4 * i - 3 + k] = object[k] or '' end\n"
    "end\n"
    "return found\n";

/* The first bytes behind all that begin with the prefix. */
static lithops_bytes behind_prefix(char *buf, size_t size, const char *prefix)
{
    snprintf(buf, size, "(%s", prefix);
    size_t len = strlen(buf);
    while (len > 1 && (unsigned char)buf[len - 1] == 0xff)
        len--;
    if (len == 1)
        return word("+");
    buf[len - 1]++;
    return (lithops_bytes){buf, len};
}

static int visit_page(const struct lithops__resp *reply, char *last, size_t last_size,
                      int (*visit)(const lithops_object_info *info, void *user), void *user)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i + 3 < reply->count; i += 4) {
        const struct lithops__resp *items = reply->items + i;
        char key[1100], etag[ETAG];
        if (!copy_text(key, sizeof key, &items[0]) || !copy_text(etag, sizeof etag, &items[1]))
            continue;
        snprintf(last, last_size, "(%s", key);
        const lithops_object_info info = {.key = key,
                                          .size_bytes = number_of(&items[2]),
                                          .last_modified = time_of(&items[3]),
                                          .etag = etag};
        if (key[0] && etag[0])
            rc = visit(&info, user);
    }
    return rc;
}

int lithops__redis_list(void *state, const char *bucket, const char *prefix, const char *after,
                        int (*visit)(const lithops_object_info *info, void *user), void *user,
                        const lithops_storage_op *op)
{
    enum { PAGE = 500 };
    char tag[TAG], from[1101], to[1101], most[24], doing[400];
    write_tag(tag, bucket);
    snprintf(doing, sizeof doing, "list '%.250s'", bucket);
    bool behind = *after && strcmp(after, prefix) >= 0;
    snprintf(from, sizeof from, "%s%s", behind ? "(" : "[", behind ? after : prefix);
    for (;;) {
        const lithops_bytes words[] = {word("EVAL"),       word(list_script),
                                       word("1"),          word(tag),
                                       word(from),         behind_prefix(to, sizeof to, prefix),
                                       number(most, PAGE), word(tag)};
        struct lithops__redis_request request;
        int rc = lithops__redis_begin(state, doing, words, 8, op, &request);
        if (rc)
            return rc;
        size_t count = request.reply.count;
        if (request.reply.type == LITHOPS__RESP_NIL)
            rc = lithops__fail(op->err, LITHOPS_ENOTFOUND, "no bucket '%s' in Redis", bucket);
        else
            rc = visit_page(&request.reply, from, sizeof from, visit, user);
        lithops__redis_end(state, &request);
        if (rc || count < 4 * PAGE)
            return rc;
    }
}

/* ---- deleting -------------------------------------------------------------------------------- */

/* KEYS: the set, the records. ARGV: tag, the keys. */
static const char delete_script[] =
    "for i = 2, #KEYS do\n"
    "  local old = redis.call('HMGET', KEYS[i], 'etag', 'parts')\n"
    "  if old[1] then\n"
    "    for k = 0, tonumber(old[2]) - 1 do\n"
    "      redis.call('UNLINK', ARGV[1] .. '#' .. old[1] .. '/' .. k)\n"
    "    end\n"
    "    redis.call('UNLINK', KEYS[i])\n"
    "  end\n"
    "  redis.call('ZREM', KEYS[1], ARGV[i])\n"
    "end\n"
    "return 1\n";

int lithops__redis_del_many(void *state, const char *bucket, const char *const *keys, size_t count,
                            const lithops_storage_op *op)
{
    char tag[TAG], key_count[24], doing[400];
    write_tag(tag, bucket);
    snprintf(doing, sizeof doing, "delete objects of '%.250s'", bucket);
    size_t tag_len = strlen(tag), used = 0, total = 0;
    for (size_t i = 0; i < count; i++)
        total += tag_len + strlen(keys[i]) + 2;
    lithops_bytes *words = calloc(2 * count + 5, sizeof *words);
    char *names = malloc(total + 1);
    if (!words || !names) {
        free(words);
        free(names);
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a deletion");
    }
    words[0] = word("EVAL");
    words[1] = word(delete_script);
    words[2] = number(key_count, count + 1);
    words[3] = words[count + 4] = word(tag);
    for (size_t i = 0; i < count; i++) {
        char *name = names + used;
        used += (size_t)snprintf(name, total + 1 - used, "%s/%s", tag, keys[i]) + 1;
        words[4 + i] = word(name);
        words[count + 5 + i] = word(keys[i]);
    }
    int rc = do_command(state, doing, words, 2 * count + 5, op);
    free(words);
    free(names);
    return rc;
}

int lithops__redis_del(void *state, const char *bucket, const char *key,
                       const lithops_storage_op *op)
{
    return lithops__redis_del_many(state, bucket, &key, 1, op);
}
