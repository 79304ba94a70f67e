/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzzers share. */
#ifndef LITHOPS_FUZZ_H
#define LITHOPS_FUZZ_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* End the program where `condition` does not hold: the input is a finding. */
static inline void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
        abort();
    }
}

/* Modules lie in lib/lithops of the build folder, this program one folder below it. */
static inline void find_modules(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 32);
    must(len > 0, "cannot find itself");
    path[len] = '\0';
    for (int i = 0; i < 2; i++)
        *strrchr(path, '/') = '\0';
    strncat(path, "/lib/lithops", sizeof path - strlen(path) - 1);
    setenv("LITHOPS_MODULE_PATH", path, 1);
}

#endif
