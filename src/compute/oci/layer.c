/* SPDX-License-Identifier: Apache-2.0 */
/* The layer of the engine: the files that hosts get (engine.c), below /usr/local. Over nothing it
 * has what they need of a system, too, at the places where this machine has it, as its dynamic
 * linker looks there. The same engine makes the same bytes: nothing is of now. */
#include "base/error.h"
#include "compute/bootstrap.h"
#include "compute/linked.h"
#include "compute/oci/oci.h"
#include "function/library.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 512, MOST_BYTES = 1 << 30 };

#define PREFIX "usr/local/"

/* ---- archives -------------------------------------------------------------------------------- */

/* Of POSIX's ustar. Names of more than 100 bytes are split at a '/'. */
void lithops__tar_header(struct lithops__buffer *out, const char *name, unsigned mode,
                         uint64_t size)
{
    char header[BLOCK] = {0};
    unsigned sum = 0;
    size_t len = strlen(name);
    const char *rest = name;
    while (strlen(rest) > 100 && strchr(rest, '/'))
        rest = strchr(rest, '/') + 1;
    if (strlen(rest) > 100 || rest - name > 156) {
        out->failed = true;
        return;
    }
    snprintf(header, 101, "%s", rest);
    if (rest > name)
        snprintf(header + 345, 156, "%.*s", (int)(rest - name) - 1, name);
    snprintf(header + 100, 8, "%07o", mode & 07777);
    snprintf(header + 108, 8, "%07o", 0u);
    snprintf(header + 116, 8, "%07o", 0u);
    /* Of 8 GiB and more in binary, as GNU tar has it. */
    if (size >> 33) {
        header[124] = (char)0x80;
        for (unsigned i = 0; i < sizeof size; i++)
            header[135 - i] = (char)(unsigned char)(size >> (8 * i));
    } else {
        snprintf(header + 124, 12, "%011llo", (unsigned long long)size);
    }
    snprintf(header + 136, 12, "%011o", 0u);
    memset(header + 148, ' ', 8);
    header[156] = name[len - 1] == '/' ? '5' : '0';
    snprintf(header + 257, 6, "ustar");
    header[263] = header[264] = '0';
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    lithops__buffer_append(out, header, BLOCK);
}

void lithops__tar_pad(struct lithops__buffer *out, uint64_t size)
{
    static const char zeros[BLOCK];
    lithops__buffer_append(out, zeros, (BLOCK - size % BLOCK) % BLOCK);
}

void lithops__tar_add(struct lithops__buffer *out, const char *name, unsigned mode,
                      lithops_bytes bytes)
{
    lithops__tar_header(out, name, mode, bytes.len);
    lithops__buffer_append(out, bytes.ptr, bytes.len);
    lithops__tar_pad(out, bytes.len);
}

void lithops__tar_end(struct lithops__buffer *out)
{
    static const char zeros[2 * BLOCK];
    lithops__buffer_append(out, zeros, sizeof zeros);
}

/* ---- what is in the layer -------------------------------------------------------------------- */

static int read_whole(int fd, uint64_t offset, void *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));
        if (n == 0 || (n < 0 && errno != EINTR))
            return n == 0 ? EIO : errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int append_file(struct lithops__buffer *out, int fd, uint64_t offset, uint64_t size)
{
    void *room = size <= MOST_BYTES ? lithops__buffer_reserve(out, (size_t)size) : NULL;
    int failed = room ? read_whole(fd, offset, room, (size_t)size) : ENOMEM;
    if (!failed) {
        out->len += (size_t)size;
        lithops__tar_pad(out, size);
    }
    return failed;
}

/* The files of the engine's own archive. */
static int add_engine(struct lithops__buffer *out, const struct lithops__engine_archive *archive)
{
    char header[BLOCK + 1] = "", name[sizeof PREFIX + BLOCK];
    uint64_t at = 0;
    while (at + BLOCK <= archive->size) {
        int failed = read_whole(archive->fd, at, header, BLOCK);
        if (failed || !header[0])
            return failed;
        uint64_t size = strtoull(header + 124, NULL, 8);
        if (strcmp(header, "SUMS") != 0) {
            snprintf(name, sizeof name, PREFIX "%s", header);
            lithops__tar_header(out, name, 0755, size);
            failed = append_file(out, archive->fd, at + BLOCK, size);
        }
        if (failed)
            return failed;
        at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
    }
    return 0;
}

/* A file of this machine, at the same place or another. One that is not there is left out. */
static void add_file(struct lithops__buffer *out, const char *path, const char *name, unsigned mode)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        lithops__tar_header(out, name, mode, (uint64_t)status.st_size);
        if (append_file(out, fd, 0, (uint64_t)status.st_size) != 0)
            out->failed = true;
    }
    close(fd);
}

/* The dynamic linker that a program names; "": none, as it is static. */
static void find_interpreter(const char *program, char *ret_path, size_t size)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) part;
    ret_path[0] = '\0';
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read_whole(fd, 0, &head, sizeof head) == 0)
        for (unsigned i = 0; i < head.e_phnum; i++)
            if (read_whole(fd, head.e_phoff + i * (uint64_t)head.e_phentsize, &part, sizeof part) ==
                    0 &&
                part.p_type == PT_INTERP && part.p_filesz < size &&
                read_whole(fd, part.p_offset, ret_path, part.p_filesz) == 0)
                ret_path[part.p_filesz] = '\0';
    close(fd);
}

/* The C library. It loads parts of itself by name, and libgcc when a thread is cancelled. */
static int add_system(struct lithops__buffer *out, lithops_error *err)
{
    static const char *const libraries[] = {"libc.so.6",    "libm.so.6",       "libdl.so.2",
                                            "librt.so.1",   "libpthread.so.0", "libresolv.so.2",
                                            "libutil.so.1", "libanl.so.1",     "libgcc_s.so.1"};
    static const char *const authorities[] = {"/etc/ssl/certs/ca-certificates.crt",
                                              "/etc/pki/tls/certs/ca-bundle.crt"};
    char command[PATH_MAX + 64], interpreter[PATH_MAX];
    lithops__own_command(command, sizeof command);
    find_interpreter(command, interpreter, sizeof interpreter);
    lithops__tar_header(out, "tmp/", 01777, 0);
    lithops__tar_header(out, "root/", 0700, 0);
    lithops__tar_header(out, "run/", 0755, 0);
    static const char users[] = "root:x:0:0::/root:/bin/sh\n";
    lithops__tar_add(out, "etc/passwd", 0644, (lithops_bytes){users, sizeof users - 1});
    for (size_t i = 0; i < sizeof authorities / sizeof *authorities; i++)
        if (access(authorities[i], R_OK) == 0) {
            add_file(out, authorities[i], authorities[0] + 1, 0644);
            break;
        }
    if (!interpreter[0])
        return 0;
    add_file(out, interpreter, interpreter + 1, 0755);
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        struct lithops__library library;
        if (lithops__library_search(libraries[i], NULL, &library, NULL) != 0) {
            if (i == 0)
                return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                                     "this machine's C library is not glibc: give a base image "
                                     "with --base");
            continue;
        }
        add_file(out, library.path, library.path + 1, 0755);
        lithops__library_deinit(&library);
    }
    return 0;
}

int lithops__oci_layer(bool whole, struct lithops__buffer *out, lithops_error *err)
{
    struct lithops__engine_archive archive = {.fd = -1};
    const struct lithops__engine *engine = lithops__engine(err);
    int rc = engine ? lithops__engine_archive(engine, &archive, err) : err->code;
    if (rc != 0)
        return rc;
    if (whole)
        rc = add_system(out, err);
    int failed = rc == 0 ? add_engine(out, &archive) : 0;
    close(archive.fd);
    lithops__tar_end(out);
    if (rc != 0)
        return rc;
    if (!failed && out->failed)
        failed = ENOMEM;
    return failed ? lithops__fail_errno(err, failed, "cannot pack the engine for an image") : 0;
}
