/* SPDX-License-Identifier: Apache-2.0 */
/* Output of calls, a memory file per worker slot. */
#include "ipc/slotlog.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int make_file(lithops_error *err)
{
    int fd = lithops__high_fd(memfd_create(LITHOPS__LOG_NAME, MFD_CLOEXEC));
    if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) != 0 || write(fd, "", 1) != 1) {
        lithops__fail_errno(err, errno, "cannot make a log file for a worker process");
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    return fd;
}

static int file_of(const struct lithops__table *table, uint32_t slot)
{
    return table->log_fds && slot < table->area.control->max_workers ? table->log_fds[slot] : -1;
}

int lithops__slotlog_open(struct lithops__table *table, uint32_t slot, lithops_error *err)
{
    const uint32_t count = table->area.control->max_workers;
    if (!table->log_fds) {
        if (!(table->log_fds = malloc(count * sizeof *table->log_fds))) {
            lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
            return -1;
        }
        for (uint32_t i = 0; i < count; i++)
            table->log_fds[i] = -1;
    }
    if (table->log_fds[slot] < 0)
        table->log_fds[slot] = make_file(err);
    return table->log_fds[slot];
}

uint64_t lithops__slotlog_size(const struct lithops__table *table, uint32_t slot)
{
    off_t end = lseek(file_of(table, slot), 0, SEEK_END);
    return end < 0 ? 0 : (uint64_t)end;
}

size_t lithops__slotlog_read(const struct lithops__table *table, uint32_t slot, uint64_t begin,
                             void *buf, size_t len)
{
    ssize_t got = pread(file_of(table, slot), buf, len, (off_t)begin);
    return got < 0 ? 0 : (size_t)got;
}

static void drop(int fd, uint64_t begin, uint64_t end)
{
    if (end > begin)
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)begin,
                        (off_t)(end - begin));
}

void lithops__slotlog_trim(int fd, const struct lithops__control *control,
                           struct lithops__worker *line, uint64_t begin, uint64_t end)
{
    const uint64_t most = control->log_call_bytes, half = most / 2;
    uint64_t kept = end - begin;
    if (kept > most) {
        drop(fd, begin + half, end - (most - half));
        kept = most;
    }
    line->log_kept += kept;
    if (line->log_kept <= control->log_slot_bytes / 2)
        return;
    uint64_t gone = atomic_load(&line->log_gone);
    atomic_store(&line->log_gone, line->log_half); /* first: readers check it after reading */
    drop(fd, gone, line->log_half);
    line->log_half = end;
    line->log_kept = 0;
}

void lithops__slotlog_store(struct lithops__table *table, uint32_t slot, lithops_bytes output,
                            uint64_t *ret_begin, uint64_t *ret_end)
{
    int fd = lithops__slotlog_open(table, slot, NULL);
    *ret_begin = lithops__slotlog_size(table, slot);
    const char *from = output.ptr;
    for (size_t done = 0; fd >= 0 && done < output.len;) {
        ssize_t n = write(fd, from + done, output.len - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    *ret_end = lithops__slotlog_size(table, slot);
    if (fd >= 0)
        lithops__slotlog_trim(fd, table->area.control, &table->area.control->workers[slot],
                              *ret_begin, *ret_end);
}

static bool was_emptied(int fd, uint64_t begin, uint64_t end)
{
    char first;
    return end < begin || (end > begin && begin > 0 && pread(fd, &first, 1, 0) == 1 && first);
}

void lithops__slotlog_mend(int fd, const struct lithops__control *control,
                           struct lithops__worker *line, uint64_t *begin, uint64_t *end)
{
    if (!was_emptied(fd, *begin, *end) || (*end < *begin && ftruncate(fd, (off_t)*begin) != 0))
        return;
    char piece[4096];
    const uint64_t most = control->log_call_bytes, base = *end > *begin ? *end : *begin;
    uint64_t at = *end > most ? *end - most : 0, to = base;
    while (at < *end) {
        size_t len = *end - at < sizeof piece ? (size_t)(*end - at) : sizeof piece;
        ssize_t got = pread(fd, piece, len, (off_t)at);
        if (got <= 0 || write(fd, piece, (size_t)got) != got) /* to the end of the file */
            break;
        at += (uint64_t)got;
        to += (uint64_t)got;
    }
    atomic_store(&line->log_gone, base);
    line->log_half = base;
    line->log_kept = 0;
    drop(fd, 0, base);
    *begin = base;
    *end = to;
}

static void append_part(const struct lithops__table *table, uint32_t slot, uint64_t begin,
                        uint64_t end, struct lithops__buffer *out)
{
    void *room = end > begin ? lithops__buffer_reserve(out, end - begin) : NULL;
    if (room)
        out->len += lithops__slotlog_read(table, slot, begin, room, end - begin);
}

void lithops__slotlog_append(const struct lithops__table *table, uint32_t slot, uint64_t begin,
                             uint64_t end, struct lithops__buffer *out)
{
    if (end <= begin || file_of(table, slot) < 0)
        return;
    const struct lithops__control *control = table->area.control;
    const uint64_t most = control->log_call_bytes, half = most / 2, bytes = end - begin;
    const size_t before = out->len;
    if (bytes <= most) {
        append_part(table, slot, begin, end, out);
    } else {
        append_part(table, slot, begin, begin + half, out);
        lithops__buffer_printf(out,
                               "\n[%llu of %llu bytes of output are not kept: "
                               "lithops.output_per_call]\n",
                               (unsigned long long)(bytes - most), (unsigned long long)bytes);
        append_part(table, slot, end - (most - half), end, out);
    }
    if (begin >= atomic_load(&control->workers[slot].log_gone))
        return;
    out->len = before;
    lithops__buffer_printf(out,
                           "[%llu bytes of output are not kept: a later call has emptied its "
                           "standard output, or later ones have written more than "
                           "lithops.output_kept]\n",
                           (unsigned long long)bytes);
}

void lithops__slotlogs_close(struct lithops__table *table)
{
    for (uint32_t slot = 0; table->log_fds && slot < table->area.control->max_workers; slot++)
        if (table->log_fds[slot] >= 0)
            close(table->log_fds[slot]);
    free(table->log_fds);
    table->log_fds = NULL;
}
