/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the summary table. Expected numbers are Python's: repr(x), round(x, 10). */
#include "core/summary.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER "Job_ID,Function,Invocations,Memory(MB),AvgRuntime,Cost,CloudObjects\n"

static const struct lithops__summary_costs no_costs;

static void check(const struct lithops__summary_row *rows, size_t count,
                  const struct lithops__summary_costs *costs, int64_t cloud_objects,
                  const char *expected)
{
    char *csv = lithops__summary_csv(rows, count, costs, cloud_objects);
    assert_non_null(csv);
    assert_string_equal(csv, expected);
    free(csv);
}

static void two_jobs_and_their_sum(void **state)
{
    (void)state;
    const struct lithops__summary_row rows[] = {{"M000", "count_words", 4, 256, 2.0},
                                                {"R000", "sum", 1, 512, 0.25}};
    const struct lithops__summary_costs costs = {.per_gb_s = 0.000017, .per_request = 2e-7};
    check(rows, 2, &costs, 3,
          HEADER "M000,count_words,4,1024,0.5,9.299999999999999e-06, \n"
                 "R000,sum,1,512,0.25,2.3249999999999998e-06, \n"
                 "Summary, ,5,1536,0.45,1.1624999999999998e-05,3\n");
}

/* Whoever pays for workers pays for them while they wait, too. */
static void workers_and_requests_are_rows(void **state)
{
    (void)state;
    const struct lithops__summary_row row = {"M000", "f", 4, 256, 8};
    const struct lithops__summary_costs costs = {.per_s = 0.25,
                                                 .has_workers = true,
                                                 .workers = 2,
                                                 .worker_s = 20,
                                                 .workers_cost = 5.5,
                                                 .has_storage = true,
                                                 .requests = 12,
                                                 .requests_cost = 0.125};
    check(&row, 1, &costs, 0,
          HEADER "M000,f,4,1024,2.0,2.0, \n"
                 "Workers,\"start, idle\",2,0,10.0,3.5, \n"
                 "Storage,requests,12,0,0.0,0.125, \n"
                 "Summary, ,4,1024,2.0,5.625,0\n");
}

static void nothing_was_run(void **state)
{
    (void)state;
    check(NULL, 0, &no_costs, 0, HEADER "Summary, ,0,0,0.0,0.0,0\n");
    const struct lithops__summary_row row = {"M000", "f", 0, 256, 0};
    check(&row, 1, &no_costs, 0, HEADER "M000,f,0,0,0.0,0.0, \nSummary, ,0,0,0.0,0.0,0\n");
}

static void names_are_quoted_where_needed(void **state)
{
    (void)state;
    const struct lithops__summary_row rows[] = {
        {"A000", "lib,x.so:f", 1, 0, 1},
        {"A001", "say \"hi\"", 1, 0, 1},
        {"A002", "two\nlines", 1, 0, 1},
        {"A003", "", 1, 0, 1},
        {"A004", "libm.so.6:pow:double(double,double)", 1, 0, 1},
        {"A005", " plain ; 'x' ", 1, 0, 1}};
    check(rows, 6, &no_costs, 0,
          HEADER "A000,\"lib,x.so:f\",1,0,1.0,0.0, \n"
                 "A001,\"say \"\"hi\"\"\",1,0,1.0,0.0, \n"
                 "A002,\"two\nlines\",1,0,1.0,0.0, \n"
                 "A003,\"\",1,0,1.0,0.0, \n"
                 "A004,\"libm.so.6:pow:double(double,double)\",1,0,1.0,0.0, \n"
                 "A005, plain ; 'x' ,1,0,1.0,0.0, \n"
                 "Summary, ,6,0,1.0,0.0,0\n");
}

/* The cell AvgRuntime of a job with one call of `value` seconds, and its cost at 1 per request
 * and `value` of them (no rounding there). */
static void check_number(double runtime_s, const char *average, double per_request,
                         const char *cost)
{
    const struct lithops__summary_row row = {"A000", "f", 1, 0, runtime_s};
    const struct lithops__summary_costs costs = {.per_request = per_request};
    char expected[256];
    snprintf(expected, sizeof expected, HEADER "A000,f,1,0,%s,%s, \nSummary, ,1,0,%s,%s,0\n",
             average, cost, average, cost);
    check(&row, 1, &costs, 0, expected);
}

static void numbers_look_as_in_python(void **state)
{
    (void)state;
    check_number(1.0 / 3, "0.3333333333", 1.0 / 3, "0.3333333333333333");
    check_number(0.00012345678912, "0.0001234568", 0.0001, "0.0001");
    check_number(3e-10, "3e-10", 0.00001, "1e-05");
    check_number(2e-11, "0.0", 1.5e-300, "1.5e-300");
    check_number(123456.789, "123456.789", 1e15, "1000000000000000.0");
    check_number(1e15, "1000000000000000.0", 1e16, "1e+16");
    check_number(10, "10.0", 1.2345678901234567e+19, "1.2345678901234567e+19");
    check_number(0.1 + 0.2, "0.3", 0.1 + 0.2, "0.30000000000000004");
    check_number(1e20, "1e+20", 5e-324, "5e-324");
    check_number(100.5, "100.5", 1.7976931348623157e308, "1.7976931348623157e+308");
    check_number(0.00390625, "0.00390625", -2.5, "-2.5");
}

static void the_locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    const char *set = NULL;
    for (size_t i = 0; i < sizeof commas / sizeof commas[0] && !set; i++)
        set = setlocale(LC_NUMERIC, commas[i]);
    if (!set) {
        print_message("skipped: no locale with a decimal comma is installed\n");
        skip();
    }
    check_number(0.25, "0.25", 1.5e-7, "1.5e-07");
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_jobs_and_their_sum),
        cmocka_unit_test(workers_and_requests_are_rows),
        cmocka_unit_test(nothing_was_run),
        cmocka_unit_test(names_are_quoted_where_needed),
        cmocka_unit_test(numbers_look_as_in_python),
        cmocka_unit_test(the_locale_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
