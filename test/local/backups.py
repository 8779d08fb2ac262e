# SPDX-License-Identifier: Apache-2.0
"""Backups by pgBackRest: of each type, verified; a broken repository and a killed agent fail them with an explanation."""
import contextlib
import os
import signal

import local
from local import live

REPOSITORY = "/var/empty"  # set in test


def get_backup(server, name):
    return server.get(f"postgresbackups/{name}").get("status", {})


def finish(server, name):
    live.until(lambda: get_backup(server, name).get("phase") in ("Succeeded", "Failed"),
               lambda: f"the end of {name}: {get_backup(server, name)}", local.READY_SECONDS)
    return get_backup(server, name)


@contextlib.contextmanager
def held(server):
    """No backup gets beyond its begin: it waits for a checkpoint."""
    def checkpointer():
        return [p for p in server.processes_of("pg", server.primary("pg"))
                if b"checkpointer" in local.read_bytes(f"/proc/{p}/cmdline")]
    stopped = local.signal_all(checkpointer, signal.SIGSTOP)
    try:
        yield
    finally:
        local.send(signal.SIGCONT, *stopped)


def back_up(server, type_="full"):
    answer = server.action("pg", "backup", type=type_)
    if answer.status != 201:
        raise RuntimeError(f"backup: {answer}")
    return answer.json["metadata"]["name"]


def check_types(tap, server):
    for type_ in ("full", "differential", "incremental"):
        server.sql("pg", "INSERT INTO kept SELECT generate_series(1, 1000)")
        status = finish(server, back_up(server, type_))
        tap.check(f"a {type_} backup succeeds", status["phase"] == "Succeeded", status)
        told = ("label", "sizeBytes", "startLSN", "stopLSN", "duration", "startedAt", "finishedAt")
        tap.check(f"{type_}: size, LSNs and duration are told", all(status.get(n) for n in told) and
                  status["label"].endswith({"full": "F", "differential": "D", "incremental": "I"}[type_]), status)
        print(f"# {type_}: {status.get('size')} in {status.get('duration')}")
    last = server.status("pg")["lastBackup"]
    tap.check("the cluster names its newest backup", last["label"] == status["label"], last)


def verify(server):
    folder = server.instance_folder("pg", server.primary("pg"))
    config = next(p for p in (folder + "/conf/pgbackrest.conf", folder + "/pgbackrest.conf", *local.glob.glob(
        folder + "/**/pgbackrest.conf", recursive=True)) if os.path.exists(p))
    text = local.read_bytes(config).decode()
    stanza = next(line.strip("[]") for line in text.splitlines() if line.startswith("[") and "global" not in line)
    return local.subprocess.run(local.as_owner("pgbackrest", f"--config={config}", f"--stanza={stanza}",
                                         "--log-level-console=warn", "verify"), capture_output=True, text=True, timeout=local.READY_SECONDS,
                                check=False, cwd="/")


def check_verify(tap, server):
    done = verify(server)
    tap.check("pgbackrest verify passes", done.returncode == 0 and "ERROR" not in done.stdout + done.stderr, done)


def check_busy(tap, server):
    with held(server):
        name = back_up(server)
        answer = server.action("pg", "backup", type="full")
    tap.check("409: a backup while one runs", answer.status == 409 and "running" in answer.json["message"], answer)
    tap.check("the first one is not disturbed", finish(server, name)["phase"] == "Succeeded", get_backup(server, name))
    answer = server.action("pg", "backup", type="full", repository="other")
    tap.check("422: a repository that is not there", answer.status == 422 and "other" in answer.json["message"], answer)
    answer = server.action("pg", "backup", type="weekly")
    tap.check("422: a type that is not there", answer.status in (400, 422), answer)


def check_broken(tap, server):
    """The folder of the backups becomes a file: nothing can be written, by root neither."""
    folder = REPOSITORY + "/backup"
    os.rename(folder, folder + ".away")
    with open(folder, "w", encoding="ascii"):
        pass
    status = finish(server, back_up(server))
    tap.check("a broken repository: Failed, with pgBackRest's words", status["phase"] == "Failed" and len(status["error"]) > 20 and
              ("backup" in status["error"]), status)
    print(f"# the error: {status.get('error')}")
    os.unlink(folder)
    os.rename(folder + ".away", folder)
    status = finish(server, back_up(server))
    tap.check("the next one works", status["phase"] == "Succeeded", status)

    def events():
        return {e["reason"] for e in server.call("GET", "/api/v1/namespaces/default/events").json["items"]}
    tap.becomes("events tell of both", lambda: {"BackupFailed", "BackupSucceeded"} <= events(), events)


def check_killed(tap, server):
    primary = server.primary("pg")
    with held(server):
        name = back_up(server)
        live.until(lambda: get_backup(server, name).get("phase") == "Running", "the start")
        local.kill(server.agent("pg", primary))
    status = finish(server, name)
    tap.check("the agent killed in the middle: Failed, explained", status["phase"] == "Failed" and
              "restarted" in status["error"], status)
    server.wait_ready("pg")
    status = finish(server, back_up(server))
    tap.check("the next one works after that", status["phase"] == "Succeeded", status)


def test(tap, server):
    global REPOSITORY
    REPOSITORY = os.path.join(server.work, "repository")
    os.mkdir(REPOSITORY)
    if os.getuid() == 0:
        local.shutil.chown(REPOSITORY, "postgres", "postgres")
    server.create("pg", instances=1, backup={"repositories": [{"name": "main", "volume": {"path": REPOSITORY}}]})
    print(f"# one ready after {server.wait_ready('pg'):.1f} s")
    server.sql("pg", "CREATE TABLE kept (i int)")
    check_types(tap, server)
    check_busy(tap, server)
    check_broken(tap, server)
    check_killed(tap, server)
    check_verify(tap, server)


if __name__ == "__main__":
    local.main(test)
