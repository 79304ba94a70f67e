#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The backend aws_ec2 on machines that tests/servers/with-ec2 emulates: from the request for one to
its end, whoever dies. `make test-ec2` runs it.

Usage: ec2_test.py LITHOPS FUNCTIONS
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import boto3

LITHOPS, FUNCTIONS = (os.path.abspath(path) for path in sys.argv[1:3])
FOLDER, ENDPOINT = os.environ["LITHOPS_TEST_EC2_DIR"], os.environ["LITHOPS_TEST_EC2"]
LIMIT_S = 150
EC2 = boto3.client("ec2", endpoint_url=ENDPOINT, region_name="us-east-1",
                   aws_access_key_id="x", aws_secret_access_key="x")
IMAGE = EC2.describe_images(Filters=[{"Name": "name", "Values": ["ubuntu*xenial*"]}])
IMAGE = IMAGE["Images"][0]["ImageId"]
HERE = {"pending", "running", "stopping", "stopped"}


def instances():
    found = EC2.describe_instances()["Reservations"]
    return [instance for reservation in found for instance in reservation["Instances"]]


def states():
    return {i["InstanceId"]: i["State"]["Name"] for i in instances()}


def await_true(condition, what):
    until = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"{what}: {states()}")
        time.sleep(0.1)


def tags(instance):
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}


class Case(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="lithops-ec2-home-")
        self.addCleanup(home.cleanup)
        self.home = home.name
        self.before = set(states())
        self.addCleanup(self.end_all)
        self.env = {"PATH": os.environ["PATH"], "HOME": self.home,
                    **{k: v for k, v in os.environ.items() if "SAN_OPTIONS" in k}}

    def end_all(self):
        left = [name for name, state in states().items() if state in HERE]
        if left:
            EC2.terminate_instances(InstanceIds=left)

    def made(self, *wanted):
        """Those of this test, in these states."""
        return [i for i in instances() if i["InstanceId"] not in self.before and
                (not wanted or i["State"]["Name"] in wanted)]

    def configure(self, standalone, **keys):
        section = {"region": "us-east-1", "endpoint": ENDPOINT, "target_ami": IMAGE,
                   "ssh_username": "root", "ssh_key_filename": FOLDER + "/id",
                   "ssh_address": "private", "worker_processes": 2, "max_workers": 2, **keys}
        config = {"lithops": {"backend": "aws_ec2", "storage": "localhost", "log_level": "info"},
                  "aws": {"access_key_id": "x", "secret_access_key": "x"},
                  "standalone": {"start_timeout": 100, **standalone}, "aws_ec2": section}
        with open(self.home + "/.lithops_config", "w", encoding="ascii") as file:
            json.dump(config, file)

    def start(self, *args):
        return subprocess.Popen([LITHOPS, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, cwd=self.home, env=self.env)

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
        out, _ = self.run_lithops("map", FUNCTIONS + ":square", "--over", *map(str, numbers))
        self.assertEqual([int(word) for word in out.split()], [n * n for n in numbers])


class Machines(Case):
    def test_create_makes_machines_and_ends_them(self):
        self.configure({"exec_mode": "create"}, request_spot_instances=True,
                       security_group_id=EC2.describe_security_groups()["SecurityGroups"][0]["GroupId"])
        self.square(*range(20))
        made = self.made()
        self.assertTrue(1 <= len(made) <= 2, made)
        await_true(lambda: not self.made(*HERE), "they are terminated")
        for instance in made:
            self.assertEqual(instance["InstanceLifecycle"], "spot")
            self.assertEqual(instance["InstanceType"], "t3.medium")
            said = EC2.describe_instance_attribute(
                InstanceId=instance["InstanceId"], Attribute="instanceInitiatedShutdownBehavior")
            self.assertEqual(said["InstanceInitiatedShutdownBehavior"]["Value"], "terminate")
            for name in "owner", "client", "process", "executor", "group", "expires":
                self.assertTrue(tags(instance)["lithops-" + name], name)

    def test_reuse_uses_a_machine_again(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 60}, max_workers=1)
        self.square(1, 2, 3)
        first, = self.made("running")
        self.square(4, 5, 6)
        again, = self.made("running")
        self.assertEqual(first["InstanceId"], again["InstanceId"])
        self.assertNotEqual(tags(first)["lithops-executor"], tags(again)["lithops-executor"])

    def test_a_machine_to_reuse_turns_itself_off(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 4}, max_workers=1)
        self.square(1, 2, 3)
        await_true(lambda: not self.made(*HERE), "it turns itself off")

    def test_a_machine_that_was_stopped_is_started_again(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 4}, max_workers=1,
                       delete_on_dismantle=False)
        self.square(7)
        await_true(lambda: self.made("stopped"), "it stops itself")
        self.square(8)
        machine, = self.made("running", "stopping", "stopped")
        await_true(lambda: self.made("stopped"), "it stops itself again")
        self.assertNotIn("InstanceLifecycle", machine)
        self.run_lithops("clean")
        self.assertFalse(self.made(*HERE))

    def test_a_client_that_dies_leaves_nothing(self):
        self.configure({"exec_mode": "create", "soft_dismantle_timeout": 4}, max_workers=1)
        client = self.start("call", FUNCTIONS + ":sleep_ms", "600000")
        await_true(lambda: self.is_busy(), "a call runs")
        client.send_signal(signal.SIGKILL)
        client.communicate()
        await_true(lambda: not self.made(*HERE), "the machine turns itself off")

    def is_busy(self):
        """Whether a machine has been taken, as its guard knows."""
        for machine in self.made("running"):
            name = f"{FOLDER}/{machine['InstanceId']}/home/.cache/lithops/engine"
            if os.path.isdir(name) and any(not n.startswith(".") for n in os.listdir(name)):
                return True
        return False

    def test_a_machine_that_is_used_for_too_long_turns_itself_off(self):
        self.configure({"exec_mode": "create", "soft_dismantle_timeout": 4,
                        "hard_dismantle_timeout": 12}, max_workers=1)
        _, err = self.run_lithops("call", FUNCTIONS + ":sleep_ms", "600000", status=1)
        self.assertIn("aws_ec2-0", err)
        await_true(lambda: not self.made(*HERE), "it is off")

    def test_clean_ends_what_dead_clients_left(self):
        self.configure({"exec_mode": "create", "auto_dismantle": False}, max_workers=1)
        client = self.start("call", FUNCTIONS + ":sleep_ms", "600000")
        await_true(lambda: self.is_busy(), "a call runs")
        out, _ = self.run_lithops("clean", "--json")
        self.assertEqual(json.loads(out)["workers_elsewhere"], 0, out) # it lives
        client.send_signal(signal.SIGKILL)
        client.communicate()
        self.assertTrue(self.made("running"))
        out, _ = self.run_lithops("clean", "--dry-run", "--json")
        self.assertEqual(json.loads(out)["workers_elsewhere"], 1, out)
        self.assertTrue(self.made("running"))
        out, _ = self.run_lithops("clean")
        self.assertIn("1 workers of dead clients", out)
        self.assertFalse(self.made(*HERE))

    def test_consume_starts_a_machine_of_the_users(self):
        with open(FOLDER + "/id.pub", encoding="ascii") as file:
            key = file.read().strip()
        data = f"#!/bin/sh\nmkdir -p ~/.ssh\necho '{key}' >>~/.ssh/authorized_keys\n"
        made = EC2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, UserData=data,
                                 InstanceInitiatedShutdownBehavior="stop")
        name = made["Instances"][0]["InstanceId"]
        log = f"{FOLDER}/{name}/home/.ssh/authorized_keys"
        await_true(lambda: os.path.exists(log) and os.path.getsize(log), "its first boot")
        self.configure({"exec_mode": "consume", "soft_dismantle_timeout": 4}, instance_id=name)
        self.square(1, 2) # it ran before, and is left alone
        self.assertFalse(os.path.exists(f"{FOLDER}/{name}/lib/lithops"))
        EC2.stop_instances(InstanceIds=[name])
        self.square(3, 4)
        await_true(lambda: states()[name] == "stopped", "it stops itself")
        self.square(5)
        await_true(lambda: states()[name] == "stopped", "it stops itself again")

    def test_what_is_there_is_told(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 60}, max_workers=1)
        out, _ = self.run_lithops("config", "check", "--online")
        self.assertIn("a machine could be made", out)
        self.assertFalse(self.made())
        self.square(1)
        machine, = self.made("running")
        out, _ = self.run_lithops("config", "check", "--online")
        self.assertIn(f"{machine['InstanceId']}: running, {machine['PrivateIpAddress']}", out)
        self.run_lithops("worker", "list")
        out, _ = self.run_lithops("config", "show", "aws_ec2")
        self.assertIn("untested against the service", out)

    def test_an_image_that_is_not_there(self):
        self.configure({"exec_mode": "create"}, target_ami="ami-00000000000000000")
        _, err = self.run_lithops("call", FUNCTIONS + ":square", "2", status=1)
        self.assertIn("target_ami", err)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
