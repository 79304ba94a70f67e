/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of compressed objects: the input is a file of any format. Reading it ends, with lines or
 * with an error, and reading it again gives the same number of lines. */
#include "partition/partition.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_LINES = 1 << 20 }; /* of a small file that unpacks to gigabytes */

static void read_as(const char *format, const char *path)
{
    lithops_value *spec = lithops_pack("{s:[iiiiii],s:s,s:s,s:s}", "$partition", 0, 1, 0, -1, -1,
                                       -1, "path", path, "newline", "\n", "packing", format);
    lithops_stream *stream = NULL;
    if (lithops__stream_open(spec, NULL, &stream, NULL) == 0) {
        int64_t lines = lithops_stream_skip_lines(stream, MOST_LINES);
        int rc = lithops_stream_error(stream, NULL);
        if (rc == 0 && lithops_stream_rewind(stream) == 0 &&
            lithops_stream_skip_lines(stream, MOST_LINES) != lines) {
            fprintf(stderr, "fuzz_packed: the number of lines differs\n");
            abort();
        }
        lithops__stream_close(stream);
    }
    lithops_value_free(spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("packed", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    if (ftruncate(file, (off_t)size) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        abort();
    read_as("gzip", path);
    read_as("zstd", path);
    read_as("bzip2", path);
    return 0;
}
