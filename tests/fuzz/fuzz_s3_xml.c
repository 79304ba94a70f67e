/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of the reader of servers' XML: no input may crash it, nor be read beyond its end. */
#include "net/xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void look(const char *path, const char *text, size_t len, void *user)
{
    (void)user;
    if (strlen(path) == 0 || text[len] != '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    const struct lithops__xml_visitor visitor = {.text = look};
    lithops__xml_read(copy, size, &visitor);
    free(copy);
    return 0;
}
