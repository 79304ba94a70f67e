/* SPDX-License-Identifier: Apache-2.0 */
/* Files of /proc and /sys, which are read often, some of them by every program as it starts. */
#ifndef LITHOPS_BASE_READ_TEXT_H
#define LITHOPS_BASE_READ_TEXT_H

#include <sys/types.h>

/* Read a file, up to size - 1 bytes of it, NUL-terminated. Not through a FILE, which takes memory
 * and asks for the file's size. Thread-safe.
 * @return how many bytes; -1: it cannot be opened, and the text is empty */
ssize_t lithops__read_text(const char *path, char *buf, size_t size);

#endif
