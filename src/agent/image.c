/* SPDX-License-Identifier: Apache-2.0 */
/* One file of an image in the cache (cache.h).
 *
 * A file arrives under a temporary name, and rename() moves it into the image once its hash is
 * right; then other images may link it, as an object. An existing file is read before use, and
 * counts as missing if its hash is wrong. What its inode was then is noted in the image's lock
 * file, and as long as that stays the same it is not read again. Other workers may do the same at
 * the same time, and the cache may be trimmed: only files in a held image are safe, so each name is
 * checked there. */
#include "agent/agent.h"

#include "base/clock.h"
#include "base/crypto_module.h"
#include "base/error.h"
#include "base/module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OBJECT_BYTES = 128, PATH_BYTES = 128 + LITHOPS__FILE_NAME };

/* ---- reading --------------------------------------------------------------------------------- */

int lithops__cache_fail(const struct lithops__cache *cache, int failed, lithops_error *err)
{
    return lithops__fail_errno(err, failed,
                               "cannot write to the cache '%s': make room there, or set "
                               "XDG_CACHE_HOME to another folder",
                               cache->path);
}

const struct lithops__crypto_api *lithops__crypto_module(lithops_error *err)
{
    return lithops__module_symbol("crypto", "lithops__crypto", err);
}

/* 1: the whole file `fd` has this hash; 0: it has not. */
static int has_hash(int fd, const char *sha256, lithops_error *err)
{
    unsigned char hash[LITHOPS__SHA256_BYTES] = {0};
    char text[LITHOPS__HEX_HASH];
    const struct lithops__crypto_api *crypto = lithops__crypto_module(err);
    if (!crypto)
        return LITHOPS_EUNSUPPORTED;
    int failed = lseek(fd, 0, SEEK_SET) < 0 ? errno : crypto->sha256_fd(fd, hash);
    if (failed)
        return lithops__fail_errno(err, failed, "cannot read a file of the cache");
    lithops__hash_to_hex(hash, text);
    return strcmp(text, sha256) == 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The file's path in the image, relative to the cache; creates the folders on the way. */
static int make_name(const struct lithops__agent *agent, const struct lithops__agent_files *files,
                     const struct lithops__agent_file *file, char path[PATH_BYTES])
{
    const char *folder = files->folder + strlen(agent->cache.path) + 1;
    snprintf(path, PATH_BYTES, "%s/%s", folder, file->name);
    for (char *slash = strchr(path + strlen(folder) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = mkdirat(agent->cache.fd, path, 0700) != 0 && errno != EEXIST ? errno : 0;
        *slash = '/';
        if (failed)
            return failed;
    }
    return 0;
}

/* Replace `to`, if it exists, by a link to `from`. */
static int replace(const struct lithops__agent *agent, const char *sha256, const char *from,
                   const char *to)
{
    char link[OBJECT_BYTES];
    lithops__cache_new_name(sha256, link, sizeof link);
    if (linkat(agent->cache.fd, from, agent->cache.fd, link, 0) != 0)
        return errno;
    int failed = renameat(agent->cache.fd, link, agent->cache.fd, to) != 0 ? errno : 0;
    (void)unlinkat(agent->cache.fd, link, 0); /* still there if both were the same file */
    return failed;
}

/* ---- what is there --------------------------------------------------------------------------- */

/* A file that has this hash. Whatever changes it changes its ctime, too. */
struct note {
    char sha256[LITHOPS__HEX_HASH - 1];
    uint64_t inode, size;
    int64_t changed_s, changed_ns;
};
_Static_assert(sizeof(struct note) == LITHOPS__HEX_HASH - 1 + 32, "no byte is left undefined");

static struct note note_of(const struct stat *status, const struct lithops__agent_file *file)
{
    struct note note = {.inode = status->st_ino,
                        .size = (uint64_t)status->st_size,
                        .changed_s = status->st_ctim.tv_sec,
                        .changed_ns = status->st_ctim.tv_nsec};
    memcpy(note.sha256, file->sha256, sizeof note.sha256);
    return note;
}

/* Notes lie in the order of the image's files. */
static off_t place_of(const struct lithops__agent_files *files,
                      const struct lithops__agent_file *file)
{
    return (off_t)((size_t)(file - files->files) * sizeof(struct note));
}

static bool is_noted(const struct lithops__agent_files *files,
                     const struct lithops__agent_file *file, const struct note *note)
{
    struct note known;
    return pread(files->lock_fd, &known, sizeof known, place_of(files, file)) == sizeof known &&
           memcmp(&known, note, sizeof known) == 0;
}

/* Not one that may yet be changed without showing it. */
static void write_note(const struct lithops__agent_files *files,
                       const struct lithops__agent_file *file, const struct note *note)
{
    if (lithops__is_settled(note->changed_s))
        (void)!pwrite(files->lock_fd, note, sizeof *note, place_of(files, file));
}

/* 1: the image has the file, with this hash; 0: it has not. */
static int look_at(const struct lithops__agent *agent, const struct lithops__agent_files *files,
                   const struct lithops__agent_file *file, const char *path, lithops_error *err)
{
    struct stat status;
    int fd = openat(agent->cache.fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    int is_right = 1;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        is_right = 0;
    } else {
        const struct note note = note_of(&status, file);
        if (!is_noted(files, file, &note) && (is_right = has_hash(fd, file->sha256, err)) == 1)
            write_note(files, file, &note);
    }
    close(fd);
    return is_right;
}

/* 1: the image has the file, with the right hash; 0: it must be sent. */
int lithops__files_look_for(const struct lithops__agent *agent,
                            const struct lithops__agent_files *files,
                            const struct lithops__agent_file *file, lithops_error *err)
{
    char path[PATH_BYTES], object[OBJECT_BYTES];
    int failed = make_name(agent, files, file, path);
    if (failed)
        return lithops__cache_fail(&agent->cache, failed, err);
    int found = look_at(agent, files, file, path, err);
    if (found != 0)
        return found;
    snprintf(object, sizeof object, "objects/%s", file->sha256);
    if (replace(agent, file->sha256, object, path) != 0)
        return 0; /* no such object, or it has too many links */
    return look_at(agent, files, file, path, err);
}

/* ---- what comes ------------------------------------------------------------------------------ */

int lithops__partial_begin(const struct lithops__agent *agent, const char *sha256,
                           struct lithops__partial *partial, lithops_error *err)
{
    partial->fd =
        lithops__cache_new_file(&agent->cache, sha256, partial->name, sizeof partial->name);
    return partial->fd < 0 ? lithops__cache_fail(&agent->cache, errno, err) : 0;
}

int lithops__partial_write(const struct lithops__agent *agent,
                           const struct lithops__partial *partial, lithops_bytes piece,
                           lithops_error *err)
{
    const char *at = piece.ptr;
    size_t left = piece.len;
    bool is_trimmed = false;
    while (left > 0) {
        ssize_t n = write(partial->fd, at, left);
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT) && !is_trimmed) {
            (void)lithops__cache_trim(&agent->cache, 0, false);
            is_trimmed = true;
            continue;
        }
        if (n < 0 && errno != EINTR)
            return lithops__cache_fail(&agent->cache, errno, err);
        at += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int lithops__partial_is_right(const struct lithops__partial *partial, const char *sha256,
                              lithops_error *err)
{
    return has_hash(partial->fd, sha256, err);
}

void lithops__partial_end(const struct lithops__agent *agent, struct lithops__partial *partial)
{
    if (partial->fd < 0)
        return;
    if (partial->name[0])
        (void)unlinkat(agent->cache.fd, partial->name, 0);
    close(partial->fd);
    partial->fd = -1;
}

int lithops__files_place(const struct lithops__agent *agent,
                         const struct lithops__agent_files *files,
                         const struct lithops__agent_file *file, struct lithops__partial *partial,
                         lithops_error *err)
{
    char path[PATH_BYTES], object[OBJECT_BYTES];
    int failed = make_name(agent, files, file, path);
    if (!failed && renameat(agent->cache.fd, partial->name, agent->cache.fd, path) != 0)
        failed = errno;
    if (failed)
        return lithops__cache_fail(&agent->cache, failed, err);
    partial->name[0] = '\0';
    snprintf(object, sizeof object, "objects/%s", file->sha256);
    (void)replace(agent, file->sha256, path, object);
    return 0;
}
