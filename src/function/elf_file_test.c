/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the ELF reader: real files, and files that lie. Run under the sanitizers to mean it. */
#include "function/library.h"

#include <elf.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned char *bytes; /* libplain.so */
static size_t size;
static int fd; /* a file in memory */
static char path[64];

static void read_all(const char *from)
{
    FILE *file = fopen(from, "r");
    assert_non_null(file);
    struct stat st;
    assert_int_equal(fstat(fileno(file), &st), 0);
    size = (size_t)st.st_size;
    bytes = malloc(size);
    assert_int_equal(fread(bytes, 1, size, file), size);
    fclose(file);
}

static int set_up(void **state)
{
    (void)state;
    read_all(TESTLIB "/libplain.so");
    fd = memfd_create("elf_file_test", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return fd < 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(bytes);
    return close(fd);
}

/* Read the file, all of its symbols, every name to its end. */
static int read_it(lithops_error *err)
{
    struct lithops__elf *elf;
    int code = lithops__elf_open(path, &elf, err);
    if (code != 0)
        return code;
    size_t total = 0;
    struct lithops__elf_symbol symbol;
    for (size_t i = 0; i < elf->symbol_count; i++)
        if (lithops__elf_symbol(elf, i, &symbol))
            total += strlen(symbol.name);
    for (size_t i = 0; i < elf->needed_count; i++)
        total += strlen(elf->needed[i]);
    total += strlen(elf->soname ? elf->soname : "") + strlen(elf->runpath ? elf->runpath : "");
    lithops__elf_free(elf);
    assert_true(total < 1u << 30);
    return 0;
}

static int read_bytes(const void *data, size_t len, lithops_error *err)
{
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, data, len, 0), (ssize_t)len);
    return read_it(err);
}

static void a_library_is_read(void **state)
{
    (void)state;
    struct lithops__elf *elf;
    struct lithops__elf_symbol symbol;
    assert_int_equal(lithops__elf_open(TESTLIB "/libupper.so", &elf, NULL), 0);
    assert_true(elf->is_library);
    assert_string_equal(elf->soname, "libupper.so");
    bool found = false;
    for (size_t i = 0; i < elf->needed_count; i++)
        found = found || strcmp(elf->needed[i], "liblower.so") == 0;
    assert_true(found);
    assert_non_null(strstr(elf->runpath ? elf->runpath : elf->rpath, TESTLIB));
    assert_true(lithops__elf_find(elf, "upper_answer", &symbol));
    assert_int_equal(symbol.type, STT_FUNC);
    assert_false(lithops__elf_find(elf, "lower_answer", &symbol)); /* undefined here */
    lithops__elf_free(elf);
}

static void the_c_library_is_read(void **state)
{
    (void)state;
    struct lithops__library library;
    struct lithops__elf_symbol symbol;
    assert_int_equal(lithops__library_search("libm.so.6", NULL, &library, NULL), 0);
    assert_true(lithops__path_is_system(library.path));
    assert_true(library.elf->symbol_count > 500);
    assert_true(lithops__elf_find(library.elf, "pow", &symbol));
    assert_true(lithops__elf_find(library.elf, "sin", &symbol));
    assert_true(symbol.type == STT_GNU_IFUNC || symbol.type == STT_FUNC);
    lithops__library_deinit(&library);
}

static void a_program_is_no_library(void **state)
{
    (void)state;
    struct lithops__elf *elf;
    assert_int_equal(lithops__elf_open("/proc/self/exe", &elf, NULL), 0);
    assert_false(elf->is_library);
    assert_true(elf->needed_count > 0);
    lithops__elf_free(elf);
}

static void the_header_is_checked(void **state)
{
    (void)state;
    unsigned char *copy = malloc(size);
    ElfW(Ehdr) *header = (ElfW(Ehdr) *)copy;
    lithops_error err;
    memcpy(copy, bytes, size);
    header->e_ident[EI_CLASS] = ELFCLASS32;
    assert_int_equal(read_bytes(copy, size, &err), LITHOPS_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "is not for 64-bit programs"));
    memcpy(copy, bytes, size);
    header->e_machine = EM_S390;
    assert_int_equal(read_bytes(copy, size, &err), LITHOPS_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "another kind of processor"));
    memcpy(copy, bytes, size);
    header->e_ident[EI_DATA] = ELFDATA2MSB;
    assert_int_equal(read_bytes(copy, size, &err), LITHOPS_EUNSUPPORTED);
    memcpy(copy, bytes, size);
    header->e_phentsize = 1;
    assert_int_equal(read_bytes(copy, size, &err), LITHOPS_EPARSE);
    memcpy(copy, bytes, size);
    header->e_phoff = UINT64_MAX - 8;
    assert_int_equal(read_bytes(copy, size, &err), LITHOPS_EPARSE);
    free(copy);
}

/* Cut the file at every byte of its headers and every 61 bytes from there. */
static void a_truncated_file_is_damaged(void **state)
{
    (void)state;
    for (size_t len = 0; len < size; len += len < 1200 ? 1 : 61) {
        lithops_error err = LITHOPS_ERROR_INIT;
        int code = read_bytes(bytes, len, &err);
        if (code != 0 && code != LITHOPS_EPARSE)
            fail_msg("cut at %zu: %d %s", len, code, err.message);
        if (len < 1200)
            assert_int_equal(code, LITHOPS_EPARSE);
    }
}

/* Each word of the dynamic section in turn becomes a number that a reader may stumble on. */
static void every_lie_in_the_dynamic_section_is_survived(void **state)
{
    (void)state;
    static const uint64_t lies[] = {
        0, 1, 7, 0x1000, 0x7fffffff, UINT32_MAX, INT64_MAX, UINT64_MAX - 7, UINT64_MAX};
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)bytes;
    const ElfW(Phdr) *segments = (const ElfW(Phdr) *)(bytes + header->e_phoff);
    unsigned char *copy = malloc(size);
    size_t tried = 0, refused = 0;
    for (size_t s = 0; s < header->e_phnum; s++) {
        if (segments[s].p_type != PT_DYNAMIC)
            continue;
        for (size_t at = 0; at < segments[s].p_filesz; at += sizeof(uint64_t))
            for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                memcpy(copy, bytes, size);
                memcpy(copy + segments[s].p_offset + at, &lies[i], sizeof lies[i]);
                refused += read_bytes(copy, size, NULL) != 0;
                tried++;
            }
    }
    free(copy);
    assert_true(tried > 200);
    assert_true(refused > 20);
}

/* The same for each word of the header and the program headers. */
static void every_lie_in_the_headers_is_survived(void **state)
{
    (void)state;
    static const uint32_t lies[] = {0, 1, 0x7fffffff, UINT32_MAX};
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)bytes;
    size_t end = header->e_phoff + header->e_phnum * sizeof(ElfW(Phdr));
    unsigned char *copy = malloc(size);
    for (size_t at = 4; at < end; at += sizeof lies[0])
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
            memcpy(copy, bytes, size);
            memcpy(copy + at, &lies[i], sizeof lies[i]);
            read_bytes(copy, size, NULL);
        }
    free(copy);
}

static void random_damage_is_survived(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u; /* xorshift: the same damage in every run */
    unsigned char *copy = malloc(size);
    for (int round = 0; round < 1500; round++) {
        memcpy(copy, bytes, size);
        for (int i = 0; i < 20; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            /* Mostly in the first 8 KiB, where everything that is read lies. */
            copy[(random >> 8) % (i % 4 ? 8192 : size)] = (unsigned char)random;
        }
        memcpy(copy, bytes, 64); /* a good header, or nothing else would be looked at */
        read_bytes(copy, size, NULL);
    }
    free(copy);
}

/* A sparse file may claim tables of terabytes. */
static void huge_tables_cost_no_memory(void **state)
{
    (void)state;
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)bytes;
    unsigned char *copy = malloc(size);
    memcpy(copy, bytes, size);
    ElfW(Phdr) *segments = (ElfW(Phdr) *)(copy + header->e_phoff);
    for (size_t s = 0; s < header->e_phnum; s++)
        if (segments[s].p_type == PT_LOAD)
            segments[s].p_filesz = 1ll << 40;
        else if (segments[s].p_type == PT_DYNAMIC)
            for (size_t at = 0; at < segments[s].p_filesz; at += sizeof(ElfW(Dyn))) {
                ElfW(Dyn) *entry = (ElfW(Dyn) *)(copy + segments[s].p_offset + at);
                if (entry->d_tag == DT_STRSZ)
                    entry->d_un.d_val = 1ll << 39;
            }
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, copy, size, 0), (ssize_t)size);
    free(copy);
    lithops_error err = LITHOPS_ERROR_INIT;
    if (ftruncate(fd, 1ll << 41) == 0)
        assert_int_equal(read_it(&err), LITHOPS_EPARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_library_is_read),
        cmocka_unit_test(the_c_library_is_read),
        cmocka_unit_test(a_program_is_no_library),
        cmocka_unit_test(the_header_is_checked),
        cmocka_unit_test(a_truncated_file_is_damaged),
        cmocka_unit_test(every_lie_in_the_dynamic_section_is_survived),
        cmocka_unit_test(every_lie_in_the_headers_is_survived),
        cmocka_unit_test(random_damage_is_survived),
        cmocka_unit_test(huge_tables_cost_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
