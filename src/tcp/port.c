/* SPDX-License-Identifier: Apache-2.0 */
/* Where to listen, and what to tell workers.
 *
 * By default they are told all addresses of this machine that another one might reach, and try them
 * at the same time: which of several networks leads from a node to the client no rule here would
 * know better, and the handshake tells the client from a stranger who has that address there. */
#include "tcp/port.h"

#include "base/error.h"
#include "ipc/area.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 512, MOST_ADDRESSES = 16 };

struct range {
    unsigned first, last; /* 0: the system chooses */
};

static int read_ports(const lithops_value *value, const char *section, struct range *ret,
                      lithops_error *err)
{
    char text[32] = "0", *end = text;
    if (value && lithops_value_type(value) == LITHOPS_INT)
        snprintf(text, sizeof text, "%lld", (long long)lithops_value_get_int(value));
    else if (value && lithops_value_type(value) == LITHOPS_STRING)
        snprintf(text, sizeof text, "%s", lithops_value_get_string(value));
    else if (value && lithops_value_type(value) != LITHOPS_NULL)
        text[0] = '\0';
    unsigned long first = strtoul(text, &end, 10), last = first;
    bool is_right = end != text && text[0] != '-';
    if (is_right && *end == '-')
        last = strtoul(end + 1, &end, 10);
    if (!is_right || *end || first > last || last > 65535 || (first == 0 && last > 0))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.tcp_port must be a port, a range such as \"60000-60100\", or 0: "
                             "the system chooses one",
                             section);
    *ret = (struct range){(unsigned)first, (unsigned)last};
    return 0;
}

/* Without the brackets of a v6 one. False: it is none of use to others. */
static bool write_address(const struct sockaddr *address, char *buf, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    if (address->sa_family == AF_INET && inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text)) {
        snprintf(buf, size, "%s", text);
        return true;
    }
    if (address->sa_family != AF_INET6 || IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) ||
        !inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text))
        return false;
    snprintf(buf, size, "%s", text);
    return true;
}

static size_t add_address(char where[LITHOPS__TCP_WHERE], size_t len, const char *address,
                          unsigned port)
{
    const char *format = strchr(address, ':') ? "%s[%.255s]:%u" : "%s%.255s:%u";
    int n = snprintf(where + len, LITHOPS__TCP_WHERE - len, format, len ? "," : "", address, port);
    return len + (size_t)n;
}

/* All of this machine that others may reach; else the one that only itself does. */
static void tell_all(unsigned port, char where[LITHOPS__TCP_WHERE])
{
    struct ifaddrs *all = NULL;
    size_t len = 0, count = 0;
    if (getifaddrs(&all) != 0)
        all = NULL;
    for (const struct ifaddrs *at = all; at && count < MOST_ADDRESSES; at = at->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        if (!at->ifa_addr || !(at->ifa_flags & IFF_UP) || at->ifa_flags & IFF_LOOPBACK ||
            !write_address(at->ifa_addr, text, sizeof text))
            continue;
        len = add_address(where, len, text, port);
        count++;
    }
    if (all)
        freeifaddrs(all);
    if (count == 0)
        (void)add_address(where, 0, "127.0.0.1", port);
}

/* The first one of an interface. False: it has none. */
static bool find_address(const char *interface, char *buf, size_t size)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) != 0)
        return false;
    for (const struct ifaddrs *at = all; at && !found; at = at->ifa_next)
        found = at->ifa_addr && strcmp(at->ifa_name, interface) == 0 &&
                write_address(at->ifa_addr, buf, size);
    freeifaddrs(all);
    return found;
}

/* Both kinds of addresses where there are both. */
static int open_socket(int family)
{
    static const int off = 0, on = 1;
    int fd = lithops__high_fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    return fd;
}

/* 0, or an errno */
static int bind_to(int fd, const char *literal, int family, unsigned port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (literal)
        (void)inet_pton(family, literal,
                        family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr);
    int rc = family == AF_INET ? bind(fd, (const struct sockaddr *)&v4, sizeof v4)
                               : bind(fd, (const struct sockaddr *)&v6, sizeof v6);
    return rc == 0 && listen(fd, BACKLOG) == 0 ? 0 : errno;
}

/* @return an errno */
static int listen_at(const char *literal, int family, const struct range *ports, int *ret_fd)
{
    int failed = EADDRINUSE;
    for (unsigned port = ports->first; port <= ports->last && failed == EADDRINUSE; port++) {
        int fd = open_socket(family);
        failed = fd < 0 ? errno : bind_to(fd, literal, family, port);
        if (failed == 0)
            *ret_fd = fd;
        else if (fd >= 0)
            close(fd);
    }
    return failed;
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    (void)getsockname(fd, (struct sockaddr *)&address, &size);
    return ntohs(address.ss_family == AF_INET
                     ? ((const struct sockaddr_in *)(const void *)&address)->sin_port
                     : ((const struct sockaddr_in6 *)(const void *)&address)->sin6_port);
}

static int family_of(const char *address)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, address, bytes)    ? AF_INET
           : inet_pton(AF_INET6, address, bytes) ? AF_INET6
                                                 : 0;
}

/* The key tcp_address: NULL, or an address, or a name that workers look up. */
static int read_address(const lithops_value *settings, const char *section, char *buf, size_t size,
                        const char **ret_address, lithops_error *err)
{
    const char *address = lithops_value_get_string(lithops_value_get(settings, "tcp_address"));
    *ret_address = address;
    if (!address)
        return 0;
    if (!address[0] || strlen(address) > 255 || strpbrk(address, ", \t\n'"))
        return lithops__fail(err, LITHOPS_ECONFIG,
                             "%s.tcp_address must be an interface, an address or a name of this "
                             "machine",
                             section);
    if (if_nametoindex(address) == 0)
        return 0;
    *ret_address = buf;
    return find_address(address, buf, size)
               ? 0
               : lithops__fail(err, LITHOPS_ECONFIG,
                               "the interface '%s' of %s.tcp_address has no address: 'ip address' "
                               "shows which have one",
                               address, section);
}

int lithops__tcplink_listen(const lithops_value *settings, const char *section, int *ret_fd,
                            char where[LITHOPS__TCP_WHERE], lithops_error *err)
{
    const char *address;
    char found[INET6_ADDRSTRLEN];
    struct range ports;
    int rc = read_ports(lithops_value_get(settings, "tcp_port"), section, &ports, err);
    if (rc == 0)
        rc = read_address(settings, section, found, sizeof found, &address, err);
    if (rc != 0)
        return rc;
    int family = address ? family_of(address) : 0, failed = EADDRNOTAVAIL;
    if (family) /* if it is none of this machine, another one passes on what comes there */
        failed = listen_at(address, family, &ports, ret_fd);
    if (failed == EADDRNOTAVAIL)
        failed = listen_at(NULL, AF_INET6, &ports, ret_fd);
    if (failed == EAFNOSUPPORT || failed == EADDRNOTAVAIL)
        failed = listen_at(NULL, AF_INET, &ports, ret_fd);
    if (failed) {
        lithops__fail_errno(err, failed,
                            "cannot listen for workers on port %u: set %s.tcp_port to another one, "
                            "or to a range",
                            ports.first, section);
        return err->code = LITHOPS_EBACKEND;
    }
    if (address)
        (void)add_address(where, 0, address, port_of(*ret_fd));
    else
        tell_all(port_of(*ret_fd), where);
    return 0;
}
