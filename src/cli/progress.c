/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of the calls: the engine's bar on a terminal; a plain line if the number of calls is not
 * known yet, or if there is no terminal (--progress into a file). */
#include "cli/progress.h"

#include "base/clock.h"
#include "core/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

void cli_progress_init(struct cli_progress *progress, int wanted)
{
    bool terminal = isatty(STDERR_FILENO);
    uint64_t now = lithops__now_ns();
    *progress = (struct cli_progress){.shown = wanted > 0 || (wanted < 0 && terminal),
                                      .plain = !terminal,
                                      .unit = "calls",
                                      .start_ns = now,
                                      .last_ns = now};
}

static bool use_bar(struct cli_progress *progress, int64_t total)
{
    if (!progress->plain && !progress->bar && total > 0)
        progress->bar = lithops__progress_new(stderr, (uint64_t)total);
    lithops__progress_unit(progress->bar, progress->unit);
    progress->plain = !progress->bar;
    return !progress->plain;
}

static double seconds(const struct cli_progress *progress, uint64_t now_ns)
{
    return (double)(now_ns - progress->start_ns) / 1e9;
}

void cli_progress_update(struct cli_progress *progress, int64_t done, int64_t total)
{
    uint64_t now = lithops__now_ns();
    if (!progress->shown || now - progress->last_ns < CLI_PROGRESS_INTERVAL_MS * 1000000u)
        return;
    progress->last_ns = now;
    progress->drawn = true;
    if (use_bar(progress, total)) {
        lithops__progress_update(progress->bar, (uint64_t)done);
        return;
    }
    double elapsed = seconds(progress, now);
    fprintf(stderr, "\r%" PRId64 " %s done, %.0f/s, %.1f s  ", done, progress->unit,
            (double)done / elapsed, elapsed);
    fflush(stderr);
}

void cli_progress_end(struct cli_progress *progress, int64_t done, int64_t total)
{
    if (!progress->shown)
        return;
    if (use_bar(progress, total))
        lithops__progress_free(progress->bar, (uint64_t)done);
    else
        fprintf(stderr, "%s%" PRId64 "/%" PRId64 " %s, %.1f s\n", progress->drawn ? "\r" : "", done,
                total, progress->unit, seconds(progress, lithops__now_ns()));
    *progress = (struct cli_progress){.shown = false};
}

void cli_progress_clear(struct cli_progress *progress)
{
    if (progress->drawn && progress->bar)
        fputs("\r\033[K", stderr);
    else if (progress->drawn)
        fprintf(stderr, "\r%50s\r", "");
    progress->drawn = false;
}
