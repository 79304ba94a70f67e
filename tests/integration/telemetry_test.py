#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Metrics of jobs, as a real push gateway of Prometheus shows them, and as a collector of OTLP gets
them; the collector is a small receiver in here, which checks that what comes is JSON of that form.

Usage: telemetry_test.py LITHOPS LIBRARY; run by ctest, beside tests/servers/with-pushgateway.
"""
import base64
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

LITHOPS, LIBRARY = sys.argv[1:3]
GATEWAY = os.environ["LITHOPS_TEST_GATEWAY"]
USER = os.environ["LITHOPS_TEST_GATEWAY_USER"]
PASSWORD = os.environ["LITHOPS_TEST_GATEWAY_PASSWORD"]
LIMIT_S = 120


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="lithops-telemetry-")
        self.addCleanup(folder.cleanup)
        self.home = folder.name

    def run_lithops(self, config, *args, status=0):
        """With this configuration; what it logs."""
        with open(os.path.join(self.home, "config"), "w") as file:
            json.dump(config, file)
        kept = {k: v for k, v in os.environ.items() if k == "PATH" or "SAN_OPTIONS" in k}
        env = {**kept, "HOME": self.home, "TMPDIR": self.home,
               "LITHOPS_CONFIG_FILE": os.path.join(self.home, "config")}
        result = subprocess.run([LITHOPS, *map(str, args)], capture_output=True, env=env,
                                cwd=self.home, timeout=LIMIT_S, text=True)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result.stderr

    def settings(self, instance, **more):
        return {
            "lithops": {"backend": "localhost", "telemetry": "prometheus", **more},
            "prometheus": {"gateway": GATEWAY, "instance": instance, "username": USER,
                           "password": PASSWORD, "timeout": 60},
        }


def function(name):
    return f"{LIBRARY}:{name}"


def samples_of(instance):
    """What the gateway has of it: (name, labels) -> value."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(GATEWAY + "/metrics", headers={"Authorization": "Basic " + login})
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        text = answer.read().decode()
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(lithops_\w+)\{(.*)\} (\S+)", line)
        if match:
            labels = {k: json.loads(v) for k, v in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*")', match[2])}
            if labels.pop("instance") == instance and labels.pop("job") == "lithops":
                found[match[1], tuple(sorted(labels.items()))] = float(match[3])
    return found


def total(samples, name, **labels):
    """Of all samples with these labels."""
    return sum(value for (known, own), value in samples.items()
               if known == name and labels.items() <= dict(own).items())


class Prometheus(Case):
    def test_outcomes_and_retries(self):
        config = self.settings("a/b", call_retries=2)
        self.run_lithops(config, "map", function("fail_odd"), "--over", *range(10), "--keep-going", status=1)
        samples = samples_of("a/b")
        self.assertEqual(total(samples, "lithops_jobs_submitted_total"), 1)
        self.assertEqual(total(samples, "lithops_calls_invoked_total"), 10)
        self.assertEqual(total(samples, "lithops_calls_started_total"), 10)
        self.assertEqual(total(samples, "lithops_calls_completed_total"), 10)
        self.assertEqual(total(samples, "lithops_calls_completed_total", outcome="success"), 5)
        self.assertEqual(total(samples, "lithops_calls_completed_total", outcome="failure"), 5)
        self.assertEqual(total(samples, "lithops_call_retries_total"), 10)
        self.assertEqual(total(samples, "lithops_call_result_size_bytes_sum"), 5 * 8)
        self.assertEqual(total(samples, "lithops_job_calls_bucket", le="5"), 0)
        self.assertEqual(total(samples, "lithops_job_calls_bucket", le="10"), 1)
        self.assertEqual(total(samples, "lithops_worker_info"), 1)
        labels = dict(next(own for name, own in samples if name == "lithops_calls_started_total"))
        self.assertEqual(labels["backend"], "localhost")
        self.assertTrue(labels["function_name"].endswith("fail_odd"), labels)

    def test_times(self):
        self.run_lithops(self.settings("times"), "map", function("sleep_ms"), "--over", 150, 150, 60000,
                         "--timeout", 2, "--keep-going", status=124)
        samples = samples_of("times")
        self.assertEqual(total(samples, "lithops_calls_completed_total", outcome="timeout"), 1)
        self.assertEqual(total(samples, "lithops_calls_completed_total", outcome="success"), 2)
        name = "lithops_call_duration_seconds"
        self.assertEqual(total(samples, name + "_bucket", le="0.1"), 0)
        self.assertEqual(total(samples, name + "_bucket", le="+Inf"), 3)
        self.assertEqual(total(samples, name + "_count"), 3)
        self.assertGreaterEqual(total(samples, name + "_sum"), 2.3)
        for stage in ("queue_delay", "status_latency"):
            self.assertEqual(total(samples, f"lithops_call_{stage}_seconds_count"), 3)
        self.assertGreater(total(samples, "lithops_worker_memory_bytes_sum", kind="peak"), 0)

    def test_a_wrong_password_fails_no_job(self):
        config = self.settings("wrong")
        config["prometheus"]["password"] = "secret-that-is-wrong"
        log = self.run_lithops(config, "map", "--log-level", "warning", function("square"), "--over", 2)
        self.assertIn("metrics were not sent", log)
        self.assertIn("401", log)
        self.assertNotIn("secret-that-is-wrong", log)
        self.assertEqual(samples_of("wrong"), {})

    def test_no_gateway_fails_no_job(self):
        with socket.create_server(("127.0.0.1", 0)) as nobody:  # takes connections and says nothing
            config = self.settings("silent")
            config["prometheus"].update(gateway=f"127.0.0.1:{nobody.getsockname()[1]}", timeout=0.5)
            log = self.run_lithops(config, "map", "--log-level", "warning", function("square"), "--over", 2)
        self.assertIn("metrics were not sent", log)

    def test_off(self):
        for value in (False, "false"):
            config = self.settings("off", telemetry=value)
            self.run_lithops(config, "map", function("square"), "--over", 2)
        self.assertEqual(samples_of("off"), {})

    def test_on_is_prometheus(self):
        self.run_lithops(self.settings("on", telemetry=True), "call", function("echo"), "abc")
        samples = samples_of("on")
        self.assertEqual(total(samples, "lithops_calls_completed_total", outcome="success"), 1)
        self.assertEqual(total(samples, "lithops_calls_invoked_total"), 1)
        self.assertEqual(total(samples, "lithops_jobs_submitted_total"), 1)
        self.assertEqual(total(samples, "lithops_call_end_to_end_seconds_count"), 1)
        self.assertEqual(total(samples, "lithops_call_result_download_seconds_count", source="inline"), 1)
        self.assertEqual(total(samples, "lithops_call_result_size_bytes_sum"), 3)


class Otlp(Case):
    def setUp(self):
        super().setUp()
        self.documents = documents = []

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                documents.append((self.path, dict(self.headers), body))
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(lambda: (server.shutdown(), thread.join(), server.server_close()))
        self.config = {
            "lithops": {"backend": "localhost", "telemetry": "otlp", "telemetry_interval": 0.1},
            "otlp": {"endpoint": f"http://127.0.0.1:{server.server_port}", "service_name": 'a "b"',
                     "instance": "here", "headers": {"x-token": "abc"}, "timeout": 60},
        }

    def points(self, name, document=-1):
        """Of a metric, as (attributes, point)."""
        resource, = self.documents[document][2]["resourceMetrics"]
        scope, = resource["scopeMetrics"]
        found = []
        for metric in scope["metrics"]:
            if metric["name"] == name:
                data = metric.get("sum") or metric.get("histogram") or metric.get("gauge")
                if "gauge" not in metric:
                    self.assertEqual(data["aggregationTemporality"], 2)
                for point in data["dataPoints"]:
                    attributes = {a["key"]: a["value"]["stringValue"] for a in point["attributes"]}
                    self.assertGreater(int(point["startTimeUnixNano"]), 0)
                    self.assertGreaterEqual(int(point["timeUnixNano"]), int(point["startTimeUnixNano"]))
                    found.append((attributes, point))
        return found

    def test_documents(self):
        begun = time.time()
        self.run_lithops(self.config, "map", function("sleep_ms"), "--over", 300, 300, 300)
        path, headers, document = self.documents[-1]
        self.assertEqual(path, "/v1/metrics")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual(headers["x-token"], "abc")
        known = {a["key"]: a["value"]["stringValue"]
                 for a in document["resourceMetrics"][0]["resource"]["attributes"]}
        self.assertEqual(known["service.name"], 'a "b"')
        self.assertEqual(known["service.instance.id"], "here")
        (labels, point), = self.points("lithops_calls_completed")
        self.assertEqual(labels["outcome"], "success")
        self.assertEqual(point["asDouble"], 3)
        self.assertGreater(int(point["timeUnixNano"]) / 1e9, begun - 1)
        (labels, point), = self.points("lithops_call_duration_seconds")
        self.assertEqual(int(point["count"]), 3)
        self.assertGreaterEqual(point["sum"], 0.9)
        self.assertEqual(len(point["bucketCounts"]), len(point["explicitBounds"]) + 1)
        self.assertEqual(sum(map(int, point["bucketCounts"])), 3)
        (labels, point), = self.points("lithops_worker_info")
        self.assertNotIn("function_name", labels)
        # At intervals, too: the job was known before it ended.
        self.assertGreater(len(self.documents), 1)
        (labels, point), = self.points("lithops_calls_invoked", 0)
        self.assertEqual(point["asDouble"], 3)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
