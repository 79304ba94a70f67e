/* SPDX-License-Identifier: Apache-2.0 */
/* The content hash of an image's files: the name under which a backend stores them, and the proof
 * in the worker that it runs what was sent. Made only when a backend asks: reading and hashing
 * costs a millisecond per megabyte or two, and localhost needs none of it. */
#include "base/error.h"
#include "base/module.h"
#include "function/crypto_module.h"
#include "function/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int lithops__image_hash(struct lithops__image_item *item, lithops_error *err)
{
    unsigned char hash[32] = {0};
    if (item->sha256[0])
        return 0;
    if (item->role == LITHOPS__IMAGE_FOLDER)
        return lithops__fail(err, LITHOPS_EUSAGE, "'%s' is a folder and has no hash", item->path);
    lithops__crypto_sha256_fn *sha256 =
        (lithops__crypto_sha256_fn *)(uintptr_t)lithops__module_symbol(
            "crypto", "lithops__crypto_sha256", err);
    if (!sha256)
        return LITHOPS_EUNSUPPORTED;
    int fd = open(item->path, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 ? errno : sha256(fd, hash);
    if (fd >= 0)
        close(fd);
    if (failed)
        return lithops__fail_errno(err, failed, "cannot read '%s'", item->path);
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(item->sha256 + 2 * i, 3, "%02x", hash[i]);
    return 0;
}
