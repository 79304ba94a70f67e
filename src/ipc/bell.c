/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeping and waking with futexes.
 *
 * Each pair of sleeper and waker is a Dekker handshake: the sleeper stores "I am going to sleep"
 * and then looks once more for a reason not to; the waker stores the reason and then looks whether
 * somebody sleeps. With a full fence in between on both sides, one of them sees the other.
 *
 * A worker sleeps on the `parked` word of its own line and has a bit in the control block. Whoever
 * clears the bit wakes it.
 *
 * Where the client itself takes the calls, for workers elsewhere, it sleeps in poll():
 * control->wake_fd is then written in place of waking a futex.
 *
 * Waiters sleep on `landed`. The first to wake them takes the `waiting` flag down, so that a
 * burst of completions costs one system call and not one each.
 *
 * Workers that lack memory sleep on `freed`, with `memory_wanted` as their flag; it stays up when
 * one has given up, so that `short_since_ns` says whether anything came back since.
 *
 * A process may die after it has taken a bit or the flag, and before the wake-up. Then nobody else
 * will wake the sleeper: so the client wakes all of them when a process has died. */
#include "ipc/bell.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint64_t patience_ns = 60000000000u, little_patience_ns = 5000000000u;

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static long futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *until)
{
    return syscall(SYS_futex, word, op, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

static const struct timespec *timespec_of(uint64_t deadline_ns, struct timespec *buf)
{
    if (deadline_ns == UINT64_MAX)
        return NULL;
    buf->tv_sec = (time_t)(deadline_ns / 1000000000u);
    buf->tv_nsec = (long)(deadline_ns % 1000000000u);
    return buf;
}

/* Take the worker's bit. True: it was set, so the caller is the one to wake it. */
static bool unpark(struct lithops__control *control, uint32_t slot)
{
    uint64_t bit = 1ull << slot % 64;
    return atomic_fetch_and(&control->parked[slot / 64], ~bit) & bit;
}

static uint32_t parked_words(const struct lithops__control *control)
{
    return (control->max_workers + 63) / 64;
}

bool lithops__bell_anyone_parked(const struct lithops__control *control)
{
    for (uint32_t i = 0; i < parked_words(control); i++)
        if (atomic_load(&control->parked[i]))
            return true;
    return false;
}

static void wake(struct lithops__control *control, struct lithops__worker *worker)
{
    uint64_t one = 1;
    atomic_store(&worker->parked, 0);
    if (control->wake_fd && control->client_pid == getpid())
        (void)!write(control->wake_fd, &one, sizeof one);
    else
        futex(&worker->parked, FUTEX_WAKE, 1, NULL);
}

void lithops__bell_wake_one(struct lithops__control *control)
{
    for (uint32_t i = 0; i < parked_words(control); i++) {
        uint64_t bits;
        while ((bits = atomic_load(&control->parked[i])) != 0) {
            uint32_t slot = i * 64 + (uint32_t)__builtin_ctzll(bits);
            if (unpark(control, slot)) {
                wake(control, &control->workers[slot]);
                return;
            }
        }
    }
}

void lithops__bell_ring(struct lithops__control *control)
{
    atomic_fetch_add(&control->doorbell, 1); /* a full fence too */
    if (atomic_load(&control->spinner) == 0)
        lithops__bell_wake_one(control);
}

bool lithops__bell_park(struct lithops__control *control, uint32_t slot, uint32_t doorbell,
                        uint64_t deadline_ns)
{
    struct lithops__worker *worker = &control->workers[slot];
    struct timespec until;
    bool in_time = true;
    atomic_store(&worker->parked, 1);
    atomic_fetch_or(&control->parked[slot / 64], 1ull << slot % 64);
    if (atomic_load(&control->doorbell) == doorbell && !atomic_load(&control->shutdown))
        while (in_time && atomic_load(&worker->parked))
            in_time = futex(&worker->parked, FUTEX_WAIT_BITSET, 1,
                            timespec_of(deadline_ns, &until)) == 0 ||
                      errno != ETIMEDOUT;
    (void)unpark(control, slot);
    return in_time;
}

bool lithops__bell_announce(struct lithops__control *control, uint32_t slot, uint32_t doorbell)
{
    atomic_store(&control->workers[slot].parked, 1);
    atomic_fetch_or(&control->parked[slot / 64], 1ull << slot % 64);
    return atomic_load(&control->doorbell) == doorbell;
}

void lithops__bell_retract(struct lithops__control *control, uint32_t slot)
{
    (void)unpark(control, slot);
    atomic_store(&control->workers[slot].parked, 0);
}

bool lithops__bell_start_spinning(struct lithops__control *control, uint32_t slot)
{
    uint32_t nobody = 0;
    return control->spin_ticks &&
           atomic_compare_exchange_strong(&control->spinner, &nobody, slot + 1);
}

void lithops__bell_stop_spinning(struct lithops__control *control)
{
    atomic_store(&control->spinner, 0);
}

void lithops__bell_forget(struct lithops__control *control, uint32_t slot)
{
    uint32_t spinner = slot + 1;
    atomic_compare_exchange_strong(&control->spinner, &spinner, 0);
    (void)unpark(control, slot);
    atomic_store(&control->workers[slot].parked, 0);
}

static void wake_waiters(struct lithops__control *control)
{
    atomic_fetch_add(&control->landed, 1);
    futex(&control->landed, FUTEX_WAKE, INT_MAX, NULL);
}

void lithops__bell_landed(struct lithops__control *control)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&control->waiting) && atomic_exchange(&control->waiting, 0))
        wake_waiters(control);
}

static void wake_memory(struct lithops__control *control)
{
    uint64_t one = 1;
    atomic_fetch_add(&control->freed, 1);
    if (control->wake_fd && control->client_pid == getpid())
        (void)!write(control->wake_fd, &one, sizeof one);
    futex(&control->freed, FUTEX_WAKE, INT_MAX, NULL);
}

void lithops__bell_wake_everyone(struct lithops__control *control)
{
    atomic_fetch_add(&control->doorbell, 1);
    for (uint32_t slot = 0; slot < control->max_workers; slot++) {
        (void)unpark(control, slot);
        if (atomic_load(&control->workers[slot].pid)) /* `parked` may be 0, and it sleeps */
            wake(control, &control->workers[slot]);
    }
    wake_waiters(control);
    wake_memory(control);
}

uint32_t lithops__bell_prepare(struct lithops__control *control)
{
    uint32_t seen = atomic_load(&control->landed);
    atomic_store(&control->waiting, 1);
    atomic_thread_fence(memory_order_seq_cst); /* before the caller looks at states */
    return seen;
}

void lithops__bell_wait(struct lithops__control *control, uint32_t seen, uint64_t deadline_ns)
{
    struct timespec until;
    futex(&control->landed, FUTEX_WAIT_BITSET, seen, timespec_of(deadline_ns, &until));
}

/* ---- memory ---------------------------------------------------------------------------------- */

void lithops__bell_wake_for_memory(struct lithops__control *control)
{
    if (!atomic_exchange(&control->memory_wanted, 0))
        return;
    atomic_store(&control->short_since_ns, 0);
    wake_memory(control);
}

uint32_t lithops__bell_want_memory(struct lithops__control *control)
{
    uint32_t seen = atomic_load(&control->freed);
    uint64_t enough = 0;
    atomic_compare_exchange_strong(&control->short_since_ns, &enough, lithops__now_ns());
    atomic_store(&control->memory_wanted, 1);
    atomic_thread_fence(memory_order_seq_cst); /* before the caller looks for memory */
    return seen;
}

void lithops__bell_await_memory(struct lithops__control *control, uint32_t seen,
                                uint64_t deadline_ns)
{
    struct timespec until;
    futex(&control->freed, FUTEX_WAIT_BITSET, seen, timespec_of(deadline_ns, &until));
}

void lithops__bell_got_memory(struct lithops__control *control)
{
    atomic_store(&control->short_since_ns, 0);
}

uint64_t lithops__bell_patience_until(const struct lithops__control *control, bool little,
                                      uint64_t now_ns)
{
    uint64_t since_ns = atomic_load(&control->short_since_ns);
    return (since_ns ? since_ns : now_ns) + (little ? little_patience_ns : patience_ns);
}

/* ---- several areas --------------------------------------------------------------------------- */

/* struct futex_waitv of Linux 5.16, which older headers lack. */
struct wait_item {
    uint64_t value, address;
    uint32_t flags, reserved;
};
enum { WAIT_32_BITS = 2, WAIT_AT_MOST = 128 };

void lithops__bell_wait_many(struct lithops__control *const *controls, const uint32_t *seen,
                             size_t count, uint64_t deadline_ns)
{
    if (count == 1) {
        lithops__bell_wait(controls[0], seen[0], deadline_ns);
        return;
    }
    struct wait_item items[WAIT_AT_MOST];
    for (size_t i = 0; i < count && i < WAIT_AT_MOST; i++)
        items[i] = (struct wait_item){seen[i], (uintptr_t)&controls[i]->landed, WAIT_32_BITS, 0};
    /* Without the system call, or with too many areas for it, look again every 5 ms. */
    uint64_t soon = lithops__now_ns() + 5000000;
    uint64_t until_ns = count > WAIT_AT_MOST && soon < deadline_ns ? soon : deadline_ns;
    struct timespec until;
    size_t waited = count < WAIT_AT_MOST ? count : WAIT_AT_MOST;
    if (syscall(SYS_futex_waitv, items, (unsigned)waited, 0, timespec_of(until_ns, &until),
                CLOCK_MONOTONIC) < 0 &&
        errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT)
        lithops__bell_wait(controls[0], seen[0], soon < deadline_ns ? soon : deadline_ns);
}
