# SPDX-License-Identifier: Apache-2.0
"""`_lithops.Storage` and `_lithops.Reader`, and plain values of configurations."""

import gzip
import io
import os
import signal
import threading

import pytest

from lithops import _lithops


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def storage(root):
    return _lithops.Storage(config=config_of(root))


def config_of(root):
    return {"lithops": {"storage": "localhost"}, "localhost": {"storage_root": str(root)}}


# ---- signals -------------------------------------------------------------------------------------

class Alarm(Exception):
    pass


def test_a_signal_handler_ends_a_request(storage):
    def handler(signum, frame):
        raise Alarm

    reading, writing = os.pipe()
    previous = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)  # nobody writes: the request waits for ever
        with pytest.raises(Alarm):
            storage.put('b', 'k', open(reading, 'rb', buffering=0))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        os.close(writing)
    storage.put('b', 'other', b'x')
    assert [info['key'] for info in storage.list('b')] == ['other']  # nothing is left of it


# ---- opening -------------------------------------------------------------------------------------


def test_names(storage):
    assert storage.backend == "localhost" and isinstance(storage.bucket, str)


def test_configuration_file(tmp_path, root):
    file = tmp_path / "config"
    file.write_text(f"localhost:\n  storage_root: {root}\n")
    storage = _lithops.Storage("localhost", config_file=file)
    storage.put("b", "k", b"1")
    assert (root / "b" / "k").read_bytes() == b"1"


@pytest.mark.parametrize("arguments, error", [
    ({"backend": "no_such"}, Exception),
    ({"config_file": "/no/such/file"}, Exception),
    ({"config": {"lithops": {"strict": True}, "localhost": {"storage_rot": "x"}}}, ValueError),
    ({"config": {"localhost": {"storage_root": object()}}}, TypeError),
    ({"config": [1]}, Exception),
    ({"config": {1: 2}}, TypeError),
    ({"backend": 3}, TypeError),
    ({"nonsense": 3}, TypeError),
], ids=str)
def test_opening_fails_with_an_error(arguments, error):
    with pytest.raises(error):
        _lithops.Storage(**arguments)


def test_what_does_not_fit_is_named():
    with pytest.raises(TypeError, match=r"\['localhost'\]\['a'\]\[1\]\['b'\].*set"):
        _lithops.Storage(config={"localhost": {"a": [0, {"b": set()}]}})
    with pytest.raises(TypeError, match="64 bits"):
        _lithops.Storage(config={"localhost": {"a": 2**64}})
    with pytest.raises(TypeError, match="surrogates"):
        _lithops.Storage(config={"localhost": {"a": "\ud800"}})
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match="512 levels"):
        _lithops.Storage(config={"localhost": endless})


# ---- bodies --------------------------------------------------------------------------------------


BODIES = {
    "bytes": (lambda: b"\0\xff" * 3, b"\0\xff" * 3),
    "empty": (lambda: b"", b""),
    "str": (lambda: "grüße\n", "grüße\n".encode()),
    "bytearray": (lambda: bytearray(b"abc"), b"abc"),
    "memoryview": (lambda: memoryview(b"abcdef")[2:4], b"cd"),
    "text file": (lambda: io.StringIO("äb"), "äb".encode()),
    "binary file": (lambda: io.BytesIO(b"ab"), b"ab"),
    "large": (lambda: b"x" * 5_000_000, b"x" * 5_000_000),
}


@pytest.mark.parametrize("name", BODIES)
def test_put_and_get(storage, name):
    make, expected = BODIES[name]
    assert storage.put("bucket", "a/key", make()) is None
    assert storage.get("bucket", "a/key") == expected
    assert storage.head("bucket", "a/key")["size"] == len(expected)


def test_files_are_stored_from_where_they_are(storage, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"line 1\nline 2\n" * 10_000)
    with open(path, "rb") as file:
        file.readline()
        storage.put("b", "rest", file)
    assert storage.get("b", "rest") == path.read_bytes()[7:]
    with open(path, "rb", buffering=0) as file:
        storage.put("b", "raw", file)
    with open(path) as file:
        storage.put("b", "text", file)
    assert storage.get("b", "raw") == storage.get("b", "text") == path.read_bytes()


def test_a_compressed_file_is_stored_as_it_reads(storage, tmp_path):
    with gzip.open(tmp_path / "z", "wb") as file:
        file.write(b"plain")
    with gzip.open(tmp_path / "z") as file:
        storage.put("b", "k", file)
    with io.BufferedReader(gzip.open(tmp_path / "z")) as file:
        storage.put("b", "k2", file)
    assert storage.get("b", "k") == storage.get("b", "k2") == b"plain"


def test_a_pipe_is_a_file_too(storage):
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    with open(reader, "rb") as file:
        storage.put("b", "k", file)
    assert storage.get("b", "k") == b"from a pipe"


@pytest.mark.parametrize("body", [None, 3, [b"a"], {"a": 1}, object()], ids=str)
def test_no_body(storage, body):
    with pytest.raises(TypeError):
        storage.put("b", "k", body)


def test_a_file_that_fails_leaves_nothing(storage):
    class Broken:
        def read(self):
            raise OSError("gone")
    with pytest.raises(OSError, match="gone"):
        storage.put("b", "k", Broken())
    class Odd:
        def read(self):
            return 3
    with pytest.raises(TypeError):
        storage.put("b", "k", Odd())
    with pytest.raises(Exception):
        storage.get("b", "k")


# ---- ranges and readers --------------------------------------------------------------------------


DATA = bytes(range(256)) * 1000


@pytest.mark.parametrize("offset, length", [
    (0, None), (0, 10), (5, 0), (255_990, 100), (256_000, 1), (10**12, 5), (3, 200_000),
    (None, None),
])
def test_ranges(storage, offset, length):
    storage.put("b", "k", DATA)
    start = offset or 0
    expected = DATA[start:] if length is None else DATA[start:start + length]
    assert storage.get("b", "k", offset, length) == expected
    assert storage.reader("b", "k", offset=offset, length=length).read() == expected


@pytest.mark.parametrize("offset", [-1, 2**64, 1.5, "1"], ids=repr)
def test_wrong_ranges(storage, offset):
    storage.put("b", "k", DATA)
    with pytest.raises((OverflowError, TypeError, ValueError)):
        storage.get("b", "k", offset)


def test_reader_is_a_raw_file(storage):
    storage.put("b", "k", DATA)
    with storage.reader("b", "k") as raw:
        assert raw.readable() and raw.seekable() and not raw.writable() and not raw.closed
        assert raw.read(3) == DATA[:3] and raw.tell() == 3
        buffer = bytearray(5)
        assert raw.readinto(buffer) == 5 and buffer == DATA[3:8]
        assert raw.seek(-2, 2) == len(DATA) - 2 and raw.read() == DATA[-2:] and raw.read() == b""
        assert raw.seek(-3, 1) == len(DATA) - 3 and raw.read(1) == DATA[-3:-2]
        assert raw.seek(10**9) == 10**9 and raw.read(1) == b""
        with pytest.raises(ValueError):
            raw.seek(-1)
        with pytest.raises(ValueError):
            raw.seek(0, 7)
    assert raw.closed
    raw.close()
    with pytest.raises(ValueError, match="closed"):
        raw.read()


def test_buffered_and_text_over_a_reader(storage):
    text = "".join(f"line {i}\n" for i in range(20_000))
    storage.put("b", "k", text)
    with io.TextIOWrapper(io.BufferedReader(storage.reader("b", "k"))) as file:
        assert file.readline() == "line 0\n"
        assert "line 0\n" + file.read() == text
        file.seek(0)
        assert list(file) == text.splitlines(keepends=True)


def test_a_reader_gives_one_version(storage):
    storage.put("b", "k", b"old" * 100_000)
    reader = storage.reader("b", "k")
    first = reader.read(3)
    storage.put("b", "k", b"new" * 100_000)
    assert first + reader.read() == b"old" * 100_000


def test_a_reader_keeps_its_storage_open(root):
    reader = _lithops.Storage(config=config_of(root))
    reader.put("b", "k", DATA)
    reader = reader.reader("b", "k")
    assert reader.read() == DATA


def test_no_reader_of_nothing(storage):
    storage.put("b", "k", b"")
    assert storage.reader("b", "k").read() == b""
    with pytest.raises(Exception, match="nothing"):
        storage.reader("b", "nothing")


# ---- listing, deleting ---------------------------------------------------------------------------


def test_list_in_byte_order(storage):
    keys = ["a-b", "a.b", "a/b", "a0", "z/ü", "z/\udcff"]
    for key in reversed(keys):
        storage.put("b", key, b"12")
    listed = storage.list("b")
    assert [info["key"] for info in listed] == sorted(keys, key=os.fsencode)
    assert {info["size"] for info in listed} == {2}
    assert all(info["last_modified"] > 1e9 and info["etag"] for info in listed)
    assert [info["key"] for info in storage.list("b", prefix="a")] == keys[:4]
    assert storage.list("b", "nothing") == []
    assert storage.get("b", "z/\udcff") == b"12"


def test_head_and_delete(storage):
    storage.put("b", "k", b"123")
    head = storage.head("b", "k")
    assert head["key"] == "k" and head["size"] == 3
    assert storage.delete("b", "k") is None
    assert storage.delete("b", "k") is None
    with pytest.raises(Exception, match="k"):
        storage.head("b", "k")


def test_delete_many(storage):
    for i in range(50):
        storage.put("b", f"k{i:02}", b"")
    storage.delete_many("b", (f"k{i:02}" for i in range(49)))
    storage.delete_many("b", [])
    assert [info["key"] for info in storage.list("b")] == ["k49"]
    with pytest.raises(TypeError, match="list of str"):
        storage.delete_many("b", "k49")
    with pytest.raises(TypeError):
        storage.delete_many("b", ["k49", 3])
    assert len(storage.list("b")) == 1


@pytest.mark.parametrize("bucket, key", [
    ("", "k"), ("b", ""), ("b", "/k"), ("b/c", "k"), ("..", "k"), ("b", "a/../c"), ("b" * 256, "k"),
    ("b", "k" * 1025),
])
def test_wrong_names(storage, bucket, key):
    with pytest.raises(ValueError):
        storage.put(bucket, key, b"")


@pytest.mark.parametrize("bucket, key", [(1, "k"), ("b", None), ("b", "k\0"), (b"b", "k\0")])
def test_names_that_are_none(storage, bucket, key):
    with pytest.raises((TypeError, ValueError)):
        storage.put(bucket, key, b"")


def test_lists_of_what_is_not_there(storage):
    with pytest.raises(Exception, match="no_such_bucket"):
        storage.list("no_such_bucket")


def test_a_full_disk_is_an_error():
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with pytest.raises((OSError, ValueError)):
        _lithops.Storage(config=config_of("/dev/full")).put("b", "k", b"x")


# ---- cloudobjects --------------------------------------------------------------------------------


def test_cloudobjects(storage):
    one = storage.cloudobject_put(b"body")
    two = storage.cloudobject_put("text", bucket="other", key="mine")
    assert one["backend"] == "localhost" and one["key"].startswith("lithops.jobs/tmp/")
    assert (two["bucket"], two["key"]) == ("other", "mine")
    assert storage.cloudobject_get(one) == b"body" and storage.cloudobject_get(two) == b"text"
    storage.cloudobject_delete(one)
    with pytest.raises(Exception):
        storage.cloudobject_get(one)


@pytest.mark.parametrize("thing", [None, {}, {"$cloudobject": True}, [1], "text", object()],
                         ids=str)
def test_no_cloudobjects(storage, thing):
    with pytest.raises((TypeError, ValueError)):
        storage.cloudobject_get(thing)
    with pytest.raises((TypeError, ValueError)):
        storage.cloudobject_delete(thing)


def test_cloudobjects_of_another_backend(storage):
    there = {**storage.cloudobject_put(b"x"), "backend": "aws_s3"}
    with pytest.raises(ValueError, match="aws_s3"):
        storage.cloudobject_get(there)


# ---- threads -------------------------------------------------------------------------------------


def test_many_threads(storage):
    errors = []

    def work(number):
        try:
            for i in range(30):
                body = bytes([number]) * (1000 + i)
                storage.put("b", f"{number}/{i}", body)
                assert storage.get("b", f"{number}/{i}") == body
                assert len(storage.list("b", f"{number}/")) == i + 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(storage.list("b")) == 180
