/* SPDX-License-Identifier: Apache-2.0 */
/* What the dynamic linker would see of an ELF file, read without running any of it. */
#ifndef LITHOPS_FUNCTION_ELF_FILE_H
#define LITHOPS_FUNCTION_ELF_FILE_H

#include <lithops/error.h>

#include <link.h>

struct lithops__elf {
    char *strings; /* .dynstr and a NUL; the names below point into it */
    size_t strings_len;
    ElfW(Sym) * symbols;
    size_t symbol_count;
    ElfW(Half) * versions; /* one per symbol, or NULL */
    const char **needed;   /* DT_NEEDED */
    size_t needed_count;
    const char *soname, *rpath, *runpath; /* or NULL */
    bool is_library;                      /* dlopen(3) would take it */
};

/* Open a file of this machine's kind. LITHOPS_ENOTFOUND, LITHOPS_EDENIED, LITHOPS_EIO;
 * LITHOPS_EUSAGE (a folder, a device), LITHOPS_EPARSE (no ELF file, or a damaged one),
 * LITHOPS_EUNSUPPORTED (of another kind of machine), LITHOPS_ENOMEM. Programs and libraries
 * alike; a file without a dynamic section has no symbols. */
int lithops__elf_open(const char *path, struct lithops__elf **ret_elf, lithops_error *err);
void lithops__elf_free(struct lithops__elf *elf); /* NULL is fine */

struct lithops__elf_symbol {
    const char *name; /* borrowed from elf */
    int type;         /* STT_FUNC, STT_OBJECT, STT_GNU_IFUNC, ... */
    uint64_t size_bytes;
};
/* The symbol at `index` (below symbol_count); false when dlsym(3) would not give it: undefined,
 * local, or only there for programs linked against an older version. */
bool lithops__elf_symbol(const struct lithops__elf *elf, size_t index,
                         struct lithops__elf_symbol *ret_symbol);
bool lithops__elf_find(const struct lithops__elf *elf, const char *name,
                       struct lithops__elf_symbol *ret_symbol);

#endif
