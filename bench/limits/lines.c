/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of counting lines: a thread per CPU reads its part of the file from the page cache in
 * 256 KiB blocks, which stay in the cache of the CPU, and counts newlines with vectors.
 *
 *     lines FILE */
#include "bench.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

enum { BLOCK = 256 << 10, MAX_THREADS = 256 };

struct part {
    const char *path;
    off_t begin, end;
    int cpu;
    uint64_t lines;
};

static uint64_t count_newlines(const unsigned char *p, size_t len)
{
    uint64_t count = 0;
    size_t i = 0;
    while (i < len) { /* sums in bytes, of 255 at a time, so that the compiler vectorises it */
        size_t stop = len - i < 255 * 64 ? len : i + 255 * 64;
        unsigned char sums[64] = {0};
        for (; i + 64 <= stop; i += 64)
            for (int k = 0; k < 64; k++)
                sums[k] = (unsigned char)(sums[k] + (p[i + (size_t)k] == '\n'));
        for (int k = 0; k < 64; k++)
            count += sums[k];
        for (; i < stop; i++)
            count += p[i] == '\n';
    }
    return count;
}

static void *count_part(void *argument)
{
    struct part *part = argument;
    bench_pin(part->cpu);
    int fd = open(part->path, O_RDONLY | O_CLOEXEC);
    unsigned char *block = aligned_alloc(4096, BLOCK);
    for (off_t at = part->begin; at < part->end;) {
        size_t want = part->end - at < BLOCK ? (size_t)(part->end - at) : BLOCK;
        ssize_t n = pread(fd, block, want, at);
        if (n <= 0)
            bench_die("cannot read the text");
        part->lines += count_newlines(block, (size_t)n);
        at += n;
    }
    free(block);
    close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    struct stat st;
    if (argc < 2 || stat(argv[1], &st) != 0)
        bench_die("usage: lines FILE");
    int count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    count = count < 1 ? 1 : count < MAX_THREADS ? count : MAX_THREADS;
    struct part parts[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    for (int i = 0; i < count; i++) {
        parts[i] = (struct part){argv[1], st.st_size / count * i,
                                 i == count - 1 ? st.st_size : st.st_size / count * (i + 1), i, 0};
        if (pthread_create(&threads[i], NULL, count_part, &parts[i]) != 0)
            bench_die("no thread");
    }
    uint64_t lines = 0;
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        lines += parts[i].lines;
    }
    bench_report("lines", (double)lines);
    return 0;
}
