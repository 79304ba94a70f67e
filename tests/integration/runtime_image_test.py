#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`lithops runtime` of backends whose workers run in containers: images in a real registry, which
tests/servers/with-registry starts, and in archives. What is in them is unpacked and, as root, run.

Usage: with-registry runtime_image_test.py LITHOPS; run by ctest.
"""
import base64
import hashlib
import http.server
import io
import json
import os
import pathlib
import platform
import socketserver
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request

LITHOPS = os.path.abspath(sys.argv[1])
LIMIT_S = 300
OPEN = os.environ["LITHOPS_TEST_REGISTRY"]
LOCKED = os.environ["LITHOPS_TEST_REGISTRY_LOCKED"]
USER = os.environ["LITHOPS_TEST_REGISTRY_USER"]
IDENTITY = "identity of/all+tokens="
PASSWORD = os.environ["LITHOPS_TEST_REGISTRY_PASSWORD"]
OCI = "application/vnd.oci.image.manifest.v1+json"
LABEL = "org.lithops.runtime"


def ask(path, registry=OPEN, method="GET", data=None, headers=()):
    request = urllib.request.Request(f"http://{registry}/v2/{path}", data, dict(headers),
                                     method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=LIMIT_S) as answer:
        return answer.headers, answer.read()


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pull(repository, tag):
    """Manifest, configuration and layers, each as its digest says."""
    manifest = json.loads(ask(f"{repository}/manifests/{tag}", headers={"Accept": OCI})[1])
    blobs = []
    for part in [manifest["config"], *manifest["layers"]]:
        data = ask(f"{repository}/blobs/{part['digest']}")[1]
        assert digest_of(data) == part["digest"] and len(data) == part["size"]
        blobs.append(data)
    return manifest, json.loads(blobs[0]), blobs[1:]


class Double(http.server.ThreadingHTTPServer):
    """A registry in front of the open one: it wants a token, which it gives itself for a password
    or the identity token IDENTITY, and may answer something else."""
    daemon_threads = True

    def __init__(self, spoils=None, uploads_at=None, redirects=False, failures=0):
        self.tokens, self.scopes, self.spoils = [], [], spoils
        self.uploads_at, self.redirects = uploads_at, redirects
        self.failures, self.puts = failures, []
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "date", "server", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", len(body))
                         if self.command == "HEAD" else len(body))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def give_token(self, query):
        server, given = self.server, self.headers.get("Authorization", "")
        name = "token"
        if self.command == "POST": # RFC 6749, section 6, and what registries add to it
            name, scopes = "access_token", query["scope"][0].split(" ")
            if (given or query["grant_type"] != ["refresh_token"] or query["service"] != ["double"]
                    or not query["client_id"] or query["refresh_token"] != [IDENTITY]):
                return self.answer(400, {}, b'{"error": "invalid_grant"}')
        elif given != "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode():
            return self.answer(401, {}, b"who?")
        else:
            scopes = query["scope"]
        server.scopes.append(scopes)
        server.tokens.append(f"token-{len(server.tokens)}")
        return self.answer(200, {}, json.dumps({name: server.tokens[-1]}).encode())

    def do(self):
        server, parts = self.server, urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if parts.path == "/token":
            return self.give_token(urllib.parse.parse_qs(body.decode() or parts.query))
        writes = self.command in ("POST", "PUT")
        repository = parts.path[4:].split("/blobs/")[0].split("/manifests/")[0]
        scope = f"repository:{repository}:pull{',push' if writes else ''}"
        bearer = self.headers.get("Authorization", "")
        granted = [s for t, s in zip(server.tokens, server.scopes) if bearer == f"Bearer {t}"]
        if not granted or (writes and not any("push" in s for s in granted[0])):
            return self.answer(401, {"WWW-Authenticate": f'Bearer realm="http://{server.address}'
                                     f'/token",service="double",scope="{scope}"'}, b"{}")
        if self.command == "PUT" and "/uploads/" in self.path:
            server.puts.append(self.path)
            if len(server.puts) <= server.failures:
                return self.answer(500, {}, b"not now")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("authorization",
                                                                               "host")}
        try:
            got, text = ask(self.path[4:], method=self.command, data=body or None, headers=headers)
            status = {"POST": 201 if "mount" in self.path and "Docker-Upload-Uuid" not in got
                      else 202, "PUT": 201}.get(self.command, 200)
        except urllib.error.HTTPError as error:
            status, got, text = error.code, error.headers, error.read()
        got = {k: v.replace(OPEN, server.address) for k, v in got.items()}
        if server.uploads_at and status == 202:
            got["Location"] = server.uploads_at
        if server.redirects and self.command == "HEAD" and status == 200:
            return self.answer(307, {"Location": f"http://{server.address}/elsewhere"}, b"")
        if server.spoils and server.spoils in self.path and text and self.command == "GET":
            text = text[:-1] + bytes([text[-1] ^ 1])
        return self.answer(status, got, text)

    do_GET = do_HEAD = do_POST = do_PUT = do


class Stranger(socketserver.ThreadingTCPServer):
    """Another server, which notes what comes, and says nothing."""
    daemon_threads = True

    def __init__(self):
        self.heard = []
        super().__init__(("127.0.0.1", 0), StrangerHandler)
        self.address = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class StrangerHandler(socketserver.BaseRequestHandler):
    def handle(self):
        self.server.heard.append(self.request.recv(65536))


class Image(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="lithops-image-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.env = {k: v for k, v in os.environ.items()
                    if k not in ("LITHOPS_PYTHON", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR")}
        self.env.update(HOME=folder.name, DOCKER_CONFIG=f"{folder.name}/docker", no_proxy="*")
        self.configure("k8s")

    def configure(self, backend, **more):
        (self.folder / "config").write_text(json.dumps({
            "lithops": {"backend": backend, "storage": "localhost"}, backend: more,
            "localhost": {"storage_root": f"{self.folder}/objects"}}))

    def lithops(self, *words, fails=False, path=None):
        env = dict(self.env, PATH=f"{path}:{self.env['PATH']}") if path else self.env
        done = subprocess.run([LITHOPS, *words, "--config", self.folder / "config"], env=env,
                              cwd=self.folder, capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual(done.returncode > 0, fails, done.stdout + done.stderr)
        self.assertGreaterEqual(done.returncode, 0)
        return done.stdout + done.stderr

    def login(self, registry):
        (self.folder / "docker").mkdir(exist_ok=True)
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (self.folder / "docker" / "config.json").write_text(
            json.dumps({"auths": {registry: {"auth": auth}}}))

    def about(self, repository, tag):
        return json.loads(pull(repository, tag)[1]["config"]["Labels"][LABEL])

    def test_it_is_pushed_recorded_listed_and_forgotten(self):
        name = f"{OPEN}/first/lithops:1"
        self.assertIn(f"no image {name}", self.lithops("runtime", "update", name, fails=True))
        self.assertIn(f"{name}: Lithops", self.lithops("runtime", "deploy", name))
        manifest, config, layers = pull("first/lithops", 1)
        self.assertEqual(config["rootfs"]["diff_ids"], [digest_of(data) for data in layers])
        self.assertEqual(config["config"]["Cmd"], ["lithops"])
        about = self.about("first/lithops", 1)
        self.assertEqual(about["base"], "scratch")
        # The same engine makes the same bytes.
        self.assertIn("0 KiB were new", self.lithops("runtime", "build", name))
        self.lithops("runtime", "update", name)
        self.assertEqual(pull("first/lithops", 1)[0], manifest)
        line = json.loads(self.lithops("runtime", "list", "--json"))
        self.assertEqual((line["runtime"], line["version"]), (name, about["version"]))
        self.assertIn(f"{name} deleted", self.lithops("runtime", "delete", name))
        self.assertEqual(self.lithops("runtime", "list", "--json"), "")
        self.assertIn("there is no runtime", self.lithops("runtime", "delete", name, fails=True))

    def test_a_runtime_of_another_engine_says_what_to_do(self):
        name = f"{OPEN}/second/lithops:1"
        self.lithops("runtime", "deploy", name)
        self.configure("k8s", runtime=name)
        record = self.folder / f"objects/storage/lithops.runtimes/k8s/{name}.meta.json"
        meta = json.loads(record.read_text())
        record.write_text(json.dumps({**meta, "version": "0.0.1"}))
        said = self.lithops("hello", fails=True)
        self.assertIn("has Lithops 0.0.1", said)
        self.assertIn(f"'lithops runtime update -b k8s {name}'", said)
        self.lithops("runtime", "update", name)
        self.assertEqual(json.loads(record.read_text()), meta)
        self.put_base("second/file", labels={LABEL: json.dumps(
            {"version": "0.0.1", "protocol": 1, "base": "Dockerfile"})})
        said = self.lithops("runtime", "update", f"{OPEN}/second/file:3.1", fails=True)
        self.assertIn(f"build -f Dockerfile {OPEN}/second/file:3.1'", said)

    def put_base(self, repository, architecture=None, labels=None, more=0, files=()):
        """An image of one layer, as docker makes them; the layer."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            for name in ("below", *files):
                tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        layer = data.getvalue()
        machine = platform.machine()
        own = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
        plain = json.dumps({"architecture": architecture or own, "os": "linux",
                            "config": {"Env": ["A=1", "LD_LIBRARY_PATH=/b"], "Entrypoint": ["/below"],
                                       "Labels": labels},
                            "rootfs": {"type": "layers", "diff_ids": [digest_of(b"")]},
                            "history": [{"created_by": "hand"}]}).encode()
        for blob in (layer, plain):
            where = ask(f"{repository}/blobs/uploads/", method="POST", data=b"")[0]["Location"]
            where += ("&" if "?" in where else "?") + f"digest={digest_of(blob)}"
            ask(where.split("/v2/")[1], method="PUT", data=blob,
                headers={"Content-Type": "application/octet-stream"})
        docker = "application/vnd.docker."
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": docker + "distribution.manifest.v2+json",
            "config": {"mediaType": docker + "container.image.v1+json", "size": len(plain),
                       "digest": digest_of(plain)},
            "layers": [{"mediaType": docker + "image.rootfs.diff.tar.gzip",
                        "size": len(layer) + more,
                        "digest": digest_of(layer)}]}).encode()
        ask(f"{repository}/manifests/3.1", method="PUT", data=manifest,
            headers={"Content-Type": docker + "distribution.manifest.v2+json"})
        return layer

    def test_over_a_base(self):
        """Of the same registry nothing is sent but what is new; of another one all is."""
        base = f"{OPEN}/third/base:3.1"
        layer = self.put_base("third/base")
        self.put_base("third/foreign", "other")
        self.assertIn("is for linux/other", self.lithops(
            "runtime", "build", f"{OPEN}/third/over:1", "--base", f"{OPEN}/third/foreign:3.1",
            fails=True))
        self.configure("knative")
        self.lithops("runtime", "build", f"{OPEN}/third/over:1", "--base", base)
        got, config, layers = pull("third/over", 1)
        self.assertEqual(layers[0], layer)
        self.assertEqual(got["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip")
        self.assertEqual(config["config"]["Cmd"], ["lithops", "worker", "--http"])
        self.assertIsNone(config["config"]["Entrypoint"])
        self.assertEqual(config["config"]["Env"][:2], ["A=1", "LD_LIBRARY_PATH=/b:/usr/local/lib"])
        self.assertEqual(len(config["history"]), 2)
        with tarfile.open(fileobj=io.BytesIO(layers[1])) as tar:
            self.assertIn("usr/local/bin/lithops", tar.getnames())
            self.assertNotIn("etc/passwd", tar.getnames())
        self.login(LOCKED)
        self.lithops("runtime", "build", f"{LOCKED}/third/over:1", "--base", base)
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        there = ask(f"third/over/blobs/{digest_of(layer)}", LOCKED,
                    headers={"Authorization": f"Basic {basic}"})[1]
        self.assertEqual(there, layer)

    def test_pythons_and_modules_of_a_base_are_recorded(self):
        packages = "usr/local/lib/python3.12/site-packages"
        files = ("usr/local/bin/python3.12", f"{packages}/six.py", f"{packages}/numpy/__init__.py")
        folders = ("usr/local/sbin/x", "usr/sbin/x", "usr/bin/x")
        self.put_base("third/science", files=files + folders)
        name = f"{OPEN}/third/sciences:1"
        said = self.lithops("runtime", "deploy", name, "--base", f"{OPEN}/third/science:3.1")
        self.assertIn("Python 3.12", said)
        record = self.folder / f"objects/storage/lithops.runtimes/k8s/{name}.meta.json"
        meta = json.loads(record.read_text())
        self.assertEqual(meta, self.about("third/sciences", 1))
        self.assertEqual((meta["pythons"], meta["modules"]), ("3.12", {"3.12": ["numpy", "six"]}))
        # Folders that are not there may be links, and without tar nothing is known: it is built.
        self.put_base("third/links", files=files)
        self.lithops("runtime", "build", name, "--base", f"{OPEN}/third/links:3.1")
        self.assertNotIn("modules", self.about("third/sciences", 1))
        self.env["PATH"] = str(self.folder)
        said = self.lithops("runtime", "build", name, "--base", f"{OPEN}/third/science:3.1")
        self.assertIn("is not known: it cannot be started", said)
        self.assertEqual(self.about("third/sciences", 1)["pythons"], "")

    def test_who_is_not_let_in_is_told(self):
        name = f"{LOCKED}/fourth/lithops:1"
        self.assertIn(f"'docker login {LOCKED}'", self.lithops("runtime", "build", name, fails=True))
        self.login(LOCKED)
        self.assertIn("is pushed", self.lithops("runtime", "build", name))

    def start(self, server):
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server

    def test_tokens(self):
        server = self.start(Double())
        name = f"{server.address}/fifth/lithops:1"
        self.assertIn("log in with docker", self.lithops("runtime", "build", name, fails=True))
        self.login(server.address)
        self.lithops("runtime", "deploy", name)
        self.assertEqual(self.about("fifth/lithops", 1)["base"], "scratch")
        self.lithops("runtime", "build", f"{server.address}/fifth/over:1", "--base", name)
        self.assertIn(["repository:fifth/over:pull,push", "repository:fifth/lithops:pull"],
                      server.scopes)
        self.assertEqual(len(pull("fifth/over", 1)[2]), 2)

    def test_identity_tokens(self):
        server = self.start(Double())
        name, config = f"{server.address}/identity/lithops:1", self.folder / "docker" / "config.json"
        self.login(LOCKED)
        config.write_text(json.dumps(
            {"auths": {server.address: {"auth": "MDo=", "identitytoken": "old+ one"}}}))
        self.assertIn("may have expired", self.lithops("runtime", "build", name, fails=True))
        config.write_text(json.dumps(
            {"auths": {server.address: {"auth": "MDo=", "identitytoken": IDENTITY}}}))
        self.lithops("runtime", "build", name)
        helper = self.folder / "docker" / "docker-credential-double"
        helper.write_text("#!/bin/sh\necho '" + json.dumps({"Username": "<token>", "Secret": IDENTITY})
                          + "'\n")
        helper.chmod(0o755)
        config.write_text('{"credsStore": "double"}')
        self.lithops("runtime", "build", f"{server.address}/identity/over:1", "--base", name,
                     path=self.folder / "docker")
        self.assertIn(["repository:identity/over:pull,push", "repository:identity/lithops:pull"],
                      server.scopes)

    def test_what_comes_is_checked(self):
        self.lithops("runtime", "build", f"{OPEN}/sixth/base:1")
        manifest = pull("sixth/base", 1)[0]
        for part in (manifest["config"], manifest["layers"][0]):
            server = self.start(Double(spoils=part["digest"]))
            self.login(server.address)
            said = self.lithops("runtime", "build", f"{OPEN}/sixth/over:1", "--base",
                                f"{server.address}/sixth/base:1", fails=True)
            self.assertIn(f"what came as {part['digest']} is not that", said)
        # A file that was there stays what it was.
        (self.folder / "image.tar").write_text("before")
        self.put_base("sixth/size", more=1)
        for base in (f"{server.address}/sixth/base:1", f"{OPEN}/sixth/size:3.1"):
            said = self.lithops("runtime", "build", "over:1", "--base", base, "--out", "image.tar",
                                fails=True)
            self.assertIn("is not that" if "base" in base else "about the size", said)
            self.assertEqual((self.folder / "image.tar").read_text(), "before")
            self.assertEqual(len(list(self.folder.glob("image.tar*"))), 1)

    def test_uploads_elsewhere_learn_no_secret(self):
        stranger = self.start(Stranger())
        for place in (f"http://{stranger.address}/x", f"//{stranger.address}/x",
                      f"https://{stranger.address}/x"):
            server = self.start(Double(uploads_at=place))
            self.login(server.address)
            said = self.lithops("runtime", "build", f"{server.address}/seventh/lithops:1",
                                fails=True)
            if not place.startswith("https"):
                self.assertIn("not https", said)
                self.assertEqual(stranger.heard, [])
        self.assertNotEqual(stranger.heard, [])
        self.assertFalse([one for one in stranger.heard if b"uthorization" in one])

    def test_an_upload_that_fails_is_begun_anew(self):
        server = self.start(Double(redirects=True, failures=1))
        self.login(server.address)
        name = f"{server.address}/eighth/lithops:1"
        self.lithops("runtime", "build", name)
        self.assertEqual(len(server.puts), 3)
        self.assertEqual(len(server.puts), len(set(server.puts)))
        # What HEAD is sent elsewhere for is there.
        self.assertIn("0 KiB were new", self.lithops("runtime", "build", name))

    def test_names_and_options(self):
        for name in ("Upper/../x", "a b", "x:", "http://x/y", "x:a:b", "x@sha256:0", "x@y"):
            self.assertIn("not the name of an image",
                          self.lithops("runtime", "build", name, fails=True))
        self.assertIn("by its digest", self.lithops(
            "runtime", "build", f"{OPEN}/x@sha256:{64 * '0'}", fails=True))
        self.assertIn("which image?", self.lithops("runtime", "build", fails=True))
        self.assertIn("leave out --base", self.lithops(
            "runtime", "build", "x", "-f", "Dockerfile", "--base", "y", fails=True))

    def test_a_dockerfile_goes_to_docker(self):
        """It is built, asked, labelled and pushed; here by a program that notes what it is told."""
        programs = self.folder / "programs"
        programs.mkdir()
        docker, image = programs / "docker", self.folder / "an image"
        packages = image / "lib/python3.11/site-packages/numpy"
        packages.mkdir(parents=True)
        (packages / "__init__.py").touch()
        (image / "bin").mkdir()
        (image / "bin/python3.11").touch(0o755)
        docker.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >>"$HOME/told"\ncase $1 in run) '
                          f'PATH="{image}/bin:{programs}/of-image:$PATH" exec sh -c "$9";; '
                          'build) [ "$6" != - ] || cat >/dev/null;; esac\n')
        docker.chmod(0o755)
        (programs / "of-image").mkdir()
        (programs / "of-image/lithops").write_text('#!/bin/sh\necho "lithops $V"\n')
        (programs / "of-image/lithops").chmod(0o755)
        words = ("runtime", "build", f"{OPEN}/x/y:1", "-f", "Dockerfile")
        self.env["V"] = "0.0.1"
        self.assertIn("has Lithops 0.0.1", self.lithops(*words, fails=True, path=programs))
        (self.folder / "told").unlink()
        self.env["V"] = subprocess.run([LITHOPS, "--version"], capture_output=True, text=True,
                                       check=True).stdout.split()[1]
        self.lithops(*words, path=programs)
        told = (self.folder / "told").read_text().splitlines()
        self.assertEqual([line.split()[0] for line in told], ["build", "run", "build", "push"])
        about = json.loads(told[2][told[2].index("{"):told[2].rindex("}") + 1])
        self.assertIn("3.11", about["pythons"].split(", "))
        self.assertIn("numpy", about["modules"]["3.11"])

    def test_an_archive(self):
        self.configure("openwhisk")
        self.lithops("runtime", "build", "docker.io/lithops:1", "--out", "image.tar")
        self.assertEqual([one.name for one in self.folder.glob("image*")], ["image.tar"])
        with tarfile.open(self.folder / "image.tar") as tar:
            files = {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}
        listed = json.loads(files["manifest.json"])[0]
        self.assertEqual(listed["RepoTags"], ["docker.io/library/lithops:1"])
        found = json.loads(files["index.json"])["manifests"][0]
        for name, data in files.items():
            if name.startswith("blobs/"):
                self.assertEqual(digest_of(data)[7:], name[13:])
        manifest = json.loads(files["blobs/sha256/" + found["digest"][7:]])
        self.assertEqual("blobs/sha256/" + manifest["config"]["digest"][7:], listed["Config"])
        config = json.loads(files[listed["Config"]])
        self.assertEqual(config["config"]["Cmd"], ["lithops", "worker", "--openwhisk"])
        self.assertIn("LD_LIBRARY_PATH=/usr/local/lib", config["config"]["Env"])
        self.check_runs(files[listed["Layers"][0]])

    def check_runs(self, layer):
        root = self.folder / "root"
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            names = tar.getnames()
            tar.extractall(root)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(stat.S_IMODE((root / "tmp").stat().st_mode), 0o1777)
        if os.geteuid() != 0 or os.environ.get("LITHOPS_TEST_SANITIZED"):
            self.skipTest("it is run as root, and without sanitizers: their library is not in it")
        if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("it is not run: namespaces are not to be had")
        (root / "proc").mkdir()
        # What a runtime of containers would do, as far as it matters.
        inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
                  'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/local/bin/lithops "$@"',
                  root]
        done = subprocess.run([*inside, "--version"], stdout=subprocess.PIPE, timeout=LIMIT_S,
                              check=True, text=True)
        self.assertTrue(done.stdout.startswith("lithops "))
        # A worker that waits for requests, which needs modules and their libraries.
        with subprocess.Popen([*inside, "worker", "--http", "--port", "0"], text=True,
                              stdout=subprocess.PIPE,
                              env=dict(os.environ, LITHOPS_WORKER_SECRET=32 * "s")) as worker:
            limit = threading.Timer(LIMIT_S, worker.kill)
            limit.start()
            try:
                port = worker.stdout.readline().split()[-1]
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                        f"http://127.0.0.1:{port}/health", timeout=LIMIT_S) as answer:
                    self.assertEqual(json.loads(answer.read())["running"], 0)
            finally:
                limit.cancel()
                worker.kill()  # unshare would not hear SIGTERM


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
