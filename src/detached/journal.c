/* SPDX-License-Identifier: Apache-2.0 */
#include "detached/journal.h"

#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "LTHJOB\r\n";

_Static_assert(sizeof(struct lithops__journal_header) <= LITHOPS__JOURNAL_HEADER,
               "the header is a page");

/* ---- checksums and clocks -------------------------------------------------------------------- */

static uint32_t crc_tables[8][256];

static void make_crc_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        crc_tables[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            crc_tables[t][i] =
                crc_tables[t - 1][i] >> 8 ^ crc_tables[0][crc_tables[t - 1][i] & 0xff];
}

/* Eight bytes at a time: results may be long. */
uint32_t lithops__crc32(uint32_t crc, const void *data, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const unsigned char *at = data;
    pthread_once(&once, make_crc_tables);
    crc = ~crc;
    for (; len >= 8; at += 8, len -= 8) {
        uint32_t low, high;
        memcpy(&low, at, 4);
        memcpy(&high, at + 4, 4);
        low ^= crc;
        crc = crc_tables[7][low & 0xff] ^ crc_tables[6][low >> 8 & 0xff] ^
              crc_tables[5][low >> 16 & 0xff] ^ crc_tables[4][low >> 24] ^
              crc_tables[3][high & 0xff] ^ crc_tables[2][high >> 8 & 0xff] ^
              crc_tables[1][high >> 16 & 0xff] ^ crc_tables[0][high >> 24];
    }
    for (; len > 0; at++, len--)
        crc = crc >> 8 ^ crc_tables[0][(crc ^ *at) & 0xff];
    return ~crc;
}

uint64_t lithops__boot(void)
{
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    return len > 0 ? (uint64_t)len << 32 | lithops__crc32(0, text, (size_t)len) : 0;
}

uint64_t lithops__boot_ns(void)
{
    return lithops__clock_of(CLOCK_BOOTTIME);
}

uint64_t lithops__age_ns(uint64_t boot, uint64_t then_ns, uint64_t then_wall_ns)
{
    bool is_same = boot && boot == lithops__boot();
    uint64_t now = is_same ? lithops__boot_ns() : lithops__wall_ns();
    uint64_t then = is_same ? then_ns : then_wall_ns;
    return now > then ? now - then : 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static uint32_t header_crc(const struct lithops__journal_header *header)
{
    return lithops__crc32(0, header, offsetof(struct lithops__journal_header, crc));
}

static int map_header(struct lithops__journal *journal, lithops_error *err)
{
    void *header =
        mmap(NULL, LITHOPS__JOURNAL_HEADER, PROT_READ | PROT_WRITE, MAP_SHARED, journal->fd, 0);
    if (header == MAP_FAILED)
        return lithops__fail_errno(err, errno, "cannot map the file of a job");
    journal->header = header;
    journal->at = LITHOPS__JOURNAL_HEADER;
    return 0;
}

/* 0 or an errno. */
static int write_all(int fd, const void *data, size_t len, uint64_t at)
{
    const char *from = data;
    while (len > 0) {
        ssize_t n = pwrite(fd, from, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        from += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int lithops__journal_create(struct lithops__journal *journal, int folder, const char *name,
                            const struct lithops__journal_header *header, lithops_error *err)
{
    union {
        struct lithops__journal_header header;
        char bytes[LITHOPS__JOURNAL_HEADER];
    } page = {.bytes = {0}};
    *journal = (struct lithops__journal)LITHOPS__JOURNAL_INIT;
    memcpy(&page.header, header, sizeof *header);
    memcpy(page.header.magic, magic, sizeof magic);
    page.header.version = LITHOPS__JOURNAL_VERSION;
    page.header.uid = (uint32_t)geteuid();
    page.header.boot = lithops__boot();
    page.header.created_ns = lithops__boot_ns();
    page.header.created_wall_ns = lithops__wall_ns();
    if (getrandom(&page.header.token, sizeof page.header.token, GRND_NONBLOCK) !=
        (ssize_t)sizeof page.header.token)
        page.header.token = lithops__ticks() ^ (uint64_t)getpid() << 40;
    page.header.crc = header_crc(&page.header);
    atomic_store(&page.header.end, LITHOPS__JOURNAL_HEADER);
    journal->fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (journal->fd < 0)
        return lithops__fail_errno(err, errno, "cannot make the file of a detached job");
    /* Written, not only made longer: a full disk says so here and not as a signal later. */
    int os_errno = write_all(journal->fd, page.bytes, sizeof page.bytes, 0);
    int rc = os_errno ? lithops__fail_errno(err, os_errno, "cannot write the file of a job")
                      : map_header(journal, err);
    if (rc != 0) {
        lithops__journal_close(journal);
        unlinkat(folder, name, 0);
    }
    return rc;
}

static int check_file(int fd, const char *name, lithops_error *err)
{
    struct stat status;
    union {
        struct lithops__journal_header header;
        char bytes[LITHOPS__JOURNAL_HEADER];
    } page;
    if (fstat(fd, &status) != 0)
        return lithops__fail_errno(err, errno, "cannot read the file of job %s", name);
    if (status.st_uid != geteuid())
        return lithops__fail(err, LITHOPS_EDENIED, "job %s belongs to another user", name);
    if (!S_ISREG(status.st_mode) ||
        pread(fd, page.bytes, sizeof page.bytes, 0) != (ssize_t)sizeof page.bytes ||
        memcmp(page.header.magic, magic, sizeof magic) != 0)
        return lithops__fail(err, LITHOPS_EPARSE, "the file of job %s is none", name);
    if (page.header.version != LITHOPS__JOURNAL_VERSION)
        return lithops__fail(err, LITHOPS_EPARSE,
                             "job %s was started by another version of lithops, whose files have "
                             "version %u: this one reads %d",
                             name, page.header.version, LITHOPS__JOURNAL_VERSION);
    if (page.header.crc != header_crc(&page.header) || page.header.calls > UINT32_MAX ||
        !memchr(page.header.executor_id, 0, sizeof page.header.executor_id) ||
        !memchr(page.header.function, 0, sizeof page.header.function) || !page.header.kind ||
        !strchr("AMR", page.header.kind))
        return lithops__fail(err, LITHOPS_EPARSE, "the file of job %s is damaged", name);
    return 0;
}

int lithops__journal_open(struct lithops__journal *journal, int folder, const char *name,
                          lithops_error *err)
{
    *journal = (struct lithops__journal)LITHOPS__JOURNAL_INIT;
    journal->fd = openat(folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (journal->fd < 0)
        return lithops__fail_errno(err, errno, "no job %s is kept here", name);
    int rc = check_file(journal->fd, name, err);
    if (rc == 0)
        rc = map_header(journal, err);
    if (rc != 0)
        lithops__journal_close(journal);
    return rc;
}

void lithops__journal_close(struct lithops__journal *journal)
{
    if (journal->header)
        munmap(journal->header, LITHOPS__JOURNAL_HEADER);
    if (journal->fd >= 0)
        close(journal->fd);
    lithops__buffer_deinit(&journal->buffer);
    *journal = (struct lithops__journal)LITHOPS__JOURNAL_INIT;
}

/* ---- records --------------------------------------------------------------------------------- */

struct record {
    uint64_t length;
    uint32_t crc, type;
};
_Static_assert(sizeof(struct record) == LITHOPS__JOURNAL_RECORD, "as journal.h says");

static uint32_t record_crc(const struct record *record, const void *bytes)
{
    uint32_t crc = lithops__crc32(0, &record->length, sizeof record->length);
    crc = lithops__crc32(crc, &record->type, sizeof record->type);
    return lithops__crc32(crc, bytes, (size_t)record->length);
}

static uint64_t padded(uint64_t length)
{
    return (length + 7) & ~7ull;
}

int lithops__journal_append(struct lithops__journal *journal, enum lithops__journal_type type,
                            lithops_bytes bytes, lithops_error *err)
{
    int rc = lithops__journal_write(journal, type, bytes, err);
    if (rc == 0)
        lithops__journal_show(journal);
    return rc;
}

void lithops__journal_show(struct lithops__journal *journal)
{
    atomic_store(&journal->header->end, journal->at);
}

int lithops__journal_write(struct lithops__journal *journal, enum lithops__journal_type type,
                           lithops_bytes bytes, lithops_error *err)
{
    static const char zeros[8];
    struct record record = {.length = bytes.len, .type = type};
    uint64_t at = journal->at + sizeof record;
    record.crc = record_crc(&record, bytes.ptr);
    int os_errno = write_all(journal->fd, &record, sizeof record, journal->at);
    if (os_errno == 0 && bytes.len)
        os_errno = write_all(journal->fd, bytes.ptr, bytes.len, at);
    if (os_errno == 0)
        os_errno =
            write_all(journal->fd, zeros, (size_t)(padded(bytes.len) - bytes.len), at + bytes.len);
    if (os_errno != 0) {
        (void)!ftruncate(journal->fd, (off_t)journal->at);
        return lithops__fail_errno(err, os_errno, "cannot write the file of a job");
    }
    journal->at = at + padded(bytes.len);
    return 0;
}

/* 1; 0: the file ends before. */
static int read_all(int fd, void *data, size_t len, uint64_t at, lithops_error *err)
{
    char *to = data;
    while (len > 0) {
        ssize_t n = pread(fd, to, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lithops__fail_errno(err, errno, "cannot read the file of a job");
        if (n == 0)
            return 0;
        to += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 1;
}

/* How far there may be records; the file's length bounds what a damaged header says. */
static int find_end(const struct lithops__journal *journal, bool all, uint64_t *ret_end,
                    lithops_error *err)
{
    struct stat status;
    if (fstat(journal->fd, &status) != 0)
        return lithops__fail_errno(err, errno, "cannot read the file of a job");
    uint64_t size = (uint64_t)status.st_size, end = atomic_load(&journal->header->end);
    *ret_end = all || size < end ? size : end;
    return 0;
}

int lithops__journal_read(struct lithops__journal *journal, bool all, uint32_t *ret_type,
                          lithops_bytes *ret_bytes, lithops_error *err)
{
    struct record record;
    uint64_t end = atomic_load(&journal->header->end);
    if (!all && journal->at >= end)
        return 0;
    int rc = find_end(journal, all, &end, err);
    if (rc != 0)
        return rc;
    uint64_t begin = journal->at + sizeof record;
    if (begin > end)
        return 0;
    rc = read_all(journal->fd, &record, sizeof record, journal->at, err);
    if (rc != 1)
        return rc;
    if (record.length > end - begin || padded(record.length) > end - begin)
        return 0;
    journal->buffer.len = 0;
    if (!lithops__buffer_reserve(&journal->buffer, (size_t)record.length))
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    rc = read_all(journal->fd, journal->buffer.data, (size_t)record.length, begin, err);
    if (rc != 1 || record.crc != record_crc(&record, journal->buffer.data))
        return rc < 0 ? rc : 0;
    journal->at = begin + padded(record.length);
    *ret_type = record.type;
    *ret_bytes = (lithops_bytes){journal->buffer.data, (size_t)record.length};
    return 1;
}

int lithops__journal_cut(struct lithops__journal *journal, lithops_error *err)
{
    if (ftruncate(journal->fd, (off_t)journal->at) != 0)
        return lithops__fail_errno(err, errno, "cannot write the file of a job");
    atomic_store(&journal->header->end, journal->at);
    return 0;
}
