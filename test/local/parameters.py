# SPDX-License-Identifier: Apache-2.0
"""Changed parameters: by reload where that does, by restarts in the right order where not; POST restart rolls."""
import re

import local
from local import live


def shown(server, name):
    values = {}
    for instance in server.instances("pg"):
        try:
            values[instance] = server.super_sql("pg", instance, f"SHOW {name}")
        except OSError as error:  # it is being restarted
            values[instance] = str(error)
    return values


def change(tap, server, **parameters):
    merged = {**server.cluster("pg")["spec"]["postgresql"]["parameters"], **parameters}
    answer = server.patch("pg", {"postgresql": {"parameters": merged}})
    tap.check(f"accepted: {parameters}", answer.status == 200, answer)


def wait_shown(server, name, value):
    live.until(lambda: set(shown(server, name).values()) == {value}, lambda: f"{name} {value}: {shown(server, name)}",
               local.READY_SECONDS)
    server.wait_ready("pg")


def starts(server):
    """Instances in the order in which their PostgreSQL was started."""
    return [i for _, i in sorted((server.postmaster("pg", i)[1], i) for i in server.instances("pg"))]


def refused(tap, server, parameters, *words):
    answer = server.patch("pg", {"postgresql": {"parameters": parameters}})
    tap.check(f"422: {parameters}", answer.status == 422 and all(w in answer.json["message"] for w in words), answer)


def check_refusals(tap, server):
    generation = server.cluster("pg")["metadata"]["generation"]
    refused(tap, server, {"shared_buffers": "a lot"}, "shared_buffers")
    refused(tap, server, {"max_connections": "-5"}, "max_connections")
    refused(tap, server, {"work_mam": "4MB"}, "work_mam")
    refused(tap, server, {"listen_addresses": "*"}, "listen_addresses")
    refused(tap, server, {"archive_command": "true"}, "archive_command")
    refused(tap, server, {"fsync": "maybe"}, "fsync")
    tap.check("refusals change nothing", server.cluster("pg")["metadata"]["generation"] == generation)


def restarts(tap, server, writer):
    before = server.postmasters("pg")
    primary, standbys = server.primary("pg"), server.standbys("pg")
    answer = server.action("pg", "restart", reason="test")
    tap.check("POST restart names its order, the primary last", answer.status == 200 and
              answer.json["instances"][-1] == primary and sorted(answer.json["instances"]) == sorted(before), answer)
    live.until(lambda: all(p and p != before[i] for i, p in server.postmasters("pg").items()),
               lambda: f"restarts: {server.postmasters('pg')} {server.status('pg')}", local.READY_SECONDS)
    server.wait_ready("pg")
    tap.check("they were restarted, standbys first", starts(server)[-1] == primary, starts(server))
    before = server.postmasters("pg")
    answer = server.action("pg", "restart", instance=standbys[0])
    tap.check("one instance can be restarted alone", answer.status == 200 and answer.json["instances"] == [standbys[0]], answer)
    live.until(lambda: server.postmaster("pg", standbys[0]) not in (None, before[standbys[0]]), "its restart")
    server.wait_ready("pg")
    after = server.postmasters("pg")
    tap.check("the others were not", [i for i in after if after[i] != before[i]] == [standbys[0]], before, after)
    answer = server.action("pg", "restart", instance="pg-9")
    tap.check("409: restart of nobody", answer.status == 409, answer)


def message(server):
    return server.status("pg").get("message", "")


def does_not_start(tap, server):
    """A value that PostgreSQL dies of stops at the first standby, says why, and goes when it is put right."""
    before, primary = server.postmasters("pg"), server.primary("pg")
    change(tap, server, shared_preload_libraries="nonexistent")
    live.until(lambda: 'could not access file "nonexistent"' in message(server), lambda: f"why: {message(server)}", local.READY_SECONDS)
    changed = [i for i, p in server.postmasters("pg").items() if p != before[i]]
    tap.check("only one standby was stopped by it, and the cluster says why", len(changed) == 1 and changed[0] != primary, changed)
    answer = server.patch("pg", {"postgresql": {"parameters": {"shared_preload_libraries": None}}})
    tap.check("it is taken back", answer.status == 200, answer)
    server.wait_ready("pg")
    live.until(lambda: "restart" not in message(server), lambda: f"nothing waits any more: {message(server)}")
    tap.check("the others were never restarted", [i for i, p in server.postmasters("pg").items() if p != before[i]] == changed)


def altered(tap, server):
    """ALTER SYSTEM is people's own, but not for what the agent must be sure of."""
    primary = server.primary("pg")
    for setting in ("ssl = off", "port = 5999", "listen_addresses = ''", "synchronous_standby_names = 'nobody'",
                    "primary_conninfo = 'host=192.0.2.1'", "work_mem = '9MB'"):
        server.super_sql("pg", primary, f"ALTER SYSTEM SET {setting}")
    server.super_sql("pg", primary, "SELECT pg_reload_conf()")
    file = server.pgdata("pg", primary) + "/postgresql.auto.conf"

    def is_clean():
        *others, last = local.read_bytes(file).decode().splitlines() or [""]
        return last.startswith("work_mem") and "=" not in "".join(others)
    live.until(is_clean, lambda: f"a clean file: {local.read_bytes(file)}")

    def is_back():
        names = ("ssl", "synchronous_standby_names", "work_mem")
        return [server.super_sql("pg", primary, f"SHOW {n}") for n in names] == ["on", "", "9MB"]
    tap.becomes("what the agent sets is put right, what people set stays", is_back)
    live.until(lambda: "restart" not in message(server), lambda: f"nothing waits: {message(server)}")

    # Where no agent looks, nor a server runs: the file alone.
    with open(file, "a", encoding="utf-8") as out:
        out.write("port = '5999'\nssl = 'off'\n")
    before = server.postmasters("pg")
    answer = server.action("pg", "restart", instance=primary)
    tap.check("a restart with them is asked for", answer.status == 200, answer)
    live.until(lambda: server.postmaster("pg", primary) not in (None, before[primary]), "its restart")

    def comes_in():
        try:
            return server.sql("pg", "SHOW work_mem") == "9MB"
        except OSError:  # it still starts
            return False
    live.until(comes_in, "a client, as before")
    server.wait_ready("pg")
    tap.check("clients come in as before", comes_in())
    server.super_sql("pg", primary, "ALTER SYSTEM RESET ALL")
    server.super_sql("pg", primary, "SELECT pg_reload_conf()")


def test(tap, server):
    server.create("pg", instances=3)
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    writer = server.writer("pg")
    before = server.postmasters("pg")
    primary = server.primary("pg")
    change(tap, server, work_mem="7MB", log_min_duration_statement="5s")
    wait_shown(server, "work_mem", "7MB")
    tap.check("what a reload does restarts nothing", server.postmasters("pg") == before)

    check_refusals(tap, server)

    change(tap, server, max_connections="55")
    wait_shown(server, "max_connections", "55")
    tap.check("a limit that rises: standbys first", starts(server)[-1] == primary, starts(server))
    change(tap, server, max_connections="45")
    wait_shown(server, "max_connections", "45")
    tap.check("a limit that falls: the primary first", starts(server)[0] == primary, starts(server))
    change(tap, server, shared_buffers="20MB")
    wait_shown(server, "shared_buffers", "20MB")
    tap.check("any other: standbys first", starts(server)[-1] == primary, starts(server))
    tap.becomes("nothing is said to be pending", lambda: not server.status("pg").get("pendingRestart"), lambda: server.status("pg"))
    tap.check("the primary stayed where it was", server.primary("pg") == primary and server.status("pg")["term"] == 1)

    restarts(tap, server, writer)
    does_not_start(tap, server)
    writer.wait(20)
    acknowledged, missing = writer.verify()
    tap.check(f"none of {acknowledged} acknowledged rows is missing", missing == 0, missing)
    writer.close()
    altered(tap, server)
    text = "".join(local.read_bytes(p).decode(errors="replace") for p in local.glob.glob(
        f"{server.folder}/instances/default/*/*/postgres.log"))
    tap.check("no standby had to stop for a limit", not re.search("insufficient parameter settings|PANIC", text))


if __name__ == "__main__":
    local.main(test)
