# SPDX-License-Identifier: Apache-2.0
"""The machines of `with-machines ec2`: what moto says of an instance happens to a machine, and a
machine that has ended from within is an instance that has been turned off: it is stopped or
terminated, by its InstanceInitiatedShutdownBehavior.

Usage: ec2_machines.py ENDPOINT FOLDER
"""
import base64
import pathlib
import select
import signal
import sys

import boto3
import machines

ENDPOINT, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
POLL_S = 0.1


def start(ec2, instance):
    def user_data():
        data = ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")
        return base64.b64decode(data["UserData"].get("Value", ""))

    name = instance["InstanceId"]
    return machines.Machine(FOLDER, name, instance["PrivateIpAddress"], user_data)


def tell_end(ec2, machine):
    said = ec2.describe_instance_attribute(InstanceId=machine.id,
                                           Attribute="instanceInitiatedShutdownBehavior")
    behavior = said["InstanceInitiatedShutdownBehavior"].get("Value", "stop")
    print(machine.id, "has turned itself off:", behavior, flush=True)
    if behavior == "terminate":
        ec2.terminate_instances(InstanceIds=[machine.id])
    else:
        ec2.stop_instances(InstanceIds=[machine.id])


def look(ec2, there):
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            name, state = instance["InstanceId"], instance["State"]["Name"]
            machine = there.get(name)
            if machine and machine.has_ended():
                del there[name]
                if state in ("pending", "running"):
                    tell_end(ec2, machine)
            elif machine and state not in ("pending", "running"):
                there.pop(name).end()
            elif not machine and state in ("pending", "running"):
                there[name] = start(ec2, instance)


def main():
    machines.prepare(FOLDER)
    ec2 = boto3.client("ec2", endpoint_url=ENDPOINT, region_name="us-east-1",
                       aws_access_key_id="x", aws_secret_access_key="x")
    there = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while True:
            look(ec2, there)
            select.select([], [], [], POLL_S)
    finally:
        for machine in there.values():
            machine.end()


main()
