/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest: what a job on this machine carries of include_modules.
 *
 * A list with a map per included file, folder or library: {"name", "path", "load"}. Names and paths
 * are bytes, since they need not be UTF-8, and keep their NUL, so that they can be borrowed as C
 * strings; `load` is true for shared libraries. What the program links is not in it: worker
 * processes are the same program. Most jobs include nothing and have no manifest at all. */
#include "base/error.h"
#include "function/image.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static bool is_included(const struct lithops__image_item *item)
{
    return item->role == LITHOPS__IMAGE_MODULE || item->role == LITHOPS__IMAGE_FILE ||
           item->role == LITHOPS__IMAGE_FOLDER;
}

int lithops__image_plan(const lithops_function *function, const char *const *include,
                        const char *const *exclude, lithops_value **ret_manifest,
                        lithops_error *err)
{
    struct lithops__image *image;
    if (!(include && *include) && !(exclude && *exclude)) {
        *ret_manifest = NULL;
        return 0;
    }
    int code = lithops__image_collect(function, include, exclude, false, &image, err);
    if (code != 0)
        return code;
    lithops_value *manifest = lithops_value_list();
    for (size_t i = 0; code == 0 && i < image->count; i++) {
        const struct lithops__image_item *item = &image->items[i];
        if (!is_included(item))
            continue;
        lithops_value *entry = lithops_pack(
            "{s:y,s:y,s:b}", "name", item->name, strlen(item->name) + 1, "path", item->path,
            strlen(item->path) + 1, "load", (int)(item->role == LITHOPS__IMAGE_MODULE));
        if (lithops_value_append(manifest, entry) != 0)
            code = lithops__fail(err, LITHOPS_ENOMEM, "no memory for the function image");
    }
    lithops__image_free(image);
    if (code == 0 && lithops_value_size(manifest) > 0) {
        *ret_manifest = manifest;
        return 0;
    }
    lithops_value_free(manifest);
    if (code == 0)
        *ret_manifest = NULL;
    return code;
}

/* The C string at `key`; NULL if there is none. */
static const char *text_at(const lithops_value *entry, const char *key)
{
    lithops_bytes bytes = lithops_value_get_bytes(lithops_value_get(entry, key));
    const char *text = bytes.ptr;
    return bytes.len > 0 && text[bytes.len - 1] == '\0' ? text : NULL;
}

int lithops__image_attach(const lithops_value *manifest, lithops_error *err)
{
    for (size_t i = 0; i < lithops_value_size(manifest); i++) {
        const lithops_value *entry = lithops_value_at(manifest, i);
        const char *path = text_at(entry, "path");
        if (!path || !lithops_value_get_bool(lithops_value_get(entry, "load")))
            continue;
        /* cppcheck-suppress leakReturnValNotUsed ; it stays loaded */
        if (!dlopen(path, RTLD_NOW | RTLD_GLOBAL)) {
            const char *reason = dlerror();
            return lithops__fail(err, LITHOPS_ENOTFOUND, "cannot load included module '%s': %s",
                                 text_at(entry, "name"), reason ? reason : "no reason given");
        }
    }
    return 0;
}

const char *lithops__image_file(const lithops_value *manifest, const char *name)
{
    for (size_t i = 0; name && i < lithops_value_size(manifest); i++) {
        const lithops_value *entry = lithops_value_at(manifest, i);
        const char *entry_name = text_at(entry, "name");
        if (entry_name && strcmp(entry_name, name) == 0)
            return text_at(entry, "path");
    }
    return NULL;
}

int lithops__image_add_manifest(struct lithops__image *image, const lithops_value *manifest,
                                lithops_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < lithops_value_size(manifest); i++) {
        const lithops_value *entry = lithops_value_at(manifest, i);
        const char *path = text_at(entry, "path"), *name = text_at(entry, "name");
        if (path && name)
            rc = lithops__image_add_path(image, path, name, err);
    }
    return rc;
}

lithops_value *lithops__image_move_manifest(const lithops_value *manifest, const char *folder)
{
    lithops_value *moved = lithops_value_list();
    for (size_t i = 0; moved && i < lithops_value_size(manifest); i++) {
        const lithops_value *entry = lithops_value_at(manifest, i);
        const char *name = text_at(entry, "name");
        char path[PATH_MAX];
        if (!name)
            continue;
        int len = snprintf(path, sizeof path, "%s/%s", folder, name);
        lithops_value *copy =
            len < (int)sizeof path
                ? lithops_pack("{s:y,s:y,s:b}", "name", name, strlen(name) + 1, "path", path,
                               strlen(path) + 1, "load",
                               (int)lithops_value_get_bool(lithops_value_get(entry, "load")))
                : NULL;
        if (lithops_value_append(moved, copy) != 0) {
            lithops_value_free(moved);
            return NULL;
        }
    }
    return moved;
}
