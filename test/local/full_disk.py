# SPDX-License-Identifier: Apache-2.0
"""The disk of one instance is full: a standby's stops nobody, a primary's is replaced, each comes back with its space."""
import contextlib
import ctypes
import os
import time

import local
from local import live

SIZE = 512 << 20
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(folder):
    """A small disk of its own; False where that is not allowed."""
    options = f"size={SIZE},mode=0700".encode()
    return LIBC.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, options) == 0


def unmount(folder):
    LIBC.umount2(folder.encode(), 2)


class Filler:
    """A file that takes what room there is."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "filler")
        try:
            self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        except OSError as error:  # full before: of what?
            used = local.subprocess.run(["du", "-k", folder], capture_output=True, text=True, check=False).stdout
            raise AssertionError(f"{error}, {os.statvfs(folder)}: {used}") from error
        self.fill()

    def fill(self):
        """Also what others gave back since the last time."""
        with contextlib.suppress(OSError):
            while True:
                os.write(self.file, b"\0" * 65536)

    def remove(self):
        os.close(self.file)
        os.unlink(self.path)


@contextlib.contextmanager
def growing(server):
    """Writes much, so that a new segment of WAL is needed soon."""
    stop, conninfo = [], server.conninfo("pg")
    query = "INSERT INTO big SELECT repeat(md5(i::text), 30) FROM generate_series(1, 4000) i"

    def grow():
        while not stop:
            with contextlib.suppress(OSError, local.subprocess.TimeoutExpired):
                server.psql(conninfo, query)
                server.psql(conninfo, "TRUNCATE big")
            time.sleep(0.3)
    running = live.Background(grow)
    try:
        yield
    finally:
        stop.append(True)
        running.join(180)


def create(server, disks):
    """The folders of a cluster are known once it has a uid: it is made paused, and goes on when each has its disk."""
    server.create("pg", instances=3, paused=True)
    uid = server.cluster("pg")["metadata"]["uid"]
    parent = f"{server.folder}/instances/default/pg.{uid[:8]}"
    os.makedirs(parent, mode=0o711, exist_ok=True)
    for name in ("pg-1", "pg-2", "pg-3"):
        disks[name] = f"{parent}/{name}"
        os.mkdir(disks[name])
        if not mount(disks[name]):
            return False
        local.shutil.chown(disks[name], "postgres", "postgres")
    server.patch("pg", {"paused": False})
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    return True


def full_standby(tap, server, writer, disks):
    standby = server.standbys("pg")[0]
    writer.mark()
    filler = Filler(disks[standby])

    def has_ended():
        filler.fill()
        return not server.instances("pg")[standby].get("ready")
    with growing(server):
        live.until(has_ended, "the end of its streaming")
        tap.becomes("the cluster says so", lambda: server.status("pg")["phase"] != "Running" and
                    server.status("pg")["readyInstances"] == 2, lambda: server.status("pg"))
    shown = server.instances("pg")[standby]
    print(f"# shown: {shown.get('phase')} {shown.get('message')}")
    writer.wait(20)
    tap.check("a full standby does not stop writes", writer.failures() == 0, writer.failures(), writer.gap_ms())
    status = server.status("pg")
    filler.remove()
    print(f"# ready {server.wait_ready('pg'):.1f} s after there was room again")
    tap.check("the primary stayed", server.status("pg")["term"] == status["term"])


def full_primary(tap, server, writer, disks):
    primary, term = server.primary("pg"), server.status("pg")["term"]
    filler = Filler(disks[primary])
    began = time.monotonic()
    writer.mark()
    try:
        with growing(server):
            def trouble():
                filler.fill()
                condition = server.condition("pg", "PrimaryAvailable")
                return condition.get("status") == "False" and "full" in condition.get("message", "")
            tap.becomes("the conditions tell of a full disk, or it is replaced already",
                        lambda: trouble() or server.status("pg")["term"] > term, lambda: server.status("pg"))
        if server.status("pg")["term"] == term:  # it goes on with the WAL that it has
            answer = server.action("pg", "switchover", reason="full")
            # It may crash for want of room just then.
            tap.becomes("a switchover away from it works, unless it was replaced before", lambda: answer.status == 200 or
                        server.status("pg")["term"] > term, lambda: answer)
        live.until(lambda: server.primary("pg") not in (None, primary), lambda: f"another primary: {server.status('pg')}")
        writer.wait(20)
        print(f"# replaced {time.monotonic() - began:.1f} s after its disk was full, writes stopped for {writer.gap_ms():.0f} ms")
        tap.check("a primary without room is replaced", server.status("pg")["term"] > term, server.status("pg"))
    finally:
        filler.remove()
    print(f"# ready {server.wait_ready('pg'):.1f} s after there was room again")
    tap.check("it comes back as a standby", server.instances("pg")[primary]["role"] == "standby", server.instances("pg"))


def check_rows(tap, what, writer):
    writer.wait(20)
    acknowledged, missing = writer.verify()
    tap.check(f"{what}: none of {acknowledged} acknowledged rows is missing", missing == 0, missing)


def test(tap, server):
    disks = {}
    try:
        if not create(server, disks):
            tap.skip("a full disk", "no right to mount")
            return
        server.patch("pg", {"postgresql": {"synchronous": {"number": 1}, "parameters": {"max_wal_size": "64MB"}}})
        server.wait_ready("pg")
        live.until(lambda: "ANY 1" in server.super_sql("pg", server.primary("pg"), "SHOW synchronous_standby_names"), "the set")
        writer = server.writer("pg")
        server.sql("pg", "CREATE TABLE big (t text)")
        full_standby(tap, server, writer, disks)
        check_rows(tap, "full standby", writer)
        full_primary(tap, server, writer, disks)
        check_rows(tap, "full primary", writer)
    finally:
        for folder in disks.values():
            local.kill(*local.processes_below(folder))
            unmount(folder)


if __name__ == "__main__":
    local.main(test)
