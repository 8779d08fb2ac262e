#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bad_input.py [UPDATE]: every case of bad_input_cases.py over HTTP/1.1 and HTTP/2, and the rudest ones on bare sockets.

Each answer must be the Status that bad_input.golden says, on both, and leave the store's revision as it was. UPDATE=1 in
the environment rewrites the golden file.
"""
import contextlib
import json
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "harness"))
# pylint: disable=wrong-import-position
import live
from bad_input_cases import CASES, TOKENS, prepare

GOLDEN = os.path.join(os.path.dirname(os.path.realpath(__file__)), "bad_input.golden")


def shorten(text):
    """What differs from run to run gets a name; what is repeated a thousand times is cut."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<UID>", text)
    text = re.sub(r"(current: |object meta: )\d+", r"\1<RV>", text)
    text = re.sub(r"\bDemo-[a-z0-9]{5}\b", "Demo-<NAME>", text)
    return text if len(text) <= 400 else f"{text[:200]} … {text[-150:]}"


def summary(answer):
    """One line for a Status; anything else is said to be none."""
    try:
        status = answer.json
        kind = status["kind"]
    except (ValueError, KeyError, TypeError):
        return f"{answer.status} no Status: {shorten(repr(answer.body))}"
    if kind != "Status":
        return f"{answer.status} a {kind}"
    line = f"{status['code']} {status.get('reason', '-')}: {status['message']}"
    if status["code"] != answer.status:
        line = f"{answer.status} but " + line
    for cause in status.get("details", {}).get("causes", []):
        line += f" | {cause.get('reason')} at {cause.get('field', '-')}"
    if "retryAfterSeconds" in status.get("details", {}):
        line += f" | retry after {status['details']['retryAfterSeconds']} s"
    return shorten(json.dumps(line, ensure_ascii=False)[1:-1])


def one(call, case):
    try:
        return summary(call(case.method, case.path, case.body, case.headers))
    except ConnectionError as error:
        return f"connection ended: {error}"


def read_golden():
    golden = {}
    if os.path.exists(GOLDEN):
        with open(GOLDEN, encoding="utf-8") as lines:
            for line in lines:
                if not line.startswith("#"):
                    name, _, rest = line.rstrip("\n").partition(" => ")
                    golden[name] = rest
    return golden


class Caller:
    """Connections of one protocol that are made anew when the server ended them."""

    def __init__(self, server, protocol, **options):
        self.open = lambda: getattr(server, protocol)(**options)
        self.connection = None

    def __call__(self, *request):
        if self.connection is None:
            self.connection = self.open()
        try:
            answer = self.connection.call(*request)
        except BaseException:
            self.connection = None
            raise
        if getattr(self.connection, "is_over", False) or getattr(self.connection, "goaway", None):
            self.connection = None
        return answer


def run_table(tap, server):
    golden, seen, rewritten = read_golden(), set(), []
    callers = {(protocol, admin): Caller(server, protocol, admin=admin)
               for protocol in ("http1", "http2") for admin in (True, False)}
    before = server.revision()
    for case in CASES:
        lines = {protocol: one(callers[protocol, case.admin], case) for protocol in ("http1", "http2")}
        after = server.revision()
        expected = lines["http1"] if os.environ.get("UPDATE") == "1" else golden.get(case.name)
        for protocol, line in lines.items():
            if protocol in case.only:
                tap.check(f"{protocol}: {case.name}", line == expected and after == before,
                          f"expected {expected}", f"actual   {line}", f"revision {before} -> {after}")
        before = after
        seen.add(case.name)
        rewritten.append(f"{case.name} => {lines['http1']}\n")
    if os.environ.get("UPDATE") == "1":
        with open(GOLDEN, "w", encoding="utf-8") as out:
            out.write("# Each bad request and its answer: code, reason, message | causes. UPDATE=1 bad_input.py rewrites it.\n")
            out.writelines(rewritten)
    else:
        tap.check("every line of the golden file has its case", not set(golden) - seen, sorted(set(golden) - seen))


# --- bare sockets ------------------------------------------------------------------------------------------------------

def raw_answer(server, data, wrapped=True):
    """All that comes back for these bytes until the server closes, which it does behind a refusal."""
    if wrapped:
        stream = server.connect()
    else:
        stream = socket.create_connection(("127.0.0.1", server.port), live.TIMEOUT)
    with stream:
        got = b""
        try:
            stream.sendall(data)
            while part := stream.recv(65536):
                got += part
        except OSError:
            pass
        return got


HOST = b"Host: 127.0.0.1\r\n"
CREATE = b"POST " + live.CLUSTERS.encode() + b" HTTP/1.1\r\n" + HOST
RAW = [ # name, bytes, the code of the Status that comes back
    ("garbage instead of HTTP", b"\x16\x03\x01 garbage\r\n\r\n", 400),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ("a version that does not exist", b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    ("HTTP/2 without having agreed on it", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("a header without a colon", b"GET /livez HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n", 400),
    ("a header name with a space", b"GET /livez HTTP/1.1\r\n" + HOST + b"a b: c\r\n\r\n", 400),
    ("a NUL in a header", b"GET /livez HTTP/1.1\r\n" + HOST + b"a: b\0c\r\n\r\n", 400),
    ("a header on two lines", b"GET /livez HTTP/1.1\r\n" + HOST + b"a: b\r\n c\r\n\r\n", 400),
    ("a space in the target", b"GET /livez /readyz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("101 headers", b"GET /livez HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 100 + b"\r\n", 431),
    ("2000 headers", b"GET /livez HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 2000 + b"\r\n", 431),
    ("a header of 100 KiB", b"GET /livez HTTP/1.1\r\n" + HOST + b"a: " + b"b" * (100 << 10) + b"\r\n\r\n", 431),
    ("a header of 1 MiB", b"GET /livez HTTP/1.1\r\n" + HOST + b"a: " + b"b" * (1 << 20) + b"\r\n\r\n", 431),
    ("headers of 3 MiB", b"GET /livez HTTP/1.1\r\n" + HOST + b"a: b\r\n" * (1 << 19) + b"\r\n", 431),
    ("a target of 1 MiB", b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    ("a length that is no number", CREATE + b"Content-Length: x\r\n\r\n", 400),
    ("a negative length", CREATE + b"Content-Length: -5\r\n\r\n", 400),
    ("a length beyond 64 bits", CREATE + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", 400),
    ("a length of 5 MiB, and the body", CREATE + b"Content-Length: 5242880\r\n\r\n" + b"x" * 5242880, 413),
    ("a chunk size that is no number", CREATE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400),
    ("a transfer encoding that does not exist", CREATE + b"Transfer-Encoding: magic\r\n\r\n{}", 400),
    ("two lengths", CREATE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 400),
    ("an expectation that does not exist", CREATE + b"Content-Length: 2\r\nExpect: magic\r\n\r\n{}", 417),
]


def status_of(answer):
    """The code when it is a Status of that code and nothing follows; else what it is."""
    head, _, body = answer.partition(b"\r\n\r\n")
    try:
        status = json.loads(body)
        code = status["code"] if status["kind"] == "Status" else body
    except (ValueError, KeyError):
        return answer
    return code if head.startswith(b"HTTP/1.1 %d " % code) and b"application/json" in head else answer


def run_raw(tap, server):
    """Also behind a request that is answered: the library reads both at once."""
    before, good = server.revision(), b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
    for name, data, code in RAW:
        answer = raw_answer(server, data)
        tap.check(f"bytes: {name}", status_of(answer) == code and server.revision() == before, f"{answer!r:.400}, expected {code}")
        first, _, second = raw_answer(server, good + data).partition(b"\r\n\r\nok")
        tap.check(f"bytes: {name}, behind another request", first.startswith(b"HTTP/1.1 200 ") and status_of(second) == code,
                  f"{first!r:.400} {second!r:.400}, expected {code}")
    line = raw_answer(server, good, wrapped=False)
    tap.check("bytes: HTTP without TLS", not line.startswith(b"HTTP/1.1 200"), line)


def smuggled(tap, server):
    """Two lengths of one body: what follows may be a request to one and a body to another, so it is neither."""
    hidden = b"GET /version HTTP/1.1\r\n" + HOST + b"\r\n"
    for name, lengths in {"no length and one": b"Content-Length: 0\r\nContent-Length: 5\r\n",
                          "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
                          "a length and a coding": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                          "a coding and a length": b"transfer-encoding: chunked\r\ncontent-length: 5\r\n"}.items():
        with server.connect() as stream, contextlib.suppress(ConnectionError):
            stream.sendall(b"POST " + live.CLUSTERS.encode() + b" HTTP/1.1\r\n" + HOST + lengths + b"\r\n0\r\n\r\n" + hidden)
            got = b""
            while part := stream.recv(65536):
                got += part
        tap.check(f"bytes: {name}, and a request behind", got.startswith(b"HTTP/1.1 400") and got.count(b"HTTP/1.1 ") == 1, got)


def far_too_large(tap, server):
    """Above 4 MiB nobody keeps it in memory, and it is refused once: HTTP/2 must not say "try again"."""
    body, before = b"[" + b" " * (5 << 20) + b"]", server.revision()
    tap.check("http1: a body of 5 MiB", server.http1().call("POST", live.CLUSTERS, body).status == 413)
    answer = server.http1().call("POST", live.CLUSTERS, b"500002\r\n" + body + b"\r\n", {"transfer-encoding": "chunked"})
    tap.check("http1: a chunk of 5 MiB", answer.status == 413, answer)
    connection = server.http2()
    # Together far more than the window of a connection, which is 16 MiB.
    answers = [connection.call("POST", live.CLUSTERS, body, length) for length in ({}, {"content-length": str(len(body))}) * 5]
    tap.check("http2: a body of 5 MiB, again and again, is 413 in words",
              all(a.status == 413 and a.json["reason"] == "RequestEntityTooLarge" for a in answers), answers)
    tap.check("http2: the connection goes on", connection.call("GET", live.CLUSTERS).status == 200 and server.revision() == before)


def rapid_reset(tap, server):
    """Streams that are begun and reset at once: the connection may be ended, the server answers others."""
    connection = server.http2()
    try:
        for _ in range(5000):
            stream = connection.send("GET", live.CLUSTERS)
            connection.socket.sendall(connection.frame(live.RST_STREAM, 0, stream.number, b"\0\0\0\x08"))
    except OSError:
        pass
    connection.close()
    tap.check("HTTP/2: 5000 requests that are reset at once", server.call("GET", live.CLUSTERS).status == 200)


def broken_frames(tap, server):
    frame = live.Http2.frame
    broken = {
        "data on a stream that was never begun": frame(live.DATA, 0, 7, b"x"),
        "headers on an even stream": frame(live.HEADERS, live.END_HEADERS, 2, b"\x82"),
        "a header block that is garbage": frame(live.HEADERS, live.END_HEADERS, 1, b"\xff" * 50),
        "a frame above the largest size": frame(live.DATA, 0, 1, b"x" * 20000),
        "a window of zero": frame(live.WINDOW_UPDATE, 0, 0, b"\0\0\0\0"),
        "settings of a wrong size": frame(live.SETTINGS, 0, 0, b"\0" * 5),
        "a continuation out of place": frame(live.CONTINUATION, live.END_HEADERS, 1, b"\x82"),
    }
    for name, data in broken.items():
        connection = server.http2()
        try:
            connection.socket.sendall(data)
            while not connection.goaway:
                connection.pump()
            ended = True
        except OSError:
            ended = True
        connection.close()
        tap.check(f"HTTP/2: {name} ends the connection only", ended and server.call("GET", live.CLUSTERS).status == 200)


def test(tap, server):
    prepare(server)
    run_table(tap, server)
    run_raw(tap, server)
    smuggled(tap, server)
    far_too_large(tap, server)
    rapid_reset(tap, server)
    broken_frames(tap, server)


if __name__ == "__main__":
    live.main(test, "--token-auth-file", TOKENS)
