# SPDX-License-Identifier: Apache-2.0
"""The machines of with-ec2: what moto says of an instance happens to a namespace, and a namespace
that has ended from within is an instance that has been turned off: it is stopped or terminated, by
its InstanceInitiatedShutdownBehavior.

Usage: ec2_machines.py ENDPOINT FOLDER
"""
import base64
import os
import pathlib
import pwd
import select
import signal
import subprocess
import sys

import boto3

ENDPOINT, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
BUILD = str(pathlib.Path(__file__).resolve().parents[2])
HOME = pwd.getpwuid(os.getuid()).pw_dir
POLL_S = 0.1
CONFIG = f"""Port 22
HostKey {FOLDER}/DISK/hostkey
PidFile none
AuthorizedKeysFile .ssh/authorized_keys
PermitRootLogin yes
UsePAM no
StrictModes no
MaxStartups 200
UseDNS no
SetEnv PATH={FOLDER}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
"""
# The first process of a machine. To turn it off is to end that.
BOOT = """set -eu
mount --make-rprivate /
mount -t tmpfs none /run
mkdir /run/sshd
mount --bind "$disk/home" "$home"
mount --bind "$disk/lib" /var/lib
mount -t tmpfs none "$build"
mount --bind "$folder/shadow" /etc/shadow
ip link set lo up
hostname "$name"
while ! ip link show eth0 >/dev/null 2>&1; do read -r -t 0.01 <> <(:) || true; done
ip address add "$address/8" dev eth0
ip link set eth0 up
export PATH=$folder/bin:$PATH
(
    cd /
    if [ -e "$disk/booted" ]; then
        for script in /var/lib/cloud/scripts/per-boot/*; do "$script"; done
    else
        : >"$disk/booted"
        sh "$disk/user-data"
    fi
) >>"$disk/log" 2>&1 </dev/null &
exec /usr/sbin/sshd -D -e -f "$disk/sshd.conf"
"""


class Machine:
    def __init__(self, ec2, instance):
        self.id = instance["InstanceId"]
        self.disk = FOLDER / self.id
        if not self.disk.exists():
            self.make_disk(ec2)
        env = {**os.environ, "disk": str(self.disk), "folder": str(FOLDER), "home": HOME,
               "build": BUILD, "name": self.id[:12], "address": instance["PrivateIpAddress"]}
        with open(self.disk / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--uts", "--pid",
                 "--fork", "--kill-child", "--mount-proc", "--", "bash", "-c", BOOT],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.connect()
        print(self.id, "runs at", env["address"], flush=True)

    def make_disk(self, ec2):
        for name in "home", "lib":
            (self.disk / name).mkdir(parents=True)
        data = ec2.describe_instance_attribute(InstanceId=self.id, Attribute="userData")
        (self.disk / "user-data").write_bytes(base64.b64decode(data["UserData"].get("Value", "")))
        (self.disk / "sshd.conf").write_text(CONFIG.replace("DISK", self.id))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        str(self.disk / "hostkey")], check=True)

    def connect(self):
        """A link of its network to the bridge."""
        while self.process.poll() is None:
            found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
                                   capture_output=True, text=True).stdout.split()
            if found:
                break
        link = "m" + self.id[-10:]
        subprocess.run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns",
                        found[0]], check=True)
        subprocess.run(["ip", "link", "set", link, "master", "machines", "up"], check=True)

    def has_ended(self):
        return self.process.poll() is not None

    def end(self):
        self.process.kill()
        self.process.wait()
        print(self.id, "is off", flush=True)


def tell_end(ec2, machine):
    said = ec2.describe_instance_attribute(InstanceId=machine.id,
                                           Attribute="instanceInitiatedShutdownBehavior")
    behavior = said["InstanceInitiatedShutdownBehavior"].get("Value", "stop")
    print(machine.id, "has turned itself off:", behavior, flush=True)
    if behavior == "terminate":
        ec2.terminate_instances(InstanceIds=[machine.id])
    else:
        ec2.stop_instances(InstanceIds=[machine.id])


def look(ec2, machines):
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            name, state = instance["InstanceId"], instance["State"]["Name"]
            machine = machines.get(name)
            if machine and machine.has_ended():
                del machines[name]
                if state in ("pending", "running"):
                    tell_end(ec2, machine)
            elif machine and state not in ("pending", "running"):
                machines.pop(name).end()
            elif not machine and state in ("pending", "running"):
                machines[name] = Machine(ec2, instance)


def main():
    (FOLDER / "bin").mkdir()
    (FOLDER / "bin" / "shutdown").write_text("#!/bin/sh\nkill -TERM 1\n")
    (FOLDER / "bin" / "shutdown").chmod(0o755)
    shadow = pathlib.Path("/etc/shadow").read_text().split("\n")
    shadow = [":".join([line.split(":")[0], "*", *line.split(":")[2:]])
              if line.startswith("root:") else line for line in shadow]
    (FOLDER / "shadow").write_text("\n".join(shadow))
    (FOLDER / "shadow").chmod(0o600)
    ec2 = boto3.client("ec2", endpoint_url=ENDPOINT, region_name="us-east-1",
                       aws_access_key_id="x", aws_secret_access_key="x")
    machines = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while True:
            look(ec2, machines)
            select.select([], [], [], POLL_S)
    finally:
        for machine in machines.values():
            machine.end()


main()
