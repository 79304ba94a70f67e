# SPDX-License-Identifier: Apache-2.0
"""What doubles of clouds have in common, whose instances are machines of machines.py: an API, what
the metadata service says to a machine, and what happens to those that turn themselves off."""
import http.server
import json
import select
import signal
import sys
import threading

import machines

POLL_S = 0.1


class Refused(Exception):
    def __init__(self, status, message, document):
        super().__init__(message)
        self.status, self.document = status, document


class Double:
    """A cloud adds answer(method, path, headers, body), what the API says; metadata(method, path,
    headers, body, address), the text that a machine is told, or None; coming(), the ids of those
    to start; start(id), and has_ended(id)."""

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.RLock()
        self.instances, self.machines = {}, {}
        self.addresses, self.throttle = 0, 0

    def next_address(self):
        self.addresses += 1
        return f"10.1.{self.addresses // 250}.{self.addresses % 250 + 1}"

    def run(self, name, address, script):
        self.machines[name] = machines.Machine(self.folder, name, address, script.encode)

    def turn_off(self, name):
        if name in self.machines:
            self.machines.pop(name).end()

    def look(self):
        with self.lock:
            for name in [n for n, m in self.machines.items() if m.has_ended()]:
                print(name, "has turned itself off", flush=True)
                self.has_ended(name)
            for name in self.coming():
                self.start(name)

    def note_wrong(self, what):
        """A request that is none of the API's: the test fails with it."""
        with open(self.folder / "wrong", "a", encoding="utf-8") as file:
            file.write(what + "\n")


def handler(answer):
    """`answer(method, path, headers, body, address)` returns a status and a text."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_any(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, text = answer(self.command, self.path, self.headers, raw,
                                  self.client_address[0])
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any

    return Handler


def serve_at(address, answer):
    server = http.server.ThreadingHTTPServer(address, handler(answer))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()


def serve(double, port):
    """The API at that port, and the metadata service, until SIGTERM."""

    def api(method, path, headers, raw, _address):
        is_json = "json" in headers.get("Content-Type", "")
        try:
            with double.lock:
                return 200, json.dumps(double.answer(
                    method, path, headers, json.loads(raw) if raw and is_json else None))
        except Refused as refused:
            print(method, path, refused, flush=True)
            if refused.status == 400:
                double.note_wrong(f"{method} {path}: {refused}")
            return refused.status, json.dumps(refused.document)
        except Exception as error:  # the test fails with it
            double.note_wrong(f"{method} {path}: {error!r}")
            return 400, "{}"

    def metadata(method, path, headers, raw, address):
        with double.lock:
            text = double.metadata(method, path, headers, raw, address)
        return 404 if text is None else 200, text or ""

    machines.prepare(double.folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve_at((machines.METADATA, 80), metadata)
    serve_at(("0.0.0.0", port), api)
    try:
        while True:
            double.look()
            select.select([], [], [], POLL_S)
    finally:
        with double.lock:
            for machine in double.machines.values():
                machine.end()
