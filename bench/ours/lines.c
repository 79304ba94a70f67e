/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a file, counted in chunks.
 *
 *     lines FILE CHUNK_MIB */
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

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (argc < 2)
        bench_die("usage: lines FILE CHUNK_MIB");
    lithops_executor *fexec = ours_open();
    lithops_map_options options = LITHOPS_MAP_OPTIONS_INIT;
    options.obj_chunk_size = bench_argument(argc, argv, 2, 16) << 20;
    char *files[] = {argv[1], NULL};
    lithops_futures *fs =
        ours_have(lithops_map(fexec, count_lines, lithops_strings(files), &options, &ours_error));
    ours_check(lithops_wait(fexec, fs, NULL, NULL, NULL, &ours_error));
    double sum = 0;
    for (size_t i = 0; i < lithops_futures_size(fs); i++) {
        int64_t lines = 0;
        ours_check(lithops_futures_int(fs, i, &lines, &ours_error));
        sum += (double)lines;
    }
    bench_report("lines", sum);
    lithops_futures_unref(fs);
    lithops_executor_close(fexec);
    return 0;
}
