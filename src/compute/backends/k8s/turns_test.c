/* SPDX-License-Identifier: Apache-2.0 */
/* Turns: how many at a time, in which order, and what becomes of who waits. */
#include "base/error.h"
#include "compute/backends/k8s/k8s.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { COUNT = 40, TURNS = 3 };

static struct lithops__k8s_turns *turns;
static _Atomic unsigned asking, under_way, most, had;

struct one {
    pthread_t thread;
    int cancel_fd, rc;
    lithops_error err;
};

static void *make(void *user)
{
    struct one *one = user;
    atomic_fetch_add(&asking, 1);
    one->rc = lithops__k8s_turns_take(turns, one->cancel_fd, &one->err);
    if (one->rc != 0)
        return NULL;
    unsigned now = atomic_fetch_add(&under_way, 1) + 1, seen = atomic_load(&most);
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
        ;
    usleep(1000);
    atomic_fetch_sub(&under_way, 1);
    atomic_fetch_add(&had, 1);
    lithops__k8s_turns_end(turns, NULL);
    return NULL;
}

static void begin(struct one *one)
{
    *one = (struct one){.cancel_fd = eventfd(0, EFD_CLOEXEC), .err = LITHOPS_ERROR_INIT};
    assert_true(one->cancel_fd >= 0);
    assert_int_equal(pthread_create(&one->thread, NULL, make, one), 0);
}

static void end(struct one *one)
{
    pthread_join(one->thread, NULL);
    close(one->cancel_fd);
}

static void open_turns(unsigned count)
{
    lithops_error err = LITHOPS_ERROR_INIT;
    atomic_store(&asking, 0);
    atomic_store(&had, 0);
    atomic_store(&most, 0);
    assert_int_equal(lithops__k8s_turns_new(count, &turns, &err), 0);
}

static void all_have_one(void **state)
{
    (void)state;
    struct one all[COUNT];
    open_turns(TURNS);
    for (size_t i = 0; i < COUNT; i++)
        begin(&all[i]);
    for (size_t i = 0; i < COUNT; i++) {
        end(&all[i]);
        assert_int_equal(all[i].rc, 0);
    }
    assert_int_equal(atomic_load(&had), COUNT);
    assert_in_range(atomic_load(&most), 1, TURNS);
    lithops__k8s_turns_free(turns);
}

/* Those who wait are told of a failure, whoever comes later is not. */
static void failures_are_told(void **state)
{
    (void)state;
    struct one all[COUNT], later;
    lithops_error err = LITHOPS_ERROR_INIT, why = LITHOPS_ERROR_INIT;
    int never = eventfd(0, EFD_CLOEXEC);
    open_turns(1);
    assert_int_equal(lithops__k8s_turns_take(turns, never, &err), 0);
    for (size_t i = 0; i < COUNT; i++)
        begin(&all[i]);
    while (atomic_load(&asking) < COUNT) /* the last of them may not wait yet, but others do */
        sched_yield();
    lithops__fail(&why, LITHOPS_EDENIED, "exceeded quota");
    lithops__k8s_turns_end(turns, &why);
    unsigned told = 0;
    for (size_t i = 0; i < COUNT; i++) {
        end(&all[i]);
        told += all[i].rc != 0;
        assert_true(all[i].rc == 0 || (all[i].rc == LITHOPS_EDENIED &&
                                       strcmp(all[i].err.message, "exceeded quota") == 0));
    }
    assert_int_equal(told + atomic_load(&had), COUNT);
    assert_true(told > 0);
    begin(&later);
    end(&later);
    assert_int_equal(later.rc, 0);
    close(never);
    lithops__k8s_turns_free(turns);
}

/* Each second one gives up; the others have their turns all the same. */
static void some_give_up(void **state)
{
    (void)state;
    struct one all[COUNT];
    lithops_error err = LITHOPS_ERROR_INIT;
    int never = eventfd(0, EFD_CLOEXEC);
    open_turns(1);
    assert_int_equal(lithops__k8s_turns_take(turns, never, &err), 0);
    for (size_t i = 0; i < COUNT; i++)
        begin(&all[i]);
    for (size_t i = 0; i < COUNT; i += 2)
        assert_int_equal(eventfd_write(all[i].cancel_fd, 1), 0);
    for (size_t i = 0; i < COUNT; i += 2) { /* though the turn is not free */
        end(&all[i]);
        assert_int_equal(all[i].rc, LITHOPS_ECANCELED);
    }
    lithops__k8s_turns_end(turns, NULL);
    for (size_t i = 1; i < COUNT; i += 2) {
        end(&all[i]);
        assert_int_equal(all[i].rc, 0);
    }
    assert_int_equal(atomic_load(&had), COUNT / 2);
    assert_int_equal(atomic_load(&most), 1);
    close(never);
    lithops__k8s_turns_free(turns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_have_one),
        cmocka_unit_test(failures_are_told),
        cmocka_unit_test(some_give_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
