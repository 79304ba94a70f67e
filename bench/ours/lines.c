/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a file, counted in chunks.
 *
 *     lines [links=N] FILE CHUNK_MIB
 *     lines stored CHUNK_MIB COUNT   the objects bench/lines00 to COUNT - 1, of the storage that
 *                                    LITHOPS_CONFIG names */
#include "ours/ours.h"

LITHOPS_FUNCTION(count_lines)
{
    lithops_stream *chunk = lithops_call_object(call);
    if (!chunk)
        return LITHOPS_EARG;
    lithops_error err = LITHOPS_ERROR_INIT;
    int64_t lines = lithops_stream_skip_lines(chunk, INT64_MAX);
    if (lithops_stream_error(chunk, &err) != 0)
        return lithops_fail_error(call, &err);
    return lithops_return_int(call, lines);
}

static lithops_futures *of_file(lithops_executor *fexec, int argc, char **argv)
{
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.obj_chunk_size = bench_argument(argc, argv, 2, 16) << 20;
    char *files[] = {argv[1], NULL};
    return lithops_map(fexec, count_lines, lithops_strings(files), &options, &ours_error);
}

static lithops_futures *of_objects(lithops_executor *fexec, int argc, char **argv)
{
    enum { MOST = 99 };
    static char names[MOST][32];
    char *keys[MOST + 1] = {NULL};
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.obj_chunk_size = bench_argument(argc, argv, 2, 16) << 20;
    for (int i = 0; i < MOST && i < bench_argument(argc, argv, 3, 1); i++) {
        snprintf(names[i], sizeof names[i], "s3://bench/lines%02d", i);
        keys[i] = names[i];
    }
    return lithops_map(fexec, count_lines, lithops_strings(keys), &options, &ours_error);
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (argc < 3)
        bench_die("usage: lines [links=N] FILE CHUNK_MIB, or lines stored CHUNK_MIB COUNT");
    bool stored = strcmp(argv[1], "stored") == 0;
    lithops_executor *fexec =
        stored ? ours_have(lithops_executor_open(NULL, &ours_error)) : ours_open_over(&argc, argv);
    double start = bench_now();
    lithops_futures *fs = ours_have((stored ? of_objects : of_file)(fexec, argc, argv));
    ours_check(lithops_wait(fexec, fs, NULL, NULL, NULL, &ours_error));
    double sum = 0;
    for (size_t i = 0; i < lithops_futures_size(fs); i++) {
        int64_t lines = 0;
        ours_check(lithops_futures_int(fs, i, &lines, &ours_error));
        sum += (double)lines;
    }
    bench_report("seconds", bench_now() - start);
    bench_report("lines", sum);
    lithops_futures_unref(fs);
    lithops_executor_close(fexec);
    return 0;
}
