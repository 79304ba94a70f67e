/* SPDX-License-Identifier: Apache-2.0 */
/* When taking back is due again: by rests that end and activations that grow old. */
#include "base/clock.h"
#include "relay/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Two ready links with a process each, of which the second has as many calls as it takes. */
struct pair {
    struct lithops__relay relay;
    struct lithops__link links[2];
    struct lithops__activation activation;
};

static void make(struct pair *pair)
{
    *pair = (struct pair){.activation = {.count = 0}};
    for (int i = 0; i < 2; i++)
        pair->links[i] = (struct lithops__link){.relay = &pair->relay,
                                                .state = LITHOPS__LINK_READY,
                                                .name = "one",
                                                .processes = 1,
                                                .granted = 2,
                                                .sent = i ? 2 : 0,
                                                .in_flight = i ? 2 : 0};
    pair->links[1].activations = &pair->activation;
    pair->links[1].capacity = 1;
    pair->relay.links = pair->links;
    pair->relay.link_count = 2;
}

/* Nothing else wakes the relay for it. */
static void a_rest_has_an_end(void **state)
{
    (void)state;
    struct pair pair;
    make(&pair);
    lithops__link_rest(&pair.links[0]);
    assert_true(pair.links[0].rest_until_ns > 0);
    assert_true(lithops__relay_take_back(&pair.relay) == pair.links[0].rest_until_ns);
}

static void without_a_rest_nothing_is_due(void **state)
{
    (void)state;
    struct pair pair;
    make(&pair);
    assert_true(lithops__relay_take_back(&pair.relay) == UINT64_MAX);
    lithops__link_rest(&pair.links[0]);
    pair.links[0].rest_until_ns = 1; /* over */
    assert_true(lithops__relay_take_back(&pair.relay) == UINT64_MAX);
    lithops__link_rest(&pair.links[0]);
    pair.links[0].state = LITHOPS__LINK_DOWN;
    assert_true(lithops__relay_take_back(&pair.relay) == UINT64_MAX);
}

static void young_activations_are_due_before_a_rest(void **state)
{
    (void)state;
    struct pair pair;
    make(&pair);
    struct lithops__link third = pair.links[0], links[3] = {pair.links[0], pair.links[1], third};
    pair.relay.links = links;
    pair.relay.link_count = 3;
    lithops__link_rest(&links[2]);
    links[2].rest_until_ns = UINT64_MAX - 1;
    pair.activation.in_use = true;
    pair.activation.sent_ns = lithops__now_ns() + 1000000000000u; /* young for long enough */
    uint64_t due = lithops__relay_take_back(&pair.relay);
    assert_true(due > pair.activation.sent_ns && due < UINT64_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rest_has_an_end),
        cmocka_unit_test(without_a_rest_nothing_is_due),
        cmocka_unit_test(young_activations_are_due_before_a_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
