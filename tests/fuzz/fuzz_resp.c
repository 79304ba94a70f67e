/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of the reader of Redis' replies: no input may crash it, nor be read beyond its end. A
 * reply that is whole is partial when its last byte is missing. */
#include "storage/backends/redis/resp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void check(const struct lithops__resp *reply, const char *start, const char *end)
{
    const char *text = reply->text.ptr;
    if (text && (text < start || text > end || reply->text.len > (size_t)(end - text)))
        abort();
    for (size_t i = 0; i < reply->count; i++)
        check(&reply->items[i], start, end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    struct lithops__resp reply;
    size_t missing = 0;
    enum lithops__resp_outcome outcome =
        lithops__resp_read((lithops_bytes){copy, size}, &reply, &missing);
    if (outcome == LITHOPS__RESP_PARTIAL && missing == 0)
        abort();
    if (outcome == LITHOPS__RESP_WHOLE) {
        check(&reply, copy, copy + size);
        lithops__resp_free(&reply);
        if (lithops__resp_read((lithops_bytes){copy, size - 1}, &reply, &missing) !=
            LITHOPS__RESP_PARTIAL)
            abort();
    }
    free(copy);
    return 0;
}
