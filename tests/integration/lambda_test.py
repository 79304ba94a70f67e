#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What of AWS Lambda needs no emulator: `lithops worker --lambda` over a Runtime API of this test,
`lithops runtime` over a service of this test, which checks signatures by itself, and packages.
`make test-lambda` has the rest.

Usage: lambda_test.py LITHOPS; run by ctest.
"""
import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile

LITHOPS = sys.argv[1]
SANITIZED = os.environ.get("LITHOPS_TEST_SANITIZED", "") != ""
LIMIT_S = 120
KEY, SECRET = "CLIENTKEY", "client+secret/key"


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer):
        """`answer(method, path, headers, body)` returns status, headers and body."""

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, headers, text = answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = do_any

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        self.place = f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass  # a client may hang up


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="lithops-lambda-")
        self.addCleanup(folder.cleanup)
        self.home = folder.name
        kept = {k: v for k, v in os.environ.items() if k == "PATH" or "SAN_OPTIONS" in k}
        self.env = {**kept, "HOME": self.home, "TMPDIR": self.home}

    def serve(self, answer):
        server = Server(answer)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.place

    def run_lithops(self, *args, status=0, **env):
        result = subprocess.run([LITHOPS, *args], capture_output=True, text=True, cwd=self.home,
                                env={**self.env, **env}, timeout=LIMIT_S)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result.stdout + result.stderr


class Runtime(Case):
    """The loop over the Runtime API."""

    def setUp(self):
        super().setUp()
        self.events, self.answers = queue.Queue(), queue.Queue()
        self.deadline_ms = 0

        def answer(method, path, headers, body):
            if path.endswith("/invocation/next"):
                event = self.events.get()
                return 200, {"Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4",
                             "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms)}, event
            self.answers.put((path.rpartition("/")[2], path.split("/")[4],
                              headers.get("Lambda-Runtime-Function-Error-Type"), json.loads(body)))
            return 202, {}, b""

        self.process = subprocess.Popen(
            [LITHOPS, "worker", "--lambda"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**self.env, "AWS_LAMBDA_RUNTIME_API": self.serve(answer)})
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.addCleanup(self.events.put, b"{}")

    def ask(self, event, deadline_s=60):
        self.deadline_ms = int((time.time() + deadline_s) * 1000)
        self.events.put(event if isinstance(event, bytes) else json.dumps(event).encode())
        way, key, kind, body = self.answers.get(timeout=LIMIT_S)
        self.assertEqual(key, "8476a536-e9f4")
        return way, kind, body

    def about(self):
        way, kind, body = self.ask({"describe": True})
        self.assertEqual((way, kind), ("response", None))
        return body

    def link(self, **more):
        about = self.about()
        config = {"lithops": {"storage": "localhost"}, "localhost": {"storage_root": self.home}}
        return {"version": about["version"], "protocol": about["protocol"],
                "key": "lithops.jobs/abc-0-0/0-1", "config": config, **more}

    def test_it_says_what_it_is(self):
        about = self.about()
        self.assertIn(about["version"], self.run_lithops("--version"))
        self.assertEqual(about["machine"], os.uname().machine)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(LIMIT_S), 0)

    def test_what_is_no_event_of_ours_is_refused(self):
        for event, kind, words in (
            (b"not JSON", "Lithops.Failed", ""),
            (b"[]", "Lithops.BadEvent", "which alone makes its events"),
            ({"version": 1}, "Lithops.BadEvent", ""),
            (self.link(config="x"), "Lithops.BadEvent", ""),
            (self.link(version="0.0.0"), "Lithops.VersionMismatch", "run 'lithops runtime update'"),
            (self.link(protocol=99), "Lithops.VersionMismatch", "(protocol 99)"),
        ):
            way, got, body = self.ask(event)
            self.assertEqual((way, got, body["errorType"]), ("error", kind, kind))
            self.assertIn(words, body["errorMessage"])

    def test_a_worker_that_fails_is_told_of(self):
        way, kind, body = self.ask(self.link(key="none"))
        self.assertEqual((way, kind), ("error", "Lithops.WorkerEnded"))
        self.assertRegex(body["errorMessage"], "it ended with exit status [1-9]")
        self.process.terminate()
        self.assertIn(b"is not the key of a link", self.process.stdout.read())  # goes to the log

    def test_a_worker_ends_before_the_deadline(self):
        way, kind, body = self.ask(self.link(), 2)
        self.assertEqual((way, kind), ("error", "Lithops.TimedOut"))
        self.assertIn("raise runtime_timeout", body["errorMessage"])
        way, kind, _ = self.ask(self.link(), -1)  # it has passed before its event came
        self.assertEqual((way, kind), ("error", "Lithops.TimedOut"))
        self.about()  # the next event comes to the same process

    def find_worker(self):
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
                for pid in children.read().split():
                    with open(f"/proc/{pid}/cmdline", "rb") as file:
                        is_worker = b"--through" in file.read()
                    # Until it is told what it is it waits at its standard input.
                    if is_worker and os.readlink(f"/proc/{pid}/fd/0") == "/dev/null":
                        return int(pid)
            time.sleep(0.01)
        self.fail("no worker was started")

    def test_a_worker_has_nothing_of_its_runtime_and_ends_with_it(self):
        def sockets(pid):
            found = set()
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):  # it is closed
                    found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
            return {target for target in found if target.startswith("socket:")}

        self.deadline_ms = int((time.time() + 10 * LIMIT_S) * 1000)
        self.events.put(json.dumps(self.link()).encode())
        pid = self.find_worker()
        worker = os.pidfd_open(pid)
        self.addCleanup(os.close, worker)
        own = sockets(self.process.pid)
        self.assertNotEqual(own, set())
        self.assertEqual(own & sockets(pid), set())
        self.process.kill()
        # Without a client it would go on for 30 s.
        self.assertEqual(select.select([worker], [], [], 20)[0], [worker])


class Service(Case):
    """Functions, kept by a service that knows one client."""

    def setUp(self):
        super().setUp()
        self.functions, self.refusals, self.lost, self.seen = {}, [], [], []
        self.tokens, self.forged = set(), None
        self.env["LITHOPS_CONFIG"] = json.dumps({
            "lithops": {"backend": "aws_lambda", "storage": "localhost"},
            "localhost": {"storage_root": self.home},
            "aws": {"region": "eu-central-1", "access_key_id": KEY, "secret_access_key": SECRET},
            "aws_lambda": {"endpoint": "http://" + self.serve(self.answer), "user_tags": {"a": "b"},
                           "execution_role": "arn:aws:iam::123456789012:role/lithops"},
        })
        self.about = {"protocol": 1, "pythons": "3.12", "machine": os.uname().machine,
                      "version": self.run_lithops("--version").split()[1]}

    def signature(self, method, path, headers, body):
        """As "Authenticating requests" of AWS describes it, of what the request says it signs."""
        _, _, words = headers["Authorization"].partition(" ")
        said = dict(word.strip().split("=", 1) for word in words.split(","))
        key, *scope = said["Credential"].split("/")
        names = said["SignedHeaders"].split(";")
        self.assertLessEqual({"host", "x-amz-date"}, set(names))
        path, _, query = path.partition("?")
        lines = [method, path, query, *(f"{name}:{headers[name]}" for name in names), "",
                 said["SignedHeaders"], hashlib.sha256(body).hexdigest()]
        text = ["AWS4-HMAC-SHA256", headers["x-amz-date"], "/".join(scope),
                hashlib.sha256("\n".join(lines).encode()).hexdigest()]
        secret = ("AWS4" + SECRET).encode()
        for part in scope:
            secret = hmac.digest(secret, part.encode(), "sha256")
        self.assertEqual([key, *scope[1:]], [KEY, "eu-central-1", "lambda", "aws4_request"])
        return said["Signature"], hmac.digest(secret, "\n".join(text).encode(), "sha256").hex()

    def answer(self, method, path, headers, body):
        self.seen.append((method, path, body))
        self.tokens.add(headers.get("x-amz-security-token"))
        try:
            got, right = self.signature(method, path, headers, body)
        except (KeyError, TypeError, ValueError, AssertionError):
            got, right = "none", ""
        if got != right:
            told = f"sign this: x-amz-security-token:{headers.get('x-amz-security-token')}"
            return self.forged or (403, {"x-amzn-ErrorType": "InvalidSignatureException"},
                                   json.dumps({"message": told}).encode())
        if self.refusals and (method != "GET" or self.refusals[0] != 409):
            return self.refusals.pop(0), {}, b'{"message": "Rate exceeded"}'
        parts = path.partition("?")[0].strip("/").split("/")
        if parts[1:] == ["functions"] and method == "POST":
            made = json.loads(body)
            if made["FunctionName"] in self.functions:
                return 409, {"x-amzn-ErrorType": "ResourceConflictException"}, b'{"Message": "is there"}'
            self.code = made.pop("Code")
            self.functions[made["FunctionName"]] = {**made, "State": "Active"}
            return self.lost.pop(0) if self.lost else 201, {}, b"{}"
        if parts[1:] == ["functions"]:
            return 200, {}, json.dumps({"Functions": list(self.functions.values())}).encode()
        if parts[2] not in self.functions:
            return 404, {"x-amzn-ErrorType": "ResourceNotFoundException:"}, b'{"Message": "no function"}'
        function = self.functions[parts[2]]
        if method == "DELETE":
            del self.functions[parts[2]]
        elif method == "PUT":
            function.update((key, value) for key, value in json.loads(body).items() if key != "ZipFile")
            function["LastUpdateStatus"] = "Successful"
        elif parts[-1] == "invocations":
            return 200, {}, json.dumps(self.about).encode()
        return 200, {}, json.dumps(function).encode()

    @unittest.skipIf(SANITIZED, "an engine with a sanitizer in it is too large for a package")
    def test_a_function_is_made_listed_and_deleted(self):
        built = subprocess.run([LITHOPS, "runtime", "build"], env=self.env, cwd=self.home,
                               capture_output=True, text=True, timeout=LIMIT_S)
        if "functions of Lambda have 2.34" in built.stderr:
            self.skipTest(built.stderr)
        self.assertEqual(built.returncode, 0, built.stderr)
        self.refusals = [429, 503]  # which pass
        said = self.run_lithops("runtime", "deploy", "-m", "128", "-t", "60")
        self.assertIn(f"lithops-provided-al2023-128: Lithops {self.about['version']}, Python 3.12", said)
        made = self.functions["lithops-provided-al2023-128"]
        self.assertEqual((made["MemorySize"], made["Timeout"], made["MaximumRetryAttempts"]), (128, 60, 0))
        self.assertEqual((made["Tags"]["a"], made["Tags"]["type"]), ("b", "lithops-runtime"))
        with open(self.home + "/lithops-aws_lambda.zip", "rb") as file:
            self.assertEqual(base64.b64decode(self.code["ZipFile"]), file.read())
        with zipfile.ZipFile(self.home + "/lithops-aws_lambda.zip") as package:
            self.assertIsNone(package.testzip())
            self.assertEqual({info.external_attr >> 16 for info in package.infolist()}, {0o100755})
            package.extractall(self.home + "/task")
        for name in ("bootstrap", "bin/lithops"):
            os.chmod(f"{self.home}/task/{name}", 0o755)
        version = subprocess.run([self.home + "/task/bin/lithops", "--version"], env=self.env,
                                 capture_output=True, text=True, timeout=LIMIT_S).stdout
        self.assertIn(self.about["version"], version)
        self.assertIn("provided.al2023             128 MB      60 s", self.run_lithops("runtime", "list"))
        self.run_lithops("runtime", "update", "-m", "128", "-t", "70")
        self.assertEqual(self.functions["lithops-provided-al2023-128"]["Timeout"], 70)
        self.run_lithops("runtime", "delete", "-m", "128")
        self.assertEqual(self.functions, {})
        for _, _, body in self.seen:
            self.assertNotIn(SECRET.encode(), body)

    def test_answers_that_are_lost_and_updates_of_others(self):
        image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/lithops:2"
        self.lost = [503]  # the function is made nevertheless
        said = self.run_lithops("runtime", "deploy", image)
        self.assertIn(f": Lithops {self.about['version']}", said)
        self.assertEqual(self.code, {"ImageUri": image})
        (function,) = self.functions.values()
        self.assertEqual((function["PackageType"], function["MaximumRetryAttempts"]), ("Image", 0))
        self.assertNotIn("Runtime", function)
        function["LastUpdateStatus"] = "Failed"  # which another update mends
        self.refusals = [409, 409]  # to all but GET: somebody else is at it
        self.run_lithops("runtime", "update", image)
        self.assertEqual(self.refusals, [])
        self.about["protocol"] += 1
        said = self.run_lithops("runtime", "update", image, status=2)
        self.assertIn("build its image again", said)
        self.about["version"] = "0.0.1"
        said = self.run_lithops("runtime", "update", image, status=2)
        self.assertIn("has Lithops 0.0.1", said)
        self.assertIn("build its image again", said)

    def test_what_is_not_there(self):
        self.assertIn("ResourceNotFoundException", self.run_lithops("runtime", "delete", status=2))
        self.assertIn("there is no function", self.run_lithops("runtime", "update", status=2))
        self.assertEqual(self.run_lithops("runtime", "list"), "")

    def test_who_is_not_known(self):
        config = json.loads(self.env["LITHOPS_CONFIG"])
        config["aws"].update(secret_access_key="another", session_token="secret+token")
        for forged in (None, (403, {}, b"x-amz-security-token:secret+token and no JSON")):
            self.forged = forged
            said = self.run_lithops("runtime", "list", status=2, LITHOPS_CONFIG=json.dumps(config))
            self.assertIn("" if forged else "InvalidSignatureException", said)
            self.assertIn("check the secret key, and this machine's clock", said)
            self.assertNotIn("secret+token", said)
        self.assertEqual(self.tokens, {"secret+token"})

    def test_keys_of_its_own_have_nothing_of_others(self):
        config = json.loads(self.env["LITHOPS_CONFIG"])
        config["aws"] = {"region": "us-east-1", "access_key_id": "OTHER", "secret_access_key": "x",
                         "session_token": "of OTHER"}
        config["aws_lambda"].update(region_name="eu-central-1", access_key_id=KEY,
                                    secret_access_key=SECRET)
        self.run_lithops("runtime", "list", LITHOPS_CONFIG=json.dumps(config))
        self.assertEqual(self.tokens, {None})

    def test_what_cannot_be_is_said_at_once(self):
        said = self.run_lithops("runtime", "deploy", "ruby3.3", status=2)
        self.assertIn("'ruby3.3' is no runtime of aws_lambda", said)
        config = json.loads(self.env["LITHOPS_CONFIG"])
        for endpoint, words in (("host", "is not a URL"), ("http:///", "without a path"),
                                ("http://host/path", "without a path")):
            config["aws_lambda"]["endpoint"] = endpoint
            said = self.run_lithops("runtime", "list", status=2, LITHOPS_CONFIG=json.dumps(config))
            self.assertIn(words, said)
        self.assertIn("from 128 to 10240 MB", self.run_lithops("runtime", "deploy", "-m", "64", status=2))
        self.assertEqual(self.seen, [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
