#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The backend azure_vms on machines that tests/servers/with-machines emulates: from the request for
one to its end, whoever dies. `make test-machines` runs it.

Usage: azure_machines_test.py LITHOPS FUNCTIONS
"""
import base64
import json
import subprocess
import sys
import unittest
import urllib.request

import standalone_case
from standalone_case import ENDPOINT, FOLDER, FUNCTIONS

ROOT = "/subscriptions/0-1/resourceGroups/my-group/providers/Microsoft.Compute/virtualMachines/"


def ask(method, path, body):
    request = urllib.request.Request(ENDPOINT + path, method=method, headers={
        "Authorization": "Bearer of-the-client", "Content-Type": "application/json"},
        data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def control(**what):
    return ask("POST", "/control", what)


class Machines(standalone_case.Service):
    backend = "azure_vms"
    control = staticmethod(control)
    section = {"vnet_name": "mine", "identity": "worker"}
    others = {"azure": {"tenant_id": "t1", "client_id": "c1", "client_secret": "s1",
                        "subscription_id": "0-1", "resource_group": "my-group",
                        "region": "westeurope"}}
    environment = {"AZURE_AUTHORITY_HOST": ENDPOINT + "/login"}
    # all that costs anything: a machine that is off is billed unless it is deallocated
    HERE, RUNNING = {"none", "starting", "running", "stopped", "deallocated"}, {"running"}

    def states(self):
        return {name: one["power"] for name, one in control().items()}

    def end_machines(self, names):
        control(end=names)

    def test_create_makes_machines_and_ends_them(self):
        self.configure({"exec_mode": "create"}, ssh_address="any")
        client = self.start_busy()
        for machine in control().values():
            self.assertEqual(len(machine["tags"]), 6)
            self.assertEqual(machine["identity"]["type"], "UserAssigned")
        client.terminate()
        client.communicate()
        self.await_true(lambda: not self.made(*self.HERE), "they are deleted")
        self.square(*range(20))
        self.await_true(lambda: not self.made(*self.HERE), "they are deleted, too")

    def test_reuse_uses_a_machine_again_which_then_deletes_itself(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 30}, max_workers=1)
        self.square(1, 2, 3)
        first, = self.made("running")
        tags = control()[first]["tags"]
        self.square(4, 5, 6)
        again = control()[first]["tags"]
        self.assertEqual(self.made("running"), [first])
        self.assertNotEqual(tags["lithops-executor"], again["lithops-executor"])
        self.assertEqual(tags["lithops-group"], again["lithops-group"])
        out, _ = self.run_lithops("config", "check", "--online")
        self.assertIn(first + ": running, 10.1.", out)
        self.run_lithops("worker", "list")
        self.await_true(lambda: not self.made(*self.HERE), "it deletes itself")

    def test_one_that_is_kept_is_deallocated_and_started_again(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 4}, max_workers=1,
                       delete_on_dismantle=False)
        self.square(7)
        self.await_true(lambda: self.made("deallocated"), "it deallocates itself")
        machine, = self.made()
        self.square(8)
        self.assertEqual(self.made(), [machine])
        self.await_true(lambda: self.made("deallocated"), "it deallocates itself again")
        self.run_lithops("clean")
        self.assertFalse(self.made())

    def test_one_that_may_not_end_itself_is_cleaned(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 4}, max_workers=1,
                       identity="weak")
        self.square(7)
        machine, = self.made("running")
        self.run_lithops("clean")
        self.assertFalse(self.made(*self.HERE), machine)

    def test_a_spot_machine_that_is_evicted_is_replaced(self):
        self.check_spot(lambda name: control(evict=name))

    def test_what_a_region_has_not_is_said(self):
        self.configure({"exec_mode": "create"}, max_workers=1)
        control(stockout=100, throttle=3)
        _, err = self.run_lithops("call", FUNCTIONS + ":square", "2", status=1)
        self.assertIn("AllocationFailed: There is not enough capacity.", err)
        self.assertFalse(self.made())
        control(stockout=0, refuse="SkuNotAvailable")
        out, err = self.run_lithops("call", FUNCTIONS + ":square", "2", status=1)
        self.assertIn("SkuNotAvailable", err)
        self.assertFalse(self.made())

    def test_consume_starts_a_machine_of_the_users(self):
        identity = "/subscriptions/0-1/resourceGroups/my-group/providers/" \
                   "Microsoft.ManagedIdentity/userAssignedIdentities/worker"

        def make(script):
            ask("PUT", ROOT + "mine?api-version=2024-07-01", {
                "tags": {},
                "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}},
                "properties": {
                    "osProfile": {"adminUsername": "ada",
                                  "customData": base64.b64encode(script.encode()).decode()},
                    "storageProfile": {"osDisk": {"deleteOption": "Delete"}},
                    "networkProfile": {"networkInterfaceConfigurations": [{"properties": {
                        "deleteOption": "Delete", "ipConfigurations": [{"properties": {}}]}}]}}})
            return "mine"

        self.check_consume(make, lambda name: control(off=name), "deallocated", "instance_name")

    def test_no_machine_knows_the_clients_login(self):
        self.configure({"exec_mode": "create"}, max_workers=1)
        client = self.start_busy()
        for machine in control().values():
            self.assertNotIn("of-the-client", machine["script"])
            self.assertNotIn("client_secret", machine["script"])
        found = subprocess.run(["grep", "-rlE", "of-the-client|client_secret",
                                *(f"{FOLDER}/{name}" for name in self.made())],
                               capture_output=True, text=True, check=False)
        names = [line for line in found.stdout.split() if "/cache/" not in line]
        self.assertEqual([n for n in names if "/engine/" not in n and "/.cache/" not in n], [])
        client.terminate()
        client.communicate()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
