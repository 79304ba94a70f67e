/* SPDX-License-Identifier: Apache-2.0 */
/* What a YAML scalar without quotes means. */
#ifndef LITHOPS_CONFIG_SCALAR_H
#define LITHOPS_CONFIG_SCALAR_H

#include <lithops/value.h>

/* null, bool, int, double or string. NULL when memory is out or the text is not UTF-8. */
lithops_value *lithops__scalar_value(const char *text, size_t len);

#endif
