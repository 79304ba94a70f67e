/* SPDX-License-Identifier: Apache-2.0 */
/* Reading ELF files: symbols, needed libraries, search paths.
 *
 * What the dynamic linker believes is what counts, so everything comes from the program headers
 * and the dynamic section; section headers, which it ignores and strip(1) may remove, are not
 * looked at.
 *
 * The file is not trusted: it may be truncated, damaged, made to harm, or change while it is
 * read. It is read with pread(2) into memory of our own, never mapped (a mapping of a file that
 * shrinks is a SIGBUS in the caller's program). Every table is bounded by its segment, by the
 * file's size and by TABLE_LIMIT before memory is asked for, and every string by .dynstr. Whoever
 * makes a file that lies can make us give a wrong answer about that file, and no more. */
#include "function/elf_file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TABLE_LIMIT = 256 << 20, /* the biggest libraries have .dynstr of some 50 MB */
    DYNAMIC_LIMIT = 1 << 20,
};

/* One's own ELF header, placed by the linker: this code's class, byte order and machine are the
 * ones that a library must have, with no table of machines to keep. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

struct reader {
    const char *path;
    int fd;
    uint64_t file_size;
    ElfW(Ehdr) header;
    ElfW(Phdr) * segments;
    struct lithops__elf *elf;
};

static int damaged(const struct reader *reader, const char *what, lithops_error *err)
{
    return lithops__fail(err, LITHOPS_EPARSE, "'%s' is damaged: %s; build or copy it again",
                         reader->path, what);
}

/* Read exactly [offset, offset + len), and one NUL behind it, for free(). */
static int read_part(const struct reader *reader, uint64_t offset, uint64_t len, const char *what,
                     void *ret_part, lithops_error *err)
{
    if (len > TABLE_LIMIT || offset > reader->file_size || len > reader->file_size - offset)
        return damaged(reader, what, err);
    char *part = malloc(len + 1);
    if (!part)
        return lithops__fail(err, LITHOPS_ENOMEM, "no memory to read '%s'", reader->path);
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(reader->fd, part + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int code = n < 0 ? lithops__fail_errno(err, errno, "cannot read '%s'", reader->path)
                             : damaged(reader, what, err);
            free(part);
            return code;
        }
        done += (size_t)n;
    }
    part[len] = '\0';
    memcpy(ret_part, &part, sizeof part); /* into a pointer of any type */
    return 0;
}

/* Where the loader would map `address` from: the file offset and how many bytes of the segment
 * follow. */
static bool locate(const struct reader *reader, uint64_t address, uint64_t *ret_offset,
                   uint64_t *ret_room)
{
    for (size_t i = 0; i < reader->header.e_phnum; i++) {
        const ElfW(Phdr) *segment = &reader->segments[i];
        if (segment->p_type != PT_LOAD || address < segment->p_vaddr ||
            address - segment->p_vaddr >= segment->p_filesz)
            continue;
        uint64_t inside = address - segment->p_vaddr;
        if (inside > UINT64_MAX - segment->p_offset)
            return false;
        *ret_offset = segment->p_offset + inside;
        *ret_room = segment->p_filesz - inside;
        return true;
    }
    return false;
}

static int read_at_address(const struct reader *reader, uint64_t address, uint64_t len,
                           const char *what, void *ret_part, lithops_error *err)
{
    uint64_t offset, room;
    if (!locate(reader, address, &offset, &room) || len > room)
        return damaged(reader, what, err);
    return read_part(reader, offset, len, what, ret_part, err);
}

/* ---- what kind of file it is ----------------------------------------------------------------- */

static int open_file(struct reader *reader, lithops_error *err)
{
    /* O_NONBLOCK: a FIFO must not make us wait for a writer. */
    reader->fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (reader->fd < 0 || fstat(reader->fd, &st) != 0)
        return lithops__fail_errno(err, errno, "cannot open '%s'", reader->path);
    if (S_ISDIR(st.st_mode))
        return lithops__fail(err, LITHOPS_EUSAGE, "'%s' is a folder, not a shared library",
                             reader->path);
    if (!S_ISREG(st.st_mode))
        return lithops__fail(err, LITHOPS_EUSAGE, "'%s' is no regular file", reader->path);
    reader->file_size = (uint64_t)st.st_size;
    return 0;
}

static int not_elf(const struct reader *reader, lithops_error *err)
{
    char *start = NULL;
    uint64_t len = reader->file_size < 512 ? reader->file_size : 512;
    int code = read_part(reader, 0, len, "it cannot be read", &start, err);
    if (code != 0)
        return code;
    bool script = strstr(start, "GNU ld script") || strstr(start, "GROUP (") ||
                  strstr(start, "INPUT (") || strstr(start, "INPUT(");
    bool archive = strncmp(start, "!<arch>", 7) == 0;
    free(start);
    if (len == 0)
        return lithops__fail(err, LITHOPS_EPARSE, "'%s' is empty, not a shared library",
                             reader->path);
    if (script)
        return lithops__fail(err, LITHOPS_EPARSE,
                             "'%s' is a script for the linker, not a shared library; name the "
                             "library with its version, as in libm.so.6",
                             reader->path);
    return lithops__fail(err, LITHOPS_EPARSE, "'%s' is %s; build one with cc -shared -fPIC",
                         reader->path,
                         archive ? "a static library, not a shared one" : "not a shared library");
}

static int read_header(struct reader *reader, lithops_error *err)
{
    const ElfW(Ehdr) *ours = &__ehdr_start;
    ElfW(Ehdr) *header = &reader->header;
    unsigned char *start;
    if (reader->file_size < SELFMAG)
        return not_elf(reader, err);
    uint64_t len = reader->file_size < sizeof *header ? reader->file_size : sizeof *header;
    int code = read_part(reader, 0, len, "its header cannot be read", &start, err);
    if (code != 0)
        return code;
    memcpy(header, start, len);
    free(start);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return not_elf(reader, err);
    if (len < EI_NIDENT)
        return damaged(reader, "its header is cut off", err);
    if (header->e_ident[EI_CLASS] != ours->e_ident[EI_CLASS])
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "'%s' is for %s-bit programs, this one is %zu-bit; build it for this "
                             "machine",
                             reader->path, header->e_ident[EI_CLASS] == ELFCLASS32 ? "32" : "64",
                             8 * sizeof(void *));
    if (len < sizeof *header)
        return damaged(reader, "its header is cut off", err);
    if (header->e_ident[EI_DATA] != ours->e_ident[EI_DATA] || header->e_machine != ours->e_machine)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "'%s' is for another kind of processor (ELF machine %u, this one is "
                             "%u); build it for this machine",
                             reader->path, header->e_machine, ours->e_machine);
    if (header->e_phnum && header->e_phentsize != sizeof(ElfW(Phdr)))
        return damaged(reader, "its program headers have a wrong size", err);
    return read_part(reader, header->e_phoff, (uint64_t)header->e_phnum * sizeof(ElfW(Phdr)),
                     "its program headers lie outside the file", &reader->segments, err);
}

/* ---- the dynamic section --------------------------------------------------------------------- */

/* Entries of it that matter; 0 means absent, which no valid address or size is. */
struct dynamic {
    ElfW(Dyn) * entries;
    size_t count;
    uint64_t strings, strings_len, symbols, symbol_size, hash, gnu_hash, versions, flags1;
};

static int read_dynamic(const struct reader *reader, struct dynamic *ret, lithops_error *err)
{
    const ElfW(Phdr) *segment = NULL;
    for (size_t i = 0; i < reader->header.e_phnum; i++)
        if (reader->segments[i].p_type == PT_DYNAMIC)
            segment = &reader->segments[i];
    if (!segment)
        return 0;
    if (segment->p_filesz > DYNAMIC_LIMIT)
        return damaged(reader, "its dynamic section is too big", err);
    int code = read_part(reader, segment->p_offset, segment->p_filesz,
                         "its dynamic section lies outside the file", &ret->entries, err);
    if (code != 0)
        return code;
    size_t room = segment->p_filesz / sizeof(ElfW(Dyn));
    while (ret->count < room && ret->entries[ret->count].d_tag != DT_NULL) {
        const ElfW(Dyn) *entry = &ret->entries[ret->count++];
        switch (entry->d_tag) {
        case DT_STRTAB:
            ret->strings = entry->d_un.d_ptr;
            break;
        case DT_STRSZ:
            ret->strings_len = entry->d_un.d_val;
            break;
        case DT_SYMTAB:
            ret->symbols = entry->d_un.d_ptr;
            break;
        case DT_SYMENT:
            ret->symbol_size = entry->d_un.d_val;
            break;
        case DT_HASH:
            ret->hash = entry->d_un.d_ptr;
            break;
        case DT_GNU_HASH:
            ret->gnu_hash = entry->d_un.d_ptr;
            break;
        case DT_VERSYM:
            ret->versions = entry->d_un.d_ptr;
            break;
        case DT_FLAGS_1:
            ret->flags1 = entry->d_un.d_val;
            break;
        default:
            break;
        }
    }
    return 0;
}

static const char *string_at(const struct lithops__elf *elf, uint64_t offset)
{
    return offset < elf->strings_len ? elf->strings + offset : NULL;
}

static int read_names(const struct reader *reader, const struct dynamic *dynamic,
                      lithops_error *err)
{
    struct lithops__elf *elf = reader->elf;
    if (!dynamic->strings || !dynamic->strings_len)
        return dynamic->count ? damaged(reader, "it has no names", err) : 0;
    int code = read_at_address(reader, dynamic->strings, dynamic->strings_len,
                               "its names lie outside the file", &elf->strings, err);
    if (code != 0)
        return code;
    elf->strings_len = dynamic->strings_len;
    elf->needed = calloc(dynamic->count + 1, sizeof elf->needed[0]);
    if (!elf->needed)
        return lithops__fail(err, LITHOPS_ENOMEM, "no memory to read '%s'", reader->path);
    for (size_t i = 0; i < dynamic->count; i++) {
        const ElfW(Dyn) *entry = &dynamic->entries[i];
        const char *name = string_at(elf, entry->d_un.d_val);
        if (entry->d_tag == DT_NEEDED && name)
            elf->needed[elf->needed_count++] = name;
        else if (entry->d_tag == DT_SONAME)
            elf->soname = name;
        else if (entry->d_tag == DT_RPATH)
            elf->rpath = name;
        else if (entry->d_tag == DT_RUNPATH)
            elf->runpath = name;
    }
    return 0;
}

/* ---- symbols --------------------------------------------------------------------------------- */

/* The dynamic section does not say how many symbols there are; the GNU hash table implies it: its
 * buckets hold the first symbol of each chain, and the last chain ends with the last symbol. */
static int count_by_gnu_hash(const struct reader *reader, uint64_t address, size_t *ret_count,
                             lithops_error *err)
{
    const char *what = "its hash table of symbols lies outside the file";
    uint32_t *head = NULL, *buckets = NULL, *chain = NULL;
    int code = read_at_address(reader, address, 4 * sizeof *head, what, &head, err);
    if (code != 0)
        return code;
    uint64_t bucket_count = head[0], skipped = head[1], bloom_words = head[2];
    free(head);
    address += 4 * sizeof *head + bloom_words * sizeof(ElfW(Addr));
    code = read_at_address(reader, address, bucket_count * sizeof *buckets, what, &buckets, err);
    if (code != 0)
        return code;
    uint32_t last = 0;
    for (uint64_t i = 0; i < bucket_count; i++)
        last = buckets[i] > last ? buckets[i] : last;
    free(buckets);
    *ret_count = skipped;
    if (last < skipped)
        return 0; /* nothing is exported */
    address += (bucket_count + last - skipped) * sizeof *chain;
    uint64_t offset, room;
    if (!locate(reader, address, &offset, &room))
        return damaged(reader, what, err);
    /* A chain ends with an odd word. Read pieces until there: it is short in honest files. */
    for (uint64_t at = 0; at < room / sizeof *chain;) {
        uint64_t words = room / sizeof *chain - at < 1024 ? room / sizeof *chain - at : 1024;
        code = read_part(reader, offset + at * sizeof *chain, words * sizeof *chain, what, &chain,
                         err);
        if (code != 0)
            return code;
        uint64_t i = 0;
        while (i < words && !(chain[i] & 1))
            i++;
        free(chain);
        at += i;
        if (i < words) {
            *ret_count = last + at + 1;
            return 0;
        }
    }
    return damaged(reader, "its hash table of symbols has no end", err);
}

static int count_by_hash(const struct reader *reader, uint64_t address, size_t *ret_count,
                         lithops_error *err)
{
    uint32_t *head;
    int code = read_at_address(reader, address, 2 * sizeof *head,
                               "its hash table of symbols lies outside the file", &head, err);
    if (code != 0)
        return code;
    *ret_count = head[1];
    free(head);
    return 0;
}

static int read_symbols(const struct reader *reader, const struct dynamic *dynamic,
                        lithops_error *err)
{
    struct lithops__elf *elf = reader->elf;
    size_t count = 0;
    int code = 0;
    if (!dynamic->symbols)
        return 0;
    if (dynamic->symbol_size != sizeof(ElfW(Sym)))
        return damaged(reader, "its symbols have a wrong size", err);
    if (dynamic->gnu_hash)
        code = count_by_gnu_hash(reader, dynamic->gnu_hash, &count, err);
    else if (dynamic->hash)
        code = count_by_hash(reader, dynamic->hash, &count, err);
    if (code == 0 && count)
        code = read_at_address(reader, dynamic->symbols, (uint64_t)count * sizeof(ElfW(Sym)),
                               "its symbols lie outside the file", &elf->symbols, err);
    if (code == 0 && count && dynamic->versions)
        code = read_at_address(reader, dynamic->versions, (uint64_t)count * sizeof(ElfW(Half)),
                               "its symbol versions lie outside the file", &elf->versions, err);
    if (code == 0)
        elf->symbol_count = count;
    return code;
}

bool lithops__elf_symbol(const struct lithops__elf *elf, size_t index,
                         struct lithops__elf_symbol *ret_symbol)
{
    enum { HIDDEN = 0x8000, LOCAL = 0 }; /* in a version word */
    const ElfW(Sym) *symbol = &elf->symbols[index];
    const char *name = string_at(elf, symbol->st_name);
    /* The layout of st_info is the same for 32 and 64 bits. */
    int binding = ELF64_ST_BIND(symbol->st_info);
    if (!name || !*name || symbol->st_shndx == SHN_UNDEF || binding == STB_LOCAL)
        return false;
    if (elf->versions && (elf->versions[index] & HIDDEN || elf->versions[index] == LOCAL))
        return false;
    *ret_symbol = (struct lithops__elf_symbol){
        .name = name, .type = ELF64_ST_TYPE(symbol->st_info), .size_bytes = symbol->st_size};
    return true;
}

bool lithops__elf_find(const struct lithops__elf *elf, const char *name,
                       struct lithops__elf_symbol *ret_symbol)
{
    struct lithops__elf_symbol symbol;
    for (size_t i = 0; i < elf->symbol_count; i++)
        if (lithops__elf_symbol(elf, i, &symbol) && strcmp(symbol.name, name) == 0) {
            *ret_symbol = symbol;
            return true;
        }
    return false;
}

/* ---- open and free --------------------------------------------------------------------------- */

int lithops__elf_open(const char *path, struct lithops__elf **ret_elf, lithops_error *err)
{
    struct reader reader = {.path = path, .fd = -1, .elf = calloc(1, sizeof *reader.elf)};
    struct dynamic dynamic = {0};
    int code;
    if (!reader.elf)
        return lithops__fail(err, LITHOPS_ENOMEM, "no memory to read '%s'", path);
    if ((code = open_file(&reader, err)) != 0 || (code = read_header(&reader, err)) != 0 ||
        (code = read_dynamic(&reader, &dynamic, err)) != 0 ||
        (code = read_names(&reader, &dynamic, err)) != 0 ||
        (code = read_symbols(&reader, &dynamic, err)) != 0)
        goto out;
    reader.elf->is_library = reader.header.e_type == ET_DYN && dynamic.count &&
                             !(dynamic.flags1 & (DF_1_PIE | DF_1_NOOPEN));
    *ret_elf = reader.elf;
    reader.elf = NULL;
out:
    if (reader.fd >= 0)
        close(reader.fd);
    free(reader.segments);
    free(dynamic.entries);
    lithops__elf_free(reader.elf);
    return code;
}

void lithops__elf_free(struct lithops__elf *elf)
{
    if (!elf)
        return;
    free(elf->strings);
    free(elf->symbols);
    free(elf->versions);
    free(elf->needed);
    free(elf);
}
