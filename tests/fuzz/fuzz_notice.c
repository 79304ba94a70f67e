/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of what comes through a broker: no notice may crash its reader, nor be read beyond its
 * end, and one that is written again is read as the same. */
#include "carrier/notice.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1), link[64], token[16];
    struct lithops__notice notice, again;
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    bool is_one = lithops__notice_read((lithops_bytes){copy, size}, &notice);
    if (is_one && notice.link_len < sizeof link && !memchr(copy, '\0', size)) {
        struct lithops__buffer out = LITHOPS__BUFFER_INIT;
        snprintf(link, sizeof link, "%.*s", (int)notice.link_len, notice.link);
        snprintf(token, sizeof token, "%.8s", notice.token);
        lithops__notice_write(&out, link, token, notice.number, notice.object, SIZE_MAX);
        if (!lithops__notice_read((lithops_bytes){out.data, out.len}, &again) ||
            again.number != notice.number || again.link_len != notice.link_len ||
            (again.object.len != notice.object.len &&
             notice.object.len <= LITHOPS__NOTICE_OBJECT) ||
            memcmp(again.object.ptr, notice.object.ptr, again.object.len) != 0)
            abort();
        lithops__buffer_deinit(&out);
    }
    free(copy);
    return 0;
}
