# SPDX-License-Identifier: Apache-2.0
"""joblib over Lithops, and scikit-learn over joblib."""
import multiprocessing
import os
import time

import pytest

joblib = pytest.importorskip('joblib')
numpy = pytest.importorskip('numpy')

from joblib import Parallel, delayed, parallel_config  # noqa: E402
from lithops.multiprocessing import config as mp_config  # noqa: E402
from lithops.util.joblib import register_lithops  # noqa: E402


@pytest.fixture(autouse=True)
def lithops_backend():
    register_lithops()
    with parallel_config('lithops', n_jobs=2):
        yield


def square(x):
    return x * x


def fail_at(x, bad):
    if x == bad:
        raise ValueError(f'at {x}')
    return x


def test_results_come_in_order_from_other_processes():
    assert Parallel()(delayed(square)(n) for n in range(100)) == [n * n for n in range(100)]
    pids = set(Parallel(batch_size=1)(delayed(os.getpid)() for _ in range(20)))
    assert os.getpid() not in pids and 1 <= len(pids) <= 2


def test_the_backend_by_its_name_and_closures():
    factor = 3
    assert Parallel(backend='lithops', n_jobs=1)(delayed(lambda x: x * factor)(n)
                                                 for n in range(3)) == [0, 3, 6]
    assert Parallel(n_jobs=-1)(delayed(pow)(2, exp=n) for n in range(3)) == [1, 2, 4]
    assert Parallel()([]) == []


def test_a_parallel_that_is_used_again():
    with Parallel(n_jobs=2) as parallel:
        pids = {pid for _ in range(10) for pid in parallel(delayed(os.getpid)() for _ in range(10))}
    assert len(pids) <= 2


def test_the_worker_processes_are_still_warm_for_the_next_one():
    pids = set()
    for _ in range(10):
        pids.update(Parallel(batch_size=1)(delayed(os.getpid)() for _ in range(30)))
    assert len(pids) <= 2


def test_a_generator_of_results():
    results = Parallel(return_as='generator')(delayed(square)(n) for n in range(10))
    assert next(results) == 0 and list(results) == [n * n for n in range(1, 10)]
    unordered = Parallel(return_as='generator_unordered')(delayed(square)(n) for n in range(10))
    assert sorted(unordered) == [n * n for n in range(10)]


def test_an_error_ends_it_and_the_next_one_works():
    with pytest.raises(ValueError, match='at 5'):
        Parallel()(delayed(fail_at)(n, 5) for n in range(10))
    assert Parallel()(delayed(square)(n) for n in range(3)) == [0, 1, 4]


def test_a_timeout_ends_what_runs():
    start = time.monotonic()
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(timeout=0.5)(delayed(time.sleep)(600) for _ in range(2))
    assert time.monotonic() - start < 60
    assert Parallel()(delayed(square)(n) for n in range(3)) == [0, 1, 4]


def look(array, n):
    return n, float(array.sum()), bool(array.flags.writeable), os.getpid()


def test_a_big_array_is_sent_once():
    array = numpy.ones(1 << 20)
    results = Parallel(batch_size=1)(delayed(look)(array, n) for n in range(8))
    assert [each[:3] for each in results] == [(n, float(1 << 20), False) for n in range(8)]
    by_name = Parallel()(delayed(look)(array=array * 2, n=n) for n in range(2))
    assert [each[1] for each in by_name] == [float(2 << 20)] * 2
    assert array.flags.writeable


def test_big_arrays_leave_nothing_in_the_storage():
    from lithops.storage import Storage
    from lithops.util.joblib.lithops_backend import _SharedArguments
    shared, storage = _SharedArguments({}), Storage()
    array = numpy.zeros(1 << 18)
    function, args, kwargs = shared.replace((look, (array, 1), {'n': array}))
    place = args[0].place
    assert kwargs['n'] is args[0] and storage.list_keys(place.bucket, place.key) == [place.key]
    shared.clear()
    assert storage.list_keys(place.bucket, place.key) == []


def inner_sum(n):
    return sum(Parallel(n_jobs=2)(delayed(square)(i) for i in range(n)))


def test_parallel_in_parallel():
    assert Parallel()(delayed(inner_sum)(n) for n in (3, 4)) == [5, 14]


def test_threads_of_numeric_libraries_are_limited():
    variables = Parallel(n_jobs=os.cpu_count())(
        delayed(os.getenv)('OMP_NUM_THREADS') for _ in range(2))
    assert variables == ['1', '1']
    with parallel_config('lithops', inner_max_num_threads=3):
        assert Parallel(n_jobs=2)([delayed(os.getenv)('OMP_NUM_THREADS')]) == ['3']


def test_arguments_of_the_executor():
    arguments = {'worker_processes': 1}
    try:
        with parallel_config('lithops', n_jobs=1, lithops_args=arguments):
            assert len(set(Parallel(batch_size=1)(delayed(os.getpid)() for _ in range(5)))) == 1
        assert mp_config.get_parameter(mp_config.LITHOPS_CONFIG) == arguments
    finally:
        mp_config.reset()
    with pytest.raises(ValueError):
        Parallel(n_jobs=0)([delayed(square)(1)])


def test_a_grid_search_of_scikit_learn():
    pytest.importorskip('sklearn')
    from sklearn.datasets import make_classification
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    features, classes = make_classification(3000, 60, random_state=0)
    assert features.nbytes > 1 << 20

    def search(backend):
        grid = GridSearchCV(DecisionTreeClassifier(random_state=0),
                            {'max_depth': [2, 4, 8], 'min_samples_leaf': [1, 10]}, cv=3)
        with parallel_config(backend, n_jobs=2):
            grid.fit(features, classes)
        return grid
    here, there = search('sequential'), search('lithops')
    assert here.best_params_ == there.best_params_
    assert (here.cv_results_['mean_test_score'] == there.cv_results_['mean_test_score']).all()


def test_a_forest_of_scikit_learn():
    pytest.importorskip('sklearn')
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score

    features, classes = load_iris(return_X_y=True)
    scores = cross_val_score(RandomForestClassifier(10, random_state=0), features, classes, cv=3)
    assert scores.mean() > 0.9
