/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP requests that invoke functions, of one client: the thread of src/net/posts.c, as the
 * backends of services use it, beside bench/endpoint.c.
 *
 *     invoke rate IN_FLIGHT COUNT      seconds, CPU seconds of this process
 *     invoke lag ROUNDS                seconds from the sending of an answer to its being known
 *     invoke open COUNT                memory of this process for each request that is not answered
 */
#include "base/module.h"
#include "bench.h"
#include "net/http.h"
#include "processes.h"

#include <lithops/value.h>

#include <pthread.h>
#include <sys/resource.h>

enum { BODY = 512 };

struct invocation {
    struct lithops__post *post;
    long number;
};

static const struct lithops__posts_api *api;
static struct lithops__posts *posts;
static const char *endpoint;
static lithops_error error = LITHOPS_ERROR_INIT;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_are_done = PTHREAD_COND_INITIALIZER;
static long begun, done, wanted; /* of the thread of all requests, once that runs */

static void begin(struct invocation *i, long number, void (*when)(void *))
{
    char body[BODY];
    const char *headers[] = {"X-Lithops-Activation: 1 0 00000000000000000000000000000000", NULL};
    memset(body, 'x', sizeof body);
    snprintf(body, 17, "%016ld", number);
    const struct lithops__post_request request = {.url = endpoint,
                                                  .headers = headers,
                                                  .body = {body, sizeof body},
                                                  .wanted = "X-Lithops-Worker",
                                                  .changed = when,
                                                  .user = i};
    i->number = number;
    if (api->begin(posts, &request, &i->post, &error) != 0)
        bench_die(error.message);
}

/* @return when the answer was sent */
static double finish(struct invocation *i)
{
    char expected[64];
    struct lithops__post_state state;
    api->look(i->post, &state);
    api->end(i->post);
    snprintf(expected, sizeof expected, "\"activationId\": \"%016ld\"", i->number);
    const char *sent = strstr(state.text, "\"sent\": ");
    if (state.failure.code)
        bench_die(state.failure.message);
    if (state.status != 202 || !strstr(state.text, expected) || !sent)
        bench_die("a wrong answer");
    return strtod(sent + 8, NULL) / 1e9;
}

static double cpu_s(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* By the thread of all requests. */
static void changed(void *user)
{
    struct invocation *i = user;
    if (!api->is_over(i->post))
        return;
    (void)finish(i);
    if (begun < wanted)
        begin(i, begun++, changed);
    if (++done < wanted)
        return;
    pthread_mutex_lock(&lock);
    pthread_cond_signal(&all_are_done);
    pthread_mutex_unlock(&lock);
}

static void run(struct invocation *all, long in_flight, long count)
{
    pthread_mutex_lock(&lock);
    done = 0;
    wanted = count;
    begun = in_flight < count ? in_flight : count;
    for (long i = 0, first = begun; i < first; i++)
        begin(&all[i], i, changed);
    while (done < count)
        pthread_cond_wait(&all_are_done, &lock);
    pthread_mutex_unlock(&lock);
}

static void measure_rate(long in_flight, long count)
{
    struct invocation *all = calloc((size_t)in_flight, sizeof *all);
    run(all, in_flight, 2 * in_flight); /* connections are there */
    double cpu = cpu_s(), start = bench_now();
    run(all, in_flight, count);
    bench_report("seconds", bench_now() - start);
    bench_report("cpu", cpu_s() - cpu);
    free(all);
}

static void measure_lag(long rounds)
{
    double *lags = calloc((size_t)rounds, sizeof *lags);
    struct invocation one;
    for (long i = -1; i < rounds; i++) {
        begin(&one, i < 0 ? rounds : i, NULL);
        if (api->await(one.post, -1, UINT64_MAX, &error) != 0)
            bench_die(error.message);
        double known = bench_now(), sent;
        while (!api->is_over(one.post))
            bench_pause();
        sent = finish(&one);
        if (i >= 0)
            lags[i] = known - sent;
    }
    bench_report("seconds", bench_median(lags, (int)rounds));
    free(lags);
}

static double own_bytes(void)
{
    char text[4096];
    const char *pss =
        processes_read("self", "smaps_rollup", text, sizeof text) ? strstr(text, "\nPss:") : NULL;
    return pss ? strtod(pss + 5, NULL) * 1024 : 0;
}

/* The endpoint keeps them for so long that all have come before the first answer. */
static void measure_open(long count)
{
    struct invocation *all = calloc((size_t)count, sizeof *all);
    begin(&all[0], 0, NULL);
    if (api->await(all[0].post, -1, UINT64_MAX, &error) != 0)
        bench_die(error.message);
    (void)finish(&all[0]);
    double before = own_bytes();
    for (long i = 0; i < count; i++)
        begin(&all[i], i, NULL);
    bench_sleep_ms(2000);
    double after = own_bytes();
    for (long i = 0; i < count; i++) {
        if (i == 0 && api->is_over(all[i].post))
            bench_die("an answer came too early");
        if (api->await(all[i].post, -1, UINT64_MAX, &error) != 0)
            bench_die(error.message);
        while (!api->is_over(all[i].post))
            bench_sleep_ms(1);
        (void)finish(&all[i]);
    }
    bench_report("bytes", (after - before) / (double)count);
    free(all);
}

int main(int argc, char **argv)
{
    const struct lithops__http_api *http = lithops__module_symbol("http", "lithops__http", &error);
    endpoint = getenv("LITHOPS_BENCH_ENDPOINT");
    if (!http)
        bench_die(error.message);
    if (!endpoint || argc < 3)
        bench_die(
            "usage: endpoint LATENCY_US invoke rate IN_FLIGHT COUNT | lag ROUNDS | open COUNT");
    api = &http->posts;
    if (api->open(&posts, &error) != 0)
        bench_die(error.message);
    if (strcmp(argv[1], "rate") == 0)
        measure_rate(bench_argument(argc, argv, 2, 64), bench_argument(argc, argv, 3, 10000));
    else if (strcmp(argv[1], "open") == 0)
        measure_open(bench_argument(argc, argv, 2, 1000));
    else
        measure_lag(bench_argument(argc, argv, 2, 100));
    api->close(posts);
    return 0;
}
