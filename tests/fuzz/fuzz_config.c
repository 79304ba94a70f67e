/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzer of the configuration: the input is a configuration file.
 *
 * It goes all the way: file, module "yaml", scalars, checks, defaults. What loads must load again
 * from its own value, with the same result; what does not load must say why in one line. */
#include "config/config.h"
#include "fuzz.h"

#include <sys/mman.h>

static void load_again(const struct lithops__config *config)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *again = NULL;
    lithops_value *whole = lithops__config_value(config, true);
    options.config = whole;
    must(lithops__config_load(&options, &again, &err) == 0, err.message);
    lithops_value *whole_again = lithops__config_value(again, true);
    must(lithops_value_equal(whole, whole_again), "loaded again, it differs");
    lithops_value_free(whole);
    lithops_value_free(whole_again);
    lithops__config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        find_modules();
        fd = memfd_create("config", MFD_CLOEXEC);
        must(fd >= 0, "no memory file");
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size, "cannot write");

    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    options.config_file = path;
    int rc = lithops__config_load(&options, &config, &err);
    must(rc == 0 || rc == LITHOPS_ECONFIG, err.message);
    if (rc == 0) {
        load_again(config);
    } else {
        must(err.code == rc && strncmp(err.message, path, strlen(path)) == 0, "no path");
        must(!strchr(err.message, '\n'), "more than one line");
        lithops_value *text = lithops_value_string(err.message);
        must(text != NULL, "the message is not UTF-8");
        lithops_value_free(text);
    }
    lithops__config_free(config);
    return 0;
}
