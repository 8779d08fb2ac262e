# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the server: instances go on, no write fails, a new server adopts them and restarts nothing."""
import time

import local


def test(tap, server):
    server.create("pg", instances=3)
    print(f"# three ready after {server.wait_ready('pg'):.1f} s")
    writer = server.writer("pg")
    before = server.postmasters("pg")
    agents = {i: server.agent("pg", i) for i in before}
    term = server.status("pg")["term"]

    for round_ in range(2):
        writer.mark()
        server.kill()
        writer.wait(200)
        tap.check(f"{round_}: no write fails while the server is dead", writer.failures() == 0, writer.failures())
        began = time.monotonic()
        server.start()
        server.wait_ready("pg")
        print(f"# ready again {time.monotonic() - began:.2f} s after the start, longest gap {writer.gap_ms():.0f} ms")
        writer.wait(50)
        tap.check(f"{round_}: no write fails while it comes back", writer.failures() == 0, writer.failures())
        tap.check(f"{round_}: every PostgreSQL is the same process", server.postmasters("pg") == before, before,
                  server.postmasters("pg"))
        tap.check(f"{round_}: every agent is the same process", {i: server.agent("pg", i) for i in before} == agents)
        tap.check(f"{round_}: the term is the same", server.status("pg")["term"] == term)

    tap.check("it stops with 0", server.stop() == 0)
    writer.wait(50)
    server.start()
    server.wait_ready("pg")
    tap.check("a stop and a start restart nothing", server.postmasters("pg") == before and writer.failures() == 0)

    answer = server.action("pg", "switchover", reason="after the restart")
    tap.check("an action works afterwards", answer.status == 200 and answer.json["lostBytesBound"] == 0, answer)
    server.wait_ready("pg")
    writer.wait(50)
    acknowledged, missing = writer.verify()
    tap.check(f"none of {acknowledged} acknowledged rows is missing", missing == 0 and acknowledged > 300, missing)


if __name__ == "__main__":
    local.main(test)
