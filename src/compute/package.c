/* SPDX-License-Identifier: Apache-2.0 */
/* A zip archive of our own: small files that are given, and those of the engine as hosts get them
 * (engine.c). They are stored as they are: they come out of the archive at each cold start. */
#include "compute/package.h"

#include "base/crc.h"
#include "base/error.h"
#include "compute/bootstrap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512, VERSION = 20, UNIX = 3 << 8, DATE = 0x5821 /* 1 January 2024 */ };

struct zip {
    struct lithops__buffer *out, directory;
    size_t begin; /* of the archive in `out` */
    unsigned count;
};

static void put(struct lithops__buffer *out, uint32_t number, size_t bytes)
{
    unsigned char little[4] = {(unsigned char)number, (unsigned char)(number >> 8),
                               (unsigned char)(number >> 16), (unsigned char)(number >> 24)};
    lithops__buffer_append(out, little, bytes);
}

/* What a file's header and its entry in the directory have in common. */
static void put_common(struct lithops__buffer *out, uint32_t crc, uint32_t size, const char *name)
{
    put(out, VERSION, 2); /* that is needed */
    put(out, 0, 2);       /* flags */
    put(out, 0, 2);       /* stored */
    put(out, 0, 2);       /* time */
    put(out, DATE, 2);
    put(out, crc, 4);
    put(out, size, 4);
    put(out, size, 4);
    put(out, (uint32_t)strlen(name), 2);
    put(out, 0, 2); /* no more fields */
}

static void add(struct zip *zip, const char *name, const void *data, size_t len)
{
    uint32_t crc = (uint32_t)lithops__crc_add(LITHOPS__CRC32, 0, data, len);
    uint32_t offset = (uint32_t)(zip->out->len - zip->begin);
    put(zip->out, 0x04034b50, 4);
    put_common(zip->out, crc, (uint32_t)len, name);
    lithops__buffer_append_string(zip->out, name);
    lithops__buffer_append(zip->out, data, len);
    put(&zip->directory, 0x02014b50, 4);
    put(&zip->directory, UNIX | VERSION, 2);
    put_common(&zip->directory, crc, (uint32_t)len, name);
    put(&zip->directory, 0, 2); /* no comment */
    put(&zip->directory, 0, 2); /* disk */
    put(&zip->directory, 0, 2);
    put(&zip->directory, 0100755u << 16, 4); /* a file that runs */
    put(&zip->directory, offset, 4);
    lithops__buffer_append_string(&zip->directory, name);
    zip->count++;
}

static void end(struct zip *zip)
{
    uint32_t offset = (uint32_t)(zip->out->len - zip->begin);
    lithops__buffer_append(zip->out, zip->directory.data, zip->directory.len);
    put(zip->out, 0x06054b50, 4);
    put(zip->out, 0, 4); /* disks */
    put(zip->out, zip->count, 2);
    put(zip->out, zip->count, 2);
    put(zip->out, (uint32_t)zip->directory.len, 4);
    put(zip->out, offset, 4);
    put(zip->out, 0, 2); /* no comment */
    zip->out->failed |= zip->directory.failed;
    lithops__buffer_deinit(&zip->directory);
}

static int read_at(const struct lithops__engine_archive *archive, uint64_t offset, void *buf,
                   size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(archive->fd, (char *)buf + done, len - done, (off_t)(offset + done));
        if (n == 0 || (n < 0 && errno != EINTR))
            return n == 0 ? EIO : errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* The files of a tar archive of our own. */
static int add_engine(struct zip *zip, const struct lithops__engine_archive *archive)
{
    char header[BLOCK + 1] = "";
    uint64_t at = 0;
    while (at + BLOCK <= archive->size) {
        int failed = read_at(archive, at, header, BLOCK);
        if (failed || !header[0])
            return failed;
        size_t len = strtoul(header + 124, NULL, 8);
        void *data = malloc(len + 1);
        failed = data ? read_at(archive, at + BLOCK, data, len) : ENOMEM;
        if (!failed)
            add(zip, header, data, len);
        free(data);
        if (failed)
            return failed;
        at += BLOCK + (len + BLOCK - 1) / BLOCK * BLOCK;
    }
    return 0;
}

int lithops__package(const struct lithops__package_file *files, struct lithops__buffer *out,
                     lithops_error *err)
{
    struct zip zip = {.out = out, .directory = LITHOPS__BUFFER_INIT, .begin = out->len};
    struct lithops__engine_archive archive;
    const struct lithops__engine *engine = lithops__engine(err);
    int rc = engine ? lithops__engine_archive(engine, &archive, err) : err->code;
    if (rc != 0)
        return rc;
    for (; files->name; files++)
        add(&zip, files->name, files->text, strlen(files->text));
    int failed = add_engine(&zip, &archive);
    close(archive.fd);
    end(&zip);
    if (!failed && out->failed)
        failed = ENOMEM;
    return failed ? lithops__fail_errno(err, failed, "cannot pack the engine") : 0;
}

int lithops__package_write(const char *path, const struct lithops__buffer *zip, lithops_error *err)
{
    int rc = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    for (size_t done = 0; rc == 0 && done < zip->len;) {
        ssize_t n = fd < 0 ? -1 : write(fd, zip->data + done, zip->len - done);
        if (n < 0 && errno != EINTR)
            rc = lithops__fail_errno(err, errno, "'%s' cannot be written", path);
        done += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0 && close(fd) != 0 && rc == 0)
        rc = lithops__fail_errno(err, errno, "'%s' cannot be written", path);
    return rc;
}
