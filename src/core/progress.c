/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar on a terminal. */
#include "core/progress.h"

#include "base/clock.h"

#include <stdlib.h>
#include <unistd.h>

enum { REDRAW_MS = 100, BAR = 40 };

struct lithops__progress {
    FILE *out;
    uint64_t total, start_ns, drawn_ns;
};

struct lithops__progress *lithops__progress_new(FILE *out, uint64_t total)
{
    struct lithops__progress *progress = isatty(fileno(out)) ? calloc(1, sizeof *progress) : NULL;
    if (progress)
        *progress = (struct lithops__progress){out, total, lithops__now_ns(), 0};
    return progress;
}

static void draw(const struct lithops__progress *progress, uint64_t done)
{
    int filled = progress->total ? (int)(done * BAR / progress->total) : BAR;
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(progress->out, "\r[%s] %llu/%llu %.1f s", bar, (unsigned long long)done,
            (unsigned long long)progress->total,
            (double)(lithops__now_ns() - progress->start_ns) / 1e9);
    fflush(progress->out);
}

void lithops__progress_update(struct lithops__progress *progress, uint64_t done)
{
    if (!progress || lithops__now_ns() - progress->drawn_ns < REDRAW_MS * 1000000ull)
        return;
    progress->drawn_ns = lithops__now_ns();
    draw(progress, done);
}

void lithops__progress_free(struct lithops__progress *progress, uint64_t done)
{
    if (!progress)
        return;
    draw(progress, done);
    fputc('\n', progress->out);
    free(progress);
}
