/* SPDX-License-Identifier: Apache-2.0 */
/* The words that the backend singularity gives to the program, and what it makes of failures: with
 * a script in place of the program, which runs the container's command on this machine. The real
 * one: compute_singularity_test. */
#include "../integration/api.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

LITHOPS_FUNCTION(square)
{
    int64_t x = lithops_call_int(call);
    return lithops_return_int(call, x * x);
}

/* No other program is on the search path: one of these might be installed. */
static const char runs[] = "#!/bin/sh\n"
                           "PATH=/usr/bin:/bin\n"
                           "printf '%s\\n' \"${0##*/}\" \"$@\" >\"$LITHOPS_TEST_FOLDER/words\"\n"
                           "while [ \"$1\" != sh ]; do shift; done\n"
                           "exec \"$@\"\n";
static const char fails_to[] = "#!/bin/sh\necho 'FATAL: no such luck' >&2\nexit 255\n";

/* In a folder of its own, which is searched first. */
static void put_program(const char *name, const char *text)
{
    char path[256], name_there[64];
    snprintf(name_there, sizeof name_there, "bin/%s", name);
    snprintf(path, sizeof path, "%s", api_write_file(name_there, text, strlen(text)));
    assert_int_equal(chmod(path, 0700), 0);
}

static void drop_program(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/bin/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static lithops_executor *open_with(lithops_value *section)
{
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    lithops_value *config = api_config("{}");
    options.backend = "singularity";
    options.config = config;
    options.settings = section;
    lithops_executor *opened = lithops_executor_open(&options, &err);
    lithops_value_free(section);
    lithops_value_free(config);
    return opened;
}

static void has_word(const char *word)
{
    char path[256], text[16384], line[512];
    snprintf(path, sizeof path, "%s/words", folder);
    FILE *file = not_null(fopen(path, "r"));
    text[0] = '\n';
    size_t len = fread(text + 1, 1, sizeof text - 2, file);
    text[1 + len] = '\0';
    fclose(file);
    snprintf(line, sizeof line, "\n%s\n", word);
    if (!strstr(text, line))
        fail_msg("no word '%s' in %.1000s", word, text);
}

static lithops_value *section_of(const char *image)
{
    return lithops_pack("{s:s,s:s,s:[s,s],s:[s],s:b}", "runtime", image, "sif_path", folder,
                        "singularity_options", "--cpus", "2", "shared_filesystem", folder,
                        "use_gpu", 1);
}

static void test_words(void **state)
{
    (void)state;
    char word[512];
    put_program("apptainer", runs);
    for (int i = 0; i < 2; i++) { /* at last both are there */
        lithops_executor *own = not_null(open_with(section_of("box")));
        result_is(lithops_call_async(own, square, lithops_value_int(7), NULL, &err), "49");
        lithops_executor_close(own);
        has_word(i == 0 ? "apptainer" : "singularity");
        if (i == 0)
            put_program("singularity", runs);
    }
    has_word("exec\n--pid\n--nv");
    snprintf(word, sizeof word, "--bind\n%s/cache/lithops", folder);
    has_word(word);
    snprintf(word, sizeof word, "--env\nXDG_CACHE_HOME=%s/cache", folder);
    has_word(word);
    snprintf(word, sizeof word, "--bind\n%s\n--cpus\n2\n%s/box.sif\nsh\n-c", folder, folder);
    has_word(word);
    drop_program("singularity");
    drop_program("apptainer");
}

static void test_what_is_missing(void **state)
{
    (void)state;
    is_refused(open_with(section_of("none")), LITHOPS_ECONFIG, "there is no image 'none'");
    is_refused(open_with(lithops_value_map()), LITHOPS_ECONFIG, "names no image");
    is_refused(open_with(lithops_pack("{s:s}", "runtime", "Docker://x")), LITHOPS_ECONFIG,
               "there is no image");
    lithops_executor *own = not_null(open_with(section_of("box")));
    call_fails(lithops_call_async(own, square, lithops_value_int(7), NULL, &err), LITHOPS_EBACKEND,
               "neither a program singularity nor apptainer");
    lithops_executor_close(own);
}

static void test_what_the_program_says_last(void **state)
{
    (void)state;
    put_program("singularity", fails_to);
    lithops_executor *own = not_null(open_with(section_of("docker://box")));
    call_fails(
        lithops_call_async(own, square, lithops_value_int(7), NULL, &err), LITHOPS_EBACKEND,
        "'docker://box' (singularity.runtime): it ended with exit status 255: FATAL: no such "
        "luck");
    lithops_executor_close(own);
    drop_program("singularity");
}

int main(int argc, char **argv)
{
    char path[4096];
    api_init(&argc, &argv);
    snprintf(path, sizeof path, "%s/bin", folder);
    mkdir(path, 0700);
    setenv("PATH", path, 1);
    snprintf(path, sizeof path, "%s/cache", folder);
    setenv("XDG_CACHE_HOME", path, 1);
    api_write_file("box.sif", "", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_missing),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_what_the_program_says_last),
    };
    return api_finish(cmocka_run_group_tests(tests, NULL, NULL));
}
