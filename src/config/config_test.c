/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of config.c, check.c and the tables: types, messages, precedence, backends, secrets. */
#include "base/clock.h"
#include "base/log.h"
#include "config/keys.h"
#include "config/test_folder.h"

#include "../../tests/sanitizers.h"

#include <pthread.h>
#include <sched.h>

static const lithops_executor_options no_options = LITHOPS_EXECUTOR_OPTIONS_INIT;

static struct lithops__config *load(const lithops_executor_options *options)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    if (lithops__config_load(options, &config, &err) != 0)
        fail_msg("%s", err.message);
    return config;
}

static void expect_option_error(const lithops_executor_options *options, const char *message)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    assert_int_equal(lithops__config_load(options, &config, &err), LITHOPS_ECONFIG);
    assert_string_equal(err.message, message);
    assert_null(config);
}

static void has_string(const struct lithops__config *config, const char *section, const char *key,
                       const char *wanted)
{
    const char *given = lithops__config_string(config, section, key);
    if (wanted)
        assert_string_equal(given ? given : "(unset)", wanted);
    else
        assert_null(given);
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* Whether a row before this one of the i-th table has the same section and name. */
static bool stood_before(size_t i, const char *section, const lithops_config_key *key)
{
    struct lithops__config_section s;
    for (size_t before = 0; before <= i && lithops__config_table(before, &s); before++)
        for (const lithops_config_key *k = s.keys; k->name && k != key; k++)
            if (strcmp(s.name, section) == 0 && strcmp(k->name, key->name) == 0)
                return true;
    return false;
}

static const lithops_config_key *row_of(const char *section, const char *key)
{
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++)
        for (const lithops_config_key *k = s.keys; k->name; k++)
            if (strcmp(s.name, section) == 0 && strcmp(k->name, key) == 0)
                return k;
    fail_msg("no row for %s.%s", section, key);
    return NULL;
}

static void sections_of_worker_pools_share_their_rows(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "worker_processes", "runtime", "runtime_memory", "max_tasks_per_child", "runtime_timeout",
        "shared_memory",    "spin_us", "cost_per_gb_s",  "cost_per_request"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_ptr_equal(row_of("localhost", keys[i]), row_of("process", keys[i]));
}

static void every_row_of_the_tables_makes_sense(void **state)
{
    (void)state;
    struct lithops__config *config = load(NULL);
    struct lithops__config_section s;
    for (size_t i = 0; lithops__config_table(i, &s); i++) {
        assert_non_null(s.help);
        for (const lithops_config_key *k = s.keys; k->name; k++) {
            const lithops_value *value = lithops__config_get(config, s.name, k->name);
            if (!k->help || k->help[strlen(k->help) - 1] != '.' || strchr(k->help, '\n'))
                fail_msg("%s.%s: help is missing or not a sentence", s.name, k->name);
            if (k->fallback && !value)
                fail_msg("%s.%s: the default is not set", s.name, k->name);
            if (k->min > k->max)
                fail_msg("%s.%s: min > max", s.name, k->name);
            assert_false(stood_before(i, s.name, k));
        }
    }
    int defaults = 0;
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        defaults += b->is_default;
    assert_int_equal(defaults, 3);
    lithops__config_free(config);
}

static void defaults_are_those_of_localhost(void **state)
{
    (void)state;
    struct lithops__config *config = load(NULL);
    assert_string_equal(lithops__config_origin(config), "defaults");
    has_string(config, "lithops", "backend", "localhost");
    has_string(config, "lithops", "mode", "localhost");
    has_string(config, "lithops", "storage", "localhost");
    has_string(config, "lithops", "monitoring", "direct");
    has_string(config, "lithops", "log_level", NULL);
    has_string(config, "localhost", "storage_bucket", "storage");
    assert_int_equal(lithops__config_int(config, "lithops", "execution_timeout"), 3600);
    assert_int_equal(lithops__config_int(config, "localhost", "spin_us"), 50);
    assert_true(lithops__config_bool(config, "lithops", "data_cleaner"));
    assert_true(lithops__config_double(config, "lithops", "monitoring_interval") == 2);
    assert_null(lithops__config_get(config, "localhost", "runtime_memory"));
    assert_int_equal(lithops__config_int(config, "localhost", "runtime_memory"), 0);
    lithops__config_free(config);
}

static void worker_processes_follow_the_cpus(void **state)
{
    (void)state;
    cpu_set_t all, one;
    CPU_ZERO(&one);
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    struct lithops__config *config = load(NULL);
    assert_int_equal(lithops__config_int(config, "localhost", "worker_processes"), CPU_COUNT(&all));
    lithops__config_free(config);

    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    config = load_text("localhost: {worker_processes: auto}");
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(lithops__config_int(config, "localhost", "worker_processes"), 1);
    lithops__config_free(config);
}

/* ---- values that are right ------------------------------------------------------------------- */

static void a_file_sets_keys_of_every_type(void **state)
{
    (void)state;
    struct lithops__config *config = load_text("# a comment\n"
                                               "lithops:\n"
                                               "  data_cleaner: no\n"
                                               "  monitoring_interval: 3\n"
                                               "  data_limit: false\n"
                                               "  execution_timeout: 1:00:00\n"
                                               "  include_modules: [libm.so, 'a.txt']\n"
                                               "  exclude_modules:\n"
                                               "  log_level: WARNING\n"
                                               "localhost:\n"
                                               "  worker_processes: 0x10\n"
                                               "  cost_per_gb_s: 1.6e-05\n"
                                               "  runtime: \"3.11\"\n"
                                               "  runtime_memory: ~\n"
                                               "rabbitmq:\n");
    char path[300];
    snprintf(path, sizeof path, "conf");
    assert_string_equal(lithops__config_origin(config), path);
    assert_false(lithops__config_bool(config, "lithops", "data_cleaner"));
    assert_true(lithops__config_double(config, "lithops", "monitoring_interval") == 3);
    assert_int_equal(
        lithops_value_type(lithops__config_get(config, "lithops", "monitoring_interval")),
        LITHOPS_DOUBLE);
    assert_non_null(lithops__config_get(config, "lithops", "data_limit"));
    assert_true(lithops__config_double(config, "lithops", "data_limit") == 0);
    assert_int_equal(lithops__config_int(config, "lithops", "execution_timeout"), 3600);
    const lithops_value *list = lithops__config_get(config, "lithops", "include_modules");
    assert_int_equal(lithops_value_size(list), 2);
    assert_string_equal(lithops_value_get_string(lithops_value_at(list, 1)), "a.txt");
    const lithops_value *none = lithops__config_get(config, "lithops", "exclude_modules");
    assert_non_null(none); /* null for a list is not the same as unset */
    assert_int_equal(lithops_value_type(none), LITHOPS_NULL);
    has_string(config, "lithops", "log_level", "warning");
    assert_int_equal(lithops__config_int(config, "localhost", "worker_processes"), 16);
    assert_true(lithops__config_double(config, "localhost", "cost_per_gb_s") == 1.6e-05);
    has_string(config, "localhost", "runtime", "3.11");
    assert_null(lithops__config_get(config, "localhost", "runtime_memory"));
    lithops__config_free(config);
}

static void words_are_read_in_any_case(void **state)
{
    (void)state;
    struct lithops__config *config =
        load_text("lithops:\n  mode: LOCALHOST\n  log_level: Critical\n"
                  "  monitoring: RabbitMQ\n");
    has_string(config, "lithops", "mode", "localhost");
    has_string(config, "lithops", "log_level", "error"); /* the engine has no critical */
    has_string(config, "lithops", "monitoring", "rabbitmq");
    lithops__config_free(config);
}

static void null_means_the_default(void **state)
{
    (void)state;
    struct lithops__config *config =
        load_text("lithops:\n  execution_timeout: null\n  backend:\nlocalhost: ~\n");
    assert_int_equal(lithops__config_int(config, "lithops", "execution_timeout"), 3600);
    has_string(config, "lithops", "backend", "localhost");
    lithops__config_free(config);
}

/* ---- values that are wrong ------------------------------------------------------------------- */

static void wrong_types_say_what_is_expected(void **state)
{
    (void)state;
    expect_error("lithops:\n\n  execution_timeout: soon\n",
                 "conf:3: key 'execution_timeout' in section 'lithops' must be a whole number, but "
                 "is the string 'soon'");
    expect_error("localhost:\n  runtime_memory: \"256\"\n",
                 "conf:2: key 'runtime_memory' in section 'localhost' must be a whole number, but "
                 "is the string '256'; write it without quotes");
    expect_error("localhost: {worker_processes: many}",
                 "conf:1: key 'worker_processes' in section 'localhost' must be a whole number or "
                 "AUTO, but is the string 'many'");
    expect_error("localhost: {worker_processes: 2.5}",
                 "conf:1: key 'worker_processes' in section 'localhost' must be a whole number or "
                 "AUTO, but is 2.5");
    expect_error("lithops: {data_limit: yes}",
                 "conf:1: key 'data_limit' in section 'lithops' must be a number or false, but is "
                 "true");
    expect_error("lithops: {data_cleaner: 'true'}",
                 "conf:1: key 'data_cleaner' in section 'lithops' must be true or false, but is "
                 "the string 'true'; write it without quotes");
    expect_error("localhost: {runtime: 3.11}",
                 "conf:1: key 'runtime' in section 'localhost' must be a string, but is 3.11; put "
                 "it in quotes");
    expect_error("localhost: {runtime: on}",
                 "conf:1: key 'runtime' in section 'localhost' must be a string, but is true; put "
                 "it in quotes");
    expect_error(
        "lithops:\n  backend: [localhost]\n",
        "conf:2: key 'backend' in section 'lithops' must be a string, but is of type list");
    expect_error("lithops:\n  include_modules: numpy\n",
                 "conf:2: key 'include_modules' in section 'lithops' must be a list of strings, "
                 "but is the string 'numpy'; write it in brackets, as in [a, b]");
    expect_error("lithops:\n  include_modules: [numpy, 3]\n",
                 "conf:2: item 2 of key 'include_modules' in section 'lithops' must be a string, "
                 "but is 3");
    expect_error("lithops:\n  execution_timeout: {s: 3}\n",
                 "conf:2: key 'execution_timeout' in section 'lithops' must be a whole number, but "
                 "is of type map");
    expect_error("localhost: {runtime: \"a\\0b\"}",
                 "conf:1: key 'runtime' in section 'localhost' cannot hold a NUL byte");
}

static void values_out_of_range_say_the_range(void **state)
{
    (void)state;
    expect_error("localhost: {worker_processes: 0}",
                 "conf:1: key 'worker_processes' in section 'localhost' must be from 1 to 4096, "
                 "but is 0");
    expect_error("lithops: {execution_timeout: -1}",
                 "conf:1: key 'execution_timeout' in section 'lithops' must be from 1 to "
                 "1000000000, but is -1");
    expect_error("lithops: {execution_timeout: 99999999999999999999}",
                 "conf:1: key 'execution_timeout' in section 'lithops' must be from 1 to "
                 "1000000000, but is 1e+20");
    expect_error("localhost: {cost_per_gb_s: -0.5}",
                 "conf:1: key 'cost_per_gb_s' in section 'localhost' must be 0 or more, but is "
                 "-0.5");
    expect_error("localhost: {cost_per_gb_s: .nan}",
                 "conf:1: key 'cost_per_gb_s' in section 'localhost' must be 0 or more, but is "
                 "nan");
    expect_error("localhost: {cost_per_gb_s: .inf}",
                 "conf:1: key 'cost_per_gb_s' in section 'localhost' must be 0 or more, but is "
                 "inf");
}

static void unknown_words_name_the_known_ones(void **state)
{
    (void)state;
    expect_error("lithops: {mode: serverles}",
                 "conf:1: key 'mode' in section 'lithops' must be one of localhost, serverless, "
                 "standalone, but is the string 'serverles'; did you mean 'serverless'?");
    expect_error("standalone:\n  exec_mode: fast\n",
                 "conf:2: key 'exec_mode' in section 'standalone' must be one of consume, create, "
                 "reuse, but is the string 'fast'");
    expect_error("lithops: {mode: ''}",
                 "conf:1: key 'mode' in section 'lithops' must be one of localhost, serverless, "
                 "standalone, but is the string ''");
}

static void unknown_names_get_the_nearest_one(void **state)
{
    (void)state;
    expect_finding("lithops:\n  backend: localhost\n\nlocalhost:\n  # how many\n  runtime: x\n"
                   "  worker_proceses: 2\n",
                   "conf:7: unknown key 'worker_proceses' in section 'localhost'; did you mean "
                   "'worker_processes'?");
    expect_finding("lithops: {}\nlocalhots:\n  a: 1\n",
                   "conf:2: unknown section 'localhots'; did you mean 'localhost'?");
    expect_finding("aws_lamda:\n  a: 1\n",
                   "conf:1: unknown section 'aws_lamda'; did you mean 'aws_lambda'?");
    expect_finding("aws_s33:\n", "conf:1: unknown section 'aws_s33'; did you mean 'aws_s3'?");
    expect_finding("rabbitmq: {color: red}",
                   "conf:1: unknown key 'color' in section 'rabbitmq'; see lithops-config(5)");
    expect_finding("'': {}", "conf:1: unknown section ''; see lithops-config(5)");
    expect_finding("12: {}", "conf:1: unknown section '12'; see lithops-config(5)");
}

static void unknown_names_may_be_of_another_section(void **state)
{
    (void)state;
    expect_finding(
        "lithops:\n  amqp_url: amqp://user:pw@here\n",
        "conf:2: unknown key 'amqp_url' in section 'lithops'; did you mean 'amqp_url' of "
        "section 'rabbitmq'?");
    expect_finding("lithops: {exec_mod: reuse}",
                   "conf:1: unknown key 'exec_mod' in section 'lithops'; did you mean 'exec_mode' "
                   "of section 'standalone', 'aws_ec2', 'azure_vms' or another?");
    expect_finding("rabbitmq: {storage_bucket: b}",
                   "conf:1: unknown key 'storage_bucket' in section 'rabbitmq'; did you mean "
                   "'storage_bucket' of section 'localhost', 'aws_s3', 'minio' or another?");
    expect_finding(
        "localhost: {retries: 2}",
        "conf:1: unknown key 'retries' in section 'localhost'; did you mean 'retries' of "
        "section 'lithops' or 'gcp_functions'?");
    expect_finding("output_kept: 4\n",
                   "conf:1: unknown section 'output_kept'; did you mean 'output_kept' of section "
                   "'lithops'?");
    expect_finding(
        "lithops:\n  backend: localhost\n  localhost:\n    spin_us: 3\n",
        "conf:3: unknown key 'localhost' in section 'lithops'; 'localhost' is a section: "
        "it stands beside 'lithops', not in it");
}

static void strict_makes_findings_errors(void **state)
{
    (void)state;
    expect_error("localhost: {spin: 1}\nlithops: {strict: true}\n",
                 "conf:1: unknown key 'spin' in section 'localhost'; did you mean 'spin_us'?");
    expect_error("lithops: {strict: yes}\nmine: {}\n",
                 "conf:2: unknown section 'mine'; see lithops-config(5)");
    struct lithops__config *config =
        load_text("a: {}\nb: 5\nlocalhost: {c: 1, spin_us: 7, d: 2}\n");
    assert_int_equal(lithops_value_size(lithops__config_findings(config)), 4);
    assert_int_equal(lithops__config_int(config, "localhost", "spin_us"), 7);
    lithops__config_free(config);
    config = load_text("localhost: {spin_us: 7}\noracle: {a: 1}\n");
    assert_null(lithops__config_findings(config));
    lithops__config_free(config);
}

static void findings_are_records(void **state)
{
    (void)state;
    struct lithops__config *config = load_text("mine: {}\nlocalhost:\n  spin: 1\n");
    const lithops_value *findings = lithops__config_findings(config);
    lithops_value *section =
        lithops_pack("{s:s,s:s,s:s}", "name", "mine", "place", "conf:1", "message",
                     "conf:1: unknown section 'mine'; see lithops-config(5)");
    lithops_value *key =
        lithops_pack("{s:s,s:s,s:s,s:s}", "name", "spin", "place", "conf:3", "message",
                     "conf:3: unknown key 'spin' in section 'localhost'; did you mean 'spin_us'?",
                     "section", "localhost");
    assert_int_equal(lithops_value_size(findings), 2);
    assert_true(lithops_value_equal(lithops_value_at(findings, 0), section));
    assert_true(lithops_value_equal(lithops_value_at(findings, 1), key));
    lithops_value_free(section);
    lithops_value_free(key);
    lithops__config_free(config);
}

/* Settings with keys for others: noted; but a typo, or a wrong value, is an error. */
static void settings_may_have_foreign_keys(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    struct lithops__config *config = NULL;
    lithops_value *settings = lithops_pack("{s:i,s:i}", "batch", 1, "spin_us", 3);
    options.settings = settings;
    assert_int_equal(lithops__config_load(&options, &config, &err), LITHOPS_ECONFIG);
    assert_string_equal(err.message, "settings: unknown key 'batch' in section 'localhost'; see "
                                     "lithops-config(5)");
    options.foreign_settings = true;
    assert_int_equal(lithops__config_load(&options, &config, &err), 0);
    assert_int_equal(lithops__config_int(config, "localhost", "spin_us"), 3);
    const char *name, *place;
    assert_int_equal(lithops_unpack(lithops__config_findings(config), &err, "[{s:s,s:s}]", "name",
                                    &name, "place", &place),
                     0);
    assert_string_equal(name, "batch");
    assert_string_equal(place, "settings");
    lithops__config_free(config);
    lithops_value_free(settings);
    settings = lithops_pack("{s:i}", "spin_uss", 1);
    options.settings = settings;
    assert_int_equal(lithops__config_load(&options, &config, &err), LITHOPS_ECONFIG);
    assert_non_null(strstr(err.message, "did you mean 'spin_us'?"));
    lithops_value_free(settings);
}

static void lines_are_right_whatever_came_before(void **state)
{
    (void)state;
    /* sections that are passed over, empty ones, lists, aliases and merges all take their place */
    expect_finding("oracle: &s3\n"
                   "  storage_bucket: b\n"
                   "  nested: {a: 1, b: [2, {c: 3}]}\n"
                   "azure:\n"
                   "  <<: *s3\n"
                   "  endpoint: |\n"
                   "    http\n"
                   "    //x\n"
                   "aws: ~\n"
                   "gcp: *s3\n"
                   "ibm: []\n"
                   "localhost: &l\n"
                   "  spin_us: 1\n"
                   "lithops: {}\n"
                   "rabbitmq:\n"
                   "  amqp: x\n",
                   "conf:16: unknown key 'amqp' in section 'rabbitmq'; did you mean 'amqp_url'?");
}

static void what_is_no_section_is_refused(void **state)
{
    (void)state;
    expect_error("just text\n", "conf: a configuration holds sections, as in 'lithops:', but this "
                                "is of type string");
    expect_error("- lithops\n", "conf: a configuration holds sections, as in 'lithops:', but this "
                                "is of type list");
    expect_error("lithops: {}\nlocalhost: fast\n",
                 "conf:2: section 'localhost' must hold keys, as in 'key: value', but is of type "
                 "string");
    expect_error("localhost: [1, 2]\n",
                 "conf:1: section 'localhost' must hold keys, as in 'key: value', but is of type "
                 "list");
}

/* ---- upstream's files ------------------------------------------------------------------------ */

static char records[4096];
static void collect_record(lithops_log_level level, const char *where, const char *text, void *user)
{
    (void)user;
    size_t used = strlen(records);
    snprintf(records + used, sizeof records - used, "%d %s %s\n", (int)level, where, text);
}

static void keys_without_effect_are_accepted_and_logged(void **state)
{
    (void)state;
    records[0] = '\0';
    lithops_log_to(LITHOPS_LOG_DEBUG, collect_record, NULL);
    struct lithops__config *config =
        load_text("lithops:\n  workers: 3\n  log_format: '%(message)s'\n"
                  "localhost:\n  version: 1\n"
                  "oracle:\n  region: x\n");
    lithops_log_to(LITHOPS_LOG_NONE, NULL, NULL);
    lithops__config_free(config);
    assert_string_equal(records,
                        "0 config configuration from conf\n"
                        "2 config conf:2: key 'workers' in section 'lithops' has no effect\n"
                        "2 config conf:3: key 'log_format' in section 'lithops' has no effect\n"
                        "2 config conf:5: key 'version' in section 'localhost' has no effect\n"
                        "0 config conf:6: ignored section 'oracle', whose backend is not built "
                        "in\n");
}

static void sections_of_all_of_upstreams_backends_are_passed_over(void **state)
{
    (void)state;
    char text[8192];
    size_t used = 0;
    for (const struct lithops__config_backend *b = lithops__config_backends; b->name; b++)
        if (strcmp(b->name, "localhost") != 0)
            used += (size_t)snprintf(text + used, sizeof text - used,
                                     "%s: {any: [thing, {x: 1}], 3: yes}\n", b->name);
    for (const char *const *s = lithops__config_other_sections; *s; s++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s: some text\n", *s);
    lithops__config_free(load_text(text));
}

/* Every YAML example of docs/configuration.md. */
static void the_examples_of_the_documentation_load(void **state)
{
    (void)state;
    char line[512], example[4096];
    size_t used = 0;
    int examples = 0;
    bool inside = false;
    FILE *file = fopen(LITHOPS_DOCS, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        bool fence = strncmp(line, "```", 3) == 0;
        if (inside && fence) {
            lithops__config_free(load_text(example));
            examples++;
        } else if (inside) {
            used += (size_t)snprintf(example + used, sizeof example - used, "%s", line);
            assert_true(used < sizeof example);
        } else if (fence) {
            used = 0;
        }
        inside = inside ? !fence : strcmp(line, "```yaml\n") == 0;
    }
    fclose(file);
    assert_true(examples >= 3);
}

/* ---- backend and mode ------------------------------------------------------------------------ */

static void expect_backend(const char *text, const lithops_executor_options *given,
                           const char *backend, const char *mode, const char *storage,
                           const char *monitoring)
{
    lithops_executor_options options = given ? *given : no_options;
    write_file("conf", text, strlen(text));
    options.config_file = "conf";
    struct lithops__config *config = load(&options);
    unlink("conf");
    has_string(config, "lithops", "backend", backend);
    has_string(config, "lithops", "mode", mode);
    has_string(config, "lithops", "storage", storage);
    has_string(config, "lithops", "monitoring", monitoring);
    lithops__config_free(config);
}

static void backend_and_mode_follow_from_each_other(void **state)
{
    (void)state;
    expect_backend("lithops: {}", NULL, "localhost", "localhost", "localhost", "direct");
    expect_backend("lithops: {backend: aws_lambda}", NULL, "aws_lambda", "serverless", "aws_s3",
                   "storage");
    expect_backend("lithops: {backend: vm, storage: minio}", NULL, "vm", "standalone", "minio",
                   "direct");
    expect_backend("lithops: {mode: serverless}", NULL, "aws_lambda", "serverless", "aws_s3",
                   "storage");
    expect_backend("lithops: {mode: standalone}", NULL, "aws_ec2", "standalone", "aws_s3",
                   "direct");
    expect_backend("serverless: {backend: k8s}\nlithops: {mode: serverless, monitoring: rabbitmq}",
                   NULL, "k8s", "serverless", "aws_s3", "rabbitmq");
    expect_backend("serverless: {backend: k8s}", NULL, "localhost", "localhost", "localhost",
                   "direct");
    expect_backend("lithops: {backend: localhost, mode: serverless}", NULL, "localhost",
                   "localhost", "localhost", "direct");
    /* not for this part of the engine to refuse */
    expect_backend("lithops: {backend: abacus}", NULL, "abacus", "localhost", "aws_s3", "direct");
    expect_backend("lithops: {backend: abacus, mode: serverless}", NULL, "abacus", "serverless",
                   "aws_s3", "storage");
}

static void options_win_over_the_file(void **state)
{
    (void)state;
    lithops_executor_options options = no_options;
    options.backend = "localhost";
    expect_backend("lithops: {backend: k8s}", &options, "localhost", "localhost", "localhost",
                   "direct");
    options.storage = "redis";
    options.monitoring = "storage";
    expect_backend("lithops: {storage: minio}", &options, "localhost", "localhost", "redis",
                   "storage");
    options = no_options;
    options.mode = "localhost";
    expect_backend("lithops: {backend: k8s}", &options, "localhost", "localhost", "localhost",
                   "direct");
    options.mode = "standalone";
    expect_backend("lithops: {backend: k8s}\nstandalone: {backend: vm}", &options, "vm",
                   "standalone", "localhost", "direct");
    options.mode = "serverless"; /* the file's backend is of that mode: it stays */
    expect_backend("lithops: {backend: k8s}", &options, "k8s", "serverless", "aws_s3", "storage");
    options.backend = "vm"; /* given together: the backend wins */
    expect_backend("", &options, "vm", "standalone", "localhost", "direct");
}

static void wrong_options_are_named(void **state)
{
    (void)state;
    lithops_executor_options options = no_options;
    options.mode = "cloud";
    expect_option_error(&options, "options: key 'mode' in section 'lithops' must be one of "
                                  "localhost, serverless, standalone, but is the string 'cloud'");
    options = no_options;
    options.log_level = "loud";
    expect_option_error(&options, "options: key 'log_level' in section 'lithops' must be one of "
                                  "debug, info, warning, warn, error, critical, none, but is the "
                                  "string 'loud'");
    options = no_options;
    options.backend = "\xff";
    expect_option_error(&options, "options: 'backend' is not UTF-8 text");
}

/* ---- settings and values as configuration ---------------------------------------------------- */

static void settings_go_to_the_section_of_the_backend(void **state)
{
    (void)state;
    lithops_executor_options options = no_options;
    lithops_value *config_value =
        lithops_pack("{s:{s:i,s:i}}", "localhost", "worker_processes", 8, "spin_us", 7);
    lithops_value *settings = lithops_pack("{s:i,s:s}", "worker_processes", 3, "runtime", "py");
    options.config = config_value;
    options.settings = settings;
    struct lithops__config *config = load(&options);
    assert_string_equal(lithops__config_origin(config), "options");
    assert_int_equal(lithops__config_int(config, "localhost", "worker_processes"), 3);
    assert_int_equal(lithops__config_int(config, "localhost", "spin_us"), 7);
    has_string(config, "localhost", "runtime", "py");
    lithops__config_free(config);

    options.backend = "no_such_cloud"; /* its keys are not known here */
    config = load(&options);
    assert_int_equal(lithops__config_int(config, "localhost", "worker_processes"), 8);
    lithops__config_free(config);
    lithops_value_free(config_value);
    lithops_value_free(settings);
}

static void wrong_settings_are_named(void **state)
{
    (void)state;
    lithops_executor_options options = no_options;
    lithops_value *settings = lithops_pack("{s:i}", "worker_process", 3);
    options.settings = settings;
    expect_option_error(&options, "settings: unknown key 'worker_process' in section 'localhost'; "
                                  "did you mean 'worker_processes'?");
    lithops_value_free(settings);
    options.settings = settings = lithops_pack("[i]", 3);
    expect_option_error(&options, "settings: must be a map of keys, but is of type list");
    lithops_value_free(settings);
    options.settings = settings = lithops_pack("{s:y}", "runtime", "abc", (size_t)3);
    expect_option_error(&options, "settings: key 'runtime' in section 'localhost' must be a "
                                  "string, but is of type bytes");
    lithops_value_free(settings);
}

static void a_value_as_configuration_has_no_lines(void **state)
{
    (void)state;
    lithops_executor_options options = no_options;
    lithops_value *value = lithops_pack("{s:{s:s}}", "localhost", "spin_us", "x");
    options.config = value;
    expect_option_error(&options, "options: key 'spin_us' in section 'localhost' must be a whole "
                                  "number, but is the string 'x'");
    lithops_value_free(value);
    options.config = value = lithops_pack("[s]", "lithops");
    expect_option_error(&options, "options: a configuration holds sections, as in 'lithops:', but "
                                  "this is of type list");
    lithops_value_free(value);
    options.config = value = lithops_pack("{s:i}", "lithops", 1);
    expect_option_error(&options, "options: section 'lithops' must hold keys, as in 'key: value', "
                                  "but is of type int");
    lithops_value_free(value);
}

/* ---- secrets --------------------------------------------------------------------------------- */

#define SECRET "hunter2"

static void expect_no_secret(const char *text)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    int rc = load_bytes(text, strlen(text), &config, &err);
    char *said = NULL; /* in an error, or of a name that nobody knows */
    if (rc == 0) {
        assert_int_equal(lithops_value_to_json(lithops__config_findings(config), &said, NULL), 0);
        if (strstr(said, SECRET))
            fail_msg("'%s' shows the secret: %s", text, said);
        lithops__config_free(config);
        free(said);
        return;
    }
    assert_int_equal(rc, LITHOPS_ECONFIG);
    if (strstr(err.message, SECRET))
        fail_msg("'%s' shows the secret: %s", text, err.message);
}

static void errors_do_not_show_secrets(void **state)
{
    (void)state;
    expect_no_secret("rabbitmq: {amqp_url: [amqp://u:" SECRET "@h]}");
    expect_no_secret("rabbitmq: {amqp_url: {amqp://u: " SECRET "}}");
    expect_no_secret("rabbitmq: {amqp_url:amqp://u:" SECRET "@h}"); /* a blank is missing */
    expect_no_secret("rabbitmq: amqp://u:" SECRET "@h");
    expect_no_secret("rabbitmq:\n  amqp_url: *" SECRET "\n");
    expect_no_secret("rabbitmq:\n  amqp_url: !" SECRET "\n");
    expect_no_secret("rabbitmq:\n  amqp_url: !" SECRET "!x y\n");
    expect_no_secret("rabbitmq:\n  amqp_url: %" SECRET "\n");
    expect_no_secret("rabbitmq:\n  amqp_url: @" SECRET "\n");
    expect_no_secret("rabbitmq:\n  amqp_url: \"" SECRET "\n");
    expect_no_secret("rabbitmq:\n  amqp_url: \"" SECRET "\\0\"\n");
    expect_no_secret("rabbitmq:\n  amqp_url: a: " SECRET "\n");
    expect_no_secret("amqp://u:" SECRET "@h");
    expect_no_secret("{amqp://u:" SECRET "@h: 1}");
    expect_error("rabbitmq: {amqp_url: 12345}",
                 "conf:1: key 'amqp_url' in section 'rabbitmq' must be a string, but is of type "
                 "int; put it in quotes");
    expect_finding("rabbitmq: {amqp_url:amqp://u:" SECRET "@h}",
                   "conf:1: unknown key 'amqp_url...' in section 'rabbitmq'; put a blank after the "
                   "':'");
}

static void pythons_none_is_null_where_no_text_is_wanted(void **state)
{
    (void)state;
    struct lithops__config *config =
        load_text("lithops: {include_modules: None, execution_timeout: None, data_cleaner: None}\n"
                  "localhost: {cost_per_gb_s: None, runtime: None}");
    assert_int_equal(lithops_value_type(lithops__config_get(config, "lithops", "include_modules")),
                     LITHOPS_NULL);
    assert_int_equal(lithops__config_int(config, "lithops", "execution_timeout"), 3600);
    assert_true(lithops__config_bool(config, "lithops", "data_cleaner"));
    has_string(config, "localhost", "runtime", "None");
    lithops__config_free(config);
    expect_error("lithops: {execution_timeout: none}",
                 "conf:1: key 'execution_timeout' in section 'lithops' must be a whole number, but "
                 "is the string 'none'");
}

static void the_whole_masks_secrets_unless_asked(void **state)
{
    (void)state;
    struct lithops__config *config =
        load_text("rabbitmq: {amqp_url: 'amqp://u:" SECRET "@h'}\nlocalhost: {spin_us: 5}\n"
                  "lithops: {include_modules: ~, data_limit: off}");
    lithops_value *shown = lithops__config_value(config, false);
    char *json = NULL;
    assert_int_equal(lithops_value_to_json(shown, &json, NULL), 0);
    assert_null(strstr(json, SECRET));
    const lithops_value *rabbitmq = lithops_value_get(shown, "rabbitmq");
    assert_string_equal(lithops_value_get_string(lithops_value_get(rabbitmq, "amqp_url")),
                        "******");
    const lithops_value *localhost = lithops_value_get(shown, "localhost");
    assert_int_equal(lithops_value_get_int(lithops_value_get(localhost, "spin_us")), 5);
    free(json);
    lithops_value_free(shown);

    /* with secrets it loads again, to the same */
    lithops_value *whole = lithops__config_value(config, true);
    lithops_executor_options options = no_options;
    options.config = whole;
    struct lithops__config *again = load(&options);
    lithops_value *whole_again = lithops__config_value(again, true);
    assert_true(lithops_value_equal(whole, whole_again));
    has_string(again, "rabbitmq", "amqp_url", "amqp://u:" SECRET "@h");
    lithops_value_free(whole);
    lithops_value_free(whole_again);
    lithops__config_free(again);
    lithops__config_free(config);
}

static void unknown_keys_are_handed_on(void **state)
{
    (void)state;
    struct lithops__config *config = load_text("localhost: {spin_us: 5, mine: [1, {a: b}]}\n"
                                               "rabbitmq: {yours: x}\nlithops: {other: ~}");
    lithops_value *shown = lithops__config_value(config, false);
    assert_null(lithops_value_get(lithops_value_get(shown, "localhost"), "mine")); /* a secret? */
    lithops_value *whole = lithops__config_value(config, true);
    const lithops_value *localhost = lithops_value_get(whole, "localhost");
    assert_int_equal(lithops_value_size(lithops_value_get(localhost, "mine")), 2);
    assert_int_equal(lithops_value_get_int(lithops_value_get(localhost, "spin_us")), 5);
    assert_string_equal(
        lithops_value_get_string(lithops_value_get(lithops_value_get(whole, "rabbitmq"), "yours")),
        "x");
    assert_non_null(lithops_value_get(lithops_value_get(whole, "lithops"), "other"));
    lithops_executor_options options = no_options;
    options.config = whole;
    struct lithops__config *again = load(&options);
    lithops_value *whole_again = lithops__config_value(again, true);
    assert_true(lithops_value_equal(whole, whole_again));
    lithops_value_free(shown);
    lithops_value_free(whole);
    lithops_value_free(whole_again);
    lithops__config_free(again);
    lithops__config_free(config);
}

/* Settings win over the file's, also unknown ones; a strict configuration does not take them up. */
static void unknown_settings_are_handed_on(void **state)
{
    (void)state;
    static const char *const given[] = {"{}", "{\"mine\": 1}"};
    for (int strict = 0; strict < 2; strict++)
        for (int i = 0; i < 2; i++) {
            lithops_executor_options options = no_options;
            lithops_value *settings,
                *config_value = lithops_pack("{s:{s:b},s:{s:i}}", "lithops", "strict", strict,
                                             "localhost", strict ? "spin_us" : "mine", 7);
            settings = lithops_value_from_json(given[i], strlen(given[i]), NULL);
            options.config = config_value;
            options.settings = settings;
            options.foreign_settings = true;
            struct lithops__config *config = load(&options);
            lithops_value *whole = lithops__config_value(config, true);
            const lithops_value *mine =
                lithops_value_get(lithops_value_get(whole, "localhost"), "mine");
            assert_int_equal(lithops_value_get_int(mine), strict ? 0 : i == 0 ? 7 : 1);
            assert_int_equal(mine == NULL, strict);
            lithops_value_free(whole);
            lithops__config_free(config);
            lithops_value_free(config_value);
            lithops_value_free(settings);
        }
}

static void a_whole_without_files_loads_again(void **state)
{
    (void)state;
    struct lithops__config *config = load(NULL);
    lithops_value *whole = lithops__config_value(config, true);
    assert_null(lithops_value_get(whole, "rabbitmq")); /* nothing is set in it */
    lithops_executor_options options = no_options;
    options.config = whole;
    struct lithops__config *again = load(&options);
    lithops_value *whole_again = lithops__config_value(again, true);
    assert_true(lithops_value_equal(whole, whole_again));
    lithops_value_free(whole);
    lithops_value_free(whole_again);
    lithops__config_free(again);
    lithops__config_free(config);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void long_and_odd_values_stay_one_line(void **state)
{
    (void)state;
    char text[3000] = "localhost: {spin_us: \"a\\nb\\x1b";
    size_t used = strlen(text);
    for (size_t i = 0; i < 500; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "\xc3\xa9");
    snprintf(text + used, sizeof text - used, "\"}");
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    assert_int_equal(load_bytes(text, strlen(text), &config, &err), LITHOPS_ECONFIG);
    assert_non_null(strstr(err.message, "the string 'a?b?\xc3\xa9"));
    assert_non_null(strstr(err.message, "\xc3\xa9...'")); /* cut between characters */
    assert_true(strlen(err.message) < 200);

    snprintf(text, sizeof text, "localhost: {%01000d: 1}\n", 0);
    config = load_text(text);
    size_t said = strlen(message_of(config, 0));
    assert_true(said > 0 && said < 200);
    lithops__config_free(config);
    lithops__config_load(&no_options, &config, NULL); /* nobody listens */
    lithops__config_free(config);
}

/* ---- cost and threads ------------------------------------------------------------------------ */

static bool is_loaded(const char *library)
{
    char line[512];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        found |= strstr(line, library) != NULL;
    fclose(maps);
    return found;
}

/* First in the list: later tests load the module. */
static void without_text_nothing_is_loaded_and_it_is_quick(void **state)
{
    (void)state;
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t start = lithops__now_ns();
        struct lithops__config *config = load(NULL);
        uint64_t took = lithops__now_ns() - start;
        lithops__config_free(config);
        best = took < best ? took : best;
    }
    assert_false(is_loaded("/yaml.so"));
    assert_false(is_loaded("libyaml"));
    print_message("lithops__config_load without a file: %.1f us\n", (double)best / 1e3);
#if !UNDER_SANITIZER
    assert_true(best < 150000); /* some 30 us; loading a module takes 1 ms */
#endif
    lithops__config_free(load_text("lithops: {}"));
    assert_true(is_loaded("/yaml.so"));
}

static void *read_many_times(void *arg)
{
    const struct lithops__config *config = arg;
    for (int i = 0; i < 1000; i++) {
        if (lithops__config_int(config, "localhost", "spin_us") != 9 ||
            strcmp(lithops__config_string(config, "lithops", "backend"), "localhost") != 0)
            return arg;
        struct lithops__config *own = NULL;
        if (i % 100 == 0 && lithops__config_load(NULL, &own, NULL) != 0)
            return arg;
        lithops__config_free(own);
        lithops_value_free(lithops__config_value(config, false));
    }
    return NULL;
}

static void many_threads_may_read_it(void **state)
{
    (void)state;
    struct lithops__config *config = load_text("localhost: {spin_us: 9}");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_many_times, config), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    lithops__config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_text_nothing_is_loaded_and_it_is_quick),
        cmocka_unit_test(every_row_of_the_tables_makes_sense),
        cmocka_unit_test(sections_of_worker_pools_share_their_rows),
        cmocka_unit_test(defaults_are_those_of_localhost),
        cmocka_unit_test(worker_processes_follow_the_cpus),
        cmocka_unit_test(a_file_sets_keys_of_every_type),
        cmocka_unit_test(words_are_read_in_any_case),
        cmocka_unit_test(null_means_the_default),
        cmocka_unit_test(wrong_types_say_what_is_expected),
        cmocka_unit_test(values_out_of_range_say_the_range),
        cmocka_unit_test(unknown_words_name_the_known_ones),
        cmocka_unit_test(unknown_names_get_the_nearest_one),
        cmocka_unit_test(unknown_names_may_be_of_another_section),
        cmocka_unit_test(strict_makes_findings_errors),
        cmocka_unit_test(findings_are_records),
        cmocka_unit_test(settings_may_have_foreign_keys),
        cmocka_unit_test(lines_are_right_whatever_came_before),
        cmocka_unit_test(what_is_no_section_is_refused),
        cmocka_unit_test(keys_without_effect_are_accepted_and_logged),
        cmocka_unit_test(sections_of_all_of_upstreams_backends_are_passed_over),
        cmocka_unit_test(the_examples_of_the_documentation_load),
        cmocka_unit_test(backend_and_mode_follow_from_each_other),
        cmocka_unit_test(options_win_over_the_file),
        cmocka_unit_test(wrong_options_are_named),
        cmocka_unit_test(settings_go_to_the_section_of_the_backend),
        cmocka_unit_test(wrong_settings_are_named),
        cmocka_unit_test(a_value_as_configuration_has_no_lines),
        cmocka_unit_test(errors_do_not_show_secrets),
        cmocka_unit_test(pythons_none_is_null_where_no_text_is_wanted),
        cmocka_unit_test(the_whole_masks_secrets_unless_asked),
        cmocka_unit_test(unknown_keys_are_handed_on),
        cmocka_unit_test(unknown_settings_are_handed_on),
        cmocka_unit_test(a_whole_without_files_loads_again),
        cmocka_unit_test(long_and_odd_values_stay_one_line),
        cmocka_unit_test(many_threads_may_read_it),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
