# SPDX-License-Identifier: Apache-2.0
"""Invocations of actions by upstream's client for OpenWhisk, in a pool of threads as its invoker
has one, beside bench/endpoint.c: invoke.py THREADS COUNT"""
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from lithops.libs.openwhisk.client import OpenWhiskClient


def main():
    threads, count = int(sys.argv[1]), int(sys.argv[2])
    client = OpenWhiskClient(os.environ['LITHOPS_BENCH_ENDPOINT'], 'guest', api_key='user:key')
    client.url = client.url.replace('https:', 'http:')  # which it makes of it

    def invoke(i):
        # By its session, which keeps connections; its other way, for clients, opens one for each.
        if client.invoke('lithops', 'worker', {'echo': f'{i:016}', 'filler': 'x' * 450},
                         is_ow_action=True) != f'{i:016}':
            raise SystemExit('a wrong answer')

    def cpu_s():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(invoke, range(2 * threads)))
        cpu, start = cpu_s(), time.perf_counter()
        list(pool.map(invoke, range(count)))
        print('seconds', time.perf_counter() - start)
        print('cpu', cpu_s() - cpu)


main()
