# SPDX-License-Identifier: Apache-2.0
"""Silence is no proof of death: a condition and 409, only `force` goes on; unsafe actions are refused; a new server program
restarts nothing; `describe` has the story."""
import os
import shutil
import signal
import time

import local
from local import live


def refused(tap, answer, what, *words):
    good = answer.status == 409 and answer.json.get("reason") == "Conflict"
    tap.check(f"409: {what}", good and all(w in answer.json["message"] for w in words), answer)


def check_no_candidate(tap, server):
    standbys, term = server.standbys("pg"), server.status("pg")["term"]
    server.set_running("pg", standbys, False)
    try:
        live.until(lambda: server.status("pg").get("readyInstances") == 1, "the silence of the standbys")
        refused(tap, server.action("pg", "switchover"), "switchover without a standby that streams", "standby")
        refused(tap, server.action("pg", "switchover", target=standbys[0]), "switchover to one that does not answer")
        refused(tap, server.action("pg", "failover"), "failover while nobody could take over", "standby")
        tap.check("Ready is False, the primary is available", server.condition("pg", "Ready")["status"] == "False" and
                  server.condition("pg", "PrimaryAvailable")["status"] == "True", server.status("pg"))
    finally:
        server.set_running("pg", standbys, True)
    server.wait_ready("pg")
    tap.check("refusals change nothing", server.status("pg")["term"] == term)


def check_silence(tap, server, writer):
    primary, term = server.primary("pg"), server.status("pg")["term"]
    before = server.postmasters("pg")
    writer.mark()
    agent = server.agent("pg", primary)
    os.kill(agent, signal.SIGSTOP)
    try:
        live.until(lambda: server.condition("pg", "PrimaryAvailable").get("status") == "False", "the condition")
        condition = server.condition("pg", "PrimaryAvailable")
        tap.check("silence: the condition says that nothing is proved", "silent" in condition["message"] and
                  "proves" in condition["message"], condition)
        refused(tap, server.action("pg", "failover"), "failover from one that is only silent", "force")
        refused(tap, server.action("pg", "switchover"), "switchover from one that is silent")
        # Nothing is to happen, so there is nothing to wait for but time: longer than any failover takes.
        time.sleep(8)
        tap.check("silence alone changes no primary, and writes go on", server.status("pg")["term"] == term and
                  writer.failures() == 0, server.status("pg"), writer.failures())
    finally:
        os.kill(agent, signal.SIGCONT)
    server.wait_ready("pg")
    tap.check("it goes on where it was", server.primary("pg") == primary and server.postmasters("pg") == before)
    acknowledged, missing = writer.verify()
    tap.check(f"none of {acknowledged} acknowledged rows is missing", missing == 0, missing)


def check_hanging(tap, server):
    """Sessions go on, but nobody new is let in: told, and no reason to replace it."""
    primary, term = server.primary("pg"), server.status("pg")["term"]
    pid = server.postmaster("pg", primary)[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        live.until(lambda: server.condition("pg", "PrimaryAvailable").get("status") == "False", "the condition")

        def told():
            return server.condition("pg", "PrimaryAvailable"), server.instances("pg")[primary]

        def is_told():
            condition, shown = told()
            return condition.get("reason") == "Unhealthy" and not shown["ready"] and shown.get("message") == condition.get("message")
        tap.becomes("a postmaster that hangs makes the primary unhealthy", is_told, told)
    finally:
        os.kill(pid, signal.SIGCONT)
    server.wait_ready("pg")
    tap.check("it goes on in the same term", server.status("pg")["term"] == term and
              server.postmaster("pg", primary)[0] == pid, server.status("pg"))


def check_force(tap, server):
    """Stopped for sure, which only the operator can know: replaced, and rewound when it comes back."""
    primary, term = server.primary("pg"), server.status("pg")["term"]
    server.set_running("pg", [primary], False)
    try:
        live.until(lambda: server.condition("pg", "PrimaryAvailable").get("status") == "False", "the condition")
        answer = server.action("pg", "failover", force=True, reason="unplugged")
        tap.check("force: true replaces one that does not answer", answer.status == 200 and answer.json["from"] == primary and
                  answer.json["term"] == term + 1, answer)
        tap.check("its loss is not said to be 0", answer.json.get("lostBytesBound") is None, answer)
    finally:
        server.set_running("pg", [primary], True)
    server.wait_ready("pg")
    tap.check("the old one is a standby now", server.instances("pg")[primary]["role"] == "standby")
    rows = {server.sql("pg", "SELECT pg_is_in_recovery()", i) for i in server.instances("pg") if i != server.primary("pg")}
    tap.check("there is one primary", rows == {"t"}, rows)


def check_new_program(tap, server, writer):
    """The server's program is replaced, and the agents' beside it: both by new files."""
    before, agents = server.postmasters("pg"), {i: server.agent("pg", i) for i in server.instances("pg")}
    writer.mark()
    server.stop()
    tap.check("nothing is an orphan of the server: PostgreSQL goes on without it",
              {i: server.postmaster("pg", i) for i in before} == before)
    folder = os.path.join(server.work, "new")
    os.mkdir(folder)
    for name in ("postgres-apiserver", "postgres-agent"):
        shutil.copy2(os.path.join(os.path.dirname(live.PROGRAM), name), folder)
    old, live.PROGRAM = live.PROGRAM, os.path.join(folder, "postgres-apiserver")
    server.start()
    server.wait_ready("pg")
    live.PROGRAM = old
    writer.wait(20)
    tap.check("a new program of the server restarts no PostgreSQL and no agent", server.postmasters("pg") == before and
              {i: server.agent("pg", i) for i in before} == agents, before, server.postmasters("pg"))
    tap.check("no write failed meanwhile", writer.failures() == 0, writer.failures())


def check_story(tap, server):
    def text():
        return "\n".join(f"{e['reason']}: {e['message']}" for e in server.events("pg"))
    words = ("WaitingForPrimary", "unplugged", "PrimaryChanged", "not known")
    tap.becomes("the events tell of the silence and of the forced failover", lambda: all(w in text() for w in words), text)


def test(tap, server):
    server.create("pg", instances=3)
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    writer = server.writer("pg")
    check_no_candidate(tap, server)
    check_silence(tap, server, writer)
    check_hanging(tap, server)
    check_new_program(tap, server, writer)
    check_force(tap, server)
    check_story(tap, server)


if __name__ == "__main__":
    local.main(test)
