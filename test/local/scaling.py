# SPDX-License-Identifier: Apache-2.0
"""1 → 3 → 2 → 1, deletion with and without data, pausing: what is left, on disk and in the process list."""
import os
import time

import local
from local import live


def scale(server, replicas, cluster="pg"):
    return server.call("PATCH", f"{local.BASE}postgresclusters/{cluster}/scale",
                       local.json.dumps({"spec": {"replicas": replicas}}),
                       headers={"content-type": "application/merge-patch+json"})


def scaled(tap, server, writer, replicas):
    began = time.monotonic()
    answer = scale(server, replicas)
    tap.check(f"scale to {replicas} is accepted", answer.status == 200, answer)
    server.wait_ready("pg")
    print(f"# scaled to {replicas} after {time.monotonic() - began:.1f} s")
    names = sorted(server.instances("pg"))
    tap.check(f"{replicas} instances", len(names) == replicas, names)

    def slots():
        return server.super_sql("pg", server.primary("pg"), "SELECT count(*) FROM pg_replication_slots")

    def folders():
        return sorted(os.path.basename(f) for f in local.glob.glob(f"{server.folder}/instances/default/pg.*/pg-*"))
    tap.becomes(f"{replicas - 1} slots", lambda: slots() == str(replicas - 1), slots)
    tap.becomes("their folders, and no others", lambda: folders() == names, folders)
    tap.check("no write failed", writer.failures() == 0, writer.failures())


def check_scaling(tap, server):
    server.create("pg", instances=1)
    print(f"# one ready after {server.wait_ready('pg'):.1f} s")
    writer = server.writer("pg")
    writer.mark()
    for replicas in (3, 2, 1):
        scaled(tap, server, writer, replicas)
    acknowledged, missing = writer.verify()
    tap.check(f"none of {acknowledged} acknowledged rows is missing", missing == 0, missing)
    answer = scale(server, 0)
    tap.check("422: no instance at all", answer.status == 422, answer)
    answer = server.patch("pg", {"postgresql": {"synchronous": {"number": 1}}})
    tap.check("422: synchronous.number with one instance", answer.status == 422, answer)
    writer.close()


def check_synchronous(tap, server):
    scale(server, 2)
    server.wait_ready("pg")
    answer = server.patch("pg", {"postgresql": {"synchronous": {"number": 1}}})
    tap.check("synchronous.number 1 with two instances is accepted", answer.status == 200, answer)
    live.until(lambda: "ANY 1" in server.super_sql("pg", server.primary("pg"), "SHOW synchronous_standby_names"), "the set")
    answer = scale(server, 1)
    tap.check("scale below synchronous.number + 1 is refused", answer.status == 422 and "synchronous" in
              answer.json["message"], answer)
    tap.check("nothing changed", server.cluster("pg")["spec"]["instances"] == 2)


def check_pause(tap, server):
    server.create("twin", instances=1)
    server.wait_ready("twin")
    server.patch("pg", {"paused": True})
    live.until(lambda: server.status("pg").get("phase") == "Paused", "the phase")
    before = server.status("pg")
    answer = scale(server, 3)
    tap.check("the spec of a paused cluster can be changed", answer.status == 200, answer)
    answer = server.action("pg", "switchover")
    tap.check("409: an action while paused", answer.status == 409 and "paused" in answer.json["message"], answer)
    primary = server.primary("pg")
    server.kill_instance("pg", primary)
    server.kill_instance("twin", "twin-1")
    # Nothing is to happen, so something else must tell that there was time for it: another cluster, to which the same
    # happens and which is not paused, and then one that is made only now.
    server.wait_ready("twin")
    server.delete("twin")
    wait_gone(server, "twin")
    server.create("twin", instances=1)
    server.wait_ready("twin")
    status = server.status("pg")
    tap.check("no failover, no launch, no new instance while paused", status["term"] == before["term"] and
              status.get("targetPrimary") == primary and not server.processes_of("pg", primary) and
              len(server.instances("pg")) == 2, status)
    server.patch("pg", {"paused": False})
    server.wait_ready("pg")
    tap.check("it goes on afterwards, as wanted by now", len(server.instances("pg")) == 3)
    server.delete("twin")
    wait_gone(server, "twin")
    rows = server.sql("pg", "SELECT count(*) > 20 FROM checked")
    tap.check("the data is there", rows == "t", rows)


def wait_gone(server, name):
    live.until(lambda: server.call("GET", f"{local.BASE}postgresclusters/{name}").status == 404, f"the end of {name}")


def check_deletion(tap, server):
    server.patch("pg", {"deletionProtection": True, "storage": {"reclaimPolicy": "Retain"}})
    answer = server.delete("pg")
    tap.check("403: deletionProtection", answer.status == 403 and "deletionProtection" in answer.json["message"], answer)
    server.patch("pg", {"deletionProtection": False})
    uid = server.cluster("pg")["metadata"]["uid"]
    identifier = server.status("pg")["systemIdentifier"]
    folders = local.glob.glob(f"{server.folder}/instances/default/pg.{uid[:8]}*")
    answer = server.delete("pg")
    tap.check("it can be deleted then", answer.status in (200, 202), answer)
    wait_gone(server, "pg")
    left = local.processes_below(server.folder + "/instances")
    tap.check("Retain: no process is left", not left, left)
    kept = [p for f in folders for p in local.glob.glob(f + "/pg-*/pgdata/PG_VERSION")]
    tap.check("Retain: the data stays", len(kept) == 3, folders, kept)
    states = [local.subprocess.run(["/usr/lib/postgresql/15/bin/pg_controldata", os.path.dirname(p)], capture_output=True,
                                   text=True, check=False).stdout for p in kept]
    tap.check("Retain: it was shut down cleanly", all("shut down" in s and identifier in s for s in states), states)
    tap.check("its secret, instances and records are gone", not server.get("postgresinstances")["items"] and
              server.call("GET", "/api/v1/namespaces/default/secrets/pg-app").status == 404)

    server.create("pg", instances=2)
    server.wait_ready("pg")
    tap.check("a cluster of the same name is another one", server.status("pg")["systemIdentifier"] != identifier)
    tap.check("and begins without tables", server.sql("pg", "SELECT count(*) FROM pg_tables WHERE tablename = 'checked'") == "0")
    tap.check("the kept data is untouched", all(os.path.exists(p) for p in kept))
    for folder in folders:
        local.shutil.rmtree(folder)
    folders = set(local.glob.glob(f"{server.folder}/instances/default/pg.*")) - set(folders)
    server.delete("pg")
    wait_gone(server, "pg")
    left = [f for f in folders if os.path.exists(f)]
    tap.check("Delete: nothing is left of it", not left and not local.processes_below(server.folder + "/instances"), left,
              [os.listdir(f) for f in left])


def check_controllers(tap, server):
    server.create("pg", instances=1)
    server.wait_ready("pg")
    before = server.postmasters("pg")
    server.stop()
    server.start("--controllers=*,-clusters")
    tap.check("--controllers=-clusters: it is served, not reconciled", server.sql("pg", "SELECT 1") == "1" and
              scale(server, 2).status == 200)
    answer = server.action("pg", "switchover")
    tap.check("503: an action without its controller", answer.status == 503 and "controllers" in answer.json["message"], answer)
    tap.check("nothing was started", not local.glob.glob(f"{server.folder}/instances/default/pg.*/pg-2"))
    server.stop()
    server.start()
    server.wait_ready("pg")
    tap.check("with it again: scaled, and nothing restarted", server.postmaster("pg", "pg-1") == before["pg-1"])


def test(tap, server):
    check_scaling(tap, server)
    check_synchronous(tap, server)
    check_pause(tap, server)
    check_deletion(tap, server)
    check_controllers(tap, server)


if __name__ == "__main__":
    local.main(test)
