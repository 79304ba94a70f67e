# SPDX-License-Identifier: Apache-2.0
"""Names that upstream programs import: modes, defaults, places of temporary files.

The engine has its own; nothing in this package depends on these.
"""

import os
import tempfile

LOGGER_LEVEL = 'info'
LOGGER_STREAM = 'ext://sys.stderr'
LOGGER_FORMAT = '%(asctime)s [%(levelname)s] %(filename)s:%(lineno)s -- %(message)s'
LOGGER_FORMAT_SHORT = '[%(levelname)s] %(filename)s:%(lineno)s -- %(message)s'
LOGGER_LEVEL_CHOICES = ('debug', 'info', 'warning', 'error', 'critical')

LOCALHOST = 'localhost'
SERVERLESS = 'serverless'
STANDALONE = 'standalone'
MODE_DEFAULT = LOCALHOST
SERVERLESS_BACKEND_DEFAULT = 'aws_lambda'
STANDALONE_BACKEND_DEFAULT = 'aws_ec2'
STORAGE_BACKEND_DEFAULT = 'aws_s3'
SERVERLESS_BACKENDS = (
    'ibm_cf', 'code_engine', 'knative', 'openwhisk', 'aws_lambda', 'aws_batch', 'gcp_cloudrun',
    'gcp_functions', 'azure_functions', 'azure_containers', 'aliyun_fc', 'oracle_f', 'k8s',
    'singularity', 'code_engine_apps')
STANDALONE_BACKENDS = ('ibm_vpc', 'aws_ec2', 'azure_vms', 'gcp_compute_engine', 'vm')

CPU_COUNT = os.cpu_count()
WORKER_PROCESSES_DEFAULT = 1
EXECUTION_TIMEOUT_DEFAULT = 1800  # seconds

JOBS_PREFIX = 'lithops.jobs'
TEMP_PREFIX = 'lithops.jobs/tmp'
LOGS_PREFIX = 'lithops.logs'
RUNTIMES_PREFIX = 'lithops.runtimes'

SESSION_ID_ENV = '__LITHOPS_SESSION_ID'
WORKER_ENV = 'LITHOPS_WORKER'

TEMP_DIR = os.path.realpath(tempfile.gettempdir())
USER_TEMP_DIR = 'lithops-' + os.getenv('USER', 'root')
LITHOPS_TEMP_DIR = os.path.join(TEMP_DIR, USER_TEMP_DIR)
JOBS_DIR = os.path.join(LITHOPS_TEMP_DIR, 'jobs')
LOGS_DIR = os.path.join(LITHOPS_TEMP_DIR, 'logs')
MODULES_DIR = os.path.join(LITHOPS_TEMP_DIR, 'modules')
FN_LOG_FILE = os.path.join(LITHOPS_TEMP_DIR, 'functions.log')
CLEANER_DIR = os.path.join(LITHOPS_TEMP_DIR, 'cleaner')

HOME_DIR = os.path.expanduser('~')
CONFIG_DIR = os.path.join(HOME_DIR, '.lithops')
CACHE_DIR = os.path.join(CONFIG_DIR, 'cache')
CONFIG_FILE = os.path.join(CONFIG_DIR, 'config')
CONFIG_FILE_GLOBAL = '/etc/lithops/config'
