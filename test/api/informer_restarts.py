#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Informers of each kind under write load, while the server is killed and stopped: nothing missed, nothing repeated."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "harness"))
# pylint: disable=wrong-import-position
import live
from informer import Informer, Writer, compare, compare_one

SECRETS = "/api/v1/namespaces/default/secrets"
ALL_SECRETS = "/api/v1/secrets"
WRITES_BETWEEN = 150
ROUNDS = ("kill", "stop", "kill", "kill", "stop")


def make(name, step):
    return live.secret(name, f"step {step}")


def wait_for_writes(writers, more):
    target = sum(writer.count for writer in writers) + more
    live.until(lambda: sum(writer.count for writer in writers) >= target, f"{more} writes", 2 * live.TIMEOUT)


def restart(tap, server, how):
    if how == "kill":
        server.kill()
    else:
        tap.check("a clean stop under load exits with 0", server.stop() == 0, server.log()[-2000:])
    server.start()


def check_comparison(tap):
    """A comparison that finds nothing proves nothing unless it can."""
    log = [("ADDED", 5), ("MODIFIED", 7), ("DELETED", None), ("ADDED", 11)]
    seen = [("ADDED", 5), ("MODIFIED", 7), ("DELETED", 9), ("ADDED", 11)]
    tap.check("the comparison accepts what is right", not compare_one("n", log, seen, 4) and
              not compare_one("n", log, seen[1:], 5) and not compare_one("n", log, seen[3:], 9))
    bad = {"a missing event": seen[:1] + seen[2:], "a missing end": seen[:3], "a repeated event": seen[:2] + seen[1:],
           "another order": [seen[1], seen[0], *seen[2:]], "another version": [("ADDED", 6), *seen[1:]], "nothing": []}
    for name, events in bad.items():
        tap.check(f"the comparison notices {name}", bool(compare_one("n", log, events, 4)))


def check_bookmarks(tap, server):
    """An idle watch learns how far it is while others write elsewhere."""
    for seconds in (4, 16, 64):  # longer where the machine took so long that the last bookmark may have come first
        version, begun = server.revision(), time.monotonic()
        connection = server.http1()
        response = connection.watch(f"{SECRETS}?watch=true&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds={seconds}")
        server.call("POST", live.CLUSTERS, live.cluster(f"elsewhere{seconds}"))
        newest, took = server.revision(), time.monotonic() - begun
        frames = [json.loads(line) for line in response.read().split(b"\n") if line]
        connection.close()
        if took < seconds - 2.5:
            break
    versions = [int(frame["object"]["metadata"]["resourceVersion"]) for frame in frames]
    tap.check("an idle watch gets a bookmark before it ends",
              {frame["type"] for frame in frames} == {"BOOKMARK"} and versions[-1] == newest > version,
              frames, version, newest)


def test(tap, server):
    check_comparison(tap)
    check_bookmarks(tap, server)
    writers = [Writer(server, SECRETS, f"w{i}", make) for i in range(4)]
    informers = {
        "list and watch": Informer(server, ALL_SECRETS),
        "list and watch, without bookmarks": Informer(server, SECRETS, bookmarks=False),
        "WatchList": Informer(server, ALL_SECRETS, use_watch_list=True),
        "WatchList, with watches of two seconds": Informer(server, SECRETS, use_watch_list=True, seconds=2),
        "list and watch over HTTP/2": Informer(server, SECRETS, protocol="http2"),
        "WatchList over HTTP/2": Informer(server, ALL_SECRETS, use_watch_list=True, protocol="http2"),
    }
    late = {}
    for number, how in enumerate(ROUNDS):
        wait_for_writes(writers, WRITES_BETWEEN)
        late[f"list and watch, begun before {how} {number}"] = Informer(server, SECRETS)
        late[f"WatchList, begun before {how} {number}"] = Informer(server, SECRETS, use_watch_list=True)
        restart(tap, server, how)
    wait_for_writes(writers, WRITES_BETWEEN)
    for writer in writers:
        writer.stop()
    informers.update(late)

    end = server.call("POST", SECRETS, live.secret("end")).json["metadata"]["resourceVersion"]
    for name, informer in informers.items():
        live.until(lambda i=informer: (i.version or 0) >= int(end),
                   lambda n=name, i=informer: f"the last event ({end}) in {n}: {i.version}, {i.counts}, {i.complaints}")
        informer.stop()
        informer.store.pop("default/end", None)
        informer.events = [event for event in informer.events if event[1] != "default/end"]

    count, doubtful = sum(w.count for w in writers), sum(w.doubtful for w in writers)
    complaints = [text for writer in writers for text in writer.complaints]
    tap.check(f"each of {count} writes was answered or could be looked up ({doubtful} lost their answer)",
              not complaints and count > WRITES_BETWEEN * len(ROUNDS), *complaints[:20])
    for name, informer in informers.items():
        wrong = compare(informer, writers)
        tap.check(f"{name}: every event once, in order", not wrong, informer.counts, *wrong)
    expired = sum(i.counts["expired"] for i in informers.values())
    tap.check("no version expired: all went on where they were", expired == 0, expired)
    listed = {item["metadata"]["name"]: int(item["metadata"]["resourceVersion"])
              for item in server.call("GET", SECRETS).json["items"]}
    expected = {name: version for w in writers for name, version in w.versions.items()}
    tap.check("the store holds exactly what was acknowledged", listed == {**expected, "end": int(end)},
              set(listed.items()) ^ set(expected.items()))
    print("# " + str({name: i.counts | {"events": len(i.events)} for name, i in informers.items()}))


if __name__ == "__main__":
    live.main(test)
