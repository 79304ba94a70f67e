/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of separate calls: one process puts 16-byte requests into a ring in shared memory, one
 * at a time, another answers each in a second ring.
 *
 *     ring CALLS */
#include "bench.h"

#include <sys/wait.h>

enum { SLOTS = 1 << 14 };

struct item {
    uint64_t id, value;
};

struct ring {
    BENCH_LINE _Atomic uint64_t head;
    BENCH_LINE _Atomic uint64_t tail;
    BENCH_LINE struct item items[SLOTS];
};

static bool put(struct ring *ring, uint64_t at, struct item item)
{
    if (at - atomic_load_explicit(&ring->head, memory_order_acquire) == SLOTS)
        return false;
    ring->items[at % SLOTS] = item;
    atomic_store_explicit(&ring->tail, at + 1, memory_order_release);
    return true;
}

static bool get(struct ring *ring, uint64_t at, struct item *ret_item)
{
    if (atomic_load_explicit(&ring->tail, memory_order_acquire) == at)
        return false;
    *ret_item = ring->items[at % SLOTS];
    atomic_store_explicit(&ring->head, at + 1, memory_order_release);
    return true;
}

int main(int argc, char **argv)
{
    uint64_t calls = (uint64_t)bench_argument(argc, argv, 1, 1000000);
    struct ring *requests = bench_share(sizeof *requests), *answers = bench_share(sizeof *answers);
    pid_t other = fork();
    if (other == 0) {
        bench_pin(1);
        struct item item;
        for (uint64_t i = 0; i < calls; i++) {
            while (!get(requests, i, &item))
                bench_pause();
            while (!put(answers, i, item))
                bench_pause();
        }
        _exit(0);
    }
    bench_pin(0);
    double start = bench_now();
    uint64_t sent = 0, received = 0, sum = 0;
    while (received < calls) {
        struct item item;
        if (sent < calls && put(requests, sent, (struct item){sent, sent}))
            sent++;
        while (received < sent && get(answers, received, &item)) {
            sum += item.value;
            received++;
        }
    }
    bench_report("seconds", bench_now() - start);
    bench_report("sum", (double)sum);
    waitpid(other, NULL, 0);
    return 0;
}
