/* SPDX-License-Identifier: Apache-2.0 */
/* Lithops in C: run any function over any data, anywhere.
 *
 *     lithops_map(fexec, function, data)  ->  futures  ->  results
 *
 * This header is all that a program includes. See examples/ for whole programs. */
#ifndef LITHOPS_LITHOPS_H
#define LITHOPS_LITHOPS_H

#include <lithops/base.h>
#include <lithops/call.h>
#include <lithops/command.h>
#include <lithops/detached.h>
#include <lithops/error.h>
#include <lithops/executor.h>
#include <lithops/function.h>
#include <lithops/future.h>
#include <lithops/log.h>
#include <lithops/storage.h>
#include <lithops/stream.h>
#include <lithops/value.h>

#endif
