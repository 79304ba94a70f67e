# SPDX-License-Identifier: Apache-2.0
"""A program with type hints: mypy --strict has nothing to say (test_typing.py)."""

import asyncio

import lithops
from lithops import LocalhostExecutor, RetryingFunctionExecutor, Storage
from lithops.future import ResponseFuture
from lithops.retries import RetryingFuture
from lithops.storage.utils import CloudObject
from lithops.utils import FuturesList
from lithops.wait import ANY_COMPLETED


def increment(x: int) -> int:
    return x + 1


async def wait_for_one(fexec: lithops.FunctionExecutor) -> int:
    answer: int = await fexec.call_async(increment, 1)
    return answer


def main() -> None:
    with lithops.FunctionExecutor(backend='localhost', worker_processes=2) as fexec:
        future: ResponseFuture = fexec.call_async(increment, 1)
        futures: FuturesList = fexec.map(increment, [1, 2, 3], timeout=5)
        done, pending = fexec.wait(futures, return_when=ANY_COMPLETED)
        for each in lithops.as_completed(futures):
            print(each.stats['worker_exec_time'], each.success, each.result(), each.call_id.upper())
        future.add_done_callback(lambda ended: ended.result())
        print(fexec.get_result(futures), lithops.get_result(futures), len(done), len(pending))
        print(fexec.map(lithops.native('libm.so.6:pow:double(double,double)'), [(1, 2)]))
        storage: Storage = fexec.storage
        place: CloudObject = storage.put_cloudobject(b'data')
        fexec.clean(cs=[place])
        retried: list[RetryingFuture] = RetryingFunctionExecutor(fexec).map(increment, [1])
        print(len(retried), asyncio.run(wait_for_one(fexec)), lithops.utils.get_executor_id())
    LocalhostExecutor().close()


if __name__ == '__main__':
    main()
