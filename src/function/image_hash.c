/* SPDX-License-Identifier: Apache-2.0 */
/* The content hash of an image's files: the name under which a backend stores them, and the proof
 * in the worker that it runs what was sent. Made only when a backend asks: reading and hashing
 * costs a millisecond per megabyte or two, and where nothing travels none of it is needed. */
#include "base/crypto_module.h"
#include "base/error.h"
#include "base/module.h"
#include "function/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int lithops__image_hash(struct lithops__image_item *item, lithops_error *err)
{
    unsigned char hash[LITHOPS__SHA256_BYTES] = {0};
    if (item->sha256[0])
        return 0;
    if (item->role == LITHOPS__IMAGE_FOLDER)
        return lithops__fail(err, LITHOPS_EUSAGE, "'%s' is a folder and has no hash", item->path);
    const struct lithops__crypto_api *crypto =
        lithops__module_symbol("crypto", "lithops__crypto", err);
    if (!crypto)
        return LITHOPS_EUNSUPPORTED;
    int fd = open(item->path, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 ? errno : crypto->sha256_fd(fd, hash);
    if (fd >= 0)
        close(fd);
    if (failed)
        return lithops__fail_errno(err, failed, "cannot read '%s'", item->path);
    lithops__hash_to_hex(hash, item->sha256);
    return 0;
}
