# SPDX-License-Identifier: Apache-2.0
"""Certificates of instances and of their leader are renewed while everything runs, and nobody notices."""
import re
import ssl
import subprocess
import time

import local
from local import live

SECONDS = 60


def ends_at(server, instance):
    """When the certificates end that agent, PostgreSQL and the next client connection of the instance use, as openssl says."""
    host = server.instances("pg")[instance]["endpoint"].rpartition(":")[0]
    file = server.instance_folder("pg", instance) + "/pki/server.crt"
    ends = []
    for options in (["-connect", host + ":8432"], ["-starttls", "postgres", "-connect", host + ":5432"]):
        done = subprocess.run(["openssl", "s_client", *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        text = re.search(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", done.stdout, re.S)
        ends.append(end_of(text.group(0) if text else b""))
    return (*ends, end_of(local.read_bytes(file)))


def end_of(pem):
    done = subprocess.run(["openssl", "x509", "-noout", "-enddate"], input=pem, capture_output=True, timeout=60, check=False)
    return done.stdout.decode().strip()


def seconds_of(end):
    return ssl.cert_time_to_seconds(end.partition("=")[2])


def warnings(server):
    return sorted((e["reason"], e["message"], e["count"]) for e in server.events("pg") if e["type"] == "Warning")


def test(tap, server):
    server.create("pg", instances=2)
    print(f"# two ready after {server.wait_ready('pg'):.1f} s")
    writer = server.writer("pg")
    first = {}

    def all_alike():  # not while one is being renewed
        first.update((i, ends_at(server, i)) for i in server.instances("pg"))
        return all(len(set(e)) == 1 and e[0] for e in first.values())
    tap.becomes("agent, PostgreSQL and clients of an instance use one certificate", all_alike, lambda: first)
    before = server.postmasters("pg")
    told = warnings(server)
    writer.mark()
    second = {}

    def all_renewed():
        second.update((i, ends_at(server, i)) for i in first)
        return all(len(set(e)) == 1 and e[0] and e[0] != first[i][0] for i, e in second.items())
    live.until(all_renewed, lambda: f"renewal: {first} {second}", 2 * SECONDS)
    tap.check("all are renewed before the first ones end",
              all(seconds_of(second[i][0]) - SECONDS < seconds_of(first[i][0]) for i in first), first, second)
    tap.check("the leader's is renewed, too", "leader's certificate renewed" in server.log(), server.log()[-2000:])
    tap.check("no PostgreSQL was restarted for it", server.postmasters("pg") == before)

    end = max(seconds_of(e[0]) for e in first.values())
    live.until(lambda: time.time() > end + 2, "the end of the first certificates", 2 * SECONDS)
    tap.check("the client that writes all the time never failed", writer.failures() == 0, writer.failures(), writer.gap_ms())
    tap.check("nothing was unreachable meanwhile", warnings(server) == told, told, warnings(server))
    # New connections on every side: of the leader, of the standby, of a client.
    answer = server.action("pg", "switchover")
    tap.check("afterwards agents obey", answer.status == 200, answer)
    server.wait_ready("pg")
    tap.check("a new client verifies the new certificate", server.sql("pg", "SELECT 1") == "1")
    acknowledged, missing = writer.verify()
    tap.check(f"none of {acknowledged} acknowledged rows is missing", missing == 0, missing)


if __name__ == "__main__":
    local.main(test, "--controllers=*", f"--cluster-signing-duration={SECONDS}s")
