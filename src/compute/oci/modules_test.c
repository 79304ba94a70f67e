/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/oci/oci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What is found when files have these names, one after another. */
static void expect(const char *const *paths, const char *path, const char *wanted)
{
    lithops_value *seen = lithops_value_map();
    char *text = NULL;
    for (; *paths; paths++)
        assert_int_equal(lithops__oci_note(seen, *paths), 0);
    lithops_value *pythons = lithops__oci_pythons(seen, path);
    assert_int_equal(lithops_value_to_json(pythons, &text, NULL), 0);
    assert_string_equal(text, wanted);
    free(text);
    lithops_value_free(pythons);
    lithops_value_free(seen);
}

static void modules_are_of_the_python_that_finds_them(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "./usr/local/bin/python3.12",
        "usr/local/bin/python3.12-config",
        "usr/bin/python3.11",
        "opt/x/bin/python3.10",
        "usr/local/lib/python3.12/site-packages/six.py",
        "usr/local/lib/python3.12/site-packages/numpy/",
        "usr/local/lib/python3.12/site-packages/numpy/__init__.py",
        "usr/local/lib/python3.12/site-packages/numpy/core/__init__.py",
        "usr/local/lib/python3.12/site-packages/numpy.libs/libopenblas.so",
        "usr/local/lib/python3.12/site-packages/numpy-1.26.dist-info/METADATA",
        "usr/local/lib/python3.12/site-packages/_cffi.cpython-312-x86_64-linux-gnu.so",
        "usr/local/lib/python3.12/site-packages/data/x.txt",
        "usr/local/lib/python3.12/site-packages/a.pth",
        "usr/lib/python3/dist-packages/yaml/__init__.py",
        "usr/local/lib/python3.11/dist-packages/mine.py",
        "\xff/site-packages/six.py",
        NULL};
    expect(paths, "/usr/local/bin:/usr/bin:bin:/:",
           "{\"3.11\": [\"mine\", \"yaml\"], \"3.12\": [\"_cffi\", \"numpy\", \"six\"]}");
    expect(paths, "/opt/x/bin", "{\"3.10\": []}");
    expect(paths, "", "{}");
}

static void what_a_layer_above_deletes_is_gone(void **state)
{
    (void)state;
    static const char *const paths[] = {"usr/bin/python3.11",
                                        "usr/bin/python3.9",
                                        "usr/lib/python3/dist-packages/a/__init__.py",
                                        "usr/lib/python3/dist-packages/b.py",
                                        "usr/lib/python3/dist-packages/c.py",
                                        "usr/bin/.wh.python3.9",
                                        "usr/lib/python3/dist-packages/.wh.a",
                                        "usr/lib/python3/dist-packages/.wh.b.py",
                                        "usr/lib/python3/dist-packages/.wh.c.py",
                                        "usr/lib/python3/dist-packages/c.py",
                                        NULL};
    expect(paths, "/usr/bin", "{\"3.11\": [\"c\"]}");
}

static void lines_of_any_length(void **state)
{
    (void)state;
    lithops_value *seen = lithops_value_map();
    char lines[2048];
    memset(lines, 'x', sizeof lines);
    strcpy(lines + 1024, "\n\nbin/python3.12\nbin/python3.999999999999\nusr/bin/python3.12");
    assert_int_equal(lithops__oci_note_lines(seen, lines), 0);
    assert_true(lithops_value_get_bool(lithops_value_get(seen, "usr/bin/python3.12")));
    lithops_value_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_are_of_the_python_that_finds_them),
        cmocka_unit_test(what_a_layer_above_deletes_is_gone),
        cmocka_unit_test(lines_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
