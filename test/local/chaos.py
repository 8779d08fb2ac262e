# SPDX-License-Identifier: Apache-2.0
"""Random faults and actions on a cluster that is written to all the time, and what must hold afterwards.

    chaos.py [--seed N] [--seconds S] [--rounds N] [--asynchronous] [--only ACTION,…] [--without ACTION,…]

A round does one to four things at random, ends what it began (stopped processes, a dead server, a pause), waits until
the cluster is Running with everything ready, and checks: no acknowledged row is missing (asynchronous: unless a failover
said that it may be), no two instances took writes at the same time, terms and timelines only grew, the status tells the
truth, and no process, slot, folder or descriptor is left over. The seed repeats the choices, not the timing.
"""
import argparse
import os
import random
import re
import select
import signal
import subprocess
import sys
import threading
import time

import local
from local import live

SETTLE_SECONDS = 240
ADDRESSES = 8  # an instance that is added takes the first free one: the clients of this test know them all from the start


def say(text):
    print(f"# {time.strftime('%H:%M:%S')} {text}", flush=True)


def parent_of(pid):
    words = local.read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(words[1]) if words else 0


def title(pid):
    return local.read_bytes(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def memory_and_descriptors(pid):
    """(resident KiB, open descriptors)"""
    resident = re.search(rb"VmRSS:\s+(\d+)", local.read_bytes(f"/proc/{pid}/status"))
    try:
        return int(resident.group(1)) if resident else 0, len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0, 0


class Witness(threading.Thread):
    """Tries to write on one address all the time, whoever is there: (sent, acknowledged, timeline) of each success."""

    def __init__(self, host, conninfo):
        super().__init__(daemon=True)
        self.host, self.acknowledged, self.is_over = host, [], False
        self.environment = {**os.environ, **conninfo, "PGHOST": host, "PGTARGETSESSIONATTRS": "any", "PGCONNECT_TIMEOUT": "2"}
        self.start()

    def ask(self, psql):
        """The answer's line; empty when none comes in time."""
        psql.stdin.write(b"INSERT INTO witness VALUES (default) RETURNING "
                         b"('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int;\n")
        psql.stdin.flush()
        ready, _, _ = select.select([psql.stdout], [], [], 3)
        return os.read(psql.stdout.fileno(), 4096) if ready else b""

    def session(self):
        psql = subprocess.Popen(["psql", "-X", "-q", "-At"], env=self.environment, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        try:
            while not self.is_over:
                sent = time.monotonic()
                line = self.ask(psql)
                if not line:
                    return
                if line.strip().isdigit():
                    self.acknowledged.append((sent, time.monotonic(), int(line)))
                time.sleep(0.1)
        except OSError:
            pass
        finally:
            psql.kill()
            psql.communicate()

    def run(self):
        while not self.is_over:
            self.session()
            time.sleep(0.2)


def split_brain(witnesses):
    """An old primary that began and acknowledged a write after a newer one had acknowledged one: what was seen."""
    first = {}  # timeline → the first acknowledgement on it
    for w in witnesses:
        for sent, acknowledged, timeline in w.acknowledged:
            if timeline not in first or acknowledged < first[timeline][0]:
                first[timeline] = (acknowledged, w.host)
    found = []
    for w in witnesses:
        for sent, _, timeline in w.acknowledged:
            for newer, (since, host) in first.items():
                if newer > timeline and sent > since:
                    found.append(f"{w.host} took a write on timeline {timeline} {sent - since:.3f} s after {host} on {newer}")
    return found


class Chaos:
    def __init__(self, tap, server, options):
        self.tap, self.server, self.options = tap, server, options
        self.random = random.Random(options.seed)
        self.undo = []   # what ends a round
        self.posts = []  # (what, Background)
        self.missing = 0
        self.wanted = 3
        self.samples = []  # (round, server's pid, KiB, descriptors)
        self.synchronous = not options.asynchronous

    # --- what may happen ---

    def instances(self):
        return sorted(os.path.basename(f) for f in local.glob.glob(f"{self.server.folder}/instances/default/pg.*/pg-*"))

    def instance(self):
        """One at random; the primary as often as all others."""
        names = self.instances()
        primary = self.primary_now()
        return primary if primary in names and self.random.random() < 0.5 else self.random.choice(names)

    def primary_now(self):
        """By its files: also when no server answers."""
        for name in self.instances():
            folder = self.server.pgdata("pg", name)
            if self.server.postmaster("pg", name) and not os.path.exists(folder + "/standby.signal"):
                return name
        return None

    def later(self, seconds, function, *arguments):
        """Undoes something after a while, at the latest at the end of the round."""
        done = threading.Event()

        def once():
            if not done.is_set():
                done.set()
                function(*arguments)
        timer = threading.Timer(seconds, once)
        timer.daemon = True
        timer.start()
        self.undo.append((timer, once))

    def agent_of(self, name):
        try:
            pid = self.server.agent("pg", name)
        except (ValueError, IndexError):
            return None
        return pid if pid in self.server.processes_of("pg", name) else None

    def children(self, name):
        postmaster = self.server.postmaster("pg", name)
        return [p for p in self.server.processes_of("pg", name) if postmaster and parent_of(p) == postmaster[0]]

    def do_kill_postmaster(self):
        name = self.instance()
        found = self.server.postmaster("pg", name)
        say(f"kill -9 postmaster of {name}")
        local.kill(*([found[0]] if found else []))

    def do_kill_child(self):
        name = self.instance()
        found = self.children(name)
        if found:
            pid = self.random.choice(found)
            say(f"kill -9 of {name}: {title(pid)}")
            local.kill(pid)

    def do_kill_receiver(self):
        name = self.random.choice(self.instances())
        for pid in self.children(name):
            if "walreceiver" in title(pid):
                say(f"kill -9 WAL receiver of {name}")
                local.kill(pid)

    def do_kill_agent(self):
        name = self.instance()
        pid = self.agent_of(name)
        say(f"kill -9 agent of {name}")
        local.kill(*([pid] if pid else []))

    def do_kill_instance(self):
        name = self.instance()
        say(f"kill -9 everything of {name}")
        local.kill(*self.server.processes_of("pg", name))

    def do_kill_agents(self):
        names = self.random.sample(self.instances(), 2)
        say(f"kill -9 agents of {' '.join(names)}")
        local.kill(*[p for p in map(self.agent_of, names) if p])

    def do_kill_all(self):
        say("kill -9 everything of every instance")
        for name in self.instances():
            local.kill(*self.server.processes_of("pg", name))

    def do_kill_server(self):
        if not self.server.is_alive():
            return
        seconds = self.random.choice((0, 0.5, 3, 8))
        say(f"kill -9 server, again after {seconds} s")
        self.server.kill()
        self.later(seconds, self.start_server)

    def start_server(self):
        if not self.server.is_alive():
            self.server.start()

    def freeze(self, what, pid, longest):
        seconds = round(self.random.uniform(0.3, longest), 1)
        say(f"SIGSTOP {what} for {seconds} s")
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            return

        def go_on():
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.later(seconds, go_on)

    def do_stop_agent(self):
        name = self.instance()
        pid = self.agent_of(name)
        if pid:
            self.freeze(f"agent of {name}", pid, 8)

    def do_stop_postmaster(self):
        name = self.instance()
        found = self.server.postmaster("pg", name)
        if found:
            self.freeze(f"postmaster of {name}", found[0], 5)

    def do_stop_server(self):
        if self.server.is_alive():
            self.freeze("server", self.server.process.pid, 8)

    def post(self, path, body):
        say(f"POST {path} {body}")

        def call():
            connection = self.server.http1(timeout=live.TIMEOUT)
            try:
                return connection.call("POST", local.BASE + "postgresclusters/pg/" + path, body)
            finally:
                connection.close()
        self.posts.append((path, live.Background(call)))

    def do_switchover(self):
        target = self.random.choice([None, *self.instances()])
        self.post("switchover", {"target": target} if target else {})

    def do_failover(self):
        self.post("failover", {})

    def do_restart(self):
        name = self.random.choice([None, *self.instances()])
        self.post("restart", {"instance": name} if name else {})

    def do_backup(self):
        self.post("backup", {"type": self.random.choice(("full", "incremental"))})

    def change(self, what, path, body):
        say(what)
        try:
            answer = self.server.http1().call("PATCH", f"{local.BASE}postgresclusters/pg{path}", local.json.dumps(body),
                                              headers={"content-type": "application/merge-patch+json"})
        except (OSError, live.http.client.HTTPException) as error:
            say(f"not changed: {error}")
            return False
        if answer.status not in (200, 409, 503):
            raise RuntimeError(f"{what}: {answer}")
        return answer.status == 200

    def do_scale(self):
        wanted = self.random.choice([n for n in (2, 3, 4) if n != self.wanted])
        if self.change(f"scale {self.wanted} -> {wanted}", "/scale", {"spec": {"replicas": wanted}}):
            self.wanted = wanted

    def do_parameter(self):
        name, values = self.random.choice((("work_mem", ("5MB", "6MB", "7MB")), ("max_connections", ("40", "45", "50")),
                                           ("shared_buffers", ("16MB", "20MB"))))
        value = self.random.choice(values)
        self.change(f"{name} = {value}", "", {"spec": {"postgresql": {"parameters": {name: value}}}})

    def do_pause(self):
        if self.change("pause", "", {"spec": {"paused": True}}):
            self.later(self.random.uniform(0.5, 4), self.unpause)

    def unpause(self):
        live.until(lambda: self.change("go on", "", {"spec": {"paused": False}}), "the end of the pause")

    def do_delete_secret(self):
        name = self.random.choice(("pg-app", "pg-ca"))
        say(f"delete secret {name}")
        try:
            self.server.http1().call("DELETE", "/api/v1/namespaces/default/secrets/" + name)
        except (OSError, live.http.client.HTTPException) as error:
            say(f"not deleted: {error}")

    # --- rounds ---

    def actions(self):
        names = sorted(n[3:] for n in dir(self) if n.startswith("do_"))
        if self.options.only:
            names = [n for n in names if n in self.options.only]
        return [n for n in names if n not in self.options.without]

    def round(self, number):
        before = self.server.status("pg")
        terms = before["term"], before["timeline"]
        names = self.actions()
        chosen = [self.random.choice(names) for _ in range(self.random.choice((1, 1, 2, 3, 4)))]
        say(f"--- round {number}: {' '.join(chosen)}")
        for name in chosen:
            getattr(self, "do_" + name)()
            time.sleep(self.random.choice((0, 0.05, 0.3, 1, 2)))
        self.end_round()
        took = self.server.wait_ready("pg", seconds=SETTLE_SECONDS)
        say(f"all ready {took:.1f} s later")
        return self.check(number, terms)

    def end_round(self):
        for timer, once in self.undo:
            timer.join()
            once()
        self.undo.clear()
        self.start_server()
        for what, post in self.posts:
            try:
                answer = post.join()
            except (OSError, live.http.client.HTTPException) as error:
                say(f"{what}: no answer: {error}")
                continue
            text = answer.json.get("message") or answer.json.get("status", {}).get("phase") or answer.body[:100]
            say(f"{what}: {answer.status} {text}")
            self.expect(f"{what} is answered as it should", answer.status in (200, 201, 409, 503, 504), answer)
        self.posts.clear()

    def expect(self, sentence, good, *explanation):
        """Only what is wrong makes a line of its own."""
        if not good:
            self.tap.check(sentence, False, *explanation)
            self.bad = True

    # --- what must hold ---

    def check(self, number, terms):
        self.bad = False
        status = self.server.status("pg")
        self.expect("term and timeline only grow", status["term"] >= terms[0] and status["timeline"] >= terms[1] and
                    (status["term"] > terms[0]) == (status["timeline"] > terms[1]), terms, status)
        self.check_rows(terms[0], status)
        seen = split_brain(self.witnesses)
        self.expect("never two primaries at the same time", not seen, *seen[:5])
        self.settle(self.lies, "the status tells the truth")
        self.settle(self.strangers, "every process belongs to an agent")
        self.settle(self.leftovers, "no folder and no slot is left over")
        self.sample(number)
        return not self.bad

    def settle(self, wrongs, sentence):
        """Checks what comes true shortly after everything is ready."""
        try:
            live.until(lambda: not wrongs(), sentence)
        except TimeoutError:
            self.expect(sentence, False, *wrongs())

    def may_lose(self, old_term, status):
        """Whether a change of primary since then may have lost something, by what the cluster says."""
        told = {}
        for event in self.server.events("pg"):
            found = re.search(r"in term (\d+)", event.get("message", ""))
            if event["reason"] == "PrimaryChanged" and found:
                told[int(found.group(1))] = "nothing was lost" in event["message"]
        last = status.get("lastFailover", {})
        if last:
            told[last["term"]] = last.get("lostBytesBound") == 0
        return not all(told.get(t, False) for t in range(old_term + 1, status["term"] + 1))

    def check_rows(self, old_term, status):
        self.writer.wait(20)
        acknowledged, missing = self.writer.verify()
        if missing > self.missing:
            allowed = not self.synchronous and self.may_lose(old_term, status)
            say(f"{missing - self.missing} rows are missing, which {'may' if allowed else 'must not'} be")
            self.expect(f"no acknowledged row of {acknowledged} is missing", allowed, missing - self.missing, status)
        self.missing = missing
        mine = self.server.sql("pg", "SELECT 1")
        self.expect("the published URI leads to the primary", mine == "1", mine)

    def lies(self):
        """What the status says that is not so."""
        status = self.server.status("pg")
        found, instances, primaries = [], self.server.instances("pg"), []
        for name, shown in instances.items():
            try:
                real = self.server.super_sql("pg", name, "SELECT pg_is_in_recovery()")
            except OSError as error:
                found.append(f"{name}: {error}")
                continue
            if real == "f":
                primaries.append(name)
            if (shown["role"] == "primary") != (real == "f") or not shown["ready"] or shown["term"] != status["term"]:
                found.append(f"{name} is {real}, shown as {shown}")
            if shown.get("timeline") != status["timeline"]:
                found.append(f"{name} shows timeline {shown.get('timeline')}")
        if primaries != [status.get("currentPrimary")]:
            found.append(f"primaries: {primaries}, shown: {status.get('currentPrimary')}")
        bad = [c for c in status["conditions"] if c["status"] != "True"]
        if bad or status.get("pendingRestart") or len(instances) != self.wanted:
            found.append(f"{bad} {status.get('pendingRestart')} {sorted(instances)}")
        return found

    def strangers(self):
        found = []
        for name in self.instances():
            pids = self.server.processes_of("pg", name)
            agent = self.agent_of(name)
            for pid in pids:
                above = pid
                while above > 1 and above != agent:
                    above = parent_of(above)
                if above != agent and local.is_alive(pid):
                    found.append(f"{name}: {pid} {title(pid)}")
        return found

    def leftovers(self):
        names = sorted(self.server.instances("pg"))
        found = [] if self.instances() == names else [f"folders: {self.instances()}, instances: {names}"]
        for name in names:
            folder = self.server.instance_folder("pg", name)
            found += [f"{name}: {f}" for f in os.listdir(folder) if f.startswith("pgdata") and f != "pgdata"]
        primary = self.server.primary("pg")
        slots = self.server.super_sql("pg", primary, "SELECT slot_name || ' ' || active FROM pg_replication_slots ORDER BY 1")
        wanted = sorted(f"pgi_{n.replace('-', '_')} true" for n in names if n != primary)
        if slots.splitlines() != wanted:
            found.append(f"slots: {slots.split(chr(10))}, wanted: {wanted}")
        return found

    def sample(self, number):
        pid = self.server.process.pid
        self.samples.append((number, pid, *memory_and_descriptors(pid)))
        agents = {i: memory_and_descriptors(self.server.agent("pg", i)) for i in self.server.instances("pg")}
        say(f"server {self.samples[-1][2]} KiB, {self.samples[-1][3]} descriptors; agents " +
            ", ".join(f"{i} {k} KiB {d}" for i, (k, d) in sorted(agents.items())))
        self.expect("descriptors do not pile up", self.samples[-1][3] < 120 and all(d < 60 for _, d in agents.values()),
                    self.samples[-1], agents)
        self.expect("memory does not pile up", self.samples[-1][2] < 256 << 10 and all(k < 64 << 10 for k, _ in agents.values()),
                    self.samples[-1], agents)

    # --- the whole ---

    def begin(self):
        synchronous = {"synchronous": {"number": 1}} if self.synchronous else {}
        self.server.create("pg", instances=3, postgresql={"parameters": dict(local.SMALL), **synchronous},
                           backup={"repositories": [{"name": "main", "volume": {}}]})
        say(f"three ready after {self.server.wait_ready('pg'):.1f} s")
        conninfo = self.server.conninfo("pg")
        first = conninfo["PGHOST"].split(",")[0].rpartition(".")[0]
        hosts = [f"{first}.{i}" for i in range(1, ADDRESSES + 1)]
        uri = re.sub(r"@[^/]*/", "@" + ",".join(h + ":" + conninfo["PGPORT"] for h in hosts) + "/", self.server.secret("pg"))
        self.server.sql("pg", "CREATE TABLE witness (i bigserial PRIMARY KEY)")
        self.writer = local.Writer(uri)
        self.server.writers.append(self.writer)
        self.writer.wait(20)
        self.witnesses = [Witness(h, conninfo) for h in hosts[:6]]

    def run(self):
        began, number = time.monotonic(), 0
        say(f"--seed {self.options.seed}" + (" --asynchronous" if self.options.asynchronous else ""))
        self.begin()
        while number < self.options.rounds and time.monotonic() - began < self.options.seconds:
            number += 1
            if not self.tap.check(f"round {number}", self.round(number)):
                return
        for witness in self.witnesses:
            witness.is_over = True
        acknowledged, missing = self.writer.verify()
        writes = sum(len(w.acknowledged) for w in self.witnesses)
        say(f"{number} rounds in {time.monotonic() - began:.0f} s; {acknowledged} rows, {missing} missing; {writes} witnessed")
        self.tap.check("clients wrote all the time", acknowledged > 100 and writes > 10, acknowledged, writes)


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--seconds", type=float, default=75)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--asynchronous", action="store_true")
    parser.add_argument("--only", type=lambda s: s.split(","), default=[])
    parser.add_argument("--without", type=lambda s: s.split(","), default=[])
    return parser.parse_args()


def main():
    chosen = options()
    sys.argv = sys.argv[:1]
    local.main(lambda tap, server: Chaos(tap, server, chosen).run())


if __name__ == "__main__":
    main()
