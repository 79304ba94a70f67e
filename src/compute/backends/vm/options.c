/* SPDX-License-Identifier: Apache-2.0 */
/* How ssh is called, and what workers run in. */
#include "base/error.h"
#include "compute/backends/vm/vm.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TIMEOUT_S = 15 };

static int read_ssh_options(struct lithops__vm_options *options, const lithops_value *list,
                            lithops_error *err)
{
    size_t count = lithops_value_size(list);
    options->options = calloc(count + 1, sizeof *options->options);
    if (!options->options)
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        if (!(options->options[i] = strdup(lithops_value_get_string(lithops_value_at(list, i)))))
            return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    return 0;
}

static int read_runtime(struct lithops__vm_options *options, const lithops_value *settings,
                        lithops_error *err)
{
    const char *runtime = lithops_value_get_string(lithops_value_get(settings, "runtime"));
    switch (lithops__runtime_kind(runtime)) {
    case LITHOPS__RUNTIME_INTERPRETER:
        options->python = runtime;
        break;
    case LITHOPS__RUNTIME_IMAGE:
        options->container = (struct lithops__container){
            .image = runtime,
            .folders = lithops_value_get(settings, "shared_filesystem"),
            .is_pulled = lithops_value_get_bool(lithops_value_get(settings, "pull_runtime")),
            .has_gpus = lithops_value_get_bool(lithops_value_get(settings, "use_gpu")),
        };
        break;
    case LITHOPS__RUNTIME_WRONG:
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.runtime is '%s': name an image, or an interpreter by its absolute "
                             "path on the hosts",
                             options->section, runtime);
    case LITHOPS__RUNTIME_ANY:
        break;
    }
    return 0;
}

int lithops__vm_options_read(const lithops_value *settings, const char *section,
                             struct lithops__vm_options *options, lithops_error *err)
{
    double timeout = lithops_value_get_double(lithops_value_get(settings, "connect_timeout"));
    *options = (struct lithops__vm_options){
        .section = section,
        .connect_timeout_s = timeout >= 1 ? (uint32_t)timeout : DEFAULT_TIMEOUT_S,
        .key = lithops_value_get_string(lithops_value_get(settings, "ssh_key_filename")),
        .password = lithops_value_get_string(lithops_value_get(settings, "ssh_password")),
    };
    int rc = read_ssh_options(options, lithops_value_get(settings, "ssh_options"), err);
    return rc ? rc : read_runtime(options, settings, err);
}

void lithops__vm_options_deinit(struct lithops__vm_options *options)
{
    for (size_t i = 0; options->options && options->options[i]; i++)
        free(options->options[i]);
    free(options->options);
    options->options = NULL;
}
