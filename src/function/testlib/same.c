/* SPDX-License-Identifier: Apache-2.0 */
/* Built twice, with another ANSWER: two libraries with functions of one name. */
#include <lithops/function.h>

LITHOPS_PUBLIC int same_plain(void);
int same_plain(void)
{
    return ANSWER;
}

LITHOPS_FUNCTION(same)
{
    (void)call;
    return same_plain(); /* the one of this library, if the linker does its work */
}
