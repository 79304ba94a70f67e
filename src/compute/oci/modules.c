/* SPDX-License-Identifier: Apache-2.0 */
/* The Pythons of an image, and the modules that are installed for each, from the names of its
 * files.
 *
 *     usr/local/bin/python3.12                               a Python, of the folder usr/local
 *     usr/local/lib/python3.12/site-packages/numpy/__init__.py    numpy, which it finds
 *     usr/lib/python3/dist-packages/yaml/__init__.py              Debian's own Python finds this
 * one usr/local/lib/python3.12/site-packages/.wh.numpy            a layer above has it no more
 *
 * What is noted is a map of such names, up to the module's, and of the folders of the search path,
 * to whether it is there. A folder of the path that is not there may be behind a link, which names
 * do not tell: then nothing is known for certain. */
#include "base/error.h"
#include "base/program_output.h"
#include "compute/oci/oci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_NAMES = 64 << 20, MOST_NAME = 512, FIRST_MINOR = 8, LAST_MINOR = 40 };

static const char deleted[] = ".wh."; /* a layer has such names for what is gone */

static int set(lithops_value *map, const char *key, lithops_value *value)
{
    return value ? lithops_value_set(map, key, value) : LITHOPS_ENOMEM;
}

/* The letters of the module that a file or folder in a folder of packages is, or 0. `rest` begins
 * there: "numpy/__init__.py", "six.py", "_cffi.cpython-312-x86_64-linux-gnu.so". */
static size_t module_in(const char *rest)
{
    size_t len = strcspn(rest, "./");
    const char *after = rest + len, *suffix = strrchr(after, '.');
    bool is_file = *after == '.' && !strchr(after, '/') && suffix &&
                   (strcmp(after, ".py") == 0 || strcmp(suffix, ".so") == 0);
    return is_file || strcmp(after, "/__init__.py") == 0 ? len : 0;
}

/* Names as they are in archives and as they are in paths: "./usr/bin/", "/usr/bin". */
static const char *plain(const char *name)
{
    while (*name == '/' || (name[0] == '.' && name[1] == '/'))
        name++;
    return name;
}

/* The folder at the beginning of a search path, without slashes at its ends. */
static const char *folder_at(const char *path, size_t *ret_len)
{
    size_t len = strcspn(path, ":");
    const char *folder = plain(path);
    len -= (size_t)(folder - path) < len ? (size_t)(folder - path) : len;
    while (len > 0 && folder[len - 1] == '/')
        len--;
    *ret_len = len;
    return folder;
}

static const char *next_folder(const char *path)
{
    path += strcspn(path, ":");
    return path + (*path == ':');
}

/* What was there is not: a file or folder, and all in it, or (`whole`) all in a folder. */
static int forget(lithops_value *seen, const char *name, bool whole)
{
    size_t len = strlen(name);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(seen); i++) {
        const char *key;
        char copy[MOST_NAME];
        bool is_there = lithops_value_get_bool(lithops_value_pair(seen, i, &key));
        size_t dot = strlen(key);
        bool is_it = strncmp(key, name, len) == 0 && (whole || key[len] == '/' || key[len] == '\0');
        /* a module without its suffix */
        bool is_file = !whole && strncmp(key, name, dot) == 0 && name[dot] == '.';
        if (is_there && (is_it || is_file)) {
            snprintf(copy, sizeof copy, "%s", key);
            rc = set(seen, copy, lithops_value_bool(false));
        }
    }
    return rc;
}

static int note_deleted(lithops_value *seen, const char *path)
{
    char name[MOST_NAME];
    path = plain(path);
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    if (strncmp(last, deleted, sizeof deleted - 1) != 0)
        return 0;
    bool whole = strcmp(last, ".wh..wh..opq") == 0;
    int len = snprintf(name, sizeof name, "%.*s%s", (int)(last - path), path,
                       whole ? "" : last + sizeof deleted - 1);
    return len < 0 || (size_t)len >= sizeof name ? 0 : forget(seen, name, whole);
}

/* The folders of the search path that it is in, or is. */
static int note_folders(lithops_value *seen, const char *name, const char *path)
{
    int rc = 0;
    for (const char *at = path; rc == 0 && *at; at = next_folder(at)) {
        size_t len;
        char key[MOST_NAME];
        const char *folder = folder_at(at, &len);
        if (len == 0 || len + 2 > sizeof key || strncmp(name, folder, len) != 0 || name[len] != '/')
            continue;
        snprintf(key, sizeof key, "%.*s/", (int)len, folder);
        if (!lithops_value_get_bool(lithops_value_get(seen, key)))
            rc = set(seen, key, lithops_value_bool(true));
    }
    return rc;
}

static int note(lithops_value *seen, const char *name, const char *path)
{
    static const char *const folders[] = {"/site-packages/", "/dist-packages/"};
    char key[MOST_NAME];
    int minor, used = 0;
    name = plain(name);
    int rc = note_folders(seen, name, path), len = snprintf(key, sizeof key, "%s", name);
    if (rc != 0 || len < 0 || (size_t)len >= sizeof key)
        return rc;
    const char *slash = strrchr(key, '/');
    bool matters =
        slash && sscanf(slash, "/python3.%d%n", &minor, &used) == 1 && used && !slash[used];
    for (size_t i = 0; !matters && i < sizeof folders / sizeof *folders; i++) {
        char *packages = strstr(key, folders[i]);
        char *rest = packages ? packages + strlen(folders[i]) : NULL;
        size_t letters = rest ? module_in(rest) : 0;
        matters = letters > 0;
        if (matters)
            rest[letters] = '\0';
    }
    return matters ? set(seen, key, lithops_value_bool(true)) : 0;
}

int lithops__oci_note(lithops_value *seen, char *names, const char *path)
{
    int rc = 0;
    /* What a layer deletes is below it, wherever it stands there. */
    for (int own = 0; own < 2; own++)
        for (char *line = names; rc != LITHOPS_ENOMEM && *line;) {
            char *end = strchrnul(line, '\n'), last = *end;
            *end = '\0';
            /* What is not in UTF-8 is no name of a module. */
            rc = own ? note(seen, line, path) : note_deleted(seen, line);
            *end = last;
            line = end + (last != '\0');
        }
    return rc == LITHOPS_ENOMEM ? rc : 0;
}

int lithops__oci_note_layer(lithops_value *seen, int fd, const char *path, lithops_error *err)
{
    char file[64];
    snprintf(file, sizeof file, "/proc/%d/fd/%d", (int)getpid(), fd);
    const char *const words[] = {"tar", "-tf", file, NULL}; /* it sees how that is compressed */
    const struct lithops__bounds bounds = {.deadline_ns = UINT64_MAX};
    size_t len = 0;
    char *names = calloc(1, MOST_NAMES);
    int rc = names ? lithops__program_output((char *const *)(uintptr_t)words, environ, &bounds,
                                             names, MOST_NAMES - 1, &len, err)
                   : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0 && lithops__oci_note(seen, names, path) != 0)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    free(names);
    return rc;
}

/* ---- what that amounts to -------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The modules right in a folder, after those that `names` has; the new count. */
static size_t find_in(const lithops_value *seen, const char *folder, const char **names,
                      size_t count)
{
    size_t len = strlen(folder);
    for (size_t i = 0; i < lithops_value_size(seen); i++) {
        const char *key;
        bool is_there = lithops_value_get_bool(lithops_value_pair(seen, i, &key));
        if (is_there && strncmp(key, folder, len) == 0)
            names[count++] = key + len;
    }
    return count;
}

/* What the Python of a folder ("usr/local") finds, sorted; NULL: out of memory. */
static lithops_value *modules_of(const lithops_value *seen, const char *prefix, int minor)
{
    char folder[MOST_NAME + 64];
    lithops_value *list = lithops_value_list();
    const char **names = calloc(lithops_value_size(seen) * 3 + 1, sizeof *names);
    bool good = list && names;
    size_t count = 0;
    if (good) {
        snprintf(folder, sizeof folder, "%s/lib/python3.%d/site-packages/", prefix, minor);
        count = find_in(seen, folder, names, count);
    }
    if (good && strcmp(prefix, "usr") == 0) { /* Debian's */
        count = find_in(seen, "usr/lib/python3/dist-packages/", names, count);
        snprintf(folder, sizeof folder, "usr/local/lib/python3.%d/dist-packages/", minor);
        count = find_in(seen, folder, names, count);
    }
    if (good)
        qsort(names, count, sizeof *names, compare);
    for (size_t i = 0; good && i < count; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            good = lithops_value_append(list, lithops_value_string(names[i])) == 0;
    free(names);
    if (good)
        return list;
    lithops_value_free(list);
    return NULL;
}

/* Is each folder of the path there, and so no link? Those of the system may be. */
static bool is_certain(const lithops_value *seen, const char *path)
{
    for (const char *at = path; *at; at = next_folder(at)) {
        size_t len;
        char key[MOST_NAME];
        const char *folder = folder_at(at, &len);
        snprintf(key, sizeof key, "%.*s/", (int)len, folder);
        if (len > 0 && strcmp(key, "bin/") != 0 && strcmp(key, "sbin/") != 0 &&
            !lithops_value_get_bool(lithops_value_get(seen, key)))
            return false;
    }
    return true;
}

lithops_value *lithops__oci_pythons(const lithops_value *seen, const char *path)
{
    lithops_value *pythons = lithops_value_map();
    bool good = pythons != NULL;
    if (good && !is_certain(seen, path)) {
        lithops_value_free(pythons);
        return lithops_value_null();
    }
    for (int minor = FIRST_MINOR; good && minor < LAST_MINOR; minor++) {
        for (const char *at = path; good && *at; at = next_folder(at)) {
            static const char bin[] = "/bin";
            const size_t end = sizeof bin - 1;
            char program[MOST_NAME + 16], version[16];
            size_t len;
            const char *folder = folder_at(at, &len);
            snprintf(program, sizeof program, "%.*s/python3.%d", (int)len, folder, minor);
            if (!lithops_value_get_bool(lithops_value_get(seen, program)))
                continue;
            snprintf(version, sizeof version, "3.%d", minor);
            bool has_prefix = len > end && memcmp(folder + len - end, bin, end) == 0;
            program[has_prefix ? len - end : 0] = '\0';
            good = set(pythons, version,
                       has_prefix ? modules_of(seen, program, minor) : lithops_value_null()) == 0;
            break;
        }
    }
    if (good)
        return pythons;
    lithops_value_free(pythons);
    return NULL;
}
