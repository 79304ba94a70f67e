/* SPDX-License-Identifier: Apache-2.0 */
/* A function of AWS Lambda, as run by `lithops worker --lambda`: the loop over the Runtime API.
 *
 * Each event names a link through the storage; `lithops worker --through KEY` serves it as a child,
 * so that whatever happens to that is answered. Events of the compute backend aws_lambda:
 *
 *     {"version": V, "protocol": P, "key": KEY, "config": {...}}    serve this link
 *     {"describe": true}                                            say what is here
 *
 * The configuration has no secrets; credentials are those of the function's role. */
#ifndef LITHOPS_AGENT_LAMBDA_H
#define LITHOPS_AGENT_LAMBDA_H

#include <lithops/error.h>

/* Answer events until `stop_fd` is readable (ECANCELED).
 * @param api      "host:port", as AWS_LAMBDA_RUNTIME_API has it
 * @param program  this command, which children run
 * @return never 0: ECANCELED; EBACKEND, the API does not answer; EUNSUPPORTED, ENOMEM */
int lithops__lambda_serve(const char *api, const char *program, int stop_fd, lithops_error *err);

#endif
