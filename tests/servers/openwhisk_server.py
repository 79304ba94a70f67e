#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The API of OpenWhisk as far as invoking an action needs it, with containers that are processes.

It is a double, written after the platform's published API description (apiv1swagger.json) and its
page on the interface of actions: the real platform does not install here. What it does as that says:
basic or bearer authentication; invocations that do not block (202, activationId); results that are
not there (404) before an activation has ended; /init once for each container, /run for one
activation at a time, an API key in the requests of both; the container is destroyed when it does not
answer, and its log ends with a mark on both streams. IAM's tokens come from /identity/token.

    server = Server(command, secret)    a context; server.url, .activations, .requests, .faults
"""
import base64
import glob
import http.client
import http.server
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
import uuid

MARK = b'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n'
API_KEY = 'user:api-key-of-the-namespace'
BASIC = 'Basic ' + base64.b64encode(API_KEY.encode()).decode()
TIMEOUT_S = 60


def ask(port, method, path, document, timeout_s=TIMEOUT_S):
    """@return the status, and what the answer says; OSError, http.client.HTTPException"""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=timeout_s)
    try:
        connection.request(method, path, document if isinstance(document, (str, type(None)))
                           else json.dumps(document), {'Content-Type': 'application/json'})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b'null')
    finally:
        connection.close()


def children_of(pid):
    found = []
    for path in glob.glob(f'/proc/{pid}/task/*/children'):
        try:
            with open(path, encoding='ascii') as file:
                found += [int(child) for child in file.read().split()]
        except OSError:  # it has ended
            pass
    return found


def has_begun(pid):
    """Not one that only waits, at its standard input, to become a worker."""
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as file:
            return b'--through' in file.read() and os.readlink(f'/proc/{pid}/fd/0') == '/dev/null'
    except OSError:  # it has ended
        return False


class Container:
    """`lithops worker --openwhisk`, with nothing of this process's environment but PATH."""

    def __init__(self, command, env):
        self.logs = [tempfile.TemporaryFile() for _ in range(2)]
        self.activations = 0
        self.process = subprocess.Popen(
            [command, 'worker', '--openwhisk', '--port', '0', '--drain', '1'],
            env={'PATH': os.environ['PATH'], **env}, stdin=subprocess.DEVNULL,
            stdout=self.logs[0], stderr=self.logs[1])
        self.port = self.find_port()

    def find_port(self):
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end and self.process.poll() is None:
            words = self.log(0).split()
            if words[:3] == [b'listening', b'on', b'port'] and len(words) > 3:
                return int(words[3])
            time.sleep(0.02)
        raise OSError('the container does not start: ' + self.log(1).decode())

    def log(self, number):
        return os.pread(self.logs[number].fileno(), 1 << 20, 0)

    def marks(self):
        """How often each stream has the mark of an end."""
        return [self.log(i).count(MARK) for i in range(2)]

    def workers(self):
        return [pid for pid in children_of(self.process.pid) if has_begun(pid)]

    def destroy(self):
        self.process.kill()
        self.process.wait()
        for log in self.logs:
            log.close()


class Server:
    def __init__(self, command, env, containers_env=None):
        self.command, self.env, self.own = command, env, containers_env or {}
        self.lock = threading.Lock()
        self.idle, self.busy = [], []
        self.activations, self.requests = {}, []
        self.problems = []
        self.faults = lambda number: None  # of invocations: (status, whether it runs), or None
        self.token = 'token-0'
        self.invoked = 0
        self.timeout_ms = 60000
        self.threads = []

    def __enter__(self):
        handler = type('Handler', (Handler,), {'owner': self})
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self.server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            containers = self.idle + self.busy
        for container in containers:
            container.process.kill()  # its activation ends
        for thread in self.threads:
            thread.join(TIMEOUT_S)
        for container in containers:
            container.destroy()

    def begin(self, parameters, copies=1):
        activation = uuid.uuid4().hex
        with self.lock:
            self.activations[activation] = None
        for _ in range(copies):
            thread = threading.Thread(target=self.run, args=(activation, parameters))
            self.threads.append(thread)
            thread.start()
        return activation

    def take_container(self):
        with self.lock:
            if self.idle:
                container = self.idle.pop()
                self.busy.append(container)
                return container
        container = Container(self.command, self.own)
        with self.lock:
            self.busy.append(container)
        status, answer = ask(container.port, 'POST', '/init',
                             {'value': {'name': 'lithops', 'main': 'main', 'code': '',
                                        'binary': False,
                                        'env': {'__OW_API_KEY': API_KEY, **self.env}}})
        if status != 200:
            raise OSError(f'/init: status {status}: {answer}')
        return container

    def run(self, activation, parameters):
        container = None
        try:
            container = self.take_container()
            status, result = ask(
                container.port, 'POST', '/run',
                {'value': parameters, 'namespace': 'guest', 'action_name': '/guest/lithops',
                 'api_host': self.url, 'api_key': API_KEY,
                 'activation_id': activation, 'transaction_id': uuid.uuid4().hex,
                 'deadline': str(int(time.time() * 1000) + self.timeout_ms)},
                self.timeout_ms / 1000 + 10)
            self.look_at_log(container)
            how = ('action developer error' if status != 200 else
                   'application error' if 'error' in result else 'success')
        except (OSError, http.client.HTTPException, ValueError) as failure:
            how, result = 'whisk internal error', {'error': f'the container is gone: {failure}'}
        with self.lock:
            if self.activations[activation] is None:  # the other one of two may have been first
                self.activations[activation] = {'result': result, 'status': how,
                                                'success': how == 'success'}
            if container and how in ('success', 'application error'):
                self.busy.remove(container)
                self.idle.append(container)

    def look_at_log(self, container):
        """One mark for /init, and one for each activation, on each stream."""
        container.activations += 1
        end = time.monotonic() + TIMEOUT_S
        while container.marks() != [container.activations + 1] * 2:
            if time.monotonic() > end:
                self.problems.append(f'marks in the log: {container.marks()}')
                return
            time.sleep(0.02)

    def workers(self):
        with self.lock:
            containers = list(self.busy)
        found = []
        for container in containers:
            found += container.workers()
        return found

    def kill_worker(self):
        workers = self.workers()
        if workers:
            os.kill(workers[0], signal.SIGKILL)
        return bool(workers)


class Handler(http.server.BaseHTTPRequestHandler):
    owner = None
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, document, **headers):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        self.wfile.write(body)

    def is_allowed(self):
        given = self.headers.get('Authorization', '')
        if given in (BASIC, 'Bearer ' + self.owner.token):
            return True
        self.answer(401, {'error': 'The supplied authentication is invalid.', 'code': 'a'})
        return False

    def read(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        with self.owner.lock:
            self.owner.requests.append((self.command, self.path, dict(self.headers), body))
        return body

    def do_POST(self):
        body, parts = self.read(), urllib.parse.urlsplit(self.path)
        if parts.path == '/identity/token':
            given = urllib.parse.parse_qs(body.decode())
            good = given.get('apikey') == ['iam-key-of-the-account']
            self.answer(200 if good else 400,
                        {'access_token': self.owner.token, 'expires_in': 3600,
                         'token_type': 'Bearer'} if good else {'errorMessage': 'no such key'})
        elif not self.is_allowed():
            return
        elif parts.path != '/api/v1/namespaces/guest/actions/lithops':
            self.answer(404, {'error': 'The requested resource does not exist.', 'code': 'a'})
        else:
            self.invoke(json.loads(body), urllib.parse.parse_qs(parts.query))

    def invoke(self, parameters, query):
        owner = self.owner
        with owner.lock:
            owner.invoked += 1
            number = owner.invoked
        status, copies = owner.faults(number) or (202, 1)
        if query.get('blocking', ['false']) != ['false']:
            owner.problems.append('an invocation blocks')
        activation = owner.begin(parameters, copies) if copies else None
        if status == 202:
            self.answer(202, {'activationId': activation})
        elif status == 0:  # the connection is lost
            self.close_connection = True
        else:
            self.answer(status, {'error': 'not now', 'code': 'a'}, Retry_After='1')

    def do_GET(self):
        self.read()
        parts = self.path.split('/')
        if not self.is_allowed():
            return
        if self.path == '/api/v1/namespaces/guest/actions/lithops':
            self.answer(200, {'namespace': 'guest', 'name': 'lithops', 'version': '0.0.1',
                              'publish': False, 'exec': {'kind': 'blackbox'}, 'parameters': [],
                              'limits': {'timeout': self.owner.timeout_ms, 'memory': 256}})
            return
        with self.owner.lock:
            result = (self.owner.activations.get(parts[-2])
                      if parts[-1] == 'result' and parts[-3] == 'activations' else None)
        if result is None:
            self.answer(404, {'error': 'The requested resource does not exist.', 'code': 'a'})
        else:
            self.answer(200, result)
