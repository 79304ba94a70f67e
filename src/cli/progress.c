/* SPDX-License-Identifier: Apache-2.0 */
/* The progress line: `  37% |########            | 370/1000 calls  2.1 s`, drawn over itself. */
#include "cli/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { BAR_WIDTH = 30 };

void cli_progress_init(struct cli_progress *progress, int wanted)
{
    uint64_t now = lithops__now_ns();
    *progress = (struct cli_progress){.shown = wanted > 0 || (wanted < 0 && isatty(STDERR_FILENO)),
                                      .start_ns = now,
                                      .last_ns = now};
}

static void draw(struct cli_progress *progress, int64_t done, int64_t total, uint64_t now)
{
    double seconds = (double)(now - progress->start_ns) / 1e9;
    if (total > 0) {
        static const char full[] = "##############################";
        static const char empty[] = "                              ";
        int filled = (int)((double)BAR_WIDTH * (double)done / (double)total);
        fprintf(stderr, "\r%4d%% |%.*s%.*s| %" PRId64 "/%" PRId64 " calls  %.1f s ",
                (int)(100.0 * (double)done / (double)total), filled, full, BAR_WIDTH - filled,
                empty, done, total, seconds);
    } else {
        fprintf(stderr, "\r%" PRId64 " calls done, %.0f/s  %.1f s ", done,
                seconds > 0 ? (double)done / seconds : 0, seconds);
    }
    fflush(stderr);
    progress->drawn = true;
    progress->last_ns = now;
}

void cli_progress_update(struct cli_progress *progress, int64_t done, int64_t total)
{
    uint64_t now = lithops__now_ns();
    if (progress->shown && now - progress->last_ns >= CLI_PROGRESS_INTERVAL_MS * 1000000u)
        draw(progress, done, total, now);
}

void cli_progress_end(struct cli_progress *progress, int64_t done, int64_t total)
{
    if (!progress->shown)
        return;
    draw(progress, done, total, lithops__now_ns());
    fputc('\n', stderr);
    progress->drawn = false;
}

void cli_progress_clear(struct cli_progress *progress)
{
    if (progress->drawn)
        fprintf(stderr, "\r%70s\r", "");
    progress->drawn = false;
}
