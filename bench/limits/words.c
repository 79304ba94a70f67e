/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of counting words: a thread per CPU over its part of the mapped file, then the tables
 * are merged.
 *
 *     words FILE [OUTPUT] */
#include "words.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

enum { MAX_THREADS = 256 };

struct part {
    const char *text;
    size_t len;
    int cpu;
    struct word_table table;
};

static void *count_part(void *argument)
{
    struct part *part = argument;
    bench_pin(part->cpu);
    words_init(&part->table);
    words_count(&part->table, part->text, part->len);
    return NULL;
}

static void merge(struct part *into, const struct part *from)
{
    char *encoded = malloc(words_encoded_size(&from->table));
    if (!encoded)
        bench_die("no memory");
    words_merge(&into->table, encoded, words_encode(&from->table, encoded));
    free(encoded);
}

int main(int argc, char **argv)
{
    struct stat st;
    int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
        bench_die("usage: words FILE [OUTPUT]");
    size_t size = (size_t)st.st_size;
    const char *text = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (text == MAP_FAILED)
        bench_die("cannot map the text");
    int count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    count = count < 1 ? 1 : count < MAX_THREADS ? count : MAX_THREADS;
    struct part parts[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    const char *begin = text;
    for (int i = 0; i < count; i++) {
        const char *end = text + size / (size_t)count * (size_t)(i + 1);
        const char *newline = memchr(end, '\n', (size_t)(text + size - end));
        end = i == count - 1 || !newline ? text + size : newline + 1;
        parts[i] = (struct part){.text = begin, .len = (size_t)(end - begin), .cpu = i};
        begin = end;
        if (pthread_create(&threads[i], NULL, count_part, &parts[i]) != 0)
            bench_die("no thread");
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    for (int i = 1; i < count; i++)
        merge(&parts[0], &parts[i]);
    bench_report("words", (double)(parts[0].table.short_count + parts[0].table.long_count));
    FILE *out = argc > 2 ? fopen(argv[2], "we") : NULL;
    if (out) {
        words_print(&parts[0].table, out);
        fclose(out);
    }
    for (int i = 0; i < count; i++)
        words_deinit(&parts[i].table);
    return 0;
}
