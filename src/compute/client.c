/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/client.h"

#include "net/aws_profile.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* FNV-1a: a name to search by, and no secret. */
static uint64_t mix(uint64_t hash, const char *text)
{
    for (; text && *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return (hash ^ '/') * 1099511628211u;
}

static uint64_t mix_file(uint64_t hash, const char *path)
{
    char *text = lithops__read_small_file(path);
    hash = mix(hash, text);
    free(text);
    return hash;
}

/* Only those whose processes we see are known to be dead: containers may have the same name, user
 * and machine-id, and each has processes of its own. The number of their namespace tells them apart
 * until the machine starts anew, which they do not outlive; that of a machine itself is fixed. */
void lithops__client_mark(char ret_mark[LITHOPS__CLIENT_MARK])
{
    static const uint64_t first_namespace = 0xEFFFFFFC;
    char text[257] = "";
    struct stat status = {.st_ino = 0};
    (void)gethostname(text, sizeof text - 1);
    uint64_t hash = mix(14695981039346656037u, text);
    snprintf(text, sizeof text, "%u", (unsigned)getuid());
    hash = mix(hash, text);
    hash = mix_file(hash, "/etc/machine-id");
    (void)stat("/proc/self/ns/pid", &status);
    snprintf(text, sizeof text, "%llu", (unsigned long long)status.st_ino);
    hash = mix(hash, text);
    if (status.st_ino != first_namespace)
        hash = mix_file(hash, "/proc/sys/kernel/random/boot_id");
    snprintf(ret_mark, LITHOPS__CLIENT_MARK, "%016llx", (unsigned long long)hash);
}
