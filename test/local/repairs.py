# SPDX-License-Identifier: Apache-2.0
"""What people and backups break: Secrets deleted or changed, with and without a controller, and a store that went back."""
import base64
import os
import subprocess

import local
from local import live

SECRETS = "/api/v1/namespaces/default/secrets/"


def secret(server, name):
    answer = server.call("GET", SECRETS + name)
    return answer.json["data"] if answer.status == 200 else {}


def change(server, name, **data):
    coded = {k.replace("_", "."): base64.b64encode(v.encode()).decode() for k, v in data.items()}
    return server.call("PATCH", SECRETS + name, local.json.dumps({"data": coded}),
                       headers={"content-type": "application/merge-patch+json"})


def told(server, reason, part):
    return [e["message"] for e in server.events("pg") if e["reason"] == reason and part in e["message"]]


def wait_same(server, name, before, keys):
    live.until(lambda: all(secret(server, name).get(k) == before[k] for k in keys), lambda: f"{name} as before")


def check_up(tap, server, ca, app):
    server.call("DELETE", SECRETS + "pg-ca")
    wait_same(server, "pg-ca", ca, ca)
    change(server, "pg-ca", ca_key="nonsense", ca_crt="nonsense")
    wait_same(server, "pg-ca", ca, ca)
    change(server, "pg-app", ca_crt="nonsense", uri="nonsense")
    wait_same(server, "pg-app", app, app)
    server.call("DELETE", SECRETS + "pg-app")
    wait_same(server, "pg-app", app, app)
    tap.becomes("Secrets deleted or changed while the server runs are as before, and events tell of it",
                lambda: told(server, "SecretRestored", "pg-ca") and told(server, "SecretRestored", "pg-app"))


def check_down(tap, server, ca, app, writer):
    before = server.postmasters("pg")
    for how in ("deleted", "changed"):
        server.stop()
        server.start("--controllers=")
        if how == "deleted":
            gone = [server.call("DELETE", SECRETS + name).status for name in ("pg-ca", "pg-app")]
            tap.check("without controllers they stay deleted", gone == [200, 200] and not secret(server, "pg-ca"), gone)
        else:
            change(server, "pg-ca", ca_key="", ca_crt="nonsense")
        server.stop()
        server.start()
        wait_same(server, "pg-ca", ca, ca)
        wait_same(server, "pg-app", app, app)
        server.wait_ready("pg")
        tap.becomes(f"{how} while no controller ran: as before, the agents are reached, and an event tells of it",
                    lambda how=how: told(server, "SecretRestored", how))
    tap.check("PostgreSQL was never restarted for it", server.postmasters("pg") == before, before)
    writer.wait(20)
    tap.check("no write failed", writer.failures() == 0, writer.failures())
    answer = server.action("pg", "switchover")
    tap.check("a switchover works afterwards", answer.status == 200, answer)
    server.wait_ready("pg")


def check_password(tap, server):
    server.stop()
    server.start("--controllers=")
    change(server, "pg-app", password="a-new:one/")
    server.stop()
    server.start()
    server.wait_ready("pg")
    live.until(lambda: "a-new%3Aone%2F" in server.secret("pg"), "the URI")
    tap.becomes("a password that was changed while no controller ran is taken over", lambda: server.works("pg"))


def check_restored(tap, server, writer):
    """The store is put back to before a switchover."""
    program, path = os.environ.get("SERVER", live.PROGRAM), os.path.join(server.work, "snapshot.db")
    done = subprocess.run([program, "snapshot", "--data-dir", server.folder, path], capture_output=True, text=True, check=False)
    tap.check("a snapshot is taken", done.returncode == 0, done)
    term = server.status("pg")["term"]
    answer = server.action("pg", "switchover")
    tap.check("then a switchover", answer.status == 200 and answer.json["term"] == term + 1, answer)
    primary = answer.json["to"]
    server.wait_ready("pg")
    writer.wait(50)
    server.stop()
    done = subprocess.run([program, "restore", "--data-dir", server.folder, "--force", path], capture_output=True, text=True,
                          check=False)
    tap.check("and the store is put back", done.returncode == 0, done)
    server.start()
    live.until(lambda: server.status("pg").get("term") == term + 2, lambda: f"a higher term: {server.status('pg')}")
    server.wait_ready("pg")
    status = server.status("pg")
    tap.check("the term is above all, the primary is whoever it was by then", status["currentPrimary"] == primary, status)
    live.until(lambda: told(server, "StoreWentBack", "older than the cluster"), "the event")
    writer.wait(50)
    acknowledged, missing = writer.verify()
    tap.check(f"none of {acknowledged} acknowledged rows is missing", missing == 0, missing)


def test(tap, server):
    server.create("pg", instances=2)
    print(f"# ready after {server.wait_ready('pg'):.1f} s")
    ca, app = secret(server, "pg-ca"), secret(server, "pg-app")
    writer = server.writer("pg")
    check_up(tap, server, ca, app)
    check_down(tap, server, ca, app, writer)
    check_restored(tap, server, writer)
    writer.close()
    check_password(tap, server)


if __name__ == "__main__":
    local.main(test)
