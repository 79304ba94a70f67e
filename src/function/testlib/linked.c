/* SPDX-License-Identifier: Apache-2.0 */
/* A library that needs another one. LOWER: the one that is needed. */
#include <lithops/function.h>

LITHOPS_PUBLIC int lower_answer(void);
LITHOPS_PUBLIC int upper_answer(void);

#ifdef LOWER
int lower_answer(void)
{
    return 21;
}
#else
int upper_answer(void)
{
    return 2 * lower_answer();
}
#endif
