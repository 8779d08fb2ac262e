#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""snapshot while writes run, restore into another folder: consistent, recognised, and nobody goes on as if nothing had been."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "harness"))
# pylint: disable=wrong-import-position
import live
from informer import Informer, Writer

SECRETS = "/api/v1/namespaces/default/secrets"


def run(*arguments):
    return subprocess.run([live.PROGRAM, *arguments], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=live.TIMEOUT)


def state(server):
    answer = server.call("GET", SECRETS).json
    return {item["metadata"]["name"]: (int(item["metadata"]["resourceVersion"]), item["metadata"]["uid"]) for item in answer["items"]}, \
        int(answer["metadata"]["resourceVersion"])


def snapshot_under_load(tap, server, path):
    kept = server.call("POST", SECRETS, live.secret("kept")).json["metadata"]["resourceVersion"]
    writers = [Writer(server, SECRETS, f"w{i}", lambda name, step: live.secret(name, str(step))) for i in range(3)]
    live.until(lambda: sum(w.count for w in writers) > 200, "writes")
    before = server.revision()
    done = run("snapshot", "--data-dir", server.folder, path)
    after = server.revision()
    live.until(lambda: server.revision() > after + 50, "more writes")
    for writer in writers:
        writer.stop()
    tap.check("a snapshot is made while writes go on", done.returncode == 0 and path in done.stdout, done)
    tap.check("writes were not refused meanwhile", not any(w.complaints or w.doubtful for w in writers), [w.complaints for w in writers])
    return history(writers) | {"kept": {int(kept)}}, before, after


def history(writers):
    """name: the versions of every acknowledged write."""
    return {name: {version for _, version in log if version} for w in writers for name, log in w.log.items()}


def restore(tap, old, new, path, taken):
    versions, before, after = taken
    newest, newest_revision = state(old)
    done = run("restore", "--data-dir", new.folder, path)
    tap.check("it is restored into a new folder", done.returncode == 0, done)
    informer = Informer(old, SECRETS)
    live.until(lambda: informer.version, "the informer")
    token = old.call("GET", "/api/v1/namespaces?limit=1").json["metadata"]["continue"]
    old.stop()
    new.port = old.port
    # Its clients find another server at the same address, with the same credentials.
    new_pki = os.path.join(new.folder, "pki")
    subprocess.run(["cp", "-a", os.path.join(old.folder, "pki"), new_pki], check=True)
    new.start()
    restored, revision = state(new)
    tap.check("each object is one that was acknowledged", restored and all(v in versions[n] for n, (v, _) in restored.items()), restored)
    tap.check("all of one moment: nothing newer than the snapshot, nothing older missing",
              all(max((x for x in versions[n] if x <= before), default=0) <= v <= after for n, (v, _) in restored.items()) and
              all(restored.get(n) == stamp for n, stamp in newest.items() if stamp[0] <= before), restored, newest, before, after)
    tap.check("revisions go on far above", revision > newest_revision + 1000, revision, newest_revision)
    tap.check("the log says that the store is a restored one", re.search("restored", new.log()), new.log())

    answer = new.call("GET", f"{SECRETS}?watch=true&resourceVersion={newest_revision}&timeoutSeconds=2")
    tap.check("a watch that goes on where it was is told 410", b'"code":410' in answer.body and b"Expired" in answer.body, answer)
    answer = new.call("GET", f"{SECRETS}?resourceVersion={newest_revision}&resourceVersionMatch=Exact")
    tap.check("so is a list of exactly that version", answer.status == 410, answer)
    answer = new.call("GET", f"/api/v1/namespaces?limit=1&continue={token}")
    tap.check("so is a list that goes on", answer.status == 410, answer)
    answer = new.call("GET", f"{SECRETS}?resourceVersion={newest_revision}&resourceVersionMatch=NotOlderThan")
    tap.check("a list that wants something not older gets what there is", answer.status == 200, answer)
    name = sorted(restored)[0]
    stale = live.secret(name, "stale")
    stale["metadata"]["resourceVersion"] = str(newest[name][0] if name in newest else newest_revision)
    changed = stale["metadata"]["resourceVersion"] != str(restored[name][0])
    answer = new.call("PUT", f"{SECRETS}/{name}", stale)
    tap.check("an update of what the client knew is a conflict, unless it is the same", answer.status == (409 if changed else 200), answer)

    informer.server = new
    informer.connect = new.http1
    live.until(lambda: informer.counts["expired"] and 
               {key.partition("/")[2]: stamp for key, stamp in informer.store.items()} == state(new)[0], "the informer to start anew")
    tap.check("an informer starts anew and has what is there", not informer.complaints, informer.complaints, informer.counts)
    informer.stop()


def misuse(tap, server, path):
    folder = server.folder
    done = run("restore", "--data-dir", folder, path)
    tap.check("a store that exists is not replaced", done.returncode == 1 and "--force" in done.stdout, done)
    done = run("restore", "--data-dir", folder, "--force", path)
    tap.check("nor one in use, even by force", done.returncode == 1 and "in use" in done.stdout, done)
    tap.check("the server did not notice", server.call("GET", SECRETS).status == 200)
    server.stop()
    done = run("restore", "--data-dir", folder, "--force", path)
    tap.check("by force it is, and the old one is kept", done.returncode == 0 and "kept" in done.stdout and
              any("before-restore" in name for name in os.listdir(folder)), done, os.listdir(folder))
    server.start()
    tap.check("the server starts with it", server.call("GET", SECRETS).status == 200)
    for name, text in {"nothing": None, "an empty file": b"", "text": b"hello\n" * 1000, "half a snapshot": open(path, "rb").read(9000)}.items():
        file = os.path.join(server.work, "bad")
        if text is not None:
            with open(file, "wb") as out:
                out.write(text)
        target = os.path.join(server.work, "target")
        done = run("restore", "--data-dir", target, file)
        tap.check(f"{name} is not restored", done.returncode == 1 and done.stdout and
                  not os.path.exists(os.path.join(target, "store.db")), done, os.path.isdir(target) and os.listdir(target))
    done = run("snapshot", "--data-dir", os.path.join(server.work, "none"), os.path.join(server.work, "out"))
    tap.check("a folder without a store has no snapshot", done.returncode == 1 and "store.db" in done.stdout, done)
    done = run("snapshot", "--data-dir", folder, "/proc/none/out")
    tap.check("a snapshot needs a place", done.returncode == 1 and "/proc/none" in done.stdout, done)
    done = run("snapshot", "--data-dir", folder, path)
    tap.check("a snapshot does not replace a file", done.returncode == 1 and path in done.stdout, done)
    done = run("snapshot", "--data-dir", folder, os.path.join(server.work, "again"))
    tap.check("a snapshot of a restored store works", done.returncode == 0, done)


def elsewhere(tap, path):
    """--storage means the same to all three commands."""
    server = live.Server()
    file = os.path.join(server.work, "elsewhere", "objects.db")
    storage = f"--storage=sqlite:{file}"
    done = run("restore", "--data-dir", server.folder, storage, path)
    tap.check("a snapshot is restored to where --storage says", done.returncode == 0 and os.path.exists(file) and
              not os.path.exists(server.folder), done)
    try:
        server.start(storage)
        tap.check("the server starts with it there", server.call("GET", f"{SECRETS}/kept").status == 200)
        done = run("snapshot", "--data-dir", server.folder, storage, os.path.join(server.work, "out"))
        tap.check("a snapshot is taken of what --storage says", done.returncode == 0 and file in done.stdout, done)
        done = run("snapshot", "--data-dir", server.folder, "--storage=memory:", os.path.join(server.work, "none"))
        tap.check("memory has no snapshot", done.returncode == 1 and "memory:" in done.stdout, done)
    finally:
        server.remove()


def test(tap, server):
    path = os.path.join(server.work, "snapshot.db")
    taken = snapshot_under_load(tap, server, path)
    new = live.Server()
    try:
        restore(tap, server, new, path, taken)
        misuse(tap, new, path)
        tap.check("the restored server stops with 0", new.stop() == 0, new.log())
    finally:
        new.remove()
    elsewhere(tap, path)
    server.start()


if __name__ == "__main__":
    live.main(test)
