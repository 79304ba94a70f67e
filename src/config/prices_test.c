/* SPDX-License-Identifier: Apache-2.0 */
/* Price lists: those that are built in, and those of a file. */
#include "config/prices.h"

#include "config/test_folder.h"

static struct lithops__config *load(const char *file)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *value =
        file ? lithops_pack("{s:{s:s}}", "lithops", "price_file", file) : lithops_value_map();
    struct lithops__config *config;
    options.config = value;
    if (lithops__config_load(&options, &config, &err) != 0)
        fail_msg("%s", err.message);
    lithops_value_free(value);
    return config;
}

static bool is_near(double a, double b)
{
    return a > b * (1 - 1e-12) && a < b * (1 + 1e-12);
}

static void each_says_where_it_comes_from(void **state)
{
    (void)state;
    static const char *const texts[] = {"provider", "service", "region", "source", "date"};
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = load(NULL);
    lithops_value *all = lithops__prices_all(config, &err);
    const char *name;
    if (!all)
        fail_msg("%s", err.message);
    assert_true(lithops_value_size(all) >= 8);
    for (size_t i = 0; i < lithops_value_size(all); i++) {
        const lithops_value *list = lithops_value_pair(all, i, &name);
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            if (!lithops_value_get_string(lithops_value_get(list, texts[t])))
                fail_msg("%s has no %s", name, texts[t]);
    }
    lithops_value_free(all);
    lithops__config_free(config);
}

static void unit_prices_are_per_second_and_request(void **state)
{
    (void)state;
    struct lithops__prices prices;
    struct lithops__config *config = load(NULL);
    lithops_value *all = lithops__prices_all(config, NULL);
    assert_true(lithops__prices_find(all, "gcp_cloudrun", &prices));
    assert_true(is_near(prices.per_cpu_s, 0.000024) && is_near(prices.per_gb_s, 0.0000025));
    assert_true(is_near(prices.per_start, 0.4e-6) && prices.rounding_ms == 100);
    assert_true(lithops__prices_find(all, "ibm_vpc", &prices)); /* 2 CPUs, 4 GB */
    assert_true(is_near(3600 * (2 * prices.per_cpu_s + 4 * prices.per_gb_s),
                        2 * 0.0239116112 + 4 * 0.0072168965));
    assert_true(lithops__prices_find(all, "aws_s3", &prices));
    assert_true(is_near(prices.per_write, 5e-6) && is_near(prices.per_read, 4e-7));
    assert_false(lithops__prices_find(all, "localhost", &prices));
    assert_true(prices.per_s == 0 && prices.per_cpu_s == 0 && prices.per_write == 0);
    lithops_value_free(all);
    lithops__config_free(config);
}

static void fails(const char *text, const char *message)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    write_file("prices", text, strlen(text));
    struct lithops__config *config = load("prices");
    assert_null(lithops__prices_all(config, &err));
    assert_string_equal(err.message, message);
    assert_int_equal(err.code, LITHOPS_ECONFIG);
    lithops__config_free(config);
    unlink("prices");
}

static void a_file_adds_and_replaces(void **state)
{
    (void)state;
    static const char text[] = "aws_s3: {thousand_writes: 2}\nours:\n  hour: 7.2\n";
    struct lithops__prices prices;
    write_file("prices", text, strlen(text));
    struct lithops__config *config = load("prices");
    lithops_value *all = lithops__prices_all(config, NULL);
    assert_true(lithops__prices_find(all, "aws_s3", &prices));
    assert_true(is_near(prices.per_write, 0.002) && prices.per_read == 0);
    assert_true(lithops__prices_find(all, "ours", &prices));
    assert_true(is_near(prices.per_s, 0.002) && prices.cpus == 1);
    assert_true(lithops__prices_find(all, "ibm_cf", &prices));
    lithops_value_free(all);
    lithops__config_free(config);
    unlink("prices");
}

static void mistakes_are_named(void **state)
{
    (void)state;
    fails("ours: {hours: 1}", "prices: price list 'ours': unknown key 'hours'");
    fails("ours: {hour: free}", "prices: price list 'ours': 'hour' must be a number of 0 or more");
    fails("ours: {hour: -1}", "prices: price list 'ours': 'hour' must be a number of 0 or more");
    fails("ours: 7", "prices: the price list 'ours' must hold keys");
    fails("[1]", "prices: price lists must have names");
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = load("nowhere");
    assert_null(lithops__prices_all(config, &err));
    assert_int_equal(err.code, LITHOPS_ENOTFOUND);
    lithops__config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_says_where_it_comes_from),
        cmocka_unit_test(unit_prices_are_per_second_and_request),
        cmocka_unit_test(a_file_adds_and_replaces),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
