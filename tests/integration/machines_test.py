#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the backends whose hosts are machines of clouds ask of them, over services of this test: it
checks signatures by itself, and what requests hold by what the services' descriptions allow.
`make test-ec2` has machines that run.

Usage: machines_test.py LITHOPS FUNCTIONS
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

LITHOPS, FUNCTIONS = (os.path.abspath(path) for path in sys.argv[1:3])
LIMIT_S = 120
KEY, SECRET = "CLIENTKEY", "client+secret/key"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q me"

# What a request may hold, by the API's description of version 2016-11-15: names, and their values.
NUMBER, FLAG, ANY = r"\d+", r"true|false", r".+"
TAGS = {r"Key": r"lithops-[a-z]+", r"Value": r".{1,256}"}
EC2 = {
    "DescribeImages": {r"ImageId\.1": r"ami-\w+", r"Owner\.1": NUMBER, r"Filter\.\d\.Name": ANY,
                       r"Filter\.\d\.Value\.1": ANY},
    "DescribeInstances": {r"InstanceId\.1": r"i-\w+", r"Filter\.\d\.Name": r"tag:lithops-[a-z]+",
                          r"Filter\.\d\.Value\.1": ANY, r"MaxResults": NUMBER, r"NextToken": ANY},
    "RunInstances": {
        r"ImageId": r"ami-\w+", r"InstanceType": r"\w+\.\w+", r"MinCount": "1", r"MaxCount": "1",
        r"ClientToken": r"[ -~]{1,64}", r"UserData": r"[A-Za-z0-9+/]+=*", r"DryRun": FLAG,
        r"InstanceInitiatedShutdownBehavior": r"stop|terminate", r"KeyName": ANY,
        r"SubnetId": r"subnet-\w+", r"SecurityGroupId\.1": r"sg-\w+",
        r"IamInstanceProfile\.(Name|Arn)": ANY, r"MetadataOptions\.HttpTokens": r"required|optional",
        r"MetadataOptions\.HttpPutResponseHopLimit": NUMBER,
        r"InstanceMarketOptions\.MarketType": "spot",
        r"InstanceMarketOptions\.SpotOptions\.SpotInstanceType": "one-time",
        r"InstanceMarketOptions\.SpotOptions\.InstanceInterruptionBehavior": "terminate",
        r"InstanceMarketOptions\.SpotOptions\.MaxPrice": r"[\d.]+",
        r"BlockDeviceMapping\.1\.DeviceName": r"/dev/\w+",
        r"BlockDeviceMapping\.1\.Ebs\.(VolumeSize|Iops|Throughput)": NUMBER,
        r"BlockDeviceMapping\.1\.Ebs\.(VolumeType|KmsKeyId)": ANY,
        r"BlockDeviceMapping\.1\.Ebs\.(Encrypted|DeleteOnTermination)": FLAG,
        r"TagSpecification\.\d\.ResourceType": r"instance|volume",
        **{r"TagSpecification\.\d\.Tag\.\d\." + name: value for name, value in TAGS.items()}},
    "TerminateInstances": {r"InstanceId\.\d+": r"i-\w+"},
}
IMAGES = """<?xml version="1.0" encoding="UTF-8"?>
<DescribeImagesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><imagesSet>
<item><imageId>ami-old</imageId><creationDate>2025-01-01T00:00:00.000Z</creationDate>
<architecture>{machine}</architecture><rootDeviceName>/dev/sda1</rootDeviceName></item>
<item><imageId>ami-new</imageId><creationDate>2026-01-01T00:00:00.000Z</creationDate>
<architecture>{machine}</architecture><rootDeviceName>/dev/sda1</rootDeviceName></item>
<item><imageId>ami-older</imageId><creationDate>2024-01-01T00:00:00.000Z</creationDate>
<architecture>{machine}</architecture><rootDeviceName>/dev/sda1</rootDeviceName></item>
</imagesSet></DescribeImagesResponse>"""
INSTANCE = """<item><instancesSet><item><instanceId>{id}</instanceId><instanceState><code>16</code>
<name>{state}</name></instanceState><privateIpAddress>10.0.0.7</privateIpAddress>
<ipAddress>192.0.2.7</ipAddress><tagSet>{tags}</tagSet></item></instancesSet></item>"""
INSTANCES = """<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
<reservationSet>{items}</reservationSet>{next}</DescribeInstancesResponse>"""
ERROR = """<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors>
<RequestID>1</RequestID></Response>"""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer):
        """`answer(method, path, headers, body)` returns status and text; status 0: it hangs up."""

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, text = answer(self.command, self.path, self.headers, body)
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PUT = do_DELETE = do_any

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass  # a client may hang up


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="lithops-machines-")
        self.addCleanup(folder.cleanup)
        self.home = folder.name
        with open(self.home + "/id.pub", "w", encoding="ascii") as file:
            file.write(PUBLIC_KEY + "\n")
        server = Server(self.answer_checked)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url, self.seen, self.wrong = server.url, [], []
        kept = {k: v for k, v in os.environ.items() if k == "PATH" or "SAN_OPTIONS" in k}
        self.env = {**kept, "HOME": self.home, "TMPDIR": self.home,
                    "XDG_CACHE_HOME": self.home + "/cache"}
        self.section = {"endpoint": self.url, "ssh_key_filename": self.home + "/id"}
        self.config = {"lithops": {"storage": "localhost"}, "standalone": {"exec_mode": "create"}}

    def tearDown(self):
        self.assertEqual(self.wrong, [])

    def answer_checked(self, *request):
        try:
            return self.answer(*request)
        except Exception as error:  # the test fails with it
            self.wrong.append(repr(error))
            return 400, repr(error)

    def run_lithops(self, *args, status=0, **keys):
        config = {**self.config, self.backend: {**self.section, **keys}}
        config["lithops"] = {**config["lithops"], "backend": self.backend}
        env = {**self.env, "LITHOPS_CONFIG": json.dumps(config)}
        result = subprocess.run([LITHOPS, *args], capture_output=True, text=True, cwd=self.home,
                                env=env, timeout=LIMIT_S)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def check_script(self, script):
        """User data: a script that is one, and makes the machine turn itself off."""
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)
        self.assertTrue(script.startswith("#!/bin/sh\n"))
        self.assertIn(f"\nu='ubuntu'\nk='{PUBLIC_KEY}'\n", script)
        self.assertIn("setsid sh /var/lib/lithops/guard 300 3600 300 ", script)


class Ec2(Case):
    backend = "aws_ec2"

    def setUp(self):
        super().setUp()
        self.config["aws"] = {"access_key_id": KEY, "secret_access_key": SECRET,
                              "region": "eu-central-1"}
        self.refusals, self.instances, self.tokens = [], [], set()
        self.lost_answers, self.after_loss, self.made = 0, [], set()

    def check_signature(self, path, headers, body):
        """As "Authenticating requests" of AWS describes it, of what the request says it signs."""
        _, _, words = headers["Authorization"].partition(" ")
        said = dict(word.strip().split("=", 1) for word in words.split(","))
        key, *scope = said["Credential"].split("/")
        names = said["SignedHeaders"].split(";")
        self.assertLessEqual({"host", "x-amz-date"}, set(names))
        lines = ["POST", path, "", *(f"{name}:{headers[name]}" for name in names), "",
                 said["SignedHeaders"], hashlib.sha256(body).hexdigest()]
        text = ["AWS4-HMAC-SHA256", headers["x-amz-date"], "/".join(scope),
                hashlib.sha256("\n".join(lines).encode()).hexdigest()]
        secret = ("AWS4" + SECRET).encode()
        for part in scope:
            secret = hmac.digest(secret, part.encode(), "sha256")
        self.assertEqual([key, *scope[1:]], [KEY, "eu-central-1", "ec2", "aws4_request"])
        self.assertEqual(said["Signature"],
                         hmac.digest(secret, "\n".join(text).encode(), "sha256").hex())

    def answer(self, method, path, headers, body):
        self.assertEqual((method, path), ("POST", "/"))
        self.check_signature(path, headers, body)
        self.tokens.add(headers.get("x-amz-security-token"))
        form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        action, version = form.pop("Action"), form.pop("Version")
        self.assertEqual(version, "2016-11-15")
        for name, value in form.items():
            allowed = [v for k, v in EC2[action].items() if re.fullmatch(k, name)]
            self.assertTrue(allowed and re.fullmatch(allowed[0], value), (action, name, value))
        self.seen.append((action, form))
        if self.refusals:
            status, code, message = self.refusals.pop(0)
            return status, ERROR.format(code, message)
        return getattr(self, "answer_" + action)(form)

    def answer_DescribeImages(self, form):
        if "ImageId.1" in form:
            return 400, ERROR.format("InvalidAMIID.NotFound", "The image id does not exist")
        arm = os.uname().machine == "aarch64"
        self.assertIn("arm64" if arm else "amd64", form["Filter.1.Value.1"])
        return 200, IMAGES.format(machine="arm64" if arm else "x86_64")

    def answer_DescribeInstances(self, form):
        items, name, value = "", form["Filter.1.Name"][4:], form["Filter.1.Value.1"]
        at = int(form.get("NextToken", "0"))
        for number, (state, tags) in enumerate(self.instances[at:at + 1]):
            tags = {name: value, **tags}
            if tags[name] == value:
                tags = "".join(f"<item><key>{k}</key><value>{v}</value></item>"
                               for k, v in {"Name": "&lt;x&gt;", **tags}.items())
                items += INSTANCE.format(id=f"i-{at + number}", state=state, tags=tags)
        more = f"<nextToken>{at + 1}</nextToken>" if at + 1 < len(self.instances) else ""
        return 200, INSTANCES.format(items=items, next=more)

    def answer_RunInstances(self, form):
        if "DryRun" not in form:
            return self.make(form)
        for number in "12":  # an empty list of tags is refused
            self.assertEqual(form[f"TagSpecification.{number}.Tag.1.Key"], "lithops-owner")
            self.assertIn(f"TagSpecification.{number}.Tag.6.Value", form)
        return 412, ERROR.format("DryRunOperation", "Request would have succeeded, but DryRun is set")

    def make(self, form):
        """A machine for each token, whose tags are those of the request."""
        tags = {form[name]: form[name[:-3] + "Value"] for name in form
                if re.fullmatch(r"TagSpecification\.1\.Tag\.\d\.Key", name)}
        if form["ClientToken"] not in self.made:
            self.made.add(form["ClientToken"])
            self.instances.append(("running", tags))
        if self.lost_answers:
            self.lost_answers -= 1
            self.refusals += self.after_loss
            return 0, ""
        self.refusals.append((403, "UnauthorizedOperation", "not allowed"))  # what follows
        return 200, "<RunInstancesResponse><instancesSet><item><instanceId>i-0</instanceId></item>" \
                    "</instancesSet></RunInstancesResponse>"

    def answer_TerminateInstances(self, form):
        return 200, "<TerminateInstancesResponse></TerminateInstancesResponse>"

    def asked(self, action):
        return [form for name, form in self.seen if name == action]

    def test_what_is_asked_for(self):
        self.instances = [("running", {}), ("stopped", {"lithops-group": "another"}),
                          ("stopped", {})]
        said = self.run_lithops("config", "check", "--online", security_group_id="sg-1",
                                public_subnet_id="subnet-1", instance_role="worker",
                                ssh_key_name="me", spot_price=0.02, volume_size=30,
                                volume_type="gp3")
        self.assertIn("aws_ec2: a machine could be made", said)
        self.assertIn("i-0: running, 192.0.2.7", said)
        self.assertIn("i-2: stopped", said)
        self.assertNotIn("i-1", said)
        form, = self.asked("RunInstances")
        self.check_script(base64.b64decode(form["UserData"]).decode())
        for name, value in {
                "ImageId": "ami-new", "InstanceInitiatedShutdownBehavior": "terminate",
                "SecurityGroupId.1": "sg-1", "SubnetId": "subnet-1", "KeyName": "me",
                "IamInstanceProfile.Name": "worker", "InstanceMarketOptions.MarketType": "spot",
                "InstanceMarketOptions.SpotOptions.MaxPrice": "0.02000",
                "BlockDeviceMapping.1.DeviceName": "/dev/sda1",
                "BlockDeviceMapping.1.Ebs.VolumeSize": "30",
                "BlockDeviceMapping.1.Ebs.VolumeType": "gp3"}.items():
            self.assertEqual(form[name], value)
        self.assertEqual(self.tokens, {None})

    def test_spot_instances_cannot_be_stopped(self):
        self.run_lithops("config", "check", "--online", delete_on_dismantle=False,
                         worker_instance_type="m7.large")
        form, = self.asked("RunInstances")
        self.assertEqual(form["InstanceInitiatedShutdownBehavior"], "stop")
        self.assertFalse([name for name in form if name.startswith("InstanceMarketOptions")])

    def test_what_dead_clients_left(self):
        dead = {"lithops-executor": "dead-0"}
        self.instances = [("running", dead), ("terminated", dead), ("running", {}),
                          ("stopped", {"lithops-client": "another", **dead}),
                          ("running", {"lithops-client": "another", "lithops-expires": "1", **dead}),
                          ("running", {"lithops-client": "another", "lithops-expires": "9999999999",
                                       **dead})]
        said = self.run_lithops("clean", "--dry-run")
        self.assertIn("2 workers of dead clients", said)
        self.assertEqual(self.asked("TerminateInstances"), [])
        self.run_lithops("clean")
        self.assertEqual(self.asked("TerminateInstances"),
                         [{"InstanceId.1": "i-0"}, {"InstanceId.1": "i-4"}])

    def call(self):
        return self.run_lithops("call", FUNCTIONS + ":square", "2", status=1, max_workers=1)

    def test_a_lost_answer_makes_one_machine(self):
        self.lost_answers = 1
        self.assertIn("Amazon EC2 refuses DescribeInstances", self.call())
        first, again = self.asked("RunInstances")
        self.assertEqual(first["ClientToken"], again["ClientToken"])
        self.assertEqual(len(self.instances), 1)
        self.assertEqual(self.asked("TerminateInstances"), [{"InstanceId.1": "i-0"}])

    def test_a_machine_whose_answer_is_lost_for_good_is_ended(self):
        self.lost_answers = 1
        self.after_loss = [(400, "InsufficientInstanceCapacity", "There is none.")]
        self.assertIn("InsufficientInstanceCapacity", self.call())
        self.assertEqual(len(self.asked("RunInstances")), 2)
        self.assertEqual(self.asked("TerminateInstances"), [{"InstanceId.1": "i-0"}])

    def test_refusals_say_what_to_do(self):
        encoded = "You are not authorized. User: x is not authorized to perform: " \
                  "ec2:DescribeInstances Encoded authorization failure message: 1a2b3c"
        for code, message, words in (
                ("UnauthorizedOperation", encoded, "to perform: ec2:DescribeInstances (HTTP 403)"),
                ("AuthFailure", "AWS was not able to validate", "check the access key")):
            self.refusals = [(403, code, message)]
            said = self.run_lithops("config", "check", "--online", status=2)
            self.assertIn(f"Amazon EC2 refuses DescribeInstances: {code}", said)
            self.assertIn(words, said)
            self.assertNotIn("1a2b3c", said)
        said = self.run_lithops("config", "check", "--online", status=2, target_ami="ami-none")
        self.assertIn("correct aws_ec2.target_ami", said)

    def test_one_that_is_asked_too_often_is_asked_again(self):
        self.refusals = [(503, "RequestLimitExceeded", "Request limit exceeded.")]
        self.config["aws"]["session_token"] = "of+the/session"
        self.run_lithops("config", "check", "--online")
        self.assertEqual(len(self.asked("DescribeInstances")), 2)
        self.assertEqual(self.tokens, {"of+the/session"})

    def test_what_cannot_be_is_said_at_once(self):
        self.config["standalone"]["exec_mode"] = "consume"
        self.assertIn("aws_ec2.instance_id",
                      self.run_lithops("config", "check", "--online", status=2))
        self.config["standalone"]["exec_mode"] = "reuse"
        self.assertIn("ssh-keygen", self.run_lithops("config", "check", "--online", status=2,
                                                     ssh_key_filename="/none"))
        self.assertIn("is no region",
                      self.run_lithops("config", "check", "--online", status=2, region="x/y"))
        self.assertEqual(self.seen, [])
        self.assertIn("untested against the service", self.run_lithops("config", "show", "aws_ec2"))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
