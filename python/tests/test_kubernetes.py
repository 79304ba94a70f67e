# SPDX-License-Identifier: Apache-2.0
"""What only pods show; `make test-kubernetes` runs it, beside tests of all backends over pods."""

import json
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
