/* SPDX-License-Identifier: Apache-2.0 */
/* A runtime of another language: the runtime's command starts this program as worker processes; all
 * calls go through one native function, which runs *code*.
 *
 * The language has five words. Code is a word and a number, as in "add 5". */
#include "api.h"

#include <lithops/plugin/runtime.h>

#include <stdio.h>
#include <unistd.h>

enum { BIG = 1 << 20 };

static uint64_t first_code_id;

static int add(lithops_call *call, const lithops_payload *in, long number)
{
    if (in->content != LITHOPS_CONTENT_INT)
        return lithops_fail(call, "content %d", (int)in->content);
    return lithops_return_payload(
        call, &(lithops_payload){.content = LITHOPS_CONTENT_INT, .i = in->i + number});
}

/* Return the input; in place if it is bytes. */
static int echo(lithops_call *call, const lithops_payload *in)
{
    lithops_payload out = *in;
    if (in->content > LITHOPS_CONTENT_DOUBLE) {
        void *room = lithops_call_alloc(call, in->bytes.len);
        if (!room)
            return LITHOPS_ENOSPACE;
        memcpy(room, in->bytes.ptr, in->bytes.len);
        out.bytes.ptr = room;
    }
    return lithops_return_payload(call, &out);
}

static int fail_with(lithops_call *call, const lithops_payload *in)
{
    lithops_error error = {.code = LITHOPS_ECALL, .message = "as it was told to"};
    return lithops_fail_data(call, &error, in->bytes);
}

/* The concatenated results of the map calls. */
static int contents(lithops_call *call)
{
    char text[64] = "";
    lithops_payload one;
    int rc;
    while ((rc = lithops_call_next_payload(call, &one)) > 0)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d ", (int)one.content);
    return rc ? rc : lithops_return(call, "s", text);
}

static int run_code(lithops_call *call)
{
    lithops_bytes code = lithops_call_code(call);
    char word[16] = "";
    long number = 0;
    char text[64] = "";
    memcpy(text, code.ptr, code.len < sizeof text ? code.len : sizeof text - 1);
    if (sscanf(text, "%15s %ld", word, &number) < 1)
        return lithops_fail(call, "no code");
    lithops_payload in;
    int rc = lithops_call_payload(call, &in);
    if (rc != 0)
        return rc;
    if (!first_code_id)
        first_code_id = lithops_call_code_id(call);
    if (strcmp(word, "add") == 0)
        return add(call, &in, number);
    if (strcmp(word, "echo") == 0)
        return echo(call, &in);
    if (strcmp(word, "fail") == 0)
        return fail_with(call, &in);
    if (strcmp(word, "contents") == 0)
        return contents(call);
    if (strcmp(word, "id") == 0)
        return lithops_return_int(call, (int64_t)(lithops_call_code_id(call) - first_code_id));
    return lithops_fail(call, "no word '%s'", word);
}

static lithops_function *code(const char *text)
{
    lithops_function *function =
        lithops_code_function("run_code", text, (lithops_bytes){text, strlen(text)}, &err);
    return not_null(function);
}

static lithops_executor *open_runtime(lithops_value *settings)
{
    static char self[4096];
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    const char *const command[] = {self, "be a worker", NULL};
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.worker_command = command;
    options.settings = settings;
    lithops_executor *opened = not_null(lithops_localhost_executor_open(&options, &err));
    lithops_value_free(settings);
    return opened;
}

static const lithops_payload inputs[] = {
    {.content = LITHOPS_CONTENT_NULL},
    {.content = LITHOPS_CONTENT_BOOL, .b = true},
    {.content = LITHOPS_CONTENT_INT, .i = -7},
    {.content = LITHOPS_CONTENT_DOUBLE, .d = 0.1},
    {.content = LITHOPS_CONTENT_STRING, .bytes = {"text", 4}},
    {.content = LITHOPS_CONTENT_BYTES, .bytes = {"\0\1", 2}},
    {.content = LITHOPS_CONTENT_PACKED, .bytes = {"\x92\1\2", 3}},
    {.content = LITHOPS_CONTENT_PICKLE, .bytes = {"opaque", 6}},
    {.content = LITHOPS_CONTENT_BYTES, .bytes = {NULL, 0}},
};
enum { INPUTS = sizeof inputs / sizeof inputs[0] };

static void payload_is(const lithops_payload *a, const lithops_payload *b)
{
    assert_int_equal(a->content, b->content);
    if (a->content == LITHOPS_CONTENT_BOOL)
        assert_int_equal(a->b, b->b);
    else if (a->content == LITHOPS_CONTENT_INT || a->content == LITHOPS_CONTENT_DOUBLE)
        assert_true(a->i == b->i);
    else if (a->content > LITHOPS_CONTENT_DOUBLE) {
        assert_int_equal(a->bytes.len, b->bytes.len);
        if (a->bytes.len)
            assert_memory_equal(a->bytes.ptr, b->bytes.ptr, a->bytes.len);
    }
}

static void echoes(lithops_futures *futures)
{
    succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
    assert_int_equal(lithops_futures_size(futures), INPUTS);
    for (size_t i = 0; i < INPUTS; i++) {
        lithops_payload out;
        succeeds(lithops_futures_payload(futures, i, &out, &err));
        payload_is(&out, &inputs[i]);
    }
}

static void test_payloads_travel_as_they_are(void **state)
{
    (void)state;
    lithops_function *function = code("echo");
    lithops_futures *futures =
        not_null(lithops_map(fexec, function, lithops_payloads(inputs, INPUTS), NULL, &err));
    echoes(futures);
    lithops_payload out;
    fails(lithops_futures_payload(futures, INPUTS, &out, &err), LITHOPS_ENOTFOUND, "no future");
    lithops_futures *again = not_null(lithops_map_futures(fexec, function, futures, NULL, &err));
    echoes(again);
    lithops_futures_unref(again);
    lithops_futures_unref(futures);
    for (size_t i = 0; i < INPUTS; i++) {
        lithops_future *future = not_null(
            lithops_call_async(fexec, function, lithops_payload_value(&inputs[i]), NULL, &err));
        futures = lithops_futures_new(&future, 1);
        succeeds(lithops_future_wait(future, LIMIT_MS, &err));
        succeeds(lithops_futures_payload(futures, 0, &out, &err));
        payload_is(&out, &inputs[i]);
        lithops_futures_unref(futures);
        lithops_future_unref(future);
    }
    lithops_function_free(function);
}

static void test_pieces_arrive_as_one_pickle(void **state)
{
    (void)state;
    static char large[100000];
    memset(large, 'x', sizeof large);
    const lithops_bytes pieces[] = {{"head", 4}, {NULL, 0}, {large, sizeof large}, {"tail", 4}};
    const lithops_payload given[] = {
        {.content = LITHOPS_CONTENT_PIECES, .bytes = {pieces, 4}},
        {.content = LITHOPS_CONTENT_PIECES, .bytes = {pieces, 0}},
        {.content = LITHOPS_CONTENT_PIECES, .bytes = {pieces, 1}},
    };
    const size_t lengths[] = {8 + sizeof large, 0, 4};
    lithops_function *function = code("echo");
    lithops_futures *futures =
        not_null(lithops_map(fexec, function, lithops_payloads(given, 3), NULL, &err));
    lithops_future *single =
        not_null(lithops_call_async(fexec, function, lithops_payload_value(given), NULL, &err));
    lithops_futures *one = lithops_futures_new(&single, 1);
    lithops_futures *all = lithops_futures_concat(futures, one);
    succeeds(lithops_wait(NULL, all, &within_limit, NULL, NULL, &err));
    for (size_t i = 0; i < 4; i++) {
        lithops_payload out;
        succeeds(lithops_futures_payload(all, i, &out, &err));
        assert_int_equal(out.content, LITHOPS_CONTENT_PICKLE);
        assert_int_equal(out.bytes.len, lengths[i % 3]);
        if (i % 3 == 0) {
            const char *bytes = out.bytes.ptr;
            assert_memory_equal(bytes, "head", 4);
            assert_memory_equal(bytes + 4, large, sizeof large);
            assert_memory_equal(bytes + 4 + sizeof large, "tail", 4);
        }
    }
    lithops_futures_unref(all);
    lithops_futures_unref(one);
    lithops_futures_unref(futures);
    lithops_future_unref(single);
    const lithops_payload unknown = {.content = (lithops_content)63};
    assert_null(lithops_map(fexec, function, lithops_payloads(&unknown, 1), NULL, &err));
    assert_int_equal(err.code, LITHOPS_EUSAGE);
    lithops_function_free(function);
}

static void test_a_list_of_payloads_is_a_list(void **state)
{
    (void)state;
    lithops_value *list = not_null(lithops_payloads(inputs, 5));
    char *json = api_to_json(list);
    assert_string_equal(json, "[null, true, -7, 0.1, \"text\"]");
    free(json);
    lithops_value *copy = not_null(lithops_value_copy(list));
    assert_true(lithops_value_equal(list, copy));
    assert_string_equal(lithops_value_get_string(lithops_value_at(list, 4)), "text");
    lithops_value_free(list);
    lithops_value_free(copy);
    assert_null(lithops_payloads(NULL, 3));
    assert_null(lithops_payload_value(NULL));
}

static void test_big_results_stay_in_place(void **state)
{
    (void)state;
    char *big = malloc(BIG);
    memset(big, 'x', BIG);
    lithops_payload in = {.content = LITHOPS_CONTENT_PICKLE, .bytes = {big, BIG}}, out;
    lithops_function *function = code("echo");
    lithops_futures *futures =
        not_null(lithops_map(fexec, function, lithops_payloads(&in, 1), NULL, &err));
    lithops_function_free(function); /* the job goes on */
    succeeds(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err));
    succeeds(lithops_futures_payload(futures, 0, &out, &err));
    payload_is(&out, &in);
    assert_int_equal((uintptr_t)out.bytes.ptr % 16, 0);
    lithops_futures_unref(futures);
    free(big);
}

static void test_errors_carry_data(void **state)
{
    (void)state;
    lithops_function *fail = code("fail"), *sum = code("contents");
    lithops_payload in = {.content = LITHOPS_CONTENT_PICKLE, .bytes = {"why", 3}}, out;
    lithops_futures *futures =
        not_null(lithops_map(fexec, fail, lithops_payloads(&in, 1), NULL, &err));
    fails(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err), LITHOPS_ECALL, "told to");
    fails(lithops_futures_payload(futures, 0, &out, &err), LITHOPS_ECALL, "told to");
    lithops_bytes data = lithops_futures_error_data(futures, 0);
    assert_int_equal(data.len, 3);
    assert_memory_equal(data.ptr, "why", 3);
    lithops_futures *after = not_null(lithops_map_futures(fexec, sum, futures, NULL, &err));
    fails(lithops_wait(NULL, after, &within_limit, NULL, NULL, &err), LITHOPS_ECALL, "told to");
    data = lithops_futures_error_data(after, 0);
    assert_int_equal(data.len, 3);
    lithops_futures_unref(after);
    lithops_futures_unref(futures);
    /* a reducer fails with the error of its map call */
    succeeds(lithops_map_reduce(fexec, fail, lithops_payloads(&in, 1), sum, NULL, &futures, &err));
    fails(lithops_wait(NULL, futures, &within_limit, NULL, NULL, &err), LITHOPS_ECALL, "told to");
    lithops_future *reducer = lithops_futures_get(futures, 1);
    (void)lithops_future_wait(reducer, LIMIT_MS, NULL);
    data = lithops_futures_error_data(futures, 1);
    assert_int_equal(data.len, 3);
    lithops_future_unref(reducer);
    lithops_futures_unref(futures);
    lithops_function_free(fail);
    lithops_function_free(sum);
}

static void test_reducers_read_payloads(void **state)
{
    (void)state;
    lithops_function *function = code("echo"), *reduce = code("contents");
    lithops_futures *futures = NULL;
    succeeds(lithops_map_reduce(fexec, function, lithops_payloads(inputs, INPUTS), reduce, NULL,
                                &futures, &err));
    const char *text = NULL;
    succeeds(lithops_get_result(NULL, futures, &within_limit, &err, "s", &text));
    assert_string_equal(text, "0 1 2 3 4 5 6 7 5 ");
    lithops_futures_unref(futures);
    lithops_function_free(function);
    lithops_function_free(reduce);
}

/* More pieces of code than are kept at a time: each call runs its own, and code no longer in use
 * makes room. */
static void test_code_comes_and_goes(void **state)
{
    (void)state;
    for (int i = 0; i < api_times(3000); i++) {
        char text[32];
        snprintf(text, sizeof text, "add %d", i);
        lithops_function *function = code(text);
        lithops_payload in = {.content = LITHOPS_CONTENT_INT, .i = 1};
        lithops_future *future =
            not_null(lithops_call_async(fexec, function, lithops_payload_value(&in), NULL, &err));
        int64_t sum = 0;
        succeeds(lithops_future_result(future, LIMIT_MS, &err, "I", &sum));
        assert_int_equal(sum, i + 1);
        lithops_function_free(function);
        if (i % 3 == 0)
            lithops_future_unref(future);
        else
            lithops_future_release(future);
        if (i % 100 == 99)
            succeeds(lithops_clean(fexec, NULL, NULL, &err));
    }
}

/* Code that two executors use in turns is stored once in each. */
static void test_code_of_two_executors(void **state)
{
    (void)state;
    static char text[4 << 20] = "add 1";
    memset(text + 5, ' ', sizeof text - 5);
    lithops_function *large = not_null(
        lithops_code_function("run_code", "large", (lithops_bytes){text, sizeof text}, &err));
    lithops_executor *small =
        open_runtime(lithops_pack("{s:i,s:i}", "shared_memory", 64, "worker_processes", 1));
    for (int i = 0; i < 40; i++) { /* so that the same slot is not free in both */
        lithops_function *other = code("add 2");
        lithops_futures_unref(not_null(lithops_map(fexec, other, lithops_range(0, 1), NULL, &err)));
        lithops_function_free(other);
    }
    for (int i = 0; i < 80; i++) {
        lithops_executor *one = i % 2 ? small : fexec;
        lithops_futures *futures =
            not_null(lithops_map(one, large, lithops_range(0, 1), NULL, &err));
        int64_t sum = 0;
        succeeds(lithops_get_result(one, futures, NULL, &err, "[I]", &sum));
        assert_int_equal(sum, 1);
        lithops_futures_unref(futures);
    }
    lithops_executor_close(small);
    lithops_function_free(large);
    succeeds(lithops_clean(fexec, NULL, NULL, &err));
}

static void test_code_ids_differ(void **state)
{
    (void)state;
    lithops_function *first = code("id 1"), *second = code("id 2");
    lithops_futures *a = not_null(lithops_map(fexec, first, lithops_range(0, 2), NULL, &err));
    lithops_futures *b = not_null(lithops_map(fexec, second, lithops_range(0, 2), NULL, &err));
    lithops_futures *c = not_null(lithops_map(fexec, first, lithops_range(0, 1), NULL, &err));
    lithops_futures_piece pieces[] = {{a, 0, 1}, {a, 1, 2}, {b, 1, 2}, {c, 0, 1}};
    lithops_futures *all = not_null(lithops_futures_join(pieces, 4));
    assert_int_equal(lithops_futures_size(all), 4);
    succeeds(lithops_wait(NULL, all, &within_limit, NULL, NULL, &err));
    lithops_futures_seen(all, 0, 4, true);
    pieces[2].end = 3;
    assert_null(lithops_futures_join(pieces, 4));
    lithops_futures_unref(all);
    lithops_futures_unref(a);
    lithops_futures_unref(b);
    lithops_futures_unref(c);
    lithops_function_free(first);
    lithops_function_free(second);
}

/* READ is the engine's own: results that were taken have it, and marked ones count as taken. */
static void test_marks(void **state)
{
    (void)state;
    lithops_function *function = not_null(lithops_function_open("libc.so.6:abs:int(int)", &err));
    lithops_executor *own = not_null(api_open("{\"worker_processes\":2}"));
    lithops_futures *many = not_null(lithops_map(own, function, lithops_range(0, 40), NULL, &err));
    lithops_futures *few = not_null(lithops_map(own, function, lithops_range(40, 44), NULL, &err));
    lithops_futures *all = not_null(lithops_futures_concat(many, few));
    succeeds(lithops_wait(NULL, all, &within_limit, NULL, NULL, &err));
    assert_int_equal(lithops_futures_marks(all, 0), 0);
    lithops_futures_mark(all, 15, 42, LITHOPS_MARK_READ | LITHOPS_MARK_GIVEN_UP, true);
    lithops_futures_mark(all, 16, 400, LITHOPS_MARK_GIVEN_UP, false);
    lithops_futures_mark(all, 43, 44, LITHOPS_MARK_CONSUMED, true);
    assert_int_equal(lithops_futures_marks(many, 14), 0);
    assert_int_equal(lithops_futures_marks(many, 15), LITHOPS_MARK_READ | LITHOPS_MARK_GIVEN_UP);
    assert_int_equal(lithops_futures_marks(many, 39), LITHOPS_MARK_READ);
    assert_int_equal(lithops_futures_marks(few, 1), LITHOPS_MARK_READ);
    assert_int_equal(lithops_futures_marks(few, 2), 0);
    assert_int_equal(lithops_futures_marks(few, 3), LITHOPS_MARK_CONSUMED);
    assert_int_equal(lithops_futures_marks(few, 4), 0);
    lithops_value *unread = NULL;
    succeeds(lithops_get_result_value(own, NULL, &within_limit, &unread, &err));
    assert_int_equal(lithops_value_size(unread), 17);
    lithops_value_free(unread);
    for (size_t i = 0; i < 44; i++)
        assert_true(lithops_futures_marks(all, i) & LITHOPS_MARK_READ);
    lithops_futures_unref(all);
    lithops_futures_unref(few);
    lithops_futures_unref(many);
    lithops_executor_close(own);
    lithops_function_free(function);
}

static bool count_and_stop(void *user)
{
    int *asked = user;
    return ++*asked >= 3;
}

static void test_a_wait_can_be_interrupted(void **state)
{
    (void)state;
    lithops_function *sleep_long =
        not_null(lithops_function_open("libc.so.6:usleep:int(uint)", &err));
    lithops_future *future = not_null(
        lithops_call_async(fexec, sleep_long, lithops_value_int(50 * 1000 * 1000), NULL, &err));
    lithops_futures *futures = lithops_futures_new(&future, 1);
    int asked = 0;
    lithops_wait_options options = within_limit;
    options.interrupted = count_and_stop;
    options.user = &asked;
    fails(lithops_wait(NULL, futures, &options, NULL, NULL, &err), LITHOPS_ECANCELED,
          "interrupted");
    assert_int_equal(asked, 3);
    assert_true(lithops_future_cancel(future));
    lithops_futures_unref(futures);
    lithops_future_unref(future);
    lithops_function_free(sleep_long);
}

static void test_the_next_one_that_is_done(void **state)
{
    (void)state;
    lithops_function *add_one = code("add 1");
    lithops_futures *futures =
        not_null(lithops_map(fexec, add_one, lithops_range(0, 5), NULL, &err));
    bool seen[5] = {false};
    size_t index = 99;
    for (int i = 0; i < 5; i++) {
        succeeds(lithops_futures_next(futures, i ? &within_limit : NULL, &index, &err));
        assert_in_range(index, 0, 4);
        assert_false(seen[index]);
        seen[index] = true;
    }
    fails(lithops_futures_next(futures, NULL, &index, &err), LITHOPS_ENOTFOUND, "5 calls");
    fails(lithops_futures_next(NULL, NULL, &index, &err), LITHOPS_EUSAGE, "futures");
    fails(lithops_futures_next(futures, NULL, NULL, &err), LITHOPS_EUSAGE, "ret_index");
    lithops_futures_unref(futures);
    lithops_function_free(add_one);

    lithops_function *sleep_long =
        not_null(lithops_function_open("libc.so.6:usleep:int(uint)", &err));
    lithops_value *times = lithops_pack("[i]", 50 * 1000 * 1000);
    futures = not_null(lithops_map(fexec, sleep_long, times, NULL, &err));
    int asked = 0;
    lithops_wait_options options = LITHOPS_WAIT_OPTIONS_INIT;
    options.timeout_ms = 0;
    fails(lithops_futures_next(futures, &options, &index, &err), LITHOPS_ETIMEDOUT, "0 of 1");
    options.timeout_ms = LITHOPS_DEFAULT;
    options.interrupted = count_and_stop;
    options.user = &asked;
    fails(lithops_futures_next(futures, &options, &index, &err), LITHOPS_ECANCELED, "interrupted");
    assert_int_equal(lithops_futures_cancel(futures), 1);
    succeeds(lithops_futures_next(futures, &within_limit, &index, &err));
    assert_int_equal(index, 0);
    lithops_futures_unref(futures);
    lithops_function_free(sleep_long);
}

/* For make_worker_command: the words to return, and the runtime expected. */
struct making {
    const char *runtime;
    const char *const *command;
    int count;
};

static const char *const *make_command(void *user, const char *runtime, lithops_error *ret_err)
{
    struct making *making = user;
    making->count++;
    if (making->runtime)
        assert_string_equal(runtime, making->runtime);
    else
        assert_null(runtime);
    if (!making->command && making->count > 1)
        ret_err->code = LITHOPS_ENOTFOUND;
    return making->command;
}

static void test_command_for_a_runtime(void **state)
{
    (void)state;
    static char self[4096];
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    const char *const command[] = {self, "be a worker", NULL};
    struct making making = {.command = command};
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.make_worker_command = make_command;
    options.user = &making;
    lithops_executor *other = not_null(lithops_executor_open(&options, &err));
    lithops_function *function = code("echo");
    lithops_future *future =
        not_null(lithops_call_async(other, function, lithops_value_int(7), NULL, &err));
    int64_t seven;
    assert_int_equal(lithops_future_result(future, LITHOPS_FOREVER, &err, "I", &seven), 0);
    assert_int_equal(seven, 7);
    lithops_future_unref(future);
    lithops_executor_close(other);
    lithops_function_free(function);
    lithops_value *settings = lithops_pack("{s:s}", "runtime", "some/image");
    options.settings = settings;
    making = (struct making){.runtime = "some/image"};
    is_refused(lithops_executor_open(&options, &err), LITHOPS_EUSAGE, "make_worker_command");
    is_refused(lithops_executor_open(&options, &err), LITHOPS_ENOTFOUND, "");
    assert_int_equal(making.count, 2);
    lithops_value_free(settings);
}

static void test_bad_code(void **state)
{
    (void)state;
    is_refused(lithops_code_function(NULL, "x", (lithops_bytes){"", 0}, &err), LITHOPS_EUSAGE,
               "runtime");
    is_refused(lithops_code_function("run_code", "x", (lithops_bytes){NULL, 1}, &err),
               LITHOPS_EUSAGE, "code");
    lithops_function *lost =
        lithops_code_function("no_such_runtime", "x", (lithops_bytes){"", 0}, &err);
    call_fails(lithops_call_async(fexec, lost, lithops_value_null(), NULL, &err), LITHOPS_ENOTFOUND,
               "no_such_runtime");
    lithops_function_free(lost);
    const char *const nothing[] = {NULL}, *const missing[] = {"/no/such/program", NULL};
    lithops_executor_options options = LITHOPS_EXECUTOR_OPTIONS_INIT;
    options.worker_command = nothing;
    is_refused(lithops_executor_open(&options, &err), LITHOPS_EUSAGE, "worker_command");
    options.worker_command = missing;
    lithops_executor *other = not_null(lithops_executor_open(&options, &err));
    lithops_function *function = code("echo");
    call_fails(lithops_call_async(other, function, lithops_value_null(), NULL, &err),
               LITHOPS_ENOTFOUND, "/no/such/program");
    lithops_function_free(function);
    lithops_executor_close(other);
}

static int open_group(void **state)
{
    (void)state;
    fexec = open_runtime(lithops_pack("{s:i}", "worker_processes", 2));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "be a worker") == 0) {
        static lithops_function runtime = {
            LITHOPS_FUNCTION_MAGIC, "run_code", run_code, NULL, "run_code", NULL, NULL, NULL};
        lithops_function_register(&runtime);
        return lithops_worker_main(argv[2]);
    }
    api_init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payloads_travel_as_they_are),
        cmocka_unit_test(test_pieces_arrive_as_one_pickle),
        cmocka_unit_test(test_a_list_of_payloads_is_a_list),
        cmocka_unit_test(test_big_results_stay_in_place),
        cmocka_unit_test(test_errors_carry_data),
        cmocka_unit_test(test_reducers_read_payloads),
        cmocka_unit_test(test_code_comes_and_goes),
        cmocka_unit_test(test_code_of_two_executors),
        cmocka_unit_test(test_code_ids_differ),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_a_wait_can_be_interrupted),
        cmocka_unit_test(test_the_next_one_that_is_done),
        cmocka_unit_test(test_command_for_a_runtime),
        cmocka_unit_test(test_bad_code),
    };
    return api_finish(cmocka_run_group_tests(tests, open_group, api_close_group));
}
