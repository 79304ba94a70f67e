# SPDX-License-Identifier: Apache-2.0
"""map_reduce, and maps over objects."""

import http.server
import os
import pathlib
import threading

import package_functions as f
import pytest

import lithops
from lithops.storage.utils import (
    CloudObject, CloudObjectLocal, CloudObjectUrl, StorageNoSuchKeyError)
from lithops.utils import FuturesList


def test_map_reduce(fexec):
    futures = fexec.map_reduce(f.double, [1, 2, 3], f.total)
    assert type(futures) is FuturesList and len(futures) == 4
    assert [future.job_id[0] for future in futures] == list('MMMR')
    assert fexec.get_result() == 12
    assert fexec.get_result() == []
    assert fexec.get_result(futures) == 12 == futures.get_result()
    assert lithops.get_result(futures) == [12]
    assert [future.result() for future in futures] == [2, 4, 6, 12]


@pytest.mark.parametrize('extra,expected', [
    ((5,), 17), ([5], 17), ((5, 10), 170), ({'more': 5}, 17), ({'more': 5, 'factor': 2}, 34)])
def test_extra_args_reduce(fexec, extra, expected):
    fexec.map_reduce(f.double, [1, 2, 3], f.total_and, extra_args_reduce=extra)
    assert fexec.get_result() == expected


def test_what_does_not_fit(fexec):
    with pytest.raises(TypeError, match="'more'"):
        fexec.map_reduce(f.double, [1], f.total_and)
    with pytest.raises(TypeError, match='too many'):
        fexec.map_reduce(f.double, [1], f.total, extra_args_reduce=(1,))
    with pytest.raises(TypeError, match="'x'"):
        fexec.map_reduce(f.double, [1], f.total, extra_args_reduce={'x': 1})
    with pytest.raises(TypeError, match='callable'):
        fexec.map_reduce(f.double, [1], None)


@pytest.mark.parametrize('spawn', [0, 20, 50, 100, -1, None])
def test_spawn_reducer(fexec, spawn):
    fexec.map_reduce(f.add, [(1, 1), (2, 2)], f.total, spawn_reducer=spawn)
    assert fexec.get_result() == 6


def test_one_process_is_enough():
    with lithops.FunctionExecutor(worker_processes=1) as one:
        one.map_reduce(f.double, range(100), f.total, spawn_reducer=0)
        assert one.get_result(timeout=60) == 9900


def test_builtin_and_lambda_reducers(fexec):
    assert fexec.get_result(fexec.map_reduce(f.one, [3, 1, 2], sorted)) == [1, 2, 3]
    assert fexec.get_result(fexec.map_reduce(
        lambda x: x, [3, 1], lambda results: max(results))) == 3
    assert fexec.get_result(fexec.map_reduce(f.one, [3], lambda results, id: (results, id))) == (
        [3], 0)


def test_empty_map_reduce(fexec):
    futures = fexec.map_reduce(f.one, [], f.total)
    assert fexec.get_result(futures) == 0


def test_failures(fexec):
    fexec.map_reduce(f.fail_on_two, [1, 2], f.total)
    with pytest.raises(ValueError, match='two'):
        fexec.get_result()
    fexec.map_reduce(f.one, [1, 2], f.fail_oddly)
    with pytest.raises(f.OddError):
        fexec.get_result()
    assert fexec.get_result(fexec.map_reduce(
        f.fail_on_two, [2], f.total), throw_except=False) is None


def test_long_failure(fexec):
    fexec.map_reduce(f.fail_at_length, [2_000_000, 2_000_000], f.total)
    with pytest.raises(ValueError, match='^x{1000}'):
        fexec.get_result()


def test_reduce_job_environment(fexec):
    assert fexec.get_result(fexec.map_reduce(
        f.one, ['X_TEST'], lambda results: __import__('os').environ[results[0]],
        extra_env={'X_TEST': 'x'})) == 'x'


# ---- objects -------------------------------------------------------------------------------------


TEXT = ''.join(f'line {i}\n' for i in range(100))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'data.txt'
    path.write_text(TEXT)
    return str(path)


@pytest.fixture
def prefix(fexec):
    prefix = '__test/words/'
    for name, text in (('a', 'one two\n'), ('b', 'three\n')):
        fexec.storage.put_object(fexec.storage.bucket, prefix + name, text)
    yield prefix
    fexec.storage.delete_objects(fexec.storage.bucket,
                                 fexec.storage.list_keys(fexec.storage.bucket, prefix))


def test_files(fexec, file, tmp_path):
    assert fexec.get_result(fexec.map(f.read_object, file)) == [TEXT]
    assert fexec.get_result(fexec.map(f.read_object, [file])) == [TEXT]
    assert fexec.get_result(fexec.map(f.read_object, [file], obj_chunk_size=0)) == [TEXT]
    assert fexec.get_result(fexec.map(f.read_object, [{'obj': file}])) == [TEXT]
    assert fexec.get_result(fexec.map(f.read_object, [CloudObjectLocal(file)])) == [TEXT]
    (tmp_path / 'other.txt').write_text('other')
    assert sorted(fexec.get_result(fexec.map(f.read_object, str(tmp_path)))) == [TEXT, 'other']


def test_a_call_over_an_object(fexec, file):
    assert fexec.call_async(f.read_object, file).result() == TEXT
    assert fexec.call_async(f.object_and_more, {'obj': file, 'x': 1}).result() == (TEXT, 1, 0)
    fexec.get_result()
    fexec.call_async(f.object_and_more, (file, 2))
    assert fexec.get_result() == (TEXT, 2, 0)


def test_chunks(fexec, file):
    futures = fexec.map(f.describe_object, file, obj_chunk_number=4)
    chunks = fexec.get_result(futures)
    assert len(chunks) == len(futures) == 4
    assert ''.join(chunk['text'] for chunk in chunks) == TEXT
    assert [chunk['part'] for chunk in chunks] == [1, 2, 3, 4]
    assert [chunk['id'] for chunk in chunks] == [0, 1, 2, 3]
    assert {chunk['total'] for chunk in chunks} == {4}
    assert all(chunk['text'].endswith('\n') for chunk in chunks)
    pieces = fexec.get_result(fexec.map(f.read_object, file, obj_chunk_size=40, obj_newline=None))
    assert ''.join(pieces) == TEXT and {len(piece) for piece in pieces[:-1]} == {40}
    lines = fexec.get_result(fexec.map(
        lambda obj: [line for line in obj.data_stream], [file], obj_chunk_size=300))
    assert b''.join(sum(lines, [])).decode() == TEXT


def test_objects_of_a_storage(fexec, prefix):
    bucket, backend = fexec.storage.bucket, fexec.storage.backend
    for name in (f'{bucket}/{prefix}', f'{backend}://{bucket}/{prefix}'):
        assert sorted(fexec.get_result(fexec.map(f.read_object, name))) == ['one two\n', 'three\n']
    key = f'{bucket}/{prefix}a'
    assert fexec.get_result(fexec.map(f.read_object, [key])) == ['one two\n']
    cloudobject = CloudObject(backend, bucket, prefix + 'b')
    assert fexec.get_result(fexec.map(f.read_object, [cloudobject])) == ['three\n']
    described = fexec.get_result(fexec.map(f.describe_object, [key]))[0]
    assert described['key'] == prefix + 'a' and described['size'] == 8
    futures = fexec.map_reduce(f.read_object, f'{bucket}/{prefix}', sorted)
    assert fexec.get_result(futures) == ['one two\n', 'three\n']
    futures = fexec.map_reduce(f.read_object, [f'{bucket}/{prefix}a', f'{bucket}/{prefix}b'],
                               f.one, obj_reduce_by_key=True, obj_chunk_number=1)
    assert fexec.get_result(futures) == [['one two\n'], ['three\n']]
    futures = fexec.map_reduce(f.read_object, [f'{bucket}/{prefix}a'], f.one,
                               obj_reduce_by_key=True)
    assert fexec.get_result(futures) == ['one two\n']
    assert fexec.get_result(fexec.map_reduce(f.one, [1, 2], f.one, obj_reduce_by_key=True)) == [
        1, 2]


def test_objects_with_more_arguments(fexec, file):
    items = [{'obj': file, 'x': 1}, {'obj': file, 'x': 2, 'y': [5]}]
    assert fexec.get_result(fexec.map(f.object_and_more, items)) == [(TEXT, 1, 0), (TEXT, 2, [5])]
    assert items == [{'obj': file, 'x': 1}, {'obj': file, 'x': 2, 'y': [5]}]
    assert fexec.get_result(fexec.map(f.object_and_more, [(file, 1)])) == [(TEXT, 1, 0)]
    assert fexec.get_result(fexec.map(f.object_and_more, [file], extra_args=(7, 8))) == [
        (TEXT, 7, 8)]
    assert fexec.get_result(fexec.map(f.object_and_more, [file], extra_args={'x': 7})) == [
        (TEXT, 7, 0)]
    assert fexec.get_result(fexec.map(
        f.object_and_more, [{'obj': file}], extra_args={'x': 7})) == [(TEXT, 7, 0)]
    assert fexec.get_result(fexec.map(lambda x, obj: (x, obj.data_stream.read(4)),
                                      [(3, file)])) == [(3, b'line')]
    chunks = fexec.get_result(fexec.map(f.object_and_more, [{'obj': file, 'x': {'k': 1}}],
                                        obj_chunk_number=2))
    assert [chunk[1] for chunk in chunks] == [{'k': 1}] * 2


def test_wrong_objects(fexec, file):
    with pytest.raises(ValueError, match="'x'"):
        fexec.map(f.object_and_more, [{'obj': file}])
    with pytest.raises(ValueError, match="'obj'"):
        fexec.map(f.object_and_more, [{'x': file}])
    with pytest.raises(TypeError, match='named by a str'):
        fexec.map(f.read_object, [5])
    for name in ('/no/such/file', 'storage/no/such/key', 'nosuchbucket/key'):
        with pytest.raises(StorageNoSuchKeyError, match='no'):
            fexec.map(f.read_object, name)
        with pytest.raises(FileNotFoundError, match='no'):
            fexec.map_reduce(f.read_object, name, f.total)


def test_names_of_objects_are_only_strings_elsewhere(fexec, file):
    assert fexec.get_result(fexec.map(f.one, [file])) == [file]
    assert fexec.get_result(fexec.map(f.one, [file], obj_chunk_size=100)) == [file]
    assert fexec.get_result(fexec.map(lambda url: url, ['http://x/y'])) == ['http://x/y']


class Server(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(TEXT.encode(), 200, ())

    def do_GET(self):
        data, where, status, headers = TEXT.encode(), self.headers.get('Range'), 200, ()
        if where:
            first, last = where.removeprefix('bytes=').split('-')
            end = min(int(last or len(data)), len(data) - 1)
            headers = (('Content-Range', f'bytes {first}-{end}/{len(data)}'),)
            data, status = data[int(first):end + 1], 206
        self.answer(data, status, headers)
        self.wfile.write(data)

    def answer(self, data, status, headers):
        self.send_response(status)
        self.send_header('Content-Length', str(len(data)))
        self.send_header('Accept-Ranges', 'bytes')
        for header in headers:
            self.send_header(*header)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_urls(fexec):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_port}/data.txt'
    try:
        assert fexec.get_result(fexec.map(f.read_object, [url])) == [TEXT]
        assert fexec.get_result(fexec.map(f.read_object, [CloudObjectUrl(url)])) == [TEXT]
        chunks = fexec.get_result(fexec.map(f.read_object, url, obj_chunk_number=3))
        assert len(chunks) == 3 and ''.join(chunks) == TEXT
    finally:
        server.shutdown()
        server.server_close()


def test_names_that_are_not_utf8(fexec, tmp_path):
    """As Python has them: str with surrogates, bytes, paths; and found in a folder."""
    name = os.fsencode(tmp_path) + b'/caf\xe9 \xff.txt'
    with open(name, 'wb') as file:
        file.write(b'one\ntwo\n')
    for given in (os.fsdecode(name), name, pathlib.Path(os.fsdecode(name)), str(tmp_path)):
        for options in ({}, {'obj_chunk_size': 4}):
            found = fexec.get_result(fexec.map(f.path_and_data, [given], **options))
            assert b''.join(data for _, data in found) == b'one\ntwo\n'
            assert {os.fsencode(path) for path, _ in found} == {name}


def test_separators_with_nul(fexec, tmp_path):
    """As in UTF-16: refused, see docs/coming-from-lithops.md; without lines it is cut anywhere."""
    path = tmp_path / 'utf-16'
    path.write_bytes('a\nb\n'.encode('utf-16-le'))
    for newline in ('\n\0', '\0', 'a\0b'):
        with pytest.raises(ValueError, match='obj_newline'):
            fexec.map(f.path_and_data, str(path), obj_chunk_size=4, obj_newline=newline)
    parts = fexec.map(f.path_and_data, str(path), obj_chunk_size=4, obj_newline=None).get_result()
    assert b''.join(part for _, part in parts).decode('utf-16-le') == 'a\nb\n' and len(parts) == 2
