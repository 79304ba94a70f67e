# SPDX-License-Identifier: Apache-2.0
"""The process that holds the state shared by the processes of a program: locks, queues, dicts.

Started by `_shared` when a program first makes a shared object, as a script of its own that knows
nothing of the package and of the user's modules: values are opaque pickles here. It ends when
something comes from its standard input, or its end, that is, with the process that started it. Its
socket has an abstract name, so that nothing is left of it, however it and its clients end.

    request  (dropped idents, ident, method, args)      reply  (True, value) | (False, exception)

Each thread of each client has a connection, and each connection a thread here, so that a lock taken
by a thread there is held by one thread here. If a client dies before it has read a reply (a lock,
an item of a queue), the call is undone: either sending the reply fails, or the kernel reports that
it was not read (ECONNRESET instead of the end of the stream).

A thread here that waits for a client goes on waiting if the client dies; another thread watches for
hang-ups, and drops the handles of a dead process at once.

An object lives while a process has a handle of it, or a value that is kept here contains one, or a
pickle of one is on its way. After that it is kept for a while, as a pickle may still be loaded.
"""

import collections
import functools
import os
import pickle
import queue
import resource
import select
import sys
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener, answer_challenge, deliver_challenge

GRACE_S = 60  # how long an object without handles is kept
WIRE_MODULE = '_lithops_shared'  # name of this module in pickles; here it is __main__
KEPT, TRAVELLING = 'kept', 'travelling'  # handles that no process has: in values, in pickles

sys.modules[WIRE_MODULE] = sys.modules[__name__]


class Pickled:
    """A value that only clients can read. It keeps the objects alive whose handles it contains,
    `idents`."""

    __slots__ = ('data', 'idents')
    __module__ = WIRE_MODULE
    server = None

    def __init__(self, data, idents=()):
        self.data = data
        self.idents = idents
        if self.server is not None:
            for ident in idents:
                self.server.add(ident, KEPT, 1)

    def __del__(self):
        if self.server is not None:
            for ident in self.idents:
                self.server.add(ident, KEPT, -1)

    def __reduce__(self):
        return type(self), (self.data, self.idents)

    def __eq__(self, other):
        return type(other) is type(self) and other.data == self.data

    def __hash__(self):
        return hash(self.data)


class Reference:
    """Stands for an object among the arguments of create()."""

    __slots__ = ('ident',)
    __module__ = WIRE_MODULE

    def __init__(self, ident):
        self.ident = ident


class Entry:
    """An object, and how many handles each process has of it; values and pickles count too."""

    def __init__(self, thing):
        self.thing = thing
        self.handles = collections.Counter()
        self.is_referenced = True


class Lock:
    def __init__(self, make=threading.Lock):
        self.lock = make()

    def acquire(self, block=True, timeout=None):
        return self.lock.acquire(block, -1 if timeout is None or not block else max(0, timeout))

    def release(self):
        self.lock.release()

    def undo_acquire(self, result):
        if result:
            self.lock.release()


class RLock(Lock):
    """Held by a thread here, for the client thread at the other end of its connection."""

    def __init__(self):
        super().__init__(threading.RLock)

    def acquire(self, block=True, timeout=None):
        taken = super().acquire(block, timeout)
        if taken:
            held_by_thread().append(self)
        return taken

    def release(self):
        super().release()
        held_by_thread().remove(self)

    undo_acquire = None  # that is done with the connection


thread = threading.local()


def held_by_thread():
    """The RLocks that this thread holds, one as often as it took it."""
    return thread.__dict__.setdefault('held', [])


class Semaphore:
    def __init__(self, value, bound):
        self.value = value
        self.bound = bound
        self.free = threading.Condition()

    def acquire(self, block=True, timeout=None):
        with self.free:
            ready = self.free.wait_for(lambda: self.value > 0, timeout if block else 0)
            self.value -= ready
            return ready

    def undo_acquire(self, result):
        if result:
            self.release()

    def release(self, n=1):
        with self.free:
            if self.bound is not None and self.value + n > self.bound:
                raise ValueError('semaphore or lock released too many times')
            self.value += n
            self.free.notify(n)

    def get_value(self):
        return self.value


class Condition:
    def __init__(self, lock):
        self.condition = threading.Condition(lock.lock)
        self.goes_with_thread = isinstance(lock, RLock)

    def wait(self, timeout=None):
        return self.held(self.condition.wait, timeout)

    def undo_wait(self, notified):
        if notified:
            self.condition.notify()  # somebody else's now
        if not self.goes_with_thread:
            self.condition.release()

    def notify(self, n=1):
        self.held(self.condition.notify, n)

    def notify_all(self):
        self.held(self.condition.notify_all)

    @staticmethod
    def held(method, *args):
        try:
            return method(*args)
        except RuntimeError:  # the only one that they raise
            text = f'{method.__name__}() needs the lock: acquire() it first'
        raise AssertionError(text)


class Event:
    def __init__(self):
        self.event = threading.Event()

    def is_set(self):
        return self.event.is_set()

    def set(self):
        self.event.set()

    def clear(self):
        self.event.clear()

    def wait(self, timeout=None):
        return self.event.wait(timeout)


class Queue:
    def __init__(self, maxsize=0):
        self.items = queue.Queue(maxsize)

    def put(self, item, block=True, timeout=None):
        self.items.put(item, block, max(0, timeout) if timeout is not None else None)

    def get(self, block=True, timeout=None):
        return self.items.get(block, max(0, timeout) if timeout is not None else None)

    def undo_get(self, item):
        with self.items.mutex:
            self.items.queue.appendleft(item)
            self.items.not_empty.notify()

    def qsize(self):
        return self.items.qsize()

    def full(self):
        return self.items.full()

    def task_done(self):
        self.items.task_done()

    def join(self):
        self.items.join()


class Channel:
    """One direction of a pipe: messages, and whether somebody may still send."""

    def __init__(self):
        self.messages = collections.deque()
        self.changed = threading.Condition()
        self.sender = None  # the Entry of the sending end

    def put(self, message):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def is_ended(self):
        return not (self.sender and self.sender.is_referenced)

    def poll(self, timeout=0):
        with self.changed:
            return bool(self.changed.wait_for(lambda: self.messages or self.is_ended(), timeout))

    def get(self):
        with self.changed:
            self.changed.wait_for(lambda: self.messages or self.is_ended())
            if not self.messages:
                raise EOFError
            return self.messages.popleft()

    def undo_get(self, message):
        with self.changed:
            self.messages.appendleft(message)
            self.changed.notify_all()

    def peek_size(self):
        """The size of the next message; waits for it."""
        with self.changed:
            self.changed.wait_for(lambda: self.messages or self.is_ended())
            if not self.messages:
                raise EOFError
            return len(self.messages[0])

    def sender_changed(self):
        with self.changed:
            self.changed.notify_all()


class Sender:
    """The sending end of a channel; what exists of it decides whether the channel has ended."""

    def __init__(self, channel):
        self.channel = channel
        self.reader = None  # the Entry of the receiving end

    def put(self, message):
        if not self.reader.is_referenced:
            raise BrokenPipeError(32, 'the other end of the pipe is closed')
        self.channel.put(message)


class Box:
    """One value, and a version, so that clients can change it together."""

    def __init__(self, value=None):
        self.value = value
        self.version = 0
        self.lock = threading.Lock()

    def get(self):
        return self.value

    def get_version(self):
        with self.lock:
            return self.version, self.value

    def set(self, value):
        with self.lock:
            self.value = value
            self.version += 1

    def swap(self, version, value):
        """Set the value if nobody else did since get_version()."""
        with self.lock:
            if version != self.version:
                return False
            self.value = value
            self.version += 1
            return True


class Memory:
    """Bytes that processes map; they are gone with this process, whatever happens."""

    def __init__(self, size):
        self.fd = os.memfd_create('lithops-mp', os.MFD_CLOEXEC)
        os.ftruncate(self.fd, max(1, size))

    def path(self):
        return f'/proc/{os.getpid()}/fd/{self.fd}'

    def __del__(self):
        os.close(self.fd)


class List(Box):
    """A list; every change makes a new version."""

    def __init__(self, values=()):
        super().__init__(list(values))

    def change(self, method, *args):
        with self.lock:
            self.version += 1
            return getattr(self.value, method)(*args)

    def read(self, method, *args):
        with self.lock:
            return getattr(self.value, method)(*args)

    def repeat(self, n):
        with self.lock:
            self.version += 1
            self.value *= n

    get = Box.get_version


class Dict(List):
    """A dict, with the same methods."""

    def __init__(self, items=()):
        Box.__init__(self, dict(items))

    def keys(self):
        with self.lock:
            return list(self.value)


TYPES = {cls.__name__: cls for cls in (Lock, RLock, Semaphore, Condition, Event, Queue, Channel,
                                       Sender, Box, Memory, List, Dict)}


class Server:
    """Ident 0; clients make and pass on the others through it."""

    def __init__(self):
        self.lock = threading.RLock()
        self.entries = {}
        self.unreferenced = {}
        self.last_ident = 0
        self.connections = {}  # file descriptor -> process
        self.hang_ups = select.epoll()

    # ---- what clients ask for ----

    def create(self, process, typeid, *args):
        """Make a thing of a type; gives its ident."""
        with self.lock:
            self.purge()
            thing = TYPES[typeid](*(self.entries[arg.ident].thing if isinstance(arg, Reference)
                                    else arg for arg in args))
            return self.enter(process, thing)

    def create_pipe(self, process):
        """Make both ends of one direction; gives the idents of the receiving and the sending."""
        with self.lock:
            channel = Channel()
            sender = Sender(channel)
            receiving, sending = self.enter(process, channel), self.enter(process, sender)
            channel.sender, sender.reader = self.entries[sending], self.entries[receiving]
            return receiving, sending

    def arrive(self, process, ident, travelled):
        """A handle was made of a pickle."""
        with self.lock:
            if ident not in self.entries:
                raise ReferenceError('the shared object is gone: nobody had a handle of it for too '
                                     'long; keep one where it was made')
            self.add(ident, process, 1)
            if travelled:
                self.add(ident, TRAVELLING, -1)

    def depart(self, process, ident):
        """A handle is pickled, and its pickle on its way."""
        self.add(ident, TRAVELLING, 1)

    def count(self, process):
        with self.lock:
            return len(self.entries) - len(self.unreferenced)

    # ---- references ----

    def enter(self, process, thing):
        self.last_ident += 1
        self.entries[self.last_ident] = Entry(thing)
        self.entries[self.last_ident].handles[process] = 1
        return self.last_ident

    def add(self, ident, process, n):
        with self.lock:
            entry = self.entries.get(ident)
            if entry is not None:
                entry.handles[process] = max(0, entry.handles[process] + n)
                self.look(ident, entry)

    def look(self, ident, entry):
        entry.is_referenced = any(entry.handles.values())
        if entry.is_referenced:
            self.unreferenced.pop(ident, None)
            return
        self.unreferenced[ident] = time.monotonic() + GRACE_S
        if isinstance(entry.thing, Sender):
            entry.thing.channel.sender_changed()

    def purge(self):
        now = time.monotonic()
        for ident in [i for i, expires in self.unreferenced.items() if expires < now]:
            del self.unreferenced[ident], self.entries[ident]

    def process_ended(self, process):
        with self.lock:
            for ident, entry in list(self.entries.items()):
                if entry.handles.pop(process, 0):
                    self.look(ident, entry)

    # ---- connections ----

    def serve(self, connection, authkey):
        try:
            deliver_challenge(connection, authkey)
            answer_challenge(connection, authkey)
            process = connection.recv()
        except (AuthenticationError, EOFError, OSError):
            connection.close()
            return
        fd = connection.fileno()
        with self.lock:
            self.connections[fd] = process
            self.hang_ups.register(fd, select.EPOLLRDHUP | select.EPOLLONESHOT)
        undo = None
        try:
            connection.send(None)  # from now on this connection counts
            while True:
                request = connection.recv()
                undo = None  # the last reply was read, since another request has come
                undo = self.answer(connection, process, *request)
        except ConnectionResetError:
            if undo:
                undo()  # the last reply was not read
        except (EOFError, OSError):
            pass
        finally:
            with self.lock:
                self.hung_up(fd)
                connection.close()
            for lock in list(held_by_thread()):
                lock.release()

    def watch_hang_ups(self):
        while True:
            events = self.hang_ups.poll(GRACE_S)
            with self.lock:
                self.purge()
            for fd, _ in events:
                with self.lock:
                    if has_hung_up(fd):  # and was not reused for another connection
                        self.hung_up(fd)

    def hung_up(self, fd):
        process = self.connections.pop(fd, None)
        if process is not None and process not in self.connections.values():
            self.process_ended(process)

    def answer(self, connection, process, dropped, ident, method, args):
        """Carry out a request; gives what undoes it, if anything does."""
        for dropped_ident in dropped:
            self.add(dropped_ident, process, -1)
        thing = None
        try:
            if ident == 0:
                value = getattr(self, method)(process, *args)
            else:
                thing = self.entries[ident].thing
                value = getattr(thing, method)(*args)
            reply = True, value
        except KeyError as exc:
            reply = False, exc if thing else ReferenceError('the shared object is gone')
        except Exception as exc:
            reply = False, exc
        undo = getattr(thing, 'undo_' + method, None) if reply[0] else None
        try:
            connection.send(reply)
        except OSError:
            if undo:
                undo(reply[1])
            raise
        return undo and functools.partial(undo, reply[1])


def has_hung_up(fd):
    poll = select.poll()
    poll.register(fd, select.POLLRDHUP)
    return bool(poll.poll(0))


def end_with_standard_input():
    sys.stdin.buffer.read(1)
    os._exit(0)


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    address, authkey = pickle.load(sys.stdin.buffer)
    Pickled.server = server = Server()
    with Listener(address, 'AF_UNIX', backlog=128) as listener:
        print('ready', flush=True)
        threading.Thread(target=end_with_standard_input, daemon=True).start()
        threading.Thread(target=server.watch_hang_ups, daemon=True).start()
        # The listener accepts connections at once; each is authenticated on its own thread, so that
        # none can hold up the others.
        while True:
            connection = listener.accept()
            threading.Thread(target=server.serve, args=(connection, authkey), daemon=True).start()


if __name__ == '__main__':
    main()
