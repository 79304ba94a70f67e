/* SPDX-License-Identifier: Apache-2.0 */
/* How often each word stands in a file: a map over chunks, a reduce over their tables.
 *
 *     words FILE CHUNK_MIB [OUTPUT] */
#include "words.h"
#include "ours/ours.h"

static int return_table(lithops_call *call, struct word_table *table)
{
    void *encoded = lithops_call_alloc(call, words_encoded_size(table));
    size_t len = encoded ? words_encode(table, encoded) : 0;
    return encoded ? lithops_return_bytes(call, encoded, len) : LITHOPS_ENOSPACE;
}

LITHOPS_FUNCTION(count_words)
{
    lithops_stream *chunk = lithops_call_object(call);
    if (!chunk)
        return LITHOPS_EARG;
    struct word_table table;
    words_init(&table);
    lithops_bytes block;
    while (lithops_stream_next_block(chunk, &block))
        words_count(&table, block.ptr, block.len);
    lithops_error err = LITHOPS_ERROR_INIT;
    int code = lithops_stream_error(chunk, &err);
    code = code == 0 ? return_table(call, &table) : lithops_fail_error(call, &err);
    words_deinit(&table);
    return code;
}

LITHOPS_FUNCTION(merge_words)
{
    struct word_table table;
    words_init(&table);
    lithops_bytes encoded;
    int more;
    while ((more = lithops_call_next_bytes(call, &encoded)) > 0)
        words_merge(&table, encoded.ptr, encoded.len);
    int code = more < 0 ? more : return_table(call, &table);
    words_deinit(&table);
    return code;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    if (argc < 2)
        bench_die("usage: words FILE CHUNK_MIB [OUTPUT]");
    lithops_executor *fexec = ours_open();
    lithops_map_reduce_options options = LITHOPS_MAP_REDUCE_OPTIONS_INIT;
    options.obj_chunk_size = bench_argument(argc, argv, 2, 32) << 20;
    char *files[] = {argv[1], NULL};
    lithops_futures *fs = NULL;
    ours_check(lithops_map_reduce(fexec, count_words, lithops_strings(files), merge_words, &options,
                                  &fs, &ours_error));
    lithops_bytes encoded;
    ours_check(lithops_get_result(fexec, fs, NULL, &ours_error, "y", &encoded));
    struct word_table table;
    words_init(&table);
    words_merge(&table, encoded.ptr, encoded.len);
    bench_report("words", (double)(table.short_count + table.long_count));
    FILE *out = argc > 3 ? fopen(argv[3], "we") : NULL;
    if (out) {
        words_print(&table, out);
        fclose(out);
    }
    words_deinit(&table);
    lithops_futures_unref(fs);
    lithops_executor_close(fexec);
    return 0;
}
