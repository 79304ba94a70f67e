/* SPDX-License-Identifier: Apache-2.0 */
/* The client's allocator, and the workers', over one small area. */
#include "ipc/heap.h"
#include "ipc/region.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 64 << 20 };
static struct lithops__area area;
static struct lithops__heap heap;

static int setup(void **state)
{
    (void)state;
    lithops_error err = LITHOPS_ERROR_INIT;
    assert_int_equal(lithops__area_create(&area, "test-0", 2, LIMIT, &err), 0);
    lithops__heap_init(&heap, &area);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lithops__heap_deinit(&heap);
    lithops__area_detach(&area);
    return 0;
}

static void *bytes(lithops__offset at)
{
    return lithops__at(&area, at);
}

static void sizes_are_aligned_and_apart(void **state)
{
    (void)state;
    lithops__offset before = 0;
    uint64_t before_len = 0;
    for (uint64_t len = 0; len < 3000000; len = len * 5 / 4 + 1) {
        lithops__offset at = lithops__heap_alloc(&heap, len);
        assert_true(at != 0);
        assert_int_equal(at % 16, 0);
        assert_true(len < 1024 || at % 64 == 0);
        assert_int_equal(lithops__payload_bytes(&area, at).len, len);
        assert_true(at >= before + before_len);
        memset(bytes(at), 0xee, len);
        before = at;
        before_len = len;
    }
}

static void last_freed_is_first_taken(void **state)
{
    (void)state;
    const uint64_t len = 300000; /* a large block, as results of a map are */
    lithops__offset a = lithops__heap_alloc(&heap, len), b = lithops__heap_alloc(&heap, len);
    lithops__heap_free(&heap, a);
    lithops__heap_free(&heap, b);
    assert_int_equal(lithops__heap_alloc(&heap, len), b);
    assert_int_equal(lithops__heap_alloc(&heap, len), a);
    lithops__heap_free(&heap, 0);
}

/* Small blocks that were freed, in whatever order, serve other sizes and go back to the system. */
static void small_blocks_give_memory_back(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static lithops__offset at[COUNT];
    for (int round = 0; round < 4; round++) {
        uint64_t len = round % 2 ? 9000 : 16000;
        for (int i = 0; i < COUNT; i++)
            assert_true((at[i] = lithops__heap_alloc(&heap, len)) != 0);
        uint64_t most = atomic_load(&area.control->committed);
        for (int i = 0; i < COUNT; i++)
            lithops__heap_free(&heap, at[i * 7 % COUNT]);
        lithops__heap_trim(&heap, 1 << 20);
        assert_true(most > COUNT * len && heap.cached <= 1 << 20);
        assert_true(atomic_load(&area.control->committed) < 4 << 20);
    }
    assert_true(lithops__heap_alloc(&heap, 48 << 20) != 0);
}

static void contents_survive_random_use(void **state)
{
    (void)state;
    enum { SLOTS = 200 };
    static lithops__offset at[SLOTS];
    static uint64_t len[SLOTS];
    uint64_t random = 7;
    memset(at, 0, sizeof at);
    for (int i = 0; i < 100000; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        unsigned s = random >> 33 & 0xff;
        if (s >= SLOTS)
            continue;
        const unsigned char *have = at[s] ? bytes(at[s]) : NULL;
        for (uint64_t k = 0; have && k < len[s]; k += 509)
            assert_int_equal(have[k], s);
        lithops__heap_free(&heap, at[s]);
        len[s] = (random >> 44) % (s % 20 == 0 ? 200000 : 3000);
        at[s] = lithops__heap_alloc(&heap, len[s]);
        assert_true(at[s] != 0);
        memset(bytes(at[s]), (int)s, len[s]);
    }
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    const uint64_t sizes[] = {LIMIT + 1, UINT64_MAX / 2, UINT64_MAX - 64, UINT64_MAX};
    for (int i = 0; i < 4; i++)
        assert_int_equal(lithops__heap_alloc(&heap, sizes[i]), 0);
    assert_true(lithops__heap_alloc(&heap, 100) != 0);
}

/* The limit is met, and all is there again for blocks of another size. */
static void freed_memory_serves_other_sizes(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        lithops__offset taken[64];
        size_t count = 0;
        uint64_t each = round % 2 ? 3u << 20 : 20u << 20;
        while (count < 64 && (taken[count] = lithops__heap_alloc(&heap, each)) != 0)
            memset(bytes(taken[count++]), 1, each);
        assert_true(count * each >= 36u << 20);
        assert_true(atomic_load(&area.control->committed) <= LIMIT);
        while (count > 0)
            lithops__heap_free(&heap, taken[--count]);
    }
}

/* ---- regions
 * -------------------------------------------------------------------------------------- */

static lithops__offset result(struct lithops__region *region, uint64_t len, int fill)
{
    lithops__offset at = lithops__region_alloc(region, len);
    if (at) {
        memset(bytes(at), fill, len);
        lithops__region_publish(region, at, len);
    }
    return at;
}

static void check_fill(lithops__offset at, uint64_t len, int fill)
{
    const unsigned char *have = bytes(at);
    for (uint64_t i = 0; i < len; i++)
        if (have[i] != fill)
            fail_msg("byte %llu of %llu is damaged", (unsigned long long)i,
                     (unsigned long long)len);
}

/* Every length around the ends of extents: the last bytes of one are not the first of the next. */
static void large_results_do_not_touch(void **state)
{
    (void)state;
    static struct lithops__region region; /* reachable: a worker never frees its lists */
    assert_int_equal(lithops__region_init(&region, &area, 0), 0);
    for (uint64_t pages = 1; pages < 6; pages++)
        for (uint64_t back = 0; back < 200; back += 7) {
            uint64_t len = pages * LITHOPS__PAGE - back;
            lithops__offset a = result(&region, len, 0xaa), b = result(&region, len, 0xbb);
            assert_true(a && b);
            assert_int_equal(a % 64, 0);
            check_fill(a, len, 0xaa);
            check_fill(b, len, 0xbb);
            assert_int_equal(lithops__payload_bytes(&area, a).len, len);
            lithops__region_release(&area, a);
            lithops__region_release(&area, b);
        }
}

static void small_results_share_pages(void **state)
{
    (void)state;
    static struct lithops__region region; /* reachable: a worker never frees its lists */
    assert_int_equal(lithops__region_init(&region, &area, 0), 0);
    uint64_t high = 0;
    for (int round = 0; round < 50; round++) {
        lithops__offset at[2000];
        for (int i = 0; i < 2000; i++) {
            at[i] = result(&region, (uint64_t)i % 300, i & 0xff);
            assert_true(at[i] != 0 && at[i] % 16 == 0);
        }
        for (int i = 0; i < 2000; i++) {
            check_fill(at[i], (uint64_t)i % 300, i & 0xff);
            lithops__region_release(&area, at[i]);
        }
        if (round == 10)
            high = region.high_pages;
    }
    assert_int_equal(region.high_pages, high); /* used again and again */
}

static void undone_room_is_used_again(void **state)
{
    (void)state;
    static struct lithops__region region; /* reachable: a worker never frees its lists */
    assert_int_equal(lithops__region_init(&region, &area, 0), 0);
    const uint64_t sizes[] = {10, 16 << 10, (16 << 10) + 1, 1 << 20};
    for (int s = 0; s < 4; s++) {
        lithops__offset first = lithops__region_alloc(&region, sizes[s]);
        lithops__region_undo(&region, first);
        for (int i = 0; i < 100; i++) {
            lithops__offset at = lithops__region_alloc(&region, sizes[s]);
            assert_int_equal(at, first);
            lithops__region_undo(&region, at);
        }
    }
}

/* A worker process dies with results out, one of them not published; the next one takes over. */
static void region_of_a_dead_process_is_adopted(void **state)
{
    (void)state;
    lithops__offset *out = lithops__at(&area, lithops__heap_alloc(&heap, 3 * sizeof *out));
    pid_t pid = fork();
    if (pid == 0) {
        struct lithops__region own;
        if (lithops__region_init(&own, &area, 1) != 0)
            _exit(1);
        out[0] = result(&own, 100, 1);
        out[1] = result(&own, 300000, 2);
        out[2] = lithops__region_alloc(&own, 300000);
        _exit(out[2] ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    static struct lithops__region next;
    assert_int_equal(lithops__region_init(&next, &area, 1), 0);
    assert_int_equal(result(&next, 300000, 3), out[2]); /* was nobody's */
    for (int i = 0; i < 100; i++)
        assert_true(result(&next, 100, 4) != 0);
    check_fill(out[0], 100, 1);
    check_fill(out[1], 300000, 2);
    lithops__region_release(&area, out[1]);
    lithops__region_release(&area, out[2]);
    lithops__offset a = result(&next, 300000, 5), b = result(&next, 300000, 5);
    assert_true((a == out[1] && b == out[2]) || (a == out[2] && b == out[1]));
}

/* What one region holds free is there for the other one, and for the heap. */
static void free_memory_moves_between_owners(void **state)
{
    (void)state;
    static struct lithops__region regions[2];
    for (unsigned w = 0; w < 2; w++)
        assert_int_equal(lithops__region_init(&regions[w], &area, w), 0);
    for (int round = 0; round < 6; round++) {
        lithops__offset at = result(&regions[round % 2], 40u << 20, round);
        assert_true(at != 0);
        assert_int_equal(result(&regions[(round + 1) % 2], 40u << 20, 0), 0);
        assert_int_equal(lithops__heap_alloc(&heap, 40u << 20), 0);
        check_fill(at, 40u << 20, round);
        lithops__region_release(&area, at);
    }
    lithops__offset at = lithops__heap_alloc(&heap, 40u << 20);
    assert_true(at != 0);
    lithops__heap_free(&heap, at);
    assert_true(result(&regions[0], 40u << 20, 9) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sizes_are_aligned_and_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(last_freed_is_first_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(small_blocks_give_memory_back, setup, teardown),
        cmocka_unit_test_setup_teardown(contents_survive_random_use, setup, teardown),
        cmocka_unit_test_setup_teardown(impossible_sizes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(freed_memory_serves_other_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(large_results_do_not_touch, setup, teardown),
        cmocka_unit_test_setup_teardown(small_results_share_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(undone_room_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(region_of_a_dead_process_is_adopted, setup, teardown),
        cmocka_unit_test_setup_teardown(free_memory_moves_between_owners, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
