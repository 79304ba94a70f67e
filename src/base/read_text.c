/* SPDX-License-Identifier: Apache-2.0 */
#include "base/read_text.h"

#include <fcntl.h>
#include <unistd.h>

ssize_t lithops__read_text(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;
    while (fd >= 0 && len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
        len += (size_t)n;
    if (fd >= 0)
        close(fd);
    buf[len] = '\0';
    return fd >= 0 ? (ssize_t)len : -1;
}
