/* SPDX-License-Identifier: Apache-2.0 */
/* Cyclic redundancy checks, as object stores keep them. Thread-safe. */
#ifndef LITHOPS_BASE_CRC_H
#define LITHOPS_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

enum lithops__crc {
    LITHOPS__CRC32,     /* of zip and Ethernet */
    LITHOPS__CRC32C,    /* Castagnoli's */
    LITHOPS__CRC64NVME, /* of NVM Express; the one that S3 computes by itself */
    LITHOPS__CRC_COUNT,
};

/* Go on with `crc`, that of the bytes before; 0: there are none. */
uint64_t lithops__crc_add(enum lithops__crc kind, uint64_t crc, const void *data, size_t len);

#endif
