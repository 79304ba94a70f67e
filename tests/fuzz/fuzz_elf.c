/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of the ELF reader: whatever a file holds, it is read or refused, and every name found is
 * terminated. The corpus consists of tiny shared libraries: with a GNU and with a System V hash
 * table, with symbol versions, with a needed library and a search path. */
#include "function/elf_file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A name is terminated within the file. */
static void check(const char *name, size_t size)
{
    if (name && strlen(name) > size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz_elf", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    struct lithops__elf *elf;
    if (lithops__elf_open(path, &elf, NULL) != 0)
        return 0;
    struct lithops__elf_symbol symbol;
    for (size_t i = 0; i < elf->symbol_count; i++)
        if (lithops__elf_symbol(elf, i, &symbol))
            check(symbol.name, size);
    for (size_t i = 0; i < elf->needed_count; i++)
        check(elf->needed[i], size);
    check(elf->soname, size);
    check(elf->rpath, size);
    check(elf->runpath, size);
    lithops__elf_find(elf, "function", &symbol);
    lithops__elf_free(elf);
    return 0;
}
