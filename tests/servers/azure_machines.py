# SPDX-License-Identifier: Apache-2.0
"""A double of the parts of Azure's Resource Manager that make virtual machines, whose machines are
those of machines.py. Each request is built a second time by Microsoft's SDK: method, path and query
must be the same, and what a body holds must be in the SDK's models; else it is refused, and kept in
FOLDER/wrong. A machine that turns itself off stays allocated, as it would be billed; one may delete
or deallocate itself with the token of its identity, if that may.

`POST /control` has it fail: {"stockout": 1} for so many machines, which are made and fail,
{"refuse": CODE} refuses the next machine, {"throttle": 3} so many requests, {"evict": NAME} ends a
spot instance, {"end": [NAME]} deletes machines, and {"off": NAME} deallocates one. It tells all.

Usage: azure_machines.py PORT FOLDER
"""
import base64
import json
import pathlib
import re
import sys
import urllib.parse

import doubles
from azure.mgmt.compute import models
from azure.mgmt.compute._utils.model_base import Model
from azure.mgmt.compute.operations import _operations as compute
from azure.mgmt.network.operations import _operations as network

PORT, FOLDER = int(sys.argv[1]), pathlib.Path(sys.argv[2])
SUBSCRIPTION, GROUP, TENANT = "0-1", "my-group", "t1"
ROOT = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/"
CLIENT_TOKEN = "of-the-client"
VERSIONS = {"Microsoft.Compute": "2024-07-01", "Microsoft.Network": "2024-05-01"}
MAY_DELETE = "worker"


class Refused(doubles.Refused):
    def __init__(self, status, code, message):
        super().__init__(status, message, {"error": {"code": code, "message": message}})


def check(value, kind, where):
    """Whether a model has all that a body has."""
    kind({})  # it learns its fields then
    fields = {field._rest_name: attr for attr, field in kind._attr_to_rest_field.items()}
    for name, one in value.items():
        if name not in fields:
            raise Refused(400, "InvalidParameter", f"{where}.{name} is not in {kind.__name__}")
        text = next(str(k.__annotations__[fields[name]]) for k in kind.__mro__
                    if fields[name] in getattr(k, "__annotations__", {}))
        found = [getattr(models, word, None) for word in re.findall(r"_models\.(\w+)", text)]
        inner = next((m for m in found if isinstance(m, type) and issubclass(m, Model)), None)
        is_map = "dict[" in text.lower()
        for part in one if isinstance(one, list) else one.values() if is_map else [one]:
            if inner and isinstance(part, dict):
                check(part, inner, f"{where}.{name}")


BUILDERS = {
    ("PUT", "virtualMachines", None): compute.build_virtual_machines_create_or_update_request,
    ("PATCH", "virtualMachines", None): compute.build_virtual_machines_update_request,
    ("GET", "virtualMachines", None): compute.build_virtual_machines_get_request,
    ("DELETE", "virtualMachines", None): compute.build_virtual_machines_delete_request,
    ("GET", "virtualMachines", "instanceView"): compute.build_virtual_machines_instance_view_request,
    ("POST", "virtualMachines", "start"): compute.build_virtual_machines_start_request,
    ("POST", "virtualMachines", "deallocate"): compute.build_virtual_machines_deallocate_request,
    ("GET", "networkInterfaces", None): network.build_network_interfaces_get_request,
    ("GET", "publicIPAddresses", None): network.build_public_ip_addresses_get_request,
}
NAMES = {"virtualMachines": "vm_name", "networkInterfaces": "network_interface_name",
         "publicIPAddresses": "public_ip_address_name"}


def build(method, provider, kind, name, verb):
    """The SDK's request."""
    more = {"subscription_id": SUBSCRIPTION, "api_version": VERSIONS[provider]}
    if kind == "vmSizes":
        return compute.build_virtual_machine_sizes_list_request(location="westeurope", **more)
    more["resource_group_name"] = GROUP
    if kind == "virtualNetworks":
        return network.build_subnets_get_request(virtual_network_name=name,
                                                 subnet_name=verb.split("/")[1], **more)
    if not name:
        return compute.build_virtual_machines_list_request(**more)
    return BUILDERS[method, kind, verb](**{NAMES[kind]: name}, **more)


class Cloud(doubles.Double):
    def __init__(self):
        super().__init__(FOLDER)
        self.stockout, self.refuse = 0, None

    # ---- what happens to machines ----

    def coming(self):
        return [n for n, i in self.instances.items() if i["power"] == "starting"]

    def start(self, name):
        instance = self.instances[name]
        instance["power"] = "running"
        instance["properties"]["provisioningState"] = "Succeeded"
        self.run(name, instance["address"], instance["script"])

    def set_power(self, name, power):
        self.turn_off(name)
        self.instances[name]["power"] = power

    def has_ended(self, name):
        """It is allocated, still."""
        self.set_power(name, "stopped")

    def delete(self, name):
        self.turn_off(name)
        del self.instances[name]
        print(name, "is deleted, and its interface, address and disk", flush=True)

    # ---- what is asked ----

    def put(self, name, body):
        check(body, models.VirtualMachine, "machine")
        if self.refuse:
            code, self.refuse = self.refuse, None
            raise Refused(409, code, "There is none.")
        properties = body["properties"]
        face, = properties["networkProfile"]["networkInterfaceConfigurations"]
        address, = face["properties"]["ipConfigurations"]
        public = address["properties"].get("publicIPAddressConfiguration")
        options = [face["properties"], properties["storageProfile"]["osDisk"],
                   *([public["properties"]] if public else [])]
        if [o["deleteOption"] for o in options] != ["Delete"] * len(options):
            raise Refused(400, "InvalidParameter", "something of the machine would outlive it")
        if properties["osProfile"]["adminUsername"] == "root":
            raise Refused(400, "InvalidParameter", "The Admin Username specified is not allowed.")
        if name in self.instances:
            raise Refused(409, "Conflict", "It is there.")
        script = base64.b64decode(properties["osProfile"].pop("customData")).decode()
        failed = self.stockout > 0
        self.stockout -= failed
        properties["networkProfile"] = {"networkInterfaces": [
            {"id": ROOT + "Microsoft.Network/networkInterfaces/" + name}]}
        properties["provisioningState"] = "Failed" if failed else "Creating"
        self.instances[name] = {"name": name, "tags": body["tags"], "properties": properties,
                                "identity": body.get("identity"), "script": script,
                                "address": self.next_address(),
                                "power": "none" if failed else "starting"}
        return self.shown(name)

    def shown(self, name):
        return {key: self.instances[name][key] for key in ("name", "tags", "properties", "identity")}

    def view(self, instance):
        if instance["power"] == "none":
            return {"statuses": [{"code": "ProvisioningState/failed/AllocationFailed",
                                  "message": "There is not enough capacity."}]}
        return {"statuses": [{"code": "ProvisioningState/succeeded"},
                             {"code": "PowerState/" + instance["power"]}]}

    def control(self, body):
        if "evict" in body:
            properties = self.instances[body["evict"]]["properties"]
            if properties.get("priority") != "Spot":
                raise Refused(400, "OperationNotAllowed", "It is no spot instance.")
            self.delete(body["evict"])
        self.stockout = body.get("stockout", self.stockout)
        self.throttle = body.get("throttle", self.throttle)
        self.refuse = body.get("refuse", self.refuse)
        for name in body.get("end", []):
            self.delete(name)
        if "off" in body:
            self.set_power(body["off"], "deallocated")
        return {name: {"power": one["power"], **self.shown(name), "script": one["script"]}
                for name, one in self.instances.items()}

    def allow(self, headers, method, name, verb):
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        if token == CLIENT_TOKEN:
            return
        _, _, rest = token.partition("machine ")
        own, _, identity = rest.partition(" of ")
        if not own:
            raise Refused(401, "InvalidAuthenticationToken", "The access token is invalid.")
        if (method, verb) not in (("DELETE", None), ("POST", "deallocate")) or name != own or \
                not identity.endswith("/" + MAY_DELETE):
            raise Refused(403, "AuthorizationFailed", "The client does not have authorization.")

    def answer(self, method, path, headers, body):
        path, _, query = path.partition("?")
        if path == "/control":
            return self.control(body)
        if path == f"/login/{TENANT}/oauth2/v2.0/token":
            return {"access_token": CLIENT_TOKEN, "expires_in": 3599, "token_type": "Bearer"}
        provider, _, rest = path.partition("/providers/")[2].partition("/")
        if rest.startswith("locations/"):
            kind, name, verb = rest.split("/")[2], "", ""
        else:
            kind, name, verb, *_ = (*rest.split("/", 2), "", "")
        verb = verb or None
        wanted = build(method, provider, kind, name, verb)
        url = urllib.parse.urlsplit(wanted.url)
        if (method, path, urllib.parse.parse_qs(query)) != \
                (wanted.method, url.path, urllib.parse.parse_qs(url.query)):
            raise Refused(400, "InvalidRequest", f"the SDK asks {wanted.method} {wanted.url}")
        self.allow(headers, method, name, verb)
        if self.throttle:
            self.throttle -= 1
            raise Refused(429, "TooManyRequests", "Too many requests.")
        if kind == "vmSizes":
            return {"value": [{"name": "Standard_B2s"}, {"name": "Standard_B2ps_v2"}]}
        if kind == "virtualNetworks":
            return {"name": "default"}
        if method == "PUT":
            return self.put(name, body)
        if not name:
            return {"value": [self.shown(one) for one in self.instances]}
        if name not in self.instances:
            raise Refused(404, "ResourceNotFound", f"The resource '{path}' was not found")
        return self.answer_machine(method, kind, name, verb, body)

    def answer_machine(self, method, kind, name, verb, body):
        instance = self.instances[name]
        if kind == "networkInterfaces":
            return {"properties": {"ipConfigurations": [{"properties": {
                "privateIPAddress": instance["address"]}}]}}
        if method == "DELETE":
            self.delete(name)
        elif method == "PATCH":
            check(body, models.VirtualMachineUpdate, "update")
            instance["tags"] = body["tags"]
        elif verb == "instanceView":
            return self.view(instance)
        elif verb == "start":
            instance["power"] = "starting"
        elif verb == "deallocate":
            self.set_power(name, "deallocated")
        else:
            return self.shown(name)
        return {}

    def metadata(self, method, path, headers, _raw, address):
        found = [i for i in self.instances.values() if i["address"] == address]
        path, _, query = path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        if method != "GET" or headers.get("Metadata") != "true" or not found:
            return None
        if path == "/metadata/instance/compute/resourceId" and query["format"] == "text":
            return ROOT + "Microsoft.Compute/virtualMachines/" + found[0]["name"]
        identities = list((found[0]["identity"] or {}).get("userAssignedIdentities", {}))
        if path != "/metadata/identity/oauth2/token" or \
                query.get("msi_res_id", "none") not in identities:
            return None
        if query["resource"] != "https://management.azure.com/":
            self.note_wrong(f"a token for {query['resource']}")
        return json.dumps({"access_token": f"machine {found[0]['name']} of {query['msi_res_id']}",
                           "expires_in": "3599", "token_type": "Bearer"})


doubles.serve(Cloud(), PORT)
