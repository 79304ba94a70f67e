/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cache_folder.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void lithops__cache_folder(char *buf, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char text[4096];
    struct passwd entry, *user = NULL;
    if (!home || home[0] != '/')
        (void)getpwuid_r(getuid(), &entry, text, sizeof text, &user);
    if (cache && cache[0] == '/')
        snprintf(buf, size, "%s/lithops", cache);
    else
        snprintf(buf, size, "%s/.cache/lithops", user ? user->pw_dir : home ? home : "");
}

int lithops__make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int failed = mkdir(path, 0700) != 0 && errno != EEXIST ? errno : 0;
        *slash = '/';
        if (failed)
            return failed;
    }
    return mkdir(path, 0700) != 0 && errno != EEXIST ? errno : 0;
}
