/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/backends/batch/batch.h"

#include "base/error.h"
#include "relay/relay.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const lithops_value *lithops__batch_get(const lithops_value *map, const char *key)
{
    const lithops_value *value = lithops_value_get(map, key);
    return value && lithops_value_type(value) != LITHOPS_NULL ? value : NULL;
}

const char *lithops__batch_text(const lithops_value *map, const char *key)
{
    const char *text = lithops_value_get_string(lithops__batch_get(map, key));
    return text && *text ? text : NULL;
}

void lithops__batch_plain(const char *text, char *buf, size_t size)
{
    snprintf(buf, size, "%.*s", (int)size - 1, text);
    for (char *at = buf; *at; at++)
        if (!isalnum((unsigned char)*at))
            *at = '-';
}

void lithops__batch_image(const char *image, char *buf, size_t size)
{
    const char *slash = strrchr(image, '/');
    lithops__batch_plain(slash ? slash + 1 : image, buf, size);
}

uint32_t lithops__batch_hash(const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

int lithops__batch_deployed(const char *name, char **ret_name, lithops_value **ret_meta,
                            lithops_error *err)
{
    char *copy = strdup(name);
    lithops_value *meta = ret_meta ? lithops_pack("{s:s,s:i}", "version", LITHOPS_VERSION,
                                                  "protocol", lithops__relay_protocol())
                                   : NULL;
    if (!copy || (ret_meta && !meta)) {
        free(copy);
        lithops_value_free(meta);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    *ret_name = copy;
    if (ret_meta)
        *ret_meta = meta;
    return 0;
}
