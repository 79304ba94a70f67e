/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as sent to hosts: a tar archive of
 *
 *     bin/lithops                   the command, which holds the engine
 *     lib/liblithops.so.0           for programs and libraries that link it
 *     lib/lithops/<module>.so       its modules, except those that only a client needs
 *     lib/lithops/needed/<library>  what these link, other than libc's own; used where a host has
 *                                   none or an older one (base/module.c)
 *     lib/lithops/needed/<module>   the names of these, in the order in which they are loaded
 *     SUMS                          SHA-256 of all, as sha256sum -c takes it
 *
 * The SHA-256 of SUMS is the archive's name, which is remembered between processes
 * (engine_known.h): the archive is made only for a host that has none of this name. */
#include "base/buffer.h"
#include "base/crypto_module.h"
#include "base/error.h"
#include "base/module.h"
#include "compute/bootstrap.h"
#include "compute/engine_known.h"
#include "compute/linked.h"
#include "function/library.h"
#include "ipc/area.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { BLOCK = 512, MOST_NEEDED = 64 };

struct making {
    const struct lithops__crypto_api *crypto;
    struct lithops__engine *engine;
    struct lithops__engine_archive archive;
    struct lithops__engine_stamps stamps;
    struct lithops__buffer sums;
    char *packed[256]; /* names of what is in it */
    size_t packed_count;
};

/* ---- the archive ----------------------------------------------------------------------------- */

static int put(struct making *making, const void *ptr, size_t len)
{
    const char *at = ptr;
    while (len > 0) {
        ssize_t n = pwrite(making->archive.fd, at, len, (off_t)making->archive.size);
        if (n < 0 && errno != EINTR)
            return errno;
        at += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        making->archive.size += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

/* A header of POSIX's ustar. */
static int put_header(struct making *making, const char *name, size_t size)
{
    char header[BLOCK] = {0};
    unsigned sum = 0;
    snprintf(header, 100, "%s", name);
    memcpy(header + 100, "0000700", 8);
    memcpy(header + 108, "0000000", 8);
    memcpy(header + 116, "0000000", 8);
    snprintf(header + 124, 12, "%011zo", size);
    memcpy(header + 136, "00000000000", 12);
    memset(header + 148, ' ', 8);
    header[156] = '0';
    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    return put(making, header, BLOCK);
}

static int put_file(struct making *making, const char *name, const void *ptr, size_t len)
{
    static const char zeros[BLOCK];
    int failed = put_header(making, name, len);
    if (!failed)
        failed = put(making, ptr, len);
    return failed ? failed : put(making, zeros, (BLOCK - len % BLOCK) % BLOCK);
}

static int note_sum(struct making *making, const char *name, const void *ptr, size_t len)
{
    char hash[LITHOPS__HEX_HASH];
    int failed = lithops__hex_sha256(making->crypto, (lithops_bytes){ptr, len}, hash);
    if (!failed)
        lithops__buffer_printf(&making->sums, "%s  %s\n", hash, name);
    return failed;
}

/* Which version of glibc it needs: names of versions are among its strings. */
static void note_glibc(struct making *making, const char *ptr, size_t len)
{
    static const char prefix[] = "GLIBC_2.";
    const char *end = ptr + len, *at = ptr;
    while ((at = memmem(at, (size_t)(end - at), prefix, sizeof prefix - 1)) != NULL) {
        int minor = 0;
        for (at += sizeof prefix - 1; at < end && *at >= '0' && *at <= '9' && minor < 1000; at++)
            minor = 10 * minor + (*at - '0');
        if (at < end && (*at == '\0' || *at == '.') && minor > making->engine->glibc_minor &&
            minor < 1000)
            making->engine->glibc_minor = minor;
    }
}

static bool is_packed(const struct making *making, const char *name)
{
    for (size_t i = 0; i < making->packed_count; i++)
        if (strcmp(making->packed[i], name) == 0)
            return true;
    return false;
}

static int pack_bytes(struct making *making, const char *name, const void *ptr, size_t len)
{
    int failed = put_file(making, name, ptr, len);
    if (!failed && making->packed_count < sizeof making->packed / sizeof *making->packed)
        making->packed[making->packed_count++] = strdup(name);
    return failed ? failed : note_sum(making, name, ptr, len);
}

static int pack(struct making *making, const char *path, const char *name, lithops_error *err)
{
    struct stat status = {0};
    lithops__engine_stamp(&making->stamps, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 || fstat(fd, &status) != 0 ? errno : 0;
    size_t len = (size_t)status.st_size;
    void *ptr = failed ? MAP_FAILED : mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (!failed && ptr == MAP_FAILED)
        failed = errno;
    if (!failed) {
        note_glibc(making, ptr, len);
        failed = pack_bytes(making, name, ptr, len);
        munmap(ptr, len);
    }
    if (fd >= 0)
        close(fd);
    return failed ? lithops__fail_errno(err, failed, "cannot pack '%s' for hosts", path) : 0;
}

/* ---- what is in it --------------------------------------------------------------------------- */

struct needed {
    char *names[MOST_NEEDED];
    size_t count;
};

/* Whether it is part of the C library, which must be the host's own. */
static bool is_of_libc(const char *name)
{
    static const char *const names[] = {"libc.so.",    "libm.so.",       "libdl.so.",
                                        "librt.so.",   "libpthread.so.", "libresolv.so.",
                                        "libutil.so.", "libanl.so.",     "ld-linux"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* The libraries that a library links, each after its own dependencies. One that is not found here
 * is left to the host. */
static int pack_needed(struct making *making, const struct lithops__library *library,
                       struct needed *needed, lithops_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < library->elf->needed_count; i++) {
        const char *name = library->elf->needed[i];
        struct lithops__library found;
        char inside[256];
        size_t n = 0;
        while (n < needed->count && strcmp(needed->names[n], name) != 0)
            n++;
        if (n < needed->count || needed->count == MOST_NEEDED || is_of_libc(name) ||
            strncmp(name, "liblithops.so", 13) == 0 ||
            lithops__library_search(name, library, &found, NULL) != 0)
            continue;
        rc = pack_needed(making, &found, needed, err);
        snprintf(inside, sizeof inside, "lib/lithops/needed/%.200s", name);
        if (rc == 0 && !is_packed(making, inside))
            rc = pack(making, found.path, inside, err);
        if (rc == 0 && needed->count < MOST_NEEDED)
            needed->names[needed->count++] = strdup(name);
        lithops__library_deinit(&found);
    }
    return rc;
}

static int pack_module(struct making *making, const char *module, lithops_error *err)
{
    char folder[PATH_MAX], path[PATH_MAX + 64], name[64];
    struct lithops__library library;
    struct needed needed = {.count = 0};
    struct lithops__buffer list = LITHOPS__BUFFER_INIT;
    lithops__module_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/%s.so", folder, module);
    if (lithops__library_open(path, &library, NULL) != 0)
        return 0; /* this engine has none */
    snprintf(name, sizeof name, "lib/lithops/%s.so", module);
    int rc = pack(making, path, name, err);
    if (rc == 0)
        rc = pack_needed(making, &library, &needed, err);
    for (size_t i = 0; i < needed.count; i++) {
        lithops__buffer_printf(&list, "%s\n", needed.names[i]);
        free(needed.names[i]);
    }
    snprintf(name, sizeof name, "lib/lithops/needed/%s", module);
    if (rc == 0 && list.len) {
        int failed = pack_bytes(making, name, list.data, list.len);
        rc = failed ? lithops__fail_errno(err, failed, "cannot pack '%s'", name) : 0;
    }
    lithops__buffer_deinit(&list);
    lithops__library_deinit(&library);
    return rc;
}

static int pack_all(struct making *making, lithops_error *err)
{
    static const char *const modules[] = {"crypto", "yaml",  "ffi",  "http",
                                          "gzip",   "bzip2", "zstd", "rabbitmq"};
    char path[PATH_MAX + 64], folder[PATH_MAX];
    lithops__own_command(path, sizeof path);
    if (path[0] != '/')
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "the lithops command, which hosts need, was not installed with this "
                             "library: install it (Debian: the package lithops)");
    int rc = pack(making, path, "bin/lithops", err);
    lithops__module_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/../" LITHOPS_SONAME, folder);
    if (rc == 0 && access(path, R_OK) == 0)
        rc = pack(making, path, "lib/" LITHOPS_SONAME, err);
    for (size_t i = 0; rc == 0 && i < sizeof modules / sizeof *modules; i++)
        rc = pack_module(making, modules[i], err);
    if (rc != 0)
        return rc;
    static const char end[2 * BLOCK];
    if (making->sums.failed ||
        lithops__hex_sha256(making->crypto, (lithops_bytes){making->sums.data, making->sums.len},
                            making->engine->hash) != 0)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int failed = put_file(making, "SUMS", making->sums.data, making->sums.len);
    if (!failed)
        failed = put(making, end, sizeof end);
    return failed ? lithops__fail_errno(err, failed, "cannot pack the engine for hosts") : 0;
}

/* The engine, and its archive. */
static int make_engine(struct lithops__engine *engine, struct lithops__engine_archive *ret_archive,
                       lithops_error *err)
{
    struct making making = {.engine = engine};
    making.crypto = lithops__module_symbol("crypto", "lithops__crypto", err);
    if (!making.crypto)
        return err->code;
    making.archive.fd = lithops__high_fd(memfd_create("lithops-engine", MFD_CLOEXEC));
    if (making.archive.fd < 0)
        return lithops__fail_errno(err, errno, "cannot pack the engine for hosts");
    int rc = pack_all(&making, err);
    if (rc == 0)
        lithops__engine_remember(engine, &making.stamps);
    lithops__buffer_deinit(&making.sums);
    lithops__buffer_deinit(&making.stamps.text);
    for (size_t i = 0; i < making.packed_count; i++)
        free(making.packed[i]);
    if (rc != 0)
        close(making.archive.fd);
    else
        *ret_archive = making.archive;
    return rc;
}

/* ---- one per process ------------------------------------------------------------------------- */

/* Others may hold what was known before, so it stays as it is. */
struct known {
    struct lithops__engine engine;
    struct known *older;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct known *known; /* the newest */
static struct lithops__engine_archive known_archive = {-1, 0};

static struct known *new_known(void)
{
    struct utsname system;
    struct known *made = calloc(1, sizeof *made);
    if (made && uname(&system) == 0)
        snprintf(made->engine.machine, sizeof made->engine.machine, "%s", system.machine);
    return made;
}

/* Under the lock. */
static void add_known(struct known *made)
{
    if (known && strcmp(known->engine.hash, made->engine.hash) == 0) {
        free(made);
        return;
    }
    made->older = known;
    known = made;
}

/* Read, hash and pack the files; what comes of it is known from now on. Under the lock. */
static int make_known(lithops_error *err)
{
    struct lithops__engine_archive archive;
    struct known *made = new_known();
    if (!made)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    int rc = make_engine(&made->engine, &archive, err);
    if (rc != 0) {
        free(made);
        return rc;
    }
    if (known_archive.fd >= 0)
        close(known_archive.fd);
    known_archive = archive;
    add_known(made);
    return 0;
}

/* Under the lock. */
static void recall_known(void)
{
    struct known *made = new_known();
    if (made && lithops__engine_recall(&made->engine))
        add_known(made);
    else
        free(made);
}

const struct lithops__engine *lithops__engine(lithops_error *err)
{
    lithops_error own = LITHOPS_ERROR_INIT;
    pthread_mutex_lock(&lock);
    if (!known)
        recall_known();
    if (!known)
        (void)make_known(err ? err : &own);
    const struct lithops__engine *engine = known ? &known->engine : NULL;
    pthread_mutex_unlock(&lock);
    return engine;
}

int lithops__engine_archive(const struct lithops__engine *engine,
                            struct lithops__engine_archive *ret_archive, lithops_error *err)
{
    int rc = 0;
    pthread_mutex_lock(&lock);
    if (known_archive.fd < 0)
        rc = make_known(err);
    if (rc == 0 && strcmp(known->engine.hash, engine->hash) != 0) {
        rc = lithops__fail(err, LITHOPS_EBACKEND, "lithops was installed anew while it ran");
        err->retryable = true; /* with the new one */
    }
    if (rc == 0) {
        *ret_archive = known_archive;
        ret_archive->fd = fcntl(known_archive.fd, F_DUPFD_CLOEXEC, 0);
        if (ret_archive->fd < 0)
            rc = lithops__fail_errno(err, errno, "cannot read the packed engine");
    }
    pthread_mutex_unlock(&lock);
    return rc;
}
