# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests: executors, and an environment without the user's configuration."""

import json
import os
import subprocess
import sys
import textwrap

import kubernetes_pods
import pytest

import lithops
from lithops import _lithops

for name in ('LITHOPS_CONFIG', 'LITHOPS_CONFIG_FILE', 'LITHOPS_LOG_LEVEL'):
    os.environ.pop(name, None)


@pytest.fixture(scope='module')
def fexec():
    """An executor with two worker processes, for all tests of a file."""
    backend = os.environ.get('LITHOPS_TEST_BACKEND')
    settings = {}
    if 'LITHOPS_TEST_TRANSPORT' in os.environ:
        settings['transport'] = os.environ['LITHOPS_TEST_TRANSPORT']
    if backend == 'k8s':
        settings['config'] = kubernetes_pods.config()
    if 'LITHOPS_TEST_CONFIG' in os.environ:  # what tests/servers/configured has made
        settings['config'] = json.loads(os.environ['LITHOPS_TEST_CONFIG'])
    with lithops.FunctionExecutor(worker_processes=2, backend=backend, **settings) as executor:
        yield executor


@pytest.fixture(autouse=True)
def _nothing_unread(request):
    """No test sees results that the one before has left unread."""
    if 'fexec' in request.fixturenames:
        executor = request.getfixturevalue('fexec')
        _lithops.collect(executor._engine, executor.futures, True)
    yield


@pytest.fixture
def run_script(tmp_path):
    """Runs a text as a script, in a folder of its own; gives its completed process."""
    def run(text, *arguments, timeout=60, check=True, **options):
        script = tmp_path / 'script.py'
        script.write_text(textwrap.dedent(text))
        done = subprocess.run([sys.executable, str(script), *arguments], cwd=tmp_path, text=True,
                              capture_output=True, timeout=timeout, **options)
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done
    return run
