/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and loading modules.
 *
 * The place of this code is looked up when it is loaded: the loader may know liblithops.so by a
 * relative name, which is useless once the program has changed its folder. */
#include "base/module.h"

#include "base/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Written once, by the constructor: an absolute path, links in it not followed yet. The program
 * itself holds this code where that is not liblithops.so: the lithops command, or a test. */
static char own_path[PATH_MAX];
static bool own_is_program;

__attribute__((constructor)) static void find_own_folder(void)
{
    Dl_info info;
    struct link_map *map = NULL;
    bool found = dladdr1((void *)(uintptr_t)&lithops__module_symbol, &info, (void **)&map,
                         RTLD_DL_LINKMAP) != 0;
    /* info has argv[0] for the program, which may say little */
    own_is_program = found && map && !map->l_name[0];
    const char *path = own_is_program ? "/proc/self/exe" : found ? info.dli_fname : "./";
    size_t len = strlen(path);
    if (path[0] == '/' && len < sizeof own_path) /* most often; every process pays for this */
        memcpy(own_path, path, len + 1);
    else if (!realpath(path, own_path))
        snprintf(own_path, sizeof own_path, "%s", path);
}

void lithops__own_folder(char *buf, size_t size)
{
    char path[PATH_MAX];
    if (!realpath(own_path, path))
        memcpy(path, own_path, sizeof own_path);
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    snprintf(buf, size, "%s", slash ? path : ".");
}

static void module_path(const char *module, char *buf, size_t size)
{
    const char *given = secure_getenv("LITHOPS_MODULE_PATH");
    char folder[PATH_MAX];
    lithops__own_folder(folder, sizeof folder);
    if (given && *given) {
        snprintf(buf, size, "%s/%s.so", given, module);
    } else if (!own_is_program) {
        snprintf(buf, size, "%s/lithops/%s.so", folder, module);
    } else {
        /* Installed, bin/ and lib/ (or lib/x86_64-linux-gnu/) are neighbours; so they are in the
         * folder of a build, but there it is lib/ in any case. */
        snprintf(buf, size, "%s/../" LITHOPS_LIBDIR "/lithops/%s.so", folder, module);
        if (access(buf, F_OK) != 0)
            snprintf(buf, size, "%s/../lib/lithops/%s.so", folder, module);
        if (access(buf, F_OK) != 0) /* in the Python package all is in one folder */
            snprintf(buf, size, "%s/lithops/%s.so", folder, module);
    }
}

void lithops__module_folder(char *buf, size_t size)
{
    char path[PATH_MAX + 128];
    module_path("crypto", path, sizeof path); /* any of them */
    *strrchr(path, '/') = '\0';
    snprintf(buf, size, "%s", path);
}

/* A module shares structures with the library that are not part of any ABI. */
static bool check_version(void *handle, const char *module, const char *path, lithops_error *err)
{
    const char *version = dlsym(handle, "lithops_module_version");
    if (version && strcmp(version, LITHOPS_VERSION) == 0)
        return true;
    lithops__fail(err, LITHOPS_EUNSUPPORTED,
                  "the '%s' part of Lithops is of %s%s, but the library of version " LITHOPS_VERSION
                  "; install both from one build (%s)",
                  module, version ? "version " : "no known version", version ? version : "", path);
    return false;
}

/* What the user wanted, and how to get it. A module that cannot be loaded lacks its library; one
 * that was not built lacked it when Lithops was built; one that was built but is missing is in a
 * separate package, or was lost. */
static void explain(const char *module, const char *path, const char *reason, lithops_error *err)
{
    static const struct {
        const char *module, *without, *library, *package;
        bool built;
    } table[] = {
#include "module_table.h"
    };
    size_t i = 0, count = sizeof table / sizeof *table;
    while (i < count && strcmp(table[i].module, module) != 0)
        i++;
    bool is_there = access(path, F_OK) == 0;
    if (i < count && is_there)
        lithops__fail(err, LITHOPS_EUNSUPPORTED, "%s: %s; install %s with the packages it needs",
                      table[i].without, reason, table[i].library);
    else if (i < count && !table[i].built)
        lithops__fail(err, LITHOPS_EUNSUPPORTED,
                      "%s: this Lithops was built without %s; install its development package "
                      "(Debian: %s) and build Lithops again",
                      table[i].without, table[i].library, table[i].package);
    else
        lithops__fail(
            err, LITHOPS_EUNSUPPORTED,
            "%s%sthe '%s' part of Lithops cannot be loaded (%s); install the package that "
            "holds %s, or set LITHOPS_MODULE_PATH",
            i < count ? table[i].without : "", i < count ? ": " : "", module, reason, path);
}

/* On a host that was sent this engine, `needed/` beside the modules holds the libraries that they
 * link: for a host that has none, or older ones. They are found by name once they are loaded. */
static void load_needed(const char *module)
{
    char folder[PATH_MAX + 128], path[PATH_MAX + 512], name[256];
    lithops__module_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/needed/%s", folder, module);
    FILE *list = fopen(path, "re");
    while (list && fscanf(list, "%255s", name) == 1) {
        snprintf(path, sizeof path, "%s/needed/%s", folder, name);
        (void)dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays */
    }
    if (list)
        fclose(list);
}

void *lithops__module_symbol(const char *module, const char *name, lithops_error *err)
{
    char path[PATH_MAX + 128];
    module_path(module, path, sizeof path);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* counted by the loader: cheap again */
    if (!handle && access(path, F_OK) == 0) {
        load_needed(module);
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    if (handle && !check_version(handle, module, path, err)) {
        dlclose(handle);
        return NULL;
    }
    void *symbol = handle ? dlsym(handle, name) : NULL;
    if (!symbol) {
        const char *reason = dlerror();
        explain(module, path, reason ? reason : "no reason given", err);
    }
    return symbol;
}
