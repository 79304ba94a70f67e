/* SPDX-License-Identifier: Apache-2.0 */
/* Plain C functions, of which a signature says how they are called. */
#include <lithops/function.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define FUNCTION(type, name, ...)                                                                  \
    EXPORT type name(__VA_ARGS__);                                                                 \
    type name(__VA_ARGS__)

FUNCTION(int, negate_int, int i)
{
    return -i;
}
FUNCTION(unsigned, same_uint, unsigned u)
{
    return u;
}
FUNCTION(long, same_long, long l)
{
    return l;
}
FUNCTION(unsigned long, same_ulong, unsigned long u)
{
    return u;
}
FUNCTION(int32_t, same_int32, int32_t i)
{
    return i;
}
FUNCTION(int64_t, same_int64, int64_t i)
{
    return i;
}
FUNCTION(uint32_t, same_uint32, uint32_t u)
{
    return u;
}
FUNCTION(uint64_t, before_uint64, uint64_t u)
{
    return u - 1;
}
FUNCTION(float, half, float f)
{
    return f / 2;
}
FUNCTION(double, weigh, int64_t n, double each, float percent)
{
    return (double)n * each * (double)percent / 100;
}
FUNCTION(const char *, greeting, const char *name)
{
    if (strcmp(name, "nobody") == 0)
        return NULL;
    return strcmp(name, "latin") == 0 ? "caf\xe9" : "hello";
}
FUNCTION(int64_t, string_length, const char *s)
{
    return (int64_t)strlen(s);
}
/* Arguments behind a pair, so that a slip of one shows. */
FUNCTION(int64_t, sum_bytes, int factor, const void *bytes, size_t len, int offset)
{
    int64_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += ((const unsigned char *)bytes)[i];
    return factor * sum + offset;
}
static int touched;
FUNCTION(void, touch, int i)
{
    touched += i;
}
FUNCTION(int, how_touched, void)
{
    return touched;
}
/* More than there are registers for. */
FUNCTION(double, many, int a, double b, int c, double d, int e, double f, int g, double h, int i,
         double j, int k, double l, int m, double n, int o, double p)
{
    return a + b * 2 + c * 3 + d * 4 + e * 5 + f * 6 + g * 7 + h * 8 + i * 9 + j * 10 + k * 11 +
           l * 12 + m * 13 + n * 14 + o * 15 + p * 16;
}
FUNCTION(int, takes_call, lithops_call *call)
{
    return call ? 7 : 8;
}

/* Chosen when the library is loaded, as those of libm are. */
static int chosen(int i)
{
    return i + 1000;
}
__attribute__((used)) static int (*choose(void))(int)
{
    return chosen;
}
EXPORT int add_thousand(int i) __attribute__((ifunc("choose")));

EXPORT int mangled(int i) __asm__("_Z10cpp_squarei");
int mangled(int i)
{
    return i * i;
}

__attribute__((visibility("hidden"))) int hidden_function(int i);
int hidden_function(int i)
{
    return i;
}

EXPORT extern int plain_variable;
int plain_variable = 5;
/* A variable of exactly the size of a declared function. */
EXPORT extern char looks_declared[sizeof(lithops_function)];
char looks_declared[sizeof(lithops_function)] = "but is not";
EXPORT extern __thread int thread_variable;
__thread int thread_variable;
