# SPDX-License-Identifier: Apache-2.0
"""Storage and cloudobjects, as upstream programs use them."""

import io
import os
import pickle
import sys
import types
import uuid

import pytest

import lithops
from lithops.storage import InternalStorage, Storage
from lithops.storage.utils import (
    CloudObject, CloudObjectLocal, CloudObjectUrl, StorageNoSuchKeyError, key_of)


@pytest.fixture(scope='module')
def storage():
    return lithops.Storage()


@pytest.fixture
def prefix(storage):
    prefix = f'__test/{uuid.uuid4().hex}/'
    yield prefix
    storage.delete_objects(storage.bucket, storage.list_keys(storage.bucket, prefix))


def test_put_and_get(storage, prefix):
    bucket = storage.bucket
    for body, expected in ((b'bytes', b'bytes'), ('t\u00ebxt', 't\u00ebxt'.encode()), (b'', b''),
                           (bytearray(b'ba'), b'ba'), (io.BytesIO(b'file'), b'file'),
                           (io.StringIO('string'), b'string')):
        storage.put_object(bucket, prefix + 'key', body)
        assert storage.get_object(bucket, prefix + 'key') == expected
    for body in (None, 5, [b'a']):
        with pytest.raises(TypeError):
            storage.put_object(bucket, prefix + 'key', body)
    assert storage.get_object(bucket, prefix + 'key') == b'string'


def test_ranges(storage, prefix):
    storage.put_object(storage.bucket, prefix + 'key', b'0123456789')

    def get(text, stream=False):
        return storage.get_object(storage.bucket, prefix + 'key', stream=stream,
                                  extra_get_args={'Range': text})

    assert get('bytes=2-4') == b'234' and get('bytes=7-') == b'789' and get('bytes=-3') == b'789'
    assert get('bytes=8-100') == b'89' and get('bytes=0-0') == b'0'
    assert get('bytes=2-4', stream=True).read() == b'234'
    for wrong in ('bytes=4-2', 'bytes=a-b', '2-4', 'bytes=5', 'lines=1-2'):
        with pytest.raises(ValueError, match='Range'):
            get(wrong)


def test_streams(storage, prefix):
    storage.put_object(storage.bucket, prefix + 'key', b'one\ntwo\nthree\n')
    with storage.get_object(storage.bucket, prefix + 'key', stream=True) as stream:
        assert stream.read(2) == b'on' and stream.readline() == b'e\n'
        assert list(stream) == [b'two\n', b'three\n']
        stream.seek(4)
        assert stream.tell() == 4 and stream.read() == b'two\nthree\n'
    with storage.get_object(storage.bucket, prefix + 'key', stream=True) as stream:
        assert [line.strip() for line in io.TextIOWrapper(stream)] == ['one', 'two', 'three']


def test_head_and_list(storage, prefix):
    bucket = storage.bucket
    for name in ('a.txt', 'b.txt', 'c/d.csv'):
        storage.put_object(bucket, prefix + name, name)
    assert storage.head_object(bucket, prefix + 'a.txt')['content-length'] == '5'
    assert storage.list_keys(bucket, prefix) == [
        prefix + name for name in ('a.txt', 'b.txt', 'c/d.csv')]
    assert [(each['Key'][len(prefix):], each['Size'])
            for each in storage.list_objects(bucket, prefix)] == [
        ('a.txt', 5), ('b.txt', 5), ('c/d.csv', 7)]
    assert [each['Key'] for each in storage.list_objects(bucket, prefix, prefix + '*.csv')] == [
        prefix + 'c/d.csv']
    assert storage.list_keys(bucket, prefix + 'nothing') == []
    assert storage.list_keys('no-such-bucket') == [] == storage.list_objects('no-such-bucket')
    assert storage.head_bucket(bucket)
    with pytest.raises(StorageNoSuchKeyError):
        storage.head_bucket('no-such-bucket')


def test_what_is_not_there(storage, prefix):
    bucket = storage.bucket
    for call in (storage.get_object, storage.head_object,
                 lambda b, k: storage.get_object(b, k, stream=True)):
        with pytest.raises(StorageNoSuchKeyError, match='missing') as caught:
            call(bucket, prefix + 'missing')
        assert pickle.loads(pickle.dumps(caught.value)).key == prefix + 'missing'
    storage.delete_object(bucket, prefix + 'missing')
    storage.delete_objects(bucket, [])
    assert storage.download_file(bucket, prefix + 'missing', '/tmp/never') is False
    assert not os.path.exists('/tmp/never')
    assert storage.upload_file('/no/such/file', bucket) is False


def test_delete(storage, prefix):
    bucket = storage.bucket
    for name in 'abc':
        storage.put_object(bucket, prefix + name, b'')
    storage.delete_object(bucket, prefix + 'a')
    assert storage.list_keys(bucket, prefix) == [prefix + 'b', prefix + 'c']
    storage.delete_objects(bucket, [prefix + 'b', prefix + 'c', prefix + 'missing'])
    assert storage.list_keys(bucket, prefix) == []


def test_files(storage, prefix, tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / 'file').write_bytes(data)
    assert storage.upload_file(str(tmp_path / 'file'), storage.bucket, prefix + 'up') is True
    assert storage.download_file(storage.bucket, prefix + 'up', str(tmp_path / 'new/down')) is True
    assert (tmp_path / 'new' / 'down').read_bytes() == data
    with open(tmp_path / 'file', 'rb') as file:
        storage.put_object(storage.bucket, prefix + 'handle', file)
    assert storage.get_object(storage.bucket, prefix + 'handle') == data


def test_cloudobjects(storage):
    first, second = storage.put_cloudobject(b'content'), storage.put_cloudobject('text')
    assert isinstance(first, CloudObject) and first.key != second.key
    assert (first.backend, first.bucket) == (storage.backend, storage.bucket)
    assert storage.get_cloudobject(first) == b'content'
    assert storage.get_cloudobject(second, stream=True).read() == b'text'
    named = storage.put_cloudobject(b'x', key='__test/named')
    assert named.key == '__test/named'
    storage.delete_cloudobject(first)
    with pytest.raises(StorageNoSuchKeyError):
        storage.get_cloudobject(first)
    storage.delete_cloudobjects([second, named])
    assert storage.list_keys(storage.bucket, '__test/named') == []
    foreign = CloudObject('aws_s3', 'b', 'k')
    for call in (storage.get_cloudobject, storage.delete_cloudobject,
                 lambda co: storage.delete_cloudobjects([co])):
        with pytest.raises(ValueError, match='aws_s3'):
            call(foreign)


def test_cloudobjects_between_stages(fexec):
    def produce(n, storage):
        return storage.put_cloudobject(b'x' * n)

    def consume(cloudobject, storage):
        return len(storage.get_cloudobject(cloudobject))

    made = fexec.get_result(fexec.map(produce, [1, 2, 3]))
    assert all(type(each) is CloudObject for each in made)
    assert fexec.get_result(fexec.map(consume, made)) == [1, 2, 3]
    assert fexec.get_result(fexec.map(
        lambda obj: len(obj.data_stream.read()), made)) == [1, 2, 3]
    assert fexec.storage.get_cloudobject(made[2]) == b'xxx'
    fexec.clean(cs=made)
    with pytest.raises(StorageNoSuchKeyError):
        fexec.storage.get_cloudobject(made[0])


def test_references():
    for one, other in ((CloudObject('b', 'c', 'k'), CloudObject('b', 'c', 'k2')),
                       (CloudObjectUrl('http://a/b'), CloudObjectUrl('http://a/c')),
                       (CloudObjectLocal('/a/b'), CloudObjectLocal('/a/c'))):
        assert pickle.loads(pickle.dumps(one)) == one != other
        assert len({one, pickle.loads(pickle.dumps(one)), other}) == 2
    local = CloudObjectLocal('/data/file.csv')
    assert (local.path, local.bucket, local.key) == ('/data/file.csv', '/data', 'file.csv')
    assert str(CloudObject('b', 'c', 'k')) == '<CloudObject at b://c/k>'


def test_keys_as_programs_put_them_together(storage, prefix):
    bucket, key = storage.bucket, prefix + 'a/b'
    for spelt in ('/' + key, './' + key, prefix + '/a//b', prefix + './a/./b', '//' + key):
        storage.put_object(bucket, spelt, spelt)
        assert storage.get_object(bucket, key) == spelt.encode()
        assert storage.get_object(bucket, spelt, stream=True).read() == spelt.encode()
        assert storage.head_object(bucket, spelt) == storage.head_object(bucket, key)
        assert storage.list_keys(bucket, '/' + prefix) == [key]
        assert storage.list_keys(bucket, prefix + '/') == [key]
        storage.delete_object(bucket, spelt)
        assert storage.list_keys(bucket, prefix) == []
    made = storage.put_cloudobject(b'x', key='/' + key)
    assert storage.list_objects(bucket, './' + prefix)[0]['Key'] == key
    storage.delete_cloudobject(made)
    storage.put_object(bucket, key, b'')
    storage.delete_objects(bucket, ['/' + key])
    assert storage.list_keys(bucket, prefix) == []
    assert (key_of('.'), key_of('/'), key_of('a//'), key_of('./a.b/..c/')) == (
        '', '', 'a/', 'a.b/..c/')
    for wrong in (prefix + '../x', '..', '/', '', prefix):
        with pytest.raises(ValueError):
            storage.put_object(bucket, wrong, b'')


def test_configurations(tmp_path):
    config = {'lithops': {'storage': 'localhost'},
              'localhost': {'storage_root': str(tmp_path), 'storage_bucket': 'mine'}}
    storage = Storage(config=config)
    assert (storage.backend, storage.bucket) == ('localhost', 'mine')
    storage.put_object('mine', 'a/b', 'x')
    assert (tmp_path / 'mine' / 'a' / 'b').read_text() == 'x'
    again = Storage(storage_config=storage.get_storage_config())
    assert again.get_object('mine', 'a/b') == b'x'
    internal = InternalStorage(storage.get_storage_config())
    internal.put_data('data', b'1')
    assert internal.get_data('data') == b'1' and (tmp_path / 'mine' / 'data').exists()
    internal.del_data('data')
    assert pickle.loads(pickle.dumps(storage)).get_object('mine', 'a/b') == b'x'
    client = storage.get_client()
    client.put_object(Bucket='mine', Key='c', Body=b'y')
    assert client.get_object(Bucket='mine', Key='c')['Body'].read() == b'y'
    with lithops.FunctionExecutor(config=config) as fexec:
        assert fexec.storage.get_object('mine', 'a/b') == b'x'
        assert fexec.call_async(lambda storage: storage.list_keys('mine'), ()).result() == [
            'a/b', 'c']
        assert fexec.internal_storage.bucket == 'mine'


def test_wrong_configurations():
    with pytest.raises(NotImplementedError, match='localhots'):
        Storage(backend='localhots')
    with pytest.raises(ValueError, match='storage_buckte'):
        Storage(config={'lithops': {'storage': 'localhost', 'strict': True},
                        'localhost': {'storage_buckte': 'b'}})


def test_the_class_at_upstreams_place(storage, tmp_path):
    from lithops.storage.backends.localhost.localhost import LocalhostStorageBackend
    backend = LocalhostStorageBackend({'storage_root': str(tmp_path), 'worker_processes': 3})
    backend.put_object('bucket', 'key', b'data')
    assert backend.get_object('bucket', 'key') == b'data'
    assert (tmp_path / 'bucket' / 'key').read_bytes() == b'data'
    assert backend.list_keys('bucket') == ['key'] == pickle.loads(
        pickle.dumps(backend)).list_keys('bucket')
    body = backend.get_client().get_object('bucket', 'key', Range='bytes=1-2')['Body']
    assert body.read() == b'at'
    assert isinstance(LocalhostStorageBackend(), Storage)


def test_compressed_objects_are_read_as_their_content(tmp_path):
    import gzip
    text = b''.join(b'line %d\n' % i for i in range(10000))
    (tmp_path / 'a.gz').write_bytes(gzip.compress(text))
    path = str(tmp_path / 'a.gz')
    with lithops.FunctionExecutor() as fexec:
        assert fexec.map(lambda obj: obj.data_stream.read(), [path]).get_result() == [text]
        assert fexec.map(lambda obj: sum(1 for _ in obj.data_stream), [path]).get_result() == [10000]
        raw = fexec.map(lambda obj: obj.data_stream.read(), [path], obj_newline=None).get_result()
        assert gzip.decompress(raw[0]) == text
        with pytest.raises(ValueError, match='cannot be split'):
            fexec.map(lambda obj: 1, [path], obj_chunk_number=2)


def test_buckets_and_files(tmp_path, monkeypatch):
    config = {'lithops': {'storage': 'localhost'}, 'localhost': {'storage_root': str(tmp_path)}}
    storage = Storage(config=config)
    storage.create_bucket('made')
    storage.create_bucket('made')
    assert (tmp_path / 'made').is_dir()
    storage.put_object('made', 'a/b', b'content')
    path = tmp_path / 'back' / 'b'
    assert storage.download_file('made', 'a/b', str(path))
    assert path.read_bytes() == b'content'
    assert not storage.download_file('made', 'none', str(path))
    assert path.read_bytes() == b'content' and os.listdir(path.parent) == ['b']


def test_a_client_of_boto3(monkeypatch):
    made = []
    boto3 = types.ModuleType('boto3')
    boto3.client = lambda *args, **keys: made.append((args, keys)) or 'client'
    monkeypatch.setitem(sys.modules, 'boto3', boto3)
    storage = Storage(config={
        'lithops': {'storage': 'minio'},
        'minio': {'endpoint': 'http://127.0.0.1:1', 'access_key_id': 'k', 'secret_access_key': 's'}})
    assert storage.get_client() == 'client'
    (args, keys), = made
    assert args == ('s3',) and keys['endpoint_url'] == 'http://127.0.0.1:1'
    assert (keys['aws_access_key_id'], keys['aws_secret_access_key']) == ('k', 's')
    monkeypatch.setitem(sys.modules, 'boto3', None)
    client = storage.get_client()
    assert client != 'client'
    with pytest.raises(AttributeError, match="has no 'upload_fileobj'.* of boto3, install it"):
        client.upload_fileobj()


def test_clients_of_other_libraries(monkeypatch):
    made = {}
    redis, blob = types.ModuleType('redis'), types.ModuleType('azure.storage.blob')
    redis.StrictRedis = lambda **keys: made.update(redis=keys) or 'redis'
    blob.BlobServiceClient = lambda **keys: made.update(azure=keys) or 'azure'
    for module in (redis, blob, types.ModuleType('azure'), types.ModuleType('azure.storage')):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    sections = {'redis': {'host': 'h', 'password': 'p', 'storage_bucket': 'b'},
                'azure_storage': {'storage_account_name': 'n', 'storage_account_key': 'aw=='}}
    for backend, section in sections.items():
        config = {'lithops': {'storage': backend}, backend: section}
        assert Storage(config=config).get_client() == backend.partition('_')[0]
    assert made == {'redis': {'host': 'h', 'password': 'p'},
                    'azure': {'account_url': 'https://n.blob.core.windows.net',
                              'credential': 'aw=='}}
    monkeypatch.setitem(sys.modules, 'redis', None)
    with pytest.raises(AttributeError, match="has no 'set'.* of redis, install it"):
        Storage(config={'lithops': {'storage': 'redis'},
                        'redis': sections['redis']}).get_client().set


def test_a_client_of_infinispan(monkeypatch):
    from lithops.storage import clients
    requests, auth = types.ModuleType('requests'), types.ModuleType('requests.auth')
    requests.Session = types.SimpleNamespace
    auth.HTTPBasicAuth = lambda *user: ('basic', *user)
    auth.HTTPDigestAuth = lambda *user: ('digest', *user)
    for module in requests, auth:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    section = {'endpoint': 'http://h:11222/', 'username': 'u', 'password': 'p'}
    client = Storage(config={'lithops': {'storage': 'infinispan'},
                             'infinispan': section}).get_client()
    assert client.endpoint == 'http://h:11222/rest/v2/caches'
    assert client.auth == ('digest', 'u', 'p')
    client = clients.make_client('infinispan', {**section, 'auth_mech': 'BASIC'})
    assert client.auth == ('basic', 'u', 'p')
    assert not hasattr(clients.make_client('infinispan', {'endpoint': 'http://h:11222'}), 'auth')
    assert clients.make_client('infinispan', {'username': 'u'}) is None


def test_clients_of_google_and_aliyun(monkeypatch):
    from lithops.storage import clients
    made = []

    class Client:
        @staticmethod
        def from_service_account_json(path):
            made.append(path)
            return 'google'

    for name in ('google', 'google.cloud', 'google.cloud.storage', 'boto3'):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules['google.cloud'].storage = sys.modules['google.cloud.storage']
    sys.modules['google.cloud.storage'].Client = Client
    sys.modules['boto3'].client = lambda *args, **keys: made.append(keys['endpoint_url']) or 's3'
    monkeypatch.delenv('GOOGLE_APPLICATION_CREDENTIALS', raising=False)
    assert clients.make_client('gcp_storage', {'region': 'r'}) is None
    assert clients.make_client('gcp_storage', {'credentials_path': '/a/key.json'}) == 'google'
    keys = {'access_key_id': 'k', 'secret_access_key': 's'}
    assert clients.make_client('gcp_storage', keys) == 's3'
    monkeypatch.setenv('GOOGLE_APPLICATION_CREDENTIALS', '/b/key.json')
    assert clients.make_client('gcp_storage', {'region': 'r'}) == 'google'
    assert made == ['/a/key.json', 'https://storage.googleapis.com', '/b/key.json']
    storage = Storage(config={
        'lithops': {'storage': 'aliyun_oss'},
        'aliyun_oss': {'region': 'r', 'access_key_id': 'k', 'access_key_secret': 's'}})
    assert storage.get_client() is storage
