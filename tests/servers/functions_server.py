#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Function services of Google's, Microsoft's and Oracle's clouds as far as workers need them, with
instances that are processes. They start what a package says, as the services do.

They are doubles, written after what the services publish. What they do as that says:
  Google   main.py is loaded, with PORT in the environment, before the framework listens
           (functions_framework/_cli.py); a request needs an ID token for the function's URL, which a
           statement is exchanged for that the account's key has signed; an instance has one request.
  Azure    host.json and function.json say what runs, where, and who may call it. The handler is told
           its port by FUNCTIONS_CUSTOMHANDLER_PORT, and asked for / until it answers; requests keep
           their path, and answers are handed on as they come (enableProxyingHttpRequest) or as a whole.
  Oracle   requests are signed, as the page on request signatures says, for all that it wants to be
           signed; a function is looked for, and invoked without waiting (202). Its container listens on
           a Unix socket for anybody, and gets one request to /call at a time, in chunks, with a
           deadline, after which it is killed (the Fn project's container contract).

    service = Google(folder, env, own, account)    a context; service.url, .requests
    service = Azure(folder, env, own, key)
    service = Oracle(command, env, own, key_id, public_key)
env is what the service gives its instances, own what they need here."""
import base64
import contextlib
import email.utils
import hashlib
import http.server
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

TIMEOUT_S = 60
# As functions_framework loads a source, before it makes its server.
LOADER = '''import importlib.util
spec = importlib.util.spec_from_file_location('main', 'main.py')
spec.loader.exec_module(importlib.util.module_from_spec(spec))
raise SystemExit('main.py has come back')'''


def is_signed(public_key, signed, signature):
    """Whether it is with RSA and SHA-256."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(signature)
        file.flush()
        return subprocess.run(['openssl', 'dgst', '-sha256', '-verify', public_key, '-signature',
                               file.name], input=signed, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0


class Instance:
    def __init__(self, command, folder, env):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().split()
        if line[:3] != [b'listening', b'on', b'port']:
            raise OSError(f'it does not start: {line} {self.text()}')
        self.port = int(line[3])

    def text(self):
        return os.pread(self.log.fileno(), 1 << 20, 0)

    def connect(self):
        return socket.create_connection(('127.0.0.1', self.port), TIMEOUT_S)

    def destroy(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Service:
    limit = 1  # requests of an instance

    def __init__(self, folder, env, own):
        self.folder, self.env, self.own = folder, env, own
        self.lock = threading.Lock()
        self.idle, self.instances, self.requests = [], [], []

    def __enter__(self):
        handler = type('Handler', (Handler,), {'owner': self})
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self.server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self.server.server_port}{self.path()}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            for instance in self.instances:
                instance.destroy()

    def path(self):
        return ''

    def serve(self, handler, body):
        refusal = self.refusal(handler) if self.is_for(handler.path) else 404
        if refusal:
            handler.answer(refusal)
            return
        instance = self.take()
        try:
            with instance.connect() as there:
                handler.hand_on(there, body)
        except OSError:
            pass  # one of the two has hung up
        finally:
            self.leave(instance)
        handler.close_connection = True

    def take(self):
        with self.lock:
            if self.idle:
                return self.idle.pop()
            instance = self.start()
            self.instances.append(instance)
            self.idle += [instance] * (self.limit - 1)
            return instance

    def leave(self, instance):
        with self.lock:
            self.idle.append(instance)


class Google(Service):
    def __init__(self, folder, env, own, public_key):
        super().__init__(folder, env, own)
        self.public_key, self.tokens = public_key, []

    def start(self):
        return Instance([sys.executable, '-c', LOADER], self.folder,
                        {**self.own, **self.env, 'PORT': '0', 'K_SERVICE': 'lithops',
                         'FUNCTION_TARGET': 'lithops'})

    def is_for(self, path):
        return path in ('/', '/health')

    def refusal(self, handler):
        given = handler.headers.get('Authorization', '')
        return None if given.startswith('Bearer ') and given[7:] in self.tokens else 403

    def give_token(self, body):
        """@return an ID token for a good statement, else None"""
        statement = urllib.parse.parse_qs(body.decode())['assertion'][0]
        signed, _, signature = statement.rpartition('.')
        good = is_signed(self.public_key, signed.encode(),
                         base64.urlsafe_b64decode(signature + '=='))
        claims = json.loads(base64.urlsafe_b64decode(signed.split('.')[1] + '=='))
        if not good or claims.get('target_audience') != self.url:
            return None
        token = '.'.join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip('=')
                         for part in ({'alg': 'RS256'},
                                      {'aud': self.url, 'exp': int(time.time()) + 3600},
                                      len(self.tokens)))
        self.tokens.append(token)
        return token


class Azure(Service):
    def __init__(self, folder, env, own, key):
        super().__init__(folder, env, own)
        self.key, self.limit = key, int(env.get('LITHOPS_WORKERS', 1))
        with open(os.path.join(folder, 'host.json')) as file:
            self.host = json.load(file)
        with open(os.path.join(folder, 'lithops', 'function.json')) as file:
            [self.trigger] = [binding for binding in json.load(file)['bindings']
                              if binding['type'] == 'httpTrigger']

    def path(self):
        self.route = self.trigger.get('route', 'lithops')
        return '/api/' + self.route.replace('/{*path}', '')

    def start(self):
        handler = self.host['customHandler']['description']
        command = [os.path.join(self.folder, handler['defaultExecutablePath']),
                   *handler.get('arguments', [])]
        instance = Instance(command, self.folder,
                            {**self.own, **self.env, 'FUNCTIONS_CUSTOMHANDLER_PORT': '0'})
        with instance.connect() as ping:  # any answer will do
            ping.sendall(f'GET / HTTP/1.1\r\nHost: 127.0.0.1:{instance.port}\r\n\r\n'.encode())
            if not ping.recv(65536).startswith(b'HTTP/1.1 '):
                raise OSError('the custom handler does not answer')
        return instance

    def is_for(self, path):
        return path == self.path() or (self.route.endswith('/{*path}') and
                                       path.startswith(self.path() + '/'))

    def refusal(self, handler):
        if handler.command.lower() not in self.trigger['methods']:
            return 404
        given = handler.headers.get('x-functions-key', '')
        return 401 if self.trigger['authLevel'] == 'function' and given != self.key else None


class Container:
    """`lithops worker --fn`, of an image."""

    def __init__(self, command, env):
        self.folder = tempfile.TemporaryDirectory(prefix='lithops-fn-')
        self.path = os.path.join(self.folder.name, 'lsnr.sock')
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [command, 'worker', '--fn'], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**env, 'FN_FORMAT': 'http-stream', 'FN_LISTENER': 'unix:' + self.path})
        end = time.monotonic() + TIMEOUT_S
        while not os.path.exists(self.path):
            if self.process.poll() is not None or time.monotonic() > end:
                raise OSError(f'it does not listen: {os.pread(self.log.fileno(), 1 << 20, 0)}')
            time.sleep(0.02)
        if os.stat(self.path).st_mode & 0o666 != 0o666:
            raise OSError('the agent of Fn may not connect')

    def ask(self, head, body, limit_s=TIMEOUT_S):
        """@return the status, and what the answer says; OSError"""
        with socket.socket(socket.AF_UNIX) as there:
            there.settimeout(limit_s)
            there.connect(self.path)
            there.sendall(head.encode() + b'\r\n\r\n' + body)
            answer = b''
            while data := there.recv(65536):
                answer += data
        head, _, body = answer.partition(b'\r\n\r\n')
        return int(head.split()[1]), json.loads(body)

    def call(self, body, deadline_s):
        chunks = b''.join(b'%x\r\n%s\r\n' % (len(body[i:i + 4096]), body[i:i + 4096])
                          for i in range(0, len(body), 4096))
        until = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + deadline_s))
        return self.ask('POST /call HTTP/1.1\r\nHost: localhost\r\nFn-Call-Id: 1\r\n'
                        f'Fn-Deadline: {until}\r\nContent-Type: application/json\r\n'
                        'Transfer-Encoding: chunked', chunks + b'0\r\n\r\n', deadline_s + 10)

    def destroy(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Oracle(Service):
    ID = 'ocid1.fnfunc.oc1.here.function'
    SIGNED = {'GET': {'date', '(request-target)', 'host'},
              'POST': {'date', '(request-target)', 'host', 'content-length', 'content-type',
                       'x-content-sha256'}}

    def __init__(self, command, env, own, key_id, public_key):
        super().__init__(None, env, own)
        self.command, self.key_id, self.public_key = command, key_id, public_key
        self.faults = lambda number: None  # of invocations: (status, how often it runs), or None
        self.timeout_s, self.invoked, self.results, self.threads = 300, 0, [], []

    def __exit__(self, *_):
        with self.lock:
            for container in self.instances:
                container.process.kill()  # its calls end
        for thread in self.threads:
            thread.join(TIMEOUT_S)
        super().__exit__()

    def start(self):
        return Container(self.command, {**self.own, **self.env})

    def is_right(self, handler, body):
        given = dict(re.findall(r'(\w+)="([^"]*)"', handler.headers.get('Authorization', '')))
        names = given.get('headers', '').split()
        if (given.get('version'), given.get('algorithm')) != ('1', 'rsa-sha256') or \
                given.get('keyId') != self.key_id or set(names) != self.SIGNED[handler.command]:
            return False
        texts = {'(request-target)': f'{handler.command.lower()} {handler.path}'}
        lines = [f'{name}: {texts.get(name) or handler.headers[name]}' for name in names]
        sent = email.utils.parsedate_to_datetime(handler.headers['date']).timestamp()
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        return (abs(sent - time.time()) < 300 and
                handler.headers.get('x-content-sha256', digest) == digest and
                is_signed(self.public_key, '\n'.join(lines).encode(),
                          base64.b64decode(given['signature'])))

    def serve(self, handler, body):
        function = '/20181201/functions/' + self.ID
        if not self.is_right(handler, body):
            handler.answer(401, {'code': 'NotAuthenticated', 'message': 'it is not signed'})
        elif handler.command == 'GET' and handler.path == function:
            handler.answer(200, {'id': self.ID, 'displayName': 'lithops', 'memoryInMBs': 256,
                                 'lifecycleState': 'ACTIVE', 'timeoutInSeconds': 30,
                                 'detachedModeTimeoutInSeconds': self.timeout_s,
                                 'invokeEndpoint': self.url})
        elif handler.command == 'POST' and handler.path == function + '/actions/invoke' and \
                handler.headers['fn-invoke-type'] == 'detached':
            self.invoke(handler, body)
        else:
            handler.answer(404, {'code': 'NotAuthorizedOrNotFound', 'message': 'it is not there'})

    def invoke(self, handler, body):
        with self.lock:
            self.invoked += 1
            number = self.invoked
        status, copies = self.faults(number) or (202, 1)
        for _ in range(copies):
            thread = threading.Thread(target=self.run, args=(body,))
            self.threads.append(thread)
            thread.start()
        if status:
            handler.answer(status, None if status == 202 else {'message': 'not now'})
        else:  # the answer is lost
            handler.close_connection = True

    def run(self, body):
        container = self.take()
        try:
            result = container.call(body, self.timeout_s)
        except (OSError, ValueError, IndexError) as failure:
            container.process.kill()
            result = (504, str(failure))
        else:
            self.leave(container)
        self.results.append(result)


class Handler(http.server.BaseHTTPRequestHandler):
    owner = None
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, document=None):
        body = json.dumps(document).encode() if document else b''
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        with contextlib.suppress(OSError):  # the client has hung up
            self.end_headers()
            self.wfile.write(body)

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        owner = self.owner
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        with owner.lock:
            owner.requests.append((self.command, self.path, dict(self.headers), body))
        if self.path == '/token':
            token = owner.give_token(body)
            self.answer(200 if token else 401, {'id_token': token} if token else None)
        else:
            owner.serve(self, body)

    def hand_on(self, there, body):
        head = [f'{self.command} {self.path} HTTP/1.1', 'X-Forwarded-For: 127.0.0.1']
        head += [f'{name}: {value}' for name, value in self.headers.items()
                 if name.lower() not in ('expect', 'connection', 'x-functions-key')]
        there.sendall('\r\n'.join(head).encode() + b'\r\n\r\n' + body)
        gathers = isinstance(self.owner, Azure) and not self.owner.host['customHandler'].get(
            'enableProxyingHttpRequest')
        gathered = b''
        while True:
            ready, _, _ = select.select([there, self.connection], [], [])
            if self.connection in ready:
                return  # the client has hung up; it says nothing more
            data = there.recv(65536)
            gathered += data if gathers else b''
            if not gathers:
                self.connection.sendall(data)
            if not data:
                with contextlib.suppress(OSError):
                    self.connection.sendall(gathered)
                return
