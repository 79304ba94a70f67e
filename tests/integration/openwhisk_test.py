#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The backends openwhisk and ibm_cf, and `lithops worker --openwhisk`, beside the double of the
platform in tests/servers/openwhisk_server.py and a real Redis.

Usage: openwhisk_test.py LITHOPS LIBRARY; run by ctest, beside tests/servers/with-redis."""
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'servers'))
from openwhisk_server import MARK, Container, Server, ask, children_of  # noqa: E402

LITHOPS, LIBRARY = (os.path.abspath(path) for path in sys.argv[1:3])
STORAGE = json.loads(os.environ['LITHOPS_TEST_STORAGE'])
SECRET = 'c0ffee00c0ffee00c0ffee00c0ffee00'
API_KEY, IAM_KEY = 'user:api-key-of-the-namespace', 'iam-key-of-the-account'
LIMIT_S = 150


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='lithops-openwhisk-')
        self.addCleanup(folder.cleanup)
        self.home = folder.name

    def environment(self):
        kept = {k: v for k, v in os.environ.items()
                if k == 'PATH' or 'SAN_OPTIONS' in k or k.startswith('LITHOPS_TEST_SAN')}
        return {**kept, 'HOME': self.home, 'TMPDIR': self.home}

    def server(self, env=None):
        server = Server(LITHOPS, {'LITHOPS_WORKER_SECRET': SECRET} if env is None else env,
                        self.environment())
        server.__enter__()
        self.addCleanup(server.__exit__)
        return server

    def config(self, server, backend='openwhisk', **more):
        sections = {
            'openwhisk': {'endpoint': server.url, 'namespace': 'guest', 'api_key': API_KEY},
            'ibm_cf': {'endpoint': server.url, 'namespace_id': 'guest',
                       'iam_endpoint': server.url}}
        section = {**sections[backend], 'secret': SECRET, 'max_workers': 3, 'worker_processes': 1,
                   'idle_timeout': 1, **more}
        return {'lithops': {'backend': backend, 'storage': 'redis'}, backend: section,
                'ibm': {'iam_api_key': IAM_KEY}, 'redis': STORAGE}

    def start(self, config, *args):
        return subprocess.Popen([LITHOPS, *map(str, args)], cwd=self.home, text=True,
                                env={**self.environment(), 'LITHOPS_CONFIG': json.dumps(config)},
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def run_lithops(self, config, *args, status=0, given=''):
        process = self.start(config, *args)
        out, err = process.communicate(given, timeout=LIMIT_S)
        self.assertEqual(process.returncode, status, out + err)
        return out, err

    def echo(self, config, count=40):
        """A job whose results are known."""
        items = [f'item-{i}' for i in range(count)]
        out, _ = self.run_lithops(config, 'map', f'{LIBRARY}:echo', '--over', '-',
                                  given='\n'.join(items) + '\n')
        self.assertEqual(sorted(json.loads(line) for line in out.split()), sorted(items))


class Backend(Case):
    def test_calls_run_and_no_secret_is_seen(self):
        server = self.server()
        self.echo(self.config(server))
        self.assertEqual(server.problems, [])
        self.assertGreater(server.invoked, 0)
        seen = b'\n'.join(path.encode() + b'\n' + body for _, path, _, body in server.requests)
        for word in (SECRET, API_KEY, os.environ['LITHOPS_TEST_STORAGE_SECRET']):
            self.assertNotIn(word.encode(), seen)
        with server.lock:
            for container in server.idle + server.busy:
                self.assertNotIn(SECRET.encode(), container.log(0) + container.log(1))

    def test_what_is_refused_lost_or_done_twice_changes_no_outcome(self):
        server = self.server()
        faults = {1: (429, 0), 2: (503, 0), 3: (202, 2), 4: (0, 1), 5: (500, 1), 6: (0, 0)}
        server.faults = faults.get
        self.echo(self.config(server))
        self.assertGreater(server.invoked, 2)
        self.assertEqual(server.problems, [])

    def test_requests_have_tokens_of_iam(self):
        server = self.server()
        self.echo(self.config(server, 'ibm_cf'), 5)
        seen = [(path, headers.get('Authorization', ''))
                for _, path, headers, _ in server.requests]
        self.assertIn('/identity/token', [path for path, _ in seen])
        self.assertTrue(all(given == 'Bearer token-0' for path, given in seen
                            if path.startswith('/api')))

    def test_a_worker_that_is_killed_is_explained(self):
        server = self.server({'LITHOPS_WORKER_SECRET': SECRET, 'GIVEN': 'to functions'})
        process = self.start(self.config(server), 'map', f'{LIBRARY}:sleep_ms', '--over', '-')
        result, environments = [], b''
        reader = threading.Thread(
            target=lambda: result.extend(process.communicate('60000\n', timeout=LIMIT_S)))
        reader.start()
        while process.poll() is None:  # one that has not begun its call is replaced
            if any(children_of(pid) for pid in server.workers()):
                time.sleep(1)
                for pid in server.workers():
                    with contextlib.suppress(OSError), open(f'/proc/{pid}/environ', 'rb') as file:
                        environments += file.read()
                server.kill_worker()
            time.sleep(0.1)
        reader.join()
        self.assertNotEqual(process.returncode, 0)
        self.assertIn('killed by signal 9', result[1])
        self.assertIn(b'GIVEN=to functions', environments)
        self.assertNotIn(API_KEY.encode(), environments)

    def test_mistakes_are_named(self):
        server = self.server()
        for change, message in (({'api_key': 'user:wrong'}, 'status 401'),
                                ({'action': 'other'}, 'there is no such action'),
                                ({'namespace': None}, 'openwhisk.namespace is missing'),
                                ({'api_key': None}, 'openwhisk.api_key is missing'),
                                ({'action': 'a b'}, 'letters, digits'),
                                ({'request_timeout': 20}, 'request_timeout is less than'),
                                ({'insecure': True}, 'SSL_CERT_FILE'),
                                ({'endpoint': 'http://example.com'}, 'not https')):
            with self.subTest(change):
                config = self.config(server, **change)
                process = self.start(config, 'map', f'{LIBRARY}:echo', '--over', '-')
                out, err = process.communicate('x\n', timeout=LIMIT_S)
                self.assertNotEqual(process.returncode, 0, out + err)
                self.assertIn(message, err)
                self.assertNotIn('user:wrong', err)

    def test_the_action_is_looked_for(self):
        server = self.server()
        out, _ = self.run_lithops(self.config(server), 'config', 'check', '--online')
        self.assertIn('status 200', out)
        out, _ = self.run_lithops(self.config(server), 'config', 'show')
        self.assertIn('ntested', out)


class Action(Case):
    """What the platform's page on actions asks for."""

    def container(self, init=True):
        container = Container(LITHOPS, self.environment())
        self.addCleanup(container.destroy)
        if init:
            self.init(container, {'LITHOPS_WORKER_SECRET': SECRET}, 200)
        return container

    def init(self, container, env, status):
        got, answer = ask(container.port, 'POST', '/init',
                          {'value': {'name': 'x', 'main': 'main', 'code': '', 'binary': False,
                                     'env': env}})
        self.assertEqual(got, status, answer)
        return answer

    def test_it_is_initialized_once(self):
        container = self.container(init=False)
        status, answer = ask(container.port, 'POST', '/run', {'value': {}})
        self.assertEqual((status, list(answer)), (400, ['error']))
        for path in ('/', '/other'):
            status, answer = ask(container.port, 'POST', path, {})
            self.assertEqual((status, list(answer)), (404, ['error']))
        self.assertEqual(list(self.init(container, {}, 502)), ['error'])
        self.init(container, {'LITHOPS_WORKER_SECRET': 'short'}, 502)
        self.init(container, {'LITHOPS_WORKER_SECRET': SECRET, 'OTHER': 7, 'bad name': 'x'}, 200)
        self.assertEqual(list(self.init(container, {}, 403)), ['error'])
        for text in ('', '{', '[]', '{"value": 1}'):
            status, answer = ask(container.port, 'POST', '/run', text)
            self.assertEqual((status, list(answer)), (400, ['error']), text)

    def test_strangers_are_refused(self):
        container = self.container()
        for parameters in ({}, {'activation': 'x', 'sealed': 'y'},
                           {'activation': f'1 {int(time.time())} {"0" * 32} {"0" * 64}',
                            'sealed': {'$bytes': 'AAAA'}}):
            status, answer = ask(container.port, 'POST', '/run',
                                 {'value': parameters, 'deadline': '1'})
            self.assertEqual((status, list(answer)), (401, ['error']), parameters)
        self.assertEqual(container.workers(), [])
        self.assertEqual(container.log(0).count(MARK), 4)
        self.assertEqual(container.log(1).count(MARK), 4)

    def test_replayed_activations_are_refused(self):
        server = self.server()
        self.echo(self.config(server, max_workers=1), 1)
        bodies = [json.loads(body) for method, path, _, body in server.requests
                  if method == 'POST' and '/actions/' in path]
        with server.lock:
            container = (server.idle + server.busy)[0]
        try:
            status, answer = ask(container.port, 'POST', '/run', {'value': bodies[0]})
        except http.client.HTTPException as failure:
            self.fail(failure)
        self.assertIn((status, list(answer)), ((409, ['error']), (429, ['error'])))

    def test_a_worker_ends_before_the_deadline(self):
        server = self.server()
        server.timeout_ms = 9000
        config = self.config(server, idle_timeout=100)
        config['lithops']['call_retries'] = 0
        begun = time.monotonic()
        process = self.start(config, 'map', f'{LIBRARY}:sleep_ms', '--over', '-')
        process.communicate('60000\n', timeout=LIMIT_S)
        self.assertNotEqual(process.returncode, 0)
        self.assertGreater(time.monotonic() - begun, 2)
        for thread in server.threads:  # the client knows of the end before the platform does
            thread.join(LIMIT_S)
        with server.lock:
            ends = [entry['result'] for entry in server.activations.values() if entry]
        self.assertTrue(ends and all('container is gone' not in str(end) for end in ends), ends)


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
