/* SPDX-License-Identifier: Apache-2.0 */
/* Memory in the steady state: calls of all sizes, taken, released, reduced, chained, cancelled and
 * dropped unread. After each tenth of the calls everything is cleaned; then the memory of the
 * client and its workers, with shared memory counted once, must be within 64 MiB of its value after
 * the warm-up.
 *
 *     soak [COUNT] */
#include "ours/ours.h"
#include "processes.h"

enum { BOUND = 64 << 20, KINDS = 6, LIMIT_S = 20 };

LITHOPS_FUNCTION(none)
{
    return lithops_return_int(call, lithops_call_int(call));
}

LITHOPS_FUNCTION(fill)
{
    size_t size = (size_t)lithops_call_int(call);
    char *result = lithops_call_alloc(call, size);
    if (!result)
        return LITHOPS_ENOSPACE;
    memset(result, (int)(size % 251), size);
    return lithops_return_bytes(call, result, size);
}

LITHOPS_FUNCTION(total)
{
    int64_t sum = 0;
    lithops_bytes bytes;
    int rc;
    while ((rc = lithops_call_next_bytes(call, &bytes)) > 0)
        sum += (int64_t)bytes.len;
    return rc ? rc : lithops_return_int(call, sum);
}

LITHOPS_FUNCTION(length)
{
    return lithops_return_int(call, (int64_t)lithops_call_bytes(call).len);
}

static lithops_executor *fexec;

static void check(bool condition)
{
    if (!condition)
        bench_die("a wrong result");
}

static lithops_futures *map(const lithops_function *function, int64_t begin, int64_t count)
{
    return ours_have(
        lithops_map(fexec, function, lithops_range(begin, begin + count), NULL, &ours_error));
}

/* Sizes vary: `size` and a little more. */
static int64_t read_and_release(int64_t size, int64_t count)
{
    lithops_futures *futures = map(fill, size, count);
    for (int64_t i = 0; i < count; i++) {
        lithops_future *future = lithops_futures_get(futures, (size_t)i);
        lithops_bytes bytes;
        ours_check(lithops_future_bytes(future, LITHOPS_FOREVER, &bytes, &ours_error));
        const unsigned char *data = bytes.ptr;
        check((int64_t)bytes.len == size + i && data[0] == bytes.len % 251 &&
              data[bytes.len - 1] == data[0]);
        lithops_future_release(future);
    }
    lithops_futures_unref(futures);
    return count;
}

static int64_t run_tiny(int64_t count)
{
    lithops_futures *futures = map(none, 0, count);
    ours_check(lithops_wait(NULL, futures, NULL, NULL, NULL, &ours_error));
    int64_t last;
    ours_check(lithops_futures_int(futures, (size_t)count - 1, &last, &ours_error));
    check(last == count - 1);
    lithops_futures_unref(futures);
    return count;
}

static int64_t run_single(int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        lithops_future *future = ours_have(
            lithops_call_async(fexec, fill, lithops_value_int(20000 + i), NULL, &ours_error));
        lithops_bytes bytes;
        if (i % 2)
            ours_check(lithops_future_bytes(future, LITHOPS_FOREVER, &bytes, &ours_error));
        lithops_future_unref(future); /* the others unread */
    }
    return count;
}

static int64_t run_reduced(int64_t count)
{
    lithops_futures *futures = NULL;
    ours_check(lithops_map_reduce(fexec, fill, lithops_range(1000, 1000 + count), total, NULL,
                                  &futures, &ours_error));
    int64_t sum = 0;
    ours_check(lithops_get_result(NULL, futures, NULL, &ours_error, "I", &sum));
    check(sum == 1000 * count + count * (count - 1) / 2);
    lithops_futures_unref(futures);
    return count + 1;
}

static int64_t run_chained(int64_t count)
{
    lithops_futures *inputs = map(fill, 20000, count);
    lithops_futures *futures =
        ours_have(lithops_map_futures(fexec, length, inputs, NULL, &ours_error));
    lithops_futures_unref(inputs);
    ours_check(lithops_wait(NULL, futures, NULL, NULL, NULL, &ours_error));
    int64_t first;
    ours_check(lithops_futures_int(futures, 0, &first, &ours_error));
    check(first == 20000);
    lithops_futures_unref(futures);
    return 2 * count;
}

static int64_t run_cancelled(int64_t count)
{
    lithops_futures *futures = map(fill, 50000, count);
    lithops_futures_cancel(futures);
    lithops_futures_unref(futures);
    return count;
}

static int64_t run_some(unsigned round)
{
    switch (round % KINDS) {
    case 0:
        return run_tiny(2000);
    case 1:
        return run_single(200);
    case 2:
        return run_reduced(500);
    case 3:
        return run_chained(200);
    case 4:
        return run_cancelled(200);
    default:
        return read_and_release(10000, 300) + read_and_release(1 << 20, 8) +
               (round % 5 ? 0 : read_and_release(10 << 20, 2));
    }
}

static int64_t run(int64_t count, unsigned *round)
{
    int64_t done = 0;
    while (done < count)
        done += run_some((*round)++);
    return done;
}

/* Measure after cleaning; memory is returned a moment later. */
static uint64_t settled_bytes(uint64_t most)
{
    struct process_use use;
    ours_check(lithops_clean(fexec, NULL, NULL, &ours_error));
    double deadline = bench_now() + LIMIT_S;
    do {
        usleep(50000);
        processes_use(&use);
    } while (use.pss_bytes > most && bench_now() < deadline);
    return use.pss_bytes;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    int64_t count = bench_argument(argc, argv, 1, 1000000), done = 0;
    unsigned round = 0;
    fexec = ours_open();
    run(count / 20, &round);
    uint64_t start = settled_bytes(UINT64_MAX);
    bool failed = false;
    for (int tenth = 1; tenth <= 10; tenth++) {
        done += run(count * tenth / 10 - done, &round);
        uint64_t now = settled_bytes(start + BOUND);
        failed |= now > start + BOUND;
        printf("%9lld calls: %.1f MiB, at first %.1f MiB\n", (long long)done,
               (double)now / (1 << 20), (double)start / (1 << 20));
        fflush(stdout);
    }
    lithops_executor_close(fexec);
    if (failed)
        bench_die("more than 64 MiB above the beginning");
    return 0;
}
