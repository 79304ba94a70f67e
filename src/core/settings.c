/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the configuration that an executor puts into effect when it opens. */
#include "core/settings.h"

#include "base/error.h"
#include "base/log.h"
#include "compute/compute.h"
#include "config/config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* One line per record, to a stream that stays open as long as the process. */
static void write_record(lithops_log_level level, const char *where, const char *text, void *user)
{
    static const char *const words[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    fprintf(user, "lithops %s [%s] %s\n", words[level], where, text);
    fflush(user);
}

int lithops__settings_log(const struct lithops__config *config, lithops_error *err)
{
    const char *word = lithops__config_string(config, "lithops", "log_level");
    if (!word)
        return 0; /* not configured: keep what the program or the environment set */
    lithops_log_level level;
    if (lithops__log_level_parse(word, &level) != 0)
        return lithops__fail(err, LITHOPS_ECONFIG, "log_level '%s' is not known", word);
    const char *path = lithops__config_string(config, "lithops", "log_filename");
    const char *stream = lithops__config_string(config, "lithops", "log_stream");
    FILE *out = stream && strcmp(stream, "ext://sys.stdout") == 0 ? stdout : stderr;
    if (path && level < LITHOPS_LOG_NONE && !(out = fopen(path, "ae")))
        return lithops__fail_errno(err, errno, "cannot open log_filename '%s'", path);
    static FILE *_Atomic configured; /* a file that an earlier executor has opened */
    FILE *own = out == stderr || out == stdout ? NULL : out;
    bool is_taken = lithops__log_configure(level, out == stderr ? NULL : write_record, out);
    FILE *old = is_taken ? atomic_exchange(&configured, own) : own;
    if (old)
        fclose(old);
    return 0;
}

uint64_t lithops__settings_timeout_ms(const struct lithops__config *config, const char *backend)
{
    int64_t execution_s = lithops__config_int(config, "lithops", "execution_timeout");
    int64_t runtime_s = lithops__config_int(config, backend, "runtime_timeout");
    int64_t s = runtime_s > 0 && runtime_s < execution_s ? runtime_s : execution_s;
    return (uint64_t)s * 1000;
}

void lithops__settings_warn(const struct lithops__config *config,
                            const struct lithops__compute_driver *driver)
{
    const char *monitoring = lithops__config_string(config, "lithops", "monitoring");
    if (driver->is_direct && monitoring && strcmp(monitoring, "direct") != 0)
        lithops__log(LITHOPS_LOG_WARNING, "core",
                     "'monitoring: %s' has no effect: the backend %s is always direct", monitoring,
                     driver->name);
    if (driver->untested)
        lithops__log(LITHOPS_LOG_WARNING, "core",
                     "the backend %s is untested against the service: only its own workers, run as "
                     "processes, have met it",
                     driver->name);
}
