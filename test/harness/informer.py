# SPDX-License-Identifier: Apache-2.0
"""What client-go's Reflector does, for tests: list and watch, or WatchList; resume by resourceVersion; 410 means anew.

It keeps every event that a handler would have seen, and complains about each that breaks the rules of the protocol.
"""
import contextlib
import http.client
import json
import os
import socket
import ssl
import threading
import time

TROUBLE = (OSError, http.client.HTTPException, ssl.SSLError)
PAUSE = 0.05  # client-go backs off from 0.8 s; a test has less time
PAGE = 7
TIMEOUT = 120


class Expired(Exception):
    """410: the version is gone."""


class Informer:
    """path: a collection. use_watch_list: sendInitialEvents instead of a list. Runs until stop()."""

    def __init__(self, server, path, use_watch_list=False, bookmarks=True, seconds=None, protocol="http1"):
        self.server, self.path = server, path
        self.use_watch_list, self.bookmarks, self.seconds = use_watch_list, bookmarks, seconds
        self.connect = getattr(server, protocol)
        self.store = {}  # key: (version, uid)
        self.events = []  # (type, key, version), in order, without the initial state
        self.version = None  # everything up to it was seen
        self.first_version = None  # of the first complete state
        self.complaints = []
        self.counts = {"list": 0, "watch_list": 0, "watch": 0, "bookmark": 0, "expired": 0}
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.socket = None  # of the watch that is open; under the lock
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        """Ends the watch that is open, too: it does not look up from its reading by itself."""
        self.stopping.set()
        with self.lock:
            if self.socket:
                with socket.socket(fileno=os.dup(self.socket.fileno())) as plain, contextlib.suppress(OSError):
                    plain.shutdown(socket.SHUT_RDWR)
        self.thread.join(TIMEOUT)
        if self.thread.is_alive():
            self.complain("it does not stop")

    def complain(self, text):
        if len(self.complaints) < 20:
            self.complaints.append(text)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run(self):
        while not self.stopping.is_set():
            try:
                if self.version is None:
                    self.begin()
                else:
                    self.watch(f"&resourceVersion={self.version}")
            except Expired:
                self.counts["expired"] += 1
                self.version = None
            except TROUBLE:
                self.stopping.wait(PAUSE)

    def begin(self):
        if self.use_watch_list:
            self.counts["watch_list"] += 1
            self.watch("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan")
        else:
            self.list()

    def get(self, connection, query):
        answer = connection.call("GET", self.path + query)
        if answer.status == 410:
            raise Expired
        if answer.status != 200:
            raise ConnectionError(answer)
        return answer.json

    def list(self):
        """All pages of one version."""
        self.counts["list"] += 1
        connection = self.connect()
        try:
            page = self.get(connection, f"?limit={PAGE}")
            version, items = page["metadata"]["resourceVersion"], page["items"]
            while page["metadata"].get("continue"):
                page = self.get(connection, f"?limit={PAGE}&continue={page['metadata']['continue']}")
                if page["metadata"]["resourceVersion"] != version:
                    self.complain(f"a page of version {page['metadata']['resourceVersion']} in a list of {version}")
                items += page["items"]
        finally:
            connection.close()
        self.replace({self.key(item): self.stamp(item) for item in items}, int(version))

    def replace(self, state, version):
        for key, (item_version, _) in state.items():
            if item_version > version:
                self.complain(f"{key} of {item_version} in a list of {version}")
        if self.first_version is None:
            self.first_version = version
        self.store, self.version = state, version

    @staticmethod
    def key(item):
        return item["metadata"]["namespace"] + "/" + item["metadata"]["name"]

    @staticmethod
    def stamp(item):
        return int(item["metadata"]["resourceVersion"]), item["metadata"].get("uid")

    def watch(self, query):
        self.counts["watch"] += 1
        query += "&allowWatchBookmarks=true" if self.bookmarks else ""
        query += f"&timeoutSeconds={self.seconds}" if self.seconds else ""
        connection = self.connect()
        with self.lock:
            self.socket = connection.socket
        try:
            if self.stopping.is_set():
                return
            response = connection.watch(f"{self.path}?watch=true{query}")
            if response.status == 410:
                raise Expired
            if response.status != 200:
                raise ConnectionError(response.status)
            initial = {} if "sendInitialEvents" in query else None
            self.frames(response, initial)
        finally:
            with self.lock:
                self.socket = None
                connection.close()

    def frames(self, response, initial):
        """Until the watch ends; initial collects the state of a WatchList until its bookmark."""
        for line in self.lines(response):
            try:
                event = json.loads(line)
            except ValueError:
                self.complain(f"no JSON: {line[:200]}")
                continue
            kind, item = event["type"], event["object"]
            if kind == "ERROR":
                if item.get("code") == 410:
                    raise Expired
                raise ConnectionError(item)
            if kind == "BOOKMARK":
                initial = self.bookmark(item, initial)
            elif initial is not None:
                if kind != "ADDED":
                    self.complain(f"{kind} among the initial events")
                initial[self.key(item)] = self.stamp(item)
            else:
                self.apply(kind, item)

    def lines(self, response):
        """Whole lines."""
        pending = b""
        while not self.stopping.is_set():
            try:
                part = response.read1(65536)
            except TimeoutError:
                # Nothing happened for long; http.client cannot go on after a time-out: a new watch does.
                return
            if not part:
                return
            pending += part
            *lines, pending = pending.split(b"\n")
            # The header of an answer over HTTP/1.1 leaves with the first byte of its body: the server sends a line end.
            yield from (line for line in lines if line)

    def bookmark(self, item, initial):
        self.counts["bookmark"] += 1
        version = int(item["metadata"]["resourceVersion"])
        ends = (item["metadata"].get("annotations") or {}).get("k8s.io/initial-events-end") == "true"
        if ends != (initial is not None):
            self.complain("a bookmark ends initial events that were not asked for, or does not end those that were")
        if initial is not None:
            self.replace(initial, version)
        elif version < self.version:
            self.complain(f"a bookmark of {version} after {self.version}")
        else:
            self.version = version
        return None

    def apply(self, kind, item):
        key, (version, uid) = self.key(item), self.stamp(item)
        known = self.store.get(key)
        if version <= self.version:
            self.complain(f"{kind} {key} of {version} after {self.version}")
        if (kind == "ADDED") != (known is None):
            self.complain(f"{kind} {key} of {version}, known is {known}")
        if kind != "ADDED" and known and known[1] != uid:
            self.complain(f"{kind} {key} of {version} is about another life")
        self.version = version
        self.events.append((kind, key, version))
        if kind == "DELETED":
            self.store.pop(key, None)
        else:
            self.store[key] = (version, uid)


class Writer:
    """Creates, updates and deletes a few names of its own for as long as it may, and knows what was acknowledged."""

    def __init__(self, server, path, prefix, make, names=5):
        self.server, self.path, self.make = server, path, make
        self.names = [f"{prefix}-{i}" for i in range(names)]
        self.log = {name: [] for name in self.names}  # name: [(type, version or None)]
        self.versions = {}  # of what exists
        self.complaints = []
        self.count = self.doubtful = 0
        self.connection = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join(TIMEOUT)

    def run(self):
        step = 0
        while not self.stopping.is_set():
            name = self.names[step % len(self.names)]
            step += 1
            if name not in self.versions:
                self.write(name, "ADDED", "POST", self.path, self.make(name, step))
            elif (step // len(self.names)) % 4 == 3:
                self.write(name, "DELETED", "DELETE", f"{self.path}/{name}", None)
            else:
                body = self.make(name, step)
                body["metadata"]["resourceVersion"] = str(self.versions[name])
                self.write(name, "MODIFIED", "PUT", f"{self.path}/{name}", body)
        if self.connection:
            self.connection.close()

    def call(self, *request):
        if not self.connection:
            self.connection = self.server.http1()
        try:
            answer = self.connection.call(*request)
        except TROUBLE:
            self.connection.close()
            self.connection = None
            raise
        if self.connection.is_over:
            self.connection.close()
            self.connection = None
        return answer

    def write(self, name, kind, *request):
        """One write; when its answer is lost, a look at the object tells whether it happened."""
        self.count += 1
        try:
            answer = self.call(*request)
        except TROUBLE:
            self.doubtful += 1
            self.find_out(name, kind)
            return
        if answer.status in (200, 201):
            self.acknowledged(name, kind, answer.json)
        elif answer.status in (429, 503):
            time.sleep(PAUSE)
        else:
            self.complaints.append(f"{request[0]} {name}: {answer}")
            self.find_out(name, kind)

    def acknowledged(self, name, kind, item):
        version = int(item["metadata"]["resourceVersion"]) if kind != "DELETED" else None
        self.log[name].append((kind, version))
        if kind == "DELETED":
            self.versions.pop(name)
        else:
            self.versions[name] = version

    def find_out(self, name, kind):
        while not self.stopping.is_set() or self.server.is_alive():
            try:
                answer = self.call("GET", f"{self.path}/{name}")
            except TROUBLE:
                time.sleep(PAUSE)
                continue
            if answer.status == 404:
                if name in self.versions:
                    if kind != "DELETED":
                        self.complaints.append(f"{name} is lost")
                    self.acknowledged(name, "DELETED", None)
                return
            if answer.status == 200:
                version = int(answer.json["metadata"]["resourceVersion"])
                if version != self.versions.get(name):
                    self.acknowledged(name, kind, answer.json)
                return
            time.sleep(PAUSE)


def compare(informer, writers, namespace="default"):
    """What the informer saw against what was acknowledged; a list of differences."""
    wrong = list(informer.complaints)
    seen = {}
    for kind, key, version in informer.events:
        seen.setdefault(key, []).append((kind, version))
    for writer in writers:
        for name, log in writer.log.items():
            wrong += compare_one(name, log, seen.pop(f"{namespace}/{name}", []), informer.first_version)
        for name in writer.names:
            known = informer.store.get(f"{namespace}/{name}")
            if (known and known[0]) != writer.versions.get(name):
                wrong.append(f"{name}: informer has {known}, writer {writer.versions.get(name)}")
    for key in seen:
        wrong.append(f"events of {key}, which nobody wrote")
    return wrong[:20]


def compare_one(name, log, seen, first_version):
    """Every acknowledged write behind the first state, once and in order. A deletion's version only the server knows."""
    if first_version:
        last = max((i for i, (_, version) in enumerate(log) if version and version <= first_version), default=-1)
        log = log[last + 1:]
        # A deletion right behind it may be part of the first state, too.
        if log and log[0][0] == "DELETED" and (not seen or seen[0][0] != "DELETED"):
            log = log[1:]
    if [(kind, version if kind != "DELETED" else None) for kind, version in seen] != log:
        position = next((i for i, (a, b) in enumerate(zip(seen, log)) if (a[0], a[1] if b[1] else None) != b), min(len(seen), len(log)))
        return [f"{name}: saw {len(seen)} events, {len(log)} were written; first difference at {position}: "
                f"saw {seen[position:position + 3]}, written {log[position:position + 3]}"]
    return []
