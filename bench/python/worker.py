# SPDX-License-Identifier: Apache-2.0
"""From the start of a worker process to the result of its first call: worker.py lithops|bare TIMES.

lithops: an executor with one process, again and again, in a client that has had one before. bare:
an interpreter that imports what a worker imports, and says so.
"""
import os
import statistics
import sys
import time

BARE = "import os; from lithops._worker import main; os.write(1, b'x')"


def square(x):
    return x * x


def start_lithops():
    import lithops
    begin = time.perf_counter()
    fexec = lithops.LocalhostExecutor(worker_processes=1)
    if fexec.call_async(square, 7).result() != 49:
        raise SystemExit('a wrong result')
    seconds = time.perf_counter() - begin
    fexec.__exit__(None, None, None)
    return seconds


def start_bare():
    begin = time.perf_counter()
    reader, writer = os.pipe()
    pid = os.posix_spawn(sys.executable, [sys.executable, '-c', BARE], os.environ,
                         file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
    os.close(writer)
    if os.read(reader, 1) != b'x':
        raise SystemExit('the interpreter says nothing')
    seconds = time.perf_counter() - begin
    os.close(reader)
    os.waitpid(pid, 0)
    return seconds


if __name__ == '__main__':
    start = {'lithops': start_lithops, 'bare': start_bare}[sys.argv[1]]
    start()
    print('seconds', statistics.median(start() for _ in range(int(sys.argv[2]))))
