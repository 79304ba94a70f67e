/* SPDX-License-Identifier: Apache-2.0 */
/* ours/start.c without Lithops: it calls its function itself. The limit of a program's start. */
#include <stdint.h>
#include <stdio.h>

__attribute__((noinline)) static int64_t square(int64_t x)
{
    __asm__ volatile("" : "+r"(x));
    return x * x;
}

int main(void)
{
    printf("%lld\n", (long long)square(7));
    return 0;
}
