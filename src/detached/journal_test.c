/* SPDX-License-Identifier: Apache-2.0 */
#include "detached/journal.h"

#include "base/clock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
static int folder;
static lithops_error err;

static int make_folder(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/lithops-journal-XXXXXX");
    folder = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY) : -1;
    return folder < 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlinkat(folder, "M000", 0);
    close(folder);
    return rmdir(path);
}

static struct lithops__journal create(void)
{
    struct lithops__journal journal;
    const struct lithops__journal_header header = {
        .calls = 10, .kind = 'M', .executor_id = "a1b2c3-0", .function = "square"};
    assert_int_equal(lithops__journal_create(&journal, folder, "M000", &header, &err), 0);
    return journal;
}

static void append(struct lithops__journal *journal, const char *text)
{
    assert_int_equal(lithops__journal_append(journal, LITHOPS__JOURNAL_OUTCOMES,
                                             (lithops_bytes){text, strlen(text)}, &err),
                     0);
}

/* All texts that it holds, with a stroke behind each. */
static void texts_are(const char *expected, bool all)
{
    struct lithops__journal journal;
    char texts[256] = "";
    uint32_t type;
    lithops_bytes bytes;
    int rc;
    assert_int_equal(lithops__journal_open(&journal, folder, "M000", &err), 0);
    while ((rc = lithops__journal_read(&journal, all, &type, &bytes, &err)) == 1) {
        assert_int_equal(type, LITHOPS__JOURNAL_OUTCOMES);
        strncat(texts, bytes.ptr, bytes.len);
        strcat(texts, "|");
    }
    assert_int_equal(rc, 0);
    assert_string_equal(texts, expected);
    lithops__journal_close(&journal);
}

static void records_are_read_as_written(void **state)
{
    (void)state;
    struct lithops__journal journal = create();
    texts_are("", false);
    append(&journal, "one");
    append(&journal, "");
    append(&journal, "a longer one than that");
    texts_are("one||a longer one than that|", false);
    lithops__journal_close(&journal);
    assert_int_equal(lithops__journal_open(&journal, folder, "M000", &err), 0);
    assert_int_equal(journal.header->calls, 10);
    assert_string_equal(journal.header->executor_id, "a1b2c3-0");
    lithops__journal_close(&journal);
}

/* The writer was killed in the middle of a record, or before it has counted it. */
static void rest_of_a_record_is_cut_off(void **state)
{
    (void)state;
    struct lithops__journal journal = create();
    append(&journal, "first");
    uint64_t first = journal.at;
    append(&journal, "second");
    uint64_t end = journal.at;
    atomic_store(&journal.header->end, first);
    texts_are("first|", false);
    texts_are("first|second|", true);
    for (uint64_t size = end - 1; size > first; size--) {
        assert_int_equal(ftruncate(journal.fd, (off_t)size), 0);
        texts_are("first|", true);
    }
    journal.at = first;
    assert_int_equal(lithops__journal_cut(&journal, &err), 0);
    append(&journal, "other");
    texts_are("first|other|", false);
    lithops__journal_close(&journal);
}

static void damage_ends_the_journal(void **state)
{
    (void)state;
    struct lithops__journal journal = create();
    append(&journal, "first");
    uint64_t second = journal.at;
    append(&journal, "second");
    for (uint64_t at = second; at < second + LITHOPS__JOURNAL_RECORD + 6; at++) {
        char byte;
        assert_int_equal(pread(journal.fd, &byte, 1, (off_t)at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(journal.fd, &byte, 1, (off_t)at), 1);
        texts_are("first|", false);
        byte ^= 0x10;
        assert_int_equal(pwrite(journal.fd, &byte, 1, (off_t)at), 1);
    }
    texts_are("first|second|", false);
    atomic_store(&journal.header->end, UINT64_MAX); /* no reader goes beyond the file */
    texts_are("first|second|", false);
    lithops__journal_close(&journal);
    int fd = openat(folder, "M000", O_RDWR);
    assert_int_equal(pwrite(fd, "\xff", 1, 40), 1);
    close(fd);
    assert_int_equal(lithops__journal_open(&journal, folder, "M000", &err), LITHOPS_EPARSE);
    assert_non_null(strstr(err.message, "damaged"));
}

/* As on a full disk: nothing of it is left, and later there is room. */
static void what_cannot_be_written_is_not_there(void **state)
{
    (void)state;
    struct rlimit limit, old;
    struct lithops__journal journal = create();
    append(&journal, "first");
    uint64_t first = journal.at;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = (struct rlimit){first + 20, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int rc = lithops__journal_append(&journal, LITHOPS__JOURNAL_OUTCOMES,
                                     (lithops_bytes){"too long for that", 17}, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(rc < 0);
    assert_int_equal(journal.at, first);
    texts_are("first|", true);
    append(&journal, "too long for that");
    texts_are("first|too long for that|", false);
    lithops__journal_close(&journal);
}

static void other_versions_are_named(void **state)
{
    (void)state;
    struct lithops__journal journal = create();
    journal.header->version = 9;
    lithops__journal_close(&journal);
    assert_int_equal(lithops__journal_open(&journal, folder, "M000", &err), LITHOPS_EPARSE);
    assert_non_null(strstr(err.message, "version 9"));
    assert_int_equal(lithops__journal_open(&journal, folder, "M001", &err), LITHOPS_ENOTFOUND);
}

/* The wall clock may be set: it only counts after a new start of the machine. */
static void ages_do_not_jump_with_the_clock(void **state)
{
    (void)state;
    const uint64_t second = 1000000000, day = 86400 * second;
    uint64_t boot = lithops__boot(), now = lithops__boot_ns(), wall = lithops__wall_ns();
    assert_in_range(lithops__age_ns(boot, now - second, wall - 30 * day), second, 60 * second);
    assert_in_range(lithops__age_ns(boot, now - second, wall + 30 * day), second, 60 * second);
    assert_in_range(lithops__age_ns(boot + 1, 0, wall - day), day, day + 60 * second);
    assert_int_equal(lithops__age_ns(boot + 1, 0, wall + day), 0);
}

static void checksum_is_that_of_zlib(void **state)
{
    (void)state;
    assert_int_equal(lithops__crc32(0, "123456789", 9), 0xcbf43926u);
    assert_int_equal(lithops__crc32(lithops__crc32(0, "1234", 4), "56789", 5), 0xcbf43926u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_are_read_as_written, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(rest_of_a_record_is_cut_off, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(damage_ends_the_journal, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_not_there, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(other_versions_are_named, make_folder, remove_folder),
        cmocka_unit_test(ages_do_not_jump_with_the_clock),
        cmocka_unit_test(checksum_is_that_of_zlib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
