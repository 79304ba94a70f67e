/* SPDX-License-Identifier: Apache-2.0 */
/* Walking folder trees in key order.
 *
 * Key order is the byte order of whole paths, where '/' is a byte like any other: "a-b" < "a.b" <
 * "a/b". Sorting each folder with a '/' behind the names of its folders gives exactly that, so a
 * walk holds only the names of the folders on its way, never the whole listing.
 *
 * A folder is read to its end before its files are visited, so the visitor may delete what it
 * sees. Folders are opened one segment at a time, each from its parent and never through a symbolic
 * link, so that swapping a folder for a link cannot lead a walk out of the tree. */
#include "storage/tree.h"

#include "base/buffer.h"
#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct walk {
    const char *prefix;
    size_t prefix_len;
    const struct lithops__tree_options *options;
    int (*visit)(const char *path, const struct stat *st, void *user);
    void *user;
    lithops_error *err;
    size_t len; /* of path */
    char path[PATH_MAX];
};

int lithops__tree_open(int root, const char *path, size_t len, bool create)
{
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int folder = openat(root, ".", flags);
    const char *end = path + len;
    while (folder >= 0 && path < end) {
        const char *slash = memchr(path, '/', (size_t)(end - path));
        size_t segment_len = (size_t)((slash ? slash : end) - path);
        char segment[NAME_MAX + 1];
        int next = -1;
        errno = ENAMETOOLONG;
        if (segment_len <= NAME_MAX) {
            memcpy(segment, path, segment_len);
            segment[segment_len] = '\0';
            if (!create || mkdirat(folder, segment, 0777) == 0 || errno == EEXIST)
                next = openat(folder, segment, flags);
        }
        int saved = errno;
        close(folder);
        errno = saved;
        folder = next;
        path += segment_len + (slash ? 1 : 0);
    }
    return folder >= 0 ? folder : -errno;
}

/* The names of one folder: for each its bytes, a '/' if it is a folder, and a NUL. */
static int read_names(DIR *stream, const struct walk *walk, struct lithops__buffer *names,
                      size_t *ret_count)
{
    size_t count = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry)
            break;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            (walk->options->hidden && walk->options->hidden(dirfd(stream), name)))
            continue;
        bool folder = entry->d_type == DT_DIR;
        struct stat st;
        if (entry->d_type == DT_UNKNOWN)
            folder =
                fstatat(dirfd(stream), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
        lithops__buffer_append_string(names, name);
        lithops__buffer_append(names, "/", folder ? 2 : 0);
        lithops__buffer_append(names, "", folder ? 0 : 1);
        count++;
    }
    *ret_count = count;
    return errno;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int fail_at(const struct walk *walk, int os_errno)
{
    size_t len = walk->len ? walk->len - 1 : 0, cut = len > 300 ? len - 300 : 0;
    return lithops__fail_errno(walk->err, os_errno, "cannot read folder '%s%.*s'", cut ? "..." : "",
                               len ? (int)(len - cut) : 1, len ? walk->path + cut : ".");
}

/* The sorted names in `folder`. *ret_sorted is freed with free(), the names by their buffer. */
static int list_folder(const struct walk *walk, int folder, struct lithops__buffer *names,
                       char ***ret_sorted, size_t *ret_count)
{
    int readable = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = readable >= 0 ? fdopendir(readable) : NULL;
    int failed = stream ? read_names(stream, walk, names, ret_count) : errno;
    if (stream)
        closedir(stream);
    else if (readable >= 0)
        close(readable);
    if (failed)
        return failed == ENOENT ? 0 : fail_at(walk, failed);
    char **sorted = malloc((*ret_count + 1) * sizeof *sorted);
    if (names->failed || !sorted) {
        free(sorted);
        return lithops__fail(walk->err, LITHOPS_ENOMEM, "out of memory for the names of a folder");
    }
    char *name = (char *)names->data;
    for (size_t i = 0; i < *ret_count; i++, name += strlen(name) + 1)
        sorted[i] = name;
    if (*ret_count)
        qsort(sorted, *ret_count, sizeof *sorted, compare);
    *ret_sorted = sorted;
    return 0;
}

static int walk_folder(struct walk *walk, int folder);

/* walk->path has `name` at its end. */
static int visit_name(struct walk *walk, int folder, char *name)
{
    size_t name_len = strlen(name);
    if (name[name_len - 1] != '/') {
        struct stat st;
        int follow = walk->options->follow_links ? 0 : AT_SYMLINK_NOFOLLOW;
        bool found = fstatat(folder, name, &st, follow) == 0 && S_ISREG(st.st_mode);
        return found ? walk->visit(walk->path, &st, walk->user) : 0;
    }
    name[name_len - 1] = '\0';
    int child = openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fail_at(walk, errno);
    int rc = walk_folder(walk, child);
    close(child);
    return rc;
}

/* Whether there may be anything to visit at walk->path, or below it if it ends with '/'. */
static bool is_wanted(const struct walk *walk)
{
    bool folder = walk->path[walk->len - 1] == '/';
    size_t common = walk->len < walk->prefix_len ? walk->len : walk->prefix_len;
    if (memcmp(walk->path, walk->prefix, common) != 0 || (common < walk->prefix_len && !folder))
        return false;
    const char *after = walk->options->after;
    if (!after || strcmp(walk->path, after) > 0)
        return true;
    /* Whether a whole folder comes before `after`, that is, does not contain it. */
    return folder && strncmp(walk->path, after, walk->len) == 0;
}

static int walk_folder(struct walk *walk, int folder)
{
    struct lithops__buffer names = LITHOPS__BUFFER_INIT;
    char **sorted = NULL;
    size_t count = 0, here = walk->len;
    int rc = list_folder(walk, folder, &names, &sorted, &count);
    for (size_t i = 0; rc == 0 && sorted && i < count; i++) {
        size_t len = strlen(sorted[i]);
        if (here + len > walk->options->path_max)
            continue;
        if (here + len >= sizeof walk->path) {
            rc = fail_at(walk, ENAMETOOLONG);
            break;
        }
        memcpy(walk->path + here, sorted[i], len + 1);
        walk->len = here + len;
        if (is_wanted(walk))
            rc = visit_name(walk, folder, sorted[i]);
    }
    walk->len = here;
    walk->path[here] = '\0';
    free(sorted);
    lithops__buffer_deinit(&names);
    return rc;
}

int lithops__tree_walk(int root, const char *prefix, const struct lithops__tree_options *options,
                       int (*visit)(const char *path, const struct stat *st, void *user),
                       void *user, lithops_error *err)
{
    struct walk walk = {.prefix = prefix,
                        .prefix_len = strlen(prefix),
                        .options = options,
                        .visit = visit,
                        .user = user,
                        .err = err};
    /* Start in the deepest folder that the prefix names: a listing of "jobs/a/" must not cost a
     * look at every other job. */
    const char *slash = strrchr(prefix, '/');
    walk.len = slash ? (size_t)(slash - prefix) + 1 : 0;
    if (walk.len >= sizeof walk.path)
        return 0;
    memcpy(walk.path, prefix, walk.len);
    int folder = lithops__tree_open(root, prefix, walk.len ? walk.len - 1 : 0, false);
    if (folder < 0)
        return folder == -ENOENT || folder == -ENOTDIR || folder == -ENAMETOOLONG
                   ? 0
                   : fail_at(&walk, -folder);
    int rc = walk_folder(&walk, folder);
    close(folder);
    return rc;
}
