/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the progress bar: the line by itself, and what a terminal gets to see. */
#include "base/clock.h"
#include "core/progress.h"

#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

static void check_line(struct lithops__progress_view view, const char *expected)
{
    char line[LITHOPS__PROGRESS_LINE];
    int columns = lithops__progress_format(&view, line);
    assert_string_equal(line, expected);
    assert_true(columns < view.columns || view.columns < 1);
}

static void lines_show_what_is_done(void **state)
{
    (void)state;
    struct lithops__progress_view view = {
        .done = 450, .total = 1000, .elapsed_s = 12.4, .columns = 71};
    check_line(view, " 45%|############               | 450/1000 [00:12<00:15, 36.3 calls/s]");
    view.unicode = true;
    check_line(view, " 45%|████████████▏              | 450/1000 [00:12<00:15, 36.3 calls/s]");
    view.done = 1000;
    check_line(view, "100%|██████████████████████████| 1000/1000 [00:12<00:00, 80.6 calls/s]");
    view = (struct lithops__progress_view){.done = 0, .total = 10, .columns = 60};
    check_line(view, "  0%|                           | 0/10 [00:00<?, ? calls/s]");
}

static void workers_elsewhere_are_shown(void **state)
{
    (void)state;
    struct lithops__progress_view view = {
        .done = 5, .total = 10, .elapsed_s = 1, .columns = 80, .workers = 3, .processes = 12};
    check_line(view,
               " 50%|#######        | 5/10 [00:01<00:01, 5.00 calls/s, 3 workers, 12 processes]");
    view.workers = view.processes = 1;
    check_line(view,
               " 50%|#########          | 5/10 [00:01<00:01, 5.00 calls/s, 1 worker, 1 process]");
}

static void the_bar_is_full_only_at_the_end(void **state)
{
    (void)state;
    struct lithops__progress_view view = {
        .done = 999999, .total = 1000000, .elapsed_s = 1, .columns = 100, .unicode = true};
    char line[LITHOPS__PROGRESS_LINE];
    lithops__progress_format(&view, line);
    assert_true(strncmp(line, " 99%", 4) == 0);
    assert_non_null(strstr(line, "▉|"));
}

static void little_room_is_respected(void **state)
{
    (void)state;
    for (int color = 0; color < 2; color++) {
        for (int columns = -1; columns < 300; columns++) {
            struct lithops__progress_view view = {.done = 123456789,
                                                  .total = UINT64_MAX,
                                                  .elapsed_s = 1e6,
                                                  .columns = columns,
                                                  .unicode = true,
                                                  .color = color};
            char line[LITHOPS__PROGRESS_LINE];
            int used = lithops__progress_format(&view, line);
            int width = 0;
            for (const char *c = line; *c; c++) {
                if (*c == '\033')
                    c = strchr(c, 'm');
                else
                    width += (*c & 0xC0) != 0x80;
            }
            assert_int_equal(width, used);
            assert_true(used <= (columns > 1 ? columns - 1 : 0));
        }
    }
    struct lithops__progress_view narrow = {.done = 5, .total = 10, .elapsed_s = 1, .columns = 20};
    check_line(narrow, " 50% 5/10 [00:01<00");
}

static void rates_and_times_fit(void **state)
{
    (void)state;
    static const struct {
        uint64_t done, total;
        double elapsed_s;
        const char *end;
    } cases[] = {{1, 1, 3, "1/1 [00:03<00:00, 0.33 calls/s]"},
                 {1000000, 1000000, 0.002, "[00:00<00:00, 500M calls/s]"},
                 {4000, 8000, 4, "[00:04<00:04, 1.00k calls/s]"},
                 {1, 1000, 100, "[01:40<27:45:00, 0.01 calls/s]"},
                 {1, UINT64_MAX, 100, "[01:40<?, 0.01 calls/s]"},
                 {UINT64_MAX, 1, 1e-9, " calls/s]"},
                 {0, 0, 5, "0/0 [00:05<?, ? calls/s]"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lithops__progress_view view = {.done = cases[i].done,
                                              .total = cases[i].total,
                                              .elapsed_s = cases[i].elapsed_s,
                                              .columns = 120};
        char line[LITHOPS__PROGRESS_LINE];
        lithops__progress_format(&view, line);
        assert_true(strlen(line) >= strlen(cases[i].end));
        assert_string_equal(line + strlen(line) - strlen(cases[i].end), cases[i].end);
    }
}

static void no_terminal_no_bar(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    FILE *out = fdopen(fds[1], "w");
    assert_null(lithops__progress_new(out, 10));
    assert_null(lithops__progress_new(NULL, 10));
    lithops__progress_update(NULL, 5);
    lithops__progress_free(NULL, 10);
    fclose(out);
    char byte;
    assert_int_equal(read(fds[0], &byte, 1), 0); /* nothing came */
    close(fds[0]);
}

struct terminal {
    int master;
    FILE *out;
};

static struct terminal open_terminal(unsigned short columns)
{
    struct terminal t;
    int slave;
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    assert_int_equal(openpty(&t.master, &slave, NULL, NULL, &size), 0);
    t.out = fdopen(slave, "w");
    setenv("TERM", "xterm", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    unsetenv("NO_COLOR");
    return t;
}

/* All that the terminal got. */
static char *read_terminal(struct terminal *t)
{
    static char seen[65536];
    assert_int_equal(fcntl(t->master, F_SETFL, O_NONBLOCK), 0);
    size_t len = 0;
    for (ssize_t n; (n = read(t->master, seen + len, sizeof seen - 1 - len)) > 0;)
        len += (size_t)n;
    seen[len] = '\0';
    fclose(t->out);
    close(t->master);
    return seen;
}

static int count(const char *text, const char *part)
{
    int found = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        found++;
    return found;
}

static void it_ends_with_a_whole_line(void **state)
{
    (void)state;
    struct terminal t = open_terminal(80);
    struct lithops__progress *progress = lithops__progress_new(t.out, 10);
    assert_non_null(progress);
    lithops__progress_update(progress, 3);
    lithops__progress_free(progress, 10);
    char *seen = read_terminal(&t);
    assert_int_equal(count(seen, "\r 30%|"), 1);
    assert_int_equal(count(seen, "\r100%|"), 1);
    assert_int_equal(count(seen, "\033[32m"), 1); /* green at the end */
    assert_int_equal(count(seen, "\n"), 1);
    assert_string_equal(seen + strlen(seen) - 5, "\033[K\r\n");
}

static void it_draws_ten_times_a_second(void **state)
{
    (void)state;
    struct terminal t = open_terminal(80);
    struct lithops__progress *progress = lithops__progress_new(t.out, 100);
    uint64_t start_ns = lithops__now_ns(), updates = 0;
    while (lithops__now_ns() - start_ns < 250000000) {
        lithops__progress_update(progress, 50);
        updates++;
    }
    lithops__progress_free(progress, 100);
    char *seen = read_terminal(&t);
    assert_true(updates > 1000);
    assert_in_range(count(seen, "\r "), 2, 3); /* at 0, 100 and 200 ms, and the last */
    assert_int_equal(count(seen, "\r100%"), 1);
}

static void it_does_as_the_environment_says(void **state)
{
    (void)state;
    struct terminal t = open_terminal(80);
    setenv("NO_COLOR", "1", 1);
    setenv("LC_ALL", "C", 1);
    struct lithops__progress *progress = lithops__progress_new(t.out, 10);
    lithops__progress_update(progress, 5);
    struct winsize wide = {.ws_row = 24, .ws_col = 140};
    ioctl(t.master, TIOCSWINSZ, &wide);
    lithops__progress_free(progress, 10);
    char *seen = read_terminal(&t);
    assert_int_equal(count(seen, "m"), 0);
    assert_non_null(strstr(seen, "50%|####"));
    assert_non_null(strstr(seen, "|############################################################|"));

    t = open_terminal(80);
    setenv("TERM", "dumb", 1);
    assert_null(lithops__progress_new(t.out, 10));
    read_terminal(&t);
}

static void a_terminal_that_goes_away_does_no_harm(void **state)
{
    (void)state;
    struct terminal t = open_terminal(80);
    struct lithops__progress *progress = lithops__progress_new(t.out, 10);
    lithops__progress_update(progress, 1);
    close(t.master);
    lithops__progress_free(progress, 10);
    fclose(t.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_show_what_is_done),
        cmocka_unit_test(workers_elsewhere_are_shown),
        cmocka_unit_test(the_bar_is_full_only_at_the_end),
        cmocka_unit_test(little_room_is_respected),
        cmocka_unit_test(rates_and_times_fit),
        cmocka_unit_test(no_terminal_no_bar),
        cmocka_unit_test(it_ends_with_a_whole_line),
        cmocka_unit_test(it_draws_ten_times_a_second),
        cmocka_unit_test(it_does_as_the_environment_says),
        cmocka_unit_test(a_terminal_that_goes_away_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
