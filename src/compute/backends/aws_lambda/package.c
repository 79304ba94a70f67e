/* SPDX-License-Identifier: Apache-2.0 */
/* The package of a function: the engine, and the program `bootstrap`, which the service starts. */
#include "compute/package.h"
#include "base/error.h"
#include "compute/backends/aws_lambda/aws_lambda.h"
#include "compute/bootstrap.h"

/* Of a runtime of its own, `bootstrap` is what runs. Those with an interpreter start it as a
 * wrapper of what they would run, which is left out. Libraries of functions find liblithops. */
static const char bootstrap[] =
    "#!/bin/sh\n"
    "e=${LAMBDA_TASK_ROOT:-$(dirname \"$0\")}\n"
    "export LD_LIBRARY_PATH=\"$e/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\"\n"
    "exec \"$e/bin/lithops\" worker --lambda\n";

int lithops__lambda_package(struct lithops__buffer *out, lithops_error *err)
{
    const struct lithops__package_file files[] = {{"bootstrap", bootstrap}, {NULL, NULL}};
    const size_t begin = out->len;
    const struct lithops__engine *engine = lithops__engine(err);
    if (!engine)
        return err->code;
    if (engine->glibc_minor > LITHOPS__LAMBDA_GLIBC_MINOR)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "this engine needs glibc 2.%d, functions of Lambda have 2.%d: use one "
                             "that was built for older systems, as the wheels of the Python "
                             "package are",
                             engine->glibc_minor, LITHOPS__LAMBDA_GLIBC_MINOR);
    int rc = lithops__package(files, out, err);
    if (rc != 0)
        return rc;
    return out->len - begin <= LITHOPS__LAMBDA_ZIP_MAX
               ? 0
               : lithops__fail(err, LITHOPS_ENOSPACE,
                               "the package of the function has %zu MiB, and Lambda takes 50",
                               (out->len - begin) >> 20);
}
