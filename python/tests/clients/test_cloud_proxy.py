# SPDX-License-Identifier: Apache-2.0
"""Files that are objects."""
import os as real_os
import pickle

import lithops
import pytest
from lithops.storage import cloud_proxy
from lithops.storage.cloud_proxy import CloudStorage, open, os, remove_lithops_keys
from lithops.storage.utils import StorageNoSuchKeyError


@pytest.fixture(autouse=True)
def files():
    for name, text in {'one.txt': '1\n2\n', 'sub/two.txt': 'two', 'sub/deep/three': '3'}.items():
        with open('proxy/' + name, 'w') as file:
            file.write(text)
    yield
    for folder, _, names in os.walk('proxy'):
        for name in names:
            os.remove(os.path.join(folder, name))
    assert not os.path.exists('proxy')


def test_reading():
    with open('proxy/one.txt') as file:
        assert file.readline() == '1\n' and list(file) == ['2\n']
    with open('/proxy/sub/two.txt', 'rb') as file:
        assert file.read() == b'two' and file.seek(0) == 0
    with pytest.raises(StorageNoSuchKeyError) as raised:
        open('proxy/none')
    assert isinstance(raised.value, FileNotFoundError)


def test_writing():
    with os.open('proxy/bytes', 'wb') as file:
        file.write(b'\0\xff')
        file.write(b'.')
    assert open('proxy/bytes', 'rb').read() == b'\0\xff.'
    with open('proxy/text', 'wt') as file:
        file.write('é\n')
    assert open('proxy/text', 'rb').read() == 'é\n'.encode()
    with pytest.raises(ZeroDivisionError):
        with open('proxy/half', 'w') as file:
            file.write('half')
            1 / 0
    assert not os.path.exists('proxy/half')
    with open('proxy/text', 'w+') as file:
        file.write('again')
        assert file.seek(0) == 0 and file.read() == 'again'
    assert open('proxy/text').read() == 'again'
    for mode in ('a', 'r+', 'x', 'tb', '', 'w++', 'rw'):
        with pytest.raises(ValueError):
            open('proxy/text', mode)


def test_folders():
    assert sorted(os.listdir('proxy')) == ['one.txt', 'sub']
    assert sorted(os.listdir('/proxy/', suffix_dirs=True)) == ['one.txt', 'sub/']
    assert os.listdir('proxy/nothing') == []
    assert [(top, sorted(dirs), sorted(names)) for top, dirs, names in os.walk('proxy')] == [
        ('proxy', ['sub'], ['one.txt']), ('proxy/sub', ['deep'], ['two.txt']),
        ('proxy/sub/deep', [], ['three'])]
    assert [top for top, _, _ in os.walk('proxy', topdown=False)] == [
        'proxy/sub/deep', 'proxy/sub', 'proxy']
    assert list(os.walk('proxy/nothing')) == []
    os.makedirs('proxy/new', exist_ok=True)


def test_paths():
    assert os.path.isfile('proxy/one.txt') and not os.path.isfile('proxy/sub')
    assert os.path.isdir('proxy/sub') and not os.path.isdir('proxy/one.txt')
    assert os.path.exists('proxy/sub') and not os.path.exists('proxy/on')
    assert os.path.getsize('proxy/one.txt') == 4
    assert os.path.basename('proxy/one.txt') == 'one.txt' and os.getpid() == real_os.getpid()
    with pytest.raises(FileNotFoundError):
        os.path.getsize('proxy/none')
    os.remove('proxy/none')  # like upstream's
    assert open('./proxy/one.txt').read() == open('/./proxy/one.txt').read() == '1\n2\n'
    assert os.listdir('./proxy/sub') == os.listdir('proxy/sub')
    assert 'proxy' in os.listdir('.') and 'proxy' in os.listdir('./')


def test_what_lithops_keeps_is_not_shown():
    assert remove_lithops_keys(['lithops.jobs/x/func.pickle', 'mine']) == ['mine']


def test_in_calls():
    storage = CloudStorage()
    assert pickle.loads(pickle.dumps(storage)).bucket == storage.bucket

    def read(name):
        from lithops.storage.cloud_proxy import open
        with open(name) as file:
            return file.read()

    with lithops.FunctionExecutor() as fexec:
        assert fexec.call_async(read, 'proxy/sub/two.txt').result() == 'two'
        assert fexec.call_async(lambda key: storage.get_data(key), 'proxy/one.txt').result() \
            == b'1\n2\n'
        assert fexec.call_async(lambda: os.path.isdir('proxy/sub'), ()).result() is True


def test_other_names_are_missing():
    with pytest.raises(AttributeError):
        cloud_proxy.nothing
