#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Function services of Google's and Microsoft's clouds as far as a function over HTTP needs them, with
instances that are processes. They start what a package says, as the services do.

They are doubles, written after what the services publish. What they do as that says:
  Google   main.py is loaded, with PORT in the environment, before the framework listens
           (functions_framework/_cli.py); a request needs an ID token for the function's URL, which a
           statement is exchanged for that the account's key has signed; an instance has one request.
  Azure    host.json and function.json say what runs, where, and who may call it. The handler is told
           its port by FUNCTIONS_CUSTOMHANDLER_PORT, and asked for / until it answers; requests keep
           their path, and answers are handed on as they come (enableProxyingHttpRequest) or as a whole.

    service = Google(folder, env, own, account)    a context; service.url, .requests
    service = Azure(folder, env, own, key)
env is what the service gives its instances, own what they need here."""
import base64
import contextlib
import http.server
import json
import os
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
        with tempfile.NamedTemporaryFile() as file:
            file.write(base64.urlsafe_b64decode(signature + '=='))
            file.flush()
            good = subprocess.run(['openssl', 'dgst', '-sha256', '-verify', self.public_key,
                                   '-signature', file.name], input=signed.encode(),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        claims = json.loads(base64.urlsafe_b64decode(signed.split('.')[1] + '=='))
        if good.returncode != 0 or claims.get('target_audience') != self.url:
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


class Handler(http.server.BaseHTTPRequestHandler):
    owner = None
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, document=None):
        body = json.dumps(document).encode() if document else b''
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
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
            return
        refusal = owner.refusal(self) if owner.is_for(self.path) else 404
        if refusal:
            self.answer(refusal)
            return
        instance = owner.take()
        try:
            with instance.connect() as there:
                self.hand_on(there, body)
        except OSError:
            pass  # one of the two has hung up
        finally:
            owner.leave(instance)
        self.close_connection = True

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
