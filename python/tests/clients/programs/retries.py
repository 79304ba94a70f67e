# SPDX-License-Identifier: Apache-2.0
"""An unordered map with retries and stragglers, as data pipelines on Lithops drive it: wait for any
call, take what is done, start failed calls again, and start backups of those that take too long."""
import json
import os
import sys
import tempfile
import time

import lithops
from lithops.wait import ALWAYS, ANY_COMPLETED

RETRIES = 2
BACKUP_AFTER_S = 1.0


def work(task, folder):
    """Task 3 fails once, task 5 twice, task 6 always; task 7 is slow when it runs first."""
    attempt = len([name for name in os.listdir(folder) if name.startswith(f'{task}-')])
    open(os.path.join(folder, f'{task}-{attempt}-{os.getpid()}-{time.time()}'), 'x').close()
    if attempt < {3: 1, 5: 2, 6: 99}.get(task, 0):
        raise OSError(f'task {task} failed')
    if task == 7 and attempt == 0:
        time.sleep(20)
    return task * task


def map_unordered(fexec, tasks, folder):
    tries = {task: 1 for task in tasks}
    futures = dict(zip(fexec.map(work, tasks, extra_args=(folder,)), tasks))
    started = {future: time.time() for future in futures}
    backed_up, finished = set(), set()
    while futures:
        # Towards the end it has to look around for stragglers, too.
        look = ANY_COMPLETED if len(finished) < len(tasks) / 2 else ALWAYS
        done, _ = fexec.wait(list(futures), throw_except=False, return_when=look,
                             show_progressbar=False)
        if not done:
            time.sleep(0.05)
        for future in done:
            task = futures.pop(future)
            if task in finished:
                continue
            if not future.error:
                finished.add(task)
                yield task, future.result()
            elif tries[task] <= RETRIES:
                tries[task] += 1
                again = fexec.call_async(work, (task, folder))
                futures[again], started[again] = task, time.time()
            else:
                finished.add(task)
                yield task, 'failed'
        for future, task in list(futures.items()):
            if task in finished:
                del futures[future]  # the other one was faster
            elif task not in backed_up and time.time() - started[future] > BACKUP_AFTER_S:
                backed_up.add(task)
                backup = fexec.call_async(work, (task, folder))
                futures[backup], started[backup] = task, time.time()



if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as folder:
        config = {'lithops': {'backend': 'localhost', 'storage': 'localhost'},
                  'localhost': {'worker_processes': 4}}
        fexec = lithops.FunctionExecutor(config=config)
        tasks = list(range(9))
        print(json.dumps(sorted(map_unordered(fexec, tasks, folder), key=lambda pair: pair[0])))
    sys.stdout.flush()
    fexec.__exit__(None, None, None)
