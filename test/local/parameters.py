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
    tap.check("nothing is said to be pending", not server.status("pg").get("pendingRestart"), server.status("pg"))
    tap.check("the primary stayed where it was", server.primary("pg") == primary and server.status("pg")["term"] == 1)

    restarts(tap, server, writer)
    writer.wait(20)
    acknowledged, missing = writer.verify()
    tap.check(f"none of {acknowledged} acknowledged rows is missing", missing == 0, missing)
    text = "".join(local.read_bytes(p).decode(errors="replace") for p in local.glob.glob(
        f"{server.folder}/instances/default/*/*/postgres.log"))
    tap.check("no standby had to stop for a limit", not re.search("insufficient parameter settings|PANIC", text))


if __name__ == "__main__":
    local.main(test)
