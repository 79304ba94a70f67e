#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The backend ibm_vpc on machines that tests/servers/with-machines emulates: from the request for
one to its end, whoever dies. `make test-machines` runs it.

Usage: ibm_machines_test.py LITHOPS FUNCTIONS
"""
import json
import sys
import unittest
import urllib.request

import standalone_case
from standalone_case import ENDPOINT, FUNCTIONS


def ask(path, body):
    request = urllib.request.Request(ENDPOINT + path, method="POST", headers={
        "Authorization": "Bearer of-the-client", "Content-Type": "application/json"},
        data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def control(**what):
    return ask("/control", what)


def machines():
    return control()["machines"]


class Machines(standalone_case.Service):
    backend = "ibm_vpc"
    control = staticmethod(control)
    section = {"subnet_id": "sub-1", "trusted_profile": "worker", "ssh_address": "any"}
    others = {"ibm": {"iam_api_key": "key-1", "iam_endpoint": ENDPOINT, "region": "us-south"}}
    # a floating IP costs something, too
    HERE, RUNNING = {"pending", "starting", "running", "stopped", "failed", "address"}, {"running"}

    def states(self):
        all_of = control()
        return {**{name: one["status"] for name, one in all_of["machines"].items()
                   if one["status"] != "deleting"},
                **{name: "address" for name in all_of["addresses"]}}

    def end_machines(self, names):
        control(end=names)

    def configure(self, standalone, **keys):
        super().configure(standalone, **{"ssh_address": "any", **keys})

    def test_create_makes_machines_and_ends_them(self):
        self.configure({"exec_mode": "create"})
        client = self.start_busy()
        self.assertEqual(len(self.made("address")), len(machines()))
        client.terminate()
        client.communicate()
        self.await_true(lambda: not self.made(*self.HERE), "they are deleted")
        self.configure({"exec_mode": "create"}, ssh_address="private")
        self.square(*range(20))
        self.await_true(lambda: not self.made(*self.HERE), "they are deleted, too")

    def test_reuse_uses_a_machine_again_which_then_deletes_itself(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 30}, max_workers=1)
        self.square(1, 2, 3)
        first, = self.made("running")
        name = machines()[first]["name"]
        self.square(4, 5, 6)
        self.assertEqual(self.made("running"), [first])
        again = machines()[first]["name"]
        self.assertNotEqual(name.split("-")[1], again.split("-")[1])
        self.assertEqual(name[-42:-16], again[-42:-16])
        out, _ = self.run_lithops("config", "check", "--online")
        self.assertIn(first + ": running, 10.1.", out)
        self.run_lithops("worker", "list")
        self.await_true(lambda: not self.made(*self.HERE), "it deletes itself")

    def test_one_that_is_kept_is_stopped_and_started_again(self):
        for keys in ({"delete_on_dismantle": False}, {"trusted_profile": ""}):
            with self.subTest(keys):
                self.before = set(self.states())
                self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 4}, max_workers=1,
                               **keys)
                self.square(7)
                self.await_true(lambda: self.made("stopped"), "it stops itself")
                machine, = self.made("stopped")
                self.square(8)
                self.await_true(lambda: self.made("stopped") == [machine], "it stops itself again")
                self.run_lithops("clean")
                self.assertFalse(self.made())

    def test_clean_finds_an_address_whose_machine_is_gone(self):
        self.configure({"exec_mode": "create", "auto_dismantle": False}, max_workers=1)
        client = self.start_busy()
        machine, = self.made("running")
        self.kill(client)
        control(end=[machine])
        self.assertEqual(len(self.made("address")), 1)
        out, _ = self.run_lithops("clean")
        self.assertIn("1 workers of dead clients", out)
        self.assertFalse(self.made())

    def test_a_spot_machine_that_is_preempted_is_replaced(self):
        self.check_spot(lambda name: control(evict=name))

    def test_what_a_zone_has_not_is_said(self):
        self.configure({"exec_mode": "create"}, max_workers=1)
        control(stockout=100, throttle=3)
        _, err = self.run_lithops("call", FUNCTIONS + ":square", "2", status=1)
        self.assertIn("cannot_start_capacity: There is no room.", err)
        self.assertFalse(self.made())

    def test_consume_starts_a_machine_of_the_users(self):
        def make(script):
            return ask("/v1/instances?version=2026-09-01&generation=2", {
                "name": "mine", "user_data": script, "zone": {"name": "us-south-1"},
                "image": {"id": "r006-1"},
                "primary_network_interface": {"subnet": {"id": "sub-1"}}})["id"]

        self.check_consume(make, lambda name: control(off=name), "stopped", "instance_id")

    def test_no_machine_knows_the_clients_key(self):
        self.configure({"exec_mode": "create"}, max_workers=1)
        client = self.start_busy()
        for machine in machines().values():
            for secret in "of-the-client", "key-1":
                self.assertNotIn(secret, machine["user_data"])
        client.terminate()
        client.communicate()


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
