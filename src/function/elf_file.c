/* SPDX-License-Identifier: Apache-2.0 */
/* Reading ELF files: symbols, needed libraries, search paths.
 *
 * Only what the dynamic linker uses is read: program headers and the dynamic section. It ignores
 * section headers, which strip(1) may remove, and so does this code.
 *
 * The file is not trusted: it may be truncated, damaged, malicious, or change while it is read. It
 * is read with pread(2) into memory of our own, never mapped (a mapping of a file that shrinks is a
 * SIGBUS in the caller's program). Every table is bounded by its segment, by the file's size and by
 * TABLE_LIMIT before memory is asked for, and every string by .dynstr. A malicious file can only
 * cause a wrong answer about itself. */
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

/* This program's own ELF header, defined by the linker: a library must have the same class, byte
 * order and machine. This avoids a table of machines. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* One reading. A step that fails sets `code`, fills `err` and returns false or NULL. */
struct reader {
    const char *path;
    lithops_error *err;
    int code;
    int fd;
    uint64_t file_size;
    ElfW(Ehdr) header;
    ElfW(Phdr) * segments;
    struct lithops__elf *elf;
};

static bool damaged(struct reader *reader, const char *what)
{
    reader->code = lithops__fail(reader->err, LITHOPS_EPARSE,
                                 "'%s' is damaged: %s; build or copy it again", reader->path, what);
    return false;
}

static bool out_of_memory(struct reader *reader)
{
    reader->code =
        lithops__fail(reader->err, LITHOPS_ENOMEM, "no memory to read '%s'", reader->path);
    return false;
}

static bool read_failed(struct reader *reader, int os_errno)
{
    reader->code = lithops__fail_errno(reader->err, os_errno, "cannot read '%s'", reader->path);
    return false;
}

/* Exactly [offset, offset + len), and one NUL behind it; for free(). */
static void *read_part(struct reader *reader, uint64_t offset, uint64_t len, const char *what)
{
    if (len > TABLE_LIMIT || offset > reader->file_size || len > reader->file_size - offset) {
        damaged(reader, what);
        return NULL;
    }
    char *part = calloc(1, len + 1);
    if (!part) {
        out_of_memory(reader);
        return NULL;
    }
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(reader->fd, part + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n < 0)
                read_failed(reader, errno);
            else
                damaged(reader, what); /* the file was truncated meanwhile */
            free(part);
            return NULL;
        }
        done += (size_t)n;
    }
    return part;
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

static void *read_at_address(struct reader *reader, uint64_t address, uint64_t len,
                             const char *what)
{
    uint64_t offset, room;
    if (!locate(reader, address, &offset, &room) || len > room) {
        damaged(reader, what);
        return NULL;
    }
    return read_part(reader, offset, len, what);
}

/* ---- what kind of file it is ----------------------------------------------------------------- */

static bool refuse(struct reader *reader, int code, const char *why)
{
    reader->code = lithops__fail(reader->err, code, "'%s' %s", reader->path, why);
    return false;
}

static bool open_file(struct reader *reader)
{
    /* O_NONBLOCK: a FIFO must not make us wait for a writer. */
    reader->fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (reader->fd < 0 || fstat(reader->fd, &st) != 0)
        return read_failed(reader, errno);
    if (S_ISDIR(st.st_mode))
        return refuse(reader, LITHOPS_EUSAGE, "is a folder, not a shared library");
    if (!S_ISREG(st.st_mode))
        return refuse(reader, LITHOPS_EUSAGE, "is not a regular file");
    reader->file_size = (uint64_t)st.st_size;
    return true;
}

static bool not_elf(struct reader *reader)
{
    uint64_t len = reader->file_size < 512 ? reader->file_size : 512;
    char *start = read_part(reader, 0, len, "it cannot be read");
    if (!start)
        return false;
    bool script = strstr(start, "GNU ld script") || strstr(start, "GROUP (") ||
                  strstr(start, "INPUT (") || strstr(start, "INPUT(");
    bool archive = strncmp(start, "!<arch>", 7) == 0;
    free(start);
    if (len == 0)
        return refuse(reader, LITHOPS_EPARSE, "is empty, not a shared library");
    if (script)
        return refuse(reader, LITHOPS_EPARSE,
                      "is a script for the linker, not a shared library; name the library with "
                      "its version, as in libm.so.6");
    return refuse(reader, LITHOPS_EPARSE,
                  archive ? "is a static library, not a shared one; build one with cc -shared -fPIC"
                          : "is not a shared library; build one with cc -shared -fPIC");
}

static bool other_machine(struct reader *reader)
{
    const ElfW(Ehdr) *header = &reader->header, *ours = &__ehdr_start;
    if (header->e_ident[EI_CLASS] != ours->e_ident[EI_CLASS])
        return !refuse(reader, LITHOPS_EUNSUPPORTED,
                       sizeof(void *) == 8
                           ? "is not for 64-bit programs, as this one is; build it for this machine"
                           : "is not for 32-bit programs, as this one is; build it for this "
                             "machine");
    if (header->e_ident[EI_DATA] == ours->e_ident[EI_DATA] && header->e_machine == ours->e_machine)
        return false;
    return !refuse(reader, LITHOPS_EUNSUPPORTED,
                   "is for another kind of processor; build it for this machine");
}

static bool read_header(struct reader *reader)
{
    ElfW(Ehdr) *header = &reader->header;
    uint64_t len = reader->file_size < sizeof *header ? reader->file_size : sizeof *header;
    void *start = read_part(reader, 0, len, "its header cannot be read");
    if (!start)
        return false;
    memcpy(header, start, len); /* the rest of it is zero */
    free(start);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return not_elf(reader);
    if (len < sizeof *header)
        return damaged(reader, "its header is cut off");
    if (other_machine(reader))
        return false;
    if (header->e_phnum && header->e_phentsize != sizeof(ElfW(Phdr)))
        return damaged(reader, "its program headers have a wrong size");
    reader->segments =
        read_part(reader, header->e_phoff, (uint64_t)header->e_phnum * sizeof(ElfW(Phdr)),
                  "its program headers lie outside the file");
    return reader->segments != NULL;
}

/* ---- the dynamic section --------------------------------------------------------------------- */

/* Entries of it that matter; 0 means absent, which no valid address or size is. */
struct dynamic {
    ElfW(Dyn) * entries;
    size_t count;
    uint64_t strings, strings_len, symbols, symbol_size, hash, gnu_hash, versions, flags1;
};

static void note_entry(struct dynamic *dynamic, const ElfW(Dyn) * entry)
{
    switch (entry->d_tag) {
    case DT_STRTAB:
        dynamic->strings = entry->d_un.d_ptr;
        break;
    case DT_STRSZ:
        dynamic->strings_len = entry->d_un.d_val;
        break;
    case DT_SYMTAB:
        dynamic->symbols = entry->d_un.d_ptr;
        break;
    case DT_SYMENT:
        dynamic->symbol_size = entry->d_un.d_val;
        break;
    case DT_HASH:
        dynamic->hash = entry->d_un.d_ptr;
        break;
    case DT_GNU_HASH:
        dynamic->gnu_hash = entry->d_un.d_ptr;
        break;
    case DT_VERSYM:
        dynamic->versions = entry->d_un.d_ptr;
        break;
    case DT_FLAGS_1:
        dynamic->flags1 = entry->d_un.d_val;
        break;
    default:
        break;
    }
}

/* A file without one has no symbols, which is not a failure. */
static bool read_dynamic(struct reader *reader, struct dynamic *ret)
{
    const ElfW(Phdr) *segment = NULL;
    for (size_t i = 0; i < reader->header.e_phnum; i++)
        if (reader->segments[i].p_type == PT_DYNAMIC)
            segment = &reader->segments[i];
    if (!segment)
        return true;
    if (segment->p_filesz > DYNAMIC_LIMIT)
        return damaged(reader, "its dynamic section is too big");
    ret->entries = read_part(reader, segment->p_offset, segment->p_filesz,
                             "its dynamic section lies outside the file");
    if (!ret->entries)
        return false;
    size_t room = segment->p_filesz / sizeof(ElfW(Dyn));
    while (ret->count < room && ret->entries[ret->count].d_tag != DT_NULL)
        note_entry(ret, &ret->entries[ret->count++]);
    return true;
}

static const char *string_at(const struct lithops__elf *elf, uint64_t offset)
{
    return offset < elf->strings_len ? elf->strings + offset : NULL;
}

static bool read_names(struct reader *reader, const struct dynamic *dynamic)
{
    struct lithops__elf *elf = reader->elf;
    if (!dynamic->count)
        return true;
    if (!dynamic->strings || !dynamic->strings_len)
        return damaged(reader, "it has no names");
    elf->strings = read_at_address(reader, dynamic->strings, dynamic->strings_len,
                                   "its names lie outside the file");
    if (!elf->strings)
        return false;
    elf->strings_len = dynamic->strings_len;
    elf->needed = calloc(dynamic->count, sizeof elf->needed[0]);
    if (!elf->needed)
        return out_of_memory(reader);
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
    return true;
}

/* ---- symbols --------------------------------------------------------------------------------- */

static const char bad_hash[] = "its hash table of symbols lies outside the file";

/* The index of the first odd word at or after `address`, which ends a chain of the GNU hash table.
 * Reads in pieces, as in valid files it is near. */
static bool find_chain_end(struct reader *reader, uint64_t address, uint64_t *ret_index)
{
    uint64_t offset, room;
    if (!locate(reader, address, &offset, &room))
        return damaged(reader, bad_hash);
    uint64_t count = room / sizeof(uint32_t);
    for (uint64_t at = 0; at < count;) {
        uint64_t words = count - at < 1024 ? count - at : 1024, i = 0;
        uint32_t *chain =
            read_part(reader, offset + at * sizeof *chain, words * sizeof *chain, bad_hash);
        if (!chain)
            return false;
        while (i < words && !(chain[i] & 1))
            i++;
        free(chain);
        at += i;
        if (i < words) {
            *ret_index = at;
            return true;
        }
    }
    return damaged(reader, "its hash table of symbols has no end");
}

/* The dynamic section does not say how many symbols there are; the GNU hash table implies it: its
 * buckets hold the first symbol of each chain, and the last chain ends with the last symbol. */
static bool count_by_gnu_hash(struct reader *reader, uint64_t address, uint64_t *ret_count)
{
    uint32_t *head = read_at_address(reader, address, 4 * sizeof *head, bad_hash);
    if (!head)
        return false;
    uint64_t bucket_count = head[0], skipped = head[1], bloom_words = head[2];
    free(head);
    address += 4 * sizeof *head + bloom_words * sizeof(ElfW(Addr));
    uint32_t *buckets = read_at_address(reader, address, bucket_count * sizeof *buckets, bad_hash);
    if (!buckets)
        return false;
    uint64_t last = 0, end = 0;
    for (uint64_t i = 0; i < bucket_count; i++)
        last = buckets[i] > last ? buckets[i] : last;
    free(buckets);
    *ret_count = skipped;
    if (last < skipped)
        return true; /* nothing is exported */
    if (!find_chain_end(reader, address + (bucket_count + last - skipped) * sizeof *buckets, &end))
        return false;
    *ret_count = last + end + 1;
    return true;
}

static bool count_by_hash(struct reader *reader, uint64_t address, uint64_t *ret_count)
{
    uint32_t *head = read_at_address(reader, address, 2 * sizeof *head, bad_hash);
    if (!head)
        return false;
    *ret_count = head[1];
    free(head);
    return true;
}

static bool read_symbols(struct reader *reader, const struct dynamic *dynamic)
{
    struct lithops__elf *elf = reader->elf;
    uint64_t count = 0;
    if (!dynamic->symbols)
        return true;
    if (dynamic->symbol_size != sizeof(ElfW(Sym)))
        return damaged(reader, "its symbols have a wrong size");
    if (dynamic->gnu_hash && !count_by_gnu_hash(reader, dynamic->gnu_hash, &count))
        return false;
    if (!dynamic->gnu_hash && dynamic->hash && !count_by_hash(reader, dynamic->hash, &count))
        return false;
    if (count == 0)
        return true;
    elf->symbols = read_at_address(reader, dynamic->symbols, count * sizeof(ElfW(Sym)),
                                   "its symbols lie outside the file");
    if (!elf->symbols)
        return false;
    elf->symbol_count = count;
    if (dynamic->versions)
        elf->versions = read_at_address(reader, dynamic->versions, count * sizeof(ElfW(Half)),
                                        "its symbol versions lie outside the file");
    return !dynamic->versions || elf->versions;
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
    struct reader reader = {
        .path = path, .err = err, .fd = -1, .elf = calloc(1, sizeof *reader.elf)};
    struct dynamic dynamic = {0};
    if (!reader.elf) {
        out_of_memory(&reader);
    } else if (open_file(&reader) && read_header(&reader) && read_dynamic(&reader, &dynamic) &&
               read_names(&reader, &dynamic) && read_symbols(&reader, &dynamic)) {
        reader.elf->is_library = reader.header.e_type == ET_DYN && dynamic.count &&
                                 !(dynamic.flags1 & (DF_1_PIE | DF_1_NOOPEN));
        *ret_elf = reader.elf;
        reader.elf = NULL;
    }
    if (reader.fd >= 0)
        close(reader.fd);
    free(reader.segments);
    free(dynamic.entries);
    lithops__elf_free(reader.elf);
    return reader.code;
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
