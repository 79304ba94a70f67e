#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The backend aws_ec2 on machines that tests/servers/with-machines emulates: from the request for
one to its end, whoever dies. `make test-machines` runs it.

Usage: ec2_test.py LITHOPS FUNCTIONS
"""
import os
import sys
import unittest

import boto3
import standalone_case
from standalone_case import ENDPOINT, FOLDER, FUNCTIONS

EC2 = boto3.client("ec2", endpoint_url=ENDPOINT, region_name="us-east-1",
                   aws_access_key_id="x", aws_secret_access_key="x")
IMAGE = EC2.describe_images(Filters=[{"Name": "name", "Values": ["ubuntu*xenial*"]}])
IMAGE = IMAGE["Images"][0]["ImageId"]


def instances():
    found = EC2.describe_instances()["Reservations"]
    return {instance["InstanceId"]: instance for reservation in found
            for instance in reservation["Instances"]}


def tags(instance):
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}


class Machines(standalone_case.Case):
    backend = "aws_ec2"
    section = {"region": "us-east-1", "target_ami": IMAGE}
    others = {"aws": {"access_key_id": "x", "secret_access_key": "x"}}
    HERE, RUNNING = {"pending", "running", "stopping", "stopped"}, {"running"}

    def states(self):
        return {name: instance["State"]["Name"] for name, instance in instances().items()}

    def end_machines(self, names):
        EC2.terminate_instances(InstanceIds=names)

    def test_create_makes_machines_and_ends_them(self):
        self.configure({"exec_mode": "create"}, request_spot_instances=True,
                       security_group_id=EC2.describe_security_groups()["SecurityGroups"][0]["GroupId"])
        self.square(*range(20))
        made = self.made()
        self.assertTrue(1 <= len(made) <= 2, made)
        self.await_true(lambda: not self.made(*self.HERE), "they are terminated")
        for instance in (instances()[name] for name in made):
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
        executor = tags(instances()[first])["lithops-executor"]
        self.square(4, 5, 6)
        again, = self.made("running")
        self.assertEqual(first, again)
        self.assertNotEqual(executor, tags(instances()[again])["lithops-executor"])

    def test_a_machine_to_reuse_turns_itself_off(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 4}, max_workers=1)
        self.square(1, 2, 3)
        self.await_true(lambda: not self.made(*self.HERE), "it turns itself off")

    def test_a_machine_that_was_stopped_is_started_again(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 4}, max_workers=1,
                       delete_on_dismantle=False)
        self.square(7)
        self.await_true(lambda: self.made("stopped"), "it stops itself")
        self.square(8)
        machine, = self.made("running", "stopping", "stopped")
        self.await_true(lambda: self.made("stopped"), "it stops itself again")
        self.assertNotIn("InstanceLifecycle", instances()[machine])
        self.run_lithops("clean")
        self.assertFalse(self.made(*self.HERE))

    def test_a_client_that_dies_leaves_nothing(self):
        self.check_dead_client_leaves_nothing()

    def test_a_machine_that_is_used_for_too_long_turns_itself_off(self):
        self.check_hard_timeout()

    def test_clean_ends_what_dead_clients_left(self):
        self.check_clean()

    def test_consume_starts_a_machine_of_the_users(self):
        with open(FOLDER + "/id.pub", encoding="ascii") as file:
            key = file.read().strip()
        data = f"#!/bin/sh\nmkdir -p ~/.ssh\necho '{key}' >>~/.ssh/authorized_keys\n"
        made = EC2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, UserData=data,
                                 InstanceInitiatedShutdownBehavior="stop")
        name = made["Instances"][0]["InstanceId"]
        log = f"{FOLDER}/{name}/home/.ssh/authorized_keys"
        self.await_true(lambda: os.path.exists(log) and os.path.getsize(log), "its first boot")
        self.configure({"exec_mode": "consume", "soft_dismantle_timeout": 4}, instance_id=name)
        self.square(1, 2) # it ran before, and is left alone
        self.assertFalse(os.path.exists(f"{FOLDER}/{name}/lib/lithops"))
        EC2.stop_instances(InstanceIds=[name])
        self.square(3, 4)
        self.await_true(lambda: self.states()[name] == "stopped", "it stops itself")
        self.square(5)
        self.await_true(lambda: self.states()[name] == "stopped", "it stops itself again")

    def test_what_is_there_is_told(self):
        self.configure({"exec_mode": "reuse", "soft_dismantle_timeout": 60}, max_workers=1)
        out, _ = self.run_lithops("config", "check", "--online")
        self.assertIn("a machine could be made", out)
        self.assertFalse(self.made())
        self.square(1)
        machine, = self.made("running")
        out, _ = self.run_lithops("config", "check", "--online")
        self.assertIn(f"{machine}: running, {instances()[machine]['PrivateIpAddress']}", out)
        self.run_lithops("worker", "list")
        out, _ = self.run_lithops("config", "show", "aws_ec2")
        self.assertIn("untested against the service", out)

    def test_an_image_that_is_not_there(self):
        self.configure({"exec_mode": "create"}, target_ami="ami-00000000000000000")
        _, err = self.run_lithops("call", FUNCTIONS + ":square", "2", status=1)
        self.assertIn("target_ami", err)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
