# SPDX-License-Identifier: Apache-2.0
"""The interface of the standard library's ``multiprocessing`` over Lithops.

Pools and processes are calls of executors. What processes share (locks, queues, managers) is held
by a process of the standard library's kind, started when the first such object is made; values and
arrays lie in memory that is mapped. No server has to be set up.
"""

from . import config
from .connection import Pipe
from .context import (
    AuthenticationError, BufferTooShort, ProcessError, TimeoutError, allow_connection_pickling,
    cpu_count, freeze_support, get_all_start_methods, get_context, get_logger, get_start_method,
    log_to_stderr, set_executable, set_forkserver_preload, set_start_method)
from .context import CloudContext as DefaultContext
from .managers import Manager, SyncManager
from .pool import Pool
from .process import CloudProcess as Process
from .process import active_children, current_process, parent_process
from .queues import JoinableQueue, Queue, SimpleQueue
from .sharedctypes import Array, RawArray, RawValue, Value
from .synchronize import Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore

reducer = None  # pickling does not use the standard library's reducers

__all__ = [
    'Array', 'AuthenticationError', 'Barrier', 'BoundedSemaphore', 'BufferTooShort', 'Condition',
    'DefaultContext', 'Event', 'JoinableQueue', 'Lock', 'Manager', 'Pipe', 'Pool', 'Process',
    'ProcessError', 'Queue', 'RLock', 'RawArray', 'RawValue', 'Semaphore', 'SimpleQueue',
    'SyncManager', 'TimeoutError', 'Value', 'active_children', 'allow_connection_pickling',
    'config', 'cpu_count', 'current_process', 'freeze_support', 'get_all_start_methods',
    'get_context', 'get_logger', 'get_start_method', 'log_to_stderr', 'parent_process', 'reducer',
    'set_executable', 'set_forkserver_preload', 'set_start_method',
]
