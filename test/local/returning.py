# SPDX-License-Identifier: Apache-2.0
"""Who lost its place or its data comes back: by pg_rewind, by a fresh copy, never by initdb."""
import os
import shutil
import tempfile
import time

import local
from local import live


def system_identifiers(server):
    return {i: s.get("systemIdentifier") for i, s in server.instances("pg").items()}


def log_of(server, instance):
    return local.read_bytes(os.path.join(server.instance_folder("pg", instance), "agent.log")).decode()


def come_back(server, began, what):
    server.wait_ready("pg")
    print(f"# {what}: all ready {time.monotonic() - began:.1f} s later")


def check_data(tap, server, what, rows):
    """Every instance has the same rows, of the same cluster."""
    for instance in server.instances("pg"):
        tap.becomes(f"{what}: {rows} rows on {instance}",
                    lambda i=instance: server.sql("pg", "SELECT count(*) FROM kept", i) == str(rows))


def rewinds(tap, server):
    """The old primary has WAL that nobody else has: it is thrown away, not merged."""
    old = server.primary("pg")
    for sender in server.super_sql("pg", old, "SELECT pid FROM pg_stat_replication").split():
        os.kill(int(sender), 19)  # nobody else hears of the last row
    server.sql("pg", "INSERT INTO kept VALUES (-1)")
    folder = server.instance_folder("pg", old)
    os.rename(folder + "/agent.json", folder + "/agent.json.away")
    os.mkdir(folder + "/agent.json")  # it cannot be launched
    began = time.monotonic()
    server.kill_instance("pg", old)
    live.until(lambda: server.primary("pg") not in (None, old), "another primary")
    print(f"# a primary that cannot be launched is replaced after {time.monotonic() - began:.1f} s")
    live.until(lambda: server.works("pg"), "the new primary")
    server.sql("pg", "INSERT INTO kept VALUES (2)")
    os.rmdir(folder + "/agent.json")
    os.rename(folder + "/agent.json.away", folder + "/agent.json")
    began = time.monotonic()
    come_back(server, began, "pg_rewind of a crashed primary with WAL of its own")
    tap.check("pg_rewind brought it back", '"msg":"rewound"' in log_of(server, old), log_of(server, old)[-3000:])
    check_data(tap, server, "rewound", 2)


def copied_anew(tap, server, standby, what, lose):
    """Ready again, as the same instance of the same cluster, by one fresh copy."""
    identifier = system_identifiers(server)
    copies = log_of(server, standby).count('"msg":"copied"')
    began = time.monotonic()
    lose()
    live.until(lambda: log_of(server, standby).count('"msg":"copied"') > copies, lambda: f"a copy: {log_of(server, standby)[-3000:]}",
               local.READY_SECONDS)
    come_back(server, began, what)
    text = log_of(server, standby)
    tap.check(f"{what} is copied once", text.count('"msg":"copied"') == copies + 1, text[-3000:])
    tap.check(f"{what} is of the same cluster, never initialised", system_identifiers(server) == identifier, system_identifiers(server))
    check_data(tap, server, what, 2)


def loses_standby_data(tap, server):
    standby = server.standbys("pg")[0]
    copied_anew(tap, server, standby, "a standby without data", lambda: server.lose_data("pg", standby))


def loses_standby_wal(tap, server):
    """At once and as a whole: PostgreSQL at work would put a file into a folder that is being emptied."""
    standby = server.standbys("pg")[0]
    gone = tempfile.mkdtemp(prefix="gone.", dir=server.work)
    copied_anew(tap, server, standby, "a standby without WAL",
                lambda: os.rename(server.pgdata("pg", standby) + "/pg_wal", gone + "/pg_wal"))
    tap.check("it says why", "the folder pg_wal is gone" in log_of(server, standby), log_of(server, standby)[-3000:])


def loses_role(tap, server):
    """A superuser takes away what the other instances come in with."""
    primary, standby = server.primary("pg"), server.standbys("pg")[0]
    for what, sql in (("cannot log in", "ALTER ROLE streaming_replica NOLOGIN"),
                      ("is gone", "DROP OWNED BY streaming_replica; DROP ROLE streaming_replica")):
        began = time.monotonic()
        server.super_sql("pg", primary, sql)
        killed = server.postmaster("pg", standby)
        local.kill(killed[0])
        live.until(lambda: server.super_sql("pg", primary, "SELECT count(*) FROM pg_roles WHERE rolname = 'streaming_replica' "
                                            "AND rolcanlogin AND rolreplication") == "1", "the role")
        live.until(lambda: server.postmaster("pg", standby) not in (None, killed), "the standby's new postmaster")
        come_back(server, began, f"a role that {what}")
    check_data(tap, server, "role repaired", 2)


def loses_primary_data(tap, server):
    identifier, old, term = system_identifiers(server), server.primary("pg"), server.status("pg")["term"]
    began = time.monotonic()
    server.lose_data("pg", old)
    live.until(lambda: server.primary("pg") not in (None, old), lambda: f"another primary: {server.status('pg')}")
    live.until(lambda: server.works("pg"), "the new primary")
    print(f"# a primary without data is replaced after {time.monotonic() - began:.1f} s")
    come_back(server, began, "a primary without data")
    tap.check("a primary that lost its data is replaced", server.status("pg")["term"] == term + 1, server.status("pg"))
    tap.check("no instance was initialised again", system_identifiers(server) == identifier, identifier,
              system_identifiers(server))
    check_data(tap, server, "copied primary", 2)


def test(tap, server):
    server.create("pg", instances=3)
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    server.sql("pg", "CREATE TABLE kept (i int); INSERT INTO kept VALUES (1)")
    rewinds(tap, server)
    loses_standby_data(tap, server)
    loses_standby_wal(tap, server)
    loses_role(tap, server)
    loses_primary_data(tap, server)
    tap.check("there is one system identifier", len(set(system_identifiers(server).values())) == 1)


if __name__ == "__main__":
    local.main(test)
