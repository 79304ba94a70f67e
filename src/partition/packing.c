/* SPDX-License-Identifier: Apache-2.0 */
#include "partition/packing.h"

#include "base/error.h"
#include "partition/source.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAGIC_BYTES = 6 };

/* ---- names and first bytes ------------------------------------------------------------------- */

#define XZ                                                                                         \
    "\xfd"                                                                                         \
    "7zXZ"

static const struct {
    const char *ending, *magic;
    size_t magic_len;
    enum lithops__packing packing;
} formats[] = {
    {".gz", "\x1f\x8b\x08", 3, LITHOPS__PACKING_GZIP},
    {".tgz", "\x1f\x8b\x08", 3, LITHOPS__PACKING_GZIP},
    {".bgz", "\x1f\x8b\x08", 3, LITHOPS__PACKING_GZIP},
    {".zst", "\x28\xb5\x2f\xfd", 4, LITHOPS__PACKING_ZSTD},
    {".tzst", "\x28\xb5\x2f\xfd", 4, LITHOPS__PACKING_ZSTD},
    {".bz2", "BZh", 3, LITHOPS__PACKING_BZIP2},
    {".tbz2", "BZh", 3, LITHOPS__PACKING_BZIP2},
    {".tbz", "BZh", 3, LITHOPS__PACKING_BZIP2},
    {".xz", XZ, 6, LITHOPS__PACKING_OTHER},
    {".txz", XZ, 6, LITHOPS__PACKING_OTHER},
    {".lz4", "\x04\x22\x4d\x18", 4, LITHOPS__PACKING_OTHER},
};
enum { FORMATS = sizeof formats / sizeof *formats };

/* The format that the name's ending stands for, or FORMATS. */
static size_t format_by_name(const lithops_object *object)
{
    const char *name = object->path ? object->path : object->url ? object->url : object->key;
    size_t len = object->url && !object->path ? strcspn(name, "?#") : strlen(name), i = 0;
    for (; i < FORMATS; i++) {
        size_t ending = strlen(formats[i].ending);
        if (len > ending && strncasecmp(name + len - ending, formats[i].ending, ending) == 0)
            break;
    }
    return i;
}

int lithops__packing_of(const lithops_object *object, lithops_storage *storage,
                        enum lithops__packing *ret_packing, lithops_error *err)
{
    struct stat st;
    size_t i = format_by_name(object), got = 0;
    *ret_packing = LITHOPS__PACKING_NONE;
    if (i == FORMATS || object->object_size_bytes == 0 ||
        (object->path && stat(object->path, &st) == 0 && !S_ISREG(st.st_mode)))
        return 0;
    struct lithops__source *source;
    char first[MAGIC_BYTES];
    int rc = lithops__source_open(object, LITHOPS__PACKING_NONE, false, storage, &source, err);
    if (rc)
        return rc;
    rc = lithops__source_read(source, 0, MAGIC_BYTES, first, MAGIC_BYTES, &got, err);
    lithops__source_close(source);
    if (rc == 0 && got >= formats[i].magic_len &&
        memcmp(first, formats[i].magic, formats[i].magic_len) == 0)
        *ret_packing = formats[i].packing;
    return rc;
}
