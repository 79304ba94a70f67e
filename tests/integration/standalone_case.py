# SPDX-License-Identifier: Apache-2.0
"""What tests of standalone backends have in common, whose clouds tests/servers/with-machines
emulates."""
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest

LITHOPS, FUNCTIONS = (os.path.abspath(path) for path in sys.argv[1:3])
FOLDER, ENDPOINT = os.environ["LITHOPS_TEST_CLOUD_DIR"], os.environ["LITHOPS_TEST_CLOUD"]
LIMIT_S = 150


class Case(unittest.TestCase):
    """Of a cloud: `backend`, `section` and `others` of the configuration; states(), a map of the
    machines' names to what state they are in; HERE, those of machines that cost something; and
    end_machines(names)."""
    others, environment = {}, {}

    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="lithops-standalone-home-")
        self.addCleanup(home.cleanup)
        self.home = home.name
        self.before = set(self.states())
        self.addCleanup(self.end_all)
        self.env = {"PATH": os.environ["PATH"], "HOME": self.home,
                    **self.environment, **{k: v for k, v in os.environ.items() if "SAN_OPTIONS" in k}}

    def end_all(self):
        left = [name for name, state in self.states().items() if state in self.HERE]
        if left:
            self.end_machines(left)

    def made(self, *wanted):
        """Names of those of this test, in these states."""
        return [name for name, state in self.states().items()
                if name not in self.before and (not wanted or state in wanted)]

    def await_true(self, condition, what):
        until = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > until:
                raise AssertionError(f"{what}: {self.states()}")
            time.sleep(0.1)

    def configure(self, standalone, **keys):
        section = {"endpoint": ENDPOINT, "ssh_username": "root", "ssh_key_filename": FOLDER + "/id",
                   "ssh_address": "private", "worker_processes": 2, "max_workers": 2,
                   **self.section, **keys}
        config = {"lithops": {"backend": self.backend, "storage": "localhost", "log_level": "info",
                              "call_retries": 3},
                  **self.others, "standalone": {"start_timeout": 100, **standalone},
                  self.backend: section}
        with open(self.home + "/.lithops_config", "w", encoding="ascii") as file:
            json.dump(config, file)

    def start(self, *args):
        process = subprocess.Popen([LITHOPS, *args], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, cwd=self.home, env=self.env)
        self.addCleanup(self.kill, process)
        return process

    def run_lithops(self, *args, status=0):
        process = self.start(*args)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fail(f"{args} takes too long: {out}{err}")
        self.assertEqual(process.returncode, status, out + err)
        return out, err

    def square(self, *numbers):
        out, err = self.run_lithops("map", FUNCTIONS + ":square", "--over", *map(str, numbers))
        self.assertEqual([int(word) for word in out.split()], [n * n for n in numbers])
        return err

    def is_busy(self):
        """Whether a machine has been taken, as the engine is there."""
        for name in self.made(*self.RUNNING):
            name = f"{FOLDER}/{name}/home/.cache/lithops/engine"
            if os.path.isdir(name) and any(not n.startswith(".") for n in os.listdir(name)):
                return True
        return False

    def start_busy(self):
        """A client whose call runs on a machine."""
        client = self.start("call", FUNCTIONS + ":sleep_ms", "600000")
        self.await_true(self.is_busy, "a call runs")
        return client

    def kill(self, client):
        client.kill()
        with client:
            client.wait()

    # what holds for all of them

    def check_dead_client_leaves_nothing(self, **keys):
        self.configure({"exec_mode": "create", "soft_dismantle_timeout": 4}, max_workers=1, **keys)
        self.kill(self.start_busy())
        self.await_true(lambda: not self.made(*self.HERE), "the machine ends itself")

    def check_hard_timeout(self, **keys):
        self.configure({"exec_mode": "create", "soft_dismantle_timeout": 4,
                        "hard_dismantle_timeout": 12}, max_workers=1, **keys)
        _, err = self.run_lithops("call", FUNCTIONS + ":sleep_ms", "600000", status=1)
        self.assertIn(self.backend + "-0", err)
        self.await_true(lambda: not self.made(*self.HERE), "it is off")

    def check_clean(self, **keys):
        self.configure({"exec_mode": "create", "auto_dismantle": False}, max_workers=1, **keys)
        client = self.start_busy()
        out, _ = self.run_lithops("clean", "--json")
        self.assertEqual(json.loads(out)["workers_elsewhere"], 0, out) # it lives
        self.kill(client)
        self.assertTrue(self.made(*self.RUNNING))
        out, _ = self.run_lithops("clean", "--dry-run", "--json")
        self.assertEqual(json.loads(out)["workers_elsewhere"], 1, out)
        self.assertTrue(self.made(*self.RUNNING))
        out, _ = self.run_lithops("clean")
        self.assertIn("1 workers of dead clients", out)
        self.await_true(lambda: not self.made(*self.HERE), "it is gone")

    def check_spot(self, evict):
        """`evict(name)` ends one, as the cloud does."""
        self.configure({"exec_mode": "create"}, max_workers=1, request_spot_instances=True)
        client = self.start("map", FUNCTIONS + ":sleep_ms", "--over", *["3000"] * 6)
        self.await_true(self.is_busy, "a call runs")
        first, = self.made(*self.RUNNING)
        evict(first)
        out, err = client.communicate(timeout=LIMIT_S)
        self.assertEqual(client.returncode, 0, out + err)
        self.assertNotIn(first, self.states())
        self.await_true(lambda: not self.made(*self.HERE), "the other one is deleted")

    def check_consume(self, make, turn_off, off, key):
        """`make(script)` makes a machine of the user's, `turn_off(name)` is what the user does;
        then it is in that state, and `key` of the configuration names it."""
        with open(FOLDER + "/id.pub", encoding="ascii") as file:
            public = file.read().strip()
        name = make(f"#!/bin/sh\nmkdir -p ~/.ssh\necho '{public}' >>~/.ssh/authorized_keys\n")
        log = f"{FOLDER}/{name}/home/.ssh/authorized_keys"
        self.await_true(lambda: os.path.exists(log) and os.path.getsize(log), "its first boot")
        self.configure({"exec_mode": "consume", "soft_dismantle_timeout": 4}, **{key: name})
        self.square(1, 2)  # it ran before, and is left alone
        self.assertFalse(os.path.exists(f"{FOLDER}/{name}/lib/lithops"))
        turn_off(name)
        self.square(3, 4)
        self.await_true(lambda: self.states()[name] == off, "it stops itself")


class Service(Case):
    """Of a cloud whose emulator is told things by `control(**what)`, and writes down what it was asked
    for wrongly."""

    def tearDown(self):
        self.control(stockout=0, throttle=0)
        if os.path.exists(FOLDER + "/wrong"):
            with open(FOLDER + "/wrong", encoding="utf-8") as file:
                self.fail(file.read())

    def test_a_client_that_dies_leaves_nothing(self):
        self.check_dead_client_leaves_nothing()

    def test_a_machine_that_is_used_for_too_long_deletes_itself(self):
        self.check_hard_timeout()

    def test_clean_ends_what_dead_clients_left(self):
        self.check_clean()
