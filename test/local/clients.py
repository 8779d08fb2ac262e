# SPDX-License-Identifier: Apache-2.0
"""What clients leave in a cluster: prepared transactions, locks on roles, logical slots, tablespaces. None of it stops a
change of primary or a new instance without a word, and no parameter that falls below it takes the primary down."""
import contextlib
import os
import shutil

import local
from local import live

SLOT = "SELECT count(*) FROM pg_create_logical_replication_slot('decoded', 'test_decoding')"
LOGICAL = {**local.SMALL, "wal_level": "logical", "max_prepared_transactions": "5"}


def prepare(server, name, statement):
    conninfo = server.conninfo("pg")
    server.psql(conninfo, f"BEGIN; {statement}; PREPARE TRANSACTION '{name}'")


def committed(server, name):
    """The primary may be about to restart."""
    with contextlib.suppress(OSError):
        server.sql("pg", f"COMMIT PREPARED '{name}'")
    with contextlib.suppress(OSError):
        return server.sql("pg", f"SELECT count(*) FROM pg_prepared_xacts WHERE gid = '{name}'") == "0"
    return False


def dropped(server, primary):
    with contextlib.suppress(OSError):
        server.super_sql("pg", primary, "SELECT pg_drop_replication_slot('decoded')")
    with contextlib.suppress(OSError):
        return slots(server, primary) == ""
    return False


def slots(server, instance):
    return server.super_sql("pg", instance, "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical'")


def switch(tap, server, what):
    answer = server.http1(timeout=120).call("POST", local.BASE + "postgresclusters/pg/switchover", {"reason": what})
    tap.check(f"{what}: a switchover works", answer.status == 200 and answer.json["lostBytesBound"] == 0, answer)
    server.wait_ready("pg")


def shows(server, kind, *words):
    condition = server.condition("pg", kind)
    return condition.get("status") == "False" and all(word in condition["message"] for word in words)


def changes_of_primary(tap, server):
    old = server.primary("pg")
    server.sql("pg", "CREATE TABLE kept (i int)")
    tap.check("a logical slot is made", server.super_sql("pg", old, SLOT) == "1")
    tap.becomes("a condition tells that it is not taken over", lambda: shows(server, "EverythingReplicated", "decoded"),
                lambda: server.status("pg"), 60)
    prepare(server, "rows", "INSERT INTO kept VALUES (1)")
    # Nobody else can change the role until it ends.
    prepare(server, "role", "ALTER ROLE app PASSWORD 'another'")
    switch(tap, server, "prepared transactions")
    tap.becomes("a former primary keeps no WAL for its logical slot", lambda: slots(server, old) == "", seconds=90)
    tap.becomes("and the condition goes", lambda: not server.condition("pg", "EverythingReplicated"))
    prepared = server.super_sql("pg", server.primary("pg"), "SELECT string_agg(gid, ' ' ORDER BY gid) FROM pg_prepared_xacts")
    tap.check("the new primary has what was prepared", prepared == "role rows", prepared)

    server.patch("pg", {"instances": 3})
    print(f"# one more after {server.wait_ready('pg'):.1f} s")
    tap.check("a role that is locked keeps no instance from joining", server.is_ready("pg", 3))
    local.kill(server.postmaster("pg", server.primary("pg"))[0])
    live.until(lambda: server.works("pg"), lambda: f"a primary again: {server.status('pg')}", 120)
    server.wait_ready("pg")
    server.sql("pg", "COMMIT PREPARED 'rows'")
    tap.check("it can be committed after a crash", server.sql("pg", "SELECT i FROM kept") == "1")
    server.sql("pg", "ROLLBACK PREPARED 'role'")


def falling_parameters(tap, server):
    """To less than the data demand: PostgreSQL would not start."""
    primary, term = server.primary("pg"), server.status("pg")["term"]
    server.super_sql("pg", primary, SLOT)
    prepare(server, "rows", "INSERT INTO kept VALUES (2)")
    server.patch("pg", {"postgresql": {"parameters": {"wal_level": "replica", "max_prepared_transactions": "0"}}})
    tap.becomes("the cluster says what cannot fall yet", lambda: server.is_ready("pg") and all(
        word in server.status("pg")["message"] for word in ("wal_level stays", "max_prepared_transactions stays")),
        lambda: server.status("pg"), 120)
    tap.check("nobody crashed", server.status("pg")["term"] == term and
              not [e for e in server.events("pg") if "wal_level <" in e["message"]], server.events("pg"))
    # One that was prepared a moment before may have cost a restart.
    live.until(lambda: dropped(server, primary), "the end of a logical slot", 120)
    live.until(lambda: committed(server, "rows"), "the end of a prepared transaction", 120)

    def has_fallen():
        try:
            return server.super_sql("pg", primary, "SELECT current_setting('wal_level') || "
                                    "current_setting('max_prepared_transactions')") == "replica0"
        except OSError:  # it restarts
            return False
    tap.becomes("they fall as soon as they can", has_fallen, lambda: server.status("pg"), 120)
    server.wait_ready("pg")
    live.until(lambda: server.works("pg"), "a primary", 60)
    tap.check("and all that was committed is there", server.sql("pg", "SELECT count(*) FROM kept") == "2")


def tablespace(tap, server):
    primary = server.primary("pg")
    folder = os.path.join(server.work, "space")
    os.mkdir(folder, mode=0o700)
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    server.super_sql("pg", primary, f"CREATE TABLESPACE outside LOCATION '{folder}'")
    tap.becomes("a condition tells of a tablespace", lambda: shows(server, "EverythingReplicated", "outside"),
                lambda: server.status("pg"), 60)
    server.patch("pg", {"instances": 4})
    tap.becomes("a copy is refused, and the reason is shown", lambda: "tablespaces (outside)" in server.status("pg")["message"],
                lambda: server.status("pg"), 60)
    server.super_sql("pg", primary, "DROP TABLESPACE outside")
    server.wait_ready("pg")
    tap.check("without it the copy is made", server.is_ready("pg", 4) and
              not server.condition("pg", "EverythingReplicated"), server.status("pg"))


def test(tap, server):
    server.create("pg", instances=2, postgresql={"parameters": LOGICAL})
    print(f"# two ready after {server.wait_ready('pg'):.1f} s")
    changes_of_primary(tap, server)
    falling_parameters(tap, server)
    tablespace(tap, server)


if __name__ == "__main__":
    local.main(test)
