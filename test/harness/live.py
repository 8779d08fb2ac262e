# SPDX-License-Identifier: Apache-2.0
"""For tests in Python against the real server: start, kill and stop it, HTTP/1.1 and HTTP/2 over TLS, watches, TAP.

Standard library alone. HTTP/2 is the little of RFC 9113 that a client needs; of headers it reads only the status.
"""
import base64
import contextlib
import http.client
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

PROJECT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
PROGRAM = os.environ.get("SERVER", os.path.join(PROJECT, "build", "postgres-apiserver"))
CLUSTERS = "/apis/postgres.example.io/v1/namespaces/default/postgresclusters"
TIMEOUT = 120  # what only a real failure reaches, however slow the machine
KEPT_SECONDS = 60  # the server ends a connection that was idle for twice as long
READY = re.compile(r'(?:msg)"?[=:] ?"?ready')


def until(condition, what, seconds=TIMEOUT):
    """Waits for a condition that nothing announces; its true value. What cannot be asked yet is not true yet."""
    deadline = time.monotonic() + seconds
    while True:
        error = None
        try:
            value = condition()
        except OSError as e:
            value, error = None, e
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up waiting for {what() if callable(what) else what}") from error
        select.select([], [], [], 0.02)


class Tap:
    """Numbered results on stdout; `end` gives the exit code."""

    def __init__(self):
        self.count = self.failed = 0
        print("TAP version 13", flush=True)

    def check(self, sentence, good, *explanation):
        self.count += 1
        print(f"{'ok' if good else 'not ok'} {self.count} - {sentence}", flush=True)
        if not good:
            self.failed += 1
            for text in explanation:
                for line in str(text).splitlines():
                    print("# " + line, flush=True)
        return good

    def becomes(self, sentence, condition, explanation=None, seconds=TIMEOUT):
        """A check of what comes true soon, but not at once."""
        try:
            return self.check(sentence, until(condition, sentence, seconds))
        except TimeoutError as e:
            return self.check(sentence, False, explanation() if explanation else f"not within {seconds} s", e.__cause__ or "")

    def skip(self, sentence, why):
        self.count += 1
        print(f"ok {self.count} - {sentence} # SKIP {why}", flush=True)

    def end(self):
        print(f"1..{self.count}", flush=True)
        return 1 if self.failed or not self.count else 0


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:2000]!r}"


def free_port():
    """One below those that the kernel gives to clients: while a server restarts nobody else may come to sit on its port."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first = int(file.read().split()[0])
    for _ in range(100):
        port = random.randrange(10000, max(first, 10001))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    return 0


def guard(folder):
    """However this test ends, nothing that it started for the folder outlives it."""
    subprocess.Popen([os.path.join(PROJECT, "test", "harness", "guardian"), str(os.getpid())], start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                     env={**os.environ, "GUARDED": folder})


class Server:
    """One server with its data folder; the same port over restarts."""

    def __init__(self, *options, folder=None):
        self.options = options
        self.work = tempfile.mkdtemp(prefix="live.")
        guard(self.work)
        os.chmod(self.work, 0o711)
        self.folder = folder or os.path.join(self.work, "data")
        self.log_path = os.path.join(self.work, "server.log")
        self.process = None
        self.port = free_port()
        self.connection = None
        self.called_at = 0

    def spawn(self, *more):
        options = ["--controllers=", *self.options, *more]
        controllers = [o for o in options if o.startswith("--controllers=")]  # given twice they would add up
        arguments = [PROGRAM, "--standalone", "--data-dir", self.folder, "--secure-port", str(self.port), controllers[-1],
                     *(o for o in options if o not in controllers)]
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start(self, *more):
        self.spawn(*more)
        until(lambda: READY.search(self.log()) or self.process.poll() is not None, "the ready line")
        match = re.search(r'https://[^":]*:(\d+)', self.log())
        if self.process.poll() is not None or not match:
            raise RuntimeError("the server does not start:\n" + self.log())
        self.port = int(match.group(1))
        return self

    def log(self):
        """What it logged since it was started last."""
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            log.seek(self.log_start)
            return log.read()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.forget()

    def stop(self, seconds=TIMEOUT):
        """SIGTERM; its exit code, -9 when it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds=TIMEOUT):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.forget()
        return self.process.returncode

    def forget(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def remove(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.forget()
        shutil.rmtree(self.work, ignore_errors=True)

    def is_alive(self):
        return self.process.poll() is None

    def pki(self, name):
        return os.path.join(self.folder, "pki", name)

    def context(self, admin=True, alpn="http/1.1"):
        context = ssl.create_default_context(cafile=self.pki("ca.crt"))
        context.set_alpn_protocols([alpn])
        if admin:
            context.load_cert_chain(self.pki("admin.crt"), self.pki("admin.key"))
        return context

    def connect(self, admin=True, alpn="http/1.1", timeout=TIMEOUT):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self.context(admin, alpn).wrap_socket(plain, server_hostname="127.0.0.1")
        except BaseException:
            plain.close()
            raise

    def http1(self, **options):
        return Http1(self.connect(**options))

    def http2(self, **options):
        return Http2(self.connect(alpn="h2", **options))

    def call(self, method, path, body=None, **options):
        """One request as admin over a connection that is kept; a dict becomes JSON."""
        if time.monotonic() - self.called_at > KEPT_SECONDS:
            self.forget()
        if not self.connection:
            self.connection = self.http1()
        self.called_at = time.monotonic()
        try:
            return self.connection.call(method, path, body, **options)
        except BaseException:
            self.forget()
            raise
        finally:
            if self.connection and self.connection.is_over:
                self.forget()

    def revision(self):
        """The newest revision of the store."""
        answer = self.call("GET", CLUSTERS + "?limit=1")
        if answer.status != 200:
            raise RuntimeError(f"list failed: {answer}")
        return int(answer.json["metadata"]["resourceVersion"])


def encode(body, headers):
    """A body as bytes and the headers that go with it."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers.setdefault("content-type", "application/json")
    elif isinstance(body, str):
        body = body.encode()
    return body, headers


class Http1:
    """Requests as raw as a test wants them, one after the other."""

    def __init__(self, stream):
        self.stream = self.socket = stream
        self.is_over = False

    def close(self):
        self.stream.close()

    def call(self, method, path, body=None, headers=None):
        self.send(method, path, body, headers)
        return self.answer(method)

    def send(self, method, path, body=None, headers=None):
        body, headers = encode(body, headers)
        text = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n".encode("latin-1")
        if body is not None and "content-length" not in headers and "transfer-encoding" not in headers:
            headers["content-length"] = str(len(body))
        for name, value in headers.items():
            text += f"{name}: {value}\r\n".encode("latin-1")
        self.send_raw(text + b"\r\n" + (body or b""))

    def raw(self, data, method="GET"):
        """Sends bytes as they are."""
        self.send_raw(data)
        return self.answer(method)

    def send_raw(self, data):
        """A server may answer and close before it has read everything."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.stream.sendall(data)

    def answer(self, method="GET"):
        response = self.response(method)
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        self.is_over = response.will_close
        return answer

    def response(self, method="GET"):
        response = http.client.HTTPResponse(self.stream, method=method)
        response.begin()
        return response

    def watch(self, path, headers=None):
        """The open answer of a watch: .status, and .readline() for frames."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self.stream.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}\r\n".encode())
        return self.response()


# --- HTTP/2 -----------------------------------------------------------------------------------------------------------

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM = ACK = 1
END_HEADERS = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
# RFC 7541 appendix B: the digits.
HUFFMAN_DIGITS = {"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6",
                  "011101": "7", "011110": "8", "011111": "9"}


def read_status(block):
    """The :status of a header block (RFC 7541); it comes first."""
    while block[0] & 0xE0 == 0x20:  # the size of the dynamic table changes
        block = block[1:]
    if block[0] & 0x80:
        return STATIC_STATUS[block[0] & 0x7F]
    name = block[0] & (0x3F if block[0] & 0x40 else 0x0F)
    if name not in STATIC_STATUS:
        raise ValueError(f"no status first: {block[:8]!r}")
    length, text = block[1] & 0x7F, block[2:2 + (block[1] & 0x7F)]
    if not block[1] & 0x80:
        return int(text[:length])
    bits = "".join(f"{byte:08b}" for byte in text)
    digits = code = ""
    for bit in bits:
        code += bit
        if code in HUFFMAN_DIGITS:
            digits, code = digits + HUFFMAN_DIGITS[code], ""
    return int(digits)


def literal(text):
    data = text.encode("latin-1") if isinstance(text, str) else text
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, out = len(data) - 127, b"\x7f"
    while rest >= 128:
        out, rest = out + bytes([rest % 128 + 128]), rest // 128
    return out + bytes([rest]) + data


class Stream:
    def __init__(self, window):
        self.status = None
        self.body = b""
        self.is_over = False
        self.error = None  # code of RST_STREAM
        self.window = window
        self.has_headers = False


class Http2:
    """One connection, used by one thread."""

    def __init__(self, stream):
        self.socket = stream
        if stream.selected_alpn_protocol() != "h2":
            raise ConnectionError("no h2")
        self.buffer = b""
        self.streams = {}
        self.next_id = 1
        self.window = 65535
        self.first_window = 65535
        self.frame_max = 16384
        self.goaway = None  # (last stream, error code) of the newest one
        self.goaways = 0
        settings = struct.pack(">HIHIHI", 1, 0, 2, 0, 4, 1 << 30)  # no dynamic table, no push, a large window
        self.socket.sendall(PREFACE + self.frame(SETTINGS, 0, 0, settings) +
                            self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 30))))

    @staticmethod
    def frame(kind, flags, stream, payload=b""):
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    def close(self):
        self.socket.close()

    def read(self, size):
        while len(self.buffer) < size:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed by the server")
            self.buffer += data
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def pump(self):
        """Reads one frame."""
        head = self.read(9)
        length, kind, flags, number = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:9], "big")
        payload = self.read(length)
        stream = self.streams.get(number)
        if kind == SETTINGS and not flags & ACK:
            self.on_settings(payload)
        elif kind == PING and not flags & ACK:
            self.socket.sendall(self.frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])
            self.goaways += 1
        elif kind == WINDOW_UPDATE:
            if stream:
                stream.window += int.from_bytes(payload, "big")
            elif number == 0:
                self.window += int.from_bytes(payload, "big")
        elif stream and kind == RST_STREAM:
            stream.error, stream.is_over = int.from_bytes(payload, "big"), True
        elif stream and kind == HEADERS:
            if not stream.has_headers:
                stream.status, stream.has_headers = read_status(payload), True
            stream.is_over |= bool(flags & END_STREAM)
        elif stream and kind == DATA:
            stream.body += payload
            stream.is_over |= bool(flags & END_STREAM)
            if length:
                self.socket.sendall(self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", length)) +
                                    self.frame(WINDOW_UPDATE, 0, number, struct.pack(">I", length)))

    def on_settings(self, payload):
        for at in range(0, len(payload), 6):
            name, value = struct.unpack(">HI", payload[at:at + 6])
            if name == 4:
                for stream in self.streams.values():
                    stream.window += value - self.first_window
                self.first_window = value
            elif name == 5:
                self.frame_max = value
        self.socket.sendall(self.frame(SETTINGS, ACK, 0))

    def send(self, method, path, body=None, headers=None, end=True):
        """Begins a request; its stream."""
        body, headers = encode(body, headers)
        block = b""
        for name, value in [(":method", method), (":scheme", "https"), (":authority", "127.0.0.1"), (":path", path),
                            *headers.items()]:
            block += b"\x00" + literal(name) + literal(value)
        number, self.next_id = self.next_id, self.next_id + 2
        stream = self.streams[number] = Stream(self.first_window)
        stream.number = number
        parts = [block[i:i + self.frame_max] for i in range(0, len(block), self.frame_max)]
        last = END_STREAM if body is None and end else 0
        for i, part in enumerate(parts):
            flags = (END_HEADERS if i == len(parts) - 1 else 0) | (last if i == 0 else 0)
            self.socket.sendall(self.frame(HEADERS if i == 0 else CONTINUATION, flags, number, part))
        if body is not None:
            self.send_body(stream, body, end)
        return stream

    def send_body(self, stream, body, end=True):
        if not body and end:
            self.socket.sendall(self.frame(DATA, END_STREAM, stream.number))
        while body and not stream.is_over:
            size = min(len(body), self.frame_max, self.window, stream.window)
            if size <= 0:
                self.pump()
                continue
            part, body = body[:size], body[size:]
            self.socket.sendall(self.frame(DATA, END_STREAM if end and not body else 0, stream.number, part))
            self.window -= size
            stream.window -= size

    def finish(self, stream):
        while not stream.is_over:
            self.pump()
        if stream.error not in (None, 0):
            raise ConnectionError(f"stream reset with {stream.error}, status {stream.status}")
        return Answer(stream.status, {}, stream.body)

    def call(self, method, path, body=None, headers=None):
        return self.finish(self.send(method, path, body, headers))

    def watch(self, path, headers=None):
        """The open answer of a watch: .status, and .read1() for what has come."""
        opened = Http2Watch(self, self.send("GET", path, None, headers))
        while opened.stream.status is None and not opened.stream.is_over:
            self.pump()
        opened.status = opened.stream.status
        return opened


class Http2Watch:
    def __init__(self, connection, stream):
        self.connection, self.stream, self.status = connection, stream, None

    def read1(self, _size):
        while not self.stream.body and not self.stream.is_over:
            self.connection.pump()
        data, self.stream.body = self.stream.body, b""
        if not data and self.stream.error:
            raise ConnectionResetError(f"stream reset with {self.stream.error}")
        return data


class Background:
    """A thread whose exception is raised again by join."""

    def __init__(self, function, *arguments):
        self.result = self.error = None
        self.thread = threading.Thread(target=self.run, args=(function, *arguments), daemon=True)
        self.thread.start()

    def run(self, function, *arguments):
        try:
            self.result = function(*arguments)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error

    def is_alive(self):
        return self.thread.is_alive()

    def join(self, seconds=TIMEOUT):
        self.thread.join(seconds)
        if self.thread.is_alive():
            raise TimeoutError("a thread does not end")
        if self.error:
            raise self.error
        return self.result


def cluster(name, **spec):
    return {"apiVersion": "postgres.example.io/v1", "kind": "PostgresCluster", "metadata": {"name": name},
            "spec": {"instances": 1, "storage": {"size": "1Gi"}, **spec}}


def secret(name, text=""):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "data": {"text": base64.b64encode(text.encode()).decode()}}


def main(test, *options):
    """Runs test(tap, server) on a server that is started; its log is shown when something fails."""
    tap = Tap()
    server = Server(*options)
    try:
        test(tap, server.start())
        tap.check("the server still lives and stops with 0", server.is_alive() and server.stop() == 0, server.log()[-4000:])
    except BaseException as error:  # pylint: disable=broad-except
        tap.check("no exception", False, repr(error))
        if not isinstance(error, (AssertionError, OSError, RuntimeError, TimeoutError, ValueError, KeyError)):
            raise
    finally:
        if tap.failed:
            print(server.log()[-6000:], file=sys.stderr)
        server.remove()
    sys.exit(tap.end())
