/* SPDX-License-Identifier: Apache-2.0 */
/* Serving the client's files and its localhost storage to workers.
 *
 * Questions come over connections, one for each remote process that reads an object. Those of one
 * connection are answered in order, by one thread at a time; different connections are answered in
 * parallel. Answers wait until the link takes them; while ANSWER_BYTES of a link wait, no more are
 * made for it. A connection that has ended, or whose link is lost, is dropped with its questions.
 *
 * Between two questions only the pieces of an unfinished put are kept, in an unnamed file. Each
 * answer to a read carries the object's version.
 *
 * A piece of a file is copied at once, so that it is of that version, or, where the reader allows
 * it, sent from the page cache. Such a piece is `live`: it may be changed until it has been
 * received. Who reads live pieces asks for the version once more when it has all of them. */
#include "relay/objects.h"

#include "base/error.h"
#include "config/storage.h"
#include "partition/partition.h"
#include "storage/storage.h"
#include "value/value.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    THREADS = 4,
    ANSWER_BYTES = 1 << 20, /* of a link, waiting to be sent */
    LIVE_BYTES = 64 << 10,  /* of a piece that is not worth copying */
};

struct question {
    struct question *next;
    struct lithops__buffer frame;
};

/* A connection with questions. Members not marked [L] belong to the thread that `is_busy` with
 * it. */
struct asker {
    struct asker *next;                         /* [L] */
    struct lithops__link *link;                 /* [L] NULL: it has ended */
    struct question *questions, *last_question; /* [L] */
    bool is_busy;                               /* [L] */
    uint32_t number;
    int kept; /* what is to be put; -1: none */
};

struct answer {
    struct answer *next;
    struct lithops__buffer frame;
    struct lithops__pipe *pipe; /* what it lies in instead, or NULL */
};

struct lithops__objects {
    struct lithops__relay *relay;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t threads[THREADS];
    unsigned count, idle;  /* [L] */
    bool is_closing;       /* [L] */
    struct asker *askers;  /* [L] in the order in which they are served */
    lithops_storage *here; /* [L] the localhost storage, once asked for */
};

/* What one question is about, and its answer. */
struct serving {
    struct lithops__objects *objects;
    struct asker *asker;
    lithops_value *map;
    lithops_bytes bytes;
    lithops_storage *storage;
    lithops_value *answer; /* a map */
    lithops_error error;
    struct lithops__buffer out;
    size_t frame;
    struct lithops__pipe *pipe; /* the whole answer */
};

/* ---- answers --------------------------------------------------------------------------------- */

static const char *text_of(const struct serving *serving, const char *key, char *buf, size_t size)
{
    lithops_bytes bytes = lithops_value_get_bytes(lithops_value_get(serving->map, key));
    if (bytes.len >= size || (bytes.len && memchr(bytes.ptr, '\0', bytes.len)))
        return NULL;
    if (bytes.len)
        memcpy(buf, bytes.ptr, bytes.len);
    buf[bytes.len] = '\0';
    return buf;
}

static int fail_question(struct serving *serving)
{
    return lithops__fail(&serving->error, LITHOPS_EPARSE,
                         "a worker asks for an object in a way that is not known");
}

/* Append the map, which it takes, so that bytes can be read directly to where they are sent
 * from. */
static int begin_answer(struct serving *serving, lithops_value *map)
{
    struct lithops__buffer *out = &serving->out;
    out->len = 0;
    serving->frame = lithops__frame_begin(out, LITHOPS__MESSAGE_ANSWER, 0, serving->asker->number);
    int rc = map ? lithops__value_encode(map, out, &serving->error)
                 : lithops__fail(&serving->error, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0)
        lithops__frame_end_map(out, serving->frame);
    lithops_value_free(map);
    return rc;
}

static lithops_value *version(uint64_t size, const char *etag)
{
    return lithops_pack("{s:I,s:s}", "size", (int64_t)size, "etag", etag);
}

static lithops_value *live_version(uint64_t size, const char *etag)
{
    return lithops_pack("{s:I,s:s,s:b}", "size", (int64_t)size, "etag", etag, "live", 1);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void write_etag(const struct stat *status, char *buf, size_t size)
{
    snprintf(buf, size, "%llx-%llx-%llx.%lx", (unsigned long long)status->st_ino,
             (unsigned long long)status->st_size, (unsigned long long)status->st_mtim.tv_sec,
             status->st_mtim.tv_nsec);
}

static int open_file(struct serving *serving, const char *path, int *ret_fd, struct stat *status)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold the thread */
    int rc = 0;
    if (fd < 0 || fstat(fd, status) != 0)
        rc = lithops__fail_errno(&serving->error, errno, "cannot open '%s'", path);
    else if (!S_ISREG(status->st_mode))
        rc = lithops__fail(&serving->error, LITHOPS_EUNSUPPORTED,
                           "'%s' is not a regular file, so remote workers cannot read it: copy "
                           "its content into a file",
                           path);
    if (rc == 0)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return rc;
}

/* The answer as it lies in the page cache. False: it must be read. */
static bool move_file(struct serving *serving, int fd, const struct stat *status, const char *etag,
                      uint64_t offset, size_t len)
{
    if (!lithops_value_get_bool(lithops_value_get(serving->map, "live")) || len < LIVE_BYTES ||
        offset % (uint64_t)getpagesize() != 0 ||
        begin_answer(serving, live_version((uint64_t)status->st_size, etag)) != 0)
        return false;
    lithops__frame_end_before(&serving->out, serving->frame, len);
    if (!serving->out.failed)
        serving->pipe = lithops__pipes_fill(&serving->objects->relay->pipes,
                                            (lithops_bytes){serving->out.data, serving->out.len},
                                            fd, offset, len);
    return serving->pipe;
}

/* The answer, read into memory. */
static int copy_file(struct serving *serving, const char *path, int fd, const struct stat *before,
                     const char *etag, uint64_t offset, size_t len)
{
    struct stat after;
    int rc = begin_answer(serving, version((uint64_t)before->st_size, etag));
    char *room = rc == 0 ? lithops__buffer_reserve(&serving->out, len) : NULL;
    if (rc == 0 && !room)
        rc = lithops__fail(&serving->error, LITHOPS_ENOMEM, "out of memory");
    size_t done = 0;
    while (rc == 0 && done < len) {
        ssize_t n = pread(fd, room + done, len - done, (off_t)(offset + done));
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            rc = lithops__fail_errno(&serving->error, errno, "cannot read '%s'", path);
        done += n > 0 ? (size_t)n : 0;
    }
    if (rc == 0 && fstat(fd, &after) != 0)
        rc = lithops__fail_errno(&serving->error, errno, "cannot read '%s'", path);
    serving->out.len += rc == 0 ? done : 0;
    if (rc == 0 && (after.st_mtim.tv_sec != before->st_mtim.tv_sec ||
                    after.st_mtim.tv_nsec != before->st_mtim.tv_nsec))
        serving->answer = lithops_pack("{s:b}", "replaced", 1);
    return rc;
}

static int read_file(struct serving *serving, const char *path, uint64_t offset, size_t len)
{
    struct stat status;
    char etag[128];
    int fd = -1, rc = open_file(serving, path, &fd, &status);
    if (rc != 0)
        return rc;
    write_etag(&status, etag, sizeof etag);
    if (!move_file(serving, fd, &status, etag, offset, len))
        rc = copy_file(serving, path, fd, &status, etag, offset, len);
    close(fd);
    return rc;
}

/* ---- storage --------------------------------------------------------------------------------- */

static int read_object(struct serving *serving, const char *bucket, const char *key,
                       uint64_t offset, size_t len)
{
    lithops_storage_cursor cursor = {.expect_end = 0};
    size_t got = 0;
    char *bytes = malloc(len + 1);
    if (!bytes)
        return lithops__fail(&serving->error, LITHOPS_ENOMEM, "out of memory");
    int rc = lithops__storage_read(serving->storage, bucket, key, &cursor, offset, bytes, len, &got,
                                   &serving->error);
    lithops__storage_end_read(serving->storage, &cursor);
    if (rc == 0)
        rc = begin_answer(serving, version(cursor.size_bytes, cursor.etag));
    if (rc == 0 && got)
        lithops__buffer_append(&serving->out, bytes, got);
    free(bytes);
    return rc;
}

static int serve_read(struct serving *serving)
{
    char path[PATH_MAX], bucket[300], key[1100];
    int64_t offset = lithops_value_get_int(lithops_value_get(serving->map, "offset"));
    int64_t len = lithops_value_get_int(lithops_value_get(serving->map, "length"));
    if (offset < 0 || len < 0 || len > LITHOPS__OBJECT_PIECE)
        return fail_question(serving);
    if (!text_of(serving, "path", path, sizeof path) ||
        !text_of(serving, "bucket", bucket, sizeof bucket) ||
        !text_of(serving, "key", key, sizeof key))
        return fail_question(serving);
    return path[0] ? read_file(serving, path, (uint64_t)offset, (size_t)len)
                   : read_object(serving, bucket, key, (uint64_t)offset, (size_t)len);
}

static lithops_value *describe(const lithops_object_info *info)
{
    return lithops_pack("{s:y,s:I,s:f,s:s}", "key", info->key, strlen(info->key), "size",
                        (int64_t)info->size_bytes, "modified", info->last_modified, "etag",
                        info->etag ? info->etag : "");
}

static int serve_head(struct serving *serving, const char *bucket, const char *key)
{
    lithops_object_info info;
    int rc = lithops_storage_head(serving->storage, bucket, key, &info, &serving->error);
    if (rc == 0)
        serving->answer = describe(&info);
    return rc;
}

struct listing {
    lithops_value *list;
    bool more, failed;
};

static int list_one(const lithops_object_info *info, void *user)
{
    struct listing *listing = user;
    listing->more = lithops_value_size(listing->list) == LITHOPS__OBJECT_LISTED;
    if (!listing->more)
        listing->failed = lithops_value_append(listing->list, describe(info)) != 0;
    return listing->more || listing->failed;
}

static int serve_list(struct serving *serving, const char *bucket, const char *prefix)
{
    char after[1100];
    struct listing listing = {.list = lithops_value_list()};
    int rc = listing.list && text_of(serving, "after", after, sizeof after)
                 ? lithops__storage_list_after(serving->storage, bucket, prefix, after, list_one,
                                               &listing, &serving->error)
                 : fail_question(serving);
    if (rc > 0)
        rc = listing.failed ? lithops__fail(&serving->error, LITHOPS_ENOMEM, "out of memory") : 0;
    if (rc == 0)
        serving->answer =
            lithops_pack("{s:o,s:b}", "objects", listing.list, "more", (int)listing.more);
    else
        lithops_value_free(listing.list);
    return rc;
}

/* A piece of what is to be put. */
static int keep(struct serving *serving)
{
    struct asker *asker = serving->asker;
    const char *at = serving->bytes.ptr;
    size_t left = serving->bytes.len;
    if (asker->kept < 0) {
        const char *folder = getenv("TMPDIR");
        asker->kept =
            open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (asker->kept < 0) /* a file system without unnamed files */
            asker->kept = memfd_create("lithops-put", MFD_CLOEXEC);
    }
    while (left > 0) {
        ssize_t n = asker->kept < 0 ? -1 : write(asker->kept, at, left);
        if (n < 0 && errno != EINTR)
            return lithops__fail_errno(&serving->error, errno,
                                       "cannot keep what a worker is storing");
        at += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int serve_put(struct serving *serving, const char *bucket, const char *key)
{
    struct asker *asker = serving->asker;
    if (asker->kept < 0)
        return lithops_storage_put(serving->storage, bucket, key, serving->bytes, &serving->error);
    int rc = keep(serving);
    if (rc == 0 && lseek(asker->kept, 0, SEEK_SET) < 0)
        rc = lithops__fail_errno(&serving->error, errno, "cannot read what a worker is storing");
    if (rc == 0)
        rc = lithops_storage_put_fd(serving->storage, bucket, key, asker->kept, &serving->error);
    close(asker->kept);
    asker->kept = -1;
    return rc;
}

/* Resolve a name: a file, a URL, or an object of the client's storage. */
static int serve_find(struct serving *serving)
{
    const lithops_value *name = lithops_value_get(serving->map, "name");
    lithops_storage *storage =
        lithops__storage_open(serving->objects->relay->config, NULL, &serving->error);
    lithops_value *found =
        storage && name ? lithops__stream_find(name, storage, &serving->error) : NULL;
    lithops_storage_close(storage);
    if (found)
        serving->answer = lithops_pack("{s:o}", "object", found);
    return found ? 0 : serving->error.code ? (int)serving->error.code : fail_question(serving);
}

static int serve_object(struct serving *serving, const char *verb)
{
    char bucket[300], key[1100];
    if (!text_of(serving, "bucket", bucket, sizeof bucket) ||
        !text_of(serving, "key", key, sizeof key))
        return fail_question(serving);
    if (strcmp(verb, "head") == 0)
        return serve_head(serving, bucket, key);
    if (strcmp(verb, "list") == 0)
        return serve_list(serving, bucket, key);
    if (strcmp(verb, "keep") == 0)
        return keep(serving);
    if (strcmp(verb, "put") == 0)
        return serve_put(serving, bucket, key);
    if (strcmp(verb, "delete") == 0)
        return lithops_storage_delete(serving->storage, bucket, key, &serving->error);
    return fail_question(serving);
}

/* ---- questions ------------------------------------------------------------------------------- */

static lithops_storage *storage_here(struct serving *serving)
{
    struct lithops__objects *objects = serving->objects;
    pthread_mutex_lock(&objects->lock);
    if (!objects->here)
        objects->here = lithops__storage_open(objects->relay->config, "localhost", &serving->error);
    lithops_storage *here = objects->here;
    pthread_mutex_unlock(&objects->lock);
    return here;
}

static int serve(struct serving *serving)
{
    const char *verb = lithops_value_get_string(lithops_value_get(serving->map, "do"));
    if (!verb)
        return fail_question(serving);
    if (strcmp(verb, "find") == 0)
        return serve_find(serving);
    bool is_file = lithops_value_get(serving->map, "path") != NULL;
    if (!is_file && !(serving->storage = storage_here(serving)))
        return serving->error.code;
    return strcmp(verb, "read") == 0 ? serve_read(serving) : serve_object(serving, verb);
}

static lithops_value *describe_error(const lithops_error *error)
{
    return lithops_pack("{s:i,s:s,s:b,s:i}", "code", (int)error->code, "message", error->message,
                        "retryable", (int)error->retryable, "errno", error->os_errno);
}

/* The answer to one question: a frame, whatever happens; empty: no memory. */
static void make_answer(struct lithops__objects *objects, struct asker *asker,
                        const struct question *question, struct answer *ret_answer)
{
    struct lithops__frame frame = {0};
    size_t used;
    struct serving serving = {.objects = objects,
                              .asker = asker,
                              .error = LITHOPS_ERROR_INIT,
                              .out = LITHOPS__BUFFER_INIT};
    int rc = lithops__frame_read((lithops_bytes){question->frame.data, question->frame.len}, &frame,
                                 &used, &serving.error);
    serving.bytes = frame.payload;
    if (rc == 1 && (serving.map = lithops__frame_map(&frame, &serving.error)) != NULL)
        rc = serve(&serving);
    else
        rc = LITHOPS_EPARSE;
    if (rc != 0) {
        lithops_value_free(serving.answer);
        lithops__one_line(serving.error.message, strlen(serving.error.message));
        serving.answer = describe_error(&serving.error);
    }
    if (rc != 0 || serving.answer || serving.out.len == 0)
        (void)begin_answer(&serving, serving.answer ? serving.answer : lithops_value_map());
    if (serving.pipe)
        lithops__buffer_deinit(&serving.out);
    else
        lithops__frame_end(&serving.out, serving.frame);
    lithops_value_free(serving.map);
    ret_answer->frame = serving.out;
    ret_answer->pipe = serving.pipe;
}

/* In memory; what lies in pipes is limited by their number. */
static size_t size_of(const struct answer *answer)
{
    return answer->frame.len;
}

static void free_answer(struct lithops__objects *objects, struct answer *answer)
{
    lithops__pipes_give_back(&objects->relay->pipes, answer->pipe);
    lithops__buffer_deinit(&answer->frame);
    free(answer);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void free_question(struct question *question)
{
    lithops__buffer_deinit(&question->frame);
    free(question);
}

/* [L] A connection that no thread is busy with. */
static void free_asker(struct lithops__objects *objects, struct asker *asker)
{
    struct asker **link = &objects->askers;
    while (*link != asker)
        link = &(*link)->next;
    *link = asker->next;
    while (asker->questions) {
        struct question *question = asker->questions;
        asker->questions = question->next;
        free_question(question);
    }
    if (asker->kept >= 0)
        close(asker->kept);
    free(asker);
}

/* [L] Move it to the end, so that all have their turn. */
static struct asker *next_asker(struct lithops__objects *objects)
{
    struct asker **link = &objects->askers, **found = NULL;
    for (; *link; link = &(*link)->next)
        if (!found && !(*link)->is_busy && (*link)->link && (*link)->questions &&
            (*link)->link->answer_bytes < ANSWER_BYTES)
            found = link;
    if (!found)
        return NULL;
    struct asker *asker = *found;
    *link = asker; /* may be its own place */
    if (&asker->next != link) {
        *found = asker->next;
        asker->next = NULL;
    } else {
        *link = NULL;
    }
    return asker;
}

/* [L] Is let go of meanwhile. */
static void serve_asker(struct lithops__objects *objects, struct asker *asker)
{
    struct question *question = asker->questions;
    struct answer *answer = calloc(1, sizeof *answer);
    asker->questions = question->next;
    if (!asker->questions)
        asker->last_question = NULL;
    asker->is_busy = true;
    asker->link->answer_bytes += LITHOPS__OBJECT_PIECE; /* its possible size */
    struct lithops__link *link = asker->link;
    pthread_mutex_unlock(&objects->lock);
    if (answer)
        make_answer(objects, asker, question, answer);
    free_question(question);
    pthread_mutex_lock(&objects->lock);
    asker->is_busy = false;
    link->answer_bytes -= LITHOPS__OBJECT_PIECE;
    if (!asker->link) {
        free_asker(objects, asker);
    } else if (answer && !answer->frame.failed) {
        link->answer_bytes += size_of(answer);
        if (link->last_answer)
            link->last_answer->next = answer;
        else
            link->answers = answer;
        link->last_answer = answer;
        lithops__relay_wake(objects->relay);
        return;
    } /* else the worker waits for an answer until its link is lost: there is no memory at all */
    if (answer)
        free_answer(objects, answer);
}

static void *run(void *user)
{
    struct lithops__objects *objects = user;
    pthread_mutex_lock(&objects->lock);
    while (!objects->is_closing) {
        struct asker *asker = next_asker(objects);
        if (asker) {
            serve_asker(objects, asker);
        } else {
            objects->idle++;
            pthread_cond_wait(&objects->changed, &objects->lock);
            objects->idle--;
        }
    }
    pthread_mutex_unlock(&objects->lock);
    return NULL;
}

/* ---- for the relay --------------------------------------------------------------------------- */

struct lithops__objects *lithops__objects_new(struct lithops__relay *relay)
{
    struct lithops__objects *objects = calloc(1, sizeof *objects);
    if (!objects)
        return NULL;
    objects->relay = relay;
    pthread_mutex_init(&objects->lock, NULL);
    pthread_cond_init(&objects->changed, NULL);
    return objects;
}

void lithops__objects_free(struct lithops__objects *objects)
{
    if (!objects)
        return;
    pthread_mutex_lock(&objects->lock);
    objects->is_closing = true;
    pthread_cond_broadcast(&objects->changed);
    pthread_mutex_unlock(&objects->lock);
    for (unsigned i = 0; i < objects->count; i++)
        pthread_join(objects->threads[i], NULL);
    while (objects->askers)
        free_asker(objects, objects->askers);
    lithops_storage_close(objects->here);
    pthread_cond_destroy(&objects->changed);
    pthread_mutex_destroy(&objects->lock);
    free(objects);
}

/* [L] */
static struct asker *find_asker(struct lithops__objects *objects, const struct lithops__link *link,
                                uint32_t number)
{
    struct asker *asker = objects->askers;
    while (asker && (asker->link != link || asker->number != number))
        asker = asker->next;
    return asker;
}

/* [L] Nothing of it is wanted any more. */
static void drop_asker(struct lithops__objects *objects, struct asker *asker)
{
    asker->link = NULL;
    if (!asker->is_busy)
        free_asker(objects, asker);
}

/* [L] */
static int add_question(struct lithops__objects *objects, struct lithops__link *link,
                        const struct lithops__frame *frame)
{
    struct asker *asker = find_asker(objects, link, frame->stream);
    struct question *question = calloc(1, sizeof *question);
    if (!asker && question && (asker = calloc(1, sizeof *asker))) {
        *asker = (struct asker){
            .next = objects->askers, .link = link, .number = frame->stream, .kept = -1};
        objects->askers = asker;
    }
    if (!question || !asker) {
        free(question);
        return LITHOPS_ENOMEM;
    }
    lithops__frame_pass_on(&question->frame, frame, frame->stream);
    if (question->frame.failed) {
        free_question(question);
        return LITHOPS_ENOMEM;
    }
    bool is_first = !asker->questions && !asker->is_busy; /* else a thread comes to it anyway */
    if (asker->last_question)
        asker->last_question->next = question;
    else
        asker->questions = question;
    asker->last_question = question;
    if (!is_first)
        return 0;
    if (objects->idle == 0 && objects->count < THREADS &&
        pthread_create(&objects->threads[objects->count], NULL, run, objects) == 0)
        objects->count++;
    pthread_cond_signal(&objects->changed);
    return objects->count ? 0 : LITHOPS_ENOMEM;
}

int lithops__objects_asked(struct lithops__link *link, const struct lithops__frame *frame,
                           lithops_error *err)
{
    struct lithops__objects *objects = link->relay->objects;
    int rc = 0;
    pthread_mutex_lock(&objects->lock);
    if (frame->flags & LITHOPS__FRAME_LAST) {
        struct asker *asker = find_asker(objects, link, frame->stream);
        if (asker)
            drop_asker(objects, asker);
    } else {
        rc = add_question(objects, link, frame);
    }
    pthread_mutex_unlock(&objects->lock);
    return rc ? lithops__fail(err, rc, "no memory or thread to serve objects to workers") : 0;
}

bool lithops__objects_has_answer(const struct lithops__link *link)
{
    struct lithops__objects *objects = link->relay->objects;
    pthread_mutex_lock(&objects->lock);
    bool any = link->answers != NULL;
    pthread_mutex_unlock(&objects->lock);
    return any;
}

bool lithops__objects_answer(struct lithops__link *link)
{
    struct lithops__objects *objects = link->relay->objects;
    pthread_mutex_lock(&objects->lock);
    struct answer *answer = link->answers;
    if (answer) {
        link->answers = answer->next;
        if (!link->answers)
            link->last_answer = NULL;
        if (link->answer_bytes >= ANSWER_BYTES)
            pthread_cond_broadcast(&objects->changed);
        link->answer_bytes -= size_of(answer);
    }
    pthread_mutex_unlock(&objects->lock);
    if (!answer)
        return false;
    if (answer->pipe) {
        link->pipe = answer->pipe;
        link->pipe_at = link->out.len;
        answer->pipe = NULL;
    } else if (link->out.len == 0 && !link->out.failed) { /* it is sent from where it is */
        struct lithops__buffer empty = link->out;
        link->out = answer->frame;
        answer->frame = empty;
    } else {
        lithops__buffer_append(&link->out, answer->frame.data, answer->frame.len);
    }
    free_answer(objects, answer);
    return true;
}

void lithops__objects_drop(struct lithops__link *link)
{
    struct lithops__objects *objects = link->relay->objects;
    pthread_mutex_lock(&objects->lock);
    for (struct asker *asker = objects->askers, *next; asker; asker = next) {
        next = asker->next;
        if (asker->link == link)
            drop_asker(objects, asker);
    }
    while (link->answers) {
        struct answer *answer = link->answers;
        link->answers = answer->next;
        link->answer_bytes -= size_of(answer);
        free_answer(objects, answer);
    }
    link->last_answer = NULL;
    pthread_mutex_unlock(&objects->lock);
}
