/* SPDX-License-Identifier: Apache-2.0 */
/* The registry, for this folder: near names beside what function.h offers. */
#ifndef LITHOPS_FUNCTION_REGISTRY_H
#define LITHOPS_FUNCTION_REGISTRY_H

#include "function/function.h"

/* lithops__near_text() over the functions of the program. */
const char *lithops__function_near_text(const char *name, char *buf, size_t size);

#endif
