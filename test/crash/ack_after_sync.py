#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ack_after_sync.py STORE_WRITER: no write is acknowledged before the disk has it.

kill -9 proves nothing about power, so this watches the system calls: each operation's bytes must have gone into the WAL,
then an fdatasync of the WAL must have begun and ended well, and only then may its acknowledgement be written. (A deletion
leaves no text to look for; whatever went into the WAL last before its acknowledgement must be synced.) The check itself is
tried on the same trace without the fdatasync calls, and must complain about every one.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

COUNT = 600
SKIP = 77

CALL = re.compile(r"^(\d+)\s+(\w+)\((.*)$")
RESUMED = re.compile(r"^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$")
OPERATION = re.compile(r"op-1-\d{6};")
ACK = re.compile(r"(op-1-\d{6};) (\d)")
DELETE = "3"
RESULT = re.compile(r"=\s+(-?\d+)")


def calls(lines):
    """Yields (begin, end, name, text, result): positions in the trace where a call began and ended."""
    pending = {}
    for position, line in enumerate(lines):
        resumed = RESUMED.match(line)
        if resumed:
            pid, name, rest = resumed.groups()
            begin, text = pending.pop(pid)
            yield begin, position, name, text + rest, result_of(rest)
            continue
        call = CALL.match(line)
        if not call:
            continue
        pid, name, rest = call.groups()
        if rest.endswith("<unfinished ...>"):
            pending[pid] = (position, rest)
        else:
            yield position, position, name, rest, result_of(rest)


def result_of(text):
    found = RESULT.findall(text.rsplit(")", 1)[-1])
    return int(found[-1]) if found else None


def check(lines):
    """Returns the list of complaints, and how many acknowledgements and syncs it saw."""
    written = {}  # operation -> where its bytes were in the WAL
    last_written = None
    synced = -1  # everything that was in the WAL here is on the disk
    complaints = []
    counts = [0, 0]
    # In the order in which the calls ended, but an acknowledgement counts from where it began.
    for at_call, begin, name, text, result in sorted((b if n == "write" else e, b, n, t, r) for b, e, n, t, r in calls(lines)):
        target = text.split(",", 1)[0]
        if name == "pwrite64" and "-wal>" in target:
            last_written = at_call
            for operation in OPERATION.findall(text):
                written.setdefault(operation, at_call)
        elif name in ("fdatasync", "fsync") and "-wal>" in target and result == 0:
            synced = begin
            counts[1] += 1
        elif name == "write" and text.startswith("1<"):
            for operation, step in ACK.findall(text):
                counts[0] += 1
                at = last_written if step == DELETE else written.get(operation)
                if at is None:
                    complaints.append(f"{operation} was acknowledged but never written")
                elif at > synced:
                    complaints.append(f"{operation} was acknowledged before a sync of the WAL")
    return complaints, *counts


def trace(writer, folder):
    out = os.path.join(folder, "trace")
    command = ["strace", "-f", "-y", "-s", "10000", "-e", "trace=fdatasync,fsync,pwrite64,write", "-o", out,
               writer, os.path.join(folder, "store.db"), "1", str(COUNT), "100"]
    # The leak checker works by ptrace itself, and cannot under strace; other tests look for leaks.
    environment = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120, check=False)
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        print("skipped: this machine does not allow ptrace: " + done.stderr.strip())
        sys.exit(SKIP)
    if done.returncode != 0:
        sys.exit(f"ack_after_sync: exit {done.returncode}: {done.stderr}")
    with open(out, encoding="utf-8", errors="replace") as lines:
        return list(lines), done.stdout.count("\n")


def main():
    if not shutil.which("strace"):
        print("skipped: strace is not installed (./dev setup installs it)")
        sys.exit(SKIP)
    with tempfile.TemporaryDirectory() as folder:
        lines, told = trace(sys.argv[1], folder)
    complaints, acks, syncs = check(lines)
    if complaints:
        sys.exit("ack_after_sync: " + "; ".join(complaints[:5]))
    if told != COUNT or acks != COUNT or syncs < COUNT // 64:
        sys.exit(f"ack_after_sync: {told} told, {acks} acknowledgements and {syncs} syncs in the trace, {COUNT} expected")
    unsynced, _, _ = check([line for line in lines if "sync" not in line])
    if len(unsynced) != acks:
        sys.exit("ack_after_sync: the check does not notice missing syncs")
    print(f"{acks} acknowledgements, each after one of {syncs} syncs of the WAL that began after its bytes were written")


main()
