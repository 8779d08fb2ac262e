#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM in the middle of work, a second one, a changed certificate, a port that is taken."""
import json
import os
import signal
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "harness"))
# pylint: disable=wrong-import-position
import live
from live import CLUSTERS

DELAY = "--shutdown-delay-duration=15s"  # what is done meanwhile needs a handshake or two, on a busy machine


def slow_post(server, name):
    """A request over HTTP/1.1 whose body has come half, and the rest of it."""
    body = json.dumps(live.cluster(name)).encode()
    connection = server.http1()
    connection.stream.sendall(f"POST {CLUSTERS} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body[:20])
    return connection, body[20:]


def slow_post_2(connection, name):
    body = json.dumps(live.cluster(name)).encode()
    stream = connection.send("POST", CLUSTERS, body[:20], end=False)
    return stream, body[20:]


def refused(server):
    try:
        server.connect().close()
        return False
    except TimeoutError:
        return False
    except OSError:
        return True


def graceful(tap, server):
    watch1 = server.http1()
    frames = watch1.watch(CLUSTERS + "?watch=true")
    both = server.http2()
    watch2 = both.watch(CLUSTERS + "?watch=true")
    slow1, rest1 = slow_post(server, "slow1")
    slow2, rest2 = slow_post_2(both, "slow2")
    idle, health = server.http2(), server.http1()
    idle.call("GET", "/livez")
    health.call("GET", "/readyz")
    server.process.send_signal(signal.SIGTERM)

    answer = live.until(lambda: (lambda a: a if a.status != 200 else None)(health.call("GET", "/readyz?verbose")), "readyz to fail")
    tap.check("/readyz fails first, and says why", answer.status == 500 and b"[-]shutdown failed" in answer.body, answer)
    tap.check("requests are still answered", server.http1().call("POST", CLUSTERS, live.cluster("late")).status == 201)
    live.until(lambda: refused(server), "connections to be refused")
    while not idle.goaway:
        idle.pump()
    tap.check("an idle connection gets GOAWAY without an error", idle.goaway[1] == 0, idle.goaway)
    slow1.stream.sendall(rest1)
    response = slow1.response("POST")
    tap.check("a slow POST over HTTP/1.1 finishes", response.status == 201 and response.getheader("connection") == "close", response.status)
    both.send_body(slow2, rest2)
    answer = both.finish(slow2)
    tap.check("a slow POST over HTTP/2 finishes", answer.status == 201 and both.goaway and both.goaway[1] == 0, answer, both.goaway)
    seen = [json.loads(line)["object"]["metadata"]["name"] for line in frames.read().split(b"\n") if line]
    tap.check("a watch over HTTP/1.1 sees all of it and ends between two frames", sorted(seen) == ["late", "slow1", "slow2"], seen)
    while not watch2.stream.is_over:
        both.pump()
    seen = [json.loads(line)["object"]["metadata"]["name"] for line in watch2.stream.body.split(b"\n") if line]
    tap.check("a watch over HTTP/2 too, without a reset", sorted(seen) == ["late", "slow1", "slow2"] and not watch2.stream.error, seen)
    code = server.wait()
    tap.check("the server exits with 0", code == 0, code)
    tap.check("its log ends with what it did", "stopping" in server.log() and "stopped" in server.log(), server.log())

    server.options = ()
    server.start()
    names = [item["metadata"]["name"] for item in server.call("GET", CLUSTERS).json["items"]]
    tap.check("what was acknowledged is there", names == ["late", "slow1", "slow2"], names)


def hung(tap, server):
    """A request that never comes to its end holds the stop up for --shutdown-timeout, not longer."""
    server.stop()
    server.start("--shutdown-timeout=1s")
    connection, _ = slow_post(server, "never")
    code = server.stop(25)  # without the option it would be half a minute
    tap.check("a request that never ends does not hold the stop up for ever", code == 0, code)
    connection.close()
    server.start(DELAY)
    tap.check("it left nothing", server.call("GET", CLUSTERS + "/never").status == 404)


def impatient(tap, server):
    connection, _ = slow_post(server, "never")
    server.process.send_signal(signal.SIGTERM)
    live.until(lambda: "stopping" in server.log(), "the log to say so")
    server.process.send_signal(signal.SIGTERM)
    code = server.wait()
    tap.check("a second SIGTERM ends it at once, with 1", code == 1, code)
    connection.close()
    server.start()
    tap.check("the store is whole afterwards", len(server.call("GET", CLUSTERS).json["items"]) == 3)
    server.process.send_signal(signal.SIGINT)
    code = server.wait()
    tap.check("SIGINT is a clean stop, too", code == 0, code)
    server.start()


def taken(tap, server):
    """A second server on the same port, or on the same folder."""
    other = live.Server(folder=server.folder)
    other.spawn()
    code = other.wait()
    tap.check("a second server on the same folder is refused", code == 1 and "store.db" in other.log() and "in use" in other.log(), code, other.log())
    other.remove()
    other = live.Server()
    other.port = server.port
    other.spawn()
    code = other.wait()
    tap.check("a port that is taken is named", code == 1 and f"port {server.port}" in other.log() and "in use" in other.log(), code, other.log())
    other.remove()


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def new_certificate(server, name):
    """Another certificate of the same CA over the old one, key first, each by a rename."""
    key, request, certificate = (os.path.join(server.work, f"new.{x}") for x in ("key", "csr", "crt"))
    extensions = os.path.join(server.work, "extensions")
    with open(extensions, "w", encoding="utf-8") as out:
        out.write("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", request, "-CA", server.pki("ca.crt"), "-CAkey", server.pki("ca.key"), "-set_serial", "77", "-days", "300",
            "-extfile", extensions, "-out", certificate)
    os.rename(key, server.pki("server.key"))
    os.rename(certificate, server.pki("server.crt"))


def presented(server):
    with server.connect() as stream:
        return dict(pair[0] for pair in stream.getpeercert()["subject"])["commonName"]


def rotation(tap, server):
    watch = server.http2()
    opened = watch.watch(CLUSTERS + "?watch=true&resourceVersion=" + str(server.revision()))
    new_certificate(server, "renewed")
    tap.becomes("new connections get a new certificate", lambda: presented(server) == "renewed")
    tap.check("connections that are open go on", server.call("POST", CLUSTERS, live.cluster("rotated")).status == 201)
    while b"\n" not in opened.stream.body.lstrip(b"\n"):
        watch.pump()
    tap.check("a watch that is open goes on, too", b"rotated" in opened.stream.body and not opened.stream.is_over, opened.stream.body)
    with open(server.pki("server.crt"), "w", encoding="utf-8") as out:
        out.write("nonsense\n")
    live.until(lambda: "changed certificates are not used" in server.log(), "the complaint")
    tap.check("a certificate that is none is not used", presented(server) == "renewed")
    new_certificate(server, "again")
    tap.becomes("the next good one is", lambda: presented(server) == "again")


def bounded(tap, server):
    """A revision that does not come: 3 s are the rule, --request-timeout ends it sooner."""
    revision = server.revision()
    server.stop()
    server.start("--request-timeout=1s")
    answer = server.call("GET", f"{CLUSTERS}?resourceVersion={revision + 1000}")
    tap.check("--request-timeout ends a request that waits", answer.status == 504 and b"allotted timeout" in answer.body, answer)
    server.stop()
    server.start()


def no_protocol(tap, server):
    """TLS 1.1 and no TLS at all."""
    context = server.context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with live.socket.create_connection(("127.0.0.1", server.port), live.TIMEOUT) as plain, \
            context.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
        tap.check("TLS 1.2 is spoken", stream.version() == "TLSv1.2")
    with server.connect() as stream:
        tap.check("TLS 1.3 is preferred", stream.version() == "TLSv1.3")


def test(tap, server):
    graceful(tap, server)
    hung(tap, server)
    impatient(tap, server)
    taken(tap, server)
    bounded(tap, server)
    no_protocol(tap, server)
    rotation(tap, server)


if __name__ == "__main__":
    live.main(test, DELAY)
