# SPDX-License-Identifier: Apache-2.0
"""The first process of a container: gets what a worker process needs from the client's side
(`_client/container.py`), starts one, and says how it has ended. When the other side is gone, it
ends, and the container with it.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(name: str, argument: str, *context: Any) -> None:
    """Run a worker process; `name` is the socket's, the rest as in `_worker.main`. Never returns."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect('\0' + name)
    _, descriptors, _, _ = socket.recv_fds(client, 1, 3)
    parent = os.getpid()
    worker = os.fork()
    if worker == 0:
        os.setpgid(0, 0)
        client = fcntl.fcntl(client.detach(), fcntl.F_DUPFD_CLOEXEC, 10)
        area, log, line = (fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in descriptors)
        for number, of in ((1, log), (2, log), (3, area), (4, log), (5, line)):
            os.dup2(of, number)
        os.closerange(6, 256)
        os.environ['__LITHOPS_PARENT'] = str(parent)
        from lithops._worker.main import main as run
        run(argument, *context)
    for each in descriptors:
        os.close(each)
    ended = os.pidfd_open(worker)
    if ended not in select.select([client, ended], [], [])[0]:
        os.kill(worker, signal.SIGKILL)
    _, status = os.waitpid(worker, 0)
    try:
        client.send(struct.pack('i', status))
    except OSError:
        pass  # the other side is gone
    os._exit(0)
