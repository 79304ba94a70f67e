/* SPDX-License-Identifier: Apache-2.0 */
/* The small objects of objects.h, in memory, over HTTP: smalls COMMAND...
 *
 * For rows that measure clients: a file and its name cost a real server more than such a request
 * costs a client. What is put can be got, with a range or without; signatures are not checked. The
 * command gets LITHOPS_TEST_S3_ENDPOINT, ..._ACCESS_KEY and ..._SECRET_KEY, as from with-files. It
 * ends with the command, with its status. */
#include "objects.h"
#include "serve.h"

static char objects[OBJECTS_KEYS][OBJECTS_SMALL];
static size_t lengths[OBJECTS_KEYS];

static void put(int fd, long number, const struct serve_request *request)
{
    static const char good[] = "HTTP/1.1 200 OK\r\nETag: \"small\"\r\nContent-Length: 0\r\n\r\n";
    if (request->body_len > OBJECTS_SMALL)
        bench_die("an object is too large");
    memcpy(objects[number], request->body, request->body_len);
    lengths[number] = request->body_len;
    serve_send(fd, good, sizeof good - 1);
}

/* A range, if there is one, is the whole object. */
static void get(int fd, long number, bool is_range)
{
    char answer[512 + OBJECTS_SMALL], range[80] = "";
    size_t len = lengths[number];
    if (is_range)
        snprintf(range, sizeof range, "Content-Range: bytes 0-%zu/%zu\r\n", len - 1, len);
    int head = snprintf(answer, 512,
                        "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\n"
                        "Content-Length: %zu\r\nETag: \"small\"\r\n%s\r\n",
                        is_range ? "206 Partial Content" : "200 OK", len, range);
    memcpy(answer + head, objects[number], len);
    serve_send(fd, answer, (size_t)head + len);
}

static void take(int fd, const struct serve_request *request)
{
    static const char none[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    const char *text = serve_connections[fd]->in, *range = strcasestr(text, "\r\nrange: bytes=0-");
    char method[8] = "";
    long number = -1;
    if (sscanf(text, "%7s /bench/small/%ld ", method, &number) != 2 || number < 0 ||
        number >= OBJECTS_KEYS)
        serve_send(fd, none, sizeof none - 1);
    else if (strcmp(method, "PUT") == 0)
        put(fd, number, request);
    else if (strcmp(method, "GET") == 0 && lengths[number])
        get(fd, number, range && range < request->body);
    else
        serve_send(fd, none, sizeof none - 1);
}

int main(int argc, char **argv)
{
    const struct server server = {.take = take};
    if (argc < 2)
        bench_die("usage: smalls COMMAND...");
    setenv("LITHOPS_TEST_S3_ACCESS_KEY", "key", 1);
    setenv("LITHOPS_TEST_S3_SECRET_KEY", "secret", 1);
    return serve(&server, "LITHOPS_TEST_S3_ENDPOINT", argv + 1);
}
