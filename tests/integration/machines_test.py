#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the backends whose hosts are machines of clouds ask of them, over services of this test: it
checks signatures by itself, and what requests hold by what the services' descriptions allow.
`make test-machines` has machines that run.

Usage: machines_test.py LITHOPS FUNCTIONS
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import shutil
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
    hard_s = 3600

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

    def check(self, value, shape, where):
        if isinstance(shape, dict):
            for name, one in value.items():
                found = [s for key, s in shape.items() if re.fullmatch(key, name)]
                self.assertTrue(found, f"{where}.{name} is nothing that may be there")
                self.check(one, found[0], f"{where}.{name}")
        elif isinstance(shape, list):
            for one in value:
                self.check(one, shape[0], where + "[]")
        elif isinstance(shape, type):
            self.assertIs(type(value), shape, where)
        else:
            self.assertIsInstance(value, str, where)
            self.assertRegex(value, f"\\A(?:{shape})\\Z" if shape[:1] != "(" else shape, where)

    def ending(self, script):
        """What a machine runs before it turns itself off."""
        found = re.search(r"echo (\S+) \| base64 -d >\$e/end", script)
        text = base64.b64decode(found[1]).decode() if found else ""
        subprocess.run(["sh", "-n"], input=text, text=True, check=True)
        return text

    def check_script(self, script):
        """User data: a script that is one, and makes the machine turn itself off."""
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)
        self.assertTrue(script.startswith("#!/bin/sh\n"))
        self.assertIn(f"\nu='ubuntu'\nk='{PUBLIC_KEY}'\n", script)
        self.assertIn(f"setsid sh /var/lib/lithops/guard 300 {self.hard_s} 300 ", script)


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
        other = {"lithops-client": "another", "lithops-group": "another", **dead}
        self.instances = [("running", dead), ("terminated", dead), ("running", {}),
                          ("stopped", {**other, "lithops-expires": "1"}),
                          ("running", {**other, "lithops-expires": "1"}),
                          ("running", {**other, "lithops-expires": "9999999999-delete"})]
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


# What requests of the Compute Engine API hold, by its description of version 1 (revision 2026):
# names, and their values; a pattern for texts.
TEXT, NAME = r".+", r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
LABELS = {r"lithops-[a-z]+": r"[a-z0-9_-]{1,63}"}
ZONE = "projects/my-project/zones/us-east1-b"
GCE = {
    "name": NAME, "machineType": r"zones/us-east1-b/machineTypes/[a-z0-9-]+", "labels": LABELS,
    "disks": [{"boot": bool, "autoDelete": bool, "initializeParams": {
        "sourceImage": r"projects/[a-z0-9-]+/global/images/(family/)?[a-z0-9-]+",
        "diskSizeGb": NUMBER, "diskType": r"zones/us-east1-b/diskTypes/[a-z-]+",
        "labels": LABELS}}],
    "networkInterfaces": [{
        "network": r"(projects/my-project/)?global/networks/[a-z0-9-]+",
        "subnetwork": r"projects/my-project/regions/us-east1/subnetworks/[a-z0-9-]+",
        "accessConfigs": [{"name": TEXT, "type": "ONE_TO_ONE_NAT"}]}],
    "scheduling": {"provisioningModel": "SPOT|STANDARD", "instanceTerminationAction": "DELETE|STOP",
                   "maxRunDuration": {"seconds": NUMBER}, "automaticRestart": bool,
                   "onHostMaintenance": "TERMINATE|MIGRATE"},
    "metadata": {"items": [{"key": r"[a-zA-Z0-9_-]{1,127}", "value": r"(?s).*"}]},
    "serviceAccounts": [{"email": r"[^@]+@[^@]+", "scopes": [r"https://.+"]}],
}


class Gce(Case):
    backend = "gcp_compute_engine"

    @classmethod
    def setUpClass(cls):
        if not shutil.which("openssl"):
            raise unittest.SkipTest("no openssl, which makes the key of a service account")
        made = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt",
                               "rsa_keygen_bits:2048"], capture_output=True, text=True, check=True)
        cls.key = made.stdout

    def setUp(self):
        super().setUp()
        with open(self.home + "/account.json", "w", encoding="ascii") as file:
            json.dump({"client_email": "me@my-project", "private_key": self.key,
                       "private_key_id": "k1", "project_id": "my-project",
                       "token_uri": self.url + "/token"}, file)
        self.config["gcp"] = {"credentials_path": self.home + "/account.json"}
        self.section["zone"] = "us-east1-b"
        self.instances, self.refusals, self.operation_error = {}, [], None
        self.tokens, self.lost_answers, self.operations = 0, 0, 0

    def answer(self, method, path, headers, body):
        if path == "/token":
            return self.answer_token(body)
        self.assertEqual(headers["Authorization"], f"Bearer token-{self.tokens}")
        prefix, _, path = path.partition("/compute/v1/")
        self.assertEqual(prefix, "")
        path, _, query = path.partition("?")
        body = json.loads(body) if body else None
        self.seen.append((method, path, body))
        if self.refusals:
            status, reason, message = self.refusals.pop(0)
            return status, json.dumps({"error": {"code": status, "message": message, "errors": [
                {"message": message, "domain": "global", "reason": reason}]}})
        status, answer = self.answer_call(method, path, dict(urllib.parse.parse_qsl(query)), body)
        return status, json.dumps(answer) if status else ""

    def answer_token(self, body):
        form = dict(urllib.parse.parse_qsl(body.decode()))
        claims = form["assertion"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        self.assertEqual(claims["iss"], "me@my-project")
        self.assertEqual(claims["scope"], "https://www.googleapis.com/auth/cloud-platform")
        self.tokens += 1
        return 200, json.dumps({"access_token": f"token-{self.tokens}", "expires_in": 3600})

    def answer_call(self, method, path, query, body):
        missing = 404, {"error": {"code": 404, "message": "not found", "errors": [
            {"reason": "notFound", "message": f"'{path}' was not found"}]}}
        arm = os.uname().machine == "aarch64"
        if "/global/images/" in path:
            good = path.endswith("/family/ubuntu-2404-lts-" + ("arm64" if arm else "amd64"))
            return (200, {"name": "ubuntu", "architecture": "ARM64" if arm else "X86_64"}) \
                if good else missing
        self.assertTrue(path.startswith(ZONE + "/"), path)
        what, _, rest = path[len(ZONE) + 1:].partition("/")
        name, _, verb = rest.partition("/")
        if what == "machineTypes":
            return (200, {"name": name}) if "-standard-" in name else missing
        if what == "operations":
            self.assertEqual((method, verb), ("POST", "wait"))
            self.operations += 1
            error = {"error": {"errors": [self.operation_error]}, "httpErrorStatusCode": 503} \
                if self.operation_error else {}
            return 200, {"name": name, "status": "DONE" if self.operations > 1 else "RUNNING",
                         **(error if self.operations > 1 else {})}
        self.assertEqual(what, "instances")
        if not name:
            return self.insert(body) if method == "POST" else self.list(query)
        if method == "DELETE":
            return (200, {"name": "op-d"}) if self.instances.pop(name, None) else missing
        self.fail((method, path))

    def insert(self, body):
        self.check(body, GCE, "instance")
        items = {item["key"]: item["value"] for item in body["metadata"]["items"]}
        self.assertEqual(items["enable-oslogin"], "FALSE")
        self.check_script(items["user-data"])
        if body["name"] in self.instances:
            return 409, {"error": {"code": 409, "errors": [
                {"reason": "alreadyExists", "message": "it already exists"}]}}
        if not self.operation_error:
            self.instances[body["name"]] = {"status": "RUNNING", "labels": body["labels"]}
        if self.lost_answers:
            self.lost_answers -= 1
            return 0, ""
        return 200, {"name": "op-1", "status": "RUNNING"}

    def list(self, query):
        key, value = re.fullmatch(r'labels\.(lithops-[a-z]+) = "([a-z0-9_-]+)"',
                                  query["filter"]).groups()
        found = [{"name": name, "networkInterfaces": [
            {"networkIP": "10.0.0.7", "accessConfigs": [{"natIP": "192.0.2.7"}]}],
            **one, "labels": {key: value, **one["labels"]}} for name, one in self.instances.items()
            if one["labels"].get(key, value) == value]
        at = int(query.get("pageToken", "0"))
        more = {"nextPageToken": str(at + 1)} if at + 1 < len(found) else {}
        return 200, {"items": found[at:at + 1], **more}

    def asked(self, method, part):
        return [body if method == "POST" else path.rpartition("/")[2]
                for how, path, body in self.seen if how == method and part in path]

    def call(self, **keys):
        return self.run_lithops("call", FUNCTIONS + ":square", "2", status=1, max_workers=1, **keys)

    def made(self, **keys):
        """The request for a machine, which this client then may not see."""
        self.list = self.list_refused
        said = self.call(**keys)
        self.assertEqual("its disk stays until 'lithops clean'" in said,
                         keys.get("delete_on_dismantle", True) and "service_account" not in keys)
        self.assertIn("Google Compute Engine refuses instances.list: forbidden", said)
        self.assertIn("the account needs the permission", said)
        body, = self.asked("POST", "/instances")
        self.assertEqual(self.asked("DELETE", "/instances/"), [body["name"]])
        self.assertEqual(self.instances, {})
        return body

    def list_refused(self, _query):
        return 403, {"error": {"code": 403, "message": "Required 'compute.instances.list'",
                               "errors": [{"reason": "forbidden"}]}}

    def script(self, body):
        return body["metadata"]["items"][0]["value"]

    def test_what_is_there(self):
        self.instances = {"lithops-a": {"status": "RUNNING", "labels": {}},
                          "lithops-b": {"status": "TERMINATED",
                                        "labels": {"lithops-group": "another"}},
                          "lithops-c": {"status": "TERMINATED", "labels": {}}}
        said = self.run_lithops("config", "check", "--online")
        self.assertIn("gcp_compute_engine: the type and the image of its machines are there", said)
        self.assertIn("lithops-a: running, 192.0.2.7", said)
        self.assertIn("lithops-c: stopped", said)
        self.assertNotIn("lithops-b", said)
        self.assertEqual(self.asked("POST", "/instances"), [])

    def test_what_is_asked_for(self):
        body = self.made(worker_instance_type="e2-standard-4", service_account="w@my-project",
                         network_name="mine", boot_disk_size=20)
        self.assertEqual(body["machineType"], "zones/us-east1-b/machineTypes/e2-standard-4")
        self.assertEqual(body["scheduling"], {
            "provisioningModel": "STANDARD", "instanceTerminationAction": "DELETE",
            "maxRunDuration": {"seconds": str(300 + 300 + 2 * 3600 + 600)}})
        self.assertEqual(body["disks"][0]["initializeParams"]["diskSizeGb"], "20")
        self.assertEqual(len(body["labels"]), 6)
        self.assertEqual(body["serviceAccounts"][0]["email"], "w@my-project")
        face, = body["networkInterfaces"]
        self.assertEqual(face["network"], "projects/my-project/global/networks/mine")
        self.assertTrue(face["accessConfigs"])
        self.assertIn("\ncall DELETE ", self.ending(self.script(body)))
        self.assertNotIn("PRIVATE KEY", self.script(body))
        self.assertNotIn("token-1", json.dumps(body))

    def test_what_stays_is_told(self):
        self.hard_s = self.config["standalone"]["hard_dismantle_timeout"] = 100 * 86400
        body = self.made()
        self.assertNotIn("serviceAccounts", body)
        self.assertEqual(body["scheduling"]["maxRunDuration"]["seconds"], str(120 * 86400))
        self.assertTrue(body["labels"]["lithops-expires"].endswith("-delete"))

    def test_what_may_be_stopped(self):
        body = self.made(delete_on_dismantle=False, request_spot_instances=True,
                         service_account="w@my-project", ssh_address="private", subnet_name="s")
        self.assertEqual(body["scheduling"]["provisioningModel"], "SPOT")
        self.assertEqual(body["scheduling"]["instanceTerminationAction"], "STOP")
        self.assertEqual(body["networkInterfaces"], [
            {"subnetwork": "projects/my-project/regions/us-east1/subnetworks/s"}])
        self.assertEqual(self.ending(self.script(body)), "")
        self.assertTrue(body["labels"]["lithops-expires"].isdigit())

    def test_an_operation_that_fails(self):
        self.operation_error = {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "There is none."}
        said = self.call()
        self.assertIn("instances.insert: ZONE_RESOURCE_POOL_EXHAUSTED: There is none. (HTTP 503)",
                      said)
        self.assertIn("gcp_compute_engine.zone", said)
        self.assertEqual(self.asked("DELETE", "/instances/"), [])

    def test_a_lost_answer_makes_one_machine(self):
        self.lost_answers = 1
        self.list = self.list_refused
        self.call()
        first, again = self.asked("POST", "/instances")
        self.assertEqual(first["name"], again["name"])
        self.assertEqual(self.asked("DELETE", "/instances/"), [first["name"]])

    def test_what_dead_clients_left(self):
        dead = {"lithops-executor": "dead-0"}
        other = {"lithops-client": "another", "lithops-group": "another", **dead}
        late, early = {"lithops-expires": "1-delete"}, {"lithops-expires": "9999999999-delete"}
        self.instances = {f"lithops-{i}": {"status": status, "labels": labels}
                          for i, (status, labels) in enumerate([
                              ("RUNNING", dead), ("STOPPING", dead), ("RUNNING", {}),
                              ("TERMINATED", other), ("RUNNING", {**other, **late}),
                              ("RUNNING", {**other, **early}), ("TERMINATED", {**other, **late}),
                              ("TERMINATED", {**other, **early}), ("SUSPENDED", {**other, **late}),
                              ("TERMINATED", {**other, "lithops-expires": "1"}),
                              # of a container's client, which has the same configuration
                              ("TERMINATED", {"lithops-client": "another", "lithops-owner": "other",
                                              **dead, **late})])}
        self.assertIn("6 workers of dead clients", self.run_lithops("clean", "--dry-run"))
        self.assertEqual(self.asked("DELETE", "/instances/"), [])
        self.run_lithops("clean")
        self.assertEqual(self.asked("DELETE", "/instances/"),
                         [f"lithops-{i}" for i in (0, 1, 4, 6, 8, 10)])

    def test_refusals(self):
        self.refusals = [(401, "authError", "Invalid Credentials"),
                         (403, "rateLimitExceeded", "Rate Limit Exceeded")]
        self.run_lithops("config", "check", "--online")
        self.assertEqual(self.tokens, 2)
        self.refusals = [(403, "accessNotConfigured", "It has not been used before")]
        self.assertIn("gcloud services enable",
                      self.run_lithops("config", "check", "--online", status=2))
        self.assertIn("worker_instance_type", self.run_lithops(
            "config", "check", "--online", status=2, worker_instance_type="none"))
        self.assertIn("source_image", self.run_lithops(
            "config", "check", "--online", status=2, source_image="none"))

    def test_what_cannot_be_is_said_at_once(self):
        for keys, words in (({"zone": "x/y"}, "is no zone"), ({"zone": ""}, "the key 'zone'"),
                            ({"endpoint": "here"}, "is not a URL"),
                            ({"endpoint": "https://$(id)"}, "is not a URL"),
                            ({"endpoint": "http://10.1.2.3"}, "others could read the token"),
                            ({"endpoint": "http://127.0.0.1.a.org"}, "others could read"),
                            ({"endpoint": "http://169.254.169.254.a"}, "others could read"),
                            ({"project_name": "a/b"}, "is no project"),
                            ({"credentials_path": "/none"}, "cannot be read")):
            self.assertIn(words, self.run_lithops("config", "check", "--online", status=2, **keys))
        self.config["standalone"]["exec_mode"] = "consume"
        self.assertIn("gcp_compute_engine.instance_name",
                      self.run_lithops("config", "check", "--online", status=2))
        self.assertEqual(self.seen, [])
        self.assertIn("untested against the service", self.run_lithops("config", "show", self.backend))


# The same of Azure's Resource Manager: of the versions that requests name.
RESOURCE = r"/subscriptions/0-1/resourceGroups/my-group/providers/"
AZURE = {
    "location": "westeurope", "tags": {r"lithops-[a-z]+": r".{1,256}"},
    "identity": {"type": "UserAssigned", "userAssignedIdentities": {
        RESOURCE + r"Microsoft\.ManagedIdentity/userAssignedIdentities/\w+": {}}},
    "properties": {
        "hardwareProfile": {"vmSize": r"Standard_\w+"}, "priority": "Spot",
        "evictionPolicy": "Delete|Deallocate", "billingProfile": {"maxPrice": float},
        "storageProfile": {
            "imageReference": {"id": r"/subscriptions/.+", "publisher": TEXT, "offer": TEXT,
                               "sku": TEXT, "version": TEXT},
            "osDisk": {"createOption": "FromImage", "deleteOption": "Delete|Detach",
                       "diskSizeGB": int, "managedDisk": {"storageAccountType": r"\w+_LRS"}}},
        "osProfile": {
            "computerName": r"[a-z0-9-]{1,64}", "adminUsername": r"(?!root$)[a-z]+",
            "customData": r"[A-Za-z0-9+/]+=*", "linuxConfiguration": {
                "disablePasswordAuthentication": bool,
                "ssh": {"publicKeys": [{"path": r"/home/\w+/\.ssh/authorized_keys",
                                        "keyData": r"ssh-[a-z0-9]+ \S+.*"}]}}},
        "networkProfile": {"networkApiVersion": "2020-11-01", "networkInterfaceConfigurations": [{
            "name": NAME, "properties": {
                "primary": bool, "deleteOption": "Delete",
                "networkSecurityGroup": {"id": RESOURCE + r"Microsoft\.Network/networkSecurityGroups/\w+"},
                "ipConfigurations": [{"name": NAME, "properties": {
                    "primary": bool, "subnet": {"id": RESOURCE + r".+/subnets/\w+"},
                    "publicIPAddressConfiguration": {
                        "name": NAME, "sku": {"name": "Basic|Standard"}, "properties": {
                            "deleteOption": "Delete", "publicIPAllocationMethod": "Static"}}}}]}}]}},
}


class Azure(Case):
    backend = "azure_vms"
    root = "/subscriptions/0-1/resourceGroups/my-group/providers/"

    def setUp(self):
        super().setUp()
        self.env["AZURE_AUTHORITY_HOST"] = self.url + "/login/"
        self.config["azure"] = {"tenant_id": "t1", "client_id": "c1", "client_secret": "s1",
                                "subscription_id": "0-1", "resource_group": "my-group",
                                "region": "westeurope"}
        self.section |= {"identity": "ender", "vnet_name": "mine"}
        self.machines, self.refusals, self.tokens, self.lost_answers = {}, [], 0, 0
        self.subnet, self.fails = "default", False

    def answer(self, method, path, headers, body):
        if path == "/login/t1/oauth2/v2.0/token":
            form = dict(urllib.parse.parse_qsl(body.decode()))
            self.assertEqual(form, {
                "client_id": "c1", "client_secret": "s1", "grant_type": "client_credentials",
                "scope": "https://management.azure.com/.default"})
            self.tokens += 1
            return 200, json.dumps({"access_token": f"token-{self.tokens}", "expires_in": 3600})
        self.assertEqual(headers["Authorization"], f"Bearer token-{self.tokens}")
        path, _, query = path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        version = {"Microsoft.Compute": "2024-07-01", "Microsoft.Network": "2024-05-01"}
        self.assertEqual(query["api-version"], version[path.split("/providers/")[1].split("/")[0]])
        body = json.loads(body) if body else None
        self.seen.append((method, path, body))
        if self.refusals:
            status, code = self.refusals.pop(0)
            return status, json.dumps({"error": {"code": code, "message": "It is refused."}})
        status, answer = self.answer_call(method, path, query, body)
        return status, json.dumps(answer) if status else ""

    def answer_call(self, method, path, query, body):
        missing = 404, {"error": {"code": "ResourceNotFound", "message": f"'{path}' was not found"}}
        if path == "/subscriptions/0-1/providers/Microsoft.Compute/locations/westeurope/vmSizes":
            return 200, {"value": [{"name": name} for name in
                                   ("Standard_B2s", "Standard_B2ps_v2", "Standard_D4s_v5")]}
        self.assertTrue(path.startswith(self.root), path)
        kind, *rest = path[len(self.root):].split("/", 2)[1:]
        name, _, verb = (rest[0] if rest else "").partition("/")
        if kind == "virtualNetworks":
            return (200, {"name": "default"}) if verb == "subnets/" + self.subnet else missing
        if kind == "networkInterfaces":
            return 200, {"properties": {"ipConfigurations": [{"properties": {
                "privateIPAddress": "10.0.0.7", "publicIPAddress": {
                    "id": self.root + "Microsoft.Network/publicIPAddresses/" + name}}}]}}
        if kind == "publicIPAddresses":
            return 200, {"properties": {"ipAddress": "192.0.2.7"}}
        self.assertEqual(kind, "virtualMachines")
        if method == "PUT":
            return self.put(name, body)
        if not name:
            return self.list(int(query.get("$skiptoken", "0")))
        if name not in self.machines:
            return missing
        if method == "DELETE":
            self.machines.pop(name)
            return 202, {}
        if verb == "instanceView":
            return 200, {"statuses": self.statuses(self.machines[name]["state"])}
        self.assertEqual((method, verb), ("GET", ""))
        return 200, self.shown(name)

    def statuses(self, state):
        if state == "failed":
            return [{"code": "ProvisioningState/failed/AllocationFailed", "message": "There is none."}]
        return [{"code": "ProvisioningState/succeeded"}, {"code": "PowerState/" + state}]

    def put(self, name, body):
        self.check(body, AZURE, "machine")
        self.check_script(base64.b64decode(body["properties"]["osProfile"]["customData"]).decode())
        if name in self.machines:
            return 409, {"error": {"code": "Conflict", "message": "It is there."}}
        self.machines[name] = {"state": "failed" if self.fails else "running", "tags": body["tags"]}
        if self.lost_answers:
            self.lost_answers -= 1
            return 0, ""
        if not self.fails: # what follows
            self.refusals.append((403, "AuthorizationFailed"))
        return 201, {"properties": {"provisioningState": "Creating"}}

    def shown(self, name):
        state, tags = self.machines[name]["state"], self.machines[name]["tags"]
        made = {"failed": "Failed", "creating": "Creating"}.get(state, "Succeeded")
        return {"name": name, "tags": tags, "properties": {
            "provisioningState": made, "networkProfile": {"networkInterfaces": [
                {"id": self.root + "Microsoft.Network/networkInterfaces/" + name}]}}}

    def list(self, at):
        """One a page."""
        names = list(self.machines)
        items = [self.shown(name) for name in names[at:at + 1]]
        link = f"https://management.azure.com{self.root}Microsoft.Compute/virtualMachines?" \
               f"api-version=2024-07-01&$skiptoken={at + 1}"
        return 200, {"value": items, **({"nextLink": link} if at + 1 < len(names) else {})}

    def asked(self, method):
        return [body if body else path.rpartition("/")[2] for how, path, body in self.seen
                if how == method]

    def call(self, **keys):
        return self.run_lithops("call", FUNCTIONS + ":square", "2", status=1, max_workers=1, **keys)

    def made(self, **keys):
        """The request for a machine, which this client then may not see."""
        said = self.call(**keys)
        self.assertIn("Microsoft Azure refuses virtualMachines.list: AuthorizationFailed", said)
        self.assertIn("needs that permission", said)
        body, = self.asked("PUT")
        self.assertEqual(self.asked("DELETE"), [body["properties"]["osProfile"]["computerName"]])
        self.assertEqual(self.machines, {})
        return body

    def script(self, body):
        return base64.b64decode(body["properties"]["osProfile"]["customData"]).decode()

    def test_what_is_asked_for(self):
        body = self.made(security_group_name="ssh", boot_disk_size=40, subnet_name="default",
                         request_spot_instances=True, worker_instance_type="Standard_D4s_v5")
        properties = body["properties"]
        self.assertEqual((properties["priority"], properties["evictionPolicy"],
                          properties["billingProfile"]), ("Spot", "Delete", {"maxPrice": -1.0}))
        self.assertEqual(properties["storageProfile"]["osDisk"]["diskSizeGB"], 40)
        self.assertEqual(len(body["tags"]), 6)
        face, = properties["networkProfile"]["networkInterfaceConfigurations"]
        self.assertIn("networkSecurityGroup", face["properties"])
        address, = face["properties"]["ipConfigurations"]
        self.assertTrue(address["properties"]["subnet"]["id"].endswith("/mine/subnets/default"))
        self.assertIn("publicIPAddressConfiguration", address["properties"])
        self.assertIn(f'\ncall DELETE "{self.url}$i?', self.ending(self.script(body)))
        for secret in "s1", "token-1":
            self.assertNotIn(f'"{secret}"', json.dumps(body))

    def test_what_may_be_stopped(self):
        body = self.made(delete_on_dismantle=False, ssh_address="private", ssh_username="ada",
                         image_id="/subscriptions/0-1/images/mine", subnet_id=self.root +
                         "Microsoft.Network/virtualNetworks/other/subnets/one")
        self.assertNotIn("publicIPAddressConfiguration", json.dumps(body))
        self.assertNotIn("priority", body["properties"])
        self.assertIn("/deallocate?", self.ending(self.script(body)))
        self.assertTrue(body["tags"]["lithops-expires"].isdigit())

    def test_what_ends_a_machine_is_repeated(self):
        """As Azure may accept it and then fail: of a request that succeeds at the third try."""
        ending = self.ending(self.script(self.made()))
        around = "n=0; sleep() { echo $1; n=$((n + 1)); [ $n -lt 5 ] || exit 0; }\n" \
                 "curl() { [ $n -ge 2 ]; }\n" + ending + "echo it turns itself off\n"
        done = subprocess.run(["sh"], input=around, capture_output=True, text=True, check=True,
                              timeout=LIMIT_S)
        self.assertEqual(done.stdout.split(), ["5", "10", "300", "300", "300"])

    def check_script(self, script):
        super().check_script(script.replace("'ada'", "'ubuntu'"))

    def test_one_that_fails_is_told_and_deleted(self):
        self.fails = True
        said = self.call()
        self.assertIn("the machine could not be made: AllocationFailed: There is none.", said)
        self.assertEqual(self.machines, {})

    def test_a_conflict_is_no_machine(self):
        self.refusals = [(409, "ScopeLocked")]
        said = self.call()
        self.assertIn("virtualMachines.createOrUpdate: ScopeLocked: It is refused. (HTTP 409)", said)
        self.assertEqual(len(self.asked("PUT")), 1)
        self.assertEqual(self.machines, {})

    def test_a_lost_answer_makes_one_machine(self):
        self.lost_answers = 1
        self.fails = True
        self.call()
        self.assertEqual([path for method, path, _ in self.seen if method == "PUT"][0],
                         [path for method, path, _ in self.seen if method == "PUT"][1])
        self.assertEqual(self.machines, {})

    def test_what_dead_clients_left(self):
        tags = self.made()["tags"]  # of this client
        dead = {**tags, "lithops-executor": "dead-0"}
        other = {**dead, "lithops-client": "another", "lithops-group": "another"}
        late, early = {"lithops-expires": "1-delete"}, {"lithops-expires": "9999999999-delete"}
        self.machines = {f"lithops-{i}": {"state": state, "tags": tags}
                         for i, (state, tags) in enumerate([
                             ("running", dead), ("creating", dead), ("running", {}),
                             ("deallocated", {**other, **early}), ("running", {**other, **late}),
                             ("running", {**other, **early}), ("stopped", {**other, **late}),
                             ("failed", {**other, **late}), ("deallocated", {**other, **late}),
                             ("failed", dead)])}
        self.seen.clear()
        said = self.run_lithops("config", "check", "--online")
        self.assertIn("azure_vms: the type and the network of its machines are there", said)
        self.assertIn("lithops-0: running, 192.0.2.7", said)
        self.assertIn("lithops-9: failed", said)
        self.assertIn("7 workers of dead clients", self.run_lithops("clean", "--dry-run"))
        self.assertEqual(self.asked("DELETE"), [])
        self.run_lithops("clean")
        self.assertEqual(sorted(self.asked("DELETE")),
                         [f"lithops-{i}" for i in (0, 1, 4, 6, 7, 8, 9)])

    def test_refusals(self):
        self.refusals = [(401, "ExpiredAuthenticationToken"), (429, "TooManyRequests")]
        self.run_lithops("config", "check", "--online")
        self.assertEqual(self.tokens, 2)
        self.refusals = [(404, "ResourceGroupNotFound")]
        self.assertIn("correct azure_vms.resource_group",
                      self.run_lithops("config", "check", "--online", status=2))
        for key in "worker_instance_type", "subnet_name":
            self.assertIn(key, self.run_lithops("config", "check", "--online", status=2,
                                                **{key: "none"}))

    def test_what_cannot_be_is_said_at_once(self):
        for keys, words in (({"region": "x/y"}, "is 'x/y', which is none"),
                            ({"resource_group": "$(id)"}, "which is none"),
                            ({"subnet_id": "here"}, "which is none"),
                            ({"endpoint": "http://10.1.2.3"}, "others could read the token")):
            self.assertIn(words, self.run_lithops("config", "check", "--online", status=2, **keys))
        self.assertEqual(self.seen, [])
        for keys, words in (({"vnet_name": ""}, "name it by azure_vms.vnet_name"),
                            ({"identity": ""}, "azure_vms.identity")):
            self.assertIn(words, self.run_lithops("config", "check", "--online", status=2, **keys))
        self.run_lithops("config", "check", "--online", identity="", auto_dismantle=False)
        del self.config["azure"]["client_secret"]
        self.assertIn("client_secret", self.run_lithops("config", "check", "--online", status=2))
        self.config["standalone"]["exec_mode"] = "consume"
        self.config["azure"]["token"] = "mine"
        self.assertIn("azure_vms.instance_name",
                      self.run_lithops("config", "check", "--online", status=2))
        self.assertIn("untested against the service", self.run_lithops("config", "show", self.backend))


# The same of IBM Cloud's VPC, by its SDK's models, of the version that requests name.
ID, CLOUD_NAME = r"[-0-9a-z_]{1,64}", r"[a-z][-a-z0-9]{0,61}[a-z0-9]"
IBM = {
    "name": CLOUD_NAME, "profile": {"name": r"[a-z0-9-]+"}, "zone": {"name": "us-south-1"},
    "image": {"id": ID}, "user_data": r"(?s)#!/bin/sh\n.*", "resource_group": {"id": ID},
    "keys": [{"id": ID}],
    "primary_network_interface": {"subnet": {"id": "sub-1"}, "security_groups": [{"id": ID}]},
    "boot_volume_attachment": {"delete_volume_on_instance_delete": bool,
                               "volume": {"capacity": int, "profile": {"name": r"[a-z0-9-]+"}}},
    "metadata_service": {"enabled": bool, "protocol": "http"},
    "default_trusted_profile": {"auto_link": bool, "target": {"id": TEXT, "crn": r"crn:.+"}},
    "availability": {"class": "spot"}, "availability_policy": {"preemption": "delete|stop"},
}
ADDRESS = {"name": CLOUD_NAME, "target": {"id": ID}, "resource_group": {"id": ID}}


class Ibm(Case):
    backend = "ibm_vpc"

    def setUp(self):
        super().setUp()
        self.config["ibm"] = {"iam_api_key": "key-1", "iam_endpoint": self.url,
                              "region": "us-south", "resource_group_id": "group-1"}
        self.section |= {"subnet_id": "sub-1", "security_group_id": "r006-1", "ssh_username": "ubuntu",
                         "trusted_profile": "Profile-1"}
        self.machines, self.addresses = {}, {}
        self.refusals, self.lost_answers, self.tokens = [], 0, 0
        self.sees_machines = True

    def answer(self, method, path, headers, body):
        if path == "/identity/token":
            self.assertEqual(dict(urllib.parse.parse_qsl(body.decode())), {
                "grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "key-1"})
            self.tokens += 1
            return 200, json.dumps({"access_token": f"token-{self.tokens}", "expires_in": 3600})
        self.assertEqual(headers["Authorization"], f"Bearer token-{self.tokens}")
        path, _, query = path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        self.assertEqual((query.pop("version"), query.pop("generation")), ("2026-09-01", "2"))
        body = json.loads(body) if body else None
        self.seen.append((method, path, body))
        if self.refusals:
            status, code = self.refusals.pop(0)
            return status, json.dumps({"errors": [{"code": code, "message": "It is refused."}]})
        status, answer = self.answer_call(method, path.removeprefix("/v1/"), query, body)
        return status, json.dumps(answer) if answer else ""

    def answer_call(self, method, path, query, body):
        missing = 404, {"errors": [{"code": "not_found", "message": f"no {path}"}]}
        kind, _, name = path.partition("/")
        if path == "images":
            return 200, {"images": [
                {"id": f"r006-{made}", "created_at": made, "operating_system": {"name": system}}
                for made, system in (("2026-01", "ubuntu-24-04-amd64"), ("2026-09", "debian-13-amd64"),
                                     ("2026-03", "ubuntu-24-04-amd64"))]}
        if path in ("subnets/sub-1", "instance/profiles/cx2-2x4", "instance/profiles/bx2-8x32"):
            return 200, {"id": name, "zone": {"name": "us-south-1"}}
        if kind not in ("instances", "floating_ips"):
            return missing
        all_of = self.machines if kind == "instances" else self.addresses
        if method == "POST":
            return self.make(kind, body, all_of)
        if name:
            self.assertEqual(method, "DELETE")
            return (204, None) if all_of.pop(name, None) else missing
        if kind == "instances" and not self.sees_machines and "name" not in query:
            return 403, {"errors": [{"code": "not_authorized", "message": "Not allowed."}]}
        return self.list(kind, all_of, query)

    def make(self, kind, body, all_of):
        self.check(body, IBM if kind == "instances" else ADDRESS, kind)
        if body["name"] in [one["name"] for one in all_of.values()]:
            return 400, {"errors": [{"code": "validation_unique_failed", "message": "Not unique."}]}
        where = f"0717-{len(self.machines)}-{os.urandom(6).hex()}" if kind == "instances" else \
            f"r006-{len(self.addresses)}"
        all_of[where] = {**body, "id": where, "status": "running"}
        if kind == "instances":
            self.check_script(body["user_data"])
            all_of[where]["primary_network_interface"] = {
                "id": "0717-nic-" + where[5:], "primary_ip": {"address": "10.0.0.7"}}
        else:
            all_of[where]["address"] = "192.0.2.7"
        if self.lost_answers:
            self.lost_answers -= 1
            return 0, None
        return 201, all_of[where]

    def list(self, kind, all_of, query):
        """Four a page."""
        found = list(all_of.values())
        if "name" in query:
            return 200, {kind: [one for one in found if one["name"] == query["name"]]}
        if "target.id" in query:
            return 200, {kind: [one for one in found if one["target"]["id"] == query["target.id"]]}
        self.assertEqual((query["limit"], query["resource_group.id"]), ("100", "group-1"))
        at = int(query.get("start", "0"))
        link = {"next": {"href": f"https://us-south.iaas.cloud.ibm.com/v1/{kind}?limit=100&"
                                 f"start={at + 4}&resource_group.id=group-1"}}
        return 200, {kind: found[at:at + 4], **(link if at + 4 < len(found) else {})}

    def asked(self, method, kind):
        return [body if body else path.rpartition("/")[2] for how, path, body in self.seen
                if how == method and path.split("/")[2] == kind]

    def call(self, **keys):
        return self.run_lithops("call", FUNCTIONS + ":square", "2", status=1, max_workers=1, **keys)

    def made(self, **keys):
        """The request for a machine, which this client then may not see."""
        self.sees_machines = False
        said = self.call(**keys)
        self.assertEqual("goes on until 'lithops clean'" in said, keys.get("trusted_profile") == "")
        self.assertIn("IBM Cloud VPC refuses list_instances: not_authorized", said)
        self.assertIn("needs the role", said)
        body = self.asked("POST", "instances")[0]
        self.assertEqual((self.machines, self.addresses), ({}, {}))
        self.assertEqual(len(self.asked("DELETE", "instances")), 1)
        self.sees_machines = True
        return body

    def test_what_is_asked_for(self):
        body = self.made(worker_profile_name="bx2-8x32", request_spot_instances=True,
                         boot_volume_capacity=120, ssh_key_id="r006-key")
        self.assertEqual((body["availability"], body["availability_policy"]),
                         ({"class": "spot"}, {"preemption": "delete"}))
        self.assertEqual(body["image"], {"id": "r006-2026-03"})
        self.assertEqual(body["default_trusted_profile"]["target"], {"id": "Profile-1"})
        self.assertEqual(body["boot_volume_attachment"]["volume"]["capacity"], 120)
        self.assertEqual(body["keys"], [{"id": "r006-key"}])
        self.assertRegex(body["name"], r"\Alithops-[0-9a-f]{6}-0-[0-9a-z]{33}d[0-9a-z]{8}\Z")
        address, = self.asked("POST", "floating_ips")
        self.assertEqual(address["name"][:-8], body["name"][:-8])
        ending = self.ending(body["user_data"])
        self.assertIn(f"\ne={self.url}/v1/instances\n", ending)
        self.assertIn("\ncall DELETE ", ending)
        for secret in "key-1", "token-1":
            self.assertNotIn(f'"{secret}"', json.dumps(body))

    def test_what_may_be_stopped(self):
        body = self.made(delete_on_dismantle=False, ssh_address="private", image_id="r006-mine",
                         trusted_profile="crn:v1:bluemix:public:iam-identity::a/1::profile:Profile-1")
        self.assertEqual(body["image"], {"id": "r006-mine"})
        self.assertIn("crn", body["default_trusted_profile"]["target"])
        self.assertEqual(self.asked("POST", "floating_ips"), [])
        self.assertIn('{"type": "stop"}', self.ending(body["user_data"]))
        self.assertRegex(body["name"], r"s[0-9a-z]{8}\Z")

    def test_one_without_a_profile_is_told_of(self):
        body = self.made(trusted_profile="")
        self.assertNotIn("metadata_service", body)
        self.assertEqual(self.ending(body["user_data"]), "")

    def test_lost_answers_make_one_machine(self):
        self.sees_machines = False
        self.lost_answers = 2
        self.call()
        self.assertEqual([len(self.asked("POST", kind)) for kind in ("instances", "floating_ips")],
                         [2, 2])
        self.assertEqual((self.machines, self.addresses), ({}, {}))

    def test_without_an_address_there_is_no_machine(self):
        made = self.make
        self.make = lambda kind, body, all_of: made(kind, body, all_of) if kind == "instances" else \
            (403, {"errors": [{"code": "over_quota", "message": "Too many."}]})
        said = self.call()
        self.assertIn("create_floating_ip: over_quota: Too many.", said)
        self.assertIn("a higher quota", said)
        self.assertEqual(self.machines, {})

    def test_one_that_fails_is_told_and_deleted(self):
        real = self.make
        def fail(*request):
            status, one = real(*request)
            reason = {"code": "cannot_start_capacity", "message": "There is no room."}
            one.update(status="failed", status_reasons=[reason])
            return status, one
        self.make = fail
        self.assertIn("the machine could not be made: cannot_start_capacity: There is no room.",
                      self.call())
        self.assertEqual((self.machines, self.addresses), ({}, {}))

    def test_what_dead_clients_left(self):
        name = self.made()["name"]  # of this client
        client, group, end = name[17:30], name[30:43], name[-8:]
        early, late = "zzzzzzzd", "0000001d"
        other = "0000000000abc"

        def of(who, alike, until, executor="dead00-0"):
            return f"lithops-{executor}-{who}{alike}{until}{end}"
        states = [("running", of(client, group, early)), ("pending", of(client, group, early)),
                  ("running", "somebody-elses"), ("running", of(other, group, late)),
                  ("running", of(other, group, early)), ("stopped", of(other, group, late)),
                  ("stopped", of(other, group, "0000001s")), ("failed", of(client, other, early)),
                  ("running", of(other, other, late)), ("deleting", of(client, group, late))]
        self.machines = {f"0717-{i}-00000000": {
            "id": f"0717-{i}-00000000", "name": name, "status": status,
            "primary_network_interface": {"id": f"nic-{i}", "primary_ip": {"address": "10.0.0.7"}}}
            for i, (status, name) in enumerate(states)}
        self.addresses = {f"r006-{i}": {"id": f"r006-{i}", "name": name, "address": "192.0.2.7",
                                        **({"target": {"id": target}} if target else {})}
                          for i, (target, name) in enumerate([
                              ("nic-0", "mine"), (None, of(client, group, early)), (None, "other"),
                              ("nic-4", of(client, group, late)), (None, of(other, group, late)),
                              (None, of(other, group, early))])}
        self.seen.clear()
        said = self.run_lithops("config", "check", "--online")
        self.assertIn("ibm_vpc: the profile, the subnet and the image of its machines are there", said)
        self.assertIn("0717-0-00000000: running, 192.0.2.7", said)
        self.assertIn("0717-3-00000000: running, 10.0.0.7", said)
        self.assertIn("floating_ip.r006-1: failed", said)
        self.assertEqual(self.asked("POST", "instances"), [])
        self.assertIn("7 workers of dead clients", self.run_lithops("clean", "--dry-run"))
        self.assertEqual(self.asked("DELETE", "instances"), [])
        self.run_lithops("clean")
        self.assertEqual(sorted(self.asked("DELETE", "instances")),
                         [f"0717-{i}-00000000" for i in (0, 1, 3, 5, 7)])
        self.assertEqual(sorted(self.asked("DELETE", "floating_ips")), ["r006-1", "r006-4"])

    def test_refusals(self):
        self.refusals = [(401, "not_authenticated"), (429, "rate_limit_exceeded")]
        self.run_lithops("config", "check", "--online")
        self.assertEqual(self.tokens, 2)
        for key in "worker_profile_name", "subnet_id":
            self.assertIn(f"ibm_vpc.{key}", self.run_lithops("config", "check", "--online", status=2,
                                                             **{key: "none"}))

    def test_what_cannot_be_is_said_at_once(self):
        for keys, words in (({"region": "x/y"}, "is none, as us-south"),
                            ({"subnet_id": "$(id)"}, "ibm_vpc.subnet_id is '$(id)', which is none"),
                            ({"endpoint": "http://10.1.2.3"}, "others could read the token"),
                            ({"iam_api_key": ""}, "iam_api_key")):
            self.assertIn(words, self.run_lithops("config", "check", "--online", status=2, **keys))
        self.config["standalone"]["exec_mode"] = "consume"
        self.assertIn("ibm_vpc.instance_id",
                      self.run_lithops("config", "check", "--online", status=2))
        self.assertEqual(self.seen, [])
        self.assertIn("untested against the service", self.run_lithops("config", "show", self.backend))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
