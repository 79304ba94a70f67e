/* SPDX-License-Identifier: Apache-2.0 */
/* The least work for an upload by parts over http: the SHA-256 of each part, which its signature
 * needs, and the part itself, sent by the kernel from the page cache. No signature, no status but
 * "2xx", no retry.
 *
 *     parts FILE PART_MIB CONNECTIONS
 *
 * The server is that of LITHOPS_TEST_S3_ENDPOINT, an address and a port; parts/1 and so on of its
 * bucket "bench" are left there, read for their sum, and removed. */
#include "objects.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { PIECE = 256 << 10, HEAD = 8192, MAX_THREADS = 64 };

static const char *host;
static struct sockaddr_in server;
static int file;
static uint64_t size, part;
static _Atomic uint64_t next_part;

static int open_connection(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0)
        bench_die("the server does not listen");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* The answer's head, which must be good, and what has come behind it. @return its length */
static size_t receive_head(int fd, char head[HEAD], size_t *ret_len)
{
    size_t len = 0;
    const char *end = NULL;
    while (!end) {
        ssize_t got = recv(fd, head + len, HEAD - 1 - len, 0);
        if (got <= 0)
            bench_die("the connection has ended");
        len += (size_t)got;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    if (strncmp(head, "HTTP/1.1 2", 10) != 0)
        bench_die("a request has failed");
    *ret_len = len;
    return (size_t)(end + 4 - head);
}

static void ask(int fd, const char *method, uint64_t number, const char *hash, uint64_t len)
{
    char request[1024];
    int request_len =
        snprintf(request, sizeof request,
                 "%s /bench/parts/%llu HTTP/1.1\r\nHost: %s\r\n"
                 "x-amz-content-sha256: %s\r\nContent-Length: %llu\r\n\r\n",
                 method, (unsigned long long)number, host, hash, (unsigned long long)len);
    if (send(fd, request, (size_t)request_len, len ? MSG_MORE : 0) != request_len)
        bench_die("a request cannot be sent");
}

static void hash_part(uint64_t at, uint64_t len, unsigned char *piece, char ret_hex[65])
{
    unsigned char hash[32];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    for (uint64_t done = 0; done < len;) {
        ssize_t got = pread(file, piece, len - done < PIECE ? (size_t)(len - done) : PIECE,
                            (off_t)(at + done));
        if (got <= 0)
            bench_die("the file cannot be read");
        EVP_DigestUpdate(context, piece, (size_t)got);
        done += (uint64_t)got;
    }
    EVP_DigestFinal_ex(context, hash, NULL);
    EVP_MD_CTX_free(context);
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", hash[i]);
}

static void *run(void *user)
{
    unsigned char *piece = malloc(PIECE);
    char hash[65], head[HEAD];
    int fd = open_connection();
    (void)user;
    for (uint64_t at; (at = atomic_fetch_add(&next_part, part)) < size;) {
        uint64_t len = size - at < part ? size - at : part;
        size_t head_len;
        off_t from = (off_t)at;
        hash_part(at, len, piece, hash);
        ask(fd, "PUT", at / part + 1, hash, len);
        while (from < (off_t)(at + len))
            if (sendfile(fd, file, &from, (size_t)(at + len - (uint64_t)from)) <= 0)
                bench_die("a part cannot be sent");
        receive_head(fd, head, &head_len);
    }
    close(fd);
    free(piece);
    return NULL;
}

/* As ours/objects.c reads the parts, and removes them. */
static double sum_of_parts(void)
{
    char *data = malloc(HEAD + part), none[HEAD];
    double sum = 0;
    int fd = open_connection();
    for (uint64_t at = 0; at < size; at += part) {
        uint64_t len = size - at < part ? size - at : part;
        size_t got;
        ask(fd, "GET", at / part + 1, "", 0);
        size_t body = receive_head(fd, data, &got);
        while (got < body + len) {
            ssize_t more = recv(fd, data + got, body + len - got, 0);
            if (more <= 0)
                bench_die("the connection has ended");
            got += (size_t)more;
        }
        sum += objects_sum(data + body, len);
        ask(fd, "DELETE", at / part + 1, "", 0);
        receive_head(fd, none, &got);
    }
    close(fd);
    free(data);
    return sum;
}

int main(int argc, char **argv)
{
    const char *endpoint = getenv("LITHOPS_TEST_S3_ENDPOINT");
    char address[64];
    int port = 0;
    if (argc < 4 || !endpoint || sscanf(endpoint, "http://%63[0-9.]:%d", address, &port) != 2)
        bench_die("usage: parts FILE PART_MIB CONNECTIONS, and the endpoint");
    host = endpoint + 7;
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &server.sin_addr);
    struct stat status;
    file = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0)
        bench_die("the file cannot be opened");
    size = (uint64_t)status.st_size;
    part = (uint64_t)bench_argument(argc, argv, 2, 8) << 20;
    long threads = bench_argument(argc, argv, 3, 8);
    if (threads < 1 || threads > MAX_THREADS)
        bench_die("1 to 64 connections");
    pthread_t ids[MAX_THREADS];
    struct objects_time start = objects_start();
    for (long i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, run, NULL);
    for (long i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    objects_stop(start);
    bench_report("sum", sum_of_parts());
    return 0;
}
