# SPDX-License-Identifier: Apache-2.0
"""The cluster of tests/servers/with-kubernetes, and the storage of with-s3, for tests over both."""

import json
import os
import subprocess

FOLDER = os.environ.get('LITHOPS_TEST_K8S_DIR')


def config(**settings):
    """Pods of one machine: they find the storage on its loopback. The less CPU they ask for, the less they get
    beside others."""
    container = {'name': 'lithops', 'imagePullPolicy': 'Never',
                 'resources': {'requests': {'cpu': '200m', 'memory': '10Mi'}, 'limits': {'cpu': None}}}
    pod = {'hostNetwork': True, 'containers': [container]}
    return {'lithops': {'backend': 'k8s', 'storage': 'aws_s3'},
            'aws_s3': {**json.loads(os.environ['LITHOPS_TEST_STORAGE']), 'storage_bucket': 'jobs'},
            'k8s': {'runtime': 'docker.io/library/python:1', 'max_workers': 2,
                    'job_template': {'spec': {'template': {'spec': pod}}}, **settings}}


def ask(method, path, body=None):
    """The API server's answer to an administrator."""
    words = [f'{FOLDER}/ask', method, path, *([json.dumps(body)] if body else [])]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout


def await_end(name):
    """The exit status of a pod's container, and what it has left as its message."""
    path = f'/api/v1/namespaces/calls/pods?watch=1&timeoutSeconds=240&fieldSelector=metadata.name%3D{name}'
    with subprocess.Popen([f'{FOLDER}/ask', 'GET', path], stdout=subprocess.PIPE, text=True) as watch:
        status = None
        for line in watch.stdout:
            status = json.loads(line)['object']['status']
            for container in status.get('containerStatuses', ()):
                ended = container['state'].get('terminated')
                if ended:
                    watch.terminate()
                    return ended['exitCode'], ended.get('message', '')
        raise AssertionError(f'pod {name} has not ended: {status}')
