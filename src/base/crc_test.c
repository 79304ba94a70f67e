/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The check values of the catalogue of CRCs: of "123456789". */
static void check_values(void **state)
{
    (void)state;
    assert_true(lithops__crc_add(LITHOPS__CRC32, 0, "123456789", 9) == 0xcbf43926u);
    assert_true(lithops__crc_add(LITHOPS__CRC32C, 0, "123456789", 9) == 0xe3069283u);
    assert_true(lithops__crc_add(LITHOPS__CRC64NVME, 0, "123456789", 9) == 0xae8b14860a799888u);
    for (int kind = 0; kind < LITHOPS__CRC_COUNT; kind++)
        assert_true(lithops__crc_add((enum lithops__crc)kind, 0, NULL, 0) == 0);
}

/* Bit by bit, as the definition says. */
static uint64_t slow(uint64_t polynomial, uint64_t ones, const unsigned char *data, size_t len)
{
    uint64_t crc = ones;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
    }
    return crc ^ ones;
}

/* All lengths around the blocks of the fast way, at all alignments, whole and in two pieces. */
static void as_the_definition_says(void **state)
{
    (void)state;
    static const struct {
        enum lithops__crc kind;
        uint64_t polynomial, ones;
    } kinds[] = {{LITHOPS__CRC32, 0xedb88320u, UINT32_MAX},
                 {LITHOPS__CRC32C, 0x82f63b78u, UINT32_MAX},
                 {LITHOPS__CRC64NVME, 0x9a6c9329ac4bc9b5u, UINT64_MAX}};
    unsigned char data[600];
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)((random = random * 1664525u + 1013904223u) >> 24);
    for (size_t k = 0; k < 3; k++)
        for (size_t len = 0; len < 300; len++) {
            const unsigned char *from = data + len % 17;
            uint64_t right = slow(kinds[k].polynomial, kinds[k].ones, from, len);
            uint64_t got = lithops__crc_add(kinds[k].kind, 0, from, len);
            uint64_t first = lithops__crc_add(kinds[k].kind, 0, from, len / 3);
            uint64_t both = lithops__crc_add(kinds[k].kind, first, from + len / 3, len - len / 3);
            if (got != right || both != right)
                fail_msg("kind %zu, %zu bytes: %" PRIx64 ", %" PRIx64 ", not %" PRIx64, k, len, got,
                         both, right);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values),
        cmocka_unit_test(as_the_definition_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
