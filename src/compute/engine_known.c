/* SPDX-License-Identifier: Apache-2.0 */
/* The file `engine.known` in the user's cache folder:
 *
 *     <command> <folder of modules> <LD_LIBRARY_PATH>
 *     <engine's hash> <minor version of glibc>
 *     <device> <inode> <size> <modified> <changed> <path>    of each file, and each folder
 *
 * It is replaced as a whole. Lines are compared as text, so one that is cut or of another version
 * of this program does not hold. */
#include "compute/engine_known.h"

#include "base/module.h"
#include "base/read_text.h"
#include "base/user_folder.h"
#include "compute/linked.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_BYTES = 64 << 10,
    SETTLED_S = 3, /* longer than the tick of the coarsest file system's clock */
};

static const char system_list[] = "/etc/ld.so.cache"; /* of libraries, which ldconfig makes */

static void stamp(struct lithops__engine_stamps *stamps, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return;
    lithops__buffer_printf(&stamps->text, "%llu %llu %lld %lld.%09ld %lld.%09ld %s\n",
                           (unsigned long long)status.st_dev, (unsigned long long)status.st_ino,
                           (long long)status.st_size, (long long)status.st_mtim.tv_sec,
                           status.st_mtim.tv_nsec, (long long)status.st_ctim.tv_sec,
                           status.st_ctim.tv_nsec, path);
    if (status.st_ctim.tv_sec > stamps->newest_s)
        stamps->newest_s = status.st_ctim.tv_sec;
}

void lithops__engine_stamp(struct lithops__engine_stamps *stamps, const char *path)
{
    char folder[PATH_MAX], line[PATH_MAX + 2];
    stamp(stamps, path);
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return;
    *slash = '\0';
    int len = snprintf(line, sizeof line, " %s\n", folder);
    if (stamps->text.len && !memmem(stamps->text.data, stamps->text.len, line, (size_t)len))
        stamp(stamps, folder);
}

/* What decides where the files are searched. False: it does not fit into a line. */
static bool describe_search(char *buf, size_t size)
{
    char command[PATH_MAX + 64], modules[PATH_MAX];
    const char *searched = getenv("LD_LIBRARY_PATH");
    lithops__own_command(command, sizeof command);
    lithops__module_folder(modules, sizeof modules);
    int len = snprintf(buf, size, "%s %s %s", command, modules, searched ? searched : "");
    return len < (int)size && !strchr(buf, '\n');
}

static bool path_of(char *buf, size_t size)
{
    char folder[PATH_MAX];
    lithops__cache_folder(folder, sizeof folder);
    return lithops__make_folders(folder) == 0 &&
           snprintf(buf, size, "%s/engine.known", folder) < (int)size;
}

void lithops__engine_remember(const struct lithops__engine *engine,
                              const struct lithops__engine_stamps *stamps)
{
    char search[3 * PATH_MAX], path[PATH_MAX], part[PATH_MAX + 8];
    struct lithops__engine_stamps all = {.newest_s = 0};
    if (stamps->text.failed || stamps->newest_s + SETTLED_S >= time(NULL) ||
        !describe_search(search, sizeof search) || !path_of(path, sizeof path))
        return;
    stamp(&all, system_list);
    snprintf(part, sizeof part, "%s.XXXXXX", path);
    int fd = mkostemp(part, O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file) {
        fprintf(file, "%s\n%s %d\n", search, engine->hash, engine->glibc_minor);
        fwrite(all.text.data, 1, all.text.len, file);
        fwrite(stamps->text.data, 1, stamps->text.len, file);
    } else if (fd >= 0) {
        close(fd);
    }
    bool is_written = file && !ferror(file);
    is_written = file && fclose(file) == 0 && is_written;
    if (fd >= 0 && (!is_written || rename(part, path) != 0))
        unlink(part);
    lithops__buffer_deinit(&all.text);
}

/* Whether the file or folder that the line is about has the stamp that the line says. */
static bool still_holds(const char *line)
{
    struct lithops__engine_stamps now = {.newest_s = 0};
    const char *path = strchr(line, '/'); /* stamps have none */
    size_t len = strlen(line);
    if (path)
        stamp(&now, path);
    bool holds = now.text.len == len + 1 && memcmp(now.text.data, line, len) == 0;
    lithops__buffer_deinit(&now.text);
    return holds;
}

static bool read_known(char *text, const char *search, struct lithops__engine *ret_engine)
{
    struct lithops__engine engine = {.glibc_minor = 0};
    char *rest = text, *line = strsep(&rest, "\n");
    if (!rest || strcmp(line, search) != 0)
        return false;
    line = strsep(&rest, "\n");
    if (!rest || sscanf(line, "%64[0-9a-f] %d", engine.hash, &engine.glibc_minor) != 2 ||
        strlen(engine.hash) != 64)
        return false;
    uint32_t count = 0;
    while ((line = strsep(&rest, "\n")) != NULL && rest) {
        if (!still_holds(line))
            return false;
        count++;
    }
    if (count < 2 || *line != '\0')
        return false;
    memcpy(ret_engine->hash, engine.hash, sizeof ret_engine->hash);
    ret_engine->glibc_minor = engine.glibc_minor;
    return true;
}

bool lithops__engine_recall(struct lithops__engine *engine)
{
    char search[3 * PATH_MAX], path[PATH_MAX];
    struct stat status;
    if (!describe_search(search, sizeof search) || !path_of(path, sizeof path) ||
        lstat(path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid())
        return false;
    char *text = malloc(MOST_BYTES);
    bool holds =
        text && lithops__read_text(path, text, MOST_BYTES) > 0 && read_known(text, search, engine);
    free(text);
    return holds;
}
