# SPDX-License-Identifier: Apache-2.0
"""Results larger than `shared_memory`: as a stream, and where they do not fit."""

import time

import pytest

import lithops

TEN_MB = 10_000_000


@pytest.fixture(params=[('localhost', 1), ('localhost', 2), ('process', 2)], ids='{0[0]}-{0[1]}'.format)
def fexec(request):
    backend, processes = request.param
    with lithops.FunctionExecutor(backend=backend, worker_processes=processes, shared_memory=100) as fexec:
        yield fexec


def of_map(fexec):
    return fexec.map(bytes, [TEN_MB] * 30)


def of_single_calls(fexec):
    return [fexec.call_async(bytes, TEN_MB) for _ in range(30)]


def has_room(fexec):
    for size in TEN_MB, 5 * TEN_MB, 100, TEN_MB:
        assert len(fexec.call_async(bytes, size).result()) == size


@pytest.mark.parametrize('start', [of_map, of_single_calls])
def test_a_stream(fexec, start):
    for _ in range(2):
        count = 0
        for future in lithops.as_completed(start(fexec)):
            assert len(future.result()) == TEN_MB
            count += 1
        assert count == 30
    del future
    has_room(fexec)


def by_result(fexec, future):
    return future.result()


def by_get_result(fexec, future):
    return fexec.get_result(future)


@pytest.mark.parametrize('take', [by_result, by_get_result])
@pytest.mark.parametrize('start', [of_map, of_single_calls])
def test_a_stream_in_order(fexec, start, take):
    futures = start(fexec)
    while futures:
        assert len(take(fexec, futures.pop(0))) == TEN_MB
    has_room(fexec)


def late(number):
    """Some come to their result long after later ones did."""
    if number % 7 == 0:
        time.sleep(0.05)
    return bytes([number]) * TEN_MB


def late_by_map(fexec):
    return list(fexec.map(late, range(60)))


def late_by_calls(fexec):
    return [fexec.call_async(late, number) for number in range(60)]


@pytest.mark.parametrize('processes', [2, 6])
def test_a_stream_in_order_of_calls_that_are_not(processes):
    with lithops.FunctionExecutor(backend='localhost', worker_processes=processes, shared_memory=100) as fexec:
        for start in [late_by_map, late_by_calls] * 3:
            futures = start(fexec)
            for number in range(60):
                assert futures.pop(0).result()[0] == number


@pytest.mark.parametrize('start', [of_map, of_single_calls])
def test_what_does_not_fit_ends(fexec, start):
    futures, began = start(fexec), time.monotonic()
    with pytest.raises(OSError, match='release or clean results, or raise (localhost|process).shared_memory'):
        fexec.get_result(futures)
    fexec.wait(futures, throw_except=False)
    assert time.monotonic() - began < 20  # those that do not fit together, not one after the other
    assert sum(future.success for future in futures) < 12


def test_a_stream_of_which_everything_is_held_ends(fexec):
    futures, began = of_map(fexec), time.monotonic()
    with pytest.raises(OSError, match='release or clean results'):
        for future in lithops.as_completed(futures):
            future.result()
    assert time.monotonic() - began < 20
