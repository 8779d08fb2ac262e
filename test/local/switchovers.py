# SPDX-License-Identifier: Apache-2.0
"""Switchovers under load lose nothing; what cannot be is refused with 409, before and while one runs."""
import local
from local import live


def refused(tap, answer, what, *words):
    good = answer.status == 409 and answer.json.get("reason") == "Conflict"
    tap.check(f"409: {what}", good and all(w in answer.json["message"] for w in words), answer)


def check_dry_run(tap, server, standbys):
    before, revision = server.postmasters("pg"), server.status("pg")["term"]
    answer = server.post("postgresclusters/pg/switchover?dryRun=All", {"target": standbys[1]})
    tap.check("dryRun=All says what would be", answer.status == 200 and answer.json["to"] == standbys[1] and
              answer.json["from"] == server.primary("pg") and answer.json["term"] == revision + 1, answer)
    tap.check("dryRun=All changes nothing", server.status("pg")["term"] == revision and
              server.postmasters("pg") == before and server.primary("pg") == answer.json["from"])


def check_refusals(tap, server):
    term = server.status("pg")["term"]
    refused(tap, server.action("pg", "switchover", target="pg-9"), "target that is nobody", "pg-9")
    refused(tap, server.action("pg", "switchover", target=server.primary("pg")), "target that is primary already", "already")
    refused(tap, server.action("pg", "failover", target="pg-9"), "failover to nobody", "pg-9")
    tap.check("404: a cluster that is not there", server.action("other", "switchover").status == 404)
    tap.check("refusals change nothing", server.status("pg")["term"] == term)


def one(tap, server, writer, target=None, probe=False):
    before = server.status("pg")
    body = {"target": target} if target else {}
    writer.mark()
    # Both are sent at once over connections that stand: a switchover is shorter than a handshake on a busy machine may be.
    connections = [server.http1(), server.http1()] if probe else [server.http1()]
    for connection in connections:
        connection.send("POST", local.BASE + "postgresclusters/pg/switchover", body)
    answer, *others = sorted((c.answer("POST") for c in connections), key=lambda a: a.status)
    for other in others:
        refused(tap, other, "a second action while one runs", "under way")
    writer.wait(30)
    gap = writer.gap_ms()
    good = answer.status == 200 and answer.json["lostBytesBound"] == 0 and answer.json["from"] == before["currentPrimary"]
    tap.check("a switchover is answered with from, to, term, 0 bytes lost",
              good and answer.json["term"] == before["term"] + 1 and answer.json["to"] == (target or answer.json["to"]), answer)
    ready = server.wait_ready("pg")
    print(f"# writes stopped for {gap:.0f} ms, all ready {ready:.1f} s after the answer")

    def is_told():
        status = server.status("pg")
        return (status["currentPrimary"] == status["lastFailover"]["to"] == answer.json["to"] and
                status["term"] == answer.json["term"])
    tap.becomes("status says the same", is_told, lambda: server.status("pg"))
    acknowledged, missing = writer.verify()
    tap.check(f"none of {acknowledged} acknowledged rows is missing", missing == 0, missing)


def test(tap, server):
    server.create("pg", instances=3)
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    writer = server.writer("pg")
    standbys = server.standbys("pg")
    check_dry_run(tap, server, standbys)
    check_refusals(tap, server)
    one(tap, server, writer, standbys[1])
    one(tap, server, writer)
    one(tap, server, writer, server.standbys("pg")[0], probe=True)
    uris = server.sql("pg", "SELECT pg_is_in_recovery()")
    tap.check("the URI leads to the primary", uris == "f", uris)
    for standby in server.standbys("pg"):
        tap.becomes(f"{standby} has rows", lambda s=standby: int(server.sql("pg", "SELECT count(*) FROM checked", s)) > 50)
        try:
            server.sql("pg", "CREATE TABLE nope ()", standby)
            tap.check("a standby takes no write", False)
        except OSError as error:
            tap.check("a standby takes no write", "read-only" in str(error), error)


if __name__ == "__main__":
    local.main(test)
