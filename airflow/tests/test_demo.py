# SPDX-License-Identifier: Apache-2.0
"""`make airflow-demo` to its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.live


def test_demo():
    environ = {name: value for name, value in os.environ.items() if "BUNDLE" not in name}
    done = subprocess.run(
        [sys.executable, Path(__file__).parents[1] / "demo"],
        env=environ | {"AIRFLOW_DEMO_SECONDS": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": the largest is 2198\n" in done.stdout
    assert "Look at http://127.0.0.1:" in done.stdout
