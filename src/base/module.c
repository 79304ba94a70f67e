/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and loading modules. */
#include "base/module.h"

#include "base/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder of the file that holds this code; true when that is the program itself and not
 * liblithops.so: the lithops command, or a test. */
static bool own_folder(char *buf, size_t size)
{
    Dl_info info;
    struct link_map *map = NULL;
    bool found = dladdr1((void *)(uintptr_t)&lithops__module_symbol, &info, (void **)&map,
                         RTLD_DL_LINKMAP) != 0;
    bool program =
        found && map && !map->l_name[0]; /* info has argv[0] then, which may say little */
    const char *path = program ? "/proc/self/exe" : found ? info.dli_fname : "./";
    char resolved[PATH_MAX];
    if (!realpath(path, resolved))
        snprintf(resolved, sizeof resolved, "%s", path);
    char *slash = strrchr(resolved, '/');
    snprintf(buf, size, "%.*s", slash ? (int)(slash - resolved) : 1, slash ? resolved : ".");
    return program;
}

static void module_path(const char *module, char *buf, size_t size)
{
    const char *folder = getenv("LITHOPS_MODULE_PATH");
    char own[PATH_MAX];
    if (folder && *folder) {
        snprintf(buf, size, "%s/%s.so", folder, module);
    } else if (!own_folder(own, sizeof own)) {
        snprintf(buf, size, "%s/lithops/%s.so", own, module);
    } else {
        /* Installed, bin/ and lib/ (or lib/x86_64-linux-gnu/) are neighbours; so they are in the
         * folder of a build, but there it is lib/ in any case. */
        snprintf(buf, size, "%s/../" LITHOPS_LIBDIR "/lithops/%s.so", own, module);
        if (access(buf, F_OK) != 0)
            snprintf(buf, size, "%s/../lib/lithops/%s.so", own, module);
    }
}

void *lithops__module_symbol(const char *module, const char *name, lithops_error *err)
{
    char path[PATH_MAX + 128];
    module_path(module, path, sizeof path);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* counted by the loader: cheap again */
    void *symbol = handle ? dlsym(handle, name) : NULL;
    if (!symbol) {
        const char *reason = dlerror();
        lithops__fail(err, LITHOPS_EUNSUPPORTED,
                      "the '%s' part of Lithops cannot be loaded (%s); install the package that "
                      "holds %s, or set LITHOPS_MODULE_PATH",
                      module, reason ? reason : "no reason given", path);
    }
    return symbol;
}
