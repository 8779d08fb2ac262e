#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A data folder on a file system that fills up: writes are refused with a reason, reads go on, and it recovers."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "harness"))
# pylint: disable=wrong-import-position
import live

SECRETS = "/api/v1/namespaces/default/secrets"
MEGABYTES = 12


def fill(folder):
    """Until not even a page fits."""
    with open(os.path.join(folder, "ballast"), "ab", buffering=0) as ballast:
        for size in (1 << 20, 4096, 512):
            try:
                while True:
                    ballast.write(b"\0" * size)
            except OSError:
                continue


def test(tap, server, folder):
    watch = server.http2()
    opened = watch.watch(SECRETS + "?watch=true")
    acknowledged = {}
    refused = None
    for i in range(10):
        acknowledged[f"s{i}"] = server.call("POST", SECRETS, live.secret(f"s{i}")).json["metadata"]["resourceVersion"]
    fill(folder)
    for i in range(10, 2000):
        answer = server.call("POST", SECRETS, live.secret(f"s{i}", "x" * 2000))
        if answer.status == 201:
            acknowledged[f"s{i}"] = answer.json["metadata"]["resourceVersion"]
        else:
            refused = answer
            break
    status = refused.json if refused else {}
    tap.check("a write is refused with 503, a reason and when to try again",
              status.get("code") == 503 and status["reason"] == "ServiceUnavailable" and
              status["details"]["retryAfterSeconds"] > 0 and refused.headers["retry-after"] and
              ("full" in status["message"] or "space" in status["message"]), refused)
    answer = server.call("GET", SECRETS)
    tap.check("reads go on, and show what was acknowledged",
              {i["metadata"]["name"]: i["metadata"]["resourceVersion"] for i in answer.json["items"]} == acknowledged, answer)
    tap.check("readyz says that the store cannot be written", server.call("GET", "/readyz").status == 500 and
              b"[-]store" in server.call("GET", "/readyz?verbose").body)
    tap.check("livez does not: a restart would not help", server.call("GET", "/livez").status == 200)
    for kind, request in {"update": ("PATCH", f"{SECRETS}/s0", b'{"metadata":{"labels":{"a":"b"}}}', {"content-type": "application/merge-patch+json"}),
                          "delete": ("DELETE", f"{SECRETS}/s0")}.items():
        answer = server.call(request[0], request[1], *request[2:3], headers=request[3] if len(request) > 3 else None)
        tap.check(f"an {kind} is refused too" if kind == "update" else f"a {kind} is refused too", answer.status == 503, answer)

    os.unlink(os.path.join(folder, "ballast"))
    live.until(lambda: server.call("POST", SECRETS, live.secret("again")).status == 201, "writes again")
    tap.check("writes work again when there is space", server.call("GET", f"{SECRETS}/again").status == 200)
    tap.becomes("readyz is well again", lambda: server.call("GET", "/readyz").status == 200)
    while b'"again"' not in opened.stream.body:
        watch.pump()
    seen = opened.stream.body.count(b'"type":"ADDED"')
    tap.check("a watch saw what was acknowledged and nothing else", seen == len(acknowledged) + 1, seen, len(acknowledged))

    fill(folder)
    server.kill()
    # What SQLite had reserved before decides whether it can open the store.
    server.spawn()
    live.until(lambda: live.READY.search(server.log()) or not server.is_alive(), "the start or its end")
    if server.is_alive():
        tap.check("a start on a full disk serves reads", server.call("GET", f"{SECRETS}/again").status == 200)
        server.kill()
    else:
        tap.check("a start on a full disk fails and says why", server.wait() == 1 and "No space left on device" in server.log(),
                  server.process.returncode, server.log())
    os.unlink(os.path.join(folder, "ballast"))
    server.start()
    names = {i["metadata"]["name"] for i in server.call("GET", SECRETS).json["items"]}
    tap.check("killed with a full disk, nothing is lost", names == set(acknowledged) | {"again"}, names ^ set(acknowledged))


def mount(folder):
    """A small file system of our own: as root, else in name spaces of our own."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", folder]
    if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0:
        return True
    os.rmdir(folder)
    spaces = ["unshare", "--map-root-user", "--mount"]
    if os.geteuid() != 0 and subprocess.run([*spaces, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        os.execvp("unshare", [*spaces, sys.executable, *sys.argv])
    return False


def main():
    folder = tempfile.mkdtemp(prefix="full.")
    if not mount(folder):
        print("TAP version 13\n1..0 # SKIP no file system can be mounted here")
        return
    tap = live.Tap()
    os.chmod(folder, 0o711)
    server = live.Server(folder=os.path.join(folder, "data"))
    try:
        test(tap, server.start(), folder)
        tap.check("the server still lives and stops with 0", server.is_alive() and server.stop() == 0, server.log()[-4000:])
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        tap.check("no exception", False, repr(error))
    finally:
        if tap.failed:
            print(server.log()[-6000:], file=sys.stderr)
        server.remove()
        subprocess.run(["umount", folder], check=False)
        os.rmdir(folder)
    sys.exit(tap.end())


if __name__ == "__main__":
    main()
