/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of pack and unpack formats: the input is a format.
 *
 * A format determines the types of its arguments, so the arguments must suit all letters. Each one
 * here is a pointer to a small block that is a string and has room for whatever is stored; there
 * are more of them than a format of MAX_FORMAT letters takes, and doubles for `f`. Letters that
 * take a value or a length are not packed, as no such block is one.
 *
 * What is packed must unpack by the same format. */
#include "fuzz.h"
#include "value/value.h"

enum { MAX_FORMAT = 40, BLOCK_BYTES = 32 };

static char blocks[4][BLOCK_BYTES];

#define A blocks[0], blocks[1], blocks[2], blocks[3]
#define POINTERS A, A, A, A, A, A, A, A, A, A, A, A
#define DOUBLES 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7

/* Unpacking overwrites them. */
static void reset_blocks(void)
{
    for (int i = 0; i < 4; i++) {
        memset(blocks[i], 0, BLOCK_BYTES);
        blocks[i][0] = (char)('a' + i);
    }
}

static void unpack(const lithops_value *value, const char *format, bool must_fit)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    reset_blocks();
    int code = lithops_unpack(value, &err, format, POINTERS, DOUBLES);
    must(code == err.code, "code and error differ");
    must(code == 0 || err.message[0], "no message");
    must(!must_fit || code == 0, err.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char format[MAX_FORMAT + 1];
    if (size > MAX_FORMAT || memchr(data, '\0', size))
        return 0;
    memcpy(format, data, size);
    format[size] = '\0';

    reset_blocks();
    lithops_value *sample =
        lithops_pack("{s:I,s:[nbIfs{s:y}],s:[[],{}],s:s}", "a", (int64_t)5, "b", 1,
                     (int64_t)1 << 40, 0.5, "text", "a", "bytes", (size_t)5, "c", "d", "");
    unpack(sample, format, false);
    unpack(lithops_value_get(sample, "b"), format, false);
    unpack(lithops_value_get(sample, "c"), format, false);
    unpack(lithops_value_get(sample, "a"), format, false);
    lithops_value_free(sample);

    if (strpbrk(format, "oOy%"))
        return 0;
    reset_blocks();
    lithops_value *value = lithops_pack(format, POINTERS, DOUBLES);
    if (!value)
        return 0;
    /* keys may repeat, and `s?` means something else in unpack */
    if (!strpbrk(format, "{?"))
        unpack(value, format, true);
    lithops_value_free(value);
    return 0;
}
