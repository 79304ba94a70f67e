/* SPDX-License-Identifier: Apache-2.0 */
#include "through.h"

#include <lithops/plugin/runtime.h>

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

char through_folder[64];

void through_set_up(void)
{
    snprintf(through_folder, sizeof through_folder, "/tmp/lithops-through-XXXXXX");
    CHECK(mkdtemp(through_folder) != NULL);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

void through_tear_down(void)
{
    CHECK_INT(nftw(through_folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

const char *through_script(const char *name, const char *lines)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", through_folder, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fprintf(file, "#!/bin/sh\nLITHOPS=%s FOLDER=%s\n%s\n", FAULT_COMMAND, through_folder, lines);
    CHECK(fclose(file) == 0 && chmod(path, 0700) == 0);
    return path;
}

lithops_executor *through_open(lithops_value *section, lithops_value *own)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    section = section ? section : lithops_value_map();
    own = own ? own : lithops_value_map();
    CHECK(lithops_value_set(section, "transport", lithops_value_string("storage")) == 0);
    CHECK(lithops_value_set(own, "backend", lithops_value_string("process")) == 0);
    CHECK(lithops_value_set(own, "storage", lithops_value_string("localhost")) == 0);
    lithops_value *config = lithops_pack("{s:o,s:o,s:{s:s}}", "lithops", own, "process", section,
                                         "localhost", "storage_root", through_folder);
    options.config = config;
    lithops_executor *fexec = lithops_executor_open(&options, &err);
    if (!fexec)
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_value_free(config);
    return fexec;
}

lithops_storage *through_storage(void)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_value *config = lithops_pack("{s:{s:s}}", "localhost", "storage_root", through_folder);
    lithops_storage *storage = lithops_storage_open_config("localhost", config, &err);
    lithops_value_free(config);
    if (!storage)
        fault_fail(__FILE__, __LINE__, err.message);
    return storage;
}

struct listing {
    const char *prefix;
    char **keys;
    size_t most, kept, count;
};

static int note_one(const lithops_object_info *info, void *user)
{
    struct listing *listing = user;
    listing->count++;
    if (listing->kept < listing->most &&
        strncmp(info->key, listing->prefix, strlen(listing->prefix)) == 0)
        listing->keys[listing->kept++] = strdup(info->key);
    return 0;
}

size_t through_list(const char *prefix, char **keys, size_t most, size_t *ret_kept)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct listing listing = {prefix, keys, keys ? most : 0, 0, 0};
    lithops_storage *storage = through_storage();
    int rc = lithops_storage_list(storage, lithops_storage_bucket(storage), NULL, note_one,
                                  &listing, &err);
    if (rc != 0 && rc != LITHOPS_ENOTFOUND)
        fault_fail(__FILE__, __LINE__, err.message);
    lithops_storage_close(storage);
    if (ret_kept)
        *ret_kept = listing.kept;
    return listing.count;
}
