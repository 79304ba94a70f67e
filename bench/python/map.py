# SPDX-License-Identifier: Apache-2.0
"""Many calls that do nothing: map.py SIDE COUNT ROUNDS. Reports the calls per second of the
fastest round, and the sum of the results divided by their number.

SIDE: lithops, links (two of them), storage (two workers that nothing else reaches), stored (the
same over the storage that LITHOPS_CONFIG names), pool-1
(Pool.map, one item at a time), pool (Pool.map as it is), joblib, dask, ray
"""
import os
import sys
import time


def same(x):
    return x


def with_lithops(count):
    import lithops
    fexec = lithops.FunctionExecutor()
    return lambda: fexec.get_result(fexec.map(same, range(count)))


def with_links(count):
    import lithops
    fexec = lithops.FunctionExecutor(config={'lithops': {'backend': 'process'},
                                             'process': {'workers': 2, 'worker_processes': 1}})
    return lambda: fexec.get_result(fexec.map(same, range(count)))


def with_storage(count):
    import lithops
    fexec = lithops.FunctionExecutor(config={
        'lithops': {'backend': 'process', 'storage': 'localhost'},
        'process': {'transport': 'storage', 'workers': 2, 'worker_processes': 1}})
    return lambda: fexec.get_result(fexec.map(same, range(count)))


def with_stored(count):
    import json
    import lithops
    config = json.loads(os.environ['LITHOPS_CONFIG'])
    config['lithops']['backend'] = 'process'
    config['process'] = {'transport': 'storage', 'workers': 2, 'worker_processes': 1}
    fexec = lithops.FunctionExecutor(config=config)
    return lambda: fexec.get_result(fexec.map(same, range(count)))


def with_upstream(count):
    """An executor keeps its futures for good, and gets slower: use a new one for each round."""
    import lithops

    def run():
        fexec = lithops.FunctionExecutor(log_level='ERROR')
        return fexec.get_result(fexec.map(same, list(range(count))), show_progressbar=False)
    return run


def with_pool(count, chunksize=None):
    import multiprocessing
    pool = multiprocessing.Pool()
    return lambda: pool.map(same, range(count), chunksize)


def with_joblib(count):
    from joblib import Parallel, delayed
    parallel = Parallel(n_jobs=os.cpu_count())
    return lambda: parallel(delayed(same)(n) for n in range(count))


def with_dask(count):
    from distributed import Client, LocalCluster
    client = Client(LocalCluster(n_workers=os.cpu_count(), threads_per_worker=1,
                                 dashboard_address=None))
    # pure=False: otherwise it would not call the function again for the same argument
    return lambda: client.gather(client.map(same, range(count), pure=False))


def with_ray(count):
    import ray
    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, log_to_driver=False)
    remote = ray.remote(same)
    return lambda: ray.get([remote.remote(n) for n in range(count)])


SIDES = {'lithops': with_lithops, 'links': with_links, 'storage': with_storage, 'stored': with_stored,
         'upstream': with_upstream, 'pool': with_pool,
         'pool-1': lambda count: with_pool(count, 1), 'joblib': with_joblib, 'dask': with_dask,
         'ray': with_ray}


def main():
    side, count, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    run = SIDES[side](count)
    best = float('inf')
    for _ in range(rounds):
        start = time.perf_counter()
        results = run()
        best = min(best, time.perf_counter() - start)
        if list(results) != list(range(count)):
            sys.exit('wrong results')
        del results
    print('calls_per_s', count / best)


if __name__ == '__main__':
    main()
