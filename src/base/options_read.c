/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options_read.h"

#include "base/error.h"

#include <string.h>

enum { LARGEST = 4096 }; /* what is larger was never a size */

int lithops__options_read(void *own, size_t own_size, const void *given, const char *init,
                          lithops_error *err)
{
    size_t size;
    if (!given)
        return 0;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > LARGEST)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "the options are not initialised (size is %zu): begin with '= %s'",
                             size, init);
    size = size < own_size ? size : own_size;
    memcpy((char *)own + sizeof size, (const char *)given + sizeof size, size - sizeof size);
    return 0;
}

int lithops__options_begun(int64_t one, int64_t other, const char *init, lithops_error *err)
{
    if (one != 0 || other != 0)
        return 0;
    return lithops__fail(err, LITHOPS_EUSAGE,
                         "the options are not initialised (members are 0): begin with '= %s'",
                         init);
}
