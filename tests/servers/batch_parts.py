# SPDX-License-Identifier: Apache-2.0
"""What the servers in place of batch services have in common: the faults that a test asks for, the
log of requests, and processes, which are jobs here.

The file LITHOPS_TEST_BATCH_FAULTS may have a line: "refuse STATUS" for the next submission, "hold"
while no job gets a machine, "pull" while no image can be had.
"""

import os
import random
import signal
import socket
import subprocess
import sys

FOLDER = sys.argv[1]
FAULTS, LOG = os.environ['LITHOPS_TEST_BATCH_FAULTS'], os.environ['LITHOPS_TEST_BATCH_LOG']
TERM_S = 10
processes = []


def faults():
    with open(FAULTS) as file:
        return file.read().splitlines()


def take_fault(word):
    """The rest of the first line, if it begins with that word: it is gone then."""
    lines = faults()
    if not lines or lines[0].split()[:1] != [word]:
        return None
    with open(FAULTS, 'w') as file:
        file.write('\n'.join(lines[1:]))
    return lines[0][len(word):].strip()


def note(what, body):
    with open(LOG, 'ab') as log:
        log.write(what.encode() + b' ' + body + b'\n')


def environment():
    return dict(PATH=os.environ['LITHOPS_TEST_BIN'] + ':' + os.environ['PATH'], HOME=FOLDER,
                XDG_CACHE_HOME=FOLDER + '/cache')


def start(command, env):
    with open(FOLDER + '/jobs', 'ab') as log:
        process = subprocess.Popen(command, env=env, cwd=FOLDER, stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
    processes.append(process)
    return process


def end(process):
    """As services do: SIGTERM, and later SIGKILL."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(TERM_S)
    except subprocess.TimeoutExpired:
        process.kill()


def stop(*_):
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            pass
    os._exit(0)


def free_port():
    """Below the kernel's range for clients, or one might take it meanwhile."""
    while True:
        try:
            with socket.create_server(('127.0.0.1', random.randrange(10240, 32768))) as server:
                return server.getsockname()[1]
        except OSError:
            pass


signal.signal(signal.SIGTERM, stop)
