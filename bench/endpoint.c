/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP endpoint that takes a given time for each answer, and little of the CPU, for rows that
 * measure those who invoke functions: endpoint LATENCY_US COMMAND...
 *
 * The command gets its URL as LITHOPS_BENCH_ENDPOINT. A request needs a Content-Length; the answer
 * is 202 and {"activationId": "ECHO", "sent": NS}, where ECHO is the first 16 bytes of the
 * request's body, or what stands there behind "echo":", and NS the time by CLOCK_MONOTONIC. GET is
 * denied (403): who asks what there is goes on unseen.
 * Connections are kept. Without a latency it spins, or clients would pay for waking it, as for none
 * that is elsewhere. It ends with the command, with its status. */
#include "serve.h"

enum { ECHO = 16 };

struct answer {
    uint64_t at_ns, number;
    int fd;
    bool is_denied;
    char echo[ECHO + 1];
};

static struct answer *answers; /* a ring, in the order in which they are due */
static size_t first, last, room = 1 << 17;
static uint64_t latency_ns;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void send_answer(const struct answer *answer)
{
    char body[96], text[256];
    int len = snprintf(body, sizeof body, "{\"activationId\": \"%s\", \"sent\": %llu}",
                       answer->echo, (unsigned long long)now_ns());
    len = snprintf(text, sizeof text,
                   "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   answer->is_denied ? "403 Forbidden" : "202 Accepted", len, body);
    const struct serve_connection *c = serve_connections[answer->fd];
    if (c && c->number == answer->number)
        serve_send(answer->fd, text, (size_t)len);
}

static void take(int fd, const struct serve_request *request)
{
    const struct serve_connection *c = serve_connections[fd];
    struct answer answer = {.at_ns = now_ns() + latency_ns,
                            .number = c->number,
                            .fd = fd,
                            .is_denied = strncmp(c->in, "GET ", 4) == 0};
    const char *echo = strstr(request->body, "\"echo\":");
    echo = echo ? echo + 7 + strspn(echo + 7, " \"") : request->body;
    snprintf(answer.echo, sizeof answer.echo, "%.*s", ECHO, echo);
    if (latency_ns == 0)
        send_answer(&answer);
    else if (last - first < room)
        answers[last++ % room] = answer;
    else
        bench_die("too many requests at a time");
}

static void send_due(void)
{
    while (first < last && answers[first % room].at_ns <= now_ns())
        send_answer(&answers[first++ % room]);
}

static struct timespec time_to_wait(void)
{
    uint64_t now = now_ns(), at = first < last ? answers[first % room].at_ns : now + 1000000000;
    uint64_t left = at > now && latency_ns ? at - now : 0; /* see above */
    return (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
}

int main(int argc, char **argv)
{
    const struct server server = {take, send_due, time_to_wait};
    if (argc < 3)
        bench_die("usage: endpoint LATENCY_US COMMAND...");
    latency_ns = strtoul(argv[1], NULL, 10) * 1000;
    answers = calloc(room, sizeof *answers);
    return serve(&server, "LITHOPS_BENCH_ENDPOINT", argv + 2);
}
