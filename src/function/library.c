/* SPDX-License-Identifier: Apache-2.0 */
/* The dynamic linker's search for a shared library, step by step as in ld.so(8), but with the
 * folders of /etc/ld.so.conf in place of the cache that ldconfig(8) makes of them. For the first
 * step, libraries already loaded, and the last, folders compiled into the dynamic linker, this
 * process's own dynamic linker is asked.
 *
 * Known differences: glibc-hwcaps folders (variants of a library for newer processors) are not
 * searched, the plain variant has the same functions; an RPATH does not pass on to the libraries of
 * a library, as the older DT_RPATH would. */
#include "function/library.h"

#include "base/buffer.h"
#include "base/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const system_folders[] = {"/lib/", "/usr/lib/", "/lib64/", "/usr/lib64/"};

bool lithops__path_is_system(const char *path)
{
    for (size_t i = 0; i < sizeof system_folders / sizeof system_folders[0]; i++)
        if (strncmp(path, system_folders[i], strlen(system_folders[i])) == 0)
            return true;
    return false;
}

const char *lithops__base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void lithops__library_deinit(struct lithops__library *library)
{
    lithops__elf_free(library->elf);
    library->elf = NULL;
}

int lithops__library_open(const char *path, struct lithops__library *ret_library,
                          lithops_error *err)
{
    struct lithops__elf *elf;
    char absolute[PATH_MAX];
    int code = lithops__elf_open(path, &elf, err);
    if (code != 0)
        return code;
    if (!realpath(path, absolute)) {
        lithops__elf_free(elf);
        return lithops__fail_errno(err, errno, "cannot find the place of '%s'", path);
    }
    memcpy(ret_library->path, absolute, sizeof absolute);
    ret_library->elf = elf;
    return 0;
}

/* ---- the search ------------------------------------------------------------------------------ */

/* One search through folders; after the first hit, further visits do nothing. */
struct search {
    const char *name;
    struct lithops__library *ret_library;
    bool found;
    struct lithops__buffer visited; /* "; /a; /b; ": each folder once, and the end of the message */
    lithops_error refusal;          /* of the first file that was there but could not be used */
};

static bool visit_is_new(struct search *search, const char *folder)
{
    struct lithops__buffer *visited = &search->visited;
    char word[PATH_MAX + 4];
    int len = snprintf(word, sizeof word, "; %s; ", folder);
    if (visited->len && memmem(visited->data, visited->len, word, (size_t)len))
        return false;
    size_t shared = visited->len ? 2 : 0; /* the last "; " is the first of the new word */
    lithops__buffer_append(visited, word + shared, (size_t)len - shared);
    return true;
}

static void visit(struct search *search, const char *folder)
{
    char path[2 * PATH_MAX];
    lithops_error err = LITHOPS_ERROR_INIT;
    if (search->found || strlen(folder) >= PATH_MAX || !visit_is_new(search, folder))
        return;
    snprintf(path, sizeof path, "%s/%s", folder, search->name);
    int code = lithops__library_open(path, search->ret_library, &err);
    search->found = code == 0;
    if (code != 0 && code != LITHOPS_ENOTFOUND && search->refusal.code == 0)
        search->refusal = err;
}

/* A search path: folders between colons (or semicolons); an empty one is the working directory.
 * $ORIGIN is the folder of `parent`; entries with other $ words are skipped, as only the linker can
 * expand them. */
static void visit_all(struct search *search, const char *list,
                      const struct lithops__library *parent)
{
    while (list) {
        char folder[PATH_MAX];
        size_t len = strcspn(list, ":;");
        size_t token = strncmp(list, "$ORIGIN", 7) == 0     ? 7
                       : strncmp(list, "${ORIGIN}", 9) == 0 ? 9
                                                            : 0;
        int origin = 0;
        if (token && parent)
            origin = (int)(lithops__base_name(parent->path) - parent->path) - 1;
        else
            token = 0;
        int written = snprintf(folder, sizeof folder, "%.*s%.*s", origin,
                               parent ? parent->path : "", (int)(len - token), list + token);
        if (written < (int)sizeof folder && !memchr(list + token, '$', len - token))
            visit(search, len ? folder : ".");
        list = list[len] ? list + len + 1 : NULL;
    }
}

/* ld.so.conf: a folder per line, # comments, and `include` with a pattern. */
static void visit_conf(struct search *search, const char *path, int depth)
{
    enum { INCLUDE_DEPTH = 8 };
    FILE *file = depth < INCLUDE_DEPTH ? fopen(path, "re") : NULL;
    char *line = NULL;
    size_t size = 0;
    while (file && !search->found && getline(&line, &size, file) >= 0) {
        line[strcspn(line, "#\n")] = '\0';
        char *word = line + strspn(line, " \t");
        size_t len = strcspn(word, " \t=");
        if (word[0] == '/') {
            word[len] = '\0';
            visit(search, word);
        } else if (len == 7 && memcmp(word, "include", len) == 0) {
            char pattern[2 * PATH_MAX];
            word += len + strspn(word + len, " \t");
            word[strcspn(word, " \t")] = '\0';
            snprintf(pattern, sizeof pattern, "%s%s", word[0] == '/' ? "" : "/etc/", word);
            glob_t files = {0};
            if (glob(pattern, 0, NULL, &files) == 0)
                for (size_t i = 0; i < files.gl_pathc; i++)
                    visit_conf(search, files.gl_pathv[i], depth + 1);
            globfree(&files);
        }
    }
    free(line);
    if (file)
        fclose(file);
}

/* The folders compiled into the dynamic linker (with LD_LIBRARY_PATH in front, seen by now). */
static void visit_default(struct search *search)
{
    void *program = dlopen(NULL, RTLD_NOW);
    Dl_serinfo size;
    Dl_serinfo *info = NULL;
    if (program && dlinfo(program, RTLD_DI_SERINFOSIZE, &size) == 0)
        info = calloc(1, size.dls_size);
    if (info) {
        info->dls_size = size.dls_size;
        info->dls_cnt = size.dls_cnt;
        if (dlinfo(program, RTLD_DI_SERINFO, info) == 0)
            for (unsigned i = 0; i < info->dls_cnt; i++)
                visit(search, info->dls_serpath[i].dls_name);
    }
    free(info);
    if (program)
        dlclose(program);
}

/* A library already loaded under that name is what dlopen(3) would return. */
struct loaded {
    const char *name;
    char path[PATH_MAX];
};

static int match_loaded(struct dl_phdr_info *info, size_t size, void *loaded_)
{
    struct loaded *loaded = loaded_;
    (void)size;
    if (!info->dlpi_name || !strchr(info->dlpi_name, '/') ||
        strcmp(lithops__base_name(info->dlpi_name), loaded->name) != 0)
        return 0;
    return snprintf(loaded->path, sizeof loaded->path, "%s", info->dlpi_name) <
           (int)sizeof loaded->path;
}

static void visit_loaded(struct search *search)
{
    struct loaded loaded = {.name = search->name};
    if (dl_iterate_phdr(match_loaded, &loaded) != 0)
        search->found = lithops__library_open(loaded.path, search->ret_library, NULL) == 0;
}

static int not_found(struct search *search, lithops_error *err)
{
    char *visited = lithops__buffer_steal(&search->visited);
    size_t len = visited ? strlen(visited) : 0;
    if (len > 2)
        visited[len - 2] = '\0';
    int code = lithops__fail(err, LITHOPS_ENOTFOUND,
                             "no library '%s'; give its path, as /path/to/%s, or put its folder "
                             "into LD_LIBRARY_PATH (looked in: %s)",
                             search->name, search->name, len > 2 ? visited + 2 : "");
    free(visited);
    return code;
}

int lithops__library_search(const char *name, const struct lithops__library *parent,
                            struct lithops__library *ret_library, lithops_error *err)
{
    struct search search = {.name = name, .ret_library = ret_library};
    int code = 0;
    if (strchr(name, '/'))
        return lithops__library_open(name, ret_library, err);
    visit_loaded(&search);
    if (parent && parent->elf->rpath && !parent->elf->runpath)
        visit_all(&search, parent->elf->rpath, parent);
    visit_all(&search, secure_getenv("LD_LIBRARY_PATH"), NULL);
    if (parent && parent->elf->runpath)
        visit_all(&search, parent->elf->runpath, parent);
    visit_conf(&search, "/etc/ld.so.conf", 0);
    visit_default(&search);
    if (!search.found && search.refusal.code != 0) {
        code = search.refusal.code;
        if (err)
            *err = search.refusal;
    } else if (!search.found) {
        code = not_found(&search, err);
    }
    lithops__buffer_deinit(&search.visited);
    return code;
}
