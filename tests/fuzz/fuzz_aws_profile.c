/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of the files with credentials of AWS's tools: no input may crash the reader, nor be read
 * beyond its end; what it finds is a piece of the input. */
#include "net/aws_profile.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void look(const char *found, const char *text, size_t len)
{
    if (found && (!*found || !memmem(text, len, found, strlen(found))))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lithops__aws_profile profile = {.found = false};
    char *copy = malloc(size ? size : 1); /* without a NUL: reading on is found */
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    lithops__aws_profile_parse(copy, size, "work", &profile);
    lithops__aws_profile_parse(copy, size, "default", &profile);
    lithops__aws_session_parse(copy, size, "work", &profile);
    look(profile.access_key, copy, size);
    look(profile.secret_key, copy, size);
    look(profile.region, copy, size);
    look(profile.sso_start_url, copy, size);
    lithops__aws_profile_deinit(&profile);
    free(copy);
    return 0;
}
