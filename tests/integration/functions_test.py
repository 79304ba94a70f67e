#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The backends gcp_functions and azure_functions, with the packages of their functions, and oracle_f,
beside the doubles of the services in tests/servers/functions_server.py and a real Redis.

Usage: functions_test.py LITHOPS LIBRARY; run by ctest, beside tests/servers/with-redis."""
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', 'servers'))
from functions_server import Azure, Container, Google, Oracle  # noqa: E402

LITHOPS, LIBRARY = (os.path.abspath(path) for path in sys.argv[1:3])
STORAGE = json.loads(os.environ['LITHOPS_TEST_STORAGE'])
SECRET, KEY = 'c0ffee00c0ffee00c0ffee00c0ffee00', 'key-of-the-function'
LIMIT_S = 150


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Case(unittest.TestCase):
    backend = None

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix='lithops-functions-')
        cls.addClassCleanup(folder.cleanup)
        cls.home = folder.name
        if cls.backend != 'oracle_f':
            cls.package = cls.unpack()

    @classmethod
    def environment(cls):
        kept = {k: v for k, v in os.environ.items() if k == 'PATH'}
        return {**kept, 'HOME': cls.home, 'TMPDIR': cls.home}

    @classmethod
    def lithops(cls, config, *args, given=''):
        return subprocess.run([LITHOPS, *map(str, args)], cwd=cls.home, text=True, input=given,
                              env={**cls.environment(), 'LITHOPS_CONFIG': json.dumps(config)},
                              capture_output=True, timeout=LIMIT_S)

    @classmethod
    def unpack(cls):
        """What the service does with a package: files keep who may run them."""
        folder = os.path.join(cls.home, 'function')
        made = cls.lithops({'lithops': {'backend': cls.backend, 'storage': 'redis'},
                            'redis': STORAGE}, 'runtime', 'build', '--out', 'package.zip')
        assert made.returncode == 0, made.stderr
        with zipfile.ZipFile(os.path.join(cls.home, 'package.zip')) as archive:
            assert archive.testzip() is None
            for entry in archive.infolist():
                path = archive.extract(entry, folder)
                os.chmod(path, stat.S_IMODE(entry.external_attr >> 16))
        return folder

    def enter(self, service):
        service.__enter__()
        self.addCleanup(service.__exit__)
        return service

    def config(self, section, **more):
        section = {'secret': SECRET, 'max_workers': 3, 'worker_processes': 1, 'idle_timeout': 1,
                   **section}
        return {'lithops': {'backend': self.backend, 'storage': 'redis'}, self.backend: section,
                'redis': STORAGE, **more}

    def echo(self, config, count=20):
        """A job whose results are known."""
        items = [f'item-{i}' for i in range(count)]
        done = self.lithops(config, 'map', f'{LIBRARY}:echo', '--over', '-',
                            given='\n'.join(items) + '\n')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(json.loads(line) for line in done.stdout.split()), sorted(items))

    def fails(self, config, message):
        done = self.lithops(config, 'map', f'{LIBRARY}:echo', '--over', '-', given='x\n')
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(message, done.stderr)

    def look_at(self, service, config):
        """What is said of it, and that no secret was."""
        shown = self.lithops(config, 'config', 'check', '--online')
        self.assertIn('status 200', shown.stdout, shown.stderr)
        self.assertIn('ntested', self.lithops(config, 'config', 'show').stdout)
        seen = b'\n'.join(path.encode() + b'\n' + body for _, path, _, body in service.requests)
        for word in (SECRET, os.environ['LITHOPS_TEST_STORAGE_SECRET']):
            self.assertNotIn(word.encode(), seen)

    def refuses_to_deploy(self, config):
        done = self.lithops(config, 'runtime', 'deploy', 'x')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('runtime build', done.stderr)

    def key_pair(self):
        private, public = (os.path.join(self.home, name) for name in ('private', 'public'))
        run('openssl', 'genrsa', '-out', private, '2048')
        run('openssl', 'rsa', '-in', private, '-pubout', '-out', public)
        return private, public


class OfGoogle(Case):
    backend = 'gcp_functions'

    def test_calls_run_with_id_tokens_of_the_account(self):
        private, public = self.key_pair()
        service = self.enter(Google(self.package, {'LITHOPS_WORKER_SECRET': SECRET},
                                    self.environment(), public))
        account = os.path.join(self.home, 'account.json')
        with open(private) as key, open(account, 'w') as file:
            json.dump({'type': 'service_account', 'private_key': key.read(), 'private_key_id': '1',
                       'client_email': 'me@project.iam.gserviceaccount.com',
                       'project_id': 'project', 'token_uri': service.url + '/token'}, file)
        gcp = {'credentials_path': account, 'project_name': 'project', 'region': 'here'}
        config = self.config({'endpoint': service.url, 'trigger': 'https'}, gcp=gcp)
        self.echo(config)
        self.assertEqual(len(service.tokens), 1)
        self.look_at(service, config)
        self.refuses_to_deploy(config)
        self.fails(self.config({'endpoint': service.url, 'token': 'other'}, gcp={}), 'status 403')

    def test_its_url_is_made_of_names(self):
        shown = self.lithops(self.config({}, gcp={'project_name': 'p', 'region': 'r'}), 'config',
                             'check', '--online')
        self.assertIn('r-p.cloudfunctions.net', shown.stdout + shown.stderr)
        self.fails(self.config({}), 'gcloud functions deploy')
        self.fails(self.config({'request_timeout': 77}), ' --timeout 77')


class OfAzure(Case):
    backend = 'azure_functions'

    def test_calls_run_with_the_key_of_the_function(self):
        service = self.enter(Azure(self.package, {'LITHOPS_WORKER_SECRET': SECRET,
                                                  'LITHOPS_WORKERS': '3'},
                                   self.environment(), KEY))
        config = self.config({'endpoint': service.url, 'function_key': KEY})
        self.echo(config)
        self.assertEqual(len(service.instances), 1)
        self.look_at(service, config)
        self.refuses_to_deploy(config)
        self.fails(self.config({'endpoint': service.url, 'function_key': 'other'}), 'status 401')
        for path, status in (('', 401), ('/more/of/it', 401), ('/health', 401)):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(  # of a stranger who has the key
                    service.url + path, b'x', {'x-functions-key': KEY}), timeout=LIMIT_S)
            self.assertEqual(refused.exception.code, status)
            refused.exception.close()

    def test_mistakes_are_named(self):
        self.fails(self.config({}), 'config-zip')
        self.fails(self.config({'endpoint': 'http://example.com', 'function_key': KEY}),
                   'others could read the key')
        worker = subprocess.run([LITHOPS, 'worker', '--http'], text=True, capture_output=True,
                                env={**self.environment(), 'LITHOPS_WORKER_SECRET': SECRET,
                                     'FUNCTIONS_CUSTOMHANDLER_PORT': 'x'}, timeout=LIMIT_S)
        self.assertNotEqual(worker.returncode, 0)
        self.assertIn("FUNCTIONS_CUSTOMHANDLER_PORT in the environment is 'x'", worker.stderr)


class OfOracle(Case):
    backend = 'oracle_f'

    def service(self):
        self.private, public = self.key_pair()
        return self.enter(Oracle(LITHOPS, {'LITHOPS_WORKER_SECRET': SECRET}, self.environment(),
                                 'tenancy/user/12:34', public))

    def config_of(self, service, **more):
        oracle = {'tenancy': 'tenancy', 'user': 'user', 'fingerprint': '12:34',
                  'key_file': self.private, 'compartment_id': 'x'}
        return self.config({'function_id': Oracle.ID, 'api_endpoint': service.url, **more},
                           oracle=oracle)

    def test_what_is_refused_lost_or_done_twice_changes_no_outcome(self):
        service = self.service()
        faults = {1: (429, 0), 2: (202, 2), 3: (0, 1), 4: (500, 1), 5: (503, 0)}
        service.faults = faults.get
        config = self.config_of(service)
        self.echo(config, 40)
        self.assertGreater(service.invoked, 2)
        self.look_at(service, config)
        for status, how in list(service.results):  # those that came twice take half a minute
            self.assertEqual((status, list(how)), (200, ['ended']), how)

    def test_a_worker_ends_before_the_deadline(self):
        service = self.service()
        service.timeout_s = 9
        config = self.config_of(service, idle_timeout=100, endpoint=service.url)
        config['lithops']['call_retries'] = 0
        done = self.lithops(config, 'map', f'{LIBRARY}:sleep_ms', '--over', '-', given='60000\n')
        self.assertNotEqual(done.returncode, 0)
        for thread in service.threads:
            thread.join(LIMIT_S)
        self.assertTrue(service.results)
        self.assertTrue(all(status == 200 for status, _ in service.results), service.results)

    def test_mistakes_are_named(self):
        service = self.service()
        for change, message in (({'fingerprint': 'other'}, 'does not take the signature'),
                                ({'function_id': 'other'}, 'there is no such function'),
                                ({'function_id': None}, 'oci fn function create'),
                                ({'key_file': '/none'}, "'/none', the key_file of oracle"),
                                ({'key_file': '/dev/null'}, 'not a private RSA key'),
                                ({'user': 'a b'}, 'letters, digits'),
                                ({'request_timeout': 301}, 'the function has 300 s'),
                                ({'request_timeout': 20}, 'request_timeout is less than'),
                                ({'endpoint': 'http://example.com'}, 'not https')):
            with self.subTest(change):
                self.fails(self.config_of(service, **change), message)

    def test_its_container_does_as_fn_says(self):
        env = {**self.environment(), 'LITHOPS_WORKER_SECRET': SECRET}
        container = Container(LITHOPS, env)
        self.addCleanup(container.destroy)
        self.assertEqual(container.ask('GET /health HTTP/1.1\r\nHost: x', b'')[0], 200)
        self.assertEqual(container.ask('POST / HTTP/1.1\r\nContent-Length: 0', b'')[0], 404)
        for body, status in ((b'', 400), (b'[]', 400), (b'{}', 401),
                             (b'{"activation": "x", "sealed": {"$bytes": "AAAA"}}', 401)):
            self.assertEqual(container.call(body, LIMIT_S)[0], status, body)
        container.process.terminate()
        self.assertEqual(container.process.wait(LIMIT_S), 0)
        self.assertFalse(os.path.exists(container.path))
        for listener, given in (('tcp:x', 'FN_LISTENER'), ('unix:/' + 'x' * 107, 'cannot listen')):
            worker = subprocess.run([LITHOPS, 'worker', '--fn'], text=True, capture_output=True,
                                    env={**env, 'FN_LISTENER': listener}, timeout=LIMIT_S)
            self.assertNotEqual(worker.returncode, 0)
            self.assertIn(given, worker.stderr)


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
