/* SPDX-License-Identifier: Apache-2.0 */
/* Functions in a worker process: from what travelled (library, symbol, signature) to something
 * that can be called.
 *
 * Libraries are loaded with RTLD_NOW, so that a missing symbol fails here with the loader's text
 * and not later inside a call, and with RTLD_LOCAL, so that functions of the same name in two
 * libraries do not clash. They are never unloaded: the same function may be needed again, and many
 * libraries do not survive unloading. */
#include "worker/load.h"

#include "base/error.h"
#include "function/command.h"
#include "function/function.h"
#include "function/registry.h"
#include "function/signature.h"
#include "worker/bridge.h"
#include "worker/command.h"

#include <dlfcn.h>
#include <string.h>

static int load_own(const char *symbol, struct lithops__callable *ret_callable, lithops_error *err)
{
    if (strcmp(symbol, LITHOPS__COMMAND_RUNTIME) == 0) { /* in every worker */
        *ret_callable = (struct lithops__callable){.run = lithops__command_call};
        return 0;
    }
    const lithops_function *function = lithops__function_find(symbol);
    char near[512];
    if (function) {
        *ret_callable = (struct lithops__callable){.run = function->run};
        return 0;
    }
    lithops__function_near_text(symbol, near, sizeof near);
    return lithops__fail(err, LITHOPS_ENOTFOUND,
                         "this program has no function '%s'%s; a function of a library that was "
                         "loaded with dlopen() is named by lithops_function_open(\"lib.so:%s\")",
                         symbol, near, symbol);
}

static const char *loader_text(void)
{
    const char *text = dlerror();
    return text ? text : "the loader gives no reason";
}

/* The address of `symbol`, with the library loaded for good. */
static void *address_of(const char *library, const char *symbol, lithops_error *err)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        lithops__fail(err, LITHOPS_ENOTFOUND, "cannot load the library of function '%s': %s",
                      symbol, loader_text());
        return NULL;
    }
    void *address = dlsym(handle, symbol);
    if (!address)
        lithops__fail(err, LITHOPS_ENOTFOUND, "no function '%s': %s", symbol, loader_text());
    /* cppcheck-suppress resourceLeak ; it stays loaded, see above */
    return address;
}

int lithops__function_load(const char *library, const char *symbol, const char *signature_text,
                           struct lithops__callable *ret_callable, lithops_error *err)
{
    struct lithops__signature signature = {.takes_call = false};
    int code;
    if (!library)
        return load_own(symbol, ret_callable, err);
    if (signature_text && (code = lithops__signature_parse(signature_text, &signature, err)) != 0)
        return code;
    void *address = address_of(library, symbol, err);
    if (!address)
        return LITHOPS_ENOTFOUND;
    if (signature.takes_call) {
        *ret_callable = (struct lithops__callable){.run = (lithops_entry *)(uintptr_t)address};
        return 0;
    }
    if (signature_text)
        return lithops__bridge_make(symbol, address, &signature, ret_callable, err);
    const lithops_function *function = address;
    if (function->magic != LITHOPS_FUNCTION_MAGIC || !function->run)
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "'%s' in %s is no longer a function declared with LITHOPS_FUNCTION; "
                             "was the library changed while the job was running?",
                             symbol, library);
    *ret_callable = (struct lithops__callable){.run = function->run};
    return 0;
}
