# SPDX-License-Identifier: Apache-2.0
"""The process that represents a containerised worker process to the engine.

The engine starts this in place of a worker process, with the shared memory at descriptor 3, the log
at 4 and the client's life line at 5. It runs the container, hands these on by a socket, and ends as the worker process ends
there. The socket stays open meanwhile: when this process is killed, for a call that is cancelled or
takes too long, or with the client, the other end closes and the container ends
(`_worker/contained.py`).
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys

REMOVE_LIMIT_S = 10  # for the container engine to clean up, before the engine learns of the end


def main(command: list[str], argument: str) -> None:
    """Run `command` with the name of the socket and `argument` behind it. Never returns."""
    _die_with_parent()
    name = f'lithops-{os.urandom(16).hex()}'
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind('\0' + name)
        listener.listen(1)
        container = subprocess.Popen([*command, name, argument], stdin=subprocess.DEVNULL)
        worker = _accept(listener, container)
    if worker is None:
        os._exit(container.wait() or 1)
    socket.send_fds(worker, [b'.'], [3, 4, 5])
    status = worker.recv(4)
    try:
        container.wait(REMOVE_LIMIT_S)
    except subprocess.TimeoutExpired:
        pass
    _end_as(struct.unpack('i', status)[0] if len(status) == 4 else 1 << 8)


def _accept(listener: socket.socket, container: subprocess.Popen) -> socket.socket | None:
    """The connection of the container, which is this user's; None: it has ended without one."""
    ended = os.pidfd_open(container.pid)
    try:
        while True:
            ready = select.select([listener, ended], [], [])[0]
            if listener not in ready:
                return None
            worker, _ = listener.accept()
            _, user, _ = struct.unpack('3i', worker.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize('3i')))
            if user == os.getuid():
                return worker
            worker.close()
    finally:
        os.close(ended)


def _die_with_parent() -> None:
    from ctypes import CDLL
    CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() == 1:
        sys.exit(1)  # the parent died before that


def _end_as(status: int) -> None:
    """Exit with the worker process's status or signal, so that the engine reports it."""
    if os.WIFSIGNALED(status):
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL) if os.WTERMSIG(status) not in (
            signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))
