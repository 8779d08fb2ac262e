# SPDX-License-Identifier: Apache-2.0
"""The table of bad requests of bad_input.py: what is sent. bad_input.golden says what comes back."""
import atexit
import copy
import gzip
import json
import os
import tempfile
from dataclasses import dataclass, field

import live
from live import CLUSTERS, cluster, secret

GROUP = "/apis/postgres.example.io/v1"
SECRETS = "/api/v1/namespaces/default/secrets"
GOOD = CLUSTERS + "/good"
JSON = {"content-type": "application/json"}
YAML = {"content-type": "application/yaml"}
MERGE = {"content-type": "application/merge-patch+json"}
PATCH = {"content-type": "application/json-patch+json"}

CASES = []


@dataclass
class Case:
    name: str
    method: str
    path: str
    body: object = None
    headers: dict = field(default_factory=dict)
    admin: bool = True
    only: tuple = ("http1", "http2")


def add(name, method, path, body=None, headers=None, **more):
    assert name not in {case.name for case in CASES}, name
    CASES.append(Case(name, method, path, body, headers or {}, **more))


def create(name, body, headers=None, query="", path=CLUSTERS, **more):
    if headers is None and not isinstance(body, dict):
        headers = JSON
    add(name, "POST", path + query, body, headers, **more)


def wrong(name, at, value, **more):
    """A good cluster but for one field (a path of keys; None removes it)."""
    body = cluster("bad", instances=3)
    parent = body
    for key in at[:-1]:
        parent = parent.setdefault(key, {})
    if value is None:
        del parent[at[-1]]
    else:
        parent[at[-1]] = value
    create(name, body, **more)


# --- who asks --------------------------------------------------------------------------------------------------------

def make_tokens():
    handle, path = tempfile.mkstemp(prefix="tokens.", suffix=".csv")
    os.write(handle, b'viewer-token,vera,1,"postgres.example.io:viewers"\nplain-token,paul,2\n')
    os.close(handle)
    atexit.register(os.unlink, path)
    return path


TOKENS = make_tokens()


def bearer(token):
    return {"authorization": f"Bearer {token}"}


add("nobody lists", "GET", CLUSTERS, admin=False)
add("nobody reads metrics", "GET", "/metrics", admin=False)
add("nobody asks for discovery", "GET", "/apis", admin=False)
add("nobody creates", "POST", CLUSTERS, cluster("a"), admin=False)
add("a token that nobody has", "GET", CLUSTERS, headers=bearer("nonsense"), admin=False)
add("a token that is empty", "GET", CLUSTERS, headers={"authorization": "Bearer "}, admin=False)
add("a token with a space", "GET", CLUSTERS, headers=bearer("viewer-token x"), admin=False)
add("a token of 60 KB", "GET", CLUSTERS, headers=bearer("x" * 60000), admin=False)
add("a password", "GET", CLUSTERS, headers={"authorization": "Basic dmVyYTp4"}, admin=False)
add("a user without groups lists", "GET", CLUSTERS, headers=bearer("plain-token"), admin=False)
add("a viewer creates", "POST", CLUSTERS, cluster("a"), bearer("viewer-token"), admin=False)
add("a viewer deletes", "DELETE", GOOD, headers=bearer("viewer-token"), admin=False)
add("a viewer patches the status", "PATCH", GOOD + "/status", b"{}", {**bearer("viewer-token"), **MERGE}, admin=False)
add("a viewer fails over", "POST", GOOD + "/failover", {}, bearer("viewer-token"), admin=False)
add("a viewer scales", "PUT", GOOD + "/scale", {}, bearer("viewer-token"), admin=False)
add("a viewer reads secrets", "GET", SECRETS, headers=bearer("viewer-token"), admin=False)
add("a viewer watches secrets", "GET", "/api/v1/secrets?watch=true", headers=bearer("viewer-token"), admin=False)
add("impersonation", "GET", CLUSTERS, headers={"impersonate-user": "vera"})
add("a front proxy's header from somebody else", "GET", CLUSTERS, headers={"x-remote-user": "admin", "x-remote-group": "system:masters"},
    admin=False)

# --- bodies that are no documents ------------------------------------------------------------------------------------

create("no body", None)
create("an empty body", b"")
create("a space", b" ")
create("text", b"hello")
create("JSON that ends too early", b'{"kind": "PostgresCluster", "spec": {')
create("two documents", b"{} {}")
create("a trailing comma", b'{"a": 1,}')
create("a comment", b'{"a": 1 /* one */}')
create("NaN", b'{"a": NaN}')
create("a leading zero", b'{"a": 01}')
create("a byte order mark", b"\xef\xbb\xbf{}")
create("a control character in a string", b'{"a": "\x01"}')
create("JSON 200 levels deep", b'{"a":' * 200 + b"1" + b"}" * 200)
create("JSON a million levels deep", b"[" * 1000000)
create("a million values", b"[" + b"1," * 1000000 + b"1]")
create("bytes that are no UTF-8", b'{"kind": "\xff"}')
create("UTF-8 that is too long", b'{"kind": "\xc0\xaf"}')
create("a surrogate as UTF-8", b'{"kind": "\xed\xa0\x80"}')
create("half a surrogate pair", b'{"kind": "\\ud800"}')
create("a NUL in a string", b'{"kind": "\\u0000"}')
create("an array", b"[]")
create("a string", b'"PostgresCluster"')
create("a number", b"7")
create("null", b"null")
create("YAML that does not parse", b"a: [1, 2\n", YAML)
create("YAML with a tab", b"a:\n\t- b\n", YAML)
create("YAML with an alias", b"a: &a [x]\nb: *a\n", YAML)
create("YAML with a thousand laughs", b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n", YAML)
create("YAML with a merge key", b"a: &a {x: 1}\nb:\n  <<: *a\n", YAML)
create("YAML with a tag", b"a: !!python/object:os.system x\n", YAML)
create("two YAML documents", b"a: 1\n---\nb: 2\n", YAML)
create("YAML 10000 levels deep", b"[" * 10000, YAML)
create("YAML with a key that is a list", b"? [a, b]\n: c\n", YAML)
create("an empty YAML document", b"# nothing\n", YAML)

# --- size and encoding -----------------------------------------------------------------------------------------------

create("a body just above 3 MiB", b'{"a": "' + b"x" * (3 << 20) + b'"}')
create("an object above 1.5 MiB", {**secret("big"), "data": {"a": "QUFB" * 500000}}, path=SECRETS)
create("gzip", gzip.compress(json.dumps(cluster("bad")).encode(), mtime=0), {**JSON, "content-encoding": "gzip"})
create("a content type of a form", b"a=b", {"content-type": "application/x-www-form-urlencoded"})
create("a content type of XML", b"<a/>", {"content-type": "application/xml"})
create("protobuf", b"k8s\0", {"content-type": "application/vnd.kubernetes.protobuf"})
create("a content type that is none", b"{}", {"content-type": ";;;"})
add("an answer as XML", "GET", GOOD, headers={"accept": "application/xml"})
add("an answer as protobuf", "GET", GOOD, headers={"accept": "application/vnd.kubernetes.protobuf"})
add("a table of a version that does not exist", "GET", CLUSTERS, headers={"accept": "application/json;as=Table;v=v9;g=meta.k8s.io"})
add("a watch as YAML", "GET", CLUSTERS + "?watch=true", headers={"accept": "application/yaml"})

# --- fields ----------------------------------------------------------------------------------------------------------

STRICT = "?fieldValidation=Strict"
wrong("an unknown field", ("spec", "nonsense"), 1, query=STRICT)
wrong("an unknown field below", ("spec", "storage", "colour"), "blue", query=STRICT)
wrong("an unknown field of metadata", ("metadata", "nonsense"), "x", query=STRICT)
create("a field twice", json.dumps(cluster("bad")).replace('"instances": 1', '"instances": 1, "instances": 2').encode(), query=STRICT)
create("a field twice in YAML", b"apiVersion: postgres.example.io/v1\nkind: PostgresCluster\nmetadata: {name: bad}\n"
       b"spec:\n  storage: {size: 1Gi}\n  instances: 1\n  instances: 2\n", YAML, query=STRICT)
wrong("a field validation that does not exist", ("spec", "paused"), False, query="?fieldValidation=Maybe")
wrong("instances as text", ("spec", "instances"), "three")
wrong("instances as a fraction", ("spec", "instances"), 1.5)
wrong("instances as a boolean", ("spec", "instances"), True)
wrong("no instances", ("spec", "instances"), 0)
wrong("instances below zero", ("spec", "instances"), -1)
wrong("too many instances", ("spec", "instances"), 17)
wrong("instances beyond 64 bits", ("spec", "instances"), 10 ** 30)
create("a number beyond doubles", json.dumps(cluster("bad")).replace('"instances": 1', '"instances": 1e400').encode())
wrong("spec as text", ("spec",), "x")
wrong("storage as a list", ("spec", "storage"), [])
wrong("no spec", ("spec",), None)
wrong("no storage", ("spec", "storage"), None)
wrong("no size", ("spec", "storage"), {})
wrong("a size that is none", ("spec", "storage", "size"), "1Gx")
wrong("an empty size", ("spec", "storage", "size"), "")
wrong("a size below zero", ("spec", "storage", "size"), "-1Gi")
wrong("a policy that does not exist", ("spec", "storage", "reclaimPolicy"), "Burn")
wrong("a database name that wants to be SQL", ("spec", "bootstrap"), {"initdb": {"database": "a\"; DROP TABLE b"}})
wrong("an unknown parameter", ("spec", "postgresql"), {"parameters": {"shared_bufers": "32MB"}})
wrong("a parameter of a wrong type", ("spec", "postgresql"), {"parameters": {"shared_buffers": "many"}})
wrong("a parameter out of range", ("spec", "postgresql"), {"parameters": {"max_connections": "0"}})
wrong("a parameter with a wrong enum", ("spec", "postgresql"), {"parameters": {"wal_compression": "perhaps"}})
wrong("a parameter that is ours", ("spec", "postgresql"), {"parameters": {"primary_conninfo": "host=evil"}})
wrong("a parameter with a newline", ("spec", "postgresql"), {"parameters": {"application_name": "a\nport = 1"}})
wrong("a parameter as a number", ("spec", "postgresql"), {"parameters": {"max_connections": 60}})
wrong("300 parameters", ("spec", "postgresql"), {"parameters": {f"a.b{i}": "x" for i in range(300)}})
wrong("a line of pg_hba that is none", ("spec", "postgresql"), {"pgHBA": ["let everybody in"]})
wrong("an impossible quorum", ("spec", "postgresql"), {"synchronous": {"number": 3}})
wrong("a PostgreSQL without binaries", ("spec", "postgresVersion"), 98)
wrong("a PostgreSQL below all", ("spec", "postgresVersion"), 9)
wrong("two repositories", ("spec", "backup"), {"repositories": [{"name": "a", "volume": {}}, {"name": "b", "volume": {}}]})
wrong("a repository at a path that is none", ("spec", "backup"), {"repositories": [{"name": "a", "volume": {"path": "a/b"}}]})
wrong("many things at once", ("spec",), {"instances": -1, "storage": {"size": "x"}, "postgresVersion": 1})

# --- metadata --------------------------------------------------------------------------------------------------------

wrong("no metadata", ("metadata",), None)
wrong("metadata as a list", ("metadata",), [])
wrong("no name", ("metadata",), {})
wrong("an empty name", ("metadata", "name"), "")
wrong("a name as a number", ("metadata", "name"), 5)
wrong("a name in capitals", ("metadata", "name"), "Demo")
wrong("a name with a slash", ("metadata", "name"), "a/b")
wrong("a name of dots", ("metadata", "name"), "..")
wrong("a name with an underscore", ("metadata", "name"), "a_b")
wrong("a name that is too long", ("metadata", "name"), "a" * 254)
wrong("a name with a NUL", ("metadata", "name"), "a\0b")
wrong("a generated name in capitals", ("metadata",), {"generateName": "Demo-"})
wrong("an apiVersion of somebody else", ("apiVersion",), "postgres.example.io/v2")
wrong("a kind of somebody else", ("kind",), "PostgresBackup")
wrong("a kind as a number", ("kind",), 3)
wrong("a namespace of somebody else", ("metadata", "namespace"), "other")
wrong("a label that is none", ("metadata", "labels"), {"a/b/c": "x"})
wrong("a label's value that is none", ("metadata", "labels"), {"a": "x y"})
wrong("labels as a list", ("metadata", "labels"), ["a"])
wrong("a label as a number", ("metadata", "labels"), {"a": 1})
wrong("annotations above 256 KiB", ("metadata", "annotations"), {"a": "x" * (257 << 10)})
wrong("an owner without uid", ("metadata", "ownerReferences"), [{"apiVersion": "v1", "kind": "Secret", "name": "a"}])
wrong("two controlling owners", ("metadata", "ownerReferences"),
      [{"apiVersion": "v1", "kind": "Secret", "name": n, "uid": n, "controller": True} for n in ("a", "b")])
wrong("a finalizer that is none", ("metadata", "finalizers"), ["not qualified !"])
wrong("a resourceVersion at birth", ("metadata", "resourceVersion"), "5")
create("a name that is taken", cluster("good"))
create("a namespace that does not exist", cluster("a"), path=CLUSTERS.replace("default", "nowhere"))
create("a namespace that is no name", cluster("a"), path=CLUSTERS.replace("default", "No_Where"))
create("a namespace with a bad name", {"metadata": {"name": "a.b"}}, path="/api/v1/namespaces")
create("a secret with bad base64", {"metadata": {"name": "s"}, "data": {"a": "%%%"}}, path=SECRETS)
create("a secret with a bad key", {"metadata": {"name": "s"}, "data": {"a/b": ""}}, path=SECRETS)

# --- updates ---------------------------------------------------------------------------------------------------------

UID = "00000000-0000-0000-0000-000000000000"


def put(name, path=GOOD, metadata=None, **spec):
    body = cluster("good", instances=3, **spec)
    body["metadata"] = {"name": "good", "resourceVersion": "1", **(metadata or {})}
    add(name, "PUT", path, body)


put("an update of an old version")
put("an update with another name", metadata={"name": "other"})
put("an update without a version", metadata={"resourceVersion": ""})
put("an update with a version that is none", metadata={"resourceVersion": "x"})
put("an update of another life", metadata={"uid": UID})
put("an update of nothing", path=CLUSTERS + "/none", metadata={"name": "none"})


def merge(name, patch, path=GOOD):
    add(name, "PATCH", path, json.dumps(patch).encode(), MERGE)


def json_patch(name, *operations, path=GOOD):
    add(name, "PATCH", path, json.dumps(list(operations)).encode(), PATCH)


merge("a patch of an old version", {"metadata": {"resourceVersion": "1"}})
merge("a patch of another life", {"metadata": {"uid": UID}})
merge("a patch of the name", {"metadata": {"name": "other"}})
merge("a patch of the kind", {"kind": "Other"})
merge("a patch that is a list", [1])
merge("a patch that is null", None)
merge("a patch of nothing", {}, path=CLUSTERS + "/none")
merge("a patch that shrinks storage", {"spec": {"storage": {"size": "1Mi"}}})
merge("a patch of what cannot change", {"spec": {"postgresVersion": 14}})
merge("a patch of the bootstrap", {"spec": {"bootstrap": {"initdb": {"database": "other"}}}})
merge("a patch with a wrong type", {"spec": {"instances": "x"}})
merge("a patch that removes the spec", {"spec": None})
merge("a patch of the status with a wrong type", {"status": {"term": "x"}}, path=GOOD + "/status")
merge("a patch of the status with a wrong phase", {"status": {"phase": "Happy"}}, path=GOOD + "/status")
add("a patch that is no JSON", "PATCH", GOOD, b"{", MERGE)
add("a strategic merge patch", "PATCH", GOOD, b"{}", {"content-type": "application/strategic-merge-patch+json"})
add("a server-side apply", "PATCH", GOOD + "?fieldManager=a", b"{}", {"content-type": "application/apply-patch+yaml"})
add("a patch without a type", "PATCH", GOOD, b"{}")
add("a patch as JSON", "PATCH", GOOD, b"{}", JSON)
add("a forced patch", "PATCH", GOOD + "?force=true", b"{}", MERGE)
add("a JSON patch that is no list", "PATCH", GOOD, b"{}", PATCH)
json_patch("a JSON patch with an unknown operation", {"op": "burn", "path": "/spec"})
json_patch("a JSON patch without a path", {"op": "add", "value": 1})
json_patch("a JSON patch without a value", {"op": "add", "path": "/spec/instances"})
json_patch("a JSON patch with a path that is none", {"op": "add", "path": "spec", "value": 1})
json_patch("a JSON patch whose test fails", {"op": "test", "path": "/spec/instances", "value": 99})
json_patch("a JSON patch of what is not there", {"op": "replace", "path": "/spec/nothing/there", "value": 1})
json_patch("a JSON patch behind the end of a list", {"op": "add", "path": "/spec/postgresql/pgHBA/99", "value": "x"})
json_patch("a JSON patch that moves into itself", {"op": "move", "from": "/spec", "path": "/spec/storage"})
json_patch("a JSON patch of everything", {"op": "replace", "path": "", "value": 7})
json_patch("a JSON patch that copies without end", *[{"op": "copy", "from": "/metadata", "path": f"/metadata/a{i}"} for i in range(64)])
json_patch("10001 JSON patches", *[{"op": "test", "path": "/kind", "value": "PostgresCluster"}] * 10001)


def scale(title, spec, method="PUT", kind="Scale", **metadata):
    body = {"apiVersion": "autoscaling/v1", "kind": kind, "metadata": {"name": "good", "namespace": "default", **metadata}, "spec": spec}
    add(title, method, GOOD + "/scale", body)


scale("a scale below zero", {"replicas": -1})
scale("a scale to nothing", {"replicas": 0})
scale("a scale to too many", {"replicas": 1000})
scale("a scale as text", {"replicas": "x"})
scale("a scale of another kind", {"replicas": 2}, kind="Other")
scale("a scale of another name", {"replicas": 2}, name="other")
scale("a scale of an old version", {"replicas": 2}, resourceVersion="1")
scale("a scale that is created", {"replicas": 2}, method="POST")
add("a scale of nothing", "GET", CLUSTERS + "/none/scale")
merge("a scale below what synchronous replication needs", {"spec": {"replicas": 1}}, path=CLUSTERS + "/synchronous/scale")

# --- deletes ---------------------------------------------------------------------------------------------------------

add("a delete of nothing", "DELETE", CLUSTERS + "/none")
add("a delete of what is protected", "DELETE", CLUSTERS + "/protected")
add("a delete of another life", "DELETE", GOOD, {"preconditions": {"uid": UID}})
add("a delete of an old version", "DELETE", GOOD, {"preconditions": {"resourceVersion": "1"}})
add("a delete with a wrong policy", "DELETE", GOOD, {"propagationPolicy": "Sideways"})
add("a delete with a wrong policy in the query", "DELETE", GOOD + "?propagationPolicy=Sideways")
add("a delete with two policies", "DELETE", GOOD, {"propagationPolicy": "Orphan", "orphanDependents": True})
add("a delete with a body of another kind", "DELETE", GOOD, cluster("good"))
add("a delete with a body that is none", "DELETE", GOOD, b"x", JSON)
add("a delete with text as grace", "DELETE", GOOD + "?gracePeriodSeconds=x")
add("a dry run of some things", "DELETE", GOOD + "?dryRun=Some")
add("a delete of everything with a bad selector", "DELETE", CLUSTERS + "?labelSelector=a%3D%3D%3Db")
add("a delete over all namespaces", "DELETE", GROUP + "/postgresclusters")
add("a delete of the namespace default", "DELETE", "/api/v1/namespaces/default")

# --- lists and watches -----------------------------------------------------------------------------------------------

for selector in ("a%3D%3D%3Db", "a%20in%20x", "a%20in%20(x", "!", "%3Db", "a%3Db%2C%2C", "a%20notin%20()%2C%20b%20maybe%20c", "a%3Eb",
                 "x" * 300, "%00", ",".join(f"a{i}" for i in range(70))):
    add(f"the label selector {selector[:60]}", "GET", f"{CLUSTERS}?labelSelector={selector}")
for selector in ("status.phase%3DRunning", "a", "metadata.name", "metadata.name%3D%5C", "metadata.name%3Ea"):
    add(f"the field selector {selector}", "GET", f"{CLUSTERS}?fieldSelector={selector}")
for query in ("limit=-1", "limit=x", "limit=99999999999999999999", "continue=nonsense", "continue=%25", "continue=" + "A" * 5000,
              "resourceVersion=x", "resourceVersion=-1", "resourceVersion=1e3", "resourceVersion=99999999999999999999",
              "resourceVersion=999999999", "resourceVersionMatch=Exact", "resourceVersion=1&resourceVersionMatch=Roughly",
              "resourceVersion=0&resourceVersionMatch=Exact", "sendInitialEvents=true", "timeoutSeconds=x",
              "limit=1&continue=eyJ2IjoieCJ9&resourceVersion=5"):
    add(f"a list with {query[:80]}", "GET", f"{CLUSTERS}?{query}")
for query in ("resourceVersion=x", "resourceVersion=-1", "sendInitialEvents=true", "resourceVersionMatch=NotOlderThan",
              "sendInitialEvents=true&resourceVersionMatch=Exact", "labelSelector=!", "fieldSelector=x%3Dy", "timeoutSeconds=x",
              "resourceVersion=99999999999999999999"):
    add(f"a watch with {query}", "GET", f"{CLUSTERS}?watch=true&{query}")
add("a time-out that is none", "GET", GOOD + "?timeout=soon")
add("a time-out below zero", "GET", GOOD + "?timeout=-5s")
add("a field manager that is too long", "POST", f"{CLUSTERS}?fieldManager={'x' * 129}", cluster("a"))
add("a query with a broken escape", "GET", CLUSTERS + "?labelSelector=%zz")
add("a query of 20 KB", "GET", CLUSTERS + "?a=" + "b" * 20000)
add("a thousand parameters", "GET", CLUSTERS + "?" + "&".join(["limit=1"] * 1000) + "&limit=x")

# --- paths and methods -----------------------------------------------------------------------------------------------

for path in ("/nonsense", "/apis/nowhere.io", "/apis/nowhere.io/v1", "/apis/postgres.example.io/v2", GROUP + "/nonsense",
             "/api/v2", "/api/v1/pods", GOOD + "/nonsense", GOOD + "/status/deep", CLUSTERS + "//good", CLUSTERS + "/..",
             CLUSTERS + "/.", CLUSTERS + "/%2e%2e", CLUSTERS + "/../postgresclusters/good", CLUSTERS + "/a%2Fb",
             CLUSTERS + "%2Fgood", CLUSTERS + "/%00", CLUSTERS + "/%zz", CLUSTERS + "/%", CLUSTERS + "/a%20b", CLUSTERS + "/%ff",
             CLUSTERS + "/GOOD", GROUP + "/namespaces//postgresclusters", GROUP + "/namespaces/default/nonsense/x",
             GROUP + "/namespaces/a%2Fb/postgresclusters/good", "//apis", "https://evil.example/apis", "http:", "*", GROUP + "/postgresclusters/good",
             "/apis/postgres.example.io%2Fv1", "/openapi/v3/apis/nowhere", "/readyz/nonsense", "/..%2f..%2fetc/passwd", "/proc/self/environ"):
    add(f"the path {path}", "GET", path)
add("a path of 5000 bytes", "GET", CLUSTERS + "/" + "a" * 5000)
for method, path in (("POST", GOOD), ("PUT", CLUSTERS), ("PATCH", CLUSTERS), ("POST", GROUP + "/postgresclusters"), ("TRACE", GOOD),
                     ("OPTIONS", GOOD), ("FROBNICATE", GOOD), ("get", GOOD), ("GET", GOOD + "/failover"), ("DELETE", GOOD + "/backup"),
                     ("PUT", GOOD + "/restart"), ("DELETE", GOOD + "/status"), ("DELETE", GOOD + "/scale"), ("POST", "/version"),
                     ("POST", "/apis"), ("DELETE", "/metrics"), ("POST", GROUP + "/namespaces/default/postgresinstances"),
                     ("DELETE", GROUP + "/namespaces/default/postgresinstances/a")):
    add(f"{method} {path}", method, path)

# --- actions: the API alone runs none ------------------------------------------------------------------------------------

for action in ("failover", "switchover", "backup", "restart"):
    add(f"{action} of nothing", "POST", f"{CLUSTERS}/none/{action}", {})
    add(f"{action} with a body that is none", "POST", f"{GOOD}/{action}", b"[]", JSON)
    add(f"{action} with an unknown field", "POST", f"{GOOD}/{action}", {"nonsense": 1})
    add(f"{action} with a kind of somebody else", "POST", f"{GOOD}/{action}", {"kind": "Other", "apiVersion": "postgres.example.io/v1"})
    add(f"{action} without controllers", "POST", f"{GOOD}/{action}", {})
add("a failover with force as text", "POST", GOOD + "/failover", {"force": "yes"})
add("a failover to a number", "POST", GOOD + "/failover", {"target": 5})
add("a failover with a reason of 2 KB", "POST", GOOD + "/failover", {"reason": "x" * 2000})
add("a backup of a type that does not exist", "POST", GOOD + "/backup", {"type": "partial"})
add("an action with a dry run of some things", "POST", GOOD + "/switchover?dryRun=Some", {})


def prepare(server):
    """The objects that the cases speak of."""
    sync = copy.deepcopy(cluster("synchronous", instances=3, postgresql={"synchronous": {"number": 2}}))
    for body in (cluster("good", instances=3, postgresql={"pgHBA": ["host all all 10.0.0.0/8 scram-sha-256"]}), sync,
                 cluster("protected", deletionProtection=True)):
        answer = server.call("POST", live.CLUSTERS, body)
        if answer.status != 201:
            raise RuntimeError(f"preparing: {answer}")
