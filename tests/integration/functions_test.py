#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The backends gcp_functions and azure_functions, and the packages of their functions, beside the
doubles of the services in tests/servers/functions_server.py and a real Redis.

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
from functions_server import Azure, Google  # noqa: E402

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
        if cls.backend:
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
        done = self.lithops(config, 'runtime', 'deploy', 'x')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('runtime build', done.stderr)


class OfGoogle(Case):
    backend = 'gcp_functions'

    def test_calls_run_with_id_tokens_of_the_account(self):
        private, public = (os.path.join(self.home, name) for name in ('private', 'public'))
        run('openssl', 'genrsa', '-out', private, '2048')
        run('openssl', 'rsa', '-in', private, '-pubout', '-out', public)
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
        self.fails(self.config({'endpoint': service.url, 'token': 'other'}, gcp={}), 'status 403')

    def test_its_url_is_made_of_names(self):
        shown = self.lithops(self.config({}, gcp={'project_name': 'p', 'region': 'r'}), 'config',
                             'check', '--online')
        self.assertIn('r-p.cloudfunctions.net', shown.stdout + shown.stderr)
        self.fails(self.config({}), 'gcloud functions deploy')


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


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
