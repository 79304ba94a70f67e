# SPDX-License-Identifier: Apache-2.0
"""How data becomes arguments. Expected values are upstream's, where it has a say."""

import array
import collections
import functools
import warnings

import package_functions as f
import pytest


def run(fexec, function, iterdata, **options):
    return fexec.get_result(fexec.map(function, iterdata, **options))


@pytest.mark.parametrize('function,iterdata,expected', [
    (f.add, [(1, 2), (3, 4)], [3, 7]),
    (f.add, [{'x': 1, 'y': 2}, {'y': 4, 'x': 3}], [3, 7]),
    (f.add, [(1, 2), {'x': 3, 'y': 4}], [3, 7]),
    (f.one, [1, 2.5, 'a', b'b', None, True], [1, 2.5, 'a', b'b', None, True]),
    (f.one, [[1, 2], [3]], [[1, 2], [3]]),
    (f.one, [(1,), ((1, 2),)], [1, (1, 2)]),
    (f.one, [{'x': {'a': 1}}], [{'a': 1}]),
    (f.add_default, [(1,), (1, 1), 5, {'x': 1}], [4, 2, 8, 4]),
    (f.keywords, [{'a': 1, 'b': 2}, {}], [{'a': 1, 'b': 2}, {}]),
    (f.positional, [(1, 2), 3, ()], [(1, 2), (3,), ()]),
    (f.nothing, [(), {}], [7, 7]),
    (f.add, [f.Pair(1, 2)], [3]),
    (f.one, [collections.OrderedDict(x=3)], [3]),
    (f.with_id, [10, 20], [(10, 0), (20, 1)]),
    (f.id_first, [10, (20, 2), {'x': 30, 'y': 3}], [(0, 10, 0), (1, 20, 2), (2, 30, 3)]),
    (f.everything, [{'a': 1, 'b': 2, 'd': 3}, {'args': (1, 2), 'd': 3},
                    {'args': (1, 2), 'd': 3, 'e': 4}, {'args': (1, 2), 'd': 3, 'f': 4},
                    {'args': (1, 2), 'kwargs': {'d': 3, 'e': 6, 'f': 4}}], [11, 11, 10, 15, 16]),
])
def test_items(fexec, function, iterdata, expected):
    assert run(fexec, function, iterdata) == expected


def test_builtins(fexec):
    assert run(fexec, abs, [-1, 2]) == [1, 2]
    assert run(fexec, pow, [(2, 8)]) == [256]
    assert run(fexec, max, [(1, 5, 3), ([4, 2],)]) == [5, 4]
    assert run(fexec, str.upper, ['ab']) == ['AB']
    assert run(fexec, int, ['12', ('ff', 16)]) == [12, 255]


@pytest.mark.parametrize('iterdata,expected', [
    (range(3), [0, 1, 2]),
    ({7}, [7]),
    (frozenset([7]), [7]),
    ((x for x in [1, 2]), [1, 2]),
    (iter([1, 2]), [1, 2]),
    (map(str, [1, 2]), ['1', '2']),
    (zip([1], [2]), None),
    ({'a': 1}.keys(), ['a']),
    (collections.deque([1, 2]), [1, 2]),
    (array.array('i', [1, 2]), [1, 2]),
    ('ab', ['ab']),
    (b'ab', [b'ab']),
    (5, [5]),
    (None, [None]),
    ((9,), [9]),
    ({'x': 4}, [4]),
    ([], []),
    (range(0), []),
    (iter(()), []),
])
def test_iterdata(fexec, iterdata, expected):
    if expected is None:
        assert run(fexec, f.add, iterdata) == [3]
    else:
        assert run(fexec, f.one, iterdata) == expected


def test_numpy_and_pandas(fexec):
    np = pytest.importorskip('numpy')
    pd = pytest.importorskip('pandas')
    assert run(fexec, f.double, np.arange(3)) == [0, 2, 4]
    assert [list(row) for row in run(fexec, f.double, np.ones((2, 2)))] == [[2, 2], [2, 2]]
    assert run(fexec, f.double, pd.Series([1, 2], index=['a', 'b'])) == [2, 4]
    assert run(fexec, f.double, pd.Index([1, 2])) == [2, 4]
    frame = pd.DataFrame({'a': [1, 2]})
    assert [len(result) for result in run(fexec, f.one, frame)] == [2]
    assert [len(result) for result in run(fexec, f.one, [frame, frame])] == [2, 2]


def test_empty(fexec):
    futures = fexec.map(f.one, [])
    assert futures == [] and fexec.get_result(futures) == []
    assert fexec.wait([]) == ([], [])
    with pytest.raises(TypeError):
        fexec.map('no function', [])


@pytest.mark.parametrize('function,iterdata,extra_args,expected', [
    (f.add, [1, 2, 3], {'y': 1}, [2, 3, 4]),
    (f.add, [1, 2, 3], (10,), [11, 12, 13]),
    (f.add, [1, 2], [5], [6, 7]),
    (f.add, [(1,), (2,)], (5,), [6, 7]),
    (f.add, [(1,), (2,)], [5], [6, 7]),
    (f.add, [(1,)], {'y': 5}, [6]),
    (f.add, [{'x': 1}, {'x': 2}], {'y': 5}, [6, 7]),
    (f.add, [(1, 2)], (), [3]),
    (f.add, [(1, 2)], {}, [3]),
    (f.positional, [f.Pair(1, 2)], (3,), [((1, 2), 3)]),
    (f.with_id, [5], None, [(5, 0)]),
    (f.id_first, [5, 6], (9,), [(0, 5, 9), (1, 6, 9)]),
    (f.change, [1, 2], ([],), [1, 1]),
])
def test_extra_args(fexec, function, iterdata, extra_args, expected):
    assert run(fexec, function, iterdata, extra_args=extra_args) == expected


def test_names_that_a_decorator_takes(fexec):
    assert run(fexec, f.shiftable, [{'x': 1, 'shift': 5}, {'x': 2}]) == [6, 2]
    assert fexec.call_async(f.shiftable, {'x': 1, 'shift': 1}).result() == 2
    with pytest.raises(ValueError, match="'x'"):
        fexec.map(f.shiftable, [{'shift': 5}])


def test_extra_args_are_not_changed(fexec):
    items, extra = [{'x': 1}, {'x': 2}], {'y': 5}
    assert run(fexec, f.add, items, extra_args=extra) == [6, 7]
    assert items == [{'x': 1}, {'x': 2}] and extra == {'y': 5}
    mutable = [0]
    assert run(fexec, f.change, [1, 2], extra_args=(mutable,)) == [2, 2]
    assert mutable == [0]


@pytest.mark.parametrize('function,iterdata,extra_args,error', [
    (f.add, [1], None, (TypeError, "missing a required argument: 'y'")),
    (f.add, [(1,)], None, (TypeError, "missing a required argument: 'y'")),
    (f.add, [(1, 2), (1, 2, 3)], None, (TypeError, 'too many positional')),
    (f.one, [(1, 2)], None, (TypeError, 'too many positional')),
    (f.one, [1], (2,), (TypeError, 'too many positional')),
    (f.add, [{'x': 1}], None, (ValueError, "'y'")),
    (f.add, [{'x': 1, 'y': 2, 'z': 3}], None, (TypeError, "'z'")),
    (f.add, [{'x': 1, 'z': 3}], None, (ValueError, "'z'")),
    (f.add_default, [{'x': 1, 'z': 3}], None, (ValueError, "'z'")),
    (f.add_default, [{'x': 1}], {'z': 3}, (ValueError, "'z'")),
    (f.add, [{1: 2}], None, (ValueError, 'must be str')),
    (f.add, [{'x': 1}], (2,), (TypeError, 'must be a dict')),
    (f.add, [1], {'x': 2}, (TypeError, 'multiple values')),
    (f.add, [1], {'z': 2}, (TypeError, "'z'")),
    (f.add, [1], 5, (TypeError, 'extra_args')),
    (f.add, [1], 'ab', (TypeError, 'extra_args')),
    (f.nothing, [None], None, (TypeError, 'too many positional')),
    (f.with_id, [(1, 2)], None, (TypeError, 'too many positional')),
])
def test_what_does_not_fit(fexec, function, iterdata, extra_args, error):
    count = len(fexec.futures)
    with pytest.raises(error[0], match=error[1]):
        fexec.map(function, iterdata, extra_args=extra_args)
    assert len(fexec.futures) == count


@pytest.mark.parametrize('function,data,expected', [
    (f.add, (4, 6), 10),
    (f.add, {'x': 2, 'y': 8}, 10),
    (f.add, [1, 3], 4),  # does not bind as one argument
    (f.one, [1, 3], [1, 3]),
    (f.add_default, [[1], [2]], None),
    (lambda x: ' '.join(x), ['a', 'b'], 'a b'),
    (functools.partial(f.add, 4), 6, 10),
    (f.positional, [1, 2], ([1, 2],)),
    (f.positional, range(2), (range(2),)),
    (f.nothing, (), 7),
    (f.nothing, {}, 7),
    (f.nothing, [], 7),
    (f.positional, None, (None,)),
    (f.one, '', ''),
    (f.one, {'x': []}, []),
    (f.one, {1, 2}, {1, 2}),
])
def test_call_async(fexec, function, data, expected):
    future = fexec.call_async(function, data)
    if expected is None:
        with pytest.raises(TypeError):
            future.result()
    else:
        assert future.result() == expected


@pytest.mark.parametrize('data', [1, (1,), (1, 2, 3), [1], [1, 2, 3], None])
def test_call_async_of_what_does_not_fit(fexec, data):
    with pytest.raises(TypeError):
        fexec.call_async(f.add, data)
    with pytest.raises(ValueError):
        fexec.call_async(f.add, {'x': 1})


def test_storage_is_injected(fexec):
    assert fexec.call_async(f.with_storage, ()).result() == (fexec.storage.backend, fexec.storage.bucket)


def test_own_value_for_a_reserved_name_warns(fexec):
    with pytest.warns(UserWarning, match="'id'"):
        future = fexec.call_async(f.with_id, {'x': 1, 'id': 7})
    assert future.result() == (1, 0)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert fexec.call_async(f.keywords, {'id': 7}).result() == {'id': 7}


def test_environment(fexec):
    env = {'LITHOPS_TEST_X': True, 'LITHOPS_TEST_Y': 'y'}
    assert run(fexec, f.environment, ['LITHOPS_TEST_X', 'LITHOPS_TEST_Y'], extra_env=env) == [
        'True', 'y']
    assert env == {'LITHOPS_TEST_X': True, 'LITHOPS_TEST_Y': 'y'}
    assert run(fexec, f.environment, ['LITHOPS_TEST_X'] * 4) == [None] * 4
    assert fexec.call_async(f.environment, 'LITHOPS_TEST_Y', env).result() == 'y'
    for bad in (['x'], {'a': []}, {1: 'a'}):
        with pytest.raises(TypeError, match='extra_env'):
            fexec.call_async(f.environment, 'x', extra_env=bad)


def test_many(fexec):
    count = 20_000
    assert run(fexec, f.one, range(count)) == list(range(count))
    assert run(fexec, f.add, [(i, i) for i in range(count)]) == list(range(0, 2 * count, 2))
    assert run(fexec, f.one, [{'x': str(i)} for i in range(count)])[-1] == str(count - 1)


def test_builtins_whose_parameter_is_called_obj(fexec):
    """Reserved names of positional-only parameters are not filled in."""
    assert fexec.map(len, ['a', 'bc']).get_result() == [1, 2]
    assert fexec.map_reduce(len, ['a', 'bc'], sum).get_result() == 3
