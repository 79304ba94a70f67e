/* SPDX-License-Identifier: Apache-2.0 */
/* Count the words of files, in chunks, on all CPUs of this machine.
 *
 *     wordcount FILE|FOLDER|URL...
 *
 * The files are cut into chunks on line boundaries; count_words runs once per chunk, in a worker
 * process; sum gets the counts as they land. Afterwards a table of the run's statistics is printed
 * and two pictures of it are drawn into plots/. */
#include <lithops/lithops.h>

#include <stdio.h>
#include <stdlib.h>

static int64_t words_in(lithops_bytes line)
{
    const unsigned char *c = line.ptr, *end = c + line.len;
    int64_t words = 0;
    for (int in_word = 0; c < end; c++) {
        int is_letter = *c > ' ';
        words += is_letter && !in_word;
        in_word = is_letter;
    }
    return words;
}

LITHOPS_FUNCTION(count_words) /* runs in a worker process, once per chunk */
{
    lithops_stream *chunk = lithops_call_object(call);
    if (!chunk)
        return LITHOPS_EARG; /* the call's error says why */
    lithops_bytes line;
    int64_t words = 0;
    while (lithops_stream_next_line(chunk, &line))
        words += words_in(line);
    lithops_error err;
    if (lithops_stream_error(chunk, &err) != 0)
        return lithops_fail_error(call, &err);
    return lithops_return(call, "I", words);
}

LITHOPS_FUNCTION(sum) /* results arrive as the map calls finish */
{
    int64_t total = 0, words;
    int more;
    while ((more = lithops_call_next_result(call, "I", &words)) == 1)
        total += words;
    return more < 0 ? more : lithops_return(call, "I", total);
}

static int count(lithops_executor *fexec, char **files, lithops_error *err)
{
    lithops_map_reduce_options map_reduce = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    map_reduce.obj_chunk_size = 4 << 20;
    if (lithops_map_reduce(fexec, count_words, lithops_strings(files), sum, &map_reduce, NULL,
                           err) != 0)
        return -1;

    lithops_wait_options wait = LITHOPS_WAIT_OPTIONS_INIT;
    wait.show_progressbar = true;
    int64_t total;
    if (lithops_wait(fexec, NULL, &wait, NULL, NULL, err) != 0 ||
        lithops_get_result(fexec, NULL, NULL, err, "I", &total) != 0)
        return -1;
    printf("%lld words\n", (long long)total);

    char *table;
    if (lithops_job_summary(fexec, 0, NULL, &table, err) != 0)
        return -1;
    printf("\n%s", table);
    free(table);
    return lithops_plot(fexec, NULL, "plots/", NULL, err);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv); /* a worker process never returns from here */
    if (argc < 2) {
        fprintf(stderr, "usage: wordcount FILE|FOLDER|URL...\n");
        return 2;
    }
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor *fexec = lithops_executor_open(NULL, &err);
    if (!fexec)
        return lithops_error_print(&err, stderr);
    int status = count(fexec, argv + 1, &err) == 0 ? 0 : lithops_error_print(&err, stderr);
    lithops_executor_close(fexec);
    return status;
}
