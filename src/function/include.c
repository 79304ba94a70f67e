/* SPDX-License-Identifier: Apache-2.0 */
/* include_modules: from a word to files.
 *
 * A word names a file or folder, by a path as the program sees it; or, without a slash and when
 * there is no such file, a shared library, as the dynamic linker would find it. A file that the
 * dynamic linker would load on this machine is a module and is loaded in the worker; everything
 * else is data. A file named ".so" that cannot be loaded is an error, not data. */
#include "base/error.h"
#include "function/image.h"
#include "function/library.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool says_library(const char *name)
{
    size_t len = strlen(name);
    return (len > 3 && strcmp(name + len - 3, ".so") == 0) || strstr(name, ".so.") != NULL;
}

static int include_file(struct lithops__image *image, const char *word, lithops_error *err)
{
    struct lithops__library library = {0};
    lithops_error refusal = LITHOPS_ERROR_INIT;
    const char *name = lithops__base_name(word);
    char path[PATH_MAX];
    int code = lithops__library_open(word, &library, &refusal);
    if (code == 0 && library.elf->is_library) {
        code = lithops__image_add(image, LITHOPS__IMAGE_MODULE, library.path, name,
                                  library.elf->soname, err);
    } else if (code != 0 && says_library(name)) {
        if (err)
            *err = refusal;
        lithops__error_prefix(err, "included module '%s'", word);
    } else if (access(word, R_OK) != 0 || !realpath(word, path)) {
        code = lithops__fail_errno(err, errno, "included file '%s' cannot be read", word);
    } else {
        code = lithops__image_add(image, LITHOPS__IMAGE_FILE, path, name, NULL, err);
    }
    lithops__library_deinit(&library);
    return code;
}

static int include_folder(struct lithops__image *image, const char *word, lithops_error *err)
{
    char path[PATH_MAX];
    if (access(word, R_OK | X_OK) != 0 || !realpath(word, path))
        return lithops__fail_errno(err, errno, "included folder '%s' cannot be read", word);
    if (path[1] == '\0')
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "include_modules names '%s', the whole file system", word);
    /* The name as given; "data/" and "." have none at their end. */
    const char *name = lithops__base_name(word);
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        name = lithops__base_name(path);
    return lithops__image_add(image, LITHOPS__IMAGE_FOLDER, path, name, NULL, err);
}

static int include_library(struct lithops__image *image, const char *word,
                           const struct lithops__library *parent, lithops_error *err)
{
    struct lithops__library library;
    int code = lithops__library_search(word, parent, &library, err);
    if (code == LITHOPS_ENOTFOUND) {
        lithops__error_prefix(err, "included module '%s' is not a file here, and", word);
        return code;
    }
    if (code != 0) {
        lithops__error_prefix(err, "included module '%s'", word);
        return code;
    }
    code = lithops__image_add(image, LITHOPS__IMAGE_MODULE, library.path, word, library.elf->soname,
                              err);
    lithops__library_deinit(&library);
    return code;
}

int lithops__image_include(struct lithops__image *image, const char *word,
                           const struct lithops__library *parent, lithops_error *err)
{
    struct stat st;
    if (!*word)
        return lithops__fail(err, LITHOPS_EUSAGE, "include_modules holds an empty name");
    if (stat(word, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return include_folder(image, word, err);
        if (S_ISREG(st.st_mode))
            return include_file(image, word, err);
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "included file '%s' is neither a file nor a folder", word);
    }
    if (errno != ENOENT && errno != ENOTDIR)
        return lithops__fail_errno(err, errno, "included file '%s' cannot be read", word);
    if (!strchr(word, '/'))
        return include_library(image, word, parent, err);
    char *cwd = word[0] == '/' ? NULL : getcwd(NULL, 0);
    int code = lithops__fail(err, LITHOPS_ENOTFOUND, "included file '%s' does not exist%s%s%s",
                             word, cwd ? " (looked in " : "", cwd ? cwd : "", cwd ? ")" : "");
    free(cwd);
    return code;
}
