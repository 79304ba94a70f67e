#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The lithops command as users see it: arguments in, lines and exit codes out.

Usage: cli_test.py LITHOPS LIBRARY [unittest arguments]; run by ctest. LIBRARY is built from
cli_functions.c. Each test has its own home folder, storage and temporary folder, and must leave no
process behind.
"""
import base64
import bz2
import concurrent.futures
import functools
import gzip
import hashlib
import http.server
import json
import math
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
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
        """Names of the programs that processes() run."""
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
            self.assertLess(time.monotonic(), until, "never comes true")
            time.sleep(0.01)

    def left_behind(self):
        """Processes that do not end by themselves within some seconds."""
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
        self.addCleanup(process.kill)  # does nothing after wait()
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


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


class Usage(Case):
    def test_version(self):
        self.assertRegex(self.run_lithops("--version"), r"^lithops \d+\.\d+\.\d+\n$")

    def test_help_of_everything(self):
        overview = self.run_lithops("--help")
        for words in (["map"], ["map-reduce"], ["call"], ["storage", "put"], ["job", "stop"]):
            self.assertIn(" ".join(words), overview)
            self.assertIn("usage: lithops " + " ".join(words), self.run_lithops(*words, "--help"))
        self.assertIn("storage get", self.run_lithops("storage", "--help"))

    def test_a_full_disk_is_an_error(self):
        for words in (["--help"], ["--version"], ["storage", "--help"], ["map", "--help"], ["config", "show"],
                      ["config", "path"], ["config", "check"], ["completion", "bash"], ["test", "-t", "call"],
                      ["clean"], ["call", function("echo"), 1]):
            with open("/dev/full", "wb") as full:
                process = self.start(*words, stdout=full)
                err = process.communicate(timeout=LIMIT_S)[1]
            self.assertEqual(process.returncode, 1, words)
            self.assertIn(b"No space left on device", err)

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
        self.run_lithops("hello", "--backend", "no_such_cloud", status=2)
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

    def test_numbers_that_json_does_not_have(self):
        self.assertEqual(self.run_lithops("call", function("not_a_number")), "NaN\n")
        self.assertEqual(self.run_lithops("call", function("not_a_number"), "--strict-json"), "null\n")
        words = ("NaN", "Infinity", "-Infinity", "[1, NaN]")
        out = self.run_lithops("map", function("echo"), "--over", *words)
        self.assertEqual(out.split("\n")[:-1], list(words))
        self.assertEqual(self.run_lithops("map", function("echo"), "--over", "-", stdin=out), out)
        out = self.lines("map", function("echo"), "--strict-json", "--over", *words)
        self.assertEqual(out, [None, None, None, [1, None]])

    def test_numbers_that_do_not_fit(self):
        for text in ("9223372036854775808", "18446744073709551615", "1e400", "[1e400]"):
            self.run_lithops("call", function("echo"), text, status=2)
            self.assertIn("--strings", self.err)
            self.run_lithops("map", function("echo"), "--over", "-", stdin=text, status=2)
            self.assertIn("line 1", self.err)
            self.run_lithops("call", function("echo"), "--extra", "x=" + text, status=2)
            self.assertIn("x=", self.err)
            self.assertEqual(self.lines("call", function("echo"), text, "--strings"), [text])


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

    def test_lines_may_end_with_cr_lf(self):
        out = self.lines("map", function("echo"), "--over", "-", stdin="1\r\nabc\r\n\r\na\rb\n")
        self.assertEqual(out, [1, "abc", "", "a\rb"])
        self.assertEqual(self.lines("map", function("echo"), "--over", "1\r", "abc\r"), ["1\r", "abc\r"])

    def test_inputs_may_end_with_nul(self):
        for option in ("-0", "--null"):
            out = self.lines("map", function("echo"), "--over", "-", option, stdin="a\nb\r\0" "5\0\0c")
            self.assertEqual(out, ["a\nb\r", 5, "", "c"])

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
        while seen < 2 << 30:  # far more than may be in flight
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
        # All may already be in the pipe: then it finishes without noticing.
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


class Run(Case):
    """A program per input, as xargs -P and GNU parallel."""

    def test_an_input_is_an_argument(self):
        self.assertEqual(self.run_lithops("run", "echo", "--over", "a b", "$x", "7", "007", '"'),
                         'a b\n$x\n7\n007\n"\n')
        self.assertEqual(self.err, "")

    def test_places(self):
        self.assertEqual(
            self.run_lithops("run", "-w", 1, "echo", "-n", "{/.}:{//}:{#};", "--over", "/a/b.c", "d"),
            "b:/a:1;d:.:2;")
        self.assertEqual(self.run_lithops("run", "printf", "%s,", "{2}-{1}", "--over", "a", "b",
                                          "--over", "1", "2"), "1-a,2-a,1-b,2-b,")
        self.assertEqual(self.run_lithops("run", "printf", "%s;", "{2}-{1}", "--over", "a", "b", "c",
                                          "--over", "1", "2", "--link"), "1-a;2-b;1-c;")
        self.assertEqual(self.run_lithops("run", "--colsep", "\\t", "echo", "{2}{1}", "--over", "-",
                                          stdin="a\tb\nc\td\n"), "ba\ndc\n")

    def test_options_of_the_program_are_its_own(self):
        self.assertEqual(self.run_lithops("run", "--no-progress", "sh", "-c", 'echo "$0" -w --help "$1"',
                                          "-d", "{}", "--over", "x", "-w", 1), "-d -w --help x\n")
        self.run_lithops("run", "echo", "--over", "x", "-w", 1, "y", status=255)
        self.assertIn("'y'", self.err)
        self.assertIn("--joblog", self.run_lithops("run", "--help"))

    def test_several_inputs_in_a_call(self):
        self.assertEqual(self.run_lithops("run", "-n", 2, "echo", "{#}", "--over", *"abcde"),
                         "1\n2\n3\n")
        self.assertEqual(self.run_lithops("run", "-n", 2, "echo", "--over", *"abcde"),
                         "a b\nc d\ne\n")
        self.assertEqual(self.run_lithops("run", "-n", 3, "echo", "--over", "-", stdin="a\nb\nc\nd\n"),
                         "a b c\nd\n")

    def test_inputs_that_end_with_nul(self):
        self.assertEqual(
            self.run_lithops("run", "-0", "printf", "<%s>", "--over", "-", stdin=b"a\nb\0-n\0\xff\0"),
            "<a\nb><-n><\udcff>")

    def test_binary_output_in_order(self):
        self.run_lithops("run", "-w", 2, "--shell", "sleep 0.{}; printf '\\000\\377{}'", "--over", 3, 0)
        self.assertEqual(self.out, b"\0\xff3\0\xff0")

    def test_unordered(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        out = self.run_lithops("run", "-u", "-w", 2, "--shell",
                               f"test {{}} = 1 && cat {fifo} || {{ echo early; echo late >{fifo}; }}",
                               "--over", 1, 2)
        self.assertEqual(sorted(out.splitlines()), ["early", "late"])

    def test_large_output(self):
        self.run_lithops("run", "head", "-c", "{}", "/dev/zero", "--over", 3000000, 0, 70000)
        self.assertEqual(self.out, bytes(3070000))

    def test_standard_error_comes_too(self):
        self.assertEqual(self.run_lithops("run", "--shell", "echo {}; echo e{} >&2", "--over", 1, 2),
                         "1\n2\n")
        self.assertEqual(self.err, "e1\ne2\n")

    def test_the_status_counts_failures(self):
        out = self.run_lithops("run", "--shell", "echo {}; exit {}", "--over", 0, 3, 0, 4, status=2)
        self.assertEqual(out, "0\n3\n0\n4\n")
        self.assertEqual(self.err, "lithops: 2 of 4 commands failed\n")
        self.run_lithops("run", "false", "--over", *range(120), status=101)

    def test_halt(self):
        out = self.run_lithops("run", "-w", 1, "--group", 1, "--halt", "now", "--shell",
                               "echo {}; exit {}", "--over", 0, 7, *[0] * 50, status=7)
        self.assertEqual(out, "0\n7\n")
        out = self.run_lithops("run", "-w", 1, "--halt", "soon", "--shell", "exit {}", "--over", "-",
                               stdin="0\n9\n" + "0\n" * 5000, status=9)
        seen = int(self.err.split(" of ")[1].split()[0])
        self.assertLess(seen, 5002)
        self.run_lithops("run", "--halt", "sometimes", "true", "--over", 1, status=255)

    def test_signals_are_told(self):
        self.run_lithops("run", "--shell", "kill -{} $$", "--over", 9, 15, status=2)
        self.assertRegex(self.err, r"call 1: call failed: .*signal 9 \(Killed\)")
        self.assertRegex(self.err, r"call 2: call failed: .*signal 15 \(Terminated\)")

    def test_programs_that_are_not_there(self):
        self.run_lithops("run", "no-such-program", "{}", "--over", *range(1000), status=127)
        self.assertEqual(self.err.count("no program 'no-such-program'"), 1, self.err)
        self.run_lithops("run", self.path("plain", "x"), "--over", 1, status=126)
        self.assertIn("chmod", self.err)
        # If the input is part of the name, another input may name a program.
        self.run_lithops("run", "{}", "--over", "no-such-program", "true", status=1)
        self.assertIn("1 of 2 commands failed", self.err)

    def test_words_that_are_too_long(self):
        self.run_lithops("run", "echo", "--over", "-", stdin="x" * 200000, status=1)
        self.assertIn("--pipe", self.err)
        self.assertEqual(self.run_lithops("run", "--pipe", "wc", "-c", "--over", "-",
                                          stdin="x" * 200000), "200000\n")

    def test_surroundings(self):
        self.assertEqual(self.run_lithops("run", "--workdir", "/usr", "-e", "A=b c", "--shell",
                                          "pwd; echo $A; cat; echo", "--over", 1), "/usr\nb c\n1\n")

    def test_a_timeout(self):
        self.run_lithops("run", "-t", 1, "--shell", "sleep {} & wait; echo {}", "--over", 0, 600,
                         status=1)
        self.assertEqual(self.out, b"0\n")
        self.assertIn("call 2: TimeoutError", self.err)

    def test_retries(self):
        tries = self.path("tries")
        line = f"echo x >>{tries}; : {{}}; test $(wc -l <{tries}) -gt 2"
        self.run_lithops("run", "--retries", 2, "--shell", line, "--over", 1)
        self.run_lithops("run", "--retries", 1, "--shell", f"echo y >>{tries}.2; false {{}}", "--over", 1,
                         status=1)
        with open(tries + ".2") as file:
            self.assertEqual(file.read(), "y\ny\n")

    def test_dry_run(self):
        self.assertEqual(self.run_lithops("run", "--dry-run", "echo", "-n", "{.}", "--over", "a b.c", "d"),
                         "echo -n 'a b'\necho -n d\n")
        self.assertEqual(self.run_lithops("run", "--dry-run", "--shell", "echo {} | cat", "--over", "-",
                                          stdin="it's\n"), "echo 'it'\\''s' | cat\n")

    def test_json(self):
        first, second = self.lines("run", "--json", "--shell", "echo {}; echo e >&2; exit {}",
                                   "--over", 0, 5, status=1)
        self.assertEqual(first, {"seq": 1, "status": 0, "signal": 0, "stdout": "0\n", "stderr": "e\n",
                                 "command": "echo 0; echo e >&2; exit 0"})
        self.assertEqual((second["status"], second["stdout"]), (5, "5\n"))

    def test_results_as_files(self):
        self.run_lithops("run", "--out", "results", "echo", "--over", "a", "b")
        self.assertEqual(self.out, b"")
        for name, text in (("00001.out", "a\n"), ("00002.out", "b\n")):
            with open(self.path("results/" + name)) as file:
                self.assertEqual(file.read(), text)

    def columns(self, log):
        with open(log) as file:
            header, *lines = [line.rstrip("\n").split("\t") for line in file]
        self.assertEqual(header, "Seq Host Starttime JobRuntime Send Receive Exitval Signal "
                                 "Command".split())
        return lines

    def test_a_job_log(self):
        log = self.path("log")
        self.run_lithops("run", "--joblog", log, "--shell", "echo {}; exit {}", "--over", 0, 3, 0,
                         status=1)
        lines = self.columns(log)
        self.assertEqual([(seq, host, status, signal) for seq, host, _, _, _, _, status, signal, _
                          in lines], [("1", ":", "0", "0"), ("2", ":", "3", "0"), ("3", ":", "0", "0")])
        self.assertEqual(lines[1][8], "echo 3; exit 3")
        self.assertAlmostEqual(float(lines[0][2]), time.time(), delta=LIMIT_S)
        again = ["--joblog", log, "--shell", "echo again {#}", "--over", 0, 3, 0, 1]
        self.assertEqual(self.run_lithops("run", "--dry-run", "--resume-failed", *again),
                         "echo again 2\necho again 4\n")
        self.assertEqual(self.run_lithops("run", "--resume", *again), "again 4\n")
        self.assertEqual(self.run_lithops("run", "--resume-failed", *again), "again 2\n")
        self.assertEqual(self.run_lithops("run", "--resume-failed", *again), "")
        self.assertEqual([line[0] for line in self.columns(log)], ["1", "2", "3", "4", "2"])
        self.assertEqual(self.run_lithops("run", *again[:4], "--over", 0), "again 1\n")
        self.assertEqual(len(self.columns(log)), 1)

    def test_a_job_log_of_parallel_or_cut_short(self):
        log = self.path("log", "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\t"
                               "Command\n2\t:\t1.0\t     0.010\t0\t0\t0\t0\techo b\nx\n3\t:\t1.0")
        self.assertEqual(self.run_lithops("run", "--joblog", log, "--resume", "echo", "--over", *"abc"),
                         "a\nc\n")
        with open(log) as file:
            self.assertEqual([line.split("\t")[0] for line in file.read().splitlines()[3:]],
                             ["3", "1", "3"])

    def test_resumed_after_a_kill(self):
        log, done = self.path("log"), self.path("done")
        process = self.start("run", "-w", 1, "--joblog", log, "--shell",
                             f"echo {{}} >>{done}; test {{}} -lt 4 || sleep 600", "--over", *range(10))
        # The log is made before its first line is written.
        self.wait_until(lambda: os.path.exists(log) and os.path.getsize(log) > 0
                        and len(self.columns(log)) == 4)
        process.kill()
        process.communicate(timeout=30)
        self.assertEqual(self.left_behind(), [])
        os.remove(done)
        self.run_lithops("run", "--joblog", log, "--resume", "--shell", f"echo {{}} >>{done}",
                         "--over", *range(10))
        with open(done) as file:
            self.assertEqual(sorted(file.read().split()), [str(i) for i in range(4, 10)])

    def test_one_run_at_a_time_has_a_job_log(self):
        log = self.path("log")
        process = self.start("run", "--joblog", log, "sleep", "--over", 600)
        self.wait_until(lambda: "sleep" in self.names())
        self.run_lithops("run", "--joblog", log, "true", "--over", 1, status=255)
        self.assertIn("another run", self.err)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)

    def test_what_is_missing_is_named(self):
        self.run_lithops("run", "echo", status=255)
        self.assertIn("--over", self.err)
        self.run_lithops("run", "--over", 1, status=255)
        self.run_lithops("run", "--resume", "echo", "--over", 1, status=255)
        self.assertIn("--joblog", self.err)

    def test_another_backend(self):
        self.assertEqual(self.run_lithops("run", "-b", "process", "echo", "{#}", "{}", "--over", "a", "b",
                                          XDG_CACHE_HOME=self.home), "1 a\n2 b\n")

    def test_what_it_leaves_running_ends(self):
        self.assertEqual(self.run_lithops("run", "--shell", "sleep 600 & echo {}", "--over", 1, 2),
                         "1\n2\n")
        self.assertEqual(self.left_behind(), [])


class Cache(Case):
    """What workers keep of files that clients have sent."""

    MIB = 1 << 20

    def setUp(self):
        super().setUp()
        self.cache = self.path(".cache/lithops")

    def call(self, included, *args, **more):
        """With a file of this name, which the worker has to have."""
        path = self.path(included, os.urandom(self.MIB) if not os.path.exists(self.path(included)) else None)
        with open(path, "rb") as file:
            content = file.read()
        self.assertEqual(self.lines("map", function("echo"), "-b", "process", "--include", path, *args,
                                    "--over", 1, 2, **more), [1, 2])
        return hashlib.sha256(content).hexdigest()

    def objects(self):
        return {name: os.path.join(self.cache, "objects", name)
                for name in os.listdir(os.path.join(self.cache, "objects"))}

    def size(self):
        files = {}
        for folder, _, names in os.walk(self.cache):
            for name in names:
                status = os.stat(os.path.join(folder, name))
                files[status.st_ino] = status.st_blocks * 512
        return sum(files.values()) / self.MIB

    def test_is_bounded(self):
        base = self.call("first")
        room = math.ceil(self.size() + 1)  # for one more file
        config = self.path("config", f"lithops:\n  backend: process\n  worker_cache: {room}\n")
        second = self.call("second", "--config", config)
        self.call("first", "--config", config)  # used, though it came first
        third = self.call("third", "--config", config)
        left = self.objects()
        self.assertLessEqual(self.size(), room)
        self.assertNotIn(second, left)
        self.assertIn(base, left)
        self.assertIn(third, left)
        self.call("second", "--config", config)

    def test_what_is_in_use_stays(self):
        process = self.start("map", function("echo"), "-b", "process", "--over", "-",
                             stdin=subprocess.PIPE)
        process.stdin.write(b"1\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"1\n")
        before = self.objects()
        included = self.call("other")
        self.assertIn("MiB of the cache", self.run_lithops("clean", "--cache"))
        self.assertNotIn(included, self.objects())
        self.assertEqual(set(self.objects()), set(before))
        config = self.path("config", "lithops:\n  backend: process\n  worker_cache: 0\n")
        self.call("another", "--config", config)
        self.assertLessEqual(set(before), set(self.objects()))
        out, _ = process.communicate(b"2\n", timeout=LIMIT_S)
        self.assertEqual(out, b"2\n")

    def test_clean(self):
        included = self.call("file")
        partial = self.path(".cache/lithops/objects/" + "0" * 64 + ".0123456789abcdef", b"x" * 5000)
        self.assertIn(included, self.objects())
        size = self.lines("clean", "--cache", "--dry-run", "--json")[0]["cache_bytes"]
        self.assertGreater(size, self.MIB)
        self.assertIn(included, self.objects())
        self.assertEqual(self.lines("clean", "--cache", "--json")[0]["cache_bytes"], size)
        self.assertEqual(self.objects(), {})
        self.assertFalse(os.path.exists(partial))
        self.assertEqual(os.listdir(os.path.join(self.cache, "images")), [])
        self.assertNotIn("cache", self.run_lithops("clean"))
        self.assertEqual(self.call("file"), included)

    def test_a_spoiled_file_is_sent_again(self):
        included = self.call("file")
        with open(self.objects()[included], "r+b") as file:
            file.write(b"spoiled")
        self.call("file")
        with open(self.objects()[included], "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).hexdigest(), included)

    def test_many_at_once(self):
        """Workers that add, use and remove the same things."""
        config = self.path("config", "lithops:\n  backend: process\n  worker_cache: 0\n")
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            args = ["map", function("echo"), "-b", "process", "--config", config, "--include"]
            paths = [self.path(f"file{i}", os.urandom(100000)) for i in range(3)]
            runs = [pool.submit(subprocess.run, [LITHOPS, *args, paths[i % 3], "--over", "1"], env=self.env,
                                capture_output=True, timeout=LIMIT_S) for i in range(24)]
            for _ in range(20):
                self.run_lithops("clean", "--cache")
            for run in runs:
                self.assertEqual((run.result().stdout, run.result().stderr), (b"1\n", b""))

    def test_where_none_can_be_kept(self):
        """Home cannot be written to: then the cache is in the folder for temporary files."""
        self.call("file", XDG_CACHE_HOME="/proc/none")
        self.cache = self.path(f"lithops-cache-{os.getuid()}")
        self.assertTrue(self.objects())
        self.run_lithops("clean", "--cache", XDG_CACHE_HOME="/proc/none")
        self.assertEqual(self.objects(), {})

    @unittest.skipIf(os.getuid() != 0 or subprocess.run(["unshare", "-m", "true"]).returncode != 0,
                     "mounting a small disk needs root")
    def test_a_full_disk(self):
        """What nobody uses makes room; where that is not enough the worker says so."""
        self.call("file")
        room = math.ceil(self.size()) + 1
        script = self.path("script", f"""
            set -eu
            mount -t tmpfs -o size={room}m none {self.path(".cache")}
            for i in 1 2 3; do
                head -c 1000000 /dev/urandom >included
                {LITHOPS} map {function("echo")} -b process --include included --over $i
            done
            mount -t tmpfs -o size=64k none {self.path(".cache")}
            {LITHOPS} map {function("echo")} -b process --over 1 || echo "and $?"
            """)
        run = subprocess.run(["unshare", "-m", "sh", script], env=self.env, cwd=self.home, text=True,
                             capture_output=True, timeout=LIMIT_S)
        self.assertEqual((run.returncode, run.stdout), (0, "1\n2\n3\nand 1\n"), run.stderr)
        self.assertRegex(run.stderr, "worker process-0 was lost: cannot write to the cache '.*': make room")

    def test_no_room(self):
        self.run_lithops("map", function("echo"), "-b", "process", "--over", 1, status=1,
                         XDG_CACHE_HOME="/proc/none", TMPDIR="/proc/none")
        self.assertRegex(self.err, "worker process-0 was lost: .*cannot write to the cache folder "
                                   "'/proc/none/lithops': make room .* or set XDG_CACHE_HOME")


class Objects(Case):
    """Objects other than files and folders."""

    TEXT = b"".join(b"line %d\n" % i for i in range(5000))

    def count(self, *names, **more):
        return self.lines("map", function("count_lines"), "--objects", "--over", *names, **more)

    def test_compressed_files_and_objects(self):
        self.path("a.gz", gzip.compress(self.TEXT))
        self.path("b.bz2", bz2.compress(self.TEXT[:100]))
        self.path("plain.gz", self.TEXT)
        self.assertEqual(self.count("a.gz", "b.bz2", "plain.gz"), [5000, self.TEXT[:100].count(b"\n") + 1, 5000])
        self.run_lithops("storage", "put", "a.gz", "data")
        self.assertEqual(self.count("localhost://data/a.gz"), [5000])
        self.run_lithops("map", function("count_lines"), "--chunk-number", 2, "--over", "a.gz", status=2)
        self.assertIn("compressed and cannot be split", self.err)
        # without a separator an object is plain bytes
        out = self.lines("map", function("count_lines"), "--chunk-number", 2, "--newline", "", "--over", "a.gz")
        self.assertEqual(out, [1, 1])

    def test_compressed_urls(self):
        served = self.path("served")
        os.mkdir(served)
        self.path("served/a.gz", gzip.compress(self.TEXT))
        handler = functools.partial(QuietHandler, directory=served)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                url = f"http://127.0.0.1:{server.server_port}/a.gz?signed=x.txt"
                self.assertEqual(self.count(url), [5000])
            finally:
                server.shutdown()
                thread.join()

    def test_what_is_cut_off_fails(self):
        self.path("a.gz", gzip.compress(self.TEXT)[:-20])
        self.run_lithops("map", function("count_lines"), "--objects", "--over", "a.gz", status=1)
        self.assertIn("cut off", self.err)

    def test_pipes(self):
        os.mkfifo(self.path("pipe"))
        writer = threading.Thread(target=lambda: self.path("pipe", self.TEXT))
        writer.start()
        self.assertEqual(self.count("pipe"), [5000])
        writer.join()
        for name in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
            self.assertEqual(self.count(name, stdin=self.TEXT), [5000])
        script = '"$1" map "$2" --objects --over <(seq 3) <(seq 4) /dev/stdin <<< "x"'
        result = subprocess.run(["bash", "-c", script, "-", LITHOPS, function("count_lines")], env=self.env,
                                capture_output=True, timeout=LIMIT_S)
        self.assertEqual((result.stdout, result.stderr), (b"3\n4\n1\n", b""))

    def test_files_of_proc(self):
        with open("/proc/cpuinfo") as file:
            lines = len(file.readlines())
        self.assertEqual(self.count("/proc/cpuinfo", "/proc/version"), [lines, 1])

    def test_names_that_are_no_utf8(self):
        name = os.fsencode(self.path("n")) + b"\xff\n.txt"
        with open(name, "wb") as file:
            file.write(self.TEXT)
        self.assertEqual(self.count(os.fsdecode(name)), [5000])
        self.assertEqual(self.count("-", "--null", stdin=name + b"\0" + name), [5000, 5000])
        self.run_lithops("map", function("count_lines"), "--objects", "--over", os.fsdecode(name) + "x", status=2)
        self.assertIn("no", self.err)


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
        self.assertEqual(process.stdout.readline(), b"0\n")  # so the workers have started
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
            self.skipTest(f"no terminal available: {error}")
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

    def test_head(self):
        self.run_lithops("storage", "put", "-", "b", "--key", "a/b", stdin="text")
        self.assertRegex(self.run_lithops("storage", "head", "b", "a/b"), r"^ +4  \S+Z  a/b\n$")
        self.assertEqual([o["size"] for o in self.lines("storage", "head", "b", "a/b", "--json")], [4])
        self.run_lithops("storage", "head", "b", "none", status=2)

    def test_a_folder_there_and_back(self):
        names = [f"{folder}f{i}" for i in range(20) for folder in ("", "sub/", "sub/more é/")]
        for name in names:
            os.makedirs(os.path.dirname(self.path("there/" + name)), exist_ok=True)
            self.path("there/" + name, name.encode() * 100)
        os.makedirs(self.path("there/empty"))
        os.symlink("..", self.path("there/sub/circle"))
        self.run_lithops("storage", "put", "there", "b", "--key", "p/", "--progress")
        self.assertIn("60/60 objects", self.err)
        self.assertEqual(sorted(o["key"] for o in self.lines("storage", "list", "b", "--json")),
                         sorted("p/" + name for name in names))
        self.run_lithops("storage", "get", "b", "--prefix", "p/sub/", "--out", "back")
        for name in names:
            if name.startswith("sub/"):
                with open(self.path("back/" + name[4:]), "rb") as file:
                    self.assertEqual(file.read(), name.encode() * 100)
        self.run_lithops("storage", "get", "b", "--prefix", "none/", "--out", "back", status=2)
        self.assertIn("begins with 'none/'", self.err)
        self.run_lithops("storage", "get", "b", status=2)
        self.run_lithops("storage", "get", "b", "k", "--prefix", "p", status=2)
        self.assertIn("either a key or --prefix", self.err)

    def test_check(self):
        said = self.run_lithops("storage", "check")
        for step in ("configured", "put", "head", "get", "list", "conditional", "delete"):
            self.assertRegex(said, rf"(?m)^{step} +ok")
        self.assertEqual(self.lines("storage", "list", "--json"), [])
        checks = self.lines("storage", "check", "b", "--json")
        self.assertTrue(all(check["passed"] for check in checks))

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
        self.assertIn("\nknative: # untested against the service\n", text)
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
        self.path("bad.yaml", "localhost:\n  worker_process: 2\nmine: {a: 1}\n")
        self.run_lithops("config", "check", "bad.yaml", status=2)
        self.assertIn("bad.yaml:2", self.err)
        self.assertIn("did you mean 'worker_processes'", self.err)
        self.assertIn("bad.yaml:3: unknown section 'mine'", self.err)
        self.run_lithops("hello", "-c", "bad.yaml")
        self.assertIn("worker_process", self.err)
        self.path("strict.yaml", "localhost:\n  worker_process: 2\nlithops: {strict: true}\n")
        self.run_lithops("hello", "-c", "strict.yaml", status=2)
        self.assertIn("strict.yaml:2", self.err)
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

    def run_limited(self, limit, value):
        process = self.start(
            "hello", preexec_fn=lambda: resource.setrlimit(limit, (value, value))
        )
        _, err = process.communicate(timeout=LIMIT_S)
        return process.returncode, err.decode()

    def test_few_descriptors(self):
        for most in range(4, 20):
            status, err = self.run_limited(resource.RLIMIT_NOFILE, most)
            if status == 0:
                break
            self.assertEqual(status, 1, (most, err))
            if not SANITIZED and most < 10:
                self.assertIn("'ulimit -n'", err)

    @unittest.skipIf(SANITIZED, "a sanitizer writes files itself")
    def test_no_file_size(self):
        status, err = self.run_limited(resource.RLIMIT_FSIZE, 0)
        self.assertEqual(status, 1)
        self.assertIn("'ulimit -f'", err)

    @unittest.skipIf(SANITIZED or not shutil.which("valgrind"), "valgrind is not installed")
    def test_under_valgrind(self):
        result = subprocess.run(["valgrind", "-q", LITHOPS, "map", function("square"), "--over", "7"],
                                capture_output=True, env=self.env, cwd=self.home, timeout=LIMIT_S)
        if b"Possibly corrupted debuginfo" in result.stderr:  # clang is newer than it
            self.skipTest("this valgrind cannot read what this compiler writes")
        self.assertEqual(result.stdout, b"49\n", result.stderr)

    def test_hello_of_a_map(self):
        for option in ("-m", "--map"):
            self.assertEqual(self.run_lithops("hello", option, 3).count("Hello tester"), 3)
        self.run_lithops("hello", "--map", 0, status=2)

    def test_one_test(self):
        self.assertEqual(self.run_lithops("test", "-t", "help").split(),
                         ["call_async", "map", "map_reduce", "failure", "storage"])
        self.assertRegex(self.run_lithops("test", "-t", "map", "-x"), r"2 passed, 0 failed\n$")
        self.run_lithops("test", "--test", "none", status=2)
        self.assertIn("--test help", self.err)

    def test_backends_of_upstreams_options(self):
        self.path("f", "content")
        self.run_lithops("storage", "put", "f", "b1", "-b", "localhost", "-k", "f")
        self.assertIn("  f\n", self.run_lithops("storage", "list", "b1", "--backend", "localhost"))
        self.assertEqual(self.run_lithops("storage", "get", "b1", "f", "-b", "localhost", "-o", "-"), "content")
        self.run_lithops("storage", "delete", "b1", "f", "-b", "localhost", "-d")
        for words in (["storage", "list", "b1"], ["clean"], ["job", "list"]):
            self.run_lithops(*words, "-b", "localhost")
            self.run_lithops(*words, "-b", "no_such_cloud", status=2)
            self.assertIn("no_such_cloud", self.err)
            self.run_lithops(*words, "-c", "missing.yaml", status=2)

    def test_commands_that_have_nothing_to_do_here(self):
        self.run_lithops("image", "list", status=2)
        self.assertIn("over SSH", self.err)
        for words in (["build", "-f", "Dockerfile", "x"], ["deploy"], ["list"], ["update", "x"], ["delete"]):
            self.run_lithops("runtime", *words, status=2)
            self.assertIn("the backend localhost needs no runtime", self.err)
        self.run_lithops("attach", "--start", status=2)
        self.assertIn("the backend localhost has no hosts to attach to", self.err)

    def test_logs_get_and_poll(self):
        poll = self.start("logs", "poll")
        folder = os.path.join(self.home, f"lithops-{os.getuid()}", "logs")
        self.wait_until(lambda: os.path.isdir(folder) and self.watches(poll.pid))
        self.run_lithops("map", function("say"), "--over", 1, 2)
        executor = self.lines("logs", "--json")[0]["executor"]
        self.assertEqual(self.run_lithops("logs", "get", executor).count("said by the call"), 2)
        said = b""
        while said.count(b"said by the call") < 2:
            piece = os.read(poll.stdout.fileno(), 4096)
            self.assertTrue(piece, "it ended")
            said += piece
        poll.send_signal(signal.SIGINT)
        self.assertEqual(poll.wait(LIMIT_S), -signal.SIGINT)
        poll.stdout.close()
        poll.stderr.close()

    @staticmethod
    def watches(pid):
        """Whether the process has an inotify watch."""
        for fd in os.listdir(f"/proc/{pid}/fdinfo"):
            with open(f"/proc/{pid}/fdinfo/{fd}") as file:
                if "inotify wd:" in file.read():
                    return True
        return False

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

    def test_logs_are_in_the_order_of_their_time(self):
        """The last line is the last executor, even of the same second."""
        ids = []
        for _ in range(6):
            self.run_lithops("map", function("say"), "--over", 1)
            ids += [line["executor"] for line in self.lines("logs", "--json") if line["executor"] not in ids]
        self.assertEqual([line["executor"] for line in self.lines("logs", "--json")], ids)

    def test_logs_of_a_stream(self):
        self.run_lithops("map", function("say"), "--over", "-", stdin="1\n2\n3\n")
        executor = self.lines("logs", "--json")[0]["executor"]
        self.assertEqual(self.run_lithops("logs", executor).count("said by the call"), 3)

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

    def test_what_functions_start_ends_with_the_command(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP):
            process = self.start("map", function("leave_child"), "--over", 600)
            self.wait_until(lambda: "sleep" in self.names())
            process.send_signal(number)
            process.communicate(timeout=30)
            self.assertEqual(self.left_behind(), [], number)

    def test_clean_spares_what_other_versions_run(self):
        memory = os.memfd_create("lithops-0badc0-0")  # this version cannot interpret the file
        os.write(memory, b"another version" * 1000)
        mark = {"LITHOPS_WORKER_OF": f"0badc0-0/1/{os.getsid(0)}"}
        process = subprocess.Popen(["sleep", "600"], env={**self.env, **mark})
        self.addCleanup(process.kill)
        self.run_lithops("clean")
        self.assertIsNone(process.poll())
        os.close(memory)
        self.run_lithops("clean")
        self.assertEqual(process.wait(30), -signal.SIGKILL)

    def test_clean_ends_what_functions_have_started(self):
        process = self.start("map", function("leave_child"), "--over", 600, "--memory", 500)
        self.wait_until(lambda: {"sleep", "lithops-guard"} <= set(self.names()))
        self.run_lithops("clean")
        self.assertIn("sleep", self.names())  # its program is alive
        for pid in self.processes():  # without the guard, this is what remains
            with open(f"/proc/{pid}/comm") as file:
                if file.read() == "lithops-guard\n":
                    os.kill(pid, signal.SIGKILL)
        process.kill()
        process.communicate(timeout=30)
        self.wait_until(lambda: self.names() == ["sleep"])
        self.assertRegex(self.run_lithops("clean", "--dry-run"), "would be removed: .* 1 process gro")
        self.assertEqual(self.names(), ["sleep"])
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
        self.assertEqual((job["client"], job["is_part"]), (f"process {process.pid}", False))
        self.assertRegex(self.run_lithops("job", "list"), job["job"] + f" .*process {process.pid} .*running")
        self.assertIn(job["job"], self.run_lithops("job", "list", "--here"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(self.mine(), [])

    def test_stop(self):
        process = self.started(*[600000] * 10)
        [job] = self.mine()
        # After the first one the program notices, and cancels the rest itself.
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

    def test_jobs_over_links_are_listed_once(self):
        process = self.started(600000, 600000, "-b", "process")
        [job] = self.mine()
        self.assertEqual((job["calls"], job["pid"]), (3, process.pid))
        self.run_lithops("job", "stop", job["job"])
        out, err = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out), (1, b""))
        self.assertIn(b": canceled", err)

    def test_what_is_not_there(self):
        self.run_lithops("job", "stop", "none-0", status=2)
        self.assertIn("job list", self.err)
        self.run_lithops("job", "stop", status=2)
        self.run_lithops("job", "stop", "a", "--all", status=2)


class Detached(Case):
    """Jobs that go on when the command that has started them is gone."""

    def setUp(self):
        super().setUp()
        self.env["XDG_STATE_HOME"] = self.path("state")
        os.mkdir(self.env["XDG_STATE_HOME"])
        self.path(".lithops_config", "lithops: {detached_idle: 0.05}\n")

    def detach(self, *args, **more):
        return self.run_lithops(*args, "--detach", **more).strip()

    def test_results_are_those_of_the_command(self):
        handle = self.detach("map", function("square"), "--over", 1, 2, 3)
        self.assertEqual(json.loads(handle)["jobs"][0]["job"], "M000")
        self.run_lithops("job", "wait", handle)
        self.assertEqual(self.err, "")
        for _ in range(2):
            self.assertEqual(self.run_lithops("job", "result", handle), "1\n4\n9\n")
        self.assertEqual(self.run_lithops("job", "result", "-", stdin=handle), "1\n4\n9\n")
        self.assertEqual(self.run_lithops("job", "result", self.path("handle", handle)), "1\n4\n9\n")
        self.assertIn("3 of 3 calls done", self.run_lithops("job", "status", handle))
        [state] = self.lines("job", "status", handle, "--json")
        self.assertEqual((state["state"], state["calls"], state["success"]), ("done", 3, 3))
        [job] = self.lines("job", "list", "--detached", "--json")
        self.assertEqual(job["handle"], json.loads(handle))
        self.assertEqual(self.run_lithops("job", "result", job["key"]), "1\n4\n9\n")
        self.assertIn(job["key"], self.run_lithops("job", "list", "--detached"))
        self.run_lithops("job", "release", handle)
        self.assertEqual(self.lines("job", "list", "--detached", "--json"), [])
        self.run_lithops("job", "result", handle, status=2)
        self.assertIn("not there any more", self.err)
        self.run_lithops("job", "status", job["key"], status=2)
        self.assertIn("no detached job", self.err)

    def test_other_kinds_of_jobs(self):
        handle = self.detach("map", function("square"), "--over", "-", stdin="4\n5\n")
        self.assertEqual(self.run_lithops("job", "result", handle), "16\n25\n")
        handle = self.detach("map-reduce", function("square"), "--reduce", function("sum"), "--over", 1, 2, 3)
        self.assertEqual(self.run_lithops("job", "result", handle), "14\n")
        handle = self.detach("call", function("square"), 6)
        self.assertEqual(self.run_lithops("job", "result", handle), "36\n")

    def test_a_killed_shell_and_a_job_that_is_cancelled(self):
        process = self.start("map", function("sleep_ms"), "--detach", "--over", 60000)
        handle = process.stdout.readline().decode()
        process.kill()
        process.communicate()
        self.run_lithops("job", "wait", handle, "--deadline", "0.1", status=124)
        self.assertEqual(self.lines("job", "status", handle, "--json")[0]["success"], 0)
        self.run_lithops("job", "cancel", handle)
        self.run_lithops("job", "wait", handle, status=1)
        [state] = self.lines("job", "status", handle, "--json")
        self.assertEqual((state["state"], state["canceled"]), ("done", 1))

    def test_jobs_whose_time_is_over_are_cleaned(self):
        self.path(".lithops_config", "lithops: {detached_idle: 60, detached_expiry: 1}\n")
        old = self.detach("call", function("square"), 6)
        self.run_lithops("job", "wait", old)
        self.path(".lithops_config", "lithops: {detached_idle: 60}\n")
        new = self.detach("call", function("square"), 7)
        self.run_lithops("job", "wait", new)
        for handle in old, new:  # which would clean when they end
            with open(os.path.join(json.loads(handle)["folder"], "page"), "rb") as page:
                os.kill(int.from_bytes(page.read(24)[20:], "little"), signal.SIGKILL)
        self.wait_until(lambda: self.lines("clean", "--dry-run", "--json")[0]["detached_jobs"] == 1)
        self.assertEqual(self.run_lithops("job", "result", old), "36\n")
        self.assertIn("1 detached jobs", self.run_lithops("clean"))
        self.run_lithops("job", "result", old, status=2)
        self.assertEqual(self.run_lithops("job", "result", new), "49\n")

    def test_what_calls_print(self):
        handle = self.detach("map", function("say"), "--over", 1, 2)
        self.run_lithops("job", "wait", handle)
        self.assertIn("-M000-00001 <==\n", self.run_lithops("job", "logs", handle))


class Workers(Case):
    def setUp(self):
        super().setUp()
        self.config = self.path("links.yaml", "lithops: {backend: process}\n"
                                "process: {workers: 2, worker_processes: 1}\n")

    def mine(self):
        pids = self.processes()
        return [w for w in self.lines("worker", "list", "--json") if int(w["worker"]) in pids]

    def started(self, *calls):
        process = self.start("map", function("sleep_ms"), "-c", self.config, "--keep-going", "--over", *calls)
        self.wait_until(lambda: [w["running"] for w in self.mine()] == [1, 1])
        return process

    def test_list(self):
        process = self.started(600000, 600000, 600000)
        for worker in self.mine():
            self.assertEqual((worker["processes"], worker["client"]), (1, f"process {process.pid}"))
            self.assertGreater(worker["age_s"], 0)
            self.assertRegex(self.run_lithops("worker", "list", "--here"),
                             rf"(?m)^{worker['worker']} .* {worker['executor']} ")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(self.mine(), [])

    def test_stop(self):
        """What ran there ends with the reason, the rest runs on the others; it is not started again."""
        process = self.started(600000, 600000, 7)
        one, other = self.mine()
        self.assertEqual(self.run_lithops("worker", "stop", one["worker"]), "1 workers stopped\n")
        self.wait_until(lambda: [w["worker"] for w in self.mine()] == [other["worker"]])
        self.run_lithops("worker", "stop", other["worker"])
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertEqual(err.count(b": crash: worker process-"), 2)
        self.assertIn(b"it was stopped there by 'lithops worker stop'", err)

    def test_stop_one_that_stands_still(self):
        process = self.started(600000, 600000)
        worker = self.mine()[0]
        os.kill(int(worker["worker"]), signal.SIGSTOP)
        self.run_lithops("worker", "stop", worker["worker"])
        self.wait_until(lambda: worker["worker"] not in [w["worker"] for w in self.mine()])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    def test_what_is_not_there(self):
        self.run_lithops("worker", "stop", os.getpid(), status=2)
        self.assertIn("worker list", self.err)
        self.run_lithops("worker", "stop", status=2)
        self.run_lithops("worker", "stop", "1", "--all", status=2)
        self.run_lithops("worker", "stop", "a/b", status=2)
        self.run_lithops("worker", "stop", "host/1", status=2)
        self.assertIn("has no host 'host'", self.err)

    def test_logs_and_test_over_links(self):
        self.assertRegex(self.run_lithops("test", "-c", self.config), r"5 passed, 0 failed\n$")
        self.run_lithops("map", function("say"), "-c", self.config, "--over", 1, 2, 3)
        said = self.run_lithops("logs", self.lines("logs", "--json")[-1]["executor"])
        self.assertEqual(said.count("said by the call"), 3)


def load_tests(loader, tests, pattern):
    """CLI_TESTS=alone: those that count or remove what any killed client left on this machine; beside: all others."""
    wanted = os.environ.get("CLI_TESTS")
    cases = [case for case in Case.__subclasses__()
             if wanted is None or (case in (Cache, Tools)) == (wanted == "alone")]
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
