# SPDX-License-Identifier: Apache-2.0
"""A double of the parts of IBM Cloud's VPC that make virtual servers, whose machines are those of
machines.py. Each request is built a second time by IBM's SDK: method, path, query and type must be
the same, and what a body holds must be in the SDK's models; else it is refused, and kept in
FOLDER/wrong. A machine that turns itself off is stopped; one may delete or stop itself, and delete
its floating IP, with a token of its trusted profile, if that may. A floating IP stays when its
machine is gone, without a target.

`POST /control` has it fail: {"stockout": 1} for so many machines, which are made and fail,
{"throttle": 3} so many requests, {"evict": ID} ends a spot instance, {"end": [ID]} deletes machines
and what is left of them, and {"off": ID} stops one. It tells all.

Usage: ibm_machines.py PORT FOLDER
"""
import json
import pathlib
import re
import sys
import time
import urllib.parse
import uuid

import doubles
from ibm_cloud_sdk_core.authenticators import NoAuthAuthenticator
from ibm_cloud_sdk_core.token_managers.vpc_instance_token_manager import VPCInstanceTokenManager
from ibm_vpc import VpcV1, vpc_v1

PORT, FOLDER = int(sys.argv[1]), pathlib.Path(sys.argv[2])
VERSION, DELETED_S = "2026-09-01", 5
KEY, CLIENT_TOKEN, MAY_DELETE = "key-1", "of-the-client", "worker"
MODELS = {"create_instance":
          vpc_v1.InstancePrototypeInstanceByImageInstanceByImageInstanceByNetworkInterface,
          "create_floating_ip": vpc_v1.FloatingIPPrototypeFloatingIPByTarget,
          "update_instance": vpc_v1.InstancePatch}


class Refused(doubles.Refused):
    def __init__(self, status, code, message):
        super().__init__(status, message, {"errors": [{"code": code, "message": message}]})


class Sdk(VpcV1):
    """It tells the requests that it would make."""

    def __init__(self):
        super().__init__(VERSION, NoAuthAuthenticator())

    def send(self, request, **_):
        return request


SDK = Sdk()
IDS = r"[-0-9a-z_]+"
ROUTES = [(method, re.compile(path), name) for method, path, name in (
    ("GET", "/instances", "list_instances"), ("POST", "/instances", "create_instance"),
    ("GET", f"/instances/({IDS})", "get_instance"),
    ("PATCH", f"/instances/({IDS})", "update_instance"),
    ("DELETE", f"/instances/({IDS})", "delete_instance"),
    ("POST", f"/instances/({IDS})/actions", "create_instance_action"),
    ("GET", f"/instances/({IDS})/network_interfaces/({IDS})/floating_ips",
     "list_instance_network_interface_floating_ips"),
    ("GET", "/floating_ips", "list_floating_ips"), ("POST", "/floating_ips", "create_floating_ip"),
    ("DELETE", f"/floating_ips/({IDS})", "delete_floating_ip"),
    ("GET", "/images", "list_images"), ("GET", f"/subnets/({IDS})", "get_subnet"),
    ("GET", f"/instance/profiles/({IDS})", "get_instance_profile"))]


def check(body, model, where):
    """Whether a model has all that a body has: what it does not know, it forgets."""
    known = json.loads(json.dumps(model.from_dict(body).to_dict(), default=lambda m: m.to_dict()))
    if known != body:
        raise Refused(400, "bad_field", f"{where}: the SDK would send {known}, not {body}")


def check_request(method, path, query, headers, body):
    """Against the SDK's. @return what it is, and the ids in its path"""
    found = [(name, r.fullmatch(path).groups()) for m, r, name in ROUTES
             if m == method and r.fullmatch(path)]
    if not found:
        raise Refused(400, "bad_request", "there is no such request")
    name, ids = found[0]
    more = [body] if name in MODELS else [body["type"]] if name == "create_instance_action" else []
    if name in MODELS:
        check(body, MODELS[name], name)
    keys = {key.replace(".", "_"): [value] if key == "status" else value
            for key, value in query.items() if key not in ("version", "generation")}
    wanted = getattr(SDK, name)(*ids, *more, **keys)
    url = urllib.parse.urlsplit(wanted["url"])
    same = {key: str(value) for key, value in wanted["params"].items()}
    if (method, "/v1" + path, query) != (wanted["method"], url.path, same) or \
            headers.get("Content-Type") != wanted["headers"].get("content-type") or \
            (body or None) != json.loads(wanted.get("data") or "null"):
        raise Refused(400, "bad_request", f"the SDK asks {wanted}")
    return name, ids


class Cloud(doubles.Double):
    def __init__(self):
        super().__init__(FOLDER)
        self.stockout, self.floating = 0, {}

    # ---- what happens to machines ----

    def coming(self):
        return [n for n, i in self.instances.items() if i["status"] in ("pending", "starting")]

    def start(self, name):
        instance = self.instances[name]
        instance["status"] = "running"
        self.run(name, instance["primary_network_interface"]["primary_ip"]["address"],
                 instance["user_data"])

    def look(self):
        """What is to be deleted goes on for a while, as IBM does that later."""
        super().look()
        with self.lock:
            for name in [n for n, i in self.instances.items()
                         if i["status"] == "deleting" and time.monotonic() > i["until"]]:
                self.delete(name)

    def has_ended(self, name):
        self.turn_off(name)
        if self.instances[name]["status"] != "deleting":
            self.instances[name]["status"] = "stopped"

    def delete(self, name):
        self.turn_off(name)
        face = self.instances.pop(name)["primary_network_interface"]["id"]
        for one in self.floating.values():
            if one.get("target", {}).get("id") == face:
                del one["target"]
        print(name, "is deleted", flush=True)

    # ---- what is asked ----

    def create_instance(self, body):
        if body["name"] in [one["name"] for one in self.instances.values()]:
            raise Refused(400, "validation_unique_failed", "Provided Name is not unique")
        if not re.fullmatch("[a-z][-a-z0-9]{0,62}", body["name"]):
            raise Refused(400, "bad_field", "the name is none")
        name, address = f"0717_{uuid.uuid4()}", self.next_address()
        failed = self.stockout > 0
        self.stockout -= failed
        self.instances[name] = {**body, "id": name, "status": "failed" if failed else "pending",
                                "primary_network_interface": {
                                    "id": f"0717-{uuid.uuid4()}", "primary_ip": {"address": address}}}
        if failed:
            self.instances[name]["status_reasons"] = [
                {"code": "cannot_start_capacity", "message": "There is no room."}]
        return self.shown(name)

    def shown(self, name):
        return {key: value for key, value in self.instances[name].items() if key != "user_data"}

    def create_floating_ip(self, body):
        faces = {one["primary_network_interface"]["id"]: one["primary_network_interface"]
                 for one in self.instances.values()}
        if body["name"] in [one["name"] for one in self.floating.values()]:
            raise Refused(400, "validation_unique_failed", "Provided Name is not unique")
        if body["target"]["id"] not in faces:
            raise Refused(404, "not_found", "there is no such target")
        where = f"r006-{uuid.uuid4()}"
        self.floating[where] = {**body, "id": where, "address": faces[body["target"]["id"]]
                                ["primary_ip"]["address"]}
        return self.floating[where]

    def control(self, body):
        if "evict" in body:
            if self.instances[body["evict"]].get("availability") != {"class": "spot"}:
                raise Refused(400, "bad_request", "it is no spot instance")
            self.delete(body["evict"])
        self.stockout = body.get("stockout", self.stockout)
        self.throttle = body.get("throttle", self.throttle)
        for name in body.get("end", []):
            (self.delete if name in self.instances else self.floating.pop)(name)
        if "off" in body:
            self.has_ended(body["off"])
        return {"machines": self.instances, "addresses": self.floating}

    def allow(self, headers, name, ids):
        """A machine may just end itself, and what is bound to it."""
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        if token == CLIENT_TOKEN:
            return
        own, _, profile = token.removeprefix("machine ").partition(" of ")
        if not token.startswith("machine "):
            raise Refused(401, "not_authenticated", "The token is invalid.")
        may = name in ("get_instance", "list_instance_network_interface_floating_ips",
                       "delete_instance", "create_instance_action") and ids[0] == own
        if profile != MAY_DELETE or not (may or name == "delete_floating_ip"):
            raise Refused(403, "not_authorized", "The request is not authorized.")

    def answer(self, method, path, headers, body):
        path, _, query = path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        if path == "/control":
            return self.control(body)
        if path == "/identity/token":
            return {"access_token": CLIENT_TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        name, ids = check_request(method, path.removeprefix("/v1"), query, headers, body)
        self.allow(headers, name, ids)
        if self.throttle:
            self.throttle -= 1
            raise Refused(429, "rate_limit_exceeded", "Too many requests.")
        if name == "list_images":
            return {"images": [{"id": "r006-ubuntu", "created_at": "2026-08-01T00:00:00Z",
                                "operating_system": {"name": "ubuntu-24-04-amd64"}}]}
        if name in ("get_subnet", "get_instance_profile"):
            return {"zone": {"name": "us-south-1"}}
        if name in ("create_instance", "create_floating_ip"):
            return getattr(self, name)(body)
        if name == "list_instances":
            return {"instances": [self.shown(one) for one in self.instances
                                  if query.get("name") in (None, self.instances[one]["name"])]}
        if name == "list_floating_ips":
            return {"floating_ips": [one for one in self.floating.values() if query.get("target.id")
                                     in (None, one.get("target", {}).get("id"))]}
        if ids[0] not in (self.floating if name == "delete_floating_ip" else self.instances):
            raise Refused(404, "not_found", f"there is no {ids[0]}")
        return self.answer_one(name, ids[0], body)

    def answer_one(self, name, which, body):
        if name == "delete_floating_ip":
            del self.floating[which]
        elif name == "delete_instance":
            self.instances[which].update(status="deleting", until=time.monotonic() + DELETED_S)
        elif name == "create_instance_action" and body["type"] == "start":
            self.instances[which]["status"] = "starting"
        elif name == "create_instance_action":
            self.has_ended(which)
        elif name == "list_instance_network_interface_floating_ips":
            face = self.instances[which]["primary_network_interface"]["id"]
            return {"floating_ips": [one for one in self.floating.values()
                                     if one.get("target", {}).get("id") == face]}
        else:
            self.instances[which].update(body or {})
            return self.shown(which)
        return {}

    def metadata(self, method, path, headers, _raw, address):
        """Paths and version are those of the SDK."""
        tokens = VPCInstanceTokenManager
        found = [i for i in self.instances.values()
                 if i["primary_network_interface"]["primary_ip"]["address"] == address and
                 i.get("metadata_service", {}).get("enabled")]
        path, _, query = path.partition("?")
        if not found or query != "version=" + tokens.METADATA_SERVICE_VERSION or \
                headers.get("Metadata-Flavor") != tokens.VPC_AUTH_METADATA_FLAVOR:
            return None
        if (method, path) == ("PUT", tokens.VPC_AUTH_OPERATION_PATCH_CREATE_ACCESS_TOKEN):
            return json.dumps({"access_token": "identity of " + address})
        if headers.get("Authorization") != "Bearer identity of " + address:
            return None
        if (method, path) == ("GET", "/metadata/v1/instance"):
            return json.dumps({"id": found[0]["id"]})
        if (method, path) == ("POST", tokens.VPC_AUTH_OPERATION_PATCH_CREATE_IAM_TOKEN):
            profile = found[0]["default_trusted_profile"]["target"]["id"]
            return json.dumps({"access_token": f"machine {found[0]['id']} of {profile}"})
        return None


doubles.serve(Cloud(), PORT)
