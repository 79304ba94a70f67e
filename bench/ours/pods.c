/* SPDX-License-Identifier: Apache-2.0 */
/* A job whose calls all run at once, each in a pod of its own: each connects to this program, which
 * lets them go when it has heard of the last one. For bench/kubernetes; the configuration is in
 * LITHOPS_CONFIG_FILE.
 *
 *     pods CALLS    seconds from the map to the last outcome, and to the last call's beginning */
#include "ours/ours.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback(int64_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

LITHOPS_FUNCTION(meet)
{
    struct sockaddr_in address = loopback(lithops_call_int(call));
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_met = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                  read(fd, &byte, 1) == 0;
    if (fd >= 0)
        close(fd);
    return is_met ? lithops_return_int(call, 1) : LITHOPS_EIO;
}

int main(int argc, char **argv)
{
    lithops_init(&argc, &argv);
    int calls = argc == 2 ? atoi(argv[1]) : 0;
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int *met = calloc((size_t)(calls > 0 ? calls : 1), sizeof *met);
    int64_t *ports = calloc((size_t)(calls > 0 ? calls : 1), sizeof *ports);
    if (calls < 1 || !met || !ports || listener < 0 ||
        bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, calls) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        bench_die("usage: pods CALLS");
    for (int i = 0; i < calls; i++)
        ports[i] = ntohs(address.sin_port);
    lithops_executor *fexec = ours_have(lithops_executor_open(NULL, &ours_error));
    double begin = bench_now();
    lithops_futures *fs =
        ours_have(lithops_map(fexec, meet, lithops_ints(ports, (size_t)calls), NULL, &ours_error));
    for (int i = 0; i < calls; i++)
        if ((met[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
            bench_die("a call does not come");
    bench_report("last_begun", bench_now() - begin);
    for (int i = 0; i < calls; i++)
        close(met[i]);
    ours_check(lithops_wait(fexec, fs, NULL, NULL, NULL, &ours_error));
    bench_report("seconds", bench_now() - begin);
    if (lithops_futures_done(fs) != (size_t)calls)
        bench_die("not all calls are done");
    lithops_futures_unref(fs);
    lithops_executor_close(fexec);
    close(listener);
    free(met);
    free(ports);
    return 0;
}
