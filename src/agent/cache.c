/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cache.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/user_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    HASH_CHARS = 64,
    FRESH_S = 60,       /* an engine that was just sent or checked is about to be started */
    TRANSFER_S = 86400, /* sending one may take longer */
};

struct lithops__cache_hold {
    struct lithops__cache_hold *next;
    int fd; /* of the lock file */
    char image[HASH_CHARS + 1];
};

/* ---- the folder ------------------------------------------------------------------------------ */

static void choose_other_folder(char *buf, size_t size)
{
    const char *folder = getenv("TMPDIR");
    snprintf(buf, size, "%s/lithops-cache-%lu", folder && folder[0] == '/' ? folder : "/tmp",
             (unsigned long)getuid());
}

/* 0, or an errno: why nothing can be written there. */
static int check_writable(const struct lithops__cache *cache)
{
    char name[HASH_CHARS + 32];
    lithops__cache_new_name("probe", name, sizeof name);
    int fd = openat(cache->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int failed = fd < 0 ? errno : 0;
    if (fd >= 0) {
        (void)unlinkat(cache->fd, name, 0);
        close(fd);
    }
    return failed;
}

static int use_folder(struct lithops__cache *cache, lithops_error *err)
{
    struct stat status = {0};
    int failed = lithops__make_folders(cache->path);
    if (!failed)
        cache->fd = open(cache->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (!failed && (cache->fd < 0 || fstat(cache->fd, &status) != 0))
        failed = errno;
    if (!failed && (status.st_uid != getuid() || status.st_mode & 022))
        return lithops__fail(err, LITHOPS_EDENIED,
                             "others may change the cache folder '%s': chmod go-w", cache->path);
    if (!failed && ((mkdirat(cache->fd, "objects", 0700) != 0 && errno != EEXIST) ||
                    (mkdirat(cache->fd, "images", 0700) != 0 && errno != EEXIST)))
        failed = errno;
    if (!failed)
        failed = check_writable(cache);
    return failed ? lithops__fail_errno(err, failed,
                                        "cannot write to the cache folder '%s': make room or "
                                        "change its owner, or set XDG_CACHE_HOME to another one",
                                        cache->path)
                  : 0;
}

int lithops__cache_open(struct lithops__cache *cache, lithops_error *err)
{
    lithops_error other_err = LITHOPS_ERROR_INIT;
    *cache = (struct lithops__cache){.fd = -1};
    lithops__cache_folder(cache->path, sizeof cache->path);
    int rc = use_folder(cache, err);
    if (rc == 0 || rc == LITHOPS_EDENIED)
        return rc;
    lithops__cache_close(cache);
    choose_other_folder(cache->path, sizeof cache->path);
    if (use_folder(cache, &other_err) != 0) {
        lithops__cache_close(cache);
        return rc; /* of the folder that should be there */
    }
    lithops__log(LITHOPS_LOG_WARNING, "agent", "%s; '%s' is used", err->message, cache->path);
    *err = (lithops_error)LITHOPS_ERROR_INIT;
    return 0;
}

void lithops__cache_close(struct lithops__cache *cache)
{
    while (cache->holds) {
        struct lithops__cache_hold *hold = cache->holds;
        cache->holds = hold->next;
        close(hold->fd);
        free(hold);
    }
    if (cache->fd >= 0)
        close(cache->fd);
    cache->fd = -1;
}

void lithops__cache_new_name(const char *sha256, char *buf, size_t size)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = (uint64_t)getpid() << 32 ^ (uint64_t)time(NULL);
    snprintf(buf, size, "objects/%s.%016llx", sha256, (unsigned long long)number);
}

/* ---- holding --------------------------------------------------------------------------------- */

static bool has_links(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_nlink > 0;
}

int lithops__cache_new_file(const struct lithops__cache *cache, const char *sha256, char *name,
                            size_t size)
{
    for (;;) {
        lithops__cache_new_name(sha256, name, size);
        int fd = openat(cache->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0700);
        if (fd < 0)
            return -1;
        (void)flock(fd, LOCK_EX); /* the file system has no locks: nothing is removed */
        if (has_links(fd))
            return fd;
        close(fd); /* taken for one of a worker that died, before it was locked */
    }
}

static int add_hold(struct lithops__cache *cache, const char *image, int fd)
{
    struct lithops__cache_hold *hold = malloc(sizeof *hold);
    if (!hold)
        return -1;
    *hold = (struct lithops__cache_hold){.next = cache->holds, .fd = fd};
    snprintf(hold->image, sizeof hold->image, "%s", image);
    cache->holds = hold;
    return 0;
}

int lithops__cache_hold(struct lithops__cache *cache, const char *image, int *ret_fd,
                        lithops_error *err)
{
    char path[HASH_CHARS + 32];
    for (const struct lithops__cache_hold *hold = cache->holds; hold; hold = hold->next)
        if (strcmp(hold->image, image) == 0) {
            *ret_fd = hold->fd;
            return 0;
        }
    snprintf(path, sizeof path, "images/%s.lock", image);
    for (;;) {
        int fd = openat(cache->fd, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return lithops__fail_errno(err, errno, "cannot write to the cache '%s'", cache->path);
        (void)flock(fd, LOCK_SH); /* the file system has no locks: nothing is removed */
        if (!has_links(fd)) {     /* removed while this waited */
            close(fd);
            continue;
        }
        (void)futimens(fd, NULL);
        *ret_fd = fd;
        if (add_hold(cache, image, fd) == 0)
            return 0;
        close(fd);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
}

void lithops__cache_hold_engine(struct lithops__cache *cache)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 16);
    static const char end[] = "/bin/lithops";
    size_t tail = sizeof end - 1;
    path[len > 0 ? len : 0] = '\0';
    if (len < (ssize_t)tail || strcmp(path + len - tail, end) != 0)
        return;
    snprintf(path + len - tail, 16, "/SUMS");
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)flock(fd, LOCK_SH);
    (void)futimens(fd, NULL);
    if (add_hold(cache, "engine", fd) != 0)
        close(fd);
}

/* ---- measuring ------------------------------------------------------------------------------- */

/* Walk `root`; `visit` gets each file, and folders once they are left. */
static void walk(const char *root, void (*visit)(const FTSENT *entry, void *user), void *user)
{
    char *roots[] = {(char *)root, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    const FTSENT *entry;
    while (tree && (entry = fts_read(tree)) != NULL)
        if (entry->fts_info != FTS_D && entry->fts_info != FTS_DC)
            visit(entry, user);
    if (tree)
        fts_close(tree);
}

struct inode {
    ino_t number;
    uint64_t bytes;
};

/* Without memory for more, those that are known count. */
static void note_inode(const FTSENT *entry, void *user)
{
    const struct inode inode = {entry->fts_statp->st_ino,
                                (uint64_t)entry->fts_statp->st_blocks * 512};
    if (entry->fts_info == FTS_F)
        lithops__buffer_append(user, &inode, sizeof inode);
}

static int by_number(const void *a, const void *b)
{
    ino_t left = ((const struct inode *)a)->number, right = ((const struct inode *)b)->number;
    return left < right ? -1 : left > right;
}

/* The size of all files, counting links once. */
static uint64_t measure(const struct lithops__cache *cache)
{
    struct lithops__buffer inodes = LITHOPS__BUFFER_INIT;
    uint64_t bytes = 0;
    walk(cache->path, note_inode, &inodes);
    struct inode *all = (void *)inodes.data;
    size_t count = inodes.len / sizeof *all;
    if (count)
        qsort(all, count, sizeof *all, by_number);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || all[i].number != all[i - 1].number)
            bytes += all[i].bytes;
    lithops__buffer_deinit(&inodes);
    return bytes;
}

/* ---- what may go ----------------------------------------------------------------------------- */

/* An image or an engine. */
struct unit {
    char name[HASH_CHARS + 32]; /* name of its folder in the cache */
    char lock[HASH_CHARS + 40];
    bool is_engine;
    int64_t used_ns;
};
struct units {
    const struct lithops__cache *cache;
    struct lithops__buffer all;
};

static void note_unit(struct units *units, const char *folder, const char *name)
{
    struct unit unit = {.is_engine = strcmp(folder, "engine") == 0};
    struct stat status;
    if (strlen(name) > HASH_CHARS + 16)
        return;
    snprintf(unit.name, sizeof unit.name, "%s/%.80s", folder, name);
    snprintf(unit.lock, sizeof unit.lock, unit.is_engine ? "%.88s/SUMS" : "%.88s.lock", unit.name);
    if (fstatat(units->cache->fd, unit.lock, &status, AT_SYMLINK_NOFOLLOW) != 0 &&
        fstatat(units->cache->fd, unit.name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    /* Not its mtime, which may come from an archive. */
    unit.used_ns = (int64_t)status.st_ctim.tv_sec * 1000000000 + status.st_ctim.tv_nsec;
    lithops__buffer_append(&units->all, &unit, sizeof unit);
}

static void note_units(struct units *units, const char *folder)
{
    char path[sizeof units->cache->path + 16];
    snprintf(path, sizeof path, "%s/%s", units->cache->path, folder);
    char *roots[] = {path, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    while (tree && (entry = fts_read(tree)) != NULL) {
        if (entry->fts_level != 1 || entry->fts_info != FTS_D)
            continue;
        note_unit(units, folder, entry->fts_name);
        (void)fts_set(tree, entry, FTS_SKIP);
    }
    if (tree)
        fts_close(tree);
}

static int by_use(const void *a, const void *b)
{
    int64_t left = ((const struct unit *)a)->used_ns, right = ((const struct unit *)b)->used_ns;
    return left < right ? -1 : left > right;
}

/* ---- removing -------------------------------------------------------------------------------- */

struct removal {
    const struct lithops__cache *cache;
    uint64_t bytes; /* bytes freed */
    bool dry_run;
};

static void remove_entry(const FTSENT *entry, void *user)
{
    struct removal *removal = user;
    bool is_folder = entry->fts_info == FTS_DP;
    const struct stat *status = entry->fts_statp;
    if (!removal->dry_run && (is_folder ? rmdir(entry->fts_path) : unlink(entry->fts_path)) != 0)
        return;
    if (!is_folder && status->st_nlink <= 2) /* the object is the other link, and goes too */
        removal->bytes += (uint64_t)status->st_blocks * 512;
}

/* Its lock, owned by the caller, so that no one can use it; -1: someone does. */
static int lock_unit(const struct lithops__cache *cache, const struct unit *unit)
{
    time_t fresh_s = strncmp(unit->name, "engine/.", 8) == 0 ? TRANSFER_S : FRESH_S;
    bool is_fresh = unit->is_engine && unit->used_ns / 1000000000 + fresh_s > time(NULL);
    int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | (unit->is_engine ? 0 : O_CREAT);
    int fd = is_fresh ? -1 : openat(cache->fd, unit->lock, flags, 0600);
    if (fd < 0 && unit->is_engine && !is_fresh && errno == ENOENT) /* left over from a transfer */
        fd = openat(cache->fd, unit->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && (flock(fd, LOCK_EX | LOCK_NB) != 0 || !has_links(fd))) {
        close(fd);
        return -1;
    }
    return fd;
}

static void remove_unit(struct removal *removal, const struct unit *unit)
{
    char path[sizeof removal->cache->path + sizeof unit->name];
    int lock = lock_unit(removal->cache, unit);
    if (lock < 0)
        return;
    snprintf(path, sizeof path, "%s/%s", removal->cache->path, unit->name);
    walk(path, remove_entry, removal);
    if (!unit->is_engine && !removal->dry_run)
        (void)unlinkat(removal->cache->fd, unit->lock, 0);
    close(lock);
}

/* An object that no image links, or a file whose transfer was interrupted. */
static void sweep_object(const FTSENT *entry, void *user)
{
    struct removal *removal = user;
    const struct stat *status = entry->fts_statp;
    bool is_object = entry->fts_namelen == HASH_CHARS;
    if (entry->fts_info != FTS_F || (is_object && status->st_nlink > 1))
        return;
    int fd = open(entry->fts_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if ((removal->dry_run || unlink(entry->fts_path) == 0) && status->st_nlink == 1)
            removal->bytes += (uint64_t)status->st_blocks * 512;
    }
    if (fd >= 0)
        close(fd);
}

static void sweep_objects(struct removal *removal)
{
    char path[sizeof removal->cache->path + 16];
    snprintf(path, sizeof path, "%s/objects", removal->cache->path);
    walk(path, sweep_object, removal);
}

struct lithops__cache_trimmed lithops__cache_trim(const struct lithops__cache *cache,
                                                  uint64_t most_bytes, bool dry_run)
{
    struct units units = {cache, LITHOPS__BUFFER_INIT};
    struct removal removal = {.cache = cache, .dry_run = dry_run};
    uint64_t there = measure(cache);
    sweep_objects(&removal);
    note_units(&units, "images");
    note_units(&units, "engine");
    struct unit *all = (void *)units.all.data;
    size_t count = units.all.len / sizeof *all;
    if (count)
        qsort(all, count, sizeof *all, by_use);
    for (size_t i = 0; i < count && there > most_bytes + removal.bytes; i++)
        remove_unit(&removal, &all[i]);
    lithops__buffer_deinit(&units.all);
    uint64_t bytes = removal.bytes < there ? removal.bytes : there;
    if (!dry_run && removal.bytes)
        sweep_objects(&removal); /* counted already */
    return (struct lithops__cache_trimmed){bytes, there - bytes};
}

struct lithops__cache_trimmed lithops__cache_clean(bool dry_run)
{
    struct lithops__cache_trimmed sum = {0};
    for (int other = 0; other < 2; other++) {
        struct lithops__cache cache = {.fd = -1};
        if (other)
            choose_other_folder(cache.path, sizeof cache.path);
        else
            lithops__cache_folder(cache.path, sizeof cache.path);
        struct stat status;
        cache.fd = open(cache.path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (cache.fd < 0)
            continue;
        if (fstat(cache.fd, &status) == 0 && status.st_uid == getuid()) {
            struct lithops__cache_trimmed one = lithops__cache_trim(&cache, 0, dry_run);
            sum.bytes += one.bytes;
            sum.left_bytes += one.left_bytes;
            if (!dry_run)
                (void)unlinkat(cache.fd, "engine.known", 0); /* of clients: engine_known.h */
        }
        lithops__cache_close(&cache);
    }
    return sum;
}
