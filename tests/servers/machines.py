# SPDX-License-Identifier: Apache-2.0
"""Machines of clouds, as namespaces of this one: each has a network, processes, a name and a disk of
its own below the home and /var/lib, and an sshd. What is to be run at its first boot is run there
once, as cloud-init does, and what that leaves in scripts/per-boot at later boots.
"""
import os
import pathlib
import pwd
import subprocess

BUILD = str(pathlib.Path(__file__).resolve().parents[2])
HOME = pwd.getpwuid(os.getuid()).pw_dir
METADATA = "169.254.169.254"
CONFIG = """Port 22
HostKey DISK/hostkey
PidFile none
AuthorizedKeysFile .ssh/authorized_keys
PermitRootLogin yes
UsePAM no
StrictModes no
MaxStartups 200
UseDNS no
SetEnv PATH=FOLDER/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
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
ip route add "$metadata" dev eth0
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


def prepare(folder):
    """What all machines share: a `shutdown` that ends one, and a root whom sshd lets in."""
    (folder / "bin").mkdir()
    (folder / "bin" / "shutdown").write_text("#!/bin/sh\nkill -TERM 1\n")
    (folder / "bin" / "shutdown").chmod(0o755)
    shadow = pathlib.Path("/etc/shadow").read_text().split("\n")
    shadow = [":".join([line.split(":")[0], "*", *line.split(":")[2:]])
              if line.startswith("root:") else line for line in shadow]
    (folder / "shadow").write_text("\n".join(shadow))
    (folder / "shadow").chmod(0o600)


class Machine:
    def __init__(self, folder, name, address, user_data):
        """It runs then. `user_data`, a function, gives the script of its first boot."""
        self.id, self.disk = name, folder / name
        if not self.disk.exists():
            self.make_disk(folder, user_data())
        env = {**os.environ, "disk": str(self.disk), "folder": str(folder), "home": HOME,
               "build": BUILD, "name": name[-12:].strip("-"), "address": address,
               "metadata": METADATA}
        with open(self.disk / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--uts", "--pid",
                 "--fork", "--kill-child", "--mount-proc", "--", "bash", "-c", BOOT],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.connect()
        print(self.id, "runs at", address, flush=True)

    def make_disk(self, folder, user_data):
        for name in "home", "lib":
            (self.disk / name).mkdir(parents=True)
        (self.disk / "user-data").write_bytes(user_data)
        (self.disk / "sshd.conf").write_text(
            CONFIG.replace("DISK", str(self.disk)).replace("FOLDER", str(folder)))
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
