/* SPDX-License-Identifier: Apache-2.0 */
/* Small objects by a bare loop over libcurl's multi interface: no signature, no retry.
 *
 *     multi get|put BUCKET COUNT IN_FLIGHT */
#include "objects.h"

#include <curl/curl.h>

enum { MAX_IN_FLIGHT = 256 };

static const char *endpoint, *bucket;
static bool puts_objects;
static CURLM *multi;

struct transfer {
    CURL *easy;
    long number;
    size_t len; /* of what has come, or is sent */
    char body[2 * OBJECTS_SMALL];
};

static size_t take(char *data, size_t one, size_t len, void *user)
{
    struct transfer *t = user;
    (void)one;
    if (puts_objects)
        return len;
    if (t->len + len > sizeof t->body)
        return 0;
    memcpy(t->body + t->len, data, len);
    t->len += len;
    return len;
}

static void begin(struct transfer *t, long number)
{
    char url[256], key[32];
    objects_small_key(number, key);
    snprintf(url, sizeof url, "%s/%s/%s", endpoint, bucket, key);
    t->number = number;
    t->len = puts_objects ? OBJECTS_SMALL : 0;
    if (puts_objects)
        objects_small(number, t->body);
    curl_easy_setopt(t->easy, CURLOPT_URL, url);
    if (curl_multi_add_handle(multi, t->easy) != CURLM_OK)
        bench_die("out of memory");
}

static void finish(const struct transfer *t, CURLcode result)
{
    char expected[OBJECTS_SMALL];
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result != CURLE_OK || status < 200 || status > 204)
        bench_die("a request has failed");
    objects_small(t->number, expected);
    if (t->len != OBJECTS_SMALL || memcmp(t->body, expected, OBJECTS_SMALL) != 0)
        bench_die("a small object is wrong");
    curl_multi_remove_handle(multi, t->easy);
}

static void run(struct transfer *all, long count, long in_flight)
{
    long begun = 0, done = 0;
    for (long i = 0; i < in_flight && begun < count; i++)
        begin(&all[i], begun++);
    while (done < count) {
        int running, left;
        CURLMsg *message;
        curl_multi_perform(multi, &running);
        while ((message = curl_multi_info_read(multi, &left))) {
            struct transfer *t;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
            finish(t, message->data.result);
            done++;
            if (begun < count)
                begin(t, begun++);
        }
        if (done < count)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
}

int main(int argc, char **argv)
{
    endpoint = getenv("LITHOPS_TEST_S3_ENDPOINT");
    long in_flight = bench_argument(argc, argv, 4, 64);
    if (argc < 5 || !endpoint || in_flight < 1 || in_flight > MAX_IN_FLIGHT)
        bench_die("usage: multi get|put BUCKET COUNT IN_FLIGHT, and the endpoint");
    puts_objects = strcmp(argv[1], "put") == 0;
    bucket = argv[2];
    struct transfer *all = calloc((size_t)in_flight, sizeof *all);
    struct curl_slist *headers =
        curl_slist_append(curl_slist_append(NULL, "Expect:"), "Content-Type:");
    multi = curl_multi_init();
    for (long i = 0; i < in_flight; i++) {
        CURL *easy = all[i].easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_PRIVATE, &all[i]);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &all[i]);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        if (puts_objects) {
            /* As a form: a body from a callback is sent by itself, after the head. */
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, all[i].body);
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)OBJECTS_SMALL);
            curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
        }
    }
    run(all, OBJECTS_KEYS, in_flight); /* connections are there, as in ours */
    struct objects_time start = objects_start();
    run(all, bench_argument(argc, argv, 3, 1000), in_flight);
    objects_stop(start);
    return 0;
}
