/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of a function that does only the protocol: it asks for its first event. Linked
 * statically; it parses nothing, and would run nothing. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API"), *colon = api ? strrchr(api, ':') : NULL;
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64], request[256];
    if (!colon)
        return 1;
    snprintf(host, sizeof host, "%.*s", (int)(colon - api), api);
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return 1;
    int len = snprintf(request, sizeof request,
                       "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n", api);
    if (write(fd, request, (size_t)len) != len)
        return 1;
    return read(fd, request, sizeof request) > 0 ? 0 : 1;
}
