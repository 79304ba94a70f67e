# SPDX-License-Identifier: Apache-2.0
"""Storage and jobs over real servers, which tests/servers/with-* start."""

import json
import os
import pathlib
import subprocess

import lithops
import pytest
from lithops.storage import Storage
from lithops.storage.utils import StorageNoSuchKeyError

SCRIPTS = pathlib.Path(__file__).parents[2] / 'tests' / 'servers'


# (the script that runs a server, the section of the configuration, its secret, what an error says)
@pytest.fixture(scope='module', params=[
    ('s3', 'minio', 'secret_access_key', 'check the secret key'),
    ('redis', 'redis', 'password', 'check username and password'),
    ('azurite', 'azure_storage', 'storage_account_key', "check the account's name and key"),
    ('swift', 'swift', 'password', 'check user_id'),
    ('infinispan', 'infinispan', 'password', 'check username, password'),  # make test-infinispan
], ids=lambda param: param[0])
def server(request):
    script, section, secret, error = request.param
    process = subprocess.Popen(
        [SCRIPTS / f'with-{script}', 'sh', '-c',
         'env | grep -e ^LITHOPS_TEST_STORAGE= -e ^SSL_CERT_FILE=; echo; exec cat'],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = {}
    for line in iter(process.stdout.readline, '\n'):
        name, equals, value = line.rstrip('\n').partition('=')
        if not equals:
            process.communicate()
            assert process.returncode == 77, line
            pytest.skip(line.strip())
        said[name] = value
    config = {'lithops': {'backend': 'localhost', 'storage': section},
              section: {**json.loads(said.pop('LITHOPS_TEST_STORAGE')),
                        'storage_bucket': 'python-data'}}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in said.items():
            patch.setenv(name, value)
        yield config, section, secret, error
    process.communicate()


@pytest.fixture
def config(server):
    return server[0]


def test_storage(config):
    storage = Storage(config=config)
    for i in range(3):
        storage.put_object('python-data', f'a/{i} ü', b'body %d' % i)
    assert storage.get_object('python-data', 'a/1 ü') == b'body 1'
    assert storage.list_keys('python-data', prefix='a/') == [f'a/{i} ü' for i in range(3)]
    assert int(storage.head_object('python-data', 'a/2 ü')['content-length']) == 6
    storage.delete_object('python-data', 'a/0 ü')
    storage.delete_objects('python-data', ['a/1 ü', 'a/2 ü'])
    assert storage.list_keys('python-data') == []
    with pytest.raises(StorageNoSuchKeyError):
        storage.get_object('python-data', 'a/1 ü')


def test_the_client_of_the_library(server, monkeypatch):
    """It finds what the engine has put, with the same section."""
    config, section, _, _ = server
    library = {'minio': 'boto3', 'redis': 'redis', 'azure_storage': 'azure.storage.blob',
               'swift': 'requests', 'infinispan': 'requests'}[section]
    pytest.importorskip(library)
    if 'SSL_CERT_FILE' in os.environ:  # requests has a variable of its own
        monkeypatch.setenv('REQUESTS_CA_BUNDLE', os.environ['SSL_CERT_FILE'])
    storage = Storage(config=config)
    storage.put_object('python-data', 'of/client', b'content')
    client = storage.get_client()
    if section == 'minio':
        got = client.get_object(Bucket='python-data', Key='of/client')['Body'].read()
    elif section == 'redis':  # objects are records and parts, not strings: see docs/storage.md
        got = b'content' if client.ping() and client.keys('{lithops:python-data}*') else None
    elif section == 'azure_storage':
        got = client.get_blob_client('python-data', 'of/client').download_blob().readall()
    elif section == 'infinispan':
        got = client.get(f'{client.endpoint}/python-data/of%2Fclient').content
    else:
        got = client.get(f'{client.endpoint}/python-data/of/client').content
    assert got == b'content'
    storage.delete_object('python-data', 'of/client')


def count_words(obj):
    return len(obj.data_stream.read().split())


def test_words_of_objects_in_chunks(config):
    storage = Storage(config=config)
    for i in range(1, 4):
        lines = ''.join(f'{n} two  three\n' for n in range(i * 100000))
        storage.put_object('python-data', f'text/{i}', lines.encode())
    with lithops.FunctionExecutor(config=config) as fexec:
        fexec.map_reduce(count_words, 'python-data/text/', sum, obj_chunk_size=1 << 20)
        assert fexec.get_result() == 3 * 600000


def test_a_secret_is_in_no_error(server):
    config, section, secret, error = server
    wrong = {**config, section: {**config[section], secret: 'bm90LXRoZS1zZWNyZXQ='}}
    with pytest.raises(Exception, match=error) as caught:
        Storage(config=wrong).get_object('python-data', 'k')
    assert 'bm90LXRoZS1zZWNyZXQ=' not in str(caught.value)
