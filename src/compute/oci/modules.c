/* SPDX-License-Identifier: Apache-2.0 */
/* The Pythons of an image, and the modules that are installed for each, from the names of its
 * files.
 *
 *     usr/local/bin/python3.12                               a Python, of the folder usr/local
 *     usr/local/lib/python3.12/site-packages/numpy/__init__.py    numpy, which it finds
 *     usr/lib/python3/dist-packages/yaml/__init__.py              Debian's own Python finds this
 * one usr/local/lib/python3.12/site-packages/.wh.numpy            a layer above has it no more
 *
 * What is noted is a map of such names, up to the module's, to whether it is there. */
#include "base/error.h"
#include "base/program_output.h"
#include "compute/oci/oci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_NAMES = 64 << 20, MOST_NAME = 512, FIRST_MINOR = 8, LAST_MINOR = 40 };

static const char deleted[] = ".wh.";

static int set(lithops_value *map, const char *key, lithops_value *value)
{
    return value ? lithops_value_set(map, key, value) : LITHOPS_ENOMEM;
}

/* The letters of the module that a file or folder in a folder of packages is, or 0. `rest` begins
 * there: "numpy/__init__.py", "six.py", "_cffi.cpython-312-x86_64-linux-gnu.so". */
static size_t module_in(const char *rest, bool is_deleted)
{
    size_t len = strcspn(rest, "./");
    const char *after = rest + len, *suffix = strrchr(after, '.');
    bool is_file = *after == '.' && !strchr(after, '/') && suffix &&
                   (strcmp(after, ".py") == 0 || strcmp(suffix, ".so") == 0);
    bool is_package = strcmp(after, "/__init__.py") == 0 || (is_deleted && !*after);
    return is_file || is_package ? len : 0;
}

int lithops__oci_note(lithops_value *seen, const char *path)
{
    static const char *const folders[] = {"/site-packages/", "/dist-packages/"};
    char key[MOST_NAME];
    path += strspn(path, "./");
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    bool is_deleted = strncmp(name, deleted, sizeof deleted - 1) == 0;
    /* as if it were there */
    int len = snprintf(key, sizeof key, "%.*s%s", (int)(name - path), path,
                       name + (is_deleted ? sizeof deleted - 1 : 0));
    if (len < 0 || (size_t)len >= sizeof key)
        return 0;
    int minor, used = 0;
    const char *program = strstr(key, "bin/python3.");
    bool matters = program && sscanf(program, "bin/python3.%d%n", &minor, &used) == 1 && used &&
                   !program[used];
    for (size_t i = 0; !matters && i < sizeof folders / sizeof *folders; i++) {
        char *packages = strstr(key, folders[i]);
        char *rest = packages ? packages + strlen(folders[i]) : NULL;
        size_t letters = rest ? module_in(rest, is_deleted) : 0;
        matters = letters > 0;
        if (matters)
            rest[letters] = '\0';
    }
    /* What is not in UTF-8 is no name of a module. */
    return matters && set(seen, key, lithops_value_bool(!is_deleted)) == LITHOPS_ENOMEM
               ? LITHOPS_ENOMEM
               : 0;
}

int lithops__oci_note_lines(lithops_value *seen, char *lines)
{
    int rc = 0;
    for (char *line = lines, *next; rc == 0 && *line; line = next) {
        size_t len = strcspn(line, "\n");
        next = line + len + (line[len] == '\n');
        line[len] = '\0';
        rc = lithops__oci_note(seen, line);
    }
    return rc;
}

int lithops__oci_note_layer(lithops_value *seen, int fd, lithops_error *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    const char *const words[] = {"tar", "-tf", path, NULL}; /* it sees how that is compressed */
    const struct lithops__bounds bounds = {.deadline_ns = UINT64_MAX};
    size_t len = 0;
    char *names = calloc(1, MOST_NAMES);
    int rc = names ? lithops__program_output((char *const *)(uintptr_t)words, environ, &bounds,
                                             names, MOST_NAMES - 1, &len, err)
                   : lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    if (rc == 0 && lithops__oci_note_lines(seen, names) != 0)
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

lithops_value *lithops__oci_pythons(const lithops_value *seen, const char *path)
{
    lithops_value *pythons = lithops_value_map();
    bool good = pythons != NULL;
    for (int minor = FIRST_MINOR; good && minor < LAST_MINOR; minor++) {
        for (const char *at = path; good && *at; at += strcspn(at, ":"), at += *at == ':') {
            static const char bin[] = "/bin";
            char program[MOST_NAME + 16], prefix[MOST_NAME], version[16];
            int len = (int)strcspn(at, ":"), end = len - (int)(sizeof bin - 1);
            if (*at != '/' || end < 1 || strncmp(at + end, bin, sizeof bin - 1) != 0)
                continue;
            snprintf(prefix, sizeof prefix, "%.*s", end - 1, at + 1);
            snprintf(program, sizeof program, "%.*s/python3.%d", len - 1, at + 1, minor);
            if (!lithops_value_get_bool(lithops_value_get(seen, program)))
                continue;
            snprintf(version, sizeof version, "3.%d", minor);
            good = set(pythons, version, modules_of(seen, prefix, minor)) == 0;
            break;
        }
    }
    if (good)
        return pythons;
    lithops_value_free(pythons);
    return NULL;
}
