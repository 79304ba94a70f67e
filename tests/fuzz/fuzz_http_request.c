/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of requests to `lithops worker --http`: no bytes may crash the reader, nor be read beyond
 * their end; a head that is taken lies within them, and more bytes do not change it. Nor may those
 * of a body in chunks, which does not get longer. */
#include "agent/http_request.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lithops__http_head head, again;
    char *copy = malloc(size ? size : 1); /* without a NUL: reading on is found */
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    int status = lithops__http_head_read(copy, size, "X-Lithops-Activation", 1 << 20, &head);
    if (status == 1) {
        if (head.len > size || head.body_len > 1 << 20 || head.path[0] != '/' ||
            lithops__http_head_read(copy, head.len, "X-Lithops-Activation", 1 << 20, &again) != 1 ||
            again.len != head.len || strcmp(again.header, head.header) != 0)
            abort();
        if (lithops__http_head_read(copy, head.len - 1, "X-Lithops-Activation", 1 << 20, &again) !=
            0)
            abort();
    } else if (status != 0 && (status < 400 || status > 505)) {
        abort();
    }
    size_t len = 0;
    status = lithops__http_chunks_read(copy, size, 1 << 12, &len);
    if (status == 1 ? len > size || len > 1 << 12 : status != 0 && status != 400 && status != 413)
        abort();
    free(copy);
    return 0;
}
