/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of source.c and the module "yaml": the search order, files of all kinds, YAML of all
 * kinds. */
#include "config/test_folder.h"
#include "config/yaml.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

static const lithops_executor_options no_options = LITHOPS_EXECUTOR_OPTIONS_INIT;

static int64_t spin_us(const lithops_executor_options *options, const char *origin)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    if (lithops__config_load(options, &config, &err) != 0)
        fail_msg("%s", err.message);
    int64_t spin = lithops__config_int(config, "localhost", "spin_us");
    assert_string_equal(lithops__config_origin(config), origin);
    lithops__config_free(config);
    return spin;
}

static void expect_load_error(const lithops_executor_options *options, int code,
                              const char *message)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    assert_int_equal(lithops__config_load(options, &config, &err), code);
    assert_string_equal(err.message, message);
    assert_null(config);
}

static int64_t spin_of_bytes(const void *content, size_t len)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    if (load_bytes(content, len, &config, &err) != 0)
        fail_msg("%s", err.message);
    int64_t spin = lithops__config_int(config, "localhost", "spin_us");
    lithops__config_free(config);
    return spin;
}

static int64_t spin_of(const char *text)
{
    return spin_of_bytes(text, strlen(text));
}

/* ---- the search order ------------------------------------------------------------------------ */

static void write_spin(const char *path, int spin)
{
    char text[64];
    int len = snprintf(text, sizeof text, "localhost: {spin_us: %d}\n", spin);
    write_file(path, text, (size_t)len);
}

static void each_place_hides_those_after_it(void **state)
{
    (void)state;
    char home_file[300], cwd_file[300];
    lithops_executor_options options = no_options;
    lithops_value *value = lithops_pack("{s:{s:i}}", "localhost", "spin_us", 1);
    snprintf(home_file, sizeof home_file, "%s/.lithops/config", folder);
    snprintf(cwd_file, sizeof cwd_file, "%s/.lithops_config", folder);
    assert_int_equal(mkdir(".lithops", 0755), 0);
    write_spin("named", 2);
    write_spin("named-by-environment", 4);
    write_spin(".lithops_config", 5);
    write_spin(".lithops/config", 6);
    setenv("LITHOPS_CONFIG", "{\"localhost\": {\"spin_us\": 3}}", 1);
    setenv("LITHOPS_CONFIG_FILE", "named-by-environment", 1);
    options.config = value;
    options.config_file = "named";

    assert_int_equal(spin_us(&options, "options"), 1);
    options.config = NULL;
    assert_int_equal(spin_us(&options, "named"), 2);
    options.config_file = NULL;
    assert_int_equal(spin_us(&options, "LITHOPS_CONFIG"), 3);
    unsetenv("LITHOPS_CONFIG");
    assert_int_equal(spin_us(NULL, "named-by-environment"), 4);
    unsetenv("LITHOPS_CONFIG_FILE");
    assert_int_equal(spin_us(NULL, cwd_file), 5);
    unlink(".lithops_config");
    assert_int_equal(spin_us(NULL, home_file), 6);
    unlink(".lithops/config");
    assert_int_equal(spin_us(NULL, "defaults"), 50);
    rmdir(".lithops");
    unlink("named");
    unlink("named-by-environment");
    lithops_value_free(value);
}

/* /etc is replaced in a mount namespace of a child process. */
static void etc_comes_last(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct lithops__config *config = NULL;
        if ((unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("tmpfs", "/etc", "tmpfs", 0, NULL) != 0)
            _exit(77);
        if (mkdir("/etc/lithops", 0755) != 0)
            _exit(1);
        FILE *file = fopen("/etc/lithops/config", "w");
        if (!file || fputs("localhost: {spin_us: 7}", file) < 0 || fclose(file) != 0)
            _exit(2);
        if (lithops__config_load(NULL, &config, NULL) != 0 ||
            lithops__config_int(config, "localhost", "spin_us") != 7 ||
            strcmp(lithops__config_origin(config), "/etc/lithops/config") != 0)
            _exit(3);
        lithops__config_free(config);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* no mount namespaces for us */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void empty_variables_count_as_unset(void **state)
{
    (void)state;
    lithops_executor_options options = no_options;
    options.config_file = "";
    setenv("LITHOPS_CONFIG", "", 1);
    setenv("LITHOPS_CONFIG_FILE", "", 1);
    setenv("HOME", "", 1);
    assert_int_equal(spin_us(&options, "defaults"), 50);
    unsetenv("HOME");
    assert_int_equal(spin_us(&options, "defaults"), 50);
    unsetenv("LITHOPS_CONFIG");
    unsetenv("LITHOPS_CONFIG_FILE");
    setenv("HOME", folder, 1);
}

static void a_tilde_is_the_home_folder(void **state)
{
    (void)state;
    char path[300];
    snprintf(path, sizeof path, "%s/other", folder);
    write_spin("other", 8);
    lithops_executor_options options = no_options;
    options.config_file = "~/other";
    assert_int_equal(spin_us(&options, path), 8);
    unsetenv("HOME");
    expect_load_error(&options, LITHOPS_ENOTFOUND,
                      "cannot read the configuration file '~/other' named by config_file: No such "
                      "file or directory");
    setenv("HOME", folder, 1);
    unlink("other");
}

/* ---- files ----------------------------------------------------------------------------------- */

static void a_named_file_must_be_there(void **state)
{
    (void)state;
    lithops_executor_options options = no_options;
    options.config_file = "nowhere/conf";
    expect_load_error(&options, LITHOPS_ENOTFOUND,
                      "cannot read the configuration file 'nowhere/conf' named by config_file: No "
                      "such file or directory");
    setenv("LITHOPS_CONFIG_FILE", "/nowhere", 1);
    expect_load_error(NULL, LITHOPS_ENOTFOUND,
                      "cannot read the configuration file '/nowhere' named by LITHOPS_CONFIG_FILE: "
                      "No such file or directory");
    unsetenv("LITHOPS_CONFIG_FILE");
}

static void a_folder_is_no_file(void **state)
{
    (void)state;
    char message[400];
    assert_int_equal(mkdir(".lithops", 0755), 0);
    assert_int_equal(mkdir(".lithops/config", 0755), 0);
    snprintf(message, sizeof message,
             "cannot read the configuration file '%s/.lithops/config': Is a directory", folder);
    expect_load_error(NULL, LITHOPS_EIO, message);
    rmdir(".lithops/config");
    rmdir(".lithops");
}

static void a_file_that_is_there_must_be_readable(void **state)
{
    (void)state;
    char message[400];
    bool root = geteuid() == 0;
    write_spin(".lithops_config", 1);
    assert_int_equal(chmod(".lithops_config", 0), 0);
    snprintf(message, sizeof message,
             "cannot read the configuration file '%s/.lithops_config': Permission denied", folder);
    if (root) /* who may read everything */
        assert_int_equal(seteuid(65534), 0);
    expect_load_error(NULL, LITHOPS_EDENIED, message);
    if (root)
        assert_int_equal(seteuid(0), 0);
    unlink(".lithops_config");
}

static void files_with_nothing_in_them_are_fine(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",       "\n", "   \n\n  ",    "# only a comment",   "---\n", "---\n...", "~",
        "null\n", "{}", "\xef\xbb\xbf", "\xef\xbb\xbf# x\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(spin_of(texts[i]), 50);
}

static void byte_order_marks_and_line_ends_do_not_matter(void **state)
{
    (void)state;
    assert_int_equal(spin_of("\xef\xbb\xbflocalhost:\n  spin_us: 3\n"), 3);
    assert_int_equal(spin_of("localhost:\r\n  spin_us: 4\r\n"), 4);
    assert_int_equal(spin_of("localhost:\r  spin_us: 5\r"), 5);
    assert_int_equal(spin_of("%YAML 1.1\n---\nlocalhost: {spin_us: 6}\n...\n# end\n"), 6);
    static const char utf16[] = "\xff\xfel\0o\0c\0a\0l\0h\0o\0s\0t\0:\0 \0{\0s\0p\0i\0n\0_\0u\0s\0"
                                ":\0 \0"
                                "7\0}\0";
    assert_int_equal(spin_of_bytes(utf16, sizeof utf16 - 1), 7);
    expect_finding("localhost:\r\n  spin_us: 4\r\n  spin: 1\r\n",
                   "conf:3: unknown key 'spin' in section 'localhost'; did you mean 'spin_us'?");
}

static void a_pipe_is_read_to_its_end(void **state)
{
    (void)state;
    int ends[2];
    char path[64];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "localhost: {spin_us: 9}", 23), 23);
    close(ends[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    lithops_executor_options options = no_options;
    options.config_file = path;
    assert_int_equal(spin_us(&options, path), 9);
    close(ends[0]);
}

static void huge_files_are_refused_and_large_ones_read(void **state)
{
    (void)state;
    static const char section[] = {"localhost: {spin_us: 2}\n"};
    size_t huge = 10 << 20, limit = 1 << 20;
    char *text = malloc(huge);
    assert_non_null(text);
    memset(text, '#', huge);
    for (size_t i = 99; i < huge; i += 100)
        text[i] = '\n';
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    const char *message = "conf: larger than 1024 KiB, which no configuration is; name the right "
                          "file";
    assert_int_equal(load_bytes(text, huge, &config, &err), LITHOPS_ECONFIG);
    assert_string_equal(err.message, message);
    assert_int_equal(load_bytes(text, limit + 1, &config, &err), LITHOPS_ECONFIG);
    assert_string_equal(err.message, message);
    memcpy(text + 10000 * 100, section, sizeof section - 1);
    assert_int_equal(spin_of_bytes(text, limit), 2);
    free(text);

    lithops_executor_options options = no_options;
    options.config_file = "/dev/zero"; /* would never end */
    expect_load_error(&options, LITHOPS_ECONFIG,
                      "/dev/zero: larger than 1024 KiB, which no configuration is; name the right "
                      "file");
}

static void binary_junk_is_named_by_line_and_column(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    assert_int_equal(load_bytes("\x7f"
                                "ELF\2\1\1\0\0",
                                9, &config, &err),
                     LITHOPS_ECONFIG);
    assert_string_equal(err.message,
                        "conf:1:1: this is not a YAML text: control characters are not allowed");
    assert_int_equal(load_bytes("lithops: {}\n# \xff\n", 15, &config, &err), LITHOPS_ECONFIG);
    assert_string_equal(err.message,
                        "conf:2:3: this is not a YAML text: invalid leading UTF-8 octet");
    unsigned seed = 1;
    unsigned char junk[2000];
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (unsigned char)((seed = seed * 1103515245 + 12345) >> 16);
        assert_int_equal(load_bytes(junk, sizeof junk, &config, &err), LITHOPS_ECONFIG);
        assert_null(config);
    }
}

static void long_paths_leave_room_for_the_message(void **state)
{
    (void)state;
    char path[600];
    size_t len = 0;
    while (len < sizeof path - 8)
        len += (size_t)snprintf(path + len, sizeof path - len, "./");
    snprintf(path + len, sizeof path - len, "conf");
    write_file("conf", "localhost: {spin_us: x}", 23);
    lithops_executor_options options = no_options;
    options.config_file = path;
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    assert_int_equal(lithops__config_load(&options, &config, &err), LITHOPS_ECONFIG);
    unlink("conf");
    assert_non_null(strstr(err.message, "./conf:1: key 'spin_us'"));
    assert_memory_equal(err.message, "...", 3);
    assert_true(strlen(err.message) < 300);
}

static int open_files(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void no_descriptor_is_left_open(void **state)
{
    (void)state;
    lithops_executor_options options = no_options;
    struct lithops__config *config = NULL;
    spin_of("lithops: {}"); /* the module is loaded now */
    int before = open_files();
    spin_of("localhost: {spin_us: 1}");
    load_bytes("a: [", 4, &config, NULL);
    options.config_file = folder;
    lithops__config_load(&options, &config, NULL);
    options.config_file = "/nowhere";
    lithops__config_load(&options, &config, NULL);
    assert_int_equal(open_files(), before);
}

static void a_missing_module_is_named(void **state)
{
    (void)state;
    char kept[4096];
    snprintf(kept, sizeof kept, "%s", getenv("LITHOPS_MODULE_PATH"));
    setenv("LITHOPS_MODULE_PATH", "/nowhere", 1);
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    assert_int_equal(load_bytes("lithops: {}", 11, &config, &err), LITHOPS_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "conf cannot be read: "));
    assert_non_null(strstr(err.message, "/nowhere/yaml.so"));
    assert_int_equal(spin_of(""), 50); /* nothing to parse: not needed */
    assert_int_equal(spin_us(NULL, "defaults"), 50);
    setenv("LITHOPS_MODULE_PATH", kept, 1);
}

/* ---- YAML ------------------------------------------------------------------------------------ */

static void the_environment_holds_json_or_yaml(void **state)
{
    (void)state;
    setenv("LITHOPS_CONFIG",
           "{\n\t\"lithops\": {\n\t\t\"backend\": \"localhost\",\n\t\t\"data_cleaner\": true,\n"
           "\t\t\"log_level\": null,\n\t\t\"include_modules\": []\n\t},\n"
           "\t\"localhost\": {\"spin_us\": 11, \"cost_per_gb_s\": 1.7e-05,\n"
           "\t\t\"cost_per_request\": 2e-07, \"runtime\": \"a\\/b\\u00e9\\\"\"}\n}",
           1);
    lithops_error err = LITHOPS_ERROR_INIT;
    struct lithops__config *config = NULL;
    if (lithops__config_load(NULL, &config, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(lithops__config_int(config, "localhost", "spin_us"), 11);
    assert_true(lithops__config_double(config, "localhost", "cost_per_gb_s") == 1.7e-05);
    assert_true(lithops__config_double(config, "localhost", "cost_per_request") == 2e-07);
    assert_string_equal(lithops__config_string(config, "localhost", "runtime"), "a/b\xc3\xa9\"");
    lithops__config_free(config);

    setenv("LITHOPS_CONFIG", "localhost:\n  spin_us: 12\n", 1);
    assert_int_equal(spin_us(NULL, "LITHOPS_CONFIG"), 12);
    setenv("LITHOPS_CONFIG", "localhost:\n  spin: 12\nlithops: {strict: true}\n", 1);
    expect_load_error(NULL, LITHOPS_ECONFIG,
                      "LITHOPS_CONFIG:2: unknown key 'spin' in section 'localhost'; did you mean "
                      "'spin_us'?");
    setenv("LITHOPS_CONFIG", "/home/me/.lithops/config", 1); /* a path is not a configuration */
    expect_load_error(NULL, LITHOPS_ECONFIG,
                      "LITHOPS_CONFIG: a configuration holds sections, as in 'lithops:', but this "
                      "is of type string");
    unsetenv("LITHOPS_CONFIG");
}

static void has_runtime(const char *text, const char *wanted)
{
    struct lithops__config *config = load_text(text);
    const char *given = lithops__config_string(config, "localhost", "runtime");
    assert_string_equal(given ? given : "(unset)", wanted);
    lithops__config_free(config);
}

static void strings_can_be_written_in_all_ways(void **state)
{
    (void)state;
    has_runtime("localhost: {runtime: /usr/bin/python3}", "/usr/bin/python3");
    has_runtime("localhost: {runtime: '12'}", "12");
    has_runtime("localhost: {runtime: \"on\\tx\"}", "on\tx");
    has_runtime("localhost: {runtime: !!str 12}", "12");
    has_runtime("localhost: {runtime: ! 12}", "12");
    has_runtime("localhost:\n  runtime: |\n    a\n     b\n", "a\n b\n");
    has_runtime("localhost:\n  runtime: >-\n    a\n    b\n", "a b");
    has_runtime("localhost:\n  runtime: a\n    b\n", "a b");
    has_runtime("localhost:\n  ? runtime\n  : x\n", "x");
    has_runtime("localhost: {runtime: ''}", "");
    has_runtime("localhost: {runtime: \xf0\x9f\x90\x8d}", "\xf0\x9f\x90\x8d");
    has_runtime("localhost: {runtime: '~'}", "~");
}

static void aliases_and_merges_are_resolved(void **state)
{
    (void)state;
    assert_int_equal(spin_of("aws: &a 7\nlocalhost: {spin_us: *a}"), 7);
    assert_int_equal(spin_of("aws: &a {spin_us: 8}\nlocalhost: *a"), 8);
    assert_int_equal(spin_of("aws: &a {spin_us: 8}\nlocalhost: {<<: *a}"), 8);
    assert_int_equal(spin_of("aws: &a {spin_us: 8}\nlocalhost: {<<: *a, spin_us: 9}"), 9);
    assert_int_equal(spin_of("aws: &a {spin_us: 8}\nlocalhost: {spin_us: 9, <<: *a}"), 9);
    assert_int_equal(spin_of("aws: [&a {spin_us: 8}, &b {spin_us: 3}]\nlocalhost: {<<: [*b, *a]}"),
                     3);
    assert_int_equal(spin_of("aws: &a 1\ngcp: &a 2\nlocalhost: {spin_us: *a}"), 2);
    assert_int_equal(spin_of("localhost: {<<: {spin_us: 4}}"), 4);
    expect_finding("localhost: {'<<': {spin_us: 4}}",
                   "conf:1: unknown key '<<' in section 'localhost'; see lithops-config(5)");
    expect_error("localhost: {<<: 4}", "conf:1:17: '<<' can only merge maps");
    expect_error("localhost: {<<: [{}, 4]}", "conf:1:17: '<<' can only merge maps");
}

static void what_is_no_yaml_is_named_by_line_and_column(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"lithops:\n\tbackend: localhost\n", "conf:2:1: a tab cannot indent; use blanks"},
        {"lithops:\n  a: 1\n  \tb: 1\n", "conf:3:3: a tab cannot indent; use blanks"},
        {"lithops: {}\n---\nlocalhost: {}\n",
         "conf:2:1: a second document starts here; a configuration is one document"},
        {"lithops: {}\n--- {}\n",
         "conf:2:1: a second document starts here; a configuration is one document"},
        {"lithops:\n  retries: 1\n  mode: localhost\n  retries: 2\n",
         "conf:4:3: this key is there twice; keep one of the two"},
        {"lithops: {}\n\"lithops\": {}\n",
         "conf:2:1: this key is there twice; keep one of the two"},
        {"aws: {a: 1, a: 1}", "conf:1:13: this key is there twice; keep one of the two"},
        {"lithops:\n  backend: a\n mode: b\n",
         "conf:3:2: not valid YAML: did not find expected key while parsing a block mapping that "
         "starts in line 1"},
        {"lithops: {backend: a\n",
         "conf:2:1: not valid YAML: did not find expected ',' or '}' while parsing a flow mapping "
         "that starts in line 1"},
        {"lithops:\n  backend: \"a\n",
         "conf:3:1: not valid YAML: found unexpected end of stream while scanning a quoted scalar "
         "that starts in line 2"},
        {"lithops:\n  backend: a: b\n",
         "conf:2:13: not valid YAML: mapping values are not allowed in this context"},
        {"lithops:\n  backend: @a\n",
         "conf:2:12: not valid YAML: found character that cannot start any token while scanning "
         "for the next token"},
        {"lithops: {backend: *a}",
         "conf:1:20: an alias (*) without an anchor (&) before it; put text that starts with '*' "
         "in quotes"},
        {"lithops: &a {backend: *a}",
         "conf:1:23: an alias (*) without an anchor (&) before it; put text that starts with '*' "
         "in quotes"},
        {"lithops: {retries: !!int '3'}",
         "conf:1:20: tags other than !!str are not supported; put text that starts with '!' in "
         "quotes"},
        {"lithops: !!python/object:os.system {a: 1}",
         "conf:1:10: tags on lists and maps are not supported"},
        {"lithops: !!omap [a: 1]", "conf:1:10: tags on lists and maps are not supported"},
        {"? [a, b]\n: 1\n", "conf:1:3: a list or map cannot be a key"},
        {"? {a: b}\n: 1\n", "conf:1:3: a list or map cannot be a key"},
        {"\"a\\0b\": 1\n", "conf:1:1: a key cannot hold a NUL byte"},
        {"%YAML 9.9\n---\na: 1\n", "conf:1:1: not valid YAML: found incompatible YAML document"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_error(rows[i][0], rows[i][1]);
}

/* "aws: " and then `count` times `piece`, and `closing` as often. */
static char *repeated(const char *piece, size_t count, const char *closing)
{
    size_t size = 16 + count * (strlen(piece) + strlen(closing));
    char *text = malloc(size);
    size_t used = 0;
    assert_non_null(text);
    used += (size_t)snprintf(text, size, "aws: ");
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s", piece);
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s", closing);
    return text;
}

static void hostile_texts_are_bounded(void **state)
{
    (void)state;
    char *text = repeated("[", LITHOPS__YAML_MAX_DEPTH - 1, "]");
    assert_int_equal(spin_of(text), 50);
    free(text);
    text = repeated("[", LITHOPS__YAML_MAX_DEPTH, "]");
    expect_error(text, "conf:1:37: nested too deeply for a configuration");
    free(text);
    text = repeated("[", 500000, "");
    expect_error(text, "conf:1:37: nested too deeply for a configuration");
    free(text);
    text = repeated("\n- ", LITHOPS__YAML_MAX_NODES, "");
    expect_error(text, "conf:9999:2: too many values for a configuration; is this the right file?");
    free(text);
    expect_error("aws: [&a [x,x,x,x,x,x,x,x,x,x], &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a],\n"
                 " &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b], &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c],\n"
                 " &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d], [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]]\n",
                 "conf: the aliases (*) stand for too many values; write out what is meant");
    char merges[200000];
    size_t used = (size_t)snprintf(merges, sizeof merges, "aws: &a {");
    for (int i = 0; i < 400; i++)
        used += (size_t)snprintf(merges + used, sizeof merges - used, "k%d: 1, ", i);
    used += (size_t)snprintf(merges + used, sizeof merges - used, "}\ngcp: {<<: [");
    for (int i = 0; i < 50000; i++)
        used += (size_t)snprintf(merges + used, sizeof merges - used, "*a,");
    snprintf(merges + used, sizeof merges - used, "]}\n");
    expect_error(merges, "conf:1:6: too many merged values for a configuration");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_place_hides_those_after_it),
        cmocka_unit_test(etc_comes_last),
        cmocka_unit_test(empty_variables_count_as_unset),
        cmocka_unit_test(a_tilde_is_the_home_folder),
        cmocka_unit_test(a_named_file_must_be_there),
        cmocka_unit_test(a_folder_is_no_file),
        cmocka_unit_test(a_file_that_is_there_must_be_readable),
        cmocka_unit_test(files_with_nothing_in_them_are_fine),
        cmocka_unit_test(byte_order_marks_and_line_ends_do_not_matter),
        cmocka_unit_test(a_pipe_is_read_to_its_end),
        cmocka_unit_test(huge_files_are_refused_and_large_ones_read),
        cmocka_unit_test(binary_junk_is_named_by_line_and_column),
        cmocka_unit_test(long_paths_leave_room_for_the_message),
        cmocka_unit_test(no_descriptor_is_left_open),
        cmocka_unit_test(a_missing_module_is_named),
        cmocka_unit_test(the_environment_holds_json_or_yaml),
        cmocka_unit_test(strings_can_be_written_in_all_ways),
        cmocka_unit_test(aliases_and_merges_are_resolved),
        cmocka_unit_test(what_is_no_yaml_is_named_by_line_and_column),
        cmocka_unit_test(hostile_texts_are_bounded),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
