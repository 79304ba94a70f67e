/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the function image and of what jobs carry of it. */
#include "base/clock.h"
#include "function/image.h"
#include "function/library.h"
#include "value/value.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define UPPER TESTLIB "/libupper.so"
#define LOWER TESTLIB "/liblower.so"
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

LITHOPS_FUNCTION(own)
{
    (void)call;
    return 1;
}

static const char plain_path[] = TESTLIB "/libplain.so";
static lithops_function *upper; /* a function of libupper.so, which links liblower.so */
static char folder[] = "/tmp/lithops-image-XXXXXX";
static struct lithops__image *image;
static lithops_error error;

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    mkdir("data", 0700);
    mkdir("data/deep", 0700);
    write_file("data/b.txt", "bb");
    write_file("data/a.txt", "a");
    write_file("data/deep/c.txt", "ccc");
    write_file("model.bin", "model");
    upper = lithops_function_open(UPPER ":upper_answer:int()", NULL);
    return upper ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    lithops_function_free(upper);
    unlink("data/a.txt");
    unlink("data/b.txt");
    unlink("data/deep/c.txt");
    unlink("model.bin");
    rmdir("data/deep");
    rmdir("data");
    return rmdir(folder);
}

static int open_image(const lithops_function *function, const char *const *include,
                      const char *const *exclude)
{
    lithops__image_free(image);
    image = NULL;
    error = (lithops_error)LITHOPS_ERROR_INIT;
    return lithops__image_open(function, include, exclude, &image, &error);
}

static struct lithops__image_item *item(const char *name)
{
    for (size_t i = 0; i < image->count; i++)
        if (strcmp(image->items[i].name, name) == 0)
            return &image->items[i];
    return NULL;
}

static void assert_item(const char *name, enum lithops__image_role role, const char *path)
{
    const struct lithops__image_item *found = item(name);
    if (!found) {
        fail_msg("no '%s' in the image", name);
        return;
    }
    assert_int_equal(found->role, role);
    if (path)
        assert_string_equal(found->path, path);
}

static void assert_refused(const lithops_function *function, const char *const *include,
                           const char *const *exclude, int code, const char *says)
{
    lithops_value *manifest = (lithops_value *)&error;
    int given = open_image(function, include, exclude);
    if (given != code || !strstr(error.message, says))
        fail_msg("%d: %s (expected: %s)", given, error.message, says);
    assert_null(image);
    /* A job is refused for the same reasons, before it starts. */
    assert_int_equal(lithops__image_plan(function, include, exclude, &manifest, &error), code);
    assert_ptr_equal(manifest, &error);
}

/* ---- the whole image ------------------------------------------------------------------------- */

static void a_program_is_its_own_image(void **state)
{
    (void)state;
    char exe[PATH_MAX];
    assert_int_equal(open_image(own, NULL, NULL), 0);
    assert_non_null(realpath("/proc/self/exe", exe));
    assert_int_equal(image->items[0].role, LITHOPS__IMAGE_PROGRAM);
    assert_string_equal(image->items[0].path, exe);
    struct stat st;
    assert_int_equal(stat(exe, &st), 0);
    assert_int_equal(image->items[0].size_bytes, st.st_size);
    for (size_t i = 0; i < image->count; i++)
        assert_false(lithops__path_is_system(image->items[i].path));
}

static void a_library_brings_what_it_links(void **state)
{
    (void)state;
    assert_int_equal(open_image(upper, NULL, NULL), 0);
    assert_int_equal(image->count, 2); /* and not the C library */
    assert_item("libupper.so", LITHOPS__IMAGE_FUNCTION, UPPER);
    assert_item("liblower.so", LITHOPS__IMAGE_LINKED, LOWER);
    assert_string_equal(item("liblower.so")->soname, "liblower.so");
}

static void includes_are_added(void **state)
{
    (void)state;
    assert_int_equal(open_image(own, WORDS("model.bin", plain_path, "data/", "libm.so.6"), NULL),
                     0);
    assert_item("model.bin", LITHOPS__IMAGE_FILE, NULL);
    assert_int_equal(item("model.bin")->size_bytes, 5);
    assert_int_equal(item("model.bin")->path[0], '/');
    assert_item("libplain.so", LITHOPS__IMAGE_MODULE, plain_path);
    assert_item("libm.so.6", LITHOPS__IMAGE_MODULE, NULL); /* of the system, by its name */
    assert_item("data", LITHOPS__IMAGE_FOLDER, NULL);
    assert_item("data/a.txt", LITHOPS__IMAGE_FILE, NULL);
    assert_item("data/b.txt", LITHOPS__IMAGE_FILE, NULL);
    assert_item("data/deep/c.txt", LITHOPS__IMAGE_FILE, NULL);
    assert_int_equal(item("data/deep/c.txt")->size_bytes, 3);
    assert_true(item("data/a.txt") < item("data/b.txt")); /* sorted: the same in every run */
}

static void an_included_library_brings_what_it_links(void **state)
{
    (void)state;
    assert_int_equal(open_image(own, WORDS(UPPER), NULL), 0);
    assert_item("libupper.so", LITHOPS__IMAGE_MODULE, UPPER);
    assert_item("liblower.so", LITHOPS__IMAGE_LINKED, LOWER);
}

static void the_same_thing_twice_is_once(void **state)
{
    (void)state;
    assert_int_equal(open_image(upper, WORDS("./model.bin", "model.bin", LOWER, UPPER), NULL), 0);
    assert_int_equal(image->count, 3);
    assert_item("liblower.so", LITHOPS__IMAGE_MODULE, LOWER);
}

static void an_included_library_replaces_a_linked_one(void **state)
{
    (void)state;
    assert_int_equal(mkdir("other", 0700), 0);
    assert_int_equal(symlink(TESTLIB "/libgone.so", "other/liblower.so"), 0);
    assert_int_equal(open_image(upper, WORDS("other/liblower.so"), NULL), 0);
    assert_int_equal(image->count, 2);
    assert_item("liblower.so", LITHOPS__IMAGE_MODULE, TESTLIB "/libgone.so");
    unlink("other/liblower.so");
    rmdir("other");
}

static void excludes_are_taken_away(void **state)
{
    (void)state;
    assert_int_equal(open_image(upper, NULL, WORDS("liblower.so")), 0);
    assert_int_equal(image->count, 1);
    assert_int_equal(open_image(upper, NULL, WORDS(LOWER)), 0); /* by its path */
    assert_int_equal(image->count, 1);
    assert_int_equal(open_image(upper, WORDS("model.bin", "data"), WORDS("./model.bin", "data")),
                     0);
    assert_int_equal(image->count, 2);
}

static void wrong_includes_are_told(void **state)
{
    (void)state;
    assert_refused(own, WORDS("nothing/here.bin"), NULL, LITHOPS_ENOTFOUND,
                   "included file 'nothing/here.bin' does not exist (looked in /tmp/lithops-image");
    assert_refused(own, WORDS("/nothing/here.bin"), NULL, LITHOPS_ENOTFOUND,
                   "included file '/nothing/here.bin' does not exist");
    assert_refused(own, WORDS("modle.bin"), NULL, LITHOPS_ENOTFOUND,
                   "included module 'modle.bin' is not a file here, and: no library 'modle.bin'");
    assert_refused(own, WORDS(""), NULL, LITHOPS_EUSAGE, "an empty name");
    assert_refused(own, WORDS("/"), NULL, LITHOPS_EUSAGE, "the whole file system");
    assert_refused(own, WORDS("/dev/null"), NULL, LITHOPS_EUSAGE, "neither a file nor a folder");
    write_file("libtext.so.1", "no library");
    assert_refused(own, WORDS("libtext.so.1"), NULL, LITHOPS_EPARSE, "not a shared library");
    unlink("libtext.so.1");
    if (geteuid() != 0) {
        write_file("secret", "");
        chmod("secret", 0);
        assert_refused(own, WORDS("secret"), NULL, LITHOPS_EDENIED, "'secret' cannot be read");
        unlink("secret");
    }
}

static void one_name_for_two_files_is_told(void **state)
{
    (void)state;
    assert_int_equal(mkdir("other", 0700), 0);
    write_file("other/model.bin", "another");
    assert_refused(own, WORDS("model.bin", "other/model.bin"), NULL, LITHOPS_EUSAGE,
                   "they have one name");
    unlink("other/model.bin");
    rmdir("other");
}

static void wrong_excludes_are_told(void **state)
{
    (void)state;
    assert_refused(upper, NULL, WORDS("liblowre.so"), LITHOPS_ENOTFOUND,
                   "excluded module 'liblowre.so' is not part of the function image; did you mean "
                   "'liblower.so'?");
    assert_refused(upper, NULL, WORDS("libc.so.6"), LITHOPS_ENOTFOUND, "libraries of the system");
    assert_refused(upper, NULL, WORDS("libupper.so"), LITHOPS_EUSAGE, "which holds the function");
    assert_refused(NULL, NULL, WORDS("x"), LITHOPS_EUSAGE, "the function is NULL");
}

static void a_missing_dependency_is_told(void **state)
{
    (void)state;
    lithops_function *broken =
        lithops_function_open(TESTLIB "/libbroken.so:upper_answer:int()", NULL);
    assert_non_null(broken); /* only its own file is looked at */
    assert_int_equal(open_image(broken, NULL, NULL), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(error.message, "libbroken.so' needs 'libgone.so.1': no library"));
    lithops_function_free(broken);
}

static void odd_folders_are_told_or_followed(void **state)
{
    (void)state;
    assert_int_equal(symlink("../model.bin", "data/link"), 0);
    assert_int_equal(open_image(own, WORDS("data"), NULL), 0);
    assert_int_equal(item("data/link")->size_bytes, 5);
    unlink("data/link");
    assert_int_equal(symlink("nowhere", "data/link"), 0);
    assert_int_equal(open_image(own, WORDS("data"), NULL), LITHOPS_EUSAGE);
    assert_non_null(strstr(error.message, "data/link' in an included folder"));
    unlink("data/link");
    assert_int_equal(symlink("..", "data/link"), 0); /* a circle */
    assert_int_equal(open_image(own, WORDS("data"), NULL), LITHOPS_EUSAGE);
    unlink("data/link");
}

static void a_hash_is_made_on_demand(void **state)
{
    (void)state;
    assert_int_equal(open_image(own, WORDS("data"), NULL), 0);
    struct lithops__image_item *a = item("data/a.txt");
    assert_string_equal(a->sha256, "");
    assert_int_equal(lithops__image_hash(a, &error), 0);
    assert_string_equal(a->sha256,
                        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    write_file("data/a.txt", "changed");
    assert_int_equal(lithops__image_hash(a, &error), 0); /* once */
    assert_memory_equal(a->sha256, "ca97", 4);
    assert_int_equal(open_image(own, WORDS("data"), NULL), 0);
    a = item("data/a.txt");
    assert_int_equal(lithops__image_hash(a, &error), 0); /* the next image looks anew */
    assert_memory_equal(a->sha256, "d67e", 4);
    write_file("data/a.txt", "a");
    assert_int_equal(lithops__image_hash(item("data"), &error), LITHOPS_EUSAGE);
    unlink("data/b.txt");
    assert_int_equal(lithops__image_hash(item("data/b.txt"), &error), LITHOPS_ENOTFOUND);
    write_file("data/b.txt", "bb");
}

/* ---- the manifest ---------------------------------------------------------------------------- */

static void nothing_to_carry_is_null_and_free(void **state)
{
    (void)state;
    lithops_value *manifest = (lithops_value *)&error;
    uint64_t start = lithops__now_ns();
    for (int i = 0; i < 1000; i++)
        assert_int_equal(lithops__image_plan(own, NULL, WORDS(NULL), &manifest, NULL), 0);
    uint64_t each = (lithops__now_ns() - start) / 1000;
    print_message("an empty plan takes %llu ns\n", (unsigned long long)each);
    assert_null(manifest);
    assert_true(each < 5000); /* 1 us promised; sanitizers and a busy machine take their part */
    assert_int_equal(lithops__image_plan(upper, NULL, WORDS("liblower.so"), &manifest, NULL), 0);
    assert_null(manifest); /* what stays behind needs no word */
    assert_int_equal(lithops__image_attach(NULL, NULL), 0);
    assert_null(lithops__image_file(NULL, "model.bin"));
}

static void files_are_found_in_the_worker(void **state)
{
    (void)state;
    lithops_value *manifest = NULL;
    struct lithops__buffer wire = LITHOPS__BUFFER_INIT;
    assert_int_equal(
        lithops__image_plan(own, WORDS("model.bin", "data", plain_path), NULL, &manifest, NULL), 0);
    assert_int_equal(lithops__value_encode(manifest, &wire, NULL), 0);
    lithops_value_free(manifest);
    assert_non_null(manifest = lithops__value_decode(wire.data, wire.len, NULL));
    assert_int_equal(chdir("/"), 0); /* a worker is somewhere else */

    char content[16] = "";
    const char *path = lithops__image_file(manifest, "model.bin");
    assert_non_null(path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(content, 1, sizeof content, file), 5);
    fclose(file);
    assert_string_equal(content, "model");
    struct stat st;
    assert_int_equal(stat(lithops__image_file(manifest, "data"), &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_string_equal(lithops__image_file(manifest, "libplain.so"), plain_path);
    assert_null(lithops__image_file(manifest, "model"));
    assert_null(lithops__image_file(manifest, ""));
    assert_null(lithops__image_file(manifest, NULL));

    assert_int_equal(chdir(folder), 0);
    lithops_value_free(manifest);
    lithops__buffer_deinit(&wire);
}

static void modules_are_loaded_for_all(void **state)
{
    (void)state;
    lithops_value *manifest = NULL;
    assert_null(dlsym(RTLD_DEFAULT, "same_int64"));
    assert_null(dlsym(RTLD_DEFAULT, "upper_answer"));
    assert_int_equal(lithops__image_plan(own, WORDS("model.bin", plain_path, UPPER),
                                         WORDS("libupper.so"), &manifest, NULL),
                     0);
    assert_int_equal(lithops__image_attach(manifest, NULL), 0);
    assert_non_null(dlsym(RTLD_DEFAULT, "same_int64"));
    assert_null(dlsym(RTLD_DEFAULT, "upper_answer")); /* excluded */
    assert_null(lithops__image_file(manifest, "libupper.so"));
    lithops_value_free(manifest);
}

static void a_module_that_cannot_be_loaded_is_told(void **state)
{
    (void)state;
    lithops_value *manifest = NULL;
    assert_int_equal(
        lithops__image_plan(own, WORDS(TESTLIB "/libbroken.so"), NULL, &manifest, NULL), 0);
    assert_int_equal(lithops__image_attach(manifest, &error), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(error.message, "cannot load included module 'libbroken.so': "
                                          "libgone.so.1"));
    lithops_value_free(manifest);
}

static void names_need_not_be_utf8(void **state)
{
    (void)state;
    lithops_value *manifest = NULL;
    write_file("caf\xe9", "x");
    assert_int_equal(lithops__image_plan(own, WORDS("caf\xe9"), NULL, &manifest, NULL), 0);
    assert_non_null(lithops__image_file(manifest, "caf\xe9"));
    assert_int_equal(access(lithops__image_file(manifest, "caf\xe9"), R_OK), 0);
    lithops_value_free(manifest);
    unlink("caf\xe9");
}

/* As a supervisor opens it, of a client whose file is there, was replaced, or was deleted. */
static void a_program_of_another_is_not_replaced(void **state)
{
    (void)state;
    static const char says[] = "was replaced or deleted; restart the program";
    char exe[PATH_MAX];
    lithops_value *file = lithops__image_program_file();
    assert_non_null(file);
    assert_non_null(realpath("/proc/self/exe", exe));
    assert_int_equal(lithops__image_set_program(exe, file, &error), 0);
    assert_int_equal(open_image(own, NULL, NULL), 0);
    assert_string_equal(image->items[0].path, exe);
    assert_int_equal(lithops__image_set_program(plain_path, file, &error), 0);
    assert_int_equal(open_image(own, NULL, NULL), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(error.message, says));
    assert_int_equal(open_image(upper, NULL, NULL), 0); /* is not of the program */
    assert_int_equal(lithops__image_set_program("/nowhere/prog (deleted)", file, &error), 0);
    assert_int_equal(open_image(own, NULL, NULL), LITHOPS_ENOTFOUND);
    assert_non_null(strstr(error.message, says));
    assert_int_equal(lithops__image_set_program(exe, file, &error), 0);
    lithops_value_free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_its_own_image),
        cmocka_unit_test(a_library_brings_what_it_links),
        cmocka_unit_test(includes_are_added),
        cmocka_unit_test(an_included_library_brings_what_it_links),
        cmocka_unit_test(the_same_thing_twice_is_once),
        cmocka_unit_test(an_included_library_replaces_a_linked_one),
        cmocka_unit_test(excludes_are_taken_away),
        cmocka_unit_test(wrong_includes_are_told),
        cmocka_unit_test(one_name_for_two_files_is_told),
        cmocka_unit_test(wrong_excludes_are_told),
        cmocka_unit_test(a_missing_dependency_is_told),
        cmocka_unit_test(odd_folders_are_told_or_followed),
        cmocka_unit_test(a_hash_is_made_on_demand),
        cmocka_unit_test(nothing_to_carry_is_null_and_free),
        cmocka_unit_test(files_are_found_in_the_worker),
        cmocka_unit_test(modules_are_loaded_for_all),
        cmocka_unit_test(a_module_that_cannot_be_loaded_is_told),
        cmocka_unit_test(names_need_not_be_utf8),
        cmocka_unit_test(a_program_of_another_is_not_replaced),
    };
    int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    lithops__image_free(image);
    return failed;
}
