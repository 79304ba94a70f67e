/* SPDX-License-Identifier: Apache-2.0 */
/* The crypto module against published vectors. */
#include "base/crypto_module.h"
#include "base/module.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static const struct lithops__crypto_api *crypto;

static int load(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    crypto = lithops__module_symbol("crypto", "lithops__crypto", &err);
    return crypto ? 0 : lithops_error_print(&err, stderr);
}

static lithops_bytes text(const char *s)
{
    return (lithops_bytes){s, strlen(s)};
}

static void assert_hex(const unsigned char hash[LITHOPS__SHA256_BYTES], const char *expected)
{
    char hex[2 * LITHOPS__SHA256_BYTES + 1];
    for (size_t i = 0; i < LITHOPS__SHA256_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(hex, expected);
}

/* FIPS 180-4, and the NIST example of a million letters. */
static void sha256_of_memory(void **state)
{
    (void)state;
    unsigned char hash[LITHOPS__SHA256_BYTES];
    assert_int_equal(crypto->sha256(text(""), hash), 0);
    assert_hex(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(crypto->sha256(text("abc"), hash), 0);
    assert_hex(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 1321 */
static void md5_of_memory(void **state)
{
    (void)state;
    static const unsigned char of_abc[] = {0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0,
                                           0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72};
    unsigned char hash[LITHOPS__MD5_BYTES];
    assert_int_equal(crypto->md5(text("abc"), hash), 0);
    assert_memory_equal(hash, of_abc, sizeof hash);
}

static void sha1_of_memory(void **state)
{
    (void)state;
    static const unsigned char expected[LITHOPS__SHA1_BYTES] = {
        0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e,
        0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d};
    unsigned char hash[LITHOPS__SHA1_BYTES];
    assert_int_equal(crypto->sha1(text("abc"), hash), 0);
    assert_memory_equal(hash, expected, sizeof hash);
}

static void sha256_of_a_file(void **state)
{
    (void)state;
    enum { MILLION = 1000000 };
    unsigned char hash[LITHOPS__SHA256_BYTES];
    int fd = memfd_create("crypto_test", MFD_CLOEXEC);
    char *letters = malloc(MILLION);
    assert_true(fd >= 0 && letters);
    memset(letters, 'a', MILLION);
    assert_int_equal(write(fd, letters, MILLION), MILLION);
    free(letters);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(crypto->sha256_fd(fd, hash), 0);
    assert_hex(hash, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    close(fd);
    assert_int_not_equal(crypto->sha256_fd(fd, hash), 0);
}

/* RFC 4231, cases 1 to 3 and 6. */
static void hmac(void **state)
{
    (void)state;
    unsigned char mac[LITHOPS__SHA256_BYTES], key[131], data[50];
    memset(key, 0x0b, 20);
    assert_int_equal(crypto->hmac_sha256((lithops_bytes){key, 20}, text("Hi There"), mac), 0);
    assert_hex(mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(crypto->hmac_sha256(text("Jefe"), text("what do ya want for nothing?"), mac),
                     0);
    assert_hex(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    assert_int_equal(
        crypto->hmac_sha256((lithops_bytes){key, 20}, (lithops_bytes){data, sizeof data}, mac), 0);
    assert_hex(mac, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    assert_int_equal(crypto->hmac_sha256((lithops_bytes){key, sizeof key},
                                         text("Test Using Larger Than Block-Size Key - Hash Key "
                                              "First"),
                                         mac),
                     0);
    assert_hex(mac, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_int_equal(crypto->hmac_sha256((lithops_bytes){NULL, 0}, text(""), mac), 0);
    assert_hex(mac, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* The test cases 13 and 14 of AES-GCM's specification: a key and a nonce of zeros. */
static void seals_are_of_the_specification(void **state)
{
    (void)state;
    static const unsigned char key[LITHOPS__SEAL_KEY_BYTES], zeros[16];
    static const unsigned char of_nothing[] = {0x53, 0x0f, 0x8a, 0xfb, 0xc7, 0x45, 0x36, 0xb9,
                                               0xa9, 0x63, 0xb4, 0xf1, 0xc4, 0xcb, 0x73, 0x8b};
    static const unsigned char of_zeros[] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e,
                                             0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
                                             0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0,
                                             0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
    unsigned char sealed[sizeof of_zeros];
    assert_int_equal(crypto->seal(key, (lithops_bytes){NULL, 0}, sealed), 0);
    assert_memory_equal(sealed, of_nothing, sizeof of_nothing);
    assert_int_equal(crypto->seal(key, (lithops_bytes){zeros, sizeof zeros}, sealed), 0);
    assert_memory_equal(sealed, of_zeros, sizeof of_zeros);
}

static void a_changed_seal_does_not_open(void **state)
{
    (void)state;
    static const unsigned char key[LITHOPS__SEAL_KEY_BYTES] = {1}, other[sizeof key] = {2};
    unsigned char sealed[6 + LITHOPS__SEAL_TAG_BYTES], opened[6];
    const lithops_bytes all = {sealed, sizeof sealed};
    assert_int_equal(crypto->seal(key, text("secret"), sealed), 0);
    assert_int_equal(crypto->unseal(key, all, opened), 0);
    assert_memory_equal(opened, "secret", 6);
    assert_int_equal(crypto->unseal(other, all, opened), EBADMSG);
    assert_int_equal(crypto->unseal(key, (lithops_bytes){sealed, 15}, opened), EBADMSG);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 4;
        assert_int_equal(crypto->unseal(key, all, opened), EBADMSG);
        sealed[i] ^= 4;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_memory),
        cmocka_unit_test(md5_of_memory),
        cmocka_unit_test(sha1_of_memory),
        cmocka_unit_test(sha256_of_a_file),
        cmocka_unit_test(hmac),
        cmocka_unit_test(seals_are_of_the_specification),
        cmocka_unit_test(a_changed_seal_does_not_open),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
