# SPDX-License-Identifier: Apache-2.0
"""Synchronous replication: a crash failover loses no acknowledged row; `required` waits for standbys, `preferred` does not."""
import contextlib
import os
import shutil
import time

import local
from local import live


def wait_names(server, standbys):
    """synchronous_standby_names once all these are in it, or as it is in the end."""
    def names():
        return server.super_sql("pg", server.primary("pg"), "SHOW synchronous_standby_names")

    def is_there():
        return names().startswith("ANY 1 (") and all(s in names() for s in standbys)
    with contextlib.suppress(TimeoutError):
        live.until(is_there, "the set")
    return names()


def lose_primary(tap, server, writer):
    """Everything of the primary dies and its data is gone: it cannot restart in place."""
    old = server.primary("pg")
    folder = server.pgdata("pg", old)
    writer.mark()
    began = time.monotonic()
    server.kill_instance("pg", old, lambda: os.rename(folder, folder + ".gone"))
    writer.wait(50)
    gap = writer.gap_ms()
    tap.becomes("another instance is primary", lambda: server.primary("pg") not in (None, old) and server.status("pg")["term"] == 2 ==
                server.status("pg").get("lastFailover", {}).get("term"), lambda: server.status("pg"))
    status = server.status("pg")
    acknowledged, missing = writer.verify()
    print(f"# failover: writes stopped for {gap:.0f} ms")
    tap.check(f"none of {acknowledged} acknowledged rows is missing after the failover", missing == 0, missing)
    tap.check("the status tells no lost byte", status["lastFailover"]["lostBytesBound"] == 0, status["lastFailover"])
    server.wait_ready("pg")
    print(f"# all ready again {time.monotonic() - began:.1f} s after the crash")
    shutil.rmtree(server.pgdata("pg", old) + ".gone", ignore_errors=True)
    tap.check("the old one came back as a standby", server.instances("pg")[old]["role"] == "standby")


def blocks(server, statement, seconds):
    """Whether the statement waits for standbys, and still does after a while."""
    running = live.Background(server.psql, server.conninfo("pg"), statement, live.TIMEOUT)
    query = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = '{statement}'"
    live.until(lambda: not running.is_alive() or server.super_sql("pg", server.primary("pg"), query) == "1", "its wait")
    try:
        running.join(seconds)
    except TimeoutError:
        return running
    return None


def required(tap, server, writer):
    standbys = server.standbys("pg")
    server.sql("pg", "CREATE TABLE waits (i int)")
    server.set_running("pg", standbys, False)
    try:
        waiting = blocks(server, "INSERT INTO waits VALUES (1)", 4)
        tap.check("required: a commit waits while no standby confirms", waiting is not None)
    finally:
        server.set_running("pg", standbys, True)
    if waiting:
        waiting.join()
    tap.check("required: the commit goes on when they are back", server.sql("pg", "SELECT count(*) FROM waits") == "1")
    server.wait_ready("pg")


def preferred(tap, server, writer):
    answer = server.patch("pg", {"postgresql": {"synchronous": {"number": 1, "dataDurability": "preferred"}}})
    tap.check("dataDurability can be changed", answer.status == 200, answer)
    server.wait_ready("pg")
    standbys = server.standbys("pg")
    wait_names(server, standbys)
    server.set_running("pg", standbys, False)
    try:
        began = time.monotonic()
        server.sql("pg", "INSERT INTO waits VALUES (2)", seconds=live.TIMEOUT)
        print(f"# preferred: the commit waited for {time.monotonic() - began:.1f} s")
        names = server.super_sql("pg", server.primary("pg"), "SHOW synchronous_standby_names")
        tap.check("preferred: a commit does not wait for good", names == "", names)
    finally:
        server.set_running("pg", standbys, True)
    server.wait_ready("pg")
    names = wait_names(server, standbys)
    tap.check("preferred: the set is back with the standbys", names.startswith("ANY 1 (") and all(s in names for s in standbys),
              names)


def scale_down(tap, server, writer):
    """3 → 2 with `required`: commits go on, nothing is lost, and what stays is as it should be."""
    victims = set(server.instances("pg"))
    writer.mark()
    answer = server.patch("pg", {"instances": 2})
    tap.check("scaling down is accepted", answer.status == 200, answer)
    seconds = server.wait_ready("pg")
    writer.wait(50)
    print(f"# scaled down after {seconds:.1f} s, writes stopped for {writer.gap_ms():.0f} ms at most")
    victims -= set(server.instances("pg"))
    status = server.status("pg")
    tap.check("one is gone, from the members too", len(victims) == 1 and len(status["members"]) == 2 and
              not victims & set(status["members"]), victims, status)
    wanted = f'ANY 1 ("{server.standbys("pg")[0]}")'
    names = wait_names(server, [])
    tap.becomes("commits wait for the one that stays", lambda: wait_names(server, []) == wanted, lambda: f"{names}, not {wanted}")
    live.until(lambda: server.super_sql("pg", server.primary("pg"), "SELECT count(*) FROM pg_replication_slots") == "1",
               "the slot of the one that went is gone")
    acknowledged, missing = writer.verify()
    tap.check(f"none of {acknowledged} acknowledged rows is missing after scaling down", missing == 0, missing)
    tap.check("no write failed", writer.failures() == 0, writer.failures())


def test(tap, server):
    server.create("pg", instances=3, postgresql={"parameters": local.SMALL, "synchronous": {"number": 1}})
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    names = wait_names(server, ["pg-2", "pg-3"])
    tap.check("both standbys may confirm", names in ('ANY 1 ("pg-2","pg-3")', 'ANY 1 ("pg-3","pg-2")'), names)
    writer = server.writer("pg")
    lose_primary(tap, server, writer)
    scale_down(tap, server, writer)
    writer.close()
    server.patch("pg", {"instances": 3})
    server.wait_ready("pg")
    required(tap, server, writer)
    preferred(tap, server, writer)


if __name__ == "__main__":
    local.main(test)
