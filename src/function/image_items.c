/* SPDX-License-Identifier: Apache-2.0 */
/* The items of a function image. Names are unique in it, since its files end up in one folder of
 * the worker. */
#include "function/image.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void item_deinit(struct lithops__image_item *item)
{
    free(item->path);
    free(item->name);
    free(item->soname);
}

void lithops__image_free(struct lithops__image *image)
{
    if (!image)
        return;
    for (size_t i = 0; i < image->count; i++)
        item_deinit(&image->items[i]);
    free(image->items);
    free(image);
}

static const struct lithops__image_item *find_name(const struct lithops__image *image,
                                                   const char *name)
{
    for (size_t i = 0; i < image->count; i++)
        if (strcmp(image->items[i].name, name) == 0)
            return &image->items[i];
    return NULL;
}

int lithops__image_append(struct lithops__image *image, enum lithops__image_role role,
                          const char *path, const char *name, const char *soname,
                          lithops_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return lithops__fail_errno(err, errno, "cannot find the size of '%s'", path);
    if (image->count == image->capacity) {
        size_t capacity = image->capacity ? 2 * image->capacity : 8;
        void *items = realloc(image->items, capacity * sizeof image->items[0]);
        if (!items)
            return lithops__fail(err, LITHOPS_ENOMEM, "no memory for the function image");
        image->items = items;
        image->capacity = capacity;
    }
    struct lithops__image_item item = {
        .role = role,
        .path = strdup(path),
        .name = strdup(name),
        .soname = soname ? strdup(soname) : NULL,
        .size_bytes = S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_size,
    };
    if (!item.path || !item.name || (soname && !item.soname)) {
        item_deinit(&item);
        return lithops__fail(err, LITHOPS_ENOMEM, "no memory for the function image");
    }
    image->items[image->count++] = item;
    return 0;
}

int lithops__image_add(struct lithops__image *image, enum lithops__image_role role,
                       const char *path, const char *name, const char *soname, lithops_error *err)
{
    const struct lithops__image_item *same = find_name(image, name);
    if (same && strcmp(same->path, path) == 0)
        return 0;
    if (same)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "the function image cannot hold both '%s' and '%s': they have one "
                             "name, rename one of them",
                             same->path, path);
    return lithops__image_append(image, role, path, name, soname, err);
}

void lithops__image_remove(struct lithops__image *image, size_t index)
{
    struct lithops__image_item *item = &image->items[index];
    item_deinit(item);
    image->count--;
    memmove(item, item + 1, (image->count - index) * sizeof *item);
}
