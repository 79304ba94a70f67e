/* SPDX-License-Identifier: Apache-2.0 */
/* For tests over the cluster of tests/servers/with-kubernetes, and the storage of with-s3. */
#ifndef LITHOPS_TESTS_COMPUTE_K8S_H
#define LITHOPS_TESTS_COMPUTE_K8S_H

/* A template for pods of one machine: they find the storage on its loopback, wait for no CPU that
 * others have, and have an image that no registry has. */
#define COMPUTE_K8S_TEMPLATE(more)                                                                 \
    "{\"spec\": {\"template\": {\"spec\": {\"hostNetwork\": true, \"containers\": [{\"name\": "    \
    "\"lithops\", \"imagePullPolicy\": \"Never\", \"resources\": {\"requests\": {\"cpu\": "        \
    "\"10m\", \"memory\": \"10Mi\"}, \"limits\": {\"cpu\": null}" more "}}]}}}}"
#define COMPUTE_K8S_IMAGE "docker.io/library/worker:1"

#endif
