/* SPDX-License-Identifier: Apache-2.0 */
/* Packages of functions that HTTP requests start: the engine, and what makes its program the one
 * that the service starts. They are deployed with the tools of the service.
 *
 *   gcp_functions    The service's framework loads main.py before it listens; that becomes the
 *                    program instead.
 *   azure_functions  A custom handler: a program that answers HTTP requests on the port that it is
 *                    told. Its host hands requests and answers on as they come. (With
 *                    enableForwardingHttpRequest it would gather an answer until its end, but that
 *                    of a worker ends with the worker.) */
#include "compute/backends/http/functions.h"

#include "base/error.h"
#include "compute/package.h"

#include <stdio.h>
#include <string.h>

static const char main_py[] =
    "\"\"\"Lithops: `lithops worker --http` becomes the program of this function.\"\"\"\n"
    "import os\n"
    "\n"
    "HERE = os.path.dirname(os.path.abspath(__file__))\n"
    "if 'PORT' in os.environ:\n"
    "    env = dict(os.environ)\n"
    "    env['LD_LIBRARY_PATH'] = ':'.join(\n"
    "        filter(None, (os.path.join(HERE, 'lib'), env.get('LD_LIBRARY_PATH'))))\n"
    "    os.execve(os.path.join(HERE, 'bin', 'lithops'), ['lithops', 'worker', '--http'], env)\n"
    "\n"
    "\n"
    "def lithops(request):\n"
    "    return 'PORT is not in the environment', 500\n";

static const char worker_sh[] =
    "#!/bin/sh\n"
    "e=$(dirname \"$0\")\n"
    "export LD_LIBRARY_PATH=\"$e/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\"\n"
    "exec \"$e/bin/lithops\" worker --http --concurrency \"${LITHOPS_WORKERS:-1}\"\n";

static const char host_json[] = "{\n"
                                "  \"version\": \"2.0\",\n"
                                "  \"customHandler\": {\n"
                                "    \"description\": {\"defaultExecutablePath\": \"worker.sh\"},\n"
                                "    \"enableProxyingHttpRequest\": true\n"
                                "  }\n"
                                "}\n";

static const char function_json[] =
    "{\n"
    "  \"bindings\": [\n"
    "    {\"type\": \"httpTrigger\", \"direction\": \"in\", \"name\": \"req\",\n"
    "     \"authLevel\": \"function\", \"methods\": [\"get\", \"post\"],\n"
    "     \"route\": \"lithops/{*path}\"},\n"
    "    {\"type\": \"http\", \"direction\": \"out\", \"name\": \"res\"}\n"
    "  ]\n"
    "}\n";

static const struct service {
    const char *backend;
    struct lithops__package_file files[4];
    const char *deploy; /* its package */
    bool takes_timeout; /* there */
} services[] = {
    {"gcp_functions",
     {{"main.py", main_py}, {"requirements.txt", "functions-framework\n"}},
     "unpack it into a folder, and there: gcloud functions deploy lithops --gen2 --region REGION "
     "--runtime python3XX --source . --entry-point lithops --trigger-http "
     "--no-allow-unauthenticated --set-secrets LITHOPS_WORKER_SECRET=NAME:latest",
     true},
    {"azure_functions",
     {{"host.json", host_json}, {"lithops/function.json", function_json}, {"worker.sh", worker_sh}},
     "az functionapp deployment source config-zip --resource-group GROUP --name APP --src FILE, to "
     "an app on Linux whose settings are FUNCTIONS_WORKER_RUNTIME=custom and "
     "LITHOPS_WORKER_SECRET",
     false},
};

static const struct service *find(const char *backend)
{
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (strcmp(services[i].backend, backend) == 0)
            return &services[i];
    return NULL;
}

const char *lithops__functions_deploy(const char *backend, long long timeout_s,
                                      char buf[LITHOPS__FUNCTIONS_DEPLOY])
{
    const struct service *service = find(backend);
    if (!service)
        return NULL;
    int len = snprintf(buf, LITHOPS__FUNCTIONS_DEPLOY, "%s", service->deploy);
    if (service->takes_timeout) /* that of the service is a minute */
        snprintf(buf + len, LITHOPS__FUNCTIONS_DEPLOY - (size_t)len, " --timeout %lld", timeout_s);
    return buf;
}

static const char *deploy_of(const struct lithops__config *config, const struct service *service,
                             char buf[LITHOPS__FUNCTIONS_DEPLOY])
{
    return lithops__functions_deploy(
        service->backend, lithops__config_int(config, service->backend, "request_timeout"), buf);
}

static int build(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                 char **ret_text, lithops_error *err)
{
    const struct service *service = find(lithops__config_string(config, "lithops", "backend"));
    struct lithops__buffer zip = LITHOPS__BUFFER_INIT;
    char own[64], how[LITHOPS__FUNCTIONS_DEPLOY];
    if (wish->dockerfile || wish->base)
        return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                             "%s has packages, not images: leave out --file and --base",
                             service->backend);
    snprintf(own, sizeof own, "lithops-%s.zip", service->backend);
    const char *path = wish->file ? wish->file : own;
    int rc = lithops__package(service->files, &zip, err);
    if (rc == 0)
        rc = lithops__package_write(path, &zip, err);
    if (rc == 0 && asprintf(ret_text, "%s: %zu KiB; %s", path, zip.len >> 10,
                            deploy_of(config, service, how)) < 0)
        rc = lithops__fail(err, LITHOPS_ENOMEM, "out of memory");
    lithops__buffer_deinit(&zip);
    return rc;
}

static int deploy(const struct lithops__config *config, const struct lithops__runtime_wish *wish,
                  bool must_exist, char **ret_name, lithops_value **ret_meta, lithops_error *err)
{
    const struct service *service = find(lithops__config_string(config, "lithops", "backend"));
    char how[LITHOPS__FUNCTIONS_DEPLOY];
    (void)wish;
    (void)must_exist;
    (void)ret_name;
    (void)ret_meta;
    return lithops__fail(err, LITHOPS_EUNSUPPORTED,
                         "functions of %s are deployed with the tools of the service: 'lithops "
                         "runtime build' makes a package; %s",
                         service->backend, deploy_of(config, service, how));
}

const struct lithops__runtime_ops lithops__function_runtimes = {.build = build, .deploy = deploy};
