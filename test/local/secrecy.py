# SPDX-License-Identifier: Apache-2.0
"""Nothing secret is seen where it does not belong; TLS is verified on every side; only the leader commands agents."""
import glob
import http.client
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import urllib.parse

import local
from local import live

KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+?)-----END")
HERE = "PGSSLROOTCERT"


def secrets_of(server):
    """Byte strings that nobody may see: the password, and a line of each private key of the instances."""
    found = {server.secret("pg", "password").encode()}
    for item in server.call("GET", "/api/v1/secrets").json["items"]:
        for text in item.get("data", {}).values():
            for body in KEY.findall(local.base64.b64decode(text)):
                found.add(body.split()[-2])
    for path in glob.glob(f"{server.folder}/instances/*/*/*/pki/*.key") + glob.glob(f"{server.folder}/pki/*.key"):
        for body in KEY.findall(local.read_bytes(path)):
            found.add(body.split()[-2] if len(body.split()) > 1 else body.split()[0])
    return found


def has_any(data, secrets):
    return any(s in data for s in secrets)


def scan_processes(server, secrets):
    return [p for p in local.processes_below(server.work) if has_any(local.read_bytes(f"/proc/{p}/cmdline"), secrets)]


def world_readable(path, root):
    """Whether another user can open it: its own mode, and that of each folder above it."""
    if not os.stat(path).st_mode & stat.S_IROTH:
        return False
    while path != root:
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & stat.S_IXOTH:
            return False
    return True


def scan_files(server, secrets):
    """Logs with a secret, and files with one that others can read."""
    logs, readable = [], []
    for folder, _, names in os.walk(server.work):
        for name in names:
            path = os.path.join(folder, name)
            if "/pgdata/base/" in path or not os.path.isfile(path):
                continue
            data = local.read_bytes(path)
            if name.endswith(".log") and has_any(data, secrets):
                logs.append(path)
            if (has_any(data, secrets) or KEY.search(data)) and world_readable(path, server.work):
                readable.append(path)
    return logs, readable


def check_secrecy(tap, server, what):
    secrets = secrets_of(server)
    tap.check(f"{what}: there is something to look for", len(secrets) >= 5 and all(len(s) >= 16 for s in secrets), len(secrets))
    shown = scan_processes(server, secrets)
    tap.check(f"{what}: no secret in any argument list", not shown, shown)
    logs, readable = scan_files(server, secrets)
    tap.check(f"{what}: no secret in any log", not logs, logs)
    tap.check(f"{what}: no secret in a file that others can read", not readable, readable)
    seen = b""
    for path in ("/apis/postgres.example.io/v1/postgresclusters", "/apis/postgres.example.io/v1/postgresinstances",
                 "/apis/postgres.example.io/v1/postgresbackups", "/api/v1/events"):
        seen += server.call("GET", path).body
    tap.check(f"{what}: no secret in statuses and events", not has_any(seen, secrets) and not KEY.search(seen))


def fails(server, conninfo, *words, **environment):
    try:
        server.psql(conninfo, "SELECT 1", **environment)
    except OSError as error:
        return any(w in str(error) for w in words), str(error)
    return False, "it was let in"


def check_clients(tap, server):
    uri, conninfo = server.secret("pg"), server.conninfo("pg")
    parts = urllib.parse.urlsplit(uri)
    query = dict(urllib.parse.parse_qsl(parts.query))
    tap.check("the URI verifies the server in full and asks for the primary", query["sslmode"] == "verify-full" and
              query["target_session_attrs"] == "read-write" and parts.netloc.count(":5432") == 3, query)
    done = subprocess.run(["psql", "-X", "-Atc", "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()", uri],
                          capture_output=True, text=True, timeout=60, check=False)
    tap.check("psql connects with the URI as it stands, over TLS", done.stdout.strip() in ("t|TLSv1.3", "t|TLSv1.2"), done)

    pgpass = os.path.join(server.work, "pgpass")
    with open(pgpass, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(server.secret("pg", "pgpass") + "\n")
    without = {k: v for k, v in conninfo.items() if k != "PGPASSWORD"}
    tap.check("the pgpass entry gives the password", server.psql(without, "SELECT 1", PGPASSFILE=pgpass) == "1")
    os.unlink(pgpass)
    jdbc = server.secret("pg", "jdbc-uri")
    tap.check("the JDBC URI has every host, verification and the primary", jdbc.startswith("jdbc:postgresql://") and
              jdbc.count(":5432") == 3 and "sslmode=verify-full" in jdbc and "targetServerType=primary" in jdbc and
              "sslrootcert=" in jdbc, re.sub(r"password=[^&]*", "password=…", jdbc))

    good, why = fails(server, conninfo, "no encryption", PGSSLMODE="disable")
    tap.check("a client without TLS is refused", good, why)
    good, why = fails(server, conninfo, "password authentication failed", PGPASSWORD="wrong")
    tap.check("a wrong password is refused", good, why)
    good, why = fails(server, conninfo, "certificate verify failed", **{HERE: server.pki("ca.crt")})
    tap.check("a client with another CA does not trust the server", good, why)
    good, why = fails(server, {**conninfo, "PGUSER": "postgres"}, "no pg_hba.conf entry", "authentication failed", "rejects")
    tap.check("the superuser cannot come over the network", good, why)
    good, why = fails(server, {**conninfo, "PGUSER": "streaming_replica"}, "rejects connection", "certificate")
    tap.check("a replica role without certificate is refused", good, why)
    other = server.super_sql("pg", server.primary("pg"), "SELECT rolsuper OR rolreplication OR rolcreaterole FROM pg_roles "
                             "WHERE rolname = 'app'")
    tap.check("the application's role has no special right", other == "f", other)
    method = server.super_sql("pg", server.primary("pg"), "SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'app'")
    tap.check("passwords are kept as SCRAM verifiers", method == "SCRAM-SHA-256", method)


def agent_call(server, instance, method, path, certificate, body=None):
    """Asks an agent; certificate: (cert, key) or None. The status, or the exception."""
    host = server.instances("pg")[instance]["endpoint"].rpartition(":")[0]
    folder = server.instance_folder("pg", instance)
    port = json.loads(local.read_bytes(folder + "/agent.json"))["agentPort"]
    context = ssl.create_default_context(cafile=folder + "/pki/ca.crt")
    context.check_hostname = False
    if certificate:
        context.load_cert_chain(*certificate)
    try:
        with socket.create_connection((host, port), live.TIMEOUT) as plain, context.wrap_socket(plain) as stream:
            data = json.dumps(body).encode() if body is not None else b""
            stream.sendall(f"{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
                           f"content-length: {len(data)}\r\nconnection: close\r\n\r\n".encode() + data)
            response = http.client.HTTPResponse(stream, method=method)
            response.begin()
            return response.status
    except OSError as error:
        return error


def check_agents(tap, server):
    instance, other = server.primary("pg"), server.standbys("pg")[0]
    folder = server.instance_folder("pg", other)
    own = (folder + "/pki/server.crt", folder + "/pki/server.key")
    before = server.postmasters("pg")
    term = server.status("pg")["term"]
    stop = {"protocol": 1, "term": term + 5, "mode": "immediate", "remove_data": True}
    for path, body in (("/v1/shutdown", stop), ("/v1/promote", {"protocol": 1, "term": term + 5, "timeline": 9}),
                       ("/v1/prepare", {"protocol": 1, "term": term + 5, "want": "stop"}), ("/v1/restart", {"term": term, "id": "x"}),
                       ("/v1/configure", {"protocol": 1, "version": 999999, "term": term + 5}), ("/v1/backup", {})):
        answer = agent_call(server, instance, "POST", path, own, body)
        tap.check(f"an instance's own certificate may not POST {path}: 403", answer == 403, answer)
    answer = agent_call(server, instance, "GET", "/v1/stream", own)
    tap.check("nor read the status stream", answer == 403, answer)
    answer = agent_call(server, instance, "GET", "/v1/health", own)
    tap.check("it may ask for health", answer == 200, answer)
    answer = agent_call(server, instance, "GET", "/v1/health", None)
    tap.check("without a certificate the handshake is refused", isinstance(answer, (OSError, http.client.HTTPException)), answer)
    admin = (server.pki("admin.crt"), server.pki("admin.key"))
    answer = agent_call(server, instance, "POST", "/v1/shutdown", admin, stop)
    tap.check("the API's own CA counts for nothing there", isinstance(answer, OSError), answer)
    with socket.create_connection((server.instances("pg")[instance]["endpoint"].rpartition(":")[0], 8432), live.TIMEOUT) as plain:
        plain.sendall(b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            answer = plain.recv(100)
        except OSError as error:
            answer = error
    tap.check("nothing is answered in clear", not isinstance(answer, bytes) or b"200" not in answer, answer)
    tap.check("nothing of this changed anything", server.postmasters("pg") == before and server.status("pg")["term"] == term)


def check_owners(tap, server):
    """PostgreSQL and agents are nobody's superuser."""
    root = [p for i in server.instances("pg") for p in server.processes_of("pg", i)
            if re.search(rb"^Uid:\s+0\s", local.read_bytes(f"/proc/{p}/status"), re.M)]
    tap.check("no process of an instance runs as root", os.getuid() != 0 or not root, root)


def test(tap, server):
    server.create("pg", instances=3, backup={"repositories": [{"name": "main", "volume": {}}]})
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    check_owners(tap, server)
    check_clients(tap, server)
    check_agents(tap, server)
    # After everything that starts children with what they need to know.
    server.action("pg", "backup", type="full")
    answer = server.action("pg", "switchover")
    tap.check("a switchover works", answer.status == 200, answer)
    server.wait_ready("pg")
    standby = server.standbys("pg")[0]
    secrets, shown = secrets_of(server), []
    agent_log = os.path.join(server.instance_folder("pg", standby), "agent.log")
    copies = local.read_bytes(agent_log).count(b'"msg":"copied"')
    server.lose_data("pg", standby)

    def look():
        shown.extend(scan_processes(server, secrets))
        return local.read_bytes(agent_log).count(b'"msg":"copied"') > copies and server.is_ready("pg")
    live.until(look, "ready again, with a look at every process", local.READY_SECONDS)
    tap.check("no secret in any argument list while things are copied and backed up", not shown, shown)
    check_secrecy(tap, server, "in the end")


if __name__ == "__main__":
    local.main(test)
