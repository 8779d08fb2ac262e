# SPDX-License-Identifier: Apache-2.0
"""For tests of standalone mode with real PostgreSQL: a server with its instances, SQL, the checking client, an end that
leaves no process behind. Standard library, psql and test/bench/writer.
"""
import base64
import calendar
import contextlib
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "harness"))
import live  # noqa: E402  pylint: disable=wrong-import-position

WRITER = os.environ.get("WRITER", os.path.join(live.PROJECT, "build", "test", "bench", "writer"))
BASE = "/apis/postgres.example.io/v1/namespaces/default/"
READY_SECONDS = 240  # of a busy machine
SMALL = {"shared_buffers": "16MB", "max_connections": "40"}


def read_link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def read_bytes(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def as_owner(*command):
    """A command as the user that instances run as."""
    return [*(("runuser", "-u", "postgres", "--") if os.getuid() == 0 else ()), *command]


def is_alive(pid):
    """A zombie is dead too."""
    state = read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return bool(state) and state[0] not in (b"Z", b"X")


def processes_below(folder):
    """Ids of processes that were started for this folder: it stands in their arguments or is where they work."""
    mark = folder.encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid() and is_alive(entry):
            cwd = read_link(f"/proc/{entry}/cwd")
            if (cwd + "/").startswith(folder + "/") or mark in read_bytes(f"/proc/{entry}/cmdline"):
                found.append(int(entry))
    return found


def send(number, *pids):
    """A signal to those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill(*pids):
    send(signal.SIGKILL, *pids)


def signal_all(found, number):
    """Signals what found() gives, those too that begin meanwhile; their ids."""
    seen = set()
    while new := set(found()) - seen:
        send(number, *new)
        seen |= new
    return seen


def kill_all(found, meanwhile=None):
    """Kills them as one: stopped first, since each that still runs would see the others die, and start one anew."""
    stopped = signal_all(found, signal.SIGSTOP)
    if meanwhile:
        meanwhile()
    kill(*stopped)


class Writer:
    """test/bench/writer: writes all the time and knows what was acknowledged."""

    def __init__(self, uri):
        # The URI holds a password: no argument list may show it, so this client gets it without and the rest by environment.
        environment = dict(os.environ)
        head, _, rest = uri.partition("://")
        user, _, tail = rest.partition(":")
        environment["PGPASSWORD"], _, hosts = tail.partition("@")
        self.process = subprocess.Popen([WRITER, f"{head}://{user}@{hosts}"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=environment)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the checking client ended during {command}")
        return answer.split()

    def mark(self):
        self.ask("mark")

    def gap_ms(self):
        return float(self.ask("gap")[1])

    def failures(self):
        return int(self.ask("failures")[1])

    def wait(self, rows=20):
        self.ask(f"wait {rows}")

    def verify(self):
        """(acknowledged, missing)"""
        _, acknowledged, missing = self.ask("verify")
        return int(acknowledged), int(missing)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Local(live.Server):
    """A standalone server and everything that it starts."""

    def __init__(self, *options):
        # An address of an instance that is down looks free to any other server with the same network.
        network = f"127.{random.randrange(1, 64)}.{random.randrange(256)}.0/24"
        super().__init__("--local-address-range", network, *(options or ("--controllers=*",)))
        shutil.rmtree(self.work)
        self.work = tempfile.mkdtemp(prefix="local.", dir="/tmp")
        live.guard(self.work)
        os.chmod(self.work, 0o711)  # instances run as another user
        self.folder = os.path.join(self.work, "data")
        self.log_path = os.path.join(self.work, "server.log")
        self.writers = []

    # --- objects ---

    def get(self, path):
        answer = self.call("GET", BASE + path)
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer}")
        return answer.json

    def post(self, path, body=None):
        return self.call("POST", BASE + path, body if body is not None else {})

    def action(self, cluster, name, **body):
        return self.post(f"postgresclusters/{cluster}/{name}", body)

    def patch(self, cluster, spec):
        answer = self.call("PATCH", f"{BASE}postgresclusters/{cluster}", json.dumps({"spec": spec}),
                           headers={"content-type": "application/merge-patch+json"})
        return answer

    def create(self, name, **spec):
        spec.setdefault("storage", {"size": "1Gi", "reclaimPolicy": "Delete"})
        spec.setdefault("postgresql", {}).setdefault("parameters", dict(SMALL))
        answer = self.post("postgresclusters", live.cluster(name, **spec))
        if answer.status != 201:
            raise RuntimeError(f"not created: {answer}")

    def delete(self, name):
        return self.call("DELETE", f"{BASE}postgresclusters/{name}")

    def cluster(self, name):
        return self.get(f"postgresclusters/{name}")

    def status(self, name):
        return self.cluster(name).get("status", {})

    def condition(self, name, kind):
        return next((c for c in self.status(name).get("conditions", []) if c["type"] == kind), {})

    def primary(self, name):
        return self.status(name).get("currentPrimary")

    def instances(self, name):
        items = self.get("postgresinstances")["items"]
        return {i["metadata"]["name"]: i.get("status", {}) for i in items if i["spec"]["cluster"] == name}

    def standbys(self, name):
        primary = self.primary(name)
        return sorted(i for i in self.instances(name) if i != primary)

    def events(self, cluster):
        items = self.call("GET", "/api/v1/namespaces/default/events").json["items"]
        return [e for e in items if e["involvedObject"]["name"] == cluster]

    def spawn(self, *more):
        self.started_at = int(time.time())
        super().spawn(*more)

    def is_heard(self, status):
        """Since this server was started: what the one before it wrote is shown until then."""
        seen = status.get("lastContact")
        return bool(seen) and calendar.timegm(time.strptime(seen, "%Y-%m-%dT%H:%M:%SZ")) > self.started_at

    def is_whole(self, name):
        """Whether it is as the status says: a status may be older than what was done to the cluster."""
        primary, standbys = self.primary(name), set(self.standbys(name))
        try:
            rows = self.super_sql(name, primary, "SELECT NOT pg_is_in_recovery(), application_name FROM (SELECT 1) x LEFT JOIN "
                                  "pg_stat_replication ON state = 'streaming'").splitlines()
        except (OSError, IndexError, subprocess.TimeoutExpired):
            return False
        found = dict(row.split("|")[::-1] for row in rows)
        return set(found.values()) == {"t"} and standbys <= set(found) and all(map(self.postmaster, [name] * len(standbys), standbys))

    def is_ready(self, name, instances=None):
        object_ = self.cluster(name)
        status = object_.get("status", {})
        wanted = object_["spec"]["instances"] if instances is None else instances
        ready = [c["status"] for c in status.get("conditions", []) if c["type"] == "Ready"]
        live_ones = [i for i in self.instances(name).values() if i.get("ready") and self.is_heard(i)]
        return (status.get("observedGeneration") == object_["metadata"]["generation"] and ready == ["True"] and
                status.get("readyInstances") == wanted == status.get("instances") == len(live_ones) and status.get("phase") == "Running" and
                self.is_whole(name))

    def wait_ready(self, name, instances=None, seconds=READY_SECONDS):
        """Seconds it took until as many instances serve as are wanted."""
        began = time.monotonic()
        live.until(lambda: self.is_ready(name, instances),
                   lambda: f"{name} ready: {self.status(name)} {self.instances(name)}", seconds)
        return time.monotonic() - began

    # --- processes and files ---

    def instance_folder(self, cluster, instance):
        """Of the newest cluster of that name: what was retained of an older one stays beside it."""
        return sorted(glob.glob(f"{self.folder}/instances/default/{cluster}.*/{instance}"),
                      key=lambda f: os.stat(os.path.dirname(f)).st_ctime_ns)[-1]

    def pgdata(self, cluster, instance):
        return os.path.join(self.instance_folder(cluster, instance), "pgdata")

    def postmaster(self, cluster, instance):
        """(process id, start time in ticks) of its running postmaster, or None."""
        words = read_bytes(os.path.join(self.pgdata(cluster, instance), "postmaster.pid")).split()
        # Read once: it may end at any time.
        state = read_bytes(f"/proc/{int(words[0])}/stat").rpartition(b")")[2].split() if words else []
        return (int(words[0]), int(state[19])) if state and state[0] not in (b"Z", b"X") else None

    def postmasters(self, cluster):
        return {i: self.postmaster(cluster, i) for i in self.instances(cluster)}

    def agent(self, cluster, instance):
        return int(read_bytes(os.path.join(self.instance_folder(cluster, instance), "agent.pid")))

    def processes_of(self, cluster, instance):
        return processes_below(self.instance_folder(cluster, instance))

    def kill_instance(self, cluster, instance, meanwhile=None):
        """Agent, PostgreSQL and all that they started, at once; meanwhile: what happens while nothing of it runs."""
        folder = self.instance_folder(cluster, instance)
        kill_all(lambda: processes_below(folder), meanwhile)

    def set_running(self, cluster, instances, is_running):
        """Stops or continues every process of these instances: they neither answer nor can be replaced."""
        for instance in instances:
            signal_all(lambda i=instance: self.processes_of(cluster, i), signal.SIGCONT if is_running else signal.SIGSTOP)

    # --- SQL ---

    def secret(self, cluster, field="uri"):
        data = self.call("GET", f"/api/v1/namespaces/default/secrets/{cluster}-app").json["data"]
        return base64.b64decode(data[field]).decode()

    def psql(self, conninfo, query, seconds=live.TIMEOUT, **environment):
        """What psql prints; OSError when it fails."""
        done = subprocess.run(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", query], capture_output=True,
                              text=True, timeout=seconds, check=False,
                              env={**os.environ, "PGCONNECT_TIMEOUT": "30", **conninfo, **environment})
        if done.returncode != 0:
            raise OSError(done.stderr.strip())
        return done.stdout.strip()

    def conninfo(self, cluster, instance=None):
        """PG* variables for the primary, or for one instance."""
        uri = self.secret(cluster)
        query = dict(p.split("=", 1) for p in uri.partition("?")[2].split("&"))
        host = self.secret(cluster, "host")
        if instance:
            host = self.instances(cluster)[instance]["endpoint"].rpartition(":")[0]
        return {"PGHOST": host, "PGPORT": self.secret(cluster, "port").split(",")[0], "PGUSER": self.secret(cluster, "username"),
                "PGPASSWORD": self.secret(cluster, "password"), "PGDATABASE": self.secret(cluster, "dbname"),
                "PGSSLMODE": "verify-full", "PGSSLROOTCERT": query["sslrootcert"].replace("%2F", "/"),
                "PGTARGETSESSIONATTRS": "any" if instance else "read-write"}

    def sql(self, cluster, query, instance=None, seconds=live.TIMEOUT):
        return self.psql(self.conninfo(cluster, instance), query, seconds)

    def works(self, cluster):
        """Whether the published URI leads to a primary by now."""
        try:
            return self.sql(cluster, "SELECT pg_is_in_recovery()") == "f"
        except (OSError, subprocess.TimeoutExpired):
            return False

    def lose_data(self, cluster, instance):
        """Its data folder is gone, at once and as a whole, and its postmaster dies."""
        postmaster, folder = self.postmaster(cluster, instance), self.pgdata(cluster, instance)
        gone = tempfile.mkdtemp(prefix="gone.", dir=self.work)
        os.rename(folder, os.path.join(gone, "pgdata"))
        kill(postmaster[0])
        live.until(lambda: not processes_below(gone), "the end of those who still write there")
        shutil.rmtree(gone)

    def super_sql(self, cluster, instance, query):
        """As superuser over the instance's own socket."""
        folder = self.instance_folder(cluster, instance)
        done = subprocess.run(as_owner("psql", "-X", "-q", "-At", "-U", "postgres", "-h", folder + "/sock", "-p",
                                       self.secret(cluster, "port").split(",")[0], "-d", "postgres", "-c", query),
                              capture_output=True, text=True, timeout=live.TIMEOUT, check=False, cwd="/")
        if done.returncode != 0:
            raise OSError(done.stderr.strip())
        return done.stdout.strip()

    def writer(self, cluster):
        writer = Writer(self.secret(cluster))
        self.writers.append(writer)
        writer.wait(20)
        return writer

    # --- the end ---

    def show(self):
        with contextlib.suppress(Exception):
            self.forget()
            for item in self.get("postgresclusters")["items"]:
                print(json.dumps(item.get("status"), indent=1), file=sys.stderr)
            print(json.dumps(self.get("postgresinstances")["items"], indent=1)[-6000:], file=sys.stderr)
        for path in sorted(glob.glob(f"{self.folder}/instances/*/*/*/*.log")) + [self.log_path]:
            text = read_bytes(path).decode(errors="replace")
            if text:
                print(f"--- {path}\n" + "\n".join(text.splitlines()[-150:]), file=sys.stderr)

    def remove(self):
        for writer in self.writers:
            writer.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.forget()
        def is_empty():
            rest = processes_below(self.work)
            kill(*rest)
            return not rest
        with contextlib.suppress(TimeoutError):  # the guardian goes on
            live.until(is_empty, "the end of all processes")
        if not os.environ.get("HARNESS_KEEP"):
            shutil.rmtree(self.work, ignore_errors=True)


def main(test, *options):
    """Runs test(tap, server) on a started server; everything is shown when something fails."""
    tap = live.Tap()
    server = Local(*options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        test(tap, server.start())
        tap.check("the server still lives and stops with 0", server.is_alive() and server.stop() == 0, server.log()[-4000:])
    except Exception as error:  # pylint: disable=broad-except
        import traceback
        tap.check("no exception", False, repr(error)[:4000], traceback.format_exc())
    finally:
        if tap.failed:
            server.show()
        server.remove()
    sys.exit(tap.end())
