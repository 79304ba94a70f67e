/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the ELF reader: whatever a file holds, it is read or refused, and every name that comes
 * out of it ends. The corpus are tiny shared libraries: with a GNU and with a System V hash table,
 * with symbol versions, with a needed library and a search path. */
#include "function/elf_file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
    volatile size_t total = 0;
    struct lithops__elf_symbol symbol;
    for (size_t i = 0; i < elf->symbol_count; i++)
        if (lithops__elf_symbol(elf, i, &symbol))
            total += strlen(symbol.name);
    for (size_t i = 0; i < elf->needed_count; i++)
        total += strlen(elf->needed[i]);
    const char *const names[] = {elf->soname, elf->rpath, elf->runpath};
    for (size_t i = 0; i < 3; i++)
        total += names[i] ? strlen(names[i]) : 0;
    lithops__elf_find(elf, "function", &symbol);
    lithops__elf_free(elf);
    return 0;
}
