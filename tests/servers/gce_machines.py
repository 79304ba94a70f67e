# SPDX-License-Identifier: Apache-2.0
"""A double of Google Compute Engine, whose instances are machines of machines.py. It checks what
requests hold by Google's description of the API, refuses what that does not have, and keeps such
refusals in FOLDER/wrong. What an instance has for its end is done: it is stopped when it turns
itself off, and it may delete itself with the token of its service account, if that account may.

`POST /control` has it fail: {"stockout": 1} for so many machines, {"throttle": 3} for so many
requests, {"preempt": NAME} ends a spot instance, {"late": NAME} one that has run for as long as it
may, {"soon": NAME, "seconds": 60} says when that will be, and {"suspend": NAME} suspends one.

Usage: gce_machines.py PORT FOLDER DESCRIPTION
"""
import datetime
import json
import pathlib
import re
import sys
import urllib.parse

import doubles

PORT, FOLDER = int(sys.argv[1]), pathlib.Path(sys.argv[2])
SCHEMAS = json.loads(pathlib.Path(sys.argv[3]).read_text())["schemas"]
PROJECT, ZONE = "my-project", "us-east1-b"
CLIENT_TOKEN = "of-the-client"
MAY_DELETE, MAY_NOT = "worker@my-project.iam", "weak@my-project.iam"


class Refused(doubles.Refused):
    def __init__(self, status, reason, message):
        super().__init__(status, message, {"error": {"code": status, "message": message, "errors": [
            {"reason": reason, "domain": "global", "message": message}]}})


def check(value, schema, where):
    """As the API does, which refuses names and types that it does not know."""
    schema = SCHEMAS[schema["$ref"]] if "$ref" in schema else schema
    kind = schema.get("type")
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if not isinstance(value, kinds[kind]) or (kind == "integer" and isinstance(value, bool)):
        raise Refused(400, "invalid", f"Invalid value for field '{where}': it is no {kind}")
    if value not in schema.get("enum", [value]):
        raise Refused(400, "invalid", f"Invalid value for field '{where}': '{value}'")
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        raise Refused(400, "invalid", f"Invalid value for field '{where}': '{value}'")
    for i, one in enumerate(value if kind == "array" else []):
        check(one, schema["items"], f"{where}[{i}]")
    for name, one in value.items() if kind == "object" else []:
        more = schema.get("additionalProperties")
        if name not in schema.get("properties", {}) and not more:
            raise Refused(400, "invalid", f"Invalid JSON payload: unknown name '{name}' at {where}")
        check(one, schema.get("properties", {}).get(name, more), f"{where}.{name}")


class Cloud(doubles.Double):
    def __init__(self):
        super().__init__(FOLDER)
        self.operations, self.stockout = {}, 0

    # ---- what happens to machines ----

    def coming(self):
        return [n for n, i in self.instances.items() if i["status"] == "PROVISIONING"]

    def start(self, name):
        instance = self.instances[name]
        items = {i["key"]: i["value"] for i in instance["metadata"]["items"]}
        instance["status"] = "RUNNING"
        limit = instance["scheduling"].get("maxRunDuration")
        if limit:
            self.end_in(instance, int(limit["seconds"]))
        self.run(name, instance["networkInterfaces"][0]["networkIP"], items["user-data"])

    def end_in(self, instance, seconds):
        until = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=-8)))
        until += datetime.timedelta(seconds=seconds)
        instance["resourceStatus"] = {"scheduling": {
            "terminationTimestamp": until.isoformat(timespec="milliseconds")}}

    def stop(self, name):
        self.turn_off(name)
        self.instances[name]["status"] = "TERMINATED"
        self.instances[name].pop("resourceStatus", None)

    def delete(self, name):
        self.stop(name)
        del self.instances[name]
        print(name, "is deleted", flush=True)

    def end(self, name):
        """As Google does of its own accord."""
        action = self.instances[name]["scheduling"].get("instanceTerminationAction", "STOP")
        print(name, "is ended:", action, flush=True)
        (self.delete if action == "DELETE" else self.stop)(name)

    has_ended = stop

    # ---- what is asked ----

    def operation(self, error=None):
        name = f"operation-{len(self.operations)}"
        self.operations[name] = {"kind": "compute#operation", "name": name, "status": "RUNNING",
                                 **({"error": {"errors": [error]}, "httpErrorStatusCode": 503}
                                    if error else {})}
        return dict(self.operations[name])

    def insert(self, body):
        check(body, {"$ref": "Instance"}, "resource")
        name = body["name"]
        if name in self.instances:
            raise Refused(409, "alreadyExists", f"The resource '{name}' already exists")
        schedule = body["scheduling"]
        if schedule["provisioningModel"] == "SPOT" and schedule.get("automaticRestart") is not False:
            raise Refused(400, "invalid", "Scheduling must have automaticRestart be false")
        for label, value in body["labels"].items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", label) or \
                    not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
                raise Refused(400, "invalid", f"Label '{label}' is not valid: '{value}'")
        if self.stockout:
            self.stockout -= 1
            return self.operation({"code": "ZONE_RESOURCE_POOL_EXHAUSTED",
                                   "message": f"The zone '{ZONE}' does not have enough resources"})
        body["networkInterfaces"][0]["networkIP"] = self.next_address()
        self.instances[name] = {**body, "status": "PROVISIONING", "labelFingerprint": "f0"}
        return self.operation()

    def set_labels(self, instance, body):
        check(body, {"$ref": "InstancesSetLabelsRequest"}, "resource")
        if body["labelFingerprint"] != instance["labelFingerprint"]:
            raise Refused(412, "conditionNotMet", "Labels fingerprint is not correct")
        instance["labels"] = body["labels"]
        instance["labelFingerprint"] = "f" + str(int(instance["labelFingerprint"][1:]) + 1)
        return self.operation()

    def list(self, query):
        items = self.instances.values()
        if "filter" in query:
            label, value = re.fullmatch(r'labels\.([a-z-]+) = "([a-z0-9_-]*)"',
                                        query["filter"]).groups()
            items = [i for i in items if i["labels"].get(label) == value]
        return {"kind": "compute#instanceList", "items": list(items)}

    def control(self, body):
        for name in {"preempt", "late"} & set(body):
            self.end(body[name])
        if "suspend" in body:
            self.instances[body["suspend"]]["status"] = "SUSPENDED"
        if "soon" in body:
            self.end_in(self.instances[body["soon"]], body["seconds"])
        self.stockout = body.get("stockout", self.stockout)
        self.throttle = body.get("throttle", self.throttle)
        return {}

    def allow(self, headers, method, name):
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        if token == CLIENT_TOKEN:
            return
        account = token.rpartition(" of ")[2]
        if not token.startswith("machine "):
            raise Refused(401, "authError", "Invalid Credentials")
        if (method, account) != ("DELETE", MAY_DELETE) or name != token.split(" ")[1]:
            raise Refused(403, "forbidden", "Required 'compute.instances.delete' permission")

    def answer(self, method, path, headers, body):
        path, _, query = path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        if path == "/control":
            return self.control(body)
        if path == "/token":
            return {"access_token": CLIENT_TOKEN, "expires_in": 3599, "token_type": "Bearer"}
        if path.startswith("/compute/v1/projects/ubuntu-os-cloud/global/images/family/"):
            return {"name": "ubuntu", "architecture": "ARM64" if path.endswith("arm64") else "X86_64"}
        where = re.fullmatch(rf"/compute/v1/projects/(?:{PROJECT}|123)/zones/{ZONE}/(\w+)"
                             r"(?:/([a-z0-9-]+)(?:/(\w+))?)?", path)
        if not where:
            raise Refused(404, "notFound", f"The resource '{path}' was not found")
        what, name, verb = where.groups()
        self.allow(headers, method, name)
        if self.throttle:
            self.throttle -= 1
            raise Refused(403, "rateLimitExceeded", "Rate Limit Exceeded")
        if what == "machineTypes":
            return {"name": name}
        if what == "operations":
            self.operations[name]["status"] = "DONE"
            return self.operations[name]
        if not name:
            return self.insert(body) if method == "POST" else self.list(query)
        instance = self.instances.get(name)
        if not instance:
            raise Refused(404, "notFound", f"The resource '{path}' was not found")
        if method == "GET":
            return instance
        if method == "DELETE":
            self.delete(name)
        elif verb == "setLabels":
            return self.set_labels(instance, body)
        elif verb == "start":
            instance["status"] = "PROVISIONING"
        elif verb == "stop":
            self.stop(name)
        return self.operation()

    def metadata(self, method, path, headers, _raw, address):
        if method != "GET" or headers.get("Metadata-Flavor") != "Google":
            return None
        found = [i for i in self.instances.values()
                 if i["networkInterfaces"][0]["networkIP"] == address]
        account = found and found[0].get("serviceAccounts")
        texts = {"zone": f"projects/123/zones/{ZONE}", "name": found[0]["name"]} if found else {}
        what = path.removeprefix("/computeMetadata/v1/instance/")
        if what == "service-accounts/default/token" and account:
            token = f"machine {found[0]['name']} of {account[0]['email']}"
            return json.dumps({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})
        return texts.get(what)


doubles.serve(Cloud(), PORT)
