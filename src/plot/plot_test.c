/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the pictures: drawn by the module as the engine loads it, read back, dots looked at. */
#include "base/module.h"
#include "plot/plot.h"

#include <cairo.h>
#include <dirent.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define T0 1795335519.75
#define BLUE 0x3D7DB8 /* the first two groups, and failed calls */
#define ORANGE 0xE8912D
#define RED 0xD62F2F

/* fontconfig keeps some bytes to the end of the process; they do not grow with the plots. */
LITHOPS_PUBLIC const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig";
}

static lithops__plot_draw_function *draw;
static char folder[] = "/tmp/lithops-plot-XXXXXX";

static int find_module(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    draw =
        (lithops__plot_draw_function *)lithops__module_symbol("plot", "lithops__plot_draw", &err);
    if (!draw)
        print_error("%s\n", err.message);
    return draw && mkdtemp(folder) ? 0 : -1;
}

/* Remove what is in the folder. @return how many files there were */
static int empty_folder(void)
{
    DIR *dir = opendir(folder);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.') {
            count++;
            char path[600];
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            remove(path);
        }
    }
    closedir(dir);
    return count;
}

static int remove_folder(void **state)
{
    (void)state;
    empty_folder();
    cairo_debug_reset_static_data(); /* its caches would count as leaks */
    return rmdir(folder);
}

static const char *prefix(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* One after the other, `length_s` each. */
static void fill(struct lithops__plot_call *calls, size_t count, double from_s, double length_s,
                 const char *job)
{
    for (size_t i = 0; i < count; i++) {
        double begin = T0 + from_s + (double)i * length_s;
        calls[i] = (struct lithops__plot_call){.host_submit = T0,
                                               .worker_start = begin,
                                               .func_start = begin,
                                               .func_end = begin + length_s,
                                               .worker_end = begin + length_s,
                                               .status_done = begin + length_s,
                                               .result_done = begin + length_s,
                                               .job = job,
                                               .function = "f"};
    }
}

struct seen {
    int width, height;
    size_t dots;                  /* of the colour, inside the frame */
    int left, right, top, bottom; /* where */
};

static struct seen look(const char *name, const char *which, uint32_t color)
{
    char path[300];
    snprintf(path, sizeof path, "%s_%s.png", prefix(name), which);
    cairo_surface_t *image = cairo_image_surface_create_from_png(path);
    assert_int_equal(cairo_surface_status(image), CAIRO_STATUS_SUCCESS);
    struct seen seen = {.width = cairo_image_surface_get_width(image),
                        .height = cairo_image_surface_get_height(image),
                        .left = INT32_MAX,
                        .top = INT32_MAX};
    const unsigned char *data = cairo_image_surface_get_data(image);
    for (int y = 92; y < seen.height; y++) {
        const uint32_t *row =
            (const uint32_t *)(const void *)(data + y * cairo_image_surface_get_stride(image));
        int right = strcmp(which, "timeline") == 0 ? seen.width - 130 : seen.width;
        for (int x = 80; x < right; x++) {
            if ((row[x] & 0xFFFFFF) != color)
                continue;
            seen.dots++;
            seen.left = x < seen.left ? x : seen.left;
            seen.right = x > seen.right ? x : seen.right;
            seen.top = y < seen.top ? y : seen.top;
            seen.bottom = y > seen.bottom ? y : seen.bottom;
        }
    }
    cairo_surface_destroy(image);
    return seen;
}

static int draw_default(const struct lithops__plot_call *calls, size_t count, const char *name,
                        lithops_error *err)
{
    return draw(calls, count, prefix(name), 10, 6, err);
}

static void one_call_is_a_bar(void **state)
{
    (void)state;
    struct lithops__plot_call call;
    fill(&call, 1, 1, 2, "a1b2c3-0-A000");
    assert_int_equal(draw_default(&call, 1, "one", NULL), 0);
    struct seen seen = look("one", "timeline", BLUE);
    assert_int_equal(seen.width, 1000);
    assert_int_equal(seen.height, 600);
    /* It ran for two thirds of the time, in the right part of the axis (84 to 870). */
    assert_in_range(seen.left, 84 + 786 / 3 - 10, 84 + 786 / 3 + 10);
    seen = look("one", "histogram", BLUE);
    assert_true(seen.dots > 20000);
    assert_int_equal(empty_folder(), 2);
}

static void size_is_as_asked(void **state)
{
    (void)state;
    struct lithops__plot_call call;
    fill(&call, 1, 1, 2, "a1b2c3-0-A000");
    assert_int_equal(draw(&call, 1, prefix("size"), 4, 3, NULL), 0);
    assert_int_equal(look("size", "timeline", BLUE).width, 400);
    assert_int_equal(draw(&call, 1, prefix("size"), 16, 9.5, NULL), 0); /* over the old ones */
    assert_int_equal(look("size", "histogram", BLUE).height, 950);
    assert_int_equal(empty_folder(), 2);
}

static void no_length_is_visible(void **state)
{
    (void)state;
    struct lithops__plot_call calls[2];
    fill(calls, 2, 0.5, 0, "a1b2c3-0-M000");
    calls[1].func_end = calls[1].status_done = T0 + 1;
    calls[0].status_done = calls[0].result_done = calls[1].result_done = 0;
    assert_int_equal(draw_default(calls, 1, "zero", NULL), 0);
    assert_true(look("zero", "timeline", BLUE).dots >= 10);
    assert_true(look("zero", "histogram", BLUE).dots >= 10);
    empty_folder();
}

static void map_and_reduce_differ(void **state)
{
    (void)state;
    struct lithops__plot_call *calls = calloc(1001, sizeof *calls);
    fill(calls, 1000, 0, 0.01, "a1b2c3-0-M000");
    for (int i = 0; i < 1000; i++)
        calls[i].func_end += 0.5; /* many at once */
    fill(calls + 1000, 1, 10, 1, "a1b2c3-0-R000");
    assert_int_equal(draw_default(calls, 1001, "mr", NULL), 0);
    assert_true(look("mr", "timeline", BLUE).dots > 300);
    struct seen reduce = look("mr", "timeline", ORANGE);
    assert_true(reduce.dots > 300); /* not a thousandth of the height */
    assert_true(reduce.top > look("mr", "timeline", BLUE).top);
    assert_true(look("mr", "histogram", ORANGE).dots > 40);
    assert_int_equal(look("mr", "timeline", RED).dots, 0);
    free(calls);
    empty_folder();
}

static void a_failed_call_shows(void **state)
{
    (void)state;
    struct lithops__plot_call calls[10];
    fill(calls, 10, 0, 0.1, "a1b2c3-0-M000");
    calls[3].failed = true;
    calls[9].failed = true; /* never ran */
    calls[9].worker_start = calls[9].func_start = calls[9].func_end = calls[9].worker_end = 0;
    calls[9].result_done = 0;
    assert_int_equal(draw_default(calls, 10, "failed", NULL), 0);
    struct seen seen = look("failed", "timeline", RED);
    assert_true(seen.dots > 500);
    assert_true(seen.bottom > 500); /* the last row has one */
    assert_true(look("failed", "histogram", RED).dots > 100);
    empty_folder();
}

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void a_million_calls_are_quick(void **state)
{
    (void)state;
    enum { CALLS = 1000000 };
    struct lithops__plot_call *calls = calloc(CALLS, sizeof *calls);
    assert_non_null(calls);
    fill(calls, CALLS, 0, 1e-6, "a1b2c3-0-M000");
    calls[777777].failed = true;
    double start = cpu_seconds();
    assert_int_equal(draw_default(calls, CALLS, "million", NULL), 0);
    double used = cpu_seconds() - start;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(used < 2);
#endif
    (void)used;
    struct seen failed = look("million", "timeline", RED);
    assert_in_range(failed.dots, 4, 40); /* the one is found, and where it is */
    double down = (failed.top - 92.0) / (548 - 92);
    assert_true(fabs(down - 0.7778) < 0.02);
    free(calls);
    empty_folder();
}

static void many_jobs_are_quick(void **state)
{
    (void)state;
    enum { CALLS = 200000 };
    struct lithops__plot_call *calls = calloc(CALLS, sizeof *calls);
    char(*jobs)[24] = calloc(CALLS, sizeof *jobs);
    assert_true(calls && jobs);
    fill(calls, CALLS, 0, 1e-6, "");
    for (int i = 0; i < CALLS; i++) {
        snprintf(jobs[i], sizeof jobs[i], "a1b2c3-0-A%03d", i);
        calls[i].job = jobs[i];
        calls[i].function = i % 2 ? "f" : "g";
    }
    double start = cpu_seconds();
    assert_int_equal(draw_default(calls, CALLS, "jobs", NULL), 0);
    assert_true(cpu_seconds() - start < 10);
    free(jobs);
    free(calls);
    empty_folder();
}

static void any_names_can_be_drawn(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",         "-",           "\xff\xfe",     "a\xc3",
        "\xe4\xb8", "\n\t\x1b[1m", "\xed\xa0\x80", "\xf0\x9f\x90\x8d",
        "%s%n%d",   NULL};
    char endless[5000];
    memset(endless, 'W', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    struct lithops__plot_call calls[11];
    fill(calls, 11, 0, 1, NULL);
    for (int i = 0; i < 10; i++)
        calls[i].job = calls[i].function = names[i];
    calls[10].job = calls[10].function = endless;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(draw_default(calls, 11, "names", &err), 0);
    assert_true(look("names", "timeline", BLUE).dots > 100);
    for (int i = 0; i < 11; i++)
        assert_int_equal(draw(&calls[i], 1, prefix("names"), 4, 3, &err), 0);
    empty_folder();
}

static void strange_times_do_not_crash(void **state)
{
    (void)state;
    static const double times[] = {0, -1, NAN, INFINITY, -INFINITY, 1e308, 5e-324, T0, T0 - 1e9};
    enum { COUNT = sizeof times / sizeof times[0] };
    struct lithops__plot_call calls[300];
    srand(3);
    for (int round = 0; round < 20; round++) {
        int count = round < 10 ? 20 : 300; /* drawn and counted */
        for (int i = 0; i < count; i++)
            calls[i] = (struct lithops__plot_call){times[rand() % COUNT],
                                                   times[rand() % COUNT],
                                                   times[rand() % COUNT],
                                                   times[rand() % COUNT],
                                                   times[rand() % COUNT],
                                                   times[rand() % COUNT],
                                                   times[rand() % COUNT],
                                                   "x-0-M000",
                                                   "f",
                                                   rand() % 2 ? "h" : NULL,
                                                   rand() % 5 - 2,
                                                   rand() % 2};
        assert_int_equal(draw(calls, (size_t)count, prefix("strange"), 5, 4, NULL), 0);
    }
    empty_folder();
}

static void wrong_arguments_are_named(void **state)
{
    (void)state;
    struct lithops__plot_call call;
    fill(&call, 1, 0, 1, "a1b2c3-0-A000");
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(draw_default(NULL, 0, "x", &err), LITHOPS_EUSAGE);
    assert_int_equal(draw(&call, 1, NULL, 10, 6, &err), LITHOPS_EUSAGE);
    assert_int_equal(draw(&call, 1, "", 10, 6, &err), LITHOPS_EUSAGE);
    static const double sizes[][2] = {{0, 6},   {10, 0},        {-10, 6},
                                      {NAN, 6}, {10, INFINITY}, {1e9, 6}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(draw(&call, 1, prefix("x"), sizes[i][0], sizes[i][1], &err),
                         LITHOPS_EUSAGE);
        assert_non_null(strstr(err.message, "inches"));
    }
    assert_int_equal(empty_folder(), 0);
}

static void an_unwritable_place_is_named(void **state)
{
    (void)state;
    struct lithops__plot_call call;
    fill(&call, 1, 0, 1, "a1b2c3-0-A000");
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(draw_default(&call, 1, "no/such/folder", &err), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(err.message, "no/such/folder_timeline.png"));
    assert_int_equal(draw(&call, 1, "/proc/version/x", 10, 6, &err), LITHOPS_ENOTFOUND);
    char path[300];
    snprintf(path, sizeof path, "%s_timeline.png", prefix("taken"));
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(draw_default(&call, 1, "taken", &err), LITHOPS_EIO);
    assert_non_null(strstr(err.message, "taken_timeline.png"));
    assert_int_equal(empty_folder(), 1); /* the folder; nothing half-written */
    char endless[6000];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(draw(&call, 1, endless, 10, 6, &err), LITHOPS_EIO);
}

/* Last: it leaves the test in a mount namespace of its own. */
static void a_full_disk_leaves_no_half_picture(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        print_message("skipped: no mount namespace to be had here\n");
        skip();
    }
    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (mount("none", folder, "tmpfs", 0, "size=8k") != 0) {
        print_message("skipped: no tmpfs to be had here\n");
        skip();
    }
    struct lithops__plot_call call;
    fill(&call, 1, 0, 1, "a1b2c3-0-A000");
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(draw_default(&call, 1, "full", &err), LITHOPS_ENOSPACE);
    assert_non_null(strstr(err.message, "full_timeline.png"));
    assert_non_null(strstr(err.message, "No space left"));
    assert_int_equal(empty_folder(), 0);
    assert_int_equal(umount(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_is_a_bar),
        cmocka_unit_test(size_is_as_asked),
        cmocka_unit_test(no_length_is_visible),
        cmocka_unit_test(map_and_reduce_differ),
        cmocka_unit_test(a_failed_call_shows),
        cmocka_unit_test(a_million_calls_are_quick),
        cmocka_unit_test(many_jobs_are_quick),
        cmocka_unit_test(any_names_can_be_drawn),
        cmocka_unit_test(strange_times_do_not_crash),
        cmocka_unit_test(wrong_arguments_are_named),
        cmocka_unit_test(an_unwritable_place_is_named),
        cmocka_unit_test(a_full_disk_leaves_no_half_picture),
    };
    return cmocka_run_group_tests(tests, find_module, remove_folder);
}
