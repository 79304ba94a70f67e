/* SPDX-License-Identifier: Apache-2.0 */
/* lithops_function_open(): from "path.so:symbol:signature" to a function that can be named in
 * calls.
 *
 * All that can be checked without running the library is checked here, in the client, before a job
 * is started: that the file is a library of this machine, that it exports the symbol, that the
 * symbol is of the right kind. What shows only at run time (a dependency is missing) fails the
 * calls. The path is made absolute and free of links here, since workers have another working
 * directory. */
#include "base/error.h"
#include "base/near.h"
#include "function/function.h"
#include "function/library.h"
#include "function/signature.h"

#include <lithops/plugin/runtime.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct spec {
    char path[PATH_MAX];
    char symbol[256];
    const char *signature; /* into the text, or NULL */
};

static bool is_identifier(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && s[i] != '_')
            return false;
    return len > 0 && !isdigit((unsigned char)s[0]);
}

/* Read from the right, since a path may hold colons: the last part is a signature when it looks
 * like one, or when what stands before it can only be a symbol. */
static int parse_spec(const char *text, struct spec *ret_spec, lithops_error *err)
{
    if (!text || !*text)
        return lithops__fail(err, LITHOPS_EUSAGE, "no function named; name one as path.so:symbol");
    const char *end = text + strlen(text), *symbol = strrchr(text, ':');
    const char *before = symbol ? memrchr(text, ':', (size_t)(symbol - text)) : NULL;
    if (before &&
        (strchr(symbol, '(') || is_identifier(before + 1, (size_t)(symbol - before - 1)))) {
        ret_spec->signature = symbol + 1;
        end = symbol;
        symbol = before;
    }
    if (!symbol || symbol == text)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "'%s' names no function of a library; write path.so:symbol, as "
                             "./libmath.so:square",
                             text);
    if (symbol + 1 == end || strchr(symbol, '(') == symbol + 1 ||
        (!ret_spec->signature && strchr(symbol, '(')))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "'%s' has no symbol; write path.so:symbol:signature, as "
                             "libm.so.6:pow:double(double,double)",
                             text);
    if ((size_t)(symbol - text) >= sizeof ret_spec->path ||
        (size_t)(end - symbol - 1) >= sizeof ret_spec->symbol)
        return lithops__fail(err, LITHOPS_EUSAGE, "a name of %zu bytes is too long for a function",
                             strlen(text));
    snprintf(ret_spec->path, sizeof ret_spec->path, "%.*s", (int)(symbol - text), text);
    snprintf(ret_spec->symbol, sizeof ret_spec->symbol, "%.*s", (int)(end - symbol - 1),
             symbol + 1);
    return 0;
}

static int find_library(const char *path, struct lithops__library *ret_library, lithops_error *err)
{
    lithops_error here = LITHOPS_ERROR_INIT;
    int code = lithops__library_open(path, ret_library, &here);
    if (code == LITHOPS_ENOTFOUND && !strchr(path, '/'))
        return lithops__library_search(path, NULL, ret_library, err);
    if (code == LITHOPS_ENOTFOUND)
        return lithops__fail(err, LITHOPS_ENOTFOUND,
                             "no library '%s' (a path without a leading / starts in the working "
                             "directory)",
                             path);
    if (code != 0 && err)
        *err = here;
    return code;
}

/* ---- the symbol ------------------------------------------------------------------------------ */

static bool is_code(int type)
{
    return type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
}

/* The file is not run, so its size is what tells one. AddressSanitizer of clang makes the gap that
 * it keeps behind each variable a part of it. */
static bool is_declared(const struct lithops__elf_symbol *symbol)
{
    enum { GAP = 32 }; /* after as few bytes */
    return symbol->type == STT_OBJECT && (symbol->size_bytes == sizeof(lithops_function) ||
                                          symbol->size_bytes == sizeof(lithops_function) + GAP);
}

static int no_symbol(const struct spec *spec, const struct lithops__elf *elf, lithops_error *err)
{
    char text[512], mangled[sizeof spec->symbol + 32];
    struct lithops__near near;
    lithops__near_init(&near, spec->symbol, LITHOPS__NEAR_MAX);
    snprintf(mangled, sizeof mangled, "_Z%zu%s", strlen(spec->symbol), spec->symbol);
    struct lithops__elf_symbol symbol;
    for (size_t i = 0; i < elf->symbol_count; i++) {
        if (!lithops__elf_symbol(elf, i, &symbol) ||
            !(is_code(symbol.type) || is_declared(&symbol)))
            continue;
        if (strncmp(symbol.name, mangled, strlen(mangled)) == 0)
            return lithops__fail(err, LITHOPS_ENOTFOUND,
                                 "'%s' is a C++ function in %s; declare it extern \"C\"",
                                 spec->symbol, spec->path);
        /* Names with an underscore in front are the compiler's; and a name out of a file is shown
         * only if it is one. */
        if ((symbol.name[0] != '_' || spec->symbol[0] == '_') &&
            is_identifier(symbol.name, strlen(symbol.name)))
            lithops__near_offer(&near, symbol.name);
    }
    lithops__near_text(&near, text, sizeof text);
    return lithops__fail(err, LITHOPS_ENOTFOUND, "no function '%s' in %s%s", spec->symbol,
                         spec->path, *text ? text : "; is it static, or hidden by -fvisibility?");
}

static int check_symbol(const struct spec *spec, const struct lithops__elf *elf, lithops_error *err)
{
    struct lithops__elf_symbol symbol;
    if (!lithops__elf_find(elf, spec->symbol, &symbol))
        return no_symbol(spec, elf, err);
    if (is_code(symbol.type)) {
        if (spec->signature)
            return 0;
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "'%s' in %s is a plain C function; say how to call it, as in "
                             "%s:%s:double(double), or :call for int %s(lithops_call *)",
                             spec->symbol, spec->path, spec->path, spec->symbol, spec->symbol);
    }
    if (!is_declared(&symbol))
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "'%s' in %s is a variable, not a function declared with "
                             "LITHOPS_FUNCTION (of this version of Lithops)",
                             spec->symbol, spec->path);
    if (spec->signature)
        return lithops__fail(
            err, LITHOPS_EUSAGE,
            "'%s' in %s is declared with LITHOPS_FUNCTION: omit the signature '%s'", spec->symbol,
            spec->path, spec->signature);
    return 0;
}

/* ---- the handle ------------------------------------------------------------------------------ */

/* One block: the function, then its strings. */
static lithops_function *make(const struct spec *spec, const char *library, lithops_error *err)
{
    const char *file = lithops__base_name(spec->path);
    const char *signature = spec->signature ? spec->signature : "";
    size_t name_size = strlen(file) + 1 + strlen(spec->symbol) + 1;
    size_t library_size = strlen(library) + 1, symbol_size = strlen(spec->symbol) + 1;
    size_t signature_size = strlen(signature) + 1;
    lithops_function *function =
        malloc(sizeof *function + name_size + library_size + symbol_size + signature_size);
    if (!function) {
        lithops__fail(err, LITHOPS_ENOMEM, "no memory for function '%s'", spec->symbol);
        return NULL;
    }
    char *name = (char *)(function + 1);
    char *library_copy = name + name_size, *symbol = library_copy + library_size;
    char *signature_copy = symbol + symbol_size;
    snprintf(name, name_size, "%s:%s", file, spec->symbol);
    memcpy(library_copy, library, library_size);
    memcpy(symbol, spec->symbol, symbol_size);
    memcpy(signature_copy, signature, signature_size);
    *function = (lithops_function){.magic = LITHOPS_FUNCTION_MAGIC,
                                   .name = name,
                                   .library = library_copy,
                                   .symbol = symbol,
                                   .signature = spec->signature ? signature_copy : NULL};
    return function;
}

/* Names joined by dots: "package.module". */
static bool is_dotted(const char *s)
{
    for (;;) {
        const char *dot = strchrnul(s, '.');
        if (!is_identifier(s, (size_t)(dot - s)))
            return false;
        if (*dot == '\0')
            return true;
        s = dot + 1;
    }
}

/* "package.module:function", unless the module's name is that of a file. */
static bool is_python(const struct spec *spec)
{
    const char *so = strstr(spec->path, ".so");
    return !spec->signature && is_dotted(spec->path) && is_dotted(spec->symbol) &&
           !(so && (so[3] == '\0' || so[3] == '.')) && access(spec->path, F_OK) != 0;
}

static lithops_function *open_python(const struct spec *spec, lithops_error *err)
{
    char code[sizeof spec->path + sizeof spec->symbol + 16];
    int len = snprintf(code, sizeof code, "import %s:%s", spec->path, spec->symbol);
    return lithops_code_function("python", code + strlen("import "),
                                 (lithops_bytes){code, (size_t)len}, err);
}

lithops_function *lithops_function_open(const char *spec_text, lithops_error *err)
{
    struct spec spec = {.signature = NULL};
    struct lithops__signature signature;
    struct lithops__library library = {0};
    lithops_function *function = NULL;
    if (parse_spec(spec_text, &spec, err) != 0)
        return NULL;
    if (is_python(&spec))
        return open_python(&spec, err);
    if (spec.signature && lithops__signature_parse(spec.signature, &signature, err) != 0)
        return NULL;
    if (find_library(spec.path, &library, err) != 0)
        return NULL;
    if (!library.elf->is_library)
        lithops__fail(err, LITHOPS_EUSAGE,
                      "'%s' is a program or an object file, not a shared library; link it with "
                      "cc -shared -fPIC",
                      spec.path);
    else if (check_symbol(&spec, library.elf, err) == 0)
        function = make(&spec, library.path, err);
    lithops__library_deinit(&library);
    return function;
}

void lithops_function_free(lithops_function *function)
{
    /* One declared with LITHOPS_FUNCTION was not allocated here; it has `run`. */
    if (!function || function->run)
        return;
    free(function->code);
    function->magic = 0;
    free(function);
}
