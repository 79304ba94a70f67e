#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The backend gcp_compute_engine on machines that tests/servers/with-machines emulates: from the
request for one to its end, whoever dies. `make test-machines` runs it.

Usage: gce_test.py LITHOPS FUNCTIONS
"""
import json
import os
import subprocess
import sys
import unittest
import urllib.request

import standalone_case
from standalone_case import ENDPOINT, FOLDER, FUNCTIONS

ZONE = ENDPOINT + "/compute/v1/projects/my-project/zones/us-east1-b"


def ask(method, url, body=None):
    request = urllib.request.Request(url, method=method, headers={
        "Authorization": "Bearer of-the-client", "Content-Type": "application/json"},
        data=None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def instances():
    return {one["name"]: one for one in ask("GET", ZONE + "/instances")["items"]}


def control(**what):
    ask("POST", ENDPOINT + "/control", what)


class Machines(standalone_case.Service):
    backend = "gcp_compute_engine"
    control = staticmethod(control)
    section = {"zone": "us-east1-b", "service_account": "worker@my-project.iam"}
    others = {"gcp": {"credentials_path": FOLDER + "/account.json"}}
    HERE, RUNNING = {"PROVISIONING", "RUNNING", "TERMINATED", "SUSPENDED"}, {"RUNNING"}

    @classmethod
    def setUpClass(cls):
        key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt",
                              "rsa_keygen_bits:2048"], capture_output=True, text=True, check=True)
        with open(FOLDER + "/account.json", "w", encoding="ascii") as file:
            json.dump({"client_email": "me@my-project", "private_key": key.stdout,
                       "project_id": "my-project", "token_uri": ENDPOINT + "/token"}, file)

    def states(self):
        return {name: instance["status"] for name, instance in instances().items()}

    def is_of(self, machine, pid):
        """Whether a process is one of that machine: its disk is this test's."""
        try:
            return os.path.samefile(f"/proc/{pid}/root/var/lib", f"{FOLDER}/{machine}/lib")
        except FileNotFoundError:
            return False

    def end_machines(self, names):
        for name in names:
            ask("DELETE", ZONE + "/instances/" + name)

    def test_create_makes_machines_and_ends_them(self):
        self.configure({"exec_mode": "create"})
        client = self.start_busy()
        for instance in instances().values():
            self.assertEqual(len(instance["labels"]), 6)
            self.assertTrue(instance["machineType"].endswith("-standard-2"))
        client.terminate()
        client.communicate()
        self.await_true(lambda: not self.made(*self.HERE), "they are deleted")
        self.square(*range(20))
        self.await_true(lambda: not self.made(*self.HERE), "they are deleted, too")

    def test_reuse_uses_a_machine_again(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 60}, max_workers=1)
        self.square(1, 2, 3)
        first, = self.made("RUNNING")
        labels = instances()[first]["labels"]
        self.square(4, 5, 6)
        self.assertEqual(self.made("RUNNING"), [first])
        again = instances()[first]["labels"]
        self.assertNotEqual(labels["lithops-executor"], again["lithops-executor"])
        self.assertEqual(labels["lithops-group"], again["lithops-group"])
        out, _ = self.run_lithops("config", "check", "--online")
        self.assertIn(first + ": running, 10.1.", out)
        self.run_lithops("worker", "list")

    def test_a_machine_to_reuse_deletes_itself(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 4}, max_workers=1)
        self.square(1, 2, 3)
        self.await_true(lambda: not self.made(*self.HERE), "it deletes itself")

    def test_one_that_may_not_is_stopped_and_started_again(self):
        for keys in ({"service_account": "weak@my-project.iam"}, {"service_account": ""},
                     {"delete_on_dismantle": False}):
            with self.subTest(keys):
                self.before = set(self.states())
                self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 4}, max_workers=1,
                               **keys)
                self.square(7)
                self.await_true(lambda: self.made("TERMINATED"), "it stops itself")
                machine, = self.made()
                self.square(8)
                self.assertEqual(self.made(), [machine])
                self.await_true(lambda: self.made("TERMINATED"), "it stops itself again")
                self.run_lithops("clean")
                self.assertFalse(self.made())

    def test_a_machine_whose_guard_is_dead_is_deleted_all_the_same(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 5,
                        "hard_dismantle_timeout": 30}, max_workers=1)
        client = self.start_busy()
        machine, = self.made("RUNNING")
        found = subprocess.run(["pgrep", "-f", "^sh /var/lib/lithops/guard 5 30 "],
                               capture_output=True, text=True, check=True).stdout.split()
        ours = [pid for pid in map(int, found) if self.is_of(machine, pid)]
        self.assertTrue(ours)
        for pid in ours:
            os.kill(pid, 9)
        self.kill(client)
        self.assertEqual(instances()[machine]["scheduling"]["maxRunDuration"]["seconds"],
                         str(100 + 5 + 2 * 30 + 600))
        control(late=machine)
        self.assertFalse(self.made())

    def test_one_that_google_ends_soon_is_not_used_again(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 60,
                        "hard_dismantle_timeout": 600}, max_workers=1)
        self.square(1)
        first, = self.made("RUNNING")
        control(soon=first, seconds=640)
        self.square(2)
        self.assertEqual(self.made("RUNNING"), [first])
        control(soon=first, seconds=500)
        self.square(3)
        self.assertEqual(len(self.made("RUNNING")), 2)

    def test_a_spot_machine_that_is_preempted_is_replaced(self):
        self.check_spot(lambda name: control(preempt=name))

    def test_what_a_zone_has_not_is_said(self):
        self.configure({"exec_mode": "create"}, max_workers=1)
        control(stockout=100, throttle=3)
        _, err = self.run_lithops("call", FUNCTIONS + ":square", "2", status=1)
        self.assertIn("ZONE_RESOURCE_POOL_EXHAUSTED", err)
        self.assertFalse(self.made())

    def test_consume_starts_a_machine_of_the_users(self):
        def make(script):
            ask("POST", ZONE + "/instances", {
                "name": "mine", "labels": {}, "networkInterfaces": [{}],
                "scheduling": {"provisioningModel": "STANDARD"},
                "metadata": {"items": [{"key": "user-data", "value": script}]}})
            return "mine"

        self.check_consume(make, lambda name: ask("POST", f"{ZONE}/instances/{name}/stop", {}),
                           "TERMINATED", "instance_name")
        control(suspend="mine")
        _, err = self.run_lithops("call", FUNCTIONS + ":square", "2", status=1)
        self.assertIn("mine is suspended", err)

    def test_no_machine_knows_the_clients_key(self):
        self.configure({"exec_mode": "create"}, max_workers=1)
        client = self.start_busy()
        for instance in instances().values():
            text = json.dumps(instance)
            self.assertNotIn("PRIVATE KEY", text)
            self.assertNotIn("of-the-client", text)
        found = subprocess.run(["grep", "-rlIE", "of-the-client|BEGIN PRIVATE KEY", "--exclude=hostkey",
                                *(f"{FOLDER}/{name}" for name in self.made())],
                               capture_output=True, text=True, check=False)
        self.assertEqual(found.stdout, "")
        client.terminate()
        client.communicate()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
