/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting the function image.
 *
 * It starts with the program or the function's library and follows DT_NEEDED; each name is resolved
 * as the dynamic linker would (or did, when this process started). System libraries are not
 * followed further, since they depend only on each other.
 *
 * Names are unique in an image, since its files end up in one folder of the worker. An included
 * library replaces a linked one of the same name; that is how to send a system library, or another
 * build of a library. */
#include "function/image.h"

#include "base/error.h"
#include "base/near.h"
#include "function/function.h"
#include "function/library.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Kept until the process ends. */
static char *program_of_another;
static lithops_value *file_of_another;

/* The device is not part of it: its number may be another one when the machine has restarted, and
 * jobs go on. */
static lithops_value *identify(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return NULL;
    return lithops_pack("{s:I,s:I,s:I,s:I}", "inode", (int64_t)st.st_ino, "size",
                        (int64_t)st.st_size, "seconds", (int64_t)st.st_mtim.tv_sec, "nanoseconds",
                        (int64_t)st.st_mtim.tv_nsec);
}

lithops_value *lithops__image_program_file(void)
{
    return identify("/proc/self/exe");
}

int lithops__image_set_program(const char *path, const lithops_value *file, lithops_error *err)
{
    char *copy = strdup(path);
    lithops_value *file_copy = lithops_value_copy(file);
    if (!copy || (file && !file_copy)) {
        free(copy);
        lithops_value_free(file_copy);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    free(program_of_another);
    lithops_value_free(file_of_another);
    program_of_another = copy;
    file_of_another = file_copy;
    return 0;
}

/* Whether the file is the one that the other process was started from. */
static bool is_that_of_another(void)
{
    lithops_value *found = identify(program_of_another);
    bool is_same = found && (!file_of_another || lithops_value_equal(found, file_of_another));
    lithops_value_free(found);
    return is_same;
}

/* ---- what the program or library links ------------------------------------------------------- */

static bool holds_library(const struct lithops__image *image, const char *name)
{
    for (size_t i = 0; i < image->count; i++)
        if (strcmp(image->items[i].name, name) == 0 ||
            (image->items[i].soname && strcmp(image->items[i].soname, name) == 0))
            return true;
    return false;
}

static int add_needed(struct lithops__image *image, const struct lithops__library *library,
                      const char *needed_name, lithops_error *err)
{
    const char *name = lithops__base_name(needed_name);
    struct lithops__library needed;
    if (holds_library(image, name))
        return 0;
    int code = lithops__library_search(needed_name, library, &needed, err);
    if (code != 0) {
        lithops__error_prefix(err, "'%s' needs '%s'", library->path, needed_name);
        return code;
    }
    if (!lithops__path_is_system(needed.path))
        code = lithops__image_add(image, LITHOPS__IMAGE_LINKED, needed.path, name,
                                  needed.elf->soname, err);
    lithops__library_deinit(&needed);
    return code;
}

/* Dependencies are appended to the list and visited in turn, until the list ends. */
static int add_linked(struct lithops__image *image, lithops_error *err)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < image->count; i++) {
        struct lithops__library library;
        if (image->items[i].role == LITHOPS__IMAGE_FILE ||
            image->items[i].role == LITHOPS__IMAGE_FOLDER)
            continue;
        if ((code = lithops__library_open(image->items[i].path, &library, err)) != 0)
            break;
        for (size_t k = 0; code == 0 && k < library.elf->needed_count; k++)
            code = add_needed(image, &library, library.elf->needed[k], err);
        lithops__library_deinit(&library);
    }
    return code;
}

/* The file that holds the function: the first item, and the parent of included libraries. */
static int add_root(struct lithops__image *image, const lithops_function *function,
                    struct lithops__library *ret_root, lithops_error *err)
{
    enum lithops__image_role role =
        function->library ? LITHOPS__IMAGE_FUNCTION : LITHOPS__IMAGE_PROGRAM;
    const char *path = function->library    ? function->library
                       : program_of_another ? program_of_another
                                            : "/proc/self/exe";
    bool is_replaced = path == program_of_another && !is_that_of_another();
    int code = is_replaced ? LITHOPS_ENOTFOUND : lithops__library_open(path, ret_root, err);
    if (code == LITHOPS_ENOTFOUND && !function->library)
        return lithops__fail(
            err, code, "the file of this program was replaced or deleted; restart the program");
    if (code != 0)
        return code;
    return lithops__image_add(image, role, ret_root->path, lithops__base_name(ret_root->path),
                              ret_root->elf->soname, err);
}

/* ---- exclude --------------------------------------------------------------------------------- */

static bool matches(const struct lithops__image_item *item, const char *word, const char *absolute)
{
    return strcmp(item->name, word) == 0 || strcmp(item->path, word) == 0 ||
           (absolute && strcmp(item->path, absolute) == 0) ||
           (item->soname && strcmp(item->soname, word) == 0) ||
           strcmp(lithops__base_name(item->path), word) == 0;
}

static int exclude_one(struct lithops__image *image, const char *word, lithops_error *err)
{
    char buf[PATH_MAX], text[512];
    const char *absolute = strchr(word, '/') ? realpath(word, buf) : NULL;
    struct lithops__near near;
    lithops__near_init(&near, lithops__base_name(word), LITHOPS__NEAR_MAX);
    for (size_t i = 0; i < image->count; i++) {
        const struct lithops__image_item *item = &image->items[i];
        lithops__near_offer(&near, item->name);
        if (!matches(item, word, absolute))
            continue;
        if (i == 0)
            return lithops__fail(err, LITHOPS_EUSAGE,
                                 "exclude_modules names '%s', which holds the function", word);
        lithops__image_remove(image, i);
        return 0;
    }
    return lithops__fail(err, LITHOPS_ENOTFOUND,
                         "excluded module '%s' is not part of the function image%s (libraries of "
                         "the system never are, unless included)",
                         word, lithops__near_text(&near, text, sizeof text));
}

/* ---- collect and open ------------------------------------------------------------------------ */

int lithops__image_collect(const lithops_function *function, const char *const *include,
                           const char *const *exclude, bool linked,
                           struct lithops__image **ret_image, lithops_error *err)
{
    struct lithops__image *image = calloc(1, sizeof *image);
    struct lithops__library root = {0};
    if (!image) {
        lithops__fail(err, LITHOPS_ENOMEM, "no memory for the function image");
        return LITHOPS_ENOMEM;
    }
    int code = lithops__function_check(function, err);
    if (exclude && *exclude)
        linked = true;
    if (code == 0 && (linked || function->library))
        code = add_root(image, function, &root, err);
    for (; code == 0 && include && *include; include++)
        code = lithops__image_include(image, *include, root.elf ? &root : NULL, err);
    if (code == 0 && linked)
        code = add_linked(image, err);
    for (; code == 0 && exclude && *exclude; exclude++)
        code = exclude_one(image, *exclude, err);
    lithops__library_deinit(&root);
    if (code == 0)
        *ret_image = image;
    else
        lithops__image_free(image);
    return code;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* The files of a folder, links followed, in order of names. */
static int add_folder(struct lithops__image *image, size_t index, lithops_error *err)
{
    char *roots[] = {image->items[index].path, NULL};
    size_t root_len = strlen(roots[0]);
    FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    if (!tree)
        return lithops__fail_errno(err, errno, "cannot read folder '%s'", roots[0]);
    FTSENT *entry;
    int code = 0;
    while (code == 0 && (errno = 0, entry = fts_read(tree)) != NULL) {
        char name[PATH_MAX];
        int len;
        switch (entry->fts_info) {
        case FTS_D:
            if (strcmp(entry->fts_name, "__pycache__") == 0) /* is made where it is needed */
                fts_set(tree, entry, FTS_SKIP);
            break;
        case FTS_DP:
            break;
        case FTS_F:
            len = snprintf(name, sizeof name, "%s%s", image->items[index].name,
                           entry->fts_path + root_len);
            code = len < (int)sizeof name
                       ? lithops__image_append(image, LITHOPS__IMAGE_FILE, entry->fts_path, name,
                                               NULL, err)
                       : lithops__fail(err, LITHOPS_EUSAGE, "the path '%s' is too long", name);
            break;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            code = lithops__fail_errno(err, entry->fts_errno, "cannot read '%s'", entry->fts_path);
            break;
        default: /* a device, a socket, a link to nowhere or in a circle */
            code = lithops__fail(err, LITHOPS_EUSAGE,
                                 "'%s' in an included folder is neither a file nor a folder",
                                 entry->fts_path);
            break;
        }
    }
    if (code == 0 && errno != 0)
        code = lithops__fail_errno(err, errno, "cannot read folder '%s'", roots[0]);
    fts_close(tree);
    return code;
}

int lithops__image_open(const lithops_function *function, const char *const *include,
                        const char *const *exclude, struct lithops__image **ret_image,
                        lithops_error *err)
{
    struct lithops__image *image;
    int code = lithops__image_collect(function, include, exclude, true, &image, err);
    if (code != 0)
        return code;
    for (size_t i = 0, count = image->count; code == 0 && i < count; i++)
        if (image->items[i].role == LITHOPS__IMAGE_FOLDER)
            code = add_folder(image, i, err);
    if (code == 0)
        *ret_image = image;
    else
        lithops__image_free(image);
    return code;
}

int lithops__image_add_path(struct lithops__image *image, const char *path, const char *name,
                            lithops_error *err)
{
    struct stat st;
    size_t at = image->count;
    if (stat(path, &st) != 0)
        return lithops__fail_errno(err, errno, "cannot read '%s'", path);
    bool is_folder = S_ISDIR(st.st_mode);
    int rc = lithops__image_append(image, is_folder ? LITHOPS__IMAGE_FOLDER : LITHOPS__IMAGE_FILE,
                                   path, name, NULL, err);
    return rc == 0 && is_folder ? add_folder(image, at, err) : rc;
}
