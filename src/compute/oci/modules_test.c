/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/oci/oci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What is found when layers have files of these names, a line each. */
static void expect(const char *const *layers, const char *path, const char *wanted)
{
    lithops_value *seen = lithops_value_map();
    char *text = NULL;
    for (; *layers; layers++) {
        char *names = strdup(*layers);
        assert_int_equal(lithops__oci_note(seen, names, path), 0);
        assert_string_equal(names, *layers);
        free(names);
    }
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
    static const char *const layers[] = {
        "./usr/local/bin/python3.12\n"
        "usr/local/bin/python3.12-config\n"
        "usr/bin/python3.11\n"
        "opt/x/bin/python3.10\n"
        "root/.pyenv/shims/python3.13\n"
        "usr/local/lib/python3.12/site-packages/six.py\n"
        "usr/local/lib/python3.12/site-packages/numpy/\n"
        "usr/local/lib/python3.12/site-packages/numpy/__init__.py\n"
        "usr/local/lib/python3.12/site-packages/numpy/core/__init__.py\n"
        "usr/local/lib/python3.12/site-packages/numpy.libs/libopenblas.so\n",
        "usr/local/lib/python3.12/site-packages/numpy-1.26.dist-info/METADATA\n"
        "usr/local/lib/python3.12/site-packages/_cffi.cpython-312-x86_64-linux-gnu.so\n"
        "usr/local/lib/python3.12/site-packages/data/x.txt\n"
        "usr/local/lib/python3.12/site-packages/a.pth\n"
        "usr/lib/python3/dist-packages/yaml/__init__.py\n\n"
        "usr/local/lib/python3.11/dist-packages/mine.py\n"
        "\xff/site-packages/six.py",
        NULL};
    expect(layers, "/usr/local/bin/:/usr/bin:/bin:/:",
           "{\"3.11\": [\"mine\", \"yaml\"], \"3.12\": [\"_cffi\", \"numpy\", \"six\"]}");
    expect(layers, "/opt/x/bin", "{\"3.10\": []}");
    expect(layers, "/root/.pyenv/shims", "{\"3.13\": null}");
    expect(layers, "", "{}");
    /* This folder may be behind a link. */
    expect(layers, "/usr/local/python/current/bin:/usr/bin", "null");
}

static void what_a_layer_above_deletes_is_gone(void **state)
{
    (void)state;
    static const char *const layers[] = {"usr/bin/python3.11\nusr/bin/python3.9\n"
                                         "usr/lib/python3/dist-packages/a/__init__.py\n"
                                         "usr/lib/python3/dist-packages/ab.py\n"
                                         "usr/lib/python3/dist-packages/b.py\n"
                                         "usr/lib/python3/dist-packages/c.py\n",
                                         "usr/lib/python3/dist-packages/c.py\n"
                                         "usr/bin/.wh.python3.9\n"
                                         "usr/lib/python3/dist-packages/.wh.a\n"
                                         "usr/lib/python3/dist-packages/.wh.b.py\n"
                                         "usr/lib/python3/dist-packages/.wh.c.py\n",
                                         NULL};
    expect(layers, "/usr/bin", "{\"3.11\": [\"ab\", \"c\"]}");
    static const char *const whole[] = {"usr/bin/python3.11\n"
                                        "usr/lib/python3/dist-packages/a.py\n"
                                        "usr/local/lib/python3.11/dist-packages/b.py\n",
                                        "usr/lib/python3/dist-packages/c.py\n"
                                        "usr/lib/python3/dist-packages/.wh..wh..opq\n"
                                        "usr/local/.wh.lib\n",
                                        NULL};
    expect(whole, "/usr/bin", "{\"3.11\": [\"c\"]}");
}

static void lines_of_any_length(void **state)
{
    (void)state;
    lithops_value *seen = lithops_value_map();
    static const char end[] = "\n\nbin/python3.12\nbin/python3.999999999999\nusr/bin/python3.12";
    char lines[2048];
    memset(lines, 'x', sizeof lines);
    memcpy(lines + 1024, end, sizeof end);
    assert_int_equal(lithops__oci_note(seen, lines, lines), 0);
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
