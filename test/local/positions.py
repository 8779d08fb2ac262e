# SPDX-License-Identifier: Apache-2.0
"""Whoever crashed tells its true position before it counts: a commit that only a crashed instance has is not lost."""
import os
import signal

import local
from local import live


def senders_to(server, primary, standby):
    query = f"SELECT pid FROM pg_stat_replication WHERE application_name = '{standby}'"
    return [int(p) for p in server.super_sql("pg", primary, query).split()]


def senders(server, primary):
    """By their titles: of a primary that stops no SQL tells them."""
    return [p for p in server.processes_of("pg", primary) if b"walsender" in local.read_bytes(f"/proc/{p}/cmdline")]


def check_rows(tap, what, writer):
    writer.wait(20)
    acknowledged, missing = writer.verify()
    tap.check(f"{what}: none of {acknowledged} acknowledged rows is missing", missing == 0, missing)


def crashed_standby(tap, server, writer):
    """One standby has all commits, the other none of the last ones; the first crashes with the primary."""
    primary, (knows, lacks) = server.primary("pg"), server.standbys("pg")
    local.signal_all(lambda: senders_to(server, primary, lacks), signal.SIGSTOP)
    writer.wait(300)
    folder = server.pgdata("pg", primary)
    server.kill_instance("pg", primary, lambda: os.rename(folder, folder + ".gone"))

    # The one that knows crashes until it is needed: nobody has its last word in memory.
    def is_failing_over():
        if "change of primary begins" in server.log():
            return True
        server.kill_instance("pg", knows)
        return False
    live.until(is_failing_over, "the failover")
    live.until(lambda: server.primary("pg") not in (None, primary), lambda: f"another primary: {server.status('pg')}")
    print(f"# {knows} had everything, {lacks} had not; chosen: {server.primary('pg')}")
    check_rows(tap, "crashed standby", writer)
    server.wait_ready("pg")
    check_rows(tap, "crashed standby, all back", writer)
    local.shutil.rmtree(folder + ".gone", ignore_errors=True)


def interrupted_switchover(tap, server, writer):
    """Everything of the old primary dies in the middle of its stop: what it wrote last must be looked for, not guessed."""
    primary = server.primary("pg")
    local.signal_all(lambda: senders(server, primary), signal.SIGSTOP)
    writer.wait(100)
    running = live.Background(server.http1().call, "POST", local.BASE + "postgresclusters/pg/switchover", {})
    live.until(lambda: "change of primary asked for" in server.log(), "its begin")

    # The stop waits for standbys that hear nothing: also for those that came again because they heard nothing.
    def is_stopping():
        local.signal_all(lambda: senders(server, primary), signal.SIGSTOP)
        return b"stopping" in local.read_bytes(server.pgdata("pg", primary) + "/postmaster.pid")
    live.until(is_stopping, "the middle of its stop")
    server.kill_instance("pg", primary)
    answer = running.join()
    print(f"# {answer.status} {answer.json.get('message')}")
    server.wait_ready("pg")
    check_rows(tap, "switchover from a dying primary", writer)


def test(tap, server):
    server.create("pg", instances=3, postgresql={"parameters": local.SMALL, "synchronous": {"number": 1}})
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    writer = server.writer("pg")
    crashed_standby(tap, server, writer)
    server.patch("pg", {"postgresql": {"synchronous": None}})
    server.wait_ready("pg")
    live.until(lambda: server.super_sql("pg", server.primary("pg"), "SHOW synchronous_standby_names") == "", "no set")
    interrupted_switchover(tap, server, writer)


if __name__ == "__main__":
    local.main(test)
