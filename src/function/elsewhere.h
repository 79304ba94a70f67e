/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LITHOPS_FUNCTION_ELSEWHERE_H
#define LITHOPS_FUNCTION_ELSEWHERE_H

#include <lithops/plugin/runtime.h>

/* What the runtime of this process has said by lithops_runtime_elsewhere(), for
 * lithops_value_free(); an empty map where it has said nothing. NULL: its error. */
lithops_value *lithops__runtime_kit(lithops_error *err);
/* In place of a runtime: what one has said in another process. Copied; not while others ask. */
int lithops__runtime_kit_set(const lithops_value *kit, lithops_error *err);

#endif
