/* SPDX-License-Identifier: Apache-2.0 */
/* Reading objects: into memory, and into files.
 *
 * The first answer brings a piece and the object's size, so a small object is one request. The rest
 * of a large one comes by parts, several at once where the driver gains from it. All of them are of
 * the version that the first answer had. */
#include "base/error.h"
#include "storage/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANGED_MAX 20          /* how often a get starts again because the object was replaced */
#define SPOILED_MAX 5           /* or because what came does not match its checksum */
#define FIRST_PIECE (32u << 10) /* of a get, on the stack */
#define FILE_PIECE (256u << 10) /* between an object and a file */
#define PART ((uint64_t)LITHOPS_STORAGE_PART_BYTES)
#define PARALLEL 8 /* parts at once */
#define HUGE_PAGE (2u << 20)

/* Read, and set cursor->replaced if the object is no longer the one that the cursor began with. */
static int read_version(lithops_storage *storage, const char *bucket, const char *key,
                        lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                        size_t *ret_len, const struct lithops__bounds *bounds, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    const lithops_storage_cursor before = *cursor;
    struct lithops__request request;
    lithops__request_begin_within(&request, storage, bounds);
    while (lithops__request_try(&request, &rc))
        rc = storage->driver->ops->read(storage->state, bucket, key, cursor, offset, buf, len,
                                        ret_len, &request.op);
    if (rc == 0 && before.has_begun &&
        (cursor->size_bytes != before.size_bytes || strcmp(cursor->etag, before.etag) != 0))
        cursor->replaced = true;
    if (rc == 0)
        cursor->has_begun = true;
    return lithops__request_end(&request, rc, err);
}

static struct lithops__bounds bounds_of_call(const lithops_storage *storage)
{
    struct lithops__bounds bounds = storage->retry.bounds;
    bounds.deadline_ns = lithops__storage_deadline(storage);
    return bounds;
}

static bool is_over(const lithops_storage_cursor *cursor)
{
    return cursor->replaced || cursor->spoiled;
}

static int fail_over(const lithops_storage_cursor *cursor, const char *bucket, const char *key,
                     lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EIO,
                         cursor->spoiled
                             ? "what came of object '%s/%s' does not match its checksum; read it "
                               "again"
                             : "object '%s/%s' has changed while it was being read; read it again",
                         bucket, key);
}

int lithops__storage_read(lithops_storage *storage, const char *bucket, const char *key,
                          lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                          size_t *ret_len, lithops_error *err)
{
    size_t got = 0;
    int rc = lithops__storage_check_handle(storage, err);
    if (rc)
        return rc;
    const struct lithops__bounds bounds = bounds_of_call(storage);
    rc = read_version(storage, bucket, key, cursor, offset, buf, len, &got, &bounds, err);
    if (rc)
        return rc;
    if (is_over(cursor))
        return fail_over(cursor, bucket, key, err);
    *ret_len = got;
    return 0;
}

void lithops__storage_end_read(lithops_storage *storage, lithops_storage_cursor *cursor)
{
    if (cursor->connection && storage->driver->ops->end_read)
        storage->driver->ops->end_read(storage->state, cursor);
    cursor->connection = NULL;
}

/* ---- by parts -------------------------------------------------------------------------------- */

/* Reading [next, end) of one version of an object. */
struct fetch {
    lithops_storage *storage;
    const char *bucket, *key;
    lithops_storage_cursor *first; /* began the object, and reads the first part on */
    lithops_storage_cursor seen;   /* what it had seen by then */
    uint64_t start, next, end;
    size_t taken;
    unsigned char *data; /* where byte `start` goes, or NULL: into */
    int fd;              /* a regular file, */
    off_t fd_start;      /* at this offset */
    pthread_mutex_t *writing;
    atomic_bool changed; /* the object was replaced, or is shorter than it said */
};

static int take_part(void *user, struct lithops__part *part, bool *ret_more,
                     const struct lithops__bounds *bounds, lithops_error *err)
{
    struct fetch *fetch = user;
    (void)bounds;
    (void)err;
    *ret_more = fetch->next < fetch->end;
    /* Parts end at multiples of PART, so that the first one ends with the answer that it reads. */
    uint64_t end = fetch->start + ((fetch->next - fetch->start) / PART + 1) * PART;
    if (end > fetch->end)
        end = fetch->end;
    part->number = fetch->taken++;
    part->offset = fetch->next;
    part->len = (size_t)(end - fetch->next);
    fetch->next = end;
    return 0;
}

static int write_at(int fd, const unsigned char *data, size_t len, off_t at, lithops_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t put = pwrite(fd, data + done, len - done, at + (off_t)done);
        if (put < 0 && errno != EINTR)
            return lithops__fail_errno(err, errno, "an object cannot be written to a file");
        done += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

static int read_piece(struct fetch *fetch, lithops_storage_cursor *cursor, uint64_t offset,
                      unsigned char *buf, size_t len, const struct lithops__bounds *bounds,
                      lithops_error *err)
{
    size_t got = 0;
    int rc = read_version(fetch->storage, fetch->bucket, fetch->key, cursor, offset, buf, len, &got,
                          bounds, err);
    if (rc == 0 && (is_over(cursor) || got < len)) {
        atomic_store(&fetch->changed, !cursor->spoiled || cursor == fetch->first);
        rc = fail_over(cursor, fetch->bucket, fetch->key, err);
    }
    return rc;
}

static int move_with(struct fetch *fetch, lithops_storage_cursor *cursor,
                     struct lithops__part *part, const struct lithops__bounds *bounds,
                     lithops_error *err)
{
    int rc = 0;
    if (fetch->data)
        rc = read_piece(fetch, cursor, part->offset, fetch->data + (part->offset - fetch->start),
                        part->len, bounds, err);
    else if (!lithops__part_room(part, FILE_PIECE, err))
        rc = LITHOPS_ENOMEM;
    for (size_t done = 0; rc == 0 && !fetch->data && done < part->len;) {
        size_t len = part->len - done < FILE_PIECE ? part->len - done : FILE_PIECE;
        uint64_t offset = part->offset + done;
        rc = read_piece(fetch, cursor, offset, part->room, len, bounds, err);
        if (rc == 0) { /* the kernel lets one write to a file at a time, and the others spin */
            pthread_mutex_lock(fetch->writing);
            rc = write_at(fetch->fd, part->room, len,
                          fetch->fd_start + (off_t)(offset - fetch->start), err);
            pthread_mutex_unlock(fetch->writing);
        }
        done += len;
    }
    return rc;
}

/* A part that came spoiled is asked for again; not the first one, whose beginning is elsewhere. */
static int move_part(void *user, struct lithops__part *part, const struct lithops__bounds *bounds,
                     lithops_error *err)
{
    struct fetch *fetch = user;
    if (part->number == 0)
        return move_with(fetch, fetch->first, part, bounds, err);
    lithops_storage_cursor own;
    int rc, attempts = 0;
    do {
        own = fetch->seen;
        own.expect_end = part->offset + part->len;
        rc = move_with(fetch, &own, part, bounds, err);
        lithops__storage_end_read(fetch->storage, &own);
    } while (rc && own.spoiled && ++attempts < SPOILED_MAX);
    return rc;
}

/* Read [next, end) of what fetch->first has begun. */
static int fetch_parts(struct fetch *fetch, const struct lithops__bounds *bounds,
                       lithops_error *err)
{
    const struct lithops__crew_job job = {.take = take_part, .move = move_part, .user = fetch};
    uint64_t parts = (fetch->end - fetch->next) / PART + 1;
    fetch->seen = *fetch->first;
    fetch->seen.connection = NULL;
    return lithops__crew_run(fetch->storage, &job, parts < PARALLEL ? (size_t)parts : PARALLEL,
                             bounds->deadline_ns, err);
}

static bool in_parallel(const lithops_storage *storage)
{
    return storage->driver->caps & LITHOPS_STORAGE_PARALLEL_READS;
}

/* How far the first request of a read of [offset, end) goes. */
static uint64_t first_end(const lithops_storage *storage, uint64_t offset, uint64_t end)
{
    return in_parallel(storage) && end > offset && end - offset > PART && offset < UINT64_MAX - PART
               ? offset + PART
               : end;
}

/* ---- into memory ----------------------------------------------------------------------------- */

/* Fresh memory is cleared page by page as it is written to; with huge pages that takes a quarter of
 * the time. From malloc() as far as the caller can tell. */
static unsigned char *room_for(uint64_t size)
{
    if (size < 2 * HUGE_PAGE)
        return malloc(size ? (size_t)size : 1);
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t rounded = ((size_t)size + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
    unsigned char *room = aligned_alloc(HUGE_PAGE, rounded);
    if (room)
        madvise(room, (size_t)size & ~(size_t)(HUGE_PAGE - 1), MADV_HUGEPAGE);
    return room;
}

/* An attempt to get an object. */
struct attempt {
    void *into; /* where it is to go; NULL: memory of its own */
    void *data; /* what came, if `whole` */
    size_t len;
    bool whole; /* nothing was truncated or replaced */
    bool spoiled;
};

/* Add the rest to the first piece; its size is known by now. */
static int get_rest(struct fetch *fetch, uint64_t wanted, const void *piece, size_t piece_len,
                    const struct lithops__bounds *bounds, struct attempt *attempt,
                    lithops_error *err)
{
    unsigned char *data = attempt->into ? attempt->into : room_for(wanted);
    if (!data)
        return lithops__fail(err, LITHOPS_ENOMEM,
                             "out of memory for '%s/%s' (%llu bytes); read it in ranges",
                             fetch->bucket, fetch->key, (unsigned long long)wanted);
    if (data != piece)
        memcpy(data, piece, piece_len);
    size_t rest = (size_t)wanted - piece_len, got = 0;
    int rc = 0;
    fetch->next = fetch->start + piece_len;
    fetch->end = fetch->start + wanted;
    if (wanted > PART && in_parallel(fetch->storage)) {
        fetch->data = data;
        rc = fetch_parts(fetch, bounds, err);
        if (atomic_load(&fetch->changed))
            rc = 0;
        else if (rc == 0)
            got = rest;
    } else if (rest) {
        rc = read_version(fetch->storage, fetch->bucket, fetch->key, fetch->first, fetch->next,
                          data + piece_len, rest, &got, bounds, err);
    }
    attempt->whole = rc == 0 && got == rest && !is_over(fetch->first);
    if (attempt->whole)
        attempt->data = data;
    else if (data != attempt->into)
        free(data);
    return rc;
}

/* One request is enough for an object no larger than the first piece; only its answer has the
 * size. */
static int get_once(lithops_storage *storage, const char *bucket, const char *key, uint64_t offset,
                    size_t len, const struct lithops__bounds *bounds, struct attempt *attempt,
                    lithops_error *err)
{
    uint64_t end = len > UINT64_MAX - offset ? UINT64_MAX : offset + len;
    lithops_storage_cursor cursor = {.expect_end = first_end(storage, offset, end)};
    struct fetch fetch = {
        .storage = storage, .bucket = bucket, .key = key, .first = &cursor, .start = offset};
    unsigned char own[FIRST_PIECE], *piece = attempt->into ? attempt->into : own;
    size_t room = len < sizeof own ? len : sizeof own, got = 0;
    int rc = read_version(storage, bucket, key, &cursor, offset, piece, room, &got, bounds, err);
    if (rc == 0) {
        uint64_t there = cursor.size_bytes > offset ? cursor.size_bytes - offset : 0;
        uint64_t wanted = len < there ? len : there;
        attempt->len = (size_t)wanted;
        attempt->whole = got == (wanted < room ? wanted : room) && !is_over(&cursor);
        if (attempt->whole)
            rc = get_rest(&fetch, wanted, piece, got, bounds, attempt, err);
    }
    attempt->spoiled = cursor.spoiled;
    lithops__storage_end_read(storage, &cursor);
    return rc;
}

static int get_whole(lithops_storage *storage, const char *bucket, const char *key, uint64_t offset,
                     size_t len, struct attempt *attempt, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    const struct lithops__bounds bounds = bounds_of_call(storage);
    for (int i = 0;
         i < (attempt->spoiled ? SPOILED_MAX : CHANGED_MAX) && rc == 0 && !attempt->whole; i++)
        rc = get_once(storage, bucket, key, offset, len, &bounds, attempt, err);
    if (rc || attempt->whole)
        return rc;
    if (attempt->spoiled)
        return lithops__fail(err, LITHOPS_EIO,
                             "what came of object '%s/%s' did not match its checksum, %d times; is "
                             "it spoiled where it is stored, or by a proxy in between?",
                             bucket, key, SPOILED_MAX);
    rc = lithops__fail(err, LITHOPS_EIO,
                       "'%s/%s' has more or fewer bytes than its size says, %d times in "
                       "a row; is something writing it all the time?",
                       bucket, key, CHANGED_MAX);
    if (err)
        err->retryable = true;
    return rc;
}

int lithops_storage_get(lithops_storage *storage, const char *bucket, const char *key,
                        uint64_t offset, size_t len, void **ret_data, size_t *ret_len,
                        lithops_error *err)
{
    struct attempt attempt = {.into = NULL};
    int rc = get_whole(storage, bucket, key, offset, len, &attempt, err);
    if (rc)
        return rc;
    *ret_data = attempt.data;
    *ret_len = attempt.len;
    return 0;
}

int lithops_storage_get_into(lithops_storage *storage, const char *bucket, const char *key,
                             uint64_t offset, void *buf, size_t len, size_t *ret_len,
                             lithops_error *err)
{
    static char nothing;
    struct attempt attempt = {.into = buf ? buf : &nothing};
    if (!buf && len)
        return lithops__fail(err, LITHOPS_EUSAGE, "the buffer for '%s/%s' is NULL, its length %zu",
                             bucket ? bucket : "", key ? key : "", len);
    int rc = get_whole(storage, bucket, key, offset, len, &attempt, err);
    if (rc == 0)
        *ret_len = attempt.len;
    return rc;
}

/* ---- into a file ----------------------------------------------------------------------------- */

static int write_on(int fd, const unsigned char *data, size_t len, lithops_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t put = write(fd, data + done, len - done);
        if (put < 0 && errno != EINTR)
            return lithops__fail_errno(err, errno, "an object cannot be written to a file");
        done += put > 0 ? (size_t)put : 0;
    }
    return 0;
}

/* Read [next, end) piece by piece, or, with an end that is not known yet, the first piece alone. */
static int copy_on(struct fetch *fetch, unsigned char *piece, const struct lithops__bounds *bounds,
                   lithops_error *err)
{
    bool begins = !fetch->first->has_begun;
    int rc = 0;
    do {
        uint64_t left = fetch->end - fetch->next;
        size_t len = left < FILE_PIECE ? (size_t)left : FILE_PIECE, got = 0;
        rc = read_version(fetch->storage, fetch->bucket, fetch->key, fetch->first, fetch->next,
                          piece, len, &got, bounds, err);
        if (rc == 0 && begins) {
            fetch->end = fetch->first->size_bytes;
            len = fetch->end < len ? (size_t)fetch->end : len;
        }
        if (rc == 0 && (is_over(fetch->first) || got < len))
            rc = fail_over(fetch->first, fetch->bucket, fetch->key, err);
        if (rc == 0)
            rc = write_on(fetch->fd, piece, got, err);
        fetch->next += got;
    } while (rc == 0 && !begins && fetch->next < fetch->end);
    return rc;
}

/* Whether parts may be written at their places, in any order. */
static bool takes_parts(int fd, off_t *ret_at)
{
    struct stat file;
    int flags = fcntl(fd, F_GETFL);
    *ret_at = lseek(fd, 0, SEEK_CUR);
    return flags >= 0 && !(flags & O_APPEND) && *ret_at >= 0 && fstat(fd, &file) == 0 &&
           S_ISREG(file.st_mode);
}

static int get_to_file(struct fetch *fetch, unsigned char *piece, lithops_error *err)
{
    const struct lithops__bounds bounds = bounds_of_call(fetch->storage);
    const bool parts = takes_parts(fetch->fd, &fetch->fd_start) && in_parallel(fetch->storage);
    fetch->first->expect_end = parts ? PART : UINT64_MAX;
    int rc = copy_on(fetch, piece, &bounds, err);
    if (rc || fetch->next >= fetch->end)
        return rc;
    if (!parts || fetch->end <= PART) {
        fetch->first->expect_end = fetch->end;
        return copy_on(fetch, piece, &bounds, err);
    }
    rc = fetch_parts(fetch, &bounds, err);
    if (rc == 0 && lseek(fetch->fd, fetch->fd_start + (off_t)fetch->end, SEEK_SET) < 0)
        rc = lithops__fail_errno(err, errno, "an object cannot be written to a file");
    return rc;
}

int lithops_storage_get_fd(lithops_storage *storage, const char *bucket, const char *key, int fd,
                           uint64_t *ret_len, lithops_error *err)
{
    int rc = lithops__storage_check(storage, bucket, key, err);
    if (rc)
        return rc;
    unsigned char *piece = malloc(FILE_PIECE);
    if (!piece)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for an object");
    const off_t start = lseek(fd, 0, SEEK_CUR); /* -1 for a pipe: what went into it is gone */
    lithops_storage_cursor cursor;
    struct fetch fetch;
    pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;
    int attempts = 0;
    do {
        cursor = (lithops_storage_cursor){.expect_end = 0};
        fetch = (struct fetch){.storage = storage,
                               .bucket = bucket,
                               .key = key,
                               .first = &cursor,
                               .end = UINT64_MAX,
                               .fd = fd,
                               .writing = &writing};
        rc = get_to_file(&fetch, piece, err);
        lithops__storage_end_read(storage, &cursor);
    } while (rc && cursor.spoiled && ++attempts < SPOILED_MAX && start >= 0 &&
             lseek(fd, start, SEEK_SET) == start);
    free(piece);
    if (rc == 0)
        *ret_len = fetch.end;
    return rc;
}
