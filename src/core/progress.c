/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar on a terminal, in the manner of tqdm.
 *
 * It writes only to a terminal that understands a few escapes (TERM is not "dumb"), one line, in
 * one write, at most ten times a second, however often it is updated. It asks for the width of the
 * terminal each time, because people resize them. NO_COLOR is honoured; blocks in eighths of a
 * column are drawn where the environment says UTF-8, whether or not the program has set its
 * locale. It leaves the terminal's settings alone: a program that dies leaves one line behind, no
 * more. */
#include "core/progress.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { REDRAW_MS = 100, WIDEST_BAR = 60, NARROWEST_BAR = 8, DEFAULT_COLUMNS = 80 };

struct lithops__progress {
    FILE *out;
    uint64_t total, start_ns, drawn_ns;
    const char *unit; /* NULL: calls */
    uint32_t workers, processes;
    bool unicode, color;
};

/* ---- what a line looks like ------------------------------------------------------------------ */

static void format_time(char *buf, size_t size, double seconds)
{
    if (!(seconds >= 0 && seconds < 1e7)) {
        snprintf(buf, size, "?");
        return;
    }
    unsigned s = (unsigned)seconds;
    if (s >= 3600)
        snprintf(buf, size, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(buf, size, "%02u:%02u", s / 60, s % 60);
}

/* Three digits: "36.2", "1.24k", "250M". */
static void format_rate(char *buf, size_t size, double rate)
{
    static const char *const units[] = {"", "k", "M", "G"};
    int unit = 0;
    for (; rate >= 999.5 && unit < 3; unit++)
        rate /= 1000;
    snprintf(buf, size, "%.*f%s", rate < 9.995 ? 2 : rate < 99.95 ? 1 : 0, rate, units[unit]);
}

static void format_workers(const struct lithops__progress_view *view, char *buf, size_t size)
{
    buf[0] = '\0';
    if (view->workers)
        snprintf(buf, size, ", %u worker%s, %u process%s", view->workers,
                 view->workers == 1 ? "" : "s", view->processes, view->processes == 1 ? "" : "es");
}

/* "450/1000 [00:12<00:15, 36.2 calls/s]" */
static int format_numbers(const struct lithops__progress_view *view, char *buf, size_t size)
{
    char elapsed[24], remaining[24] = "?", rate[24] = "?", workers[64];
    format_workers(view, workers, sizeof workers);
    format_time(elapsed, sizeof elapsed, view->elapsed_s);
    if (view->done && view->elapsed_s > 0) {
        double per_s = (double)view->done / view->elapsed_s;
        format_rate(rate, sizeof rate, per_s);
        uint64_t left = view->total > view->done ? view->total - view->done : 0;
        format_time(remaining, sizeof remaining, (double)left / per_s);
    }
    return snprintf(buf, size, "%llu/%llu [%s<%s, %s %s/s%s]", (unsigned long long)view->done,
                    (unsigned long long)view->total, elapsed, remaining, rate,
                    view->unit ? view->unit : "calls", workers);
}

static void append(char line[LITHOPS__PROGRESS_LINE], const char *text)
{
    size_t used = strlen(line);
    snprintf(line + used, LITHOPS__PROGRESS_LINE - used, "%s", text);
}

static void append_bar(const struct lithops__progress_view *view, double part, int width,
                       char line[LITHOPS__PROGRESS_LINE])
{
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int filled = (int)(part * width * 8); /* rounded down: full only when all are done */
    if (view->color)
        append(line, part < 1 ? "\033[36m" : "\033[32m");
    for (int i = 0; i < width; i++, filled -= 8) {
        if (filled >= 8)
            append(line, view->unicode ? "█" : "#");
        else
            append(line, view->unicode && filled > 0 ? eighths[filled] : " ");
    }
    if (view->color)
        append(line, "\033[0m");
}

int lithops__progress_format(const struct lithops__progress_view *view,
                             char line[LITHOPS__PROGRESS_LINE])
{
    double part = view->total ? (double)view->done / (double)view->total : 1;
    part = part > 1 ? 1 : part;
    char percent[16], numbers[160];
    int percent_width = snprintf(percent, sizeof percent, "%3d%%", (int)(part * 100));
    int numbers_width = format_numbers(view, numbers, sizeof numbers);
    int room = view->columns - 1, bar = room - percent_width - numbers_width - 3;
    bar = bar > WIDEST_BAR ? WIDEST_BAR : bar;
    line[0] = '\0';
    if (bar >= NARROWEST_BAR) {
        append(line, percent);
        append(line, "|");
        append_bar(view, part, bar, line);
        append(line, "| ");
        append(line, numbers);
        return percent_width + bar + 3 + numbers_width;
    }
    if (room < 0)
        room = 0;
    return snprintf(line, (size_t)room + 1, "%s %s", percent, numbers) > room
               ? room
               : percent_width + 1 + numbers_width;
}

/* ---- the terminal ---------------------------------------------------------------------------- */

static bool environment_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

static int terminal_columns(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return DEFAULT_COLUMNS;
}

struct lithops__progress *lithops__progress_new(FILE *out, uint64_t total)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    if (!out || !isatty(fileno(out)) || (term && strcmp(term, "dumb") == 0))
        return NULL;
    struct lithops__progress *progress = malloc(sizeof *progress);
    if (progress)
        *progress = (struct lithops__progress){.out = out,
                                               .total = total,
                                               .start_ns = lithops__now_ns(),
                                               .unicode = environment_is_utf8(),
                                               .color = !no_color || !*no_color};
    return progress;
}

/* The line goes out in one piece, so that it never shows in part; the rest of a longer one is
 * wiped. */
static void draw(const struct lithops__progress *progress, uint64_t done, const char *ending)
{
    struct lithops__progress_view view = {
        .done = done,
        .total = progress->total,
        .elapsed_s = (double)(lithops__now_ns() - progress->start_ns) / 1e9,
        .unit = progress->unit,
        .workers = progress->workers,
        .processes = progress->processes,
        .columns = terminal_columns(progress->out),
        .unicode = progress->unicode,
        .color = progress->color};
    char line[LITHOPS__PROGRESS_LINE], all[LITHOPS__PROGRESS_LINE + 16];
    lithops__progress_format(&view, line);
    int len = snprintf(all, sizeof all, "\r%s\033[K%s", line, ending);
    fwrite(all, 1, (size_t)len, progress->out);
    fflush(progress->out);
}

void lithops__progress_unit(struct lithops__progress *progress, const char *unit)
{
    if (progress)
        progress->unit = unit;
}

void lithops__progress_workers(struct lithops__progress *progress, uint32_t workers,
                               uint32_t processes)
{
    if (progress) {
        progress->workers = workers;
        progress->processes = processes;
    }
}

void lithops__progress_update(struct lithops__progress *progress, uint64_t done)
{
    if (!progress)
        return;
    uint64_t now_ns = lithops__now_ns();
    if (progress->drawn_ns && now_ns - progress->drawn_ns < REDRAW_MS * 1000000ull)
        return;
    progress->drawn_ns = now_ns;
    draw(progress, done, "");
}

void lithops__progress_free(struct lithops__progress *progress, uint64_t done)
{
    if (!progress)
        return;
    draw(progress, done, "\n");
    free(progress);
}
