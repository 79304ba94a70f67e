/* SPDX-License-Identifier: Apache-2.0 */
/* The section `slurm`, as arguments of srun. */
#include "base/error.h"
#include "compute/backends/slurm/slurm.h"
#include "compute/bootstrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 1000 };

static bool add(struct lithops__slurm_options *options, size_t *count, const char *format,
                const char *value)
{
    char *word = NULL;
    if (asprintf(&word, format, value) < 0)
        return false;
    options->arguments[(*count)++] = word;
    return true;
}

/* One of the keys that Slurm has an option for, as a string or a number. */
static bool add_key(struct lithops__slurm_options *options, size_t *count,
                    const lithops_value *settings, const char *key, const char *format)
{
    const lithops_value *value = lithops_value_get(settings, key);
    char number[32];
    if (!value || lithops_value_type(value) == LITHOPS_NULL)
        return true;
    if (lithops_value_type(value) == LITHOPS_STRING)
        return add(options, count, format, lithops_value_get_string(value));
    snprintf(number, sizeof number, "%lld", (long long)lithops_value_get_int(value));
    return add(options, count, format, number);
}

/* `time` and `memory`: as Slurm writes them, or a number. */
static int check_scalar(const lithops_value *settings, const char *key, const char *example,
                        lithops_error *err)
{
    const lithops_value *value = lithops_value_get(settings, key);
    lithops_type type = value ? lithops_value_type(value) : LITHOPS_NULL;
    bool right = type == LITHOPS_NULL ||
                 (type == LITHOPS_STRING && lithops_value_get_string(value)[0]) ||
                 (type == LITHOPS_INT && lithops_value_get_int(value) > 0);
    return right ? 0
                 : lithops__fail(err, LITHOPS_ECONFIG, "slurm.%s must be as Slurm writes it: %s",
                                 key, example);
}

int lithops__slurm_read_options(const lithops_value *settings,
                                struct lithops__slurm_options *ret_options, lithops_error *err)
{
    static const struct {
        const char *key, *format;
    } keys[] = {{"partition", "--partition=%s"},
                {"account", "--account=%s"},
                {"time", "--time=%s"},
                {"cpus_per_worker", "--cpus-per-task=%s"},
                {"memory", "--mem=%s"}};
    enum { KEYS = sizeof keys / sizeof *keys };
    struct lithops__slurm_options options = {.max_workers = 0};
    const lithops_value *more = lithops_value_get(settings, "sbatch_args");
    const lithops_value *processes = lithops_value_get(settings, "worker_processes");
    size_t count = 0, extra = lithops_value_size(more);
    const char *runtime = lithops_value_get_string(lithops_value_get(settings, "runtime"));
    enum lithops__runtime_kind kind = lithops__runtime_kind(runtime);
    if (kind == LITHOPS__RUNTIME_IMAGE || kind == LITHOPS__RUNTIME_WRONG)
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "the runtime of slurm is '%s', and nodes run no images: name an "
                             "interpreter by its absolute path on the nodes",
                             runtime);
    int rc = check_scalar(settings, "time", "\"1:30:00\", or minutes", err);
    if (rc == 0)
        rc = check_scalar(settings, "memory", "\"4G\", or MiB", err);
    if (rc == 0 && lithops_value_get_int(lithops_value_get(settings, "min_workers")) >
                       lithops_value_get_int(lithops_value_get(settings, "max_workers")))
        rc = lithops__fail(err, LITHOPS_ECONFIG, "slurm.min_workers is above slurm.max_workers");
    if (rc == 0 && extra > MOST_ARGUMENTS)
        rc = lithops__fail(err, LITHOPS_ECONFIG, "slurm.sbatch_args has more than %d items",
                           MOST_ARGUMENTS);
    if (rc != 0)
        return rc;
    options.arguments = calloc(KEYS + extra + 1, sizeof *options.arguments);
    bool done = options.arguments != NULL;
    for (size_t i = 0; done && i < KEYS; i++)
        done = add_key(&options, &count, settings, keys[i].key, keys[i].format);
    for (size_t i = 0; done && i < extra; i++) /* last: they win */
        done = add(&options, &count, "%s", lithops_value_get_string(lithops_value_at(more, i)));
    if (!done) {
        lithops__slurm_options_deinit(&options);
        return lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    }
    int64_t cpus = lithops_value_get_int(lithops_value_get(settings, "cpus_per_worker"));
    options.worker_processes = (uint32_t)(cpus > 0 ? cpus : 1);
    if (lithops_value_type(processes) == LITHOPS_INT)
        options.worker_processes = (uint32_t)lithops_value_get_int(processes);
    options.max_workers =
        (uint32_t)lithops_value_get_int(lithops_value_get(settings, "max_workers"));
    options.min_workers =
        (uint32_t)lithops_value_get_int(lithops_value_get(settings, "min_workers"));
    options.idle_timeout_ms =
        (uint32_t)(1000 * lithops_value_get_double(lithops_value_get(settings, "idle_timeout")));
    options.python = lithops_value_get_string(lithops_value_get(settings, "python"));
    if (!options.python && kind == LITHOPS__RUNTIME_INTERPRETER)
        options.python = runtime;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)getpid();
    snprintf(options.name, sizeof options.name, "lithops-%08x", random);
    *ret_options = options;
    return 0;
}

void lithops__slurm_options_deinit(struct lithops__slurm_options *options)
{
    for (size_t i = 0; options->arguments && options->arguments[i]; i++)
        free(options->arguments[i]);
    free(options->arguments);
    options->arguments = NULL;
}

static size_t length(const char *const *words)
{
    size_t count = 0;
    while (words && words[count])
        count++;
    return count;
}

char **lithops__slurm_words(const char *const *first, const struct lithops__slurm_options *options,
                            const char *const *last)
{
    const char *const *parts[] = {first, (const char *const *)options->arguments, last};
    size_t count = 0;
    const char **words =
        calloc(length(parts[0]) + length(parts[1]) + length(parts[2]) + 1, sizeof *words);
    for (size_t p = 0; words && p < 3; p++)
        for (size_t i = 0; i < length(parts[p]); i++)
            words[count++] = parts[p][i];
    return (char **)words;
}
