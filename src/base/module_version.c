/* SPDX-License-Identifier: Apache-2.0 */
/* A part of every module, and of nothing else: what lithops__module_symbol() compares. */
#include "base/module.h"

const char lithops_module_version[] = LITHOPS_VERSION;
