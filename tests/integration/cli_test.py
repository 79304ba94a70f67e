#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The lithops command as its users see it: arguments in, lines and exit codes out.

Usage: cli_test.py LITHOPS LIBRARY [unittest arguments]; run by ctest. LIBRARY is built from
cli_functions.c. Each test has a home folder, storage and temporary folder of its own, and at the
end no process that it started may be left.
"""
import base64
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

LITHOPS, LIBRARY = sys.argv[1:3]
SANITIZED = os.environ.get("LITHOPS_TEST_SANITIZED", "") != ""
LIMIT_S = 120


def function(name):
    return f"{LIBRARY}:{name}"


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="lithops-cli-")
        self.home = self.folder.name
        self.mark = "CLI_TEST_MARK=" + uuid.uuid4().hex
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": self.home,
            "TMPDIR": self.home,
            "USER": "tester",
        }
        for name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        key, value = self.mark.split("=")
        self.env[key] = value

    def tearDown(self):
        self.assertEqual(self.left_behind(), [], "processes are left")
        self.folder.cleanup()

    def processes(self):
        """Pids of living processes that were started by this test."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if self.mark.encode() not in file.read().split(b"\0"):
                        continue
                with open(f"/proc/{pid}/stat") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] != "Z":
                        found.append(int(pid))
            except OSError:
                pass  # it has ended in the meantime
        return found

    def names(self):
        """Of the programs that run in processes()."""
        found = []
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/comm") as file:
                    found.append(file.read().strip())
            except OSError:
                pass
        return found

    def wait_until(self, holds):
        until = time.monotonic() + LIMIT_S
        while not holds():
            self.assertLess(time.monotonic(), until, "does not come true")
            time.sleep(0.01)

    def left_behind(self):
        """Those that do not end by themselves within some seconds."""
        until = time.monotonic() + 10
        while self.processes() and time.monotonic() < until:
            time.sleep(0.01)
        return self.processes()

    def path(self, name, content=None):
        path = os.path.join(self.home, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
        return path

    def start(self, *args, **more):
        streams = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        streams.update(more)
        process = subprocess.Popen([LITHOPS, *map(str, args)], env=self.env, cwd=self.home, **streams)
        self.addCleanup(process.kill)  # does nothing once it was waited for
        return process

    def run_lithops(self, *args, status=0, stdin=b"", **env):
        """Run to the end; the exit status must be the expected one."""
        result = subprocess.run(
            [LITHOPS, *map(str, args)],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env={**self.env, **env},
            cwd=self.home,
            timeout=LIMIT_S,
        )
        self.out, self.err = result.stdout, result.stderr.decode()
        self.assertEqual(
            result.returncode, status, f"{args}\nstdout: {self.out[-2000:]}\nstderr: {self.err[-2000:]}"
        )
        return self.out.decode(errors="surrogateescape")

    def lines(self, *args, **more):
        return [json.loads(line) for line in self.run_lithops(*args, **more).splitlines()]


class Usage(Case):
    def test_version(self):
        self.assertRegex(self.run_lithops("--version"), r"^lithops \d+\.\d+\.\d+\n$")

    def test_help_of_everything(self):
        overview = self.run_lithops("--help")
        for words in (["map"], ["map-reduce"], ["call"], ["storage", "put"], ["job", "stop"]):
            self.assertIn(" ".join(words), overview)
            self.assertIn("usage: lithops " + " ".join(words), self.run_lithops(*words, "--help"))
        self.assertIn("storage get", self.run_lithops("storage", "--help"))

    def test_no_command_is_usage(self):
        self.run_lithops(status=2)
        self.assertIn("Commands:", self.err)

    def test_mistakes_suggest_what_was_meant(self):
        self.run_lithops("mpa", status=2)
        self.assertIn("'map'", self.err)
        self.run_lithops("map", function("square"), "--ovr", 1, status=2)
        self.assertIn("'--over'", self.err)

    def test_what_is_missing_is_named(self):
        self.run_lithops("map", function("square"), status=2)
        self.assertIn("--over", self.err)
        self.run_lithops("map-reduce", function("square"), "--over", 1, status=2)
        self.assertIn("--reduce", self.err)

    def test_functions_that_are_not_there(self):
        self.run_lithops("map", function("sqare"), "--over", 1, status=2)
        self.assertIn("square", self.err)
        self.run_lithops("map", "./none.so:f", "--over", 1, status=2)
        self.assertIn("none.so", self.err)
        self.run_lithops("map", "nonsense", "--over", 1, status=2)
        self.run_lithops("call", function("plain_half") + ":double(", 1, status=2)

    def test_a_backend_that_is_not_built_in_is_named(self):
        self.run_lithops("hello", "--backend", "aws_lambda", status=2)
        self.assertIn("localhost", self.err)

    def test_timeouts_of_nothing(self):
        for value in ("0", "-1", "soon"):
            self.run_lithops("call", function("square"), 1, "--timeout", value, status=2)
            self.assertIn("--timeout", self.err)

    def test_bash_completes(self):
        script = (
            "source <(\"$1\" completion bash); COMP_WORDS=(lithops map --chu); COMP_CWORD=2;"
            "_lithops; echo ${COMPREPLY[*]}"
        )
        result = subprocess.run(["bash", "-c", script, "-", LITHOPS], capture_output=True, env=self.env)
        self.assertEqual(result.stdout, b"--chunk-size --chunk-number\n")

    def test_shells_can_read_their_completion(self):
        for shell in ("bash", "zsh", "fish"):
            text = self.run_lithops("completion", shell)
            try:
                check = subprocess.run([shell, "-n", self.path("completion", text)], capture_output=True)
            except FileNotFoundError:
                continue
            self.assertEqual((check.returncode, check.stderr), (0, b""), shell)


class Call(Case):
    def test_by_position(self):
        self.assertEqual(self.lines("call", function("add"), 2, 8), [10])
        self.assertEqual(self.lines("call", function("add"), 2, -8), [-6])
        self.assertEqual(self.lines("call", function("add"), "[2, 8]"), [10])

    def test_by_name(self):
        self.assertEqual(self.lines("call", function("add"), "--extra", "x=2", "--extra", "y=8"), [10])
        self.assertEqual(self.lines("call", function("add"), '{"y": 8, "x": 2}'), [10])

    def test_plain_c_functions(self):
        self.assertEqual(self.lines("call", function("plain_half") + ":double(double)", 5), [2.5])
        self.assertEqual(self.lines("call", "libm.so.6:pow:double(double,double)", 2, 10), [1024])

    def test_every_type_comes_back(self):
        for value in (None, True, 5, 1.5, "text", "\u00fc\n", [1, [2]], {"a": {"b": []}}, ""):
            self.assertEqual(self.lines("call", function("echo"), json.dumps(value)), [value])
        self.assertEqual(self.lines("call", function("echo")), [None])
        self.assertEqual(self.lines("call", function("echo"), "two words"), ["two words"])
        self.assertEqual(self.lines("call", function("echo"), "5", "--strings"), ["5"])

    def test_a_wrong_argument_is_named(self):
        self.run_lithops("call", function("add"), 2, status=1)
        self.assertIn("y", self.err)
        self.run_lithops("call", function("square"), '"text"', status=1)
        self.assertIn("x", self.err)

    def test_environment(self):
        self.assertEqual(
            self.lines("call", function("variable"), "--env", "CLI_TEST_VARIABLE=a=b"), ["a=b"]
        )

    def test_timeout(self):
        self.run_lithops("call", function("spin"), "--timeout", 0.3, status=124)
        self.assertIn("TimeoutError", self.err)

    def test_deadline(self):
        self.run_lithops("call", function("spin"), "--deadline", 0.3, status=124)
        self.assertIn("deadline", self.err)

    def test_crash(self):
        self.run_lithops("call", function("crash"), status=1)
        self.assertRegex(self.err, r"call 00000: crash: .*(signal 6|SIGABRT|Aborted)")

    def test_a_result_that_json_does_not_have(self):
        self.run_lithops("call", function("not_a_number"), status=1)
        self.assertIn("JSON", self.err)


class Map(Case):
    def test_in_order(self):
        out = self.lines("map", function("square"), "--over", *range(-50, 50))
        self.assertEqual(out, [x * x for x in range(-50, 50)])

    def test_over_nothing(self):
        self.assertEqual(self.lines("map", function("square"), "--over"), [])
        self.assertEqual(self.lines("map", function("square"), "--over", "-"), [])

    def test_standard_input(self):
        text = "".join(f"{i}\n" for i in range(20000))
        out = self.lines("map", function("square"), "--over", "-", stdin=text)
        self.assertEqual(out, [i * i for i in range(20000)])

    def test_the_last_line_may_lack_its_newline(self):
        out = self.lines("map", function("echo"), "--over", "-", stdin="a\n\n1\nb")
        self.assertEqual(out, ["a", "", 1, "b"])

    def test_text_that_is_no_utf8_is_bytes(self):
        out = self.lines("map", function("echo"), "--over", "-", stdin=b"\xff\n")
        self.assertEqual(out, [{"$bytes": base64.b64encode(b"\xff").decode()}])

    def test_json_lines_must_be_json(self):
        self.run_lithops("map", function("echo"), "--over", "-", "--json-lines", stdin="1\nx\n", status=2)
        self.assertIn("line 2", self.err)

    def test_standard_input_stands_alone(self):
        self.run_lithops("map", function("echo"), "--over", "-", "x", status=2)

    def test_results_come_while_input_is_open(self):
        process = self.start("map", function("square"), "--over", "-", stdin=subprocess.PIPE)
        for i in range(5):
            process.stdin.write(f"{i}\n".encode())
            process.stdin.flush()
            self.assertEqual(int(process.stdout.readline()), i * i)
        process.stdin.close()
        self.assertEqual(process.wait(LIMIT_S), 0)
        process.stdout.close()
        process.stderr.close()

    def test_endless_input_needs_little_memory(self):
        yes = subprocess.Popen(["yes", "7"], stdout=subprocess.PIPE)
        process = self.start("map", function("megabyte"), "--over", "-", "--raw", stdin=yes.stdout)
        yes.stdout.close()
        seen = 0
        while seen < 2 << 30:  # far more than what may be in flight
            piece = process.stdout.read(1 << 22)
            self.assertTrue(piece, "it ended")
            seen += len(piece)
        kilobytes = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/smaps_rollup") as file:
                kilobytes += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        process.stdout.close()
        yes.kill()
        yes.wait()
        self.assertEqual(process.wait(LIMIT_S), 141)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()
        self.assertLess(kilobytes, (4096 if SANITIZED else 512) << 10)

    def test_a_reader_that_leaves_ends_it_quietly(self):
        process = self.start("map", function("square"), "--over", *range(20000), stdout=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
        # All may be in the pipe already: then it is done, and has not noticed.
        self.assertIn(process.wait(LIMIT_S), (0, 141))
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()

    def test_the_first_failure_ends_it(self):
        self.run_lithops("map", function("fail_odd"), "--over", 0, 2, 3, 4, status=1)
        self.assertEqual(self.out, b"0\n2\n")
        self.assertIn("call 00002: call failed: 3 is odd", self.err)

    def test_keep_going(self):
        out = self.lines("map", function("fail_odd"), "--over", *range(6), "--keep-going", status=1)
        self.assertEqual(out, [0, 2, 4])
        for i in (1, 3, 5):
            self.assertIn(f"call {i:05}: call failed: {i} is odd", self.err)

    def test_failures_as_json(self):
        out = self.lines("map", function("fail_odd"), "--over", 0, 1, 2, "--keep-going", "--json", status=1)
        self.assertEqual(out[0], 0)
        self.assertEqual(out[2], 2)
        self.assertEqual(out[1]["error"]["call"], 1)
        self.assertEqual(out[1]["error"]["code"], "call failed")
        self.assertIn("1 is odd", out[1]["error"]["message"])

    def test_timeouts_alone_are_124(self):
        self.run_lithops(
            "map", function("sleep_ms"), "--over", 1, 60000, "--keep-going", "--timeout", 0.3, status=124
        )
        self.assertEqual(self.out, b"1\n")

    def test_unordered_results_come_as_they_end(self):
        out = self.lines(
            "map", function("sleep_ms"), "--over", 2000, 1, 2, 3, "--unordered", "--workers", 2, "--group", 1
        )
        self.assertEqual(sorted(out), [1, 2, 3, 2000])
        self.assertEqual(out[-1], 2000)

    def test_unordered_standard_input(self):
        text = "".join(f"{i}\n" for i in range(3000))
        out = self.lines("map", function("square"), "--over", "-", "--unordered", stdin=text)
        self.assertEqual(sorted(out), [i * i for i in range(3000)])

    def test_extra_arguments(self):
        self.assertEqual(self.lines("map", function("add"), "--over", 1, 2, "--extra", "y=10"), [11, 12])
        self.assertEqual(self.lines("map", function("add"), "--over", 1, 2, "--extra", "[10]"), [11, 12])

    def test_raw(self):
        out = self.run_lithops("map", function("echo"), "--over", '"a\\"b"', '{"$bytes": "AAEC"}', 5, "--raw")
        self.assertEqual(out, 'a"b\n\0\1\x025\n')

    def test_results_as_files(self):
        self.run_lithops("map", function("echo"), "--over", '"text"', "[1]", "--out", "results")
        self.assertEqual(self.out, b"")
        folder = self.path("results")
        self.assertEqual(sorted(os.listdir(folder)), ["00000.txt", "00001.json"])
        with open(os.path.join(folder, "00001.json")) as file:
            self.assertEqual(json.load(file), [1])

    def test_objects(self):
        names = [self.path(f"{i}.txt", "line\n" * i) for i in range(4)]
        out = self.lines("map", function("count_lines"), "--objects", "--over", *names)
        self.assertEqual(out, [0, 1, 2, 3])
        out = self.lines("map", function("count_lines"), "--objects", "--over", self.path("*.txt"))
        self.assertEqual(out, [0, 1, 2, 3])
        out = self.lines("map", function("count_lines"), "--chunk-number", 3, "--over", names[3])
        self.assertEqual((len(out), sum(out)), (3, 3))
        out = self.lines(
            "map", function("count_lines"), "--objects", "--over", "-", stdin="\n".join(names) + "\n"
        )
        self.assertEqual(out, [0, 1, 2, 3])
        self.run_lithops("map", function("count_lines"), "--objects", "--over", "none.txt", status=2)
        self.assertIn("none.txt", self.err)

    def test_other_separators(self):
        name = self.path("records", "a\x1eb\x1ec")
        out = self.lines("map", function("count_lines"), "--objects", "--newline", "\\x1e", "--over", name)
        self.assertEqual(out, [3])
        self.run_lithops("map", function("count_lines"), "--newline", "\\q", "--over", name, status=2)

    def test_plot_and_summary(self):
        self.run_lithops(
            "map", function("square"), "--over", *range(10), "--plot", self.path("run"), "--summary"
        )
        for name in ("run_timeline.png", "run_histogram.png"):
            with open(self.path(name), "rb") as file:
                self.assertEqual(file.read(4), b"\x89PNG")
        self.assertIn("Summary", self.err)

    def test_progress(self):
        self.run_lithops("map", function("square"), "--over", *range(10), "--progress")
        self.assertIn("10/10 calls", self.err)
        self.run_lithops("map", function("square"), "--over", *range(10))
        self.assertEqual(self.err, "")


class MapReduce(Case):
    def test_values(self):
        args = ("map-reduce", function("square"), "--reduce", function("sum"))
        self.assertEqual(self.lines(*args, "--over", *range(100)), [328350])
        self.assertEqual(self.lines(*args, "--over", "-", stdin="1\n2\n3\n"), [14])

    def test_one_worker_is_enough(self):
        args = ("map-reduce", function("square"), "--reduce", function("sum"), "--workers", 1)
        self.assertEqual(self.lines(*args, "--over", *range(10), "--spawn-reducer", 0), [285])

    def test_objects(self):
        files = [self.path(f"{i}", "some line\n" * (i * 1000)) for i in range(5)]
        args = ("map-reduce", function("count_lines"), "--reduce", function("sum"), "--over", *files)
        self.assertEqual(self.lines(*args, "--chunk-size", "4KiB"), [10000])
        out = self.lines(*args, "--chunk-size", "4KiB", "--reduce-by-object")
        self.assertEqual(out, [0, 1000, 2000, 3000, 4000])

    def test_a_failed_map_call_fails_it(self):
        self.run_lithops(
            "map-reduce", function("fail_odd"), "--reduce", function("sum"), "--over", 0, 1, status=1
        )
        self.assertIn("1 is odd", self.err)


class Signals(Case):
    def interrupt(self, number, expected):
        process = self.start("map", function("sleep_ms"), "--over", 0, *[600000] * 20, "--workers", 2)
        self.assertEqual(process.stdout.readline(), b"0\n")  # so the workers are there
        self.assertGreater(len(self.processes()), 1)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out), (expected, b""))
        self.assertIn(b"interrupted", err)
        self.assertEqual(self.left_behind(), [])

    def test_ctrl_c(self):
        self.interrupt(signal.SIGINT, 130)

    def test_terminate(self):
        self.interrupt(signal.SIGTERM, 143)

    def test_ctrl_c_while_waiting_for_input(self):
        process = self.start("map", function("square"), "--over", "-", stdin=subprocess.PIPE)
        process.stdin.write(b"3\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"9\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), 130)
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()

    def test_killed(self):
        process = self.start("map", function("sleep_ms"), "--over", 0, *[600000] * 20)
        self.assertEqual(process.stdout.readline(), b"0\n")
        process.kill()
        process.communicate(timeout=30)
        self.assertEqual(self.left_behind(), [])


class Streams(Case):
    def shell(self, line):
        command = ["bash", "-c", line, LITHOPS, function("square")]
        result = subprocess.run(command, capture_output=True, env=self.env, cwd=self.home, timeout=LIMIT_S)
        return result.returncode, result.stdout.decode(), result.stderr.decode()

    def test_closed_ones_are_errors(self):
        status, out, err = self.shell('"$0" map "$1" --over - <&-')
        self.assertEqual((status, out), (1, ""))
        self.assertIn("standard input", err)
        status, out, err = self.shell('"$0" map "$1" --over 1 >&-')
        self.assertEqual(status, 1)
        self.assertIn("cannot be written", err)
        self.assertEqual(self.shell('"$0" map "$1" --over 3 2>&-'), (0, "9\n", ""))

    def test_a_full_disk_is_an_error(self):
        status, _, err = self.shell('"$0" map "$1" --over 1 >/dev/full')
        self.assertEqual(status, 1)
        self.assertIn("No space left", err)

    def test_a_folder_as_input_is_an_error(self):
        status, _, err = self.shell('"$0" map "$1" --over - <.')
        self.assertEqual(status, 1)
        self.assertIn("standard input", err)

    def test_a_server_that_is_not_there(self):
        self.run_lithops(
            "map", function("count_lines"), "--objects", "--over", "http://127.0.0.1:1/x", status=3
        )
        self.assertIn("127.0.0.1", self.err)


class Colours(Case):
    def seen_on_terminal(self, **env):
        try:
            ours, theirs = pty.openpty()
        except OSError as error:
            self.skipTest(f"no terminal to be had here: {error}")
        process = subprocess.Popen(
            [LITHOPS, "nonsense"], stderr=theirs, env={**self.env, "TERM": "xterm", **env}
        )
        os.close(theirs)
        process.wait(LIMIT_S)
        text = os.read(ours, 65536)
        os.close(ours)
        return text

    def test_only_on_terminals_and_not_with_no_color(self):
        self.assertIn(b"\033[31m", self.seen_on_terminal())
        self.assertNotIn(b"\033", self.seen_on_terminal(NO_COLOR="1"))
        self.assertNotIn(b"\033", self.seen_on_terminal(TERM="dumb"))
        self.run_lithops("nonsense", status=2, TERM="xterm")
        self.assertNotIn("\033", self.err)


class Storage(Case):
    def test_round_trip(self):
        content = os.urandom(3 << 20)
        name = self.path("data.bin", content)
        self.run_lithops("storage", "put", name, "bucket", "-k", "some/data")
        self.run_lithops("storage", "get", "bucket", "some/data", "-o", "-")
        self.assertEqual(self.out, content)
        self.run_lithops("storage", "get", "bucket", "some/data")
        with open(self.path("data"), "rb") as file:
            self.assertEqual(file.read(), content)
        objects = self.lines("storage", "list", "bucket", "--json")
        self.assertEqual([(o["key"], o["size"]) for o in objects], [("some/data", len(content))])
        self.assertIn("some/data", self.run_lithops("storage", "list", "bucket", "--prefix", "some/"))
        self.assertEqual(self.run_lithops("storage", "list", "bucket", "-p", "none"), "")
        self.run_lithops("storage", "delete", "bucket", "some/data")
        self.assertEqual(self.run_lithops("storage", "list", "bucket"), "")

    def test_standard_input_into_the_default_bucket(self):
        self.run_lithops("storage", "put", "-", status=2)
        self.assertIn("--key", self.err)
        self.run_lithops("storage", "put", "-", "--key", "k", stdin="text")
        self.assertEqual([o["key"] for o in self.lines("storage", "list", "--json")], ["k"])

    def test_deleting_many(self):
        for i in range(5):
            self.run_lithops("storage", "put", "-", "b", "--key", f"p/{i}", stdin="x")
        self.run_lithops("storage", "delete", "b", status=2)
        self.run_lithops("storage", "delete", "b", "p/0", "p/1")
        self.assertEqual(len(self.lines("storage", "list", "b", "--json")), 3)
        self.run_lithops("storage", "delete", "b", "--prefix", "p/2")
        self.assertEqual(len(self.lines("storage", "list", "b", "--json")), 2)
        self.run_lithops("storage", "delete", "b", "--all")
        self.assertEqual(self.lines("storage", "list", "b", "--json"), [])

    def test_what_is_not_there(self):
        self.run_lithops("storage", "get", "none", "none", status=2)
        self.assertFalse(os.path.exists(self.path("none")))
        self.run_lithops("storage", "put", "none.bin", "b", status=2)
        self.assertIn("none.bin", self.err)
        self.run_lithops("storage", "list", "--storage", "nonsense", status=2)
        self.assertIn("localhost", self.err)


class Config(Case):
    def test_show(self):
        text = self.run_lithops("config", "show")
        self.assertIn("lithops:", text)
        config = json.loads(self.run_lithops("config", "show", "--json"))
        self.assertEqual(config["lithops"]["backend"], "localhost")
        self.assertEqual(list(json.loads(self.run_lithops("config", "show", "lithops", "--json"))), ["lithops"])
        self.run_lithops("config", "show", "lithop", status=2)
        self.assertIn("'lithops'", self.err)

    def test_what_is_shown_is_a_configuration(self):
        self.path("shown.yaml", self.run_lithops("config", "show", "-o", "worker_processes=3"))
        config = json.loads(self.run_lithops("config", "show", "--json", "--config", "shown.yaml"))
        self.assertEqual(config["localhost"]["worker_processes"], 3)

    def test_check(self):
        self.path("good.yaml", "localhost:\n  worker_processes: 2\n")
        self.assertIn("good.yaml", self.run_lithops("config", "check", "good.yaml"))
        self.path("bad.yaml", "localhost:\n  worker_process: 2\n")
        self.run_lithops("config", "check", "bad.yaml", status=2)
        self.assertIn("bad.yaml:2", self.err)
        self.assertIn("worker_processes", self.err)
        self.path("type.yaml", "localhost:\n  worker_processes: many\n")
        self.run_lithops("config", "check", "type.yaml", status=2)
        self.assertIn("type.yaml:2", self.err)

    def test_path(self):
        self.assertEqual(self.run_lithops("config", "path"), "defaults\n")
        self.path(".lithops_config", "lithops:\n  backend: localhost\n")
        self.assertIn(".lithops_config", self.run_lithops("config", "path"))

    def test_options_reach_the_executor(self):
        self.run_lithops("call", function("square"), 2, "-o", "worker_process=2", status=2)
        self.assertIn("worker_processes", self.err)
        self.run_lithops("call", function("square"), 2, "--config", "none.yaml", status=2)
        self.assertIn("none.yaml", self.err)


class Tools(Case):
    def test_hello(self):
        self.assertRegex(self.run_lithops("hello"), r"^Hello tester, from worker process \d+ on ")

    def test_test(self):
        self.assertRegex(self.run_lithops("test"), r"5 passed, 0 failed\n$")
        checks = self.lines("test", "--json")
        self.assertEqual([c["passed"] for c in checks], [True] * 5)

    def test_logs(self):
        self.assertEqual(self.run_lithops("logs"), "")
        self.run_lithops("map", function("say"), "--over", 1, 2, 3)
        listed = self.lines("logs", "--json")
        self.assertEqual(len(listed), 1)
        executor = listed[0]["executor"]
        self.assertIn(executor, self.run_lithops("logs"))
        self.assertEqual(self.run_lithops("logs", executor).count("said by the call"), 3)
        one = self.run_lithops("logs", executor + "-M000-00001")
        self.assertIn("said by the call 1\n", one)
        self.assertEqual(one.count("said"), 1)
        self.run_lithops("logs", "none", status=2)

    def test_clean(self):
        self.run_lithops("map", function("say"), "--over", 1)
        self.run_lithops("storage", "put", "-", "--key", "mine", stdin="x")
        self.run_lithops("storage", "put", "-", "--key", "lithops.jobs/tmp/object", stdin="x")
        self.assertEqual(self.lines("clean", "--json")[0]["logs"], 1)
        self.assertEqual(self.run_lithops("logs"), "")
        self.assertEqual(len(self.lines("storage", "list", "--json")), 2)
        self.assertIn("1 objects", self.run_lithops("clean", "--all"))
        self.assertEqual([o["key"] for o in self.lines("storage", "list", "--json")], ["mine"])
        self.assertRegex(self.run_lithops("clean"), "removed: 0 logs, 0 process groups")

    def test_clean_after_a_kill(self):
        self.run_lithops("clean")
        process = self.start(
            "map", function("sleep_ms"), "--over", 0, 600000, "--memory", 500, "--workers", 2
        )
        self.assertEqual(process.stdout.readline(), b"0\n")
        process.kill()
        process.communicate(timeout=30)
        self.assertEqual(self.left_behind(), [])
        self.run_lithops("clean")
        self.assertIn("0 memory groups", self.run_lithops("clean"))

    def test_clean_ends_what_functions_have_started(self):
        process = self.start("map", function("leave_child"), "--over", 600, "--memory", 500)
        self.wait_until(lambda: "sleep" in self.names())
        self.run_lithops("clean")
        self.assertIn("sleep", self.names())  # its program is alive
        process.kill()
        process.communicate(timeout=30)
        self.wait_until(lambda: self.names() == ["sleep"])
        self.assertEqual(self.lines("clean", "--json")[0]["process_groups"], 1)
        self.assertEqual(self.left_behind(), [])
        self.assertIn("0 process groups, 0 memory groups", self.run_lithops("clean"))


class Jobs(Case):
    def mine(self):
        pids = self.processes()
        return [job for job in self.lines("job", "list", "--json") if job["pid"] in pids]

    def started(self, *args):
        process = self.start("map", function("sleep_ms"), "--workers", 2, "--over", 0, *args)
        self.assertEqual(process.stdout.readline(), b"0\n")
        return process

    def test_list(self):
        process = self.started(*[600000] * 10)
        [job] = self.mine()
        self.assertEqual((job["calls"], job["success"], job["state"]), (11, 1, "running"))
        self.assertEqual(job["pending"] + job["running"], 10)
        self.assertIn("sleep_ms", job["function"])
        self.assertRegex(self.run_lithops("job", "list"), job["job"] + r" .*running")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(self.mine(), [])

    def test_stop(self):
        process = self.started(*[600000] * 10)
        [job] = self.mine()
        # The program notices after the first one, and cancels the rest itself.
        self.assertRegex(self.run_lithops("job", "stop", job["job"]), r"^[1-9]\d* calls stopped\n$")
        out, err = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out), (1, b""))
        self.assertIn(b"call 00001: canceled", err)

    def test_stop_an_executor_but_not_another(self):
        one, other = self.started(600000), self.started(600000)
        executor = [job for job in self.mine() if job["pid"] == one.pid][0]["job"].rsplit("-", 1)[0]
        self.run_lithops("job", "stop", executor)
        one.communicate(timeout=30)
        self.assertEqual(one.returncode, 1)
        self.assertIsNone(other.poll())
        other.send_signal(signal.SIGINT)
        other.communicate(timeout=30)

    def test_what_is_not_there(self):
        self.run_lithops("job", "stop", "none-0", status=2)
        self.assertIn("job list", self.err)
        self.run_lithops("job", "stop", status=2)
        self.run_lithops("job", "stop", "a", "--all", status=2)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
