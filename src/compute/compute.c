/* SPDX-License-Identifier: Apache-2.0 */
/* The compute backends that are compiled in. */
#include "compute/compute.h"

const struct lithops__compute_driver *const lithops__compute_drivers[] = {
    &lithops__compute_localhost,
    &lithops__compute_aws_lambda,
    &lithops__compute_aws_batch,
    &lithops__compute_k8s,
    &lithops__compute_process,
    &lithops__compute_slurm,
    &lithops__compute_vm,
    &lithops__compute_aws_ec2,
    &lithops__compute_knative,
    &lithops__compute_gcp_cloudrun,
    &lithops__compute_code_engine,
    &lithops__compute_azure_containers,
    &lithops__compute_aliyun_fc,
    &lithops__compute_openwhisk,
    &lithops__compute_ibm_cf,
    &lithops__compute_gcp_functions,
    &lithops__compute_azure_functions,
    &lithops__compute_gcp_compute_engine,
    &lithops__compute_code_engine_apps,
    &lithops__compute_oracle_f,
    &lithops__compute_singularity,
    &lithops__compute_azure_vms,
    &lithops__compute_ibm_vpc,
    NULL,
};
