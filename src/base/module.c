/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and loading modules. */
#include "base/module.h"

#include "base/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The folder of the file that holds this code: liblithops.so, or a program linked with its
 * objects. */
static void own_folder(char *buf, size_t size)
{
    Dl_info info;
    const char *path = dladdr((void *)(uintptr_t)&lithops__module_symbol, &info) ? info.dli_fname
                                                                                 : "./";
    char resolved[PATH_MAX];
    if (!realpath(path, resolved))
        snprintf(resolved, sizeof resolved, "%s", path);
    char *slash = strrchr(resolved, '/');
    snprintf(buf, size, "%.*s", slash ? (int)(slash - resolved) : 1, slash ? resolved : ".");
}

void *lithops__module_symbol(const char *module, const char *name, lithops_error *err)
{
    char path[PATH_MAX + 64];
    const char *folder = getenv("LITHOPS_MODULE_PATH");
    if (folder && *folder) {
        snprintf(path, sizeof path, "%s/%s.so", folder, module);
    } else {
        char own[PATH_MAX];
        own_folder(own, sizeof own);
        snprintf(path, sizeof path, "%s/lithops/%s.so", own, module);
    }
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
