/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the objects that names stand for.
 *
 * A name is looked at in this order: a URL; a backend with "://"; a path, when it begins like one;
 * an existing file or folder; else bucket and key. A missing one fails with every place that was
 * tried, because "data/a.txt" may mean either of two. */
#include "partition/names.h"

#include "base/error.h"
#include "partition/url_sizes.h"
#include "storage/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/statfs.h>
#include <unistd.h>

struct finding {
    lithops_storage *storage;
    lithops__names_visitor *visit;
    void *user;
    lithops_error *err;
    const char *place; /* the folder or the bucket that is walked */
    size_t count;      /* of objects visited */
};

static int visit(struct finding *finding, const lithops_object *object, bool parts)
{
    finding->count++;
    return finding->visit(object, parts, finding->user, finding->err);
}

/* ---- URLs ------------------------------------------------------------------------------------ */

static bool is_url(const char *name)
{
    return strncasecmp(name, "http://", 7) == 0 || strncasecmp(name, "https://", 8) == 0;
}

const char *lithops__names_url(const lithops_value *name)
{
    const char *text =
        lithops_value_type(name) == LITHOPS_STRING ? lithops_value_get_string(name) : NULL;
    return text && is_url(text) && strlen(text) == lithops_value_get_bytes(name).len ? text : NULL;
}

static int find_url(struct finding *finding, const char *url)
{
    struct lithops__url_size asked = {.url = url};
    lithops__url_sizes(&asked, 1);
    if (asked.rc) {
        if (finding->err)
            *finding->err = asked.err;
        return asked.rc;
    }
    lithops_object object = {.url = url, .object_size_bytes = asked.size};
    return visit(finding, &object, asked.parts);
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* A file of /proc reports no size, but has content. */
static bool has_bytes(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool found = fd >= 0 && read(fd, &byte, 1) == 1;
    if (fd >= 0)
        close(fd);
    return found;
}

/* One of /sys reports a page, whatever it holds. */
static bool is_of_sysfs(const char *path, const struct stat *st)
{
    struct statfs fs;
    return st->st_blocks == 0 && statfs(path, &fs) == 0 && fs.f_type == SYSFS_MAGIC;
}

static int visit_file(struct finding *finding, const char *path, const struct stat *st)
{
    lithops_object object = {.path = path, .object_size_bytes = (uint64_t)st->st_size};
    bool sized =
        S_ISREG(st->st_mode) && (st->st_size > 0 ? !is_of_sysfs(path, st) : !has_bytes(path));
    if (!sized)
        object.object_size_bytes = UINT64_MAX;
    return visit(finding, &object, sized);
}

static int visit_below_folder(const char *path, const struct stat *st, void *user)
{
    struct finding *finding = user;
    char whole[2 * PATH_MAX];
    snprintf(whole, sizeof whole, "%s/%s", finding->place, path);
    return visit_file(finding, whole, st);
}

static int find_in_folder(struct finding *finding, const char *path)
{
    /* Links to files are followed; links to folders could lead in circles. */
    static const struct lithops__tree_options options = {.path_max = SIZE_MAX,
                                                         .follow_links = true};
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return lithops__fail_errno(finding->err, errno, "cannot open folder '%s'", path);
    finding->place = strcmp(path, "/") == 0 ? "" : path;
    int rc = lithops__tree_walk(folder, "", &options, visit_below_folder, finding, finding->err);
    close(folder);
    if (rc == 0 && finding->count == 0)
        return lithops__fail(finding->err, LITHOPS_ENOTFOUND, "folder '%s' holds no files", path);
    return rc;
}

/* `name` as an absolute path without slashes at its end. */
static int absolute(const char *name, const char *base, char *buf, size_t size, lithops_error *err)
{
    while (strncmp(name, "./", 2) == 0)
        name += 2;
    bool relative = *name != '/';
    if (relative && !base)
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "'%s' is a relative path, and the current folder cannot be named; "
                             "give an absolute path",
                             name);
    int len =
        snprintf(buf, size, "%s%s%s", relative ? base : "", relative && base[1] ? "/" : "", name);
    if (len < 0 || (size_t)len >= size)
        return lithops__fail_errno(err, ENAMETOOLONG, "'%.80s...'", name);
    while (len > 1 && buf[len - 1] == '/')
        buf[--len] = '\0';
    return 0;
}

/* /dev/fd/63, as <(command) gives it, is a name that only this process knows; others know the file
 * by /proc/<pid>/fd/63. */
static const char *name_for_others(const char *path, char *buf, size_t size)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    const char *number = strcmp(path, "/dev/stdin") == 0 ? "0" : NULL;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (strncmp(path, folders[i], strlen(folders[i])) == 0)
            number = path + strlen(folders[i]);
    if (!number || !*number || number[strspn(number, "0123456789")])
        return path;
    snprintf(buf, size, "/proc/%d/fd/%s", (int)getpid(), number);
    return buf;
}

/* *ret_missing: there is nothing at that path. */
static int find_path(struct finding *finding, const char *given, bool *ret_missing)
{
    struct stat st;
    char other[PATH_MAX];
    const char *path = name_for_others(given, other, sizeof other);
    *ret_missing = false;
    if (stat(path, &st) != 0) {
        *ret_missing = errno == ENOENT || errno == ENOTDIR;
        return lithops__fail_errno(finding->err, errno, "cannot find '%s'", path);
    }
    if (S_ISDIR(st.st_mode))
        return find_in_folder(finding, path);
    if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
        return lithops__fail(finding->err, LITHOPS_EUSAGE,
                             "'%s' is neither a regular file nor a folder or pipe", path);
    return visit_file(finding, path, &st);
}

/* ---- storage --------------------------------------------------------------------------------- */

static int visit_below_prefix(const lithops_object_info *info, void *user)
{
    struct finding *finding = user;
    if (info->key[strlen(info->key) - 1] == '/') /* a console's idea of a folder */
        return 0;
    lithops_object object = {.backend = lithops_storage_backend(finding->storage),
                             .bucket = finding->place,
                             .key = info->key,
                             .object_size_bytes = info->size_bytes};
    return visit(finding, &object, true);
}

static int find_stored(struct finding *finding, const char *bucket, const char *key)
{
    size_t key_len = strlen(key);
    if (key_len && key[key_len - 1] != '/') {
        lithops_object_info info;
        int rc = lithops_storage_head(finding->storage, bucket, key, &info, finding->err);
        if (rc != 0)
            return rc;
        lithops_object object = {.backend = lithops_storage_backend(finding->storage),
                                 .bucket = bucket,
                                 .key = key,
                                 .object_size_bytes = info.size_bytes};
        return visit(finding, &object, true);
    }
    finding->place = bucket;
    int rc = lithops_storage_list(finding->storage, bucket, key, visit_below_prefix, finding,
                                  finding->err);
    if (rc == 0 && finding->count == 0)
        return lithops__fail(finding->err, LITHOPS_ENOTFOUND,
                             "no objects '%s*' in bucket '%s' of the storage '%s'", key, bucket,
                             lithops_storage_backend(finding->storage));
    return rc;
}

/* `name` is "bucket", "bucket/key" or "bucket/prefix/". */
static int find_bucket_key(struct finding *finding, const char *name)
{
    size_t bucket_len = strcspn(name, "/");
    char bucket[300];
    snprintf(bucket, sizeof bucket, "%.*s", (int)(bucket_len < 299 ? bucket_len : 299), name);
    return find_stored(finding, bucket, name + bucket_len + (name[bucket_len] == '/'));
}

/* ---- names ----------------------------------------------------------------------------------- */

static int find_with_scheme(struct finding *finding, const char *name, size_t scheme_len)
{
    const char *backend = finding->storage ? lithops_storage_backend(finding->storage) : "(none)";
    if (!finding->storage || !lithops__storage_has_scheme(backend, name, scheme_len))
        return lithops__fail(finding->err, LITHOPS_EUNSUPPORTED,
                             "'%s' names another storage than the configured one, which is '%s'",
                             name, backend);
    return find_bucket_key(finding, name + scheme_len + 3);
}

/* A name that could be either: the file system first, then storage. */
static int find_anywhere(struct finding *finding, const char *name, const char *path)
{
    bool missing;
    int rc = find_path(finding, path, &missing);
    if (!missing)
        return rc;
    if (!finding->storage)
        return lithops__fail(finding->err, LITHOPS_ENOTFOUND, "no file or folder '%s'", path);
    rc = find_bucket_key(finding, name);
    if (finding->count || (rc != LITHOPS_ENOTFOUND && rc != LITHOPS_EUSAGE))
        return rc; /* found, or storage cannot tell */
    lithops_error reason = finding->err ? *finding->err : (lithops_error)LITHOPS_ERROR_INIT;
    size_t bucket_len = strcspn(name, "/");
    bool folder = name[bucket_len] && name[strlen(name) - 1] != '/';
    return lithops__fail(finding->err, LITHOPS_ENOTFOUND,
                         "no object '%.150s': there is no file or folder '%.200s', and as bucket "
                         "and key: %.180s%s",
                         name, path, reason.message,
                         folder ? " (a prefix needs a '/' at its end)" : "");
}

static int find_name(struct finding *finding, const char *name, const char *base)
{
    const char *scheme_end = strstr(name, "://");
    if (is_url(name))
        return find_url(finding, name);
    if (scheme_end && scheme_end > name && !memchr(name, '/', (size_t)(scheme_end - name)))
        return find_with_scheme(finding, name, (size_t)(scheme_end - name));
    char path[PATH_MAX];
    int rc = absolute(name, base, path, sizeof path, finding->err);
    if (rc)
        return rc;
    bool only_path = *name == '/' || strncmp(name, "./", 2) == 0 || strncmp(name, "../", 3) == 0 ||
                     strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    bool missing;
    return only_path ? find_path(finding, path, &missing) : find_anywhere(finding, name, path);
}

int lithops__names_expand(const lithops_value *name, const char *base, lithops_storage *storage,
                          lithops__names_visitor *visitor, void *user, lithops_error *err)
{
    struct finding finding = {.storage = storage, .visit = visitor, .user = user, .err = err};
    if (lithops_value_is_cloudobject(name)) {
        const char *bucket, *key;
        int rc = lithops__cloudobject_where(storage, name, &bucket, &key, err);
        return rc ? rc : find_stored(&finding, bucket, key);
    }
    lithops_type type = lithops_value_type(name);
    if (type != LITHOPS_STRING && type != LITHOPS_BYTES)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "an object is named by a string or a cloudobject; a value of type %s "
                             "was given",
                             lithops_type_name(type));
    lithops_bytes bytes = lithops_value_get_bytes(name);
    if (bytes.len == 0 || memchr(bytes.ptr, '\0', bytes.len))
        return lithops__fail(err, LITHOPS_EUSAGE, "the name of an object %s",
                             bytes.len ? "has a zero byte" : "is empty");
    char *copy = strndup(bytes.ptr, bytes.len);
    if (!copy)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory for the name of an object");
    int rc = find_name(&finding, copy, base);
    free(copy);
    return rc;
}
