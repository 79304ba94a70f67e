/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/fn.h"

#include "base/error.h"
#include "ipc/area.h"
#include "net/date.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int lithops__fn_path(const char **ret_path, lithops_error *err)
{
    static const char prefix[] = "unix:";
    const char *listener = getenv("FN_LISTENER"), *format = getenv("FN_FORMAT");
    if (format && *format && strcmp(format, "http-stream") != 0)
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "FN_FORMAT in the environment is '%s', not http-stream", format);
    if (!listener || strncmp(listener, prefix, sizeof prefix - 1) != 0 ||
        listener[sizeof prefix - 1] != '/')
        return lithops__fail(err, LITHOPS_EUSAGE,
                             "lithops worker --fn is for containers of Fn, which have FN_LISTENER "
                             "in their environment, as in unix:/tmp/iofs/lsnr.sock");
    *ret_path = listener + sizeof prefix - 1;
    return 0;
}

/* It gets its name when it has its mode and listens. */
int lithops__fn_listen(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len = snprintf(address.sun_path, sizeof address.sun_path, "%s~", path), failed = 0;
    if (len < 0 || (size_t)len >= sizeof address.sun_path)
        return ENAMETOOLONG;
    int fd = lithops__high_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd < 0)
        return errno;
    (void)unlink(address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        failed = errno;
    else if (chmod(address.sun_path, 0666) != 0 || listen(fd, 128) != 0 ||
             rename(address.sun_path, path) != 0) {
        failed = errno;
        (void)unlink(address.sun_path);
    }
    if (failed)
        close(fd);
    else
        *ret_fd = fd;
    return failed;
}

int lithops__fn_call_read(lithops_bytes body, const char *deadline,
                          struct lithops__whisk_run *ret_run, lithops_error *err)
{
    lithops_value *value = lithops_value_from_json(body.ptr, body.len, NULL);
    double at = deadline ? lithops__iso_date(deadline) : 0;
    struct timespec now;
    if (lithops_value_type(value) != LITHOPS_MAP) {
        lithops_value_free(value);
        return lithops__fail(err, LITHOPS_EUSAGE, "the request is no JSON with a map");
    }
    clock_gettime(CLOCK_REALTIME, &now);
    *ret_run = (struct lithops__whisk_run){
        .value = value,
        .activation = lithops_value_get_string(lithops_value_get(value, "activation")),
        .sealed = lithops_value_get_bytes(lithops_value_get(value, "sealed")),
        .left_ms = at > 0 ? (int64_t)((at - (double)now.tv_sec) * 1000) - now.tv_nsec / 1000000
                          : INT64_MAX,
    };
    return 0;
}
