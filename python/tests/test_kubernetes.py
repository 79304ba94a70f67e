# SPDX-License-Identifier: Apache-2.0
"""What only pods show; `make test-kubernetes` runs it, beside tests of all backends over pods."""

import json
import re
import secrets
import subprocess
import sys

import kubernetes_pods
import pytest

import lithops

pytestmark = pytest.mark.skipif(not kubernetes_pods.FOLDER, reason='tests/servers/with-kubernetes runs it')

TEXT = b'one two three\n'


def count(obj):
    return len(obj.data_stream.read().split())


def surroundings(_):
    import os
    return [lithops.__version__, sys.version, os.path.exists('/run/lithops/config'),
            os.path.exists('/var/run/secrets/kubernetes.io/serviceaccount')]


def test_the_words_of_a_bucket(fexec):
    bucket = fexec.storage.bucket
    for i in range(3):
        fexec.storage.put_object(bucket, f'words/{i}.txt', TEXT * 1000 * (i + 1))
    futures = fexec.map_reduce(count, f'{bucket}/words/', sum, obj_chunk_size=10_000)
    assert fexec.get_result(futures) == 18_000
    fexec.storage.delete_objects(bucket, fexec.storage.list_keys(bucket, 'words/'))


def test_surroundings(fexec):
    assert fexec.call_async(surroundings, 1).result() == [
        lithops.__version__, sys.version, True, False]


def test_a_module_of_a_folder_that_comes_late(fexec, monkeypatch, tmp_path):
    """Pods have nothing of it, so it travels with the functions that use it."""
    (tmp_path / 'comes_late_xyz.py').write_text('def double(x): return 2 * x\n')
    monkeypatch.syspath_prepend(tmp_path)
    import comes_late_xyz
    assert fexec.call_async(comes_late_xyz.double, 4).result() == 8
    assert fexec.call_async(lambda x: comes_late_xyz.double(x) + 1, 4).result() == 9


def test_an_image_without_this_python():
    with lithops.FunctionExecutor(config=kubernetes_pods.config(runtime='docker.io/library/worker:1')) as fexec, \
            pytest.raises(Exception, match=r'there is no python%d\.%d where workers run' % sys.version_info[:2]):
        fexec.call_async(surroundings, 1).result()


PROGRAM = '''\
import json

import lithops

def double(x):
    return 2 * x

with lithops.FunctionExecutor() as fexec:
    with open('/dev/termination-log', 'w') as file:
        json.dump(fexec.map_reduce(double, range(100), sum).get_result(), file)
'''
ACCOUNT = [{'serviceAccountToken': {'path': 'token', 'expirationSeconds': 3600}},
           {'configMap': {'name': 'kube-root-ca.crt', 'items': [{'key': 'ca.crt', 'path': 'ca.crt'}]}},
           {'downwardAPI': {'items': [{'path': 'namespace', 'fieldRef': {'fieldPath': 'metadata.namespace'}}]}}]


def test_a_client_in_a_pod():
    """It asks for its workers as its service account, whose files are where Kubernetes has them."""
    files = {'config': json.dumps(kubernetes_pods.config()), 'program.py': PROGRAM}
    container = {'name': 'client', 'image': 'docker.io/library/python:1', 'imagePullPolicy': 'Never',
                 'command': ['python%d.%d' % sys.version_info[:2], '/etc/client/program.py'],
                 'terminationMessagePolicy': 'FallbackToLogsOnError',
                 'env': [{'name': 'LITHOPS_CONFIG_FILE', 'value': '/etc/client/config'},
                         {'name': 'KUBERNETES_SERVICE_HOST', 'value': '127.0.0.1'},
                         {'name': 'KUBERNETES_SERVICE_PORT', 'value': '6443'}],
                 'volumeMounts': [{'name': 'files', 'mountPath': '/etc/client'},
                                  {'name': 'account', 'mountPath': '/var/run/secrets/kubernetes.io/serviceaccount'}]}
    pod = {'metadata': {'name': 'client'},
           'spec': {'restartPolicy': 'Never', 'hostNetwork': True, 'serviceAccountName': 'lithops',
                    'containers': [container],
                    'volumes': [{'name': 'files', 'secret': {'secretName': 'client'}},
                                {'name': 'account', 'projected': {'sources': ACCOUNT}}]}}
    kubernetes_pods.ask('POST', '/api/v1/namespaces/calls/secrets',
                        {'metadata': {'name': 'client'}, 'stringData': files})
    kubernetes_pods.ask('POST', '/api/v1/namespaces/calls/pods', pod)
    try:
        assert kubernetes_pods.await_end('client') == (0, '9900')
    finally:
        kubernetes_pods.ask('DELETE', '/api/v1/namespaces/calls/pods/client?gracePeriodSeconds=0')
        kubernetes_pods.ask('DELETE', '/api/v1/namespaces/calls/secrets/client')


def kubectl(*words, **settings):
    return subprocess.run([f'{kubernetes_pods.FOLDER}/kubectl', *words], check=True, timeout=300, text=True,
                          stdout=subprocess.PIPE, **settings).stdout


def test_pods_that_stay():
    """docs/kubernetes.md: a Deployment of `lithops worker --http`, by kubectl's port-forward; a program after the
    other finds the same pods."""
    secret = secrets.token_hex(32)
    container = {'name': 'lithops', 'image': 'docker.io/library/python:1', 'imagePullPolicy': 'Never',
                 'command': ['lithops', 'worker', '--http', '--port', '8090', '--concurrency', '2'],
                 'env': [{'name': 'LITHOPS_WORKER_SECRET',
                          'valueFrom': {'secretKeyRef': {'name': 'warm', 'key': 'secret'}}}],
                 'readinessProbe': {'httpGet': {'path': '/health', 'port': 8090}, 'periodSeconds': 1}}
    labels = {'app': 'warm'}
    deployment = {'metadata': {'name': 'warm'},
                  'spec': {'replicas': 1, 'selector': {'matchLabels': labels},
                           'template': {'metadata': {'labels': labels},
                                        'spec': {'hostNetwork': True, 'containers': [container]}}}}
    kubernetes_pods.ask('POST', '/api/v1/namespaces/calls/secrets',
                        {'metadata': {'name': 'warm'}, 'stringData': {'secret': secret}})
    kubernetes_pods.ask('POST', '/apis/apps/v1/namespaces/calls/deployments', deployment)
    try:
        kubectl('rollout', 'status', 'deployment/warm', '--timeout=240s')
        pods = kubectl('get', 'pods', '-l', 'app=warm', '-o', 'name').split()
        with subprocess.Popen([f'{kubernetes_pods.FOLDER}/kubectl', 'port-forward', 'deployment/warm', ':8090'],
                              stdout=subprocess.PIPE, text=True) as forward:
            try:
                port = re.search(r'127.0.0.1:([0-9]+) ->', forward.stdout.readline()).group(1)
                config = kubernetes_pods.config()
                config['lithops']['backend'] = 'knative'
                config['knative'] = {'endpoint': f'http://127.0.0.1:{port}', 'secret': secret, 'max_workers': 2}
                del config['k8s']
                for i in range(3):
                    with lithops.FunctionExecutor(config=config) as fexec:
                        assert fexec.map(lambda x, i=i: x + i, range(100)).get_result() == list(range(i, 100 + i))
            finally:
                forward.terminate()
        assert kubectl('get', 'pods', '-l', 'app=warm', '-o', 'name').split() == pods
    finally:
        kubernetes_pods.ask('DELETE', '/apis/apps/v1/namespaces/calls/deployments/warm?gracePeriodSeconds=0')
        kubernetes_pods.ask('DELETE', '/api/v1/namespaces/calls/secrets/warm')
