/* SPDX-License-Identifier: Apache-2.0 */
/* Functions as a user declares them in a library. */
#include <lithops/function.h>

#include <stdlib.h>

__attribute__((constructor)) static void tell_that_code_ran(void)
{
    if (getenv("TESTLIB_FATAL"))
        abort();
}

LITHOPS_FUNCTION(count)
{
    (void)call;
    return 41;
}

LITHOPS_FUNCTION(count_words)
{
    (void)call;
    return 42;
}

/* The name of a function of the C library: in the client, and in the linker's scope, that one
 * comes first. */
LITHOPS_FUNCTION(basename)
{
    (void)call;
    return 43;
}
