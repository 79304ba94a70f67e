/* SPDX-License-Identifier: Apache-2.0 */
#include "base/user_folder.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void lithops__user_folder(char *buf, size_t size, const char *variable, const char *otherwise)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    struct passwd entry, *user = NULL;
    char text[4096];
    if (!home || home[0] != '/') {
        (void)getpwuid_r(geteuid(), &entry, text, sizeof text, &user);
        home = user ? user->pw_dir : "/tmp";
    }
    if (base && base[0] == '/')
        snprintf(buf, size, "%s/lithops", base);
    else
        snprintf(buf, size, "%s/%s/lithops", home, otherwise);
}

void lithops__cache_folder(char *buf, size_t size)
{
    lithops__user_folder(buf, size, "XDG_CACHE_HOME", ".cache");
}

int lithops__make_folders(char *path)
{
    int failed = 0;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST && !failed)
            failed = errno; /* of a folder that is there too: of an automounter, for one */
        *slash = '/';
    }
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return errno == ENOENT && failed ? failed : errno;
}
