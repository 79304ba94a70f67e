# SPDX-License-Identifier: Apache-2.0
"""Parameters against what Python lets one call, over signatures by chance."""

import functools
import inspect
import random
import types

import pytest

from lithops._shared.adapters import ByName
from lithops._client.parameters import RESERVED, parameters_of


def random_function(chance):
    names = [f'p{i}' for i in range(chance.randrange(5))]
    posonly = chance.randrange(len(names) + 1)
    first_default = chance.randrange(len(names) + 1)
    parts = []
    for i, name in enumerate(names):
        parts.append(f'{name}=None' if i >= first_default else name)
        if i + 1 == posonly:
            parts.append('/')
    kwonly = [f'k{i}' for i in range(chance.randrange(3))]
    has_varargs = chance.random() < 0.3
    if has_varargs:
        parts.append('*rest')
    elif kwonly:
        parts.append('*')
    parts += [name + chance.choice(['', '=None']) for name in kwonly]
    if chance.random() < 0.3:
        parts.append('**more')
    namespace = {}
    exec(f'def function({", ".join(parts)}): pass', namespace)
    return namespace['function']


def can_be_called(function, count, keywords):
    try:
        function(*[None] * count, **dict.fromkeys(keywords))
    except TypeError:
        return False
    return True


def variants(function):
    """(what is looked at, what is called): functions that do nothing."""
    class Holder:
        method = function

    yield function, function
    yield functools.wraps(function)(lambda *args: None), function
    for other in (functools.partial(function, None), Holder().method):
        try:
            inspect.signature(other)
        except ValueError:  # no room for that argument
            continue
        yield other, other


@pytest.mark.parametrize('seed', range(20))
def test_as_python(seed):
    chance = random.Random(seed)
    for _ in range(60):
        for function, real in variants(random_function(chance)):
            for _ in range(6):
                count = chance.randrange(6)
                names = ['p1', 'p2', 'p3', 'k0', 'k1', 'other']
                if not isinstance(real, (functools.partial, types.MethodType)):
                    names.append('p0')  # which is given already in those
                keywords = chance.sample(names, chance.randrange(4))
                assert (parameters_of(function).problem(count, keywords) is None) == (
                    can_be_called(real, count, keywords)), (
                    inspect.signature(function), count, keywords)


def test_reserved_parameters():
    def function(a, id, b, storage, *, rabbitmq, c=1):
        pass

    parameters = parameters_of(function)
    assert parameters.inject == ('id', 'storage', 'rabbitmq')
    assert parameters.user_names == ('a', 'b') and parameters.kwonly == ('c',)
    assert parameters.shuffled and not parameters.takes_obj and not parameters.takes_one
    assert set(parameters.inject) <= set(RESERVED)
    assert parameters_of(lambda obj, id: 0).takes_obj
    assert not parameters_of(lambda obj, id: 0).shuffled


def test_names_that_a_signature_hides():
    """Names that `__wrapped__` or `__signature__` does not have go to the call all the same."""
    def function(x, y=1):
        pass

    class Object:
        def __init__(self):
            functools.update_wrapper(self, function)

        def __call__(self, *args, **kwargs):
            pass

    class Made:
        __signature__ = inspect.signature(function)

        def __init__(self, **kwargs):
            pass

    wrapped = functools.wraps(function)(lambda *args, **kwargs: None)
    for callable_ in (wrapped, Object(), Made, functools.partial(wrapped), Object().__call__):
        assert parameters_of(callable_).problem(0, ['x', 'more']) is None, callable_
    narrow = functools.wraps(function)(lambda x: None)
    assert 'more' in parameters_of(narrow).problem(0, ['x', 'more'])
    for callable_ in (wrapped, Object(), Made, functools.partial(wrapped)):
        assert 'positional' in parameters_of(callable_).problem(3)  # as upstream's
    assert parameters_of(functools.partial(lambda *args: args, 0)).problem(3) is None


def test_what_cannot_be_told():
    class Odd:
        __signature__ = 'no signature'

        def __call__(self):
            pass

    assert parameters_of(Odd()) is None


@pytest.mark.parametrize('seed', range(10))
def test_reserved_parameters_anywhere(seed):
    """What a worker process calls gives each argument to the parameter that the user meant."""
    chance = random.Random(seed)
    for _ in range(50):
        names = [f'p{i}' for i in range(chance.randrange(4))]
        names.insert(chance.randrange(len(names) + 1), 'id')
        tail = chance.choice(['', '*args', '*args, k=5', '*, k=5', '**more', '*args, **more'])
        namespace = {}
        head = ', '.join(names)
        exec(f'def function({head}{", " + tail if tail else ""}): return dict(locals())', namespace)
        function = namespace['function']
        parameters = parameters_of(function)
        called = ByName(function, parameters.names, parameters.user_names, parameters.varargs,
                        parameters.varkw)
        users = [name for name in names if name != 'id']
        count = chance.randrange(len(users) + 1)
        keywords = {name: name.upper() for name in users[count:]}
        extra = (10, 11) if 'args' in tail and count == len(users) and chance.random() < 0.7 else ()
        if '**more' in tail:
            keywords['other'] = 'x'
        result = called(*range(count), *extra, id=7, **keywords)
        assert result['id'] == 7 and result.get('args', ()) == extra
        assert [result[name] for name in users] == [
            *range(count), *(keywords[name] for name in users[count:])]
        assert result.get('more', {}) == ({'other': 'x'} if '**more' in tail else {})


def test_names_of_star_arguments():
    def function(a, *args, k=1, **kwargs):
        return a, args, k, kwargs

    parameters = parameters_of(function)
    called = ByName(function, parameters.names, parameters.user_names, 'args', 'kwargs')
    assert called(args=(1, 2), k=3) == (1, (2,), 3, {})
    assert called(args=(1,), kwargs={'k': 4, 'z': 5}) == (1, (), 4, {'z': 5})
    assert called(1, kwargs=None) == (1, (), 1, {})
    assert called(args=None, a=1) == (1, (), 1, {})
