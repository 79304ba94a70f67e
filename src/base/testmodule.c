/* SPDX-License-Identifier: Apache-2.0 */
/* Modules for module_test: of this version, of another one, and of none. */
#include "base/module.h"

LITHOPS_PUBLIC extern const char testmodule_symbol[];
const char testmodule_symbol[] = "loaded";

#ifdef TESTMODULE_VERSION
const char lithops_module_version[] = TESTMODULE_VERSION;
#endif
