/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzzer's function over the files of a corpus folder, and over every prefix of each: a
 * plain test for every compiler, where libFuzzer needs clang.
 *
 * A crash or a sanitizer's report fails the test. So does an empty corpus, with which it would test
 * nothing. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_PREFIXES = 256 };

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    static uint8_t content[1 << 20];
    size_t size = fread(content, 1, sizeof content, file);
    fclose(file);
    size_t step = size / MAX_PREFIXES + 1;
    for (size_t len = 0;; len = len + step < size ? len + step : size) {
        /* A copy of its exact size, so that AddressSanitizer sees a read past the end. */
        uint8_t *copy = malloc(len ? len : 1);
        if (!copy)
            return -1;
        memcpy(copy, content, len);
        LLVMFuzzerTestOneInput(copy, len);
        free(copy);
        if (len == size)
            return 0;
    }
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER (%s)\n", argv[0], strerror(errno));
        return 2;
    }
    int files = 0;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        if (replay_file(path) != 0)
            return 1;
        files++;
    }
    closedir(dir);
    printf("%d inputs replayed\n", files);
    return files ? 0 : 1;
}
