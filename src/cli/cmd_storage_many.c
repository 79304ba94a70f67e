/* SPDX-License-Identifier: Apache-2.0 */
/* lithops storage put FOLDER, storage get BUCKET --prefix: many objects, several at once.
 *
 * Threads take files from a list. A large file is moved by parts, several at once, by the engine,
 * so large ones go one after another, behind the small ones. */
#include "base/error.h"
#include "cli/cmd_storage.h"
#include "cli/progress.h"
#include "cli/signals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 8, LARGE = 8 << 20, WAIT_MS = 100 };

struct item {
    char *path, *key;
    uint64_t size;
};

struct items {
    struct item *all;
    size_t count, capacity;
};

struct many {
    lithops_storage *storage;
    const char *bucket;
    struct items items;
    int (*move)(const struct many *many, const struct item *item, lithops_error *err);
    bool large; /* which of them are moved now */
    atomic_size_t next, done;
    atomic_bool stops;
    pthread_mutex_t lock;
    lithops_error error; /* under lock: the first one */
};

static char *joined(const char *before, const char *between, const char *behind, lithops_error *err)
{
    struct lithops__buffer text = LITHOPS__BUFFER_INIT;
    lithops__buffer_printf(&text, "%s%s%s", before, between, behind);
    char *made = lithops__buffer_steal(&text);
    if (!made)
        lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return made;
}

/* Takes over the strings. */
static int add_item(struct items *items, char *path, char *key, uint64_t size, lithops_error *err)
{
    if (items->count == items->capacity) {
        size_t capacity = items->capacity ? 2 * items->capacity : 64;
        struct item *all = realloc(items->all, capacity * sizeof *all);
        if (all) {
            items->all = all;
            items->capacity = capacity;
        }
    }
    if (path && key && items->count < items->capacity) {
        items->all[items->count++] = (struct item){path, key, size};
        return 0;
    }
    free(path);
    free(key);
    return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
}

static void free_items(struct items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free(items->all[i].path);
        free(items->all[i].key);
    }
    free(items->all);
}

/* ---- moving them ----------------------------------------------------------------------------- */

static bool was_interrupted(void *user)
{
    (void)user;
    return cli_signals_caught() != 0;
}

static void *work(void *user)
{
    struct many *many = user;
    size_t i;
    while (!many->stops && (i = many->next++) < many->items.count) {
        const struct item *item = &many->items.all[i];
        lithops_error err = LITHOPS_ERROR_INIT;
        if ((item->size > LARGE) != many->large)
            continue;
        if (many->move(many, item, &err) == 0) {
            many->done++;
            continue;
        }
        many->stops = true;
        pthread_mutex_lock(&many->lock);
        if (!many->error.code)
            many->error = err;
        pthread_mutex_unlock(&many->lock);
    }
    return NULL;
}

static void move_some(struct many *many, bool large, struct cli_progress *progress)
{
    pthread_t threads[THREADS];
    size_t started = 0, wanted = large ? 1 : THREADS;
    many->large = large;
    many->next = 0;
    while (started < wanted && pthread_create(&threads[started], NULL, work, many) == 0)
        started++;
    if (!started)
        work(many);
    for (size_t i = 0; i < started; i++) {
        struct timespec until;
        do {
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_nsec += WAIT_MS * 1000000L;
            until.tv_sec += until.tv_nsec / 1000000000L;
            until.tv_nsec %= 1000000000L;
            cli_progress_update(progress, (int64_t)many->done, (int64_t)many->items.count);
        } while (pthread_timedjoin_np(threads[i], NULL, &until) == ETIMEDOUT);
    }
}

static int move_all(struct many *many, int show, lithops_error *err)
{
    struct cli_progress progress;
    cli_signals_catch(-1);
    cli_progress_init(&progress, show);
    progress.unit = "objects";
    pthread_mutex_init(&many->lock, NULL);
    lithops_storage_set_bounds(many->storage, LITHOPS_FOREVER, was_interrupted, NULL, NULL);
    move_some(many, false, &progress);
    if (!many->stops)
        move_some(many, true, &progress);
    cli_progress_end(&progress, (int64_t)many->done, (int64_t)many->items.count);
    pthread_mutex_destroy(&many->lock);
    if (many->error.code)
        *err = many->error;
    return many->error.code;
}

/* ---- put ------------------------------------------------------------------------------------- */

static int put_file(const struct many *many, const struct item *item, lithops_error *err)
{
    int fd = open(item->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return lithops__fail_errno(err, errno, "storage put: '%s' cannot be read", item->path);
    int rc = lithops_storage_put_fd(many->storage, many->bucket, item->key, fd, err);
    close(fd);
    return rc;
}

/* Links to files are followed, links to folders are not: they may lead in circles. */
static int collect_files(struct items *items, const char *folder, const char *key,
                         lithops_error *err)
{
    DIR *stream = opendir(folder);
    struct dirent *entry;
    int rc = 0;
    if (!stream)
        return lithops__fail_errno(err, errno, "storage put: '%s' cannot be read", folder);
    while (rc == 0 && (entry = readdir(stream)) != NULL) {
        struct stat st, link;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *path = joined(folder, "/", entry->d_name, err);
        char *name = joined(key, "", entry->d_name, err);
        char *below = name ? joined(name, "/", "", err) : NULL;
        if (!path || !below)
            rc = LITHOPS_ENOMEM;
        else if (lstat(path, &link) == 0 && S_ISDIR(link.st_mode))
            rc = collect_files(items, path, below, err);
        else if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            rc = add_item(items, path, name, (uint64_t)st.st_size, err);
            path = name = NULL;
        }
        free(path);
        free(name);
        free(below);
    }
    closedir(stream);
    return rc;
}

int cli_storage_put_folder(lithops_storage *storage, const char *bucket, const char *folder,
                           const char *prefix, int progress, lithops_error *err)
{
    struct many many = {
        .storage = storage, .bucket = bucket, .move = put_file, .error = LITHOPS_ERROR_INIT};
    int rc = collect_files(&many.items, folder, prefix, err);
    if (rc == 0)
        rc = move_all(&many, progress, err);
    free_items(&many.items);
    return rc;
}

/* ---- get ------------------------------------------------------------------------------------- */

static int make_folders(const char *path, lithops_error *err)
{
    char *copy = strdup(path);
    if (!copy)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = 0;
    for (char *slash = strchr(copy + 1, '/'); rc == 0 && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            rc = lithops__fail_errno(err, errno, "storage get: the folder '%s' cannot be made",
                                     copy);
        *slash = '/';
    }
    free(copy);
    return rc;
}

static int get_file(const struct many *many, const struct item *item, lithops_error *err)
{
    int rc = make_folders(item->path, err);
    return rc ? rc : cli_storage_get_file(many->storage, many->bucket, item->key, item->path, err);
}

struct collection {
    struct items *items;
    const char *folder;
    size_t cut; /* of the key, for the file's name */
    lithops_error *err;
};

/* Keys that end with '/' are folders that some programs make. A key with a part ".." would lead out
 * of the folder: no storage of the engine's gives its object. */
static int collect_object(const lithops_object_info *info, void *user)
{
    struct collection *collection = user;
    size_t len = strlen(info->key);
    if (len == 0 || info->key[len - 1] == '/')
        return 0;
    const char *name = info->key + collection->cut;
    name += strspn(name, "/");
    char *path = joined(collection->folder, "/", name, collection->err);
    return add_item(collection->items, path, strdup(info->key), info->size_bytes, collection->err);
}

int cli_storage_get_prefix(lithops_storage *storage, const char *bucket, const char *prefix,
                           const char *folder, int progress, lithops_error *err)
{
    struct many many = {
        .storage = storage, .bucket = bucket, .move = get_file, .error = LITHOPS_ERROR_INIT};
    const char *slash = strrchr(prefix, '/');
    struct collection collection = {.items = &many.items,
                                    .folder = folder,
                                    .cut = slash ? (size_t)(slash + 1 - prefix) : 0,
                                    .err = err};
    int rc = lithops_storage_list(storage, bucket, prefix, collect_object, &collection, err);
    if (rc == 0 && many.items.count == 0)
        rc =
            lithops__fail(err, LITHOPS_ENOTFOUND,
                          "storage get: no object in bucket '%s' begins with '%s'", bucket, prefix);
    if (rc == 0)
        rc = move_all(&many, progress, err);
    free_items(&many.items);
    return rc;
}
