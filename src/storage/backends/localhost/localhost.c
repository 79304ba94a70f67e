/* SPDX-License-Identifier: Apache-2.0 */
/* Localhost storage: buckets are folders below a root, objects are files in them.
 *
 * The root is storage_root of the configuration, else lithops-<user> in the folder for temporary
 * files, where upstream has its buckets too: what one puts, the other finds.
 *
 * Put writes a new file beside the object, under a name that no key can have, and renames it: a
 * reader sees the old object or the new one. A put that fails removes its file and the folders it
 * made. A writer that was killed leaves its file behind; a listing that meets one more than a day
 * old removes it.
 *
 * Folders exist as long as there are objects in them. The put that makes a folder and the delete
 * that removes it when it is empty may meet; then the put finds that its folder is gone and makes
 * it again.
 *
 * Nothing leaves the root: names come checked (no "..", no leading '/'), and a folder or file that
 * is a symbolic link is never followed. Written data is not forced to the disk: this storage is
 * for one machine's temporary data, and a rename keeps objects whole as long as the kernel runs. */
#include "base/clock.h"
#include "base/error.h"
#include "base/retry.h"
#include "storage/drivers.h"
#include "storage/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define TEMP_PREFIX ".lithops-put-"
#define TEMP_NAME_SIZE (sizeof TEMP_PREFIX + 16)
#define TEMP_KEEP_S (24 * 3600)
#define PIECE_BYTES ((size_t)8 << 20) /* between two looks at deadline and cancel */
#define FOLDER_TRIES 1000             /* each retry needs a delete between two system calls */

struct localhost {
    int root; /* descriptor */
    char path[PATH_MAX];
};

/* ---- opening --------------------------------------------------------------------------------- */

static const char *temp_folder(void)
{
    static const char *const variables[] = {"TMPDIR", "TEMP", "TMP"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *folder = getenv(variables[i]);
        if (folder && *folder && access(folder, W_OK | X_OK) == 0)
            return folder;
    }
    return "/tmp";
}

/* Upstream's folder. It lies where everybody may write, so it must be this user's: otherwise others
 * could plant function images and results there. */
static int default_root(struct localhost *localhost, lithops_error *err)
{
    char temp[PATH_MAX], uid[16];
    if (!realpath(temp_folder(), temp))
        return lithops__fail_errno(err, errno, "no folder for temporary files at '%s'",
                                   temp_folder());
    snprintf(uid, sizeof uid, "%u", (unsigned)geteuid());
    const char *user = getenv("USER");
    if (!user || !*user || strchr(user, '/'))
        user = geteuid() == 0 ? "root" : uid;
    if ((size_t)snprintf(localhost->path, sizeof localhost->path, "%s/lithops-%s", temp, user) >=
        sizeof localhost->path)
        return lithops__fail(err, LITHOPS_ECONFIG, "the path '%.200s/lithops-%.200s' is too long",
                             temp, user);
    struct stat st;
    if ((mkdir(localhost->path, 0700) != 0 && errno != EEXIST) || lstat(localhost->path, &st) != 0)
        return lithops__fail_errno(err, errno, "cannot make the storage folder '%s'",
                                   localhost->path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return lithops__fail(err, LITHOPS_EDENIED,
                             "the storage folder '%s' is not a folder of this user; remove it, or "
                             "set storage_root in the section localhost",
                             localhost->path);
    return 0;
}

/* Parent folders may be links here, as the configuration chooses them. */
static int configured_root(struct localhost *localhost, const char *root, lithops_error *err)
{
    if (*root != '/' || strlen(root) >= sizeof localhost->path)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "storage_root '%.200s' of the section localhost must be an absolute "
                             "path of less than %d bytes",
                             root, PATH_MAX);
    for (size_t i = 1; root[i - 1]; i++) {
        if ((root[i] && root[i] != '/') || root[i - 1] == '/')
            continue;
        memcpy(localhost->path, root, i);
        localhost->path[i] = '\0';
        if (mkdir(localhost->path, 0777) != 0 && errno != EEXIST)
            return lithops__fail_errno(err, errno, "cannot make the storage folder '%s'",
                                       localhost->path);
    }
    return 0;
}

static int localhost_open(void *state, const lithops_value *settings, const lithops_storage_op *op)
{
    struct localhost *localhost = state;
    localhost->root = -1;
    const char *root = lithops_value_get_string(lithops_value_get(settings, "storage_root"));
    int rc = root && *root ? configured_root(localhost, root, op->err)
                           : default_root(localhost, op->err);
    if (rc)
        return rc;
    localhost->root = open(localhost->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (localhost->root < 0)
        return lithops__fail_errno(op->err, errno, "cannot open the storage folder '%s'",
                                   localhost->path);
    return 0;
}

static void localhost_close(void *state)
{
    struct localhost *localhost = state;
    if (localhost->root >= 0)
        close(localhost->root);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* An object's place: path is "bucket/key", its last `name` behind the folder path[0, folder_len).
 */
struct place {
    size_t folder_len;
    const char *name;
    char path[1400];
};

/* Reject names that the engine allows and a file system does not. */
static int place_of(const char *bucket, const char *key, struct place *ret_place,
                    const lithops_storage_op *op)
{
    for (const char *segment = key;; segment++) {
        size_t len = strcspn(segment, "/");
        const char *bad = NULL;
        if (len == 0)
            bad = "has an empty part (a '/' at its end, or two in a row), which a file cannot have";
        else if (len > NAME_MAX)
            bad = "has a part between two '/' of more than 255 bytes, which a file cannot have";
        else if (strncmp(segment, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
            bad = "has a part that starts with '" TEMP_PREFIX "', as only unfinished objects have";
        if (bad)
            return lithops__fail(op->err, LITHOPS_EUSAGE, "key '%.300s' %s", key, bad);
        segment += len;
        if (!*segment)
            break;
    }
    snprintf(ret_place->path, sizeof ret_place->path, "%s/%s", bucket, key);
    ret_place->name = strrchr(ret_place->path, '/') + 1;
    ret_place->folder_len = (size_t)(ret_place->name - ret_place->path) - 1;
    return 0;
}

static bool is_temp(int folder, const char *name)
{
    if (strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) != 0)
        return false;
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_mtime + TEMP_KEEP_S < time(NULL))
        unlinkat(folder, name, 0); /* its writer was killed; that it may fail does no harm */
    return true;
}

static int fail_missing(const struct localhost *localhost, const char *bucket, const char *key,
                        const lithops_storage_op *op)
{
    int folder = lithops__tree_open(localhost->root, bucket, strlen(bucket), false);
    if (folder < 0)
        return lithops__fail(op->err, LITHOPS_ENOTFOUND, "no bucket '%s' in %s", bucket,
                             localhost->path);
    close(folder);
    return lithops__fail(op->err, LITHOPS_ENOTFOUND, "no object '%s' in bucket '%s' (%s/%s)", key,
                         bucket, localhost->path, bucket);
}

static int fail_place(const struct localhost *localhost, const char *bucket, const char *key,
                      int os_errno, const lithops_storage_op *op)
{
    if (os_errno == ENOENT || os_errno == ENOTDIR || os_errno == EISDIR)
        return fail_missing(localhost, bucket, key, op);
    if (os_errno == ELOOP)
        return lithops__fail(op->err, LITHOPS_EDENIED,
                             "object '%s/%s' is a symbolic link, which storage does not follow",
                             bucket, key);
    return lithops__fail_errno(op->err, os_errno, "cannot read object '%s/%s' in %s", bucket, key,
                               localhost->path);
}

/* Remove the empty folders of `place`, up to the bucket, which stays. */
static void prune(const struct localhost *localhost, const struct place *place)
{
    size_t len = place->folder_len;
    for (;;) {
        const char *slash = memrchr(place->path, '/', len);
        if (!slash)
            return;
        char name[NAME_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)(place->path + len - slash) - 1, slash + 1);
        len = (size_t)(slash - place->path);
        int parent = lithops__tree_open(localhost->root, place->path, len, false);
        if (parent < 0)
            return;
        int removed = unlinkat(parent, name, AT_REMOVEDIR);
        close(parent);
        if (removed != 0)
            return;
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

static int check_bounds(const lithops_storage_op *op)
{
    const struct lithops__bounds bounds = {op->deadline_ns, op->interrupted, op->user};
    return lithops__bounds_check(&bounds, op->err);
}

/* A put under way: an open file under a temporary name in the object's folder. */
struct put {
    struct place place;
    int folder, fd;
    char temp[TEMP_NAME_SIZE];
};

static int fail_write(const struct localhost *localhost, const struct put *put, int os_errno,
                      const lithops_storage_op *op)
{
    if (os_errno == ENOTDIR || os_errno == EISDIR || os_errno == ELOOP)
        return lithops__fail(op->err, LITHOPS_EEXIST,
                             "cannot store '%s': %s; a file cannot be a folder too",
                             put->place.path,
                             os_errno == EISDIR ? "there are keys that start with it and a '/'"
                                                : "a part of it before a '/' is an object");
    int rc = lithops__fail_errno(op->err, os_errno, "cannot store '%s' in %s", put->place.path,
                                 localhost->path);
    if (os_errno != EFBIG) /* the process's own limit for files, see setrlimit(2) */
        return rc;
    op->err->code = LITHOPS_ENOSPACE;
    return LITHOPS_ENOSPACE;
}

static int put_begin(const struct localhost *localhost, struct put *put,
                     const lithops_storage_op *op)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return fail_write(localhost, put, errno, op);
    snprintf(put->temp, sizeof put->temp, TEMP_PREFIX "%016llx", (unsigned long long)random);
    int failed = ENOENT;
    for (int i = 0; i < FOLDER_TRIES && failed == ENOENT; i++) {
        put->folder =
            lithops__tree_open(localhost->root, put->place.path, put->place.folder_len, true);
        failed = put->folder < 0 ? -put->folder : 0;
        if (failed)
            continue;
        put->fd = openat(put->folder, put->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        failed = put->fd < 0 ? errno : 0;
        if (failed)
            close(put->folder);
    }
    if (failed) {
        prune(localhost, &put->place);
        return fail_write(localhost, put, failed, op);
    }
    return 0;
}

static int put_write(const struct localhost *localhost, const struct put *put, const void *data,
                     size_t len, const lithops_storage_op *op)
{
    const char *next = data;
    while (len) {
        int rc = check_bounds(op);
        if (rc)
            return rc;
        ssize_t written = write(put->fd, next, len < PIECE_BYTES ? len : PIECE_BYTES);
        if (written < 0 && errno != EINTR)
            return fail_write(localhost, put, errno, op);
        next += written > 0 ? written : 0;
        len -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

/* Give the file its name; with `only_new` unless something has it. */
static int give_name(const struct put *put, bool only_new)
{
    if (!only_new)
        return renameat(put->folder, put->temp, put->folder, put->place.name);
    int rc = linkat(put->folder, put->temp, put->folder, put->place.name, 0);
    if (rc == 0)
        unlinkat(put->folder, put->temp, 0);
    return rc;
}

/* End a put, or remove its file when `rc` says that it could not be written. */
static int put_end(const struct localhost *localhost, struct put *put, bool only_new, int rc,
                   const lithops_storage_op *op)
{
    /* some file systems report quotas only here */
    if (close(put->fd) != 0 && rc == 0 && errno != EINTR)
        rc = fail_write(localhost, put, errno, op);
    if (rc == 0 && give_name(put, only_new) != 0)
        rc = only_new && errno == EEXIST
                 ? lithops__fail(op->err, LITHOPS_EEXIST, "object '%s' exists already",
                                 put->place.path)
                 : fail_write(localhost, put, errno, op);
    if (rc)
        unlinkat(put->folder, put->temp, 0);
    close(put->folder);
    if (rc)
        prune(localhost, &put->place);
    return rc;
}

static int put_bytes(const struct localhost *localhost, const char *bucket, const char *key,
                     lithops_bytes body, bool only_new, const lithops_storage_op *op)
{
    struct put put;
    int rc = place_of(bucket, key, &put.place, op);
    if (rc == 0)
        rc = put_begin(localhost, &put, op);
    if (rc)
        return rc;
    rc = put_write(localhost, &put, body.ptr, body.len, op);
    return put_end(localhost, &put, only_new, rc, op);
}

static int localhost_put(void *state, const char *bucket, const char *key, lithops_bytes body,
                         const lithops_storage_op *op)
{
    return put_bytes(state, bucket, key, body, false, op);
}

static int localhost_put_new(void *state, const char *bucket, const char *key, lithops_bytes body,
                             const lithops_storage_op *op)
{
    return put_bytes(state, bucket, key, body, true, op);
}

static int copy_fd(const struct localhost *localhost, const struct put *put, int fd, void *buf,
                   size_t size, const lithops_storage_op *op)
{
    for (;;) {
        ssize_t got = read(fd, buf, size);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return lithops__fail_errno(op->err, errno, "cannot read what is to be stored as '%s'",
                                       put->place.path);
        int rc = got > 0 ? put_write(localhost, put, buf, (size_t)got, op) : check_bounds(op);
        if (rc)
            return rc;
    }
}

static int localhost_put_fd(void *state, const char *bucket, const char *key, int fd,
                            const lithops_storage_op *op)
{
    const struct localhost *localhost = state;
    const size_t size = 1 << 18;
    void *buf = malloc(size);
    if (!buf)
        return lithops__fail(op->err, LITHOPS_ENOMEM, "out of memory for a buffer");
    struct put put;
    int rc = place_of(bucket, key, &put.place, op);
    if (rc == 0)
        rc = put_begin(localhost, &put, op);
    if (rc == 0) {
        rc = copy_fd(localhost, &put, fd, buf, size, op);
        rc = put_end(localhost, &put, false, rc, op);
    }
    free(buf);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Open the file of an object, with `flags`. */
static int open_object(const struct localhost *localhost, const char *bucket, const char *key,
                       int flags, int *ret_fd, struct stat *ret_st, const lithops_storage_op *op)
{
    struct place place;
    int rc = place_of(bucket, key, &place, op);
    if (rc)
        return rc;
    int folder = lithops__tree_open(localhost->root, place.path, place.folder_len, false);
    if (folder < 0)
        return fail_place(localhost, bucket, key, -folder, op);
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int fd = openat(folder, place.name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int failed = fd < 0 || fstat(fd, ret_st) != 0 ? errno : 0;
    close(folder);
    if (!failed && S_ISLNK(ret_st->st_mode))
        failed = ELOOP;
    else if (!failed && !S_ISREG(ret_st->st_mode))
        failed = ENOENT;
    if (failed) {
        if (fd >= 0)
            close(fd);
        return fail_place(localhost, bucket, key, failed, op);
    }
    *ret_fd = fd;
    return 0;
}

static uint64_t etag_hash_of(const struct stat *st)
{
    /* A put makes a new file, so its inode number alone shows most changes; the time shows those
     * that reuse the number, or write the file in place. */
    uint64_t time_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
    uint64_t hash = (uint64_t)st->st_ino * 0x9e3779b97f4a7c15u;
    hash = (hash ^ time_ns) * 0xff51afd7ed558ccdu;
    hash = (hash ^ hash >> 32 ^ (uint64_t)st->st_size) * 0xc4ceb9fe1a85ec53u;
    return hash ^ hash >> 32;
}

static void etag_of(const struct stat *st, char *ret_etag, size_t size)
{
    snprintf(ret_etag, size, "%016llx", (unsigned long long)etag_hash_of(st));
}

static void describe(const char *key, const struct stat *st, lithops_object_info *ret_info)
{
    static _Thread_local char etag[24];
    etag_of(st, etag, sizeof etag);
    *ret_info = (lithops_object_info){.key = key,
                                      .size_bytes = (uint64_t)st->st_size,
                                      .etag = etag,
                                      .last_modified = (double)st->st_mtim.tv_sec +
                                                       (double)st->st_mtim.tv_nsec / 1e9};
}

static int localhost_read(void *state, const char *bucket, const char *key,
                          lithops_storage_cursor *cursor, uint64_t offset, void *buf, size_t len,
                          size_t *ret_len, const lithops_storage_op *op)
{
    const struct localhost *localhost = state;
    int fd = -1;
    struct stat st = {0};
    int rc = open_object(localhost, bucket, key, O_RDONLY, &fd, &st, op);
    if (rc)
        return rc;
    size_t done = 0;
    while (rc == 0 && done < len && offset + done <= INT64_MAX) {
        size_t piece = len - done < PIECE_BYTES ? len - done : PIECE_BYTES;
        ssize_t got = pread(fd, (char *)buf + done, piece, (off_t)(offset + done));
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            rc = fail_place(localhost, bucket, key, errno, op);
        done += got > 0 ? (size_t)got : 0;
        if (rc == 0 && done < len)
            rc = check_bounds(op);
    }
    close(fd);
    if (rc)
        return rc;
    *ret_len = done;
    cursor->size_bytes = (uint64_t)st.st_size;
    etag_of(&st, cursor->etag, sizeof cursor->etag);
    return 0;
}

static int localhost_head(void *state, const char *bucket, const char *key,
                          lithops_object_info *ret_info, const lithops_storage_op *op)
{
    int fd = -1;
    struct stat st = {0};
    int rc = open_object(state, bucket, key, O_PATH, &fd, &st, op);
    if (rc)
        return rc;
    close(fd);
    describe(key, &st, ret_info);
    return 0;
}

static int localhost_path(void *state, const char *bucket, const char *key, char *buf, size_t size,
                          const lithops_storage_op *op)
{
    const struct localhost *localhost = state;
    int fd = -1;
    struct stat st = {0};
    int rc = open_object(localhost, bucket, key, O_PATH, &fd, &st, op);
    if (rc)
        return rc;
    close(fd);
    if ((size_t)snprintf(buf, size, "%s/%s/%s", localhost->path, bucket, key) >= size)
        return lithops__fail(op->err, LITHOPS_EUSAGE, "the path of object '%s/%s' is too long",
                             bucket, key);
    return 0;
}

struct listing {
    int (*visit)(const lithops_object_info *info, void *user);
    void *user;
};

static int visit_object(const char *path, const struct stat *st, void *user)
{
    const struct listing *listing = user;
    lithops_object_info info;
    describe(path, st, &info);
    return listing->visit(&info, listing->user);
}

static int localhost_list(void *state, const char *bucket, const char *prefix, const char *after,
                          int (*visit)(const lithops_object_info *info, void *user), void *user,
                          const lithops_storage_op *op)
{
    const struct localhost *localhost = state;
    const struct lithops__tree_options options = {
        .path_max = 1024, .hidden = is_temp, .after = after};
    int folder = lithops__tree_open(localhost->root, bucket, strlen(bucket), false);
    if (folder < 0)
        return fail_place(localhost, bucket, prefix, -folder, op);
    struct listing listing = {visit, user};
    int rc = lithops__tree_walk(folder, prefix, &options, visit_object, &listing, op->err);
    close(folder);
    return rc;
}

static int localhost_del(void *state, const char *bucket, const char *key,
                         const lithops_storage_op *op)
{
    const struct localhost *localhost = state;
    struct place place;
    int rc = place_of(bucket, key, &place, op);
    if (rc)
        return rc;
    int folder = lithops__tree_open(localhost->root, place.path, place.folder_len, false);
    int failed = folder < 0 ? -folder : 0;
    if (!failed && unlinkat(folder, place.name, 0) != 0)
        failed = errno;
    if (folder >= 0)
        close(folder);
    if (failed && failed != ENOENT && failed != ENOTDIR && failed != EISDIR)
        return lithops__fail_errno(op->err, failed, "cannot delete object '%s/%s' in %s", bucket,
                                   key, localhost->path);
    prune(localhost, &place);
    return 0;
}

static int localhost_make_bucket(void *state, const char *bucket, const lithops_storage_op *op)
{
    const struct localhost *localhost = state;
    return mkdirat(localhost->root, bucket, 0777) == 0 || errno == EEXIST
               ? 0
               : lithops__fail_errno(op->err, errno, "cannot create bucket '%s' in %s", bucket,
                                     localhost->path);
}

static const lithops_storage_ops localhost_ops = {
    .open = localhost_open,
    .close = localhost_close,
    .put = localhost_put,
    .put_new = localhost_put_new,
    .put_fd = localhost_put_fd,
    .read = localhost_read,
    .head = localhost_head,
    .list = localhost_list,
    .del = localhost_del,
    .make_bucket = localhost_make_bucket,
    .path = localhost_path,
};

static const lithops_config_key localhost_keys[] = {
    {.name = "storage_bucket",
     .type = LITHOPS_KEY_STRING,
     .fallback = "storage",
     .help = "Bucket of the localhost storage for Lithops' own data."},
    {.name = "storage_root",
     .type = LITHOPS_KEY_STRING,
     .help = "Folder that holds the buckets of the localhost storage. Default: lithops-<user> in "
             "the folder for temporary files."},
    {.name = NULL},
};

const lithops_storage_driver lithops__storage_localhost = {
    .abi = LITHOPS_STORAGE_ABI,
    .name = "localhost",
    .summary = "Files under a folder of this machine.",
    .caps = LITHOPS_STORAGE_LOCAL_FILES,
    .state_size = sizeof(struct localhost),
    .ops = &localhost_ops,
    .config_keys = localhost_keys,
};
