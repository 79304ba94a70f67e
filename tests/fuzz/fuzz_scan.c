/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of what finds the frames in a stream of objects: objects that are cut anywhere else carry
 * the same. */
#include "carrier/pace.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lithops__scan whole = {.have = 0};
    unsigned found = lithops__scan_feed(&whole, data, size);
    for (size_t step = 1; step <= 40 && step <= size; step++) {
        struct lithops__scan cut = {.have = 0};
        unsigned together = 0;
        for (size_t at = 0; at < size; at += step)
            together |= lithops__scan_feed(&cut, data + at, size - at < step ? size - at : step);
        if (found != together || whole.skip != cut.skip || whole.have != cut.have)
            abort();
    }
    return 0;
}
