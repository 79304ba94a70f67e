# SPDX-License-Identifier: Apache-2.0
"""What stands for AWS Lambda: lambda_server.py FOLDER INSTALLED

Functions are made, listed and deleted by moto. Invocations run as the service runs them: in execution
environments of one invocation at a time, each of which is Amazon's Runtime Interface Emulator over
the package that was deployed, unpacked. Signatures are computed again, by botocore. What the
emulator does otherwise than the service is put right here: events are answered before they run, and
errors of functions have their header.

An invocation is answered with the status in the first line of LITHOPS_TEST_LAMBDA_FAULTS, if there is
one, which is taken away.
"""

import base64
import concurrent.futures
import http.client
import http.server
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

FOLDER, INSTALLED = sys.argv[1:]
KEYS = {os.environ['LITHOPS_TEST_LAMBDA_KEY']: os.environ['LITHOPS_TEST_LAMBDA_SECRET']}
START_S = 240
lock = threading.Lock()
functions = {}  # name -> Function


def free_port():
    """Below the kernel's range for clients, or one might take it meanwhile."""
    while True:
        try:
            with socket.create_server(('127.0.0.1', random.randrange(10240, 32768))) as server:
                return server.getsockname()[1]
        except OSError:
            pass


def await_port(port, process):
    end = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError('a server did not start') from None
            time.sleep(0.01)


starter = concurrent.futures.ThreadPoolExecutor(1)


def start(command, **more):
    """In a thread that stays: the kernel takes the end of the thread for that of the parent."""
    return starter.submit(subprocess.Popen, ['setpriv', '--pdeathsig', 'KILL', *command],
                          stdin=subprocess.DEVNULL, start_new_session=True, **more).result()


def descendants(root):
    """A process and all that it has started: the emulator gives functions a group of their own."""
    parents = {}
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{name}/stat', 'rb') as file:
                parents[int(name)] = int(file.read().rpartition(b')')[2].split()[1])
        except OSError:
            pass
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


class Environment:
    """An execution environment: a place where a function runs, one event after the other."""

    def __init__(self, function):
        settings = function.settings()
        env = dict(PATH=os.environ['PATH'], LAMBDA_TASK_ROOT=function.folder,
                   AWS_ACCESS_KEY_ID=os.environ['LITHOPS_TEST_S3_ACCESS_KEY'],
                   AWS_SECRET_ACCESS_KEY=os.environ['LITHOPS_TEST_S3_SECRET_KEY'],
                   AWS_REGION='us-east-1', AWS_EC2_METADATA_DISABLED='true',
                   AWS_LAMBDA_FUNCTION_NAME=settings['FunctionName'],
                   AWS_LAMBDA_FUNCTION_TIMEOUT=str(settings['Timeout']),
                   AWS_LAMBDA_FUNCTION_MEMORY_SIZE=str(settings['MemorySize']),
                   XDG_CACHE_HOME=FOLDER + '/cache')
        for name in os.environ:  # of tests under a sanitizer
            if name.endswith('SAN_OPTIONS'):
                env[name] = os.environ[name]
        env.update(settings.get('Environment', {}).get('Variables', {}))
        wrapper = env.pop('AWS_LAMBDA_EXEC_WRAPPER', None)
        program = function.folder + '/bootstrap'
        if settings['Runtime'].startswith('python') and wrapper != '/var/task/bootstrap':
            raise RuntimeError('the wrapper is missing')
        while True:
            self.port, api_port = free_port(), free_port()
            self.process = start([INSTALLED + '/aws-lambda-rie', '--log-level', 'error',
                                  '--runtime-interface-emulator-address', f'127.0.0.1:{self.port}',
                                  '--runtime-api-address', f'127.0.0.1:{api_port}', program],
                                 env=env, cwd=function.folder)
            try:
                await_port(self.port, self.process)
                return
            except RuntimeError:
                self.end()

    def run(self, event):
        connection = http.client.HTTPConnection('127.0.0.1', self.port)
        try:
            connection.request('POST', '/2015-03-31/functions/function/invocations', event)
            return connection.getresponse().read()
        finally:
            connection.close()

    def end(self):
        for pid in descendants(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait()


class Function:
    def __init__(self, name, package):
        self.name, self.idle, self.all = name, [], []
        self.folder = None
        self.deploy(package)

    def deploy(self, package):
        self.end()
        self.folder = os.path.join(FOLDER, f'{self.name}-{time.monotonic_ns()}')
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(package))) as archive:
            assert archive.testzip() is None
            archive.extractall(self.folder)
            for info in archive.infolist():
                os.chmod(os.path.join(self.folder, info.filename), info.external_attr >> 16)

    def settings(self):
        _, _, body = ask_moto('GET', f'/2015-03-31/functions/{self.name}/configuration', {}, b'')
        return json.loads(body)

    def run(self, event):
        """The answer, and whether the function failed."""
        with lock:
            environment = self.idle.pop() if self.idle else None
        if environment is None:
            environment = Environment(self)
            with lock:
                self.all.append(environment)
        try:
            answer = environment.run(event)
            failed = b'"errorType"' in answer
        except (OSError, http.client.HTTPException) as error:
            print('an environment is gone:', repr(error), 'emulator:', environment.process.poll(), flush=True)
            answer = b'{"errorType": "Runtime.ExitError", "errorMessage": "Error: Runtime exited"}'
            failed = True
        if failed:  # it may have been killed
            environment.end()
        else:
            with lock:
                self.idle.append(environment)
        return answer, failed

    def end(self):
        with lock:
            ended, self.all, self.idle = self.all, [], []
        for environment in ended:
            environment.end()


def ask_moto(method, path, headers, body):
    connection = http.client.HTTPConnection('127.0.0.1', moto_port)
    signed = 'AWS4-HMAC-SHA256 Credential=x/20240101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=x'
    connection.request(method, path, body, {'Authorization': signed, **headers})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def next_fault():
    with open(os.environ['LITHOPS_TEST_LAMBDA_FAULTS'], 'r+') as file:
        faults = file.read().split()
        if not faults:
            return None
        file.seek(0)
        file.truncate()
        file.write('\n'.join(faults[1:]))
        return int(faults[0])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def say(self, status, body, **headers):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, name, text):
        self.say(status, json.dumps({'message': text}).encode(), x_amzn_ErrorType=name)

    def is_signed(self, body):
        try:
            words = dict(word.split('=', 1) for word in
                         self.headers['Authorization'].split(' ', 1)[1].split(', '))
            key, _, region, service, _ = words['Credential'].split('/')
            names = words['SignedHeaders'].split(';')
            request = AWSRequest(self.command, f'http://{self.headers["Host"]}{self.path}', data=body,
                                 headers={name: self.headers[name] for name in names})
            request.context['timestamp'] = self.headers['X-Amz-Date']
            auth = SigV4Auth(Credentials(key, KEYS[key]), service, region)
            text = auth.string_to_sign(request, auth.canonical_request(request))
            return service == 'lambda' and auth.signature(text, request) == words['Signature']
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            return False

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        parts = self.path.partition('?')[0].strip('/').split('/')
        if not self.is_signed(body):
            self.refuse(403, 'InvalidSignatureException', 'The signature does not match.')
        elif parts[-1] == 'invocations' and self.command == 'POST':
            self.invoke(parts[2], body)
        else:
            self.keep(parts, body)

    do_GET = do_PUT = do_DELETE = do_POST

    def keep(self, parts, body):
        headers = {'Content-Type': 'application/json'} if body else {}
        status, _, answer = ask_moto(self.command, self.path, headers, body)
        if status < 300 and self.command == 'POST' and parts[1:] == ['functions']:
            made = json.loads(body)
            functions[made['FunctionName']] = Function(made['FunctionName'], made['Code']['ZipFile'])
        elif status < 300 and self.command == 'PUT' and parts[-1] == 'code':
            functions[parts[2]].deploy(json.loads(body)['ZipFile'])
        elif status < 300 and self.command == 'DELETE' and parts[-2] == 'functions':
            functions.pop(parts[2]).end()
        named = {404: 'ResourceNotFoundException'}
        self.say(status, answer, **({'x_amzn_ErrorType': named[status]} if status in named else {}))

    def invoke(self, name, body):
        with lock:
            fault = next_fault()
            with open(os.environ['LITHOPS_TEST_LAMBDA_LOG'], 'ab') as log:
                log.write(body + b'\n')
        function = functions.get(name)
        if fault is not None:
            self.refuse(fault, 'TooManyRequestsException' if fault == 429 else 'ServiceException',
                        'Rate Exceeded.')
        elif function is None:
            self.refuse(404, 'ResourceNotFoundException', f'Function not found: {name}')
        elif self.headers.get('X-Amz-Invocation-Type') == 'Event':
            threading.Thread(target=function.run, args=(body,), daemon=True).start()
            self.say(202, b'')
        else:
            answer, failed = function.run(body)
            self.say(200, answer, **({'X_Amz_Function_Error': 'Unhandled'} if failed else {}))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # a client may hang up
            super().handle_error(request, client_address)


def stop(*_):
    for function in list(functions.values()):
        function.end()
    os.killpg(moto.pid, signal.SIGKILL)
    os._exit(0)


moto_port = free_port()
moto = start([INSTALLED + '/venv/bin/moto_server', '-H', '127.0.0.1', '-p', str(moto_port)],
             env=dict(os.environ, MOTO_IAM_LOAD_MANAGED_POLICIES='false'))
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop).start())
await_port(moto_port, moto)
boto3.client('iam', endpoint_url=f'http://127.0.0.1:{moto_port}', region_name='us-east-1',
             aws_access_key_id='x', aws_secret_access_key='x').create_role(
                 RoleName='lithops', AssumeRolePolicyDocument='{}')
server = Server(('127.0.0.1', 0), Handler)
with open(FOLDER + '/port.new', 'w') as file:
    file.write(str(server.server_address[1]))
shutil.move(FOLDER + '/port.new', FOLDER + '/port')
server.serve_forever()
