# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each part under load: writes come back by themselves, nothing acknowledged is lost in a restart in place."""
import time

import local
from local import live


RESTART_WAIT_MS = 6000  # so long a primary may take to restart in place; then another one takes over


def check_rows(tap, server, what, writer, term):
    """Without synchronous standbys a change of primary may lose something, and then it does not say that nothing was lost."""
    acknowledged, missing = writer.verify()
    last = server.status("pg").get("lastFailover", {})
    may_lose = last.get("term", 0) > term and last.get("lostBytesBound") != 0
    tap.check(f"{what}: none of {acknowledged} acknowledged rows is missing", missing == 0 or may_lose, missing, last)


def check_place(tap, server, sentence, primary, gap):
    tap.check(f"{sentence}, as it was quick enough", server.primary("pg") == primary or gap >= RESTART_WAIT_MS, gap, server.status("pg"))


def crash(tap, server, writer, what, kill):
    """Kills, waits until writes are acknowledged again and everything is ready, and checks what must hold."""
    term = server.status("pg")["term"]
    writer.mark()
    kill()
    writer.wait(30)
    gap = writer.gap_ms()
    ready = server.wait_ready("pg")
    writer.wait(10)
    gap = max(gap, writer.gap_ms())
    print(f"# {what}: writes stopped for {gap:.0f} ms, all ready {ready:.1f} s later")
    tap.check(f"{what}: writes come back by themselves", server.works("pg"))
    check_rows(tap, server, what, writer, term)
    return gap


def test(tap, server):
    server.create("pg", instances=3)
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    writer = server.writer("pg")
    primary = server.primary("pg")

    before = server.postmasters("pg")
    gap = crash(tap, server, writer, "the primary's postmaster", lambda: local.kill(before[primary][0]))
    check_place(tap, server, "the primary restarted in place", primary, gap)
    tap.check("it is another process", server.postmaster("pg", primary) != before[primary], before)

    primary = server.primary("pg")
    killed = server.agent("pg", primary)
    crash(tap, server, writer, "the primary's agent", lambda: local.kill(killed))

    def has_another_agent():
        pid = server.agent("pg", primary)
        return pid != killed and pid in server.processes_of("pg", primary)

    tap.becomes("it has another agent", has_another_agent)

    # Now it is another one's turn: refused while nobody has everything, so the standbys are back first.
    server.wait_ready("pg")
    answer = server.action("pg", "switchover")
    tap.check("a switchover works between crashes", answer.status == 200, answer)
    server.wait_ready("pg")
    primary = server.primary("pg")
    both = server.agent("pg", primary), server.postmaster("pg", primary)[0]
    crash(tap, server, writer, "agent and postmaster at once", lambda: local.kill_all(lambda: both))

    gap = crash(tap, server, writer, "every process of the primary at once", lambda: server.kill_instance("pg", primary))
    check_place(tap, server, "it restarted in place", primary, gap)

    primary = server.primary("pg")
    standby = server.standbys("pg")[0]
    old = server.postmaster("pg", standby)
    crash(tap, server, writer, "a standby's postmaster", lambda: local.kill(old[0]))
    tap.check("writes do not notice a standby's crash", writer.failures() == 0, writer.failures())
    live.until(lambda: server.postmaster("pg", standby) not in (None, old), "the standby's new postmaster")

    crash(tap, server, writer, "every process of a standby", lambda: server.kill_instance("pg", standby))
    tap.check("writes do not notice a standby's death", writer.failures() == 0, writer.failures())

    # Nobody leads: the agent restarts PostgreSQL by itself after its grace.
    primary = server.primary("pg")
    writer.mark()
    killed = server.postmaster("pg", primary)
    server.kill()
    local.kill(killed[0])
    began = time.monotonic()
    writer.wait(30)
    print(f"# server and primary at once: writes stopped for {writer.gap_ms():.0f} ms without any server")
    tap.check("without a server the agent restarts PostgreSQL by itself", server.postmaster("pg", primary) not in (None, killed))
    server.start()
    server.wait_ready("pg")
    acknowledged, missing = writer.verify()
    tap.check(f"server and primary at once: none of {acknowledged} acknowledged rows is missing", missing == 0, missing)
    tap.check("the primary stayed where it was", server.primary("pg") == primary)
    print(f"# {time.monotonic() - began:.1f} s until all was ready again")

    began, term = time.monotonic(), server.status("pg")["term"]
    server.kill()
    server.kill_instance("pg", primary)
    writer.mark()
    server.start()
    writer.wait(30)
    server.wait_ready("pg")
    print(f"# server and all of the primary: {time.monotonic() - began:.1f} s, longest gap {writer.gap_ms():.0f} ms")
    check_rows(tap, server, "server and all of the primary", writer, term)


if __name__ == "__main__":
    local.main(test)
