# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The HTTP API of a running monitor: every promise of v0, and who may call it.

Most tests speak HTTP over plain sockets, because what they send is what a client library would
refuse to send. Whatever is refused is checked to have changed nothing.
"""
import contextlib
import json
import os
import re
import resource
import select
import socket
import struct
import tempfile
import threading
import time

NOBODY = 65534
PID_MAX = 4194304
LIST_MAX = 65536
BODY_MAX = 64 * 1024
DISCARD_MAX = 1024 * 1024
REQUEST_SECONDS = 10
PID_FORM = 'Invalid JSON format. Expected: {"pid": 1234}'


# --- clients -----------------------------------------------------------------------------------


def connect(address, timeout=15):
    """address is a port of 127.0.0.1, a (host, port), or the path of a unix socket."""
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(address)
        return connection
    if isinstance(address, int):
        address = ("127.0.0.1", address)
    return socket.create_connection(address, timeout=timeout)


def request_bytes(method, path, body=b"", headers=None, version="1.1"):
    lines = {"Host": "localhost"}
    if body:
        lines["Content-Length"] = len(body)
    lines.update(headers or {})
    head = f"{method} {path} HTTP/{version}\r\n"
    head += "".join(f"{key}: {value}\r\n" for key, value in lines.items() if value is not None)
    return head.encode("latin-1") + b"\r\n" + body


def read_answer(connection, head_only=False):
    """(status, headers, body) of the next answer; None where the connection ends before it."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = receive(connection)
        if not piece:
            return None
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        key, _, value = line.partition(":")
        headers[key.lower()] = value.strip()
    length = 0 if head_only else int(headers.get("content-length", "0"))
    while len(body) < length:
        piece = receive(connection)
        if not piece:
            return None
        body += piece
    return int(lines[0].split()[1]), headers, body


def receive(connection):
    try:
        return connection.recv(65536)
    except (ConnectionResetError, BrokenPipeError):
        return b""


def exchange(address, data):
    """One answer to the bytes given, over a connection of its own."""
    with contextlib.closing(connect(address)) as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(data)
        return read_answer(connection)


def ask(address, method, path, body=b"", headers=None, version="1.1"):
    """(status, parsed body)."""
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    answer = exchange(address, request_bytes(method, path, body, headers, version))
    assert answer, f"{method} {path}: no answer"
    assert answer[1].get("content-type") == "application/json", answer
    return answer[0], json.loads(answer[2])


def as_nobody(function):
    """What function returns (or raises) in a process of nobody's, through JSON."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            result = {"value": function()}
        except BaseException as error:  # pylint: disable=broad-except
            result = {"error": f"{type(error).__name__}: {error}"}
        os.write(writing, json.dumps(result).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        result = json.loads(pipe.read())
    os.waitpid(child, 0)
    assert "error" not in result, result
    return result["value"]


def need_root(env):
    if os.geteuid() != 0:
        env.skip("needs root, to become nobody")


# --- state -------------------------------------------------------------------------------------


def accepted(monitor):
    return [line for line in monitor.stdout_lines() if line.startswith("Received request: ")]


def state(monitor):
    """The lists, the flag, and how many requests were accepted (but for the one made here)."""
    _, _, pids = monitor.api("GET", "/target_pids")
    _, _, ips = monitor.api("POST", "/print_all_ips", {"print_all_ips": True})
    line = "Received request: POST {print_all_ips: true}"
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and (accepted(monitor) or [""])[-1] != line:
        time.sleep(0.01)
    others = [text for text in accepted(monitor) if text != line]
    return pids["pids"], pids["print_all"], ips["ips"], len(others)


@contextlib.contextmanager
def unchanged(monitor):
    before = state(monitor)
    yield
    after = state(monitor)
    assert after == before, f"{before} became {after}"


def expect_error(answer, status, what):
    got, body = answer[0], answer[-1]
    assert got == status, f"{what!r}: {got} {body}"
    assert list(body) == ["error"] and isinstance(body["error"], str), f"{what!r}: {body}"


def seed(monitor):
    """Something in each list that a refused request could spoil."""
    assert monitor.api("POST", "/add_pids", {"pids": [4194301, 4194300]})[0] == 200
    assert monitor.api("POST", "/add_ips", {"add_ips": [3325256705, "198.51.100.0/28"]})[0] == 200


# --- v0 ----------------------------------------------------------------------------------------


def test_api_lists_its_endpoints(env):
    monitor = env.monitor()
    status, _, body = monitor.api("GET", "/apis")
    rows = [
        "GET /apis", "POST /add_pid", "POST /add_pids", "POST /clear_pid_list",
        "POST /set_print_all", "GET /target_pids", "POST /add_ips", "POST /clear_ip_list",
        "POST /print_all_ips",
    ]
    assert status == 200 and list(body) == ["available_apis", "usage"], body
    for row in rows:
        listed = [line for line in body["available_apis"] if line.startswith(row + " - ")]
        assert len(listed) == 1, (row, body["available_apis"])
        method, path = row.split()
        usage = body["usage"][path[1:]]
        assert sorted(usage) == ["body", "method"] and usage["method"] == method, usage
        assert isinstance(usage["body"], str)


def test_api_target_list(env):
    monitor = env.monitor()
    own = os.getpid()
    status, headers, body = monitor.api("POST", "/add_pid", {"pid": own})
    assert {key.lower(): value for key, value in headers.items()}["content-type"] == \
        "application/json"
    assert status == 200
    assert list(body.items()) == [
        ("message", "PID added successfully and print_all set to false"),
        ("added_pid", own), ("total_pids", 1), ("print_all", False),
    ], body
    monitor.wait_line(re.escape(f"Received request: POST /add_pid {{pid: {own}}}"))
    # Once more changes nothing.
    assert monitor.api("POST", "/add_pid", {"pid": own})[2]["total_pids"] == 1
    # A PID that no process has.
    body = monitor.api("POST", "/add_pid", {"pid": PID_MAX})[2]
    assert body["total_pids"] == 2 and body.get("running", False) is False, body
    assert set(body) <= {"message", "added_pid", "total_pids", "print_all", "running"}
    status, _, body = monitor.api("POST", "/add_pids", {"pids": [PID_MAX, PID_MAX - 1, own]})
    assert status == 200 and body.pop("running", False) is False
    assert list(body) == ["message", "added_pids", "total_pids", "print_all"], body
    assert body["added_pids"] == [PID_MAX, PID_MAX - 1, own] and body["total_pids"] == 3
    assert body["print_all"] is False
    monitor.wait_line(re.escape(
        f"Received request: POST /add_pids {{pids: [{PID_MAX} {PID_MAX - 1} {own}]}}"))
    status, _, body = monitor.api("GET", "/target_pids")
    assert status == 200
    assert list(body.items()) == [
        ("message", "Target PIDs and print_all flag state retrieved successfully"),
        ("pids", sorted([own, PID_MAX - 1, PID_MAX])), ("total_pids", 3), ("print_all", False),
    ], body


def test_api_print_all_and_clear(env):
    monitor = env.monitor("--quiet")
    any_json = [b"", b"{}", b" \n", b"[]", b"null", b"7", b'"x"', b'{"a": [1]}', b"true"]
    assert monitor.api("POST", "/add_pid", {"pid": PID_MAX})[0] == 200
    for sent in any_json:
        status, _, body = monitor.api("POST", "/set_print_all", sent)
        assert status == 200 and list(body.items()) == [
            ("message", "Print all flag set to true successfully"), ("print_all", True),
        ], (sent, body)
    body = monitor.api("GET", "/target_pids")[2]
    assert body["print_all"] is True and body["pids"] == [PID_MAX], body
    # Adding a target ends the print-all mode, and so does clearing.
    assert monitor.api("POST", "/add_pid", {"pid": PID_MAX})[2]["print_all"] is False
    assert monitor.api("GET", "/target_pids")[2]["print_all"] is False
    for sent in any_json:
        assert monitor.api("POST", "/set_print_all")[0] == 200
        status, _, body = monitor.api("POST", "/clear_pid_list", sent)
        assert status == 200 and list(body.items()) == [
            ("message", "PID list cleared and print_all set to false"), ("total_pids", 0),
            ("print_all", False),
        ], (sent, body)
    body = monitor.api("GET", "/target_pids")[2]
    assert body["pids"] == [] and body["total_pids"] == 0 and body["print_all"] is False


def test_api_lines_of_accepted_requests(env):
    monitor = env.monitor("--quiet")
    sent = [
        ("/add_pid", {"pid": PID_MAX}, "POST /add_pid {pid: 4194304}"),
        ("/add_pids", {"pids": [4194303, 4194302]}, "POST /add_pids {pids: [4194303 4194302]}"),
        ("/set_print_all", b"", "POST /set_print_all"),
        ("/clear_pid_list", b"{}", "POST /clear_pid_list"),
        ("/add_ips", {"add_ips": [1, "10.0.0.1", "10.0.0.0/8"]},
         "POST {add_ips: [1 10.0.0.1 10.0.0.0/8]}"),
        ("/print_all_ips", {"print_all_ips": True}, "POST {print_all_ips: true}"),
        ("/clear_ip_list", {"clear_ip_list": True}, "POST {clear_ip_list: true}"),
    ]
    for path, body, line in sent:
        assert monitor.api("POST", path, body)[0] == 200
        monitor.wait_line(re.escape("Received request: " + line) + "$")
    assert monitor.api("GET", "/target_pids")[0] == 200
    assert monitor.api("GET", "/apis")[0] == 200
    assert accepted(monitor) == ["Received request: " + line for _, _, line in sent]


def test_api_ip_list(env):
    monitor = env.monitor()
    status, _, body = monitor.api("POST", "/add_ips", {"add_ips": [1, 2, 3]})
    warning = body.pop("warning", None)
    assert status == 200 and list(body.items()) == [
        ("message", "IPs added successfully"), ("added_ips", [1, 2, 3]), ("total_ips", 3),
    ], body
    entries = [0, 4294967295, "10.1.2.3", "10.1.2.3/8", "2001:DB8::1", "2001:db8::/32",
               "::ffff:192.0.2.1"]
    status, _, body = monitor.api("POST", "/add_ips", {"add_ips": entries})
    assert status == 200 and body["added_ips"] == entries and body["total_ips"] == 10, body
    assert body.get("warning") == warning
    # The same sets of addresses, written otherwise.
    body = monitor.api("POST", "/add_ips", {"add_ips": [
        "0.0.0.1", "10.0.0.0/8", "2001:db8:0::1", "192.0.2.1", "::ffff:192.0.2.1/128"]})[2]
    assert body["total_ips"] == 10, body
    status, _, body = monitor.api("POST", "/print_all_ips", {"print_all_ips": True})
    assert status == 200 and list(body.items()) == [
        ("message", "All IPs retrieved successfully"), ("ips", [1, 2, 3] + entries),
        ("total_ips", 10),
    ], body
    status, _, body = monitor.api("POST", "/clear_ip_list", {"clear_ip_list": True})
    assert status == 200 and list(body.items()) == [
        ("message", "IP list cleared successfully"), ("total_ips", 0)], body
    body = monitor.api("POST", "/print_all_ips", {"print_all_ips": True})[2]
    assert body["ips"] == [] and body["total_ips"] == 0, body


NO_OBJECT = ["", " ", "{", "null", "1234", '"1234"', "[1234]", "true", "{}", "{}{}", '{"x": 1}',
             "{pid: 1}", "pid=1234", "\ufeff{}", "{} x", "\0"]
BAD_PID_FORMS = ['{"pid": null}', '{"pid": "1234"}', '{"pid": 1234.0}', '{"pid": 1e3}',
                 '{"pid": true}', '{"pid": [1]}', '{"pid": {}}', '{"pid": 1} x', '{"pid": 1}}',
                 '{"pid": 1}{"pid": 2}', '{"pid": 1}\0', '{"pid": 01}', '{"pid": 1,}',
                 '{"pids": [1]}', '{"pid": 9223372036854775808}', '[{"pid": 1}]']
BAD_PIDS = [0, -1, PID_MAX + 1, 2**32 + 1, 2**63 - 1, -2**63]
BAD_PID_LISTS = ['{"pids": []}', '{"pids": null}', '{"pids": 1}', '{"pids": {}}', '{"pid": 1}',
                 '{"pids": [1, 0]}', '{"pids": [1, -1]}', '{"pids": [1, "2"]}',
                 '{"pids": [1, 2.0]}', '{"pids": [1, null]}', '{"pids": [1, 4294967297]}',
                 '{"pids": [1, [2]]}', '{"pids": [1, 2]} x', '{"pids": [1, 4194305]}']
BAD_IP_LISTS = ['{"add_ips": %s}' % entry for entry in (
    "[]", "null", "1", '"10.0.0.1"', "{}", "[-1]", "[4294967296]", "[1.0]", "[true]", "[null]",
    "[[1]]", '[""]', '["1"]', '["10.0.0"]', '["10.0.0.256"]', '["10.0.0.01"]', '["10.0.0.1/33"]',
    '["10.0.0.1/"]', '["::1/129"]', '["::1%lo"]', '["localhost"]', '[" 10.0.0.1"]',
    '["10.0.0.1\\u0000"]', '[1, "10.0.0.1", "x"]', "[99999999999999999999]")]
BAD_FLAGS = ["false", "null", "1", '"true"', "[]", "{}"]


def test_api_refuses_bad_bodies(env):
    monitor = env.monitor("--quiet")
    seed(monitor)
    refused = [("/add_pid", body) for body in NO_OBJECT + BAD_PID_FORMS]
    refused += [("/add_pid", '{"pid": %d}' % pid) for pid in BAD_PIDS]
    refused += [("/add_pids", body) for body in NO_OBJECT + BAD_PID_LISTS]
    refused += [("/add_ips", body) for body in NO_OBJECT + BAD_IP_LISTS]
    for field in ("clear_ip_list", "print_all_ips"):
        refused += [("/" + field, body) for body in NO_OBJECT]
        refused += [("/" + field, '{"%s": %s}' % (field, value)) for value in BAD_FLAGS]
    for path in ("/clear_pid_list", "/set_print_all"):
        refused += [(path, body) for body in ("x", "{", "{}{}", "{} x", "[1,]", "{}\0")]
    with unchanged(monitor):
        for path, body in refused:
            expect_error(monitor.api("POST", path, body.encode()), 400, (path, body))
    for body in BAD_PID_FORMS:
        error = monitor.api("POST", "/add_pid", body.encode())[2]["error"]
        assert error == PID_FORM, (body, error)
    for pid in BAD_PIDS:
        error = monitor.api("POST", "/add_pid", b'{"pid": %d}' % pid)[2]["error"]
        assert "pid" in error and "1..4194304" in error, error
    # Neither with the whole of it in one piece nor cut anywhere.
    with unchanged(monitor):
        data = request_bytes("POST", "/add_pid", b'{"pid": "7"}')
        for cut in range(1, len(data)):
            with contextlib.closing(connect(monitor.port)) as connection:
                connection.sendall(data[:cut])
                connection.sendall(data[cut:])
                assert read_answer(connection)[0] == 400


def test_api_paths_and_methods(env):
    monitor = env.monitor("--quiet")
    seed(monitor)
    with unchanged(monitor):
        for path in ("/", "/add_pid/", "/ADD_PID", "/v0/add_pid", "//add_pid", "/%2e%2e/add_pid"):
            for method in ("GET", "POST", "DELETE"):
                expect_error(ask(monitor.port, method, path), 404, (method, path))
        for method, path, allow in (
                ("GET", "/add_pid", "POST"), ("PUT", "/add_pids", "POST"),
                ("DELETE", "/clear_pid_list", "POST"), ("OPTIONS", "/set_print_all", "POST"),
                ("POST", "/target_pids", "GET, HEAD"), ("PATCH", "/apis", "GET, HEAD"),
                ("HEAD", "/add_ips", "POST"), ("BREW", "/clear_ip_list", "POST"),
                ("get", "/apis", "GET, HEAD")):
            with contextlib.closing(connect(monitor.port)) as connection:
                connection.sendall(request_bytes(method, path))
                status, headers, body = read_answer(connection, head_only=method == "HEAD")
            assert status == 405 and headers["allow"] == allow, (method, path, headers)
            assert headers["content-type"] == "application/json"
            if method != "HEAD":
                expect_error((status, json.loads(body)), 405, (method, path))
        for path in ("/apis", "/target_pids"):
            with contextlib.closing(connect(monitor.port)) as connection:
                connection.sendall(request_bytes("HEAD", path) + request_bytes("GET", path))
                status, headers, body = read_answer(connection, head_only=True)
                assert status == 200 and int(headers["content-length"]) > 0, headers
                rest = body or receive(connection)
                assert rest.startswith(b"HTTP/1.1 200"), rest
    # A query is not part of the path.
    assert ask(monitor.port, "GET", "/apis?x=/add_pid")[0] == 200


def test_api_full_tables(env):
    monitor = env.monitor("--quiet")
    for first in range(PID_MAX - LIST_MAX + 1, PID_MAX + 1, 4096):
        batch = list(range(first, first + 4096))
        status, _, body = monitor.api("POST", "/add_pids", {"pids": batch})
        assert status == 200, body
    assert body["total_pids"] == LIST_MAX, body
    one_more = PID_MAX - LIST_MAX
    for path, sent in (("/add_pid", {"pid": one_more}),
                       ("/add_pids", {"pids": [PID_MAX, one_more, one_more - 1]})):
        status, _, body = monitor.api("POST", path, sent)
        expect_error((status, body), 507, path)
        assert "65536" in body["error"] and "full" in body["error"], body
    body = monitor.api("GET", "/target_pids")[2]
    assert body["pids"] == list(range(PID_MAX - LIST_MAX + 1, PID_MAX + 1))
    # What is there already fits.
    assert monitor.api("POST", "/add_pid", {"pid": PID_MAX})[0] == 200
    body = monitor.api("POST", "/clear_pid_list")[2]
    assert body["total_pids"] == 0
    assert monitor.api("GET", "/target_pids")[2]["pids"] == []


def test_api_full_ip_list(env):
    monitor = env.monitor("--quiet")
    for first in range(0, LIST_MAX, 4096):
        batch = list(range(0x0a000000 + first, 0x0a000000 + first + 4096))
        status, _, body = monitor.api("POST", "/add_ips", {"add_ips": batch})
        assert status == 200, body
    assert body["total_ips"] == LIST_MAX, body
    status, _, body = monitor.api("POST", "/add_ips", {"add_ips": ["192.0.2.1"]})
    expect_error((status, body), 507, "/add_ips")
    assert "65536" in body["error"] and "full" in body["error"], body
    body = monitor.api("POST", "/print_all_ips", {"print_all_ips": True})[2]
    assert body["ips"] == list(range(0x0a000000, 0x0a000000 + LIST_MAX))
    assert monitor.api("POST", "/clear_ip_list", {"clear_ip_list": True})[2]["total_ips"] == 0


# --- sizes -------------------------------------------------------------------------------------


def padded(total):
    """An add_pid of so many bytes."""
    body = b'{"pid": 4194304'
    return body + b" " * (total - len(body) - 1) + b"}"


def chunked(body, size=4096):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_api_body_limit(env):
    monitor = env.monitor("--quiet")
    encoding = {"Transfer-Encoding": "chunked"}
    assert ask(monitor.port, "POST", "/add_pid", padded(BODY_MAX))[0] == 200
    for size in (1, 7, 4096, BODY_MAX):
        data = request_bytes("POST", "/add_pid", headers=encoding) + chunked(padded(BODY_MAX), size)
        assert exchange(monitor.port, data)[0] == 200, size
    with unchanged(monitor):
        for size in (BODY_MAX + 1, 2 * BODY_MAX, DISCARD_MAX // 2):
            for _ in range(10):
                expect_error(ask(monitor.port, "POST", "/add_pid", padded(size)), 413, size)
            answer = exchange(monitor.port, request_bytes("POST", "/add_pid", headers=encoding) +
                              chunked(padded(size)))
            assert answer[0] == 413 and answer[1]["content-type"] == "application/json", size
        # What is announced is refused before it is sent.
        for announced in (BODY_MAX + 1, 10**9, 2**63):
            begin = time.monotonic()
            answer = exchange(monitor.port, request_bytes(
                "POST", "/add_pid", headers={"Content-Length": announced}))
            assert answer[0] == 413 and time.monotonic() - begin < 1, answer
        answer = exchange(monitor.port, request_bytes(
            "POST", "/add_pid", headers={"Content-Length": 10**6, "Expect": "100-continue"}))
        assert answer[0] == 413, answer
        # What never ends is cut off.
        with contextlib.closing(connect(monitor.port)) as connection:
            connection.sendall(request_bytes("POST", "/add_pid", headers=encoding))
            piece = b"1000\r\n" + b" " * 4096 + b"\r\n"
            sent = 0
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                while sent < 64 * DISCARD_MAX:
                    connection.sendall(piece)
                    sent += 4096
                connection.recv(1)
            assert sent < 64 * DISCARD_MAX, "an endless body is read for ever"


def test_api_bodies_in_pieces(env):
    monitor = env.monitor("--quiet")
    data = request_bytes("POST", "/add_pid", b'{"pid": 4194304}', {"Expect": "100-continue"})
    head, _, body = data.partition(b"\r\n\r\n")
    with contextlib.closing(connect(monitor.port)) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert b"100 Continue" in receive(connection)
        for at in range(len(body)):
            connection.sendall(body[at:at + 1])
        assert read_answer(connection)[0] == 200


# --- connections -------------------------------------------------------------------------------


def test_api_keeps_connections(env):
    monitor = env.monitor("--quiet")
    exchanges = [
        (request_bytes("GET", "/target_pids"), 200),
        (request_bytes("POST", "/add_pid", b'{"pid": 4194304}'), 200),
        (request_bytes("POST", "/add_pid", b'{"pid": 0}'), 400),
        (request_bytes("POST", "/nowhere", b"x" * 1000), 404),
        (request_bytes("PUT", "/add_pid", b"x" * 1000), 405),
        (request_bytes("GET", "/apis", headers={"Host": "evil.example"}), 403),
        (request_bytes("POST", "/set_print_all"), 200),
        (request_bytes("POST", "/clear_pid_list"), 200),
    ]
    with contextlib.closing(connect(monitor.port)) as connection:
        for data, status in exchanges * 20:
            connection.sendall(data)
            answer = read_answer(connection)
            assert answer and answer[0] == status, (data, answer)
    # All at once, answered in their order.
    with contextlib.closing(connect(monitor.port)) as connection:
        connection.sendall(b"".join(data for data, _ in exchanges) +
                           request_bytes("GET", "/apis", headers={"Connection": "close"}))
        received = b""
        while True:
            piece = receive(connection)
            if not piece:
                break
            received += piece
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", received)]
        assert statuses == [status for _, status in exchanges] + [200], statuses


def test_api_old_http(env):
    monitor = env.monitor("--quiet")
    answer = exchange(monitor.port, b"GET /apis HTTP/1.0\r\n\r\n")
    assert answer[0] == 200
    answer = exchange(monitor.port, request_bytes("GET", "/apis", headers={"Host": None}))
    assert answer[0] == 400, answer
    answer = exchange(monitor.port, b"GET /apis HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
    assert answer[0] == 400, answer


def test_api_answers_in_order(env):
    """Of two changes, the answer to the first is not sent after that to the second."""
    monitor = env.monitor("--quiet")
    for first in range(PID_MAX - 800, PID_MAX - 400, 2):
        with contextlib.ExitStack() as stack:
            pair = [stack.enter_context(contextlib.closing(connect(monitor.port)))
                    for _ in range(2)]
            datas = [request_bytes("POST", "/add_pid", b'{"pid": %d}' % (first + index))
                     for index in range(2)]
            cuts = [data.index(b"{") if (first // 2 + index) % 3 else len(data)
                    for index, data in enumerate(datas)]
            for connection, data, cut in zip(pair, datas, cuts):
                connection.sendall(data[:cut])
            for connection, data, cut in zip(pair, datas, cuts):
                connection.sendall(data[cut:])
            ready, _, _ = select.select(pair, [], [], 10)
            totals = {}
            for connection in ready + [one for one in pair if one not in ready]:
                totals[connection] = json.loads(read_answer(connection)[2])["total_pids"]
            if len(ready) == 1:
                late = pair[1 - pair.index(ready[0])]
                assert totals[ready[0]] < totals[late], (totals, ready)


def test_api_many_at_once(env):
    """Changes by eight clients at once: each counted once, lines in the order of the totals."""
    monitor = env.monitor("--quiet")
    totals = {}
    errors = []

    def client(number):
        try:
            with contextlib.closing(connect(monitor.port)) as connection:
                for pid in range(4000000 + number, 4000400, 8):
                    connection.sendall(request_bytes("POST", "/add_pid", b'{"pid": %d}' % pid))
                    totals[pid] = json.loads(read_answer(connection)[2])["total_pids"]
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors, errors
    assert sorted(totals.values()) == list(range(1, 401))
    monitor.wait_line(re.escape(
        "Received request: POST /add_pid {pid: %d}" % max(totals, key=totals.get)))
    lines = [int(re.search(r"pid: (\d+)", line).group(1)) for line in accepted(monitor)]
    assert lines == sorted(totals, key=totals.get)


def test_api_broken_clients(env):
    monitor = env.monitor("--quiet")
    seed(monitor)
    line = b"POST /add_pid HTTP/1.1\r\nHost: localhost\r\n"
    body = b'{"pid": 4194304}'
    broken = [
        b"\r\n\r\n\r\n", b"\0" * 100, b"\xff" * 5000, b"GARBAGE\r\n\r\n", b"GET\r\n\r\n",
        b"GET /apis\r\n\r\n", b"GET /apis HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        line + b"Content-Length: -1\r\n\r\n" + body,
        line + b"Content-Length: x\r\n\r\n" + body,
        line + b"Content-Length: 16, 16\r\n\r\n" + body,
        line + b"Content-Length: 99999999999999999999999\r\n\r\n" + body,
        line + b"Content-Length: 17\r\n\r\n" + body,
        line + b"Transfer-Encoding: chunked\r\n\r\n" + body,
        line + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
        line + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked(body),
        line + b"Transfer-Encoding: identity\r\n\r\n" + body,
        line + b"no colon here\r\n\r\n",
        line + b"X: " + b"x" * 100000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
        line + b"X: y\r\n" * 20000 + b"\r\n",
    ]
    with unchanged(monitor):
        for data in broken:
            with contextlib.closing(connect(monitor.port)) as connection:
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                answer = read_answer(connection)
                assert answer is None or answer[0] >= 400 or b"GET /apis" in data, (data[:60], answer)
            assert ask(monitor.port, "GET", "/target_pids")[0] == 200, data[:60]
        # Cut off anywhere, by an end, by a reset, and with urgent data.
        data = request_bytes("POST", "/add_pid", body)
        for cut in range(0, len(data)):
            for reset in (False, True):
                with contextlib.closing(connect(monitor.port)) as connection:
                    connection.sendall(data[:cut])
                    if reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                              struct.pack("ii", 1, 0))
        with contextlib.closing(connect(monitor.port)) as connection:
            connection.sendall(data[:20])
            connection.send(b"!", socket.MSG_OOB)


# --- slow clients and many ---------------------------------------------------------------------


def quick(address, seconds=1.0):
    """A new request is answered at once, whatever else goes on."""
    begin = time.monotonic()
    assert ask(address, "GET", "/target_pids")[0] == 200
    passed = time.monotonic() - begin
    assert passed < seconds, f"an answer took {passed:.2f} s"


def drip(connection, data, seconds):
    """Sends a byte every so often until the server has had enough; the time that took."""
    begin = time.monotonic()
    for byte in data:
        try:
            connection.sendall(bytes([byte]))
        except (ConnectionResetError, BrokenPipeError):
            break
        readable, _, _ = select.select([connection], [], [], seconds)
        if readable:
            assert receive(connection) == b""
            break
    return time.monotonic() - begin


def test_api_slow_clients_are_cut_off(env):
    monitor = env.monitor("--quiet")
    slow_head = request_bytes("POST", "/add_pid", b'{"pid": 4194304}')
    head, _, body = slow_head.partition(b"\r\n\r\n")
    took = {}

    def slow(name, begin, rest):
        with contextlib.closing(connect(monitor.port, 30)) as connection:
            connection.sendall(begin)
            took[name] = drip(connection, rest, 0.9)

    def kept():
        with contextlib.closing(connect(monitor.port, 30)) as connection:
            connection.sendall(request_bytes("GET", "/apis"))
            assert read_answer(connection)[0] == 200
            took["kept"] = drip(connection, slow_head, 0.9)

    def reads_nothing():
        with contextlib.closing(socket.socket()) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", monitor.port))
            begin = time.monotonic()
            connection.sendall(request_bytes("GET", "/apis") * 20000)

            took["reads nothing"] = time.monotonic() - begin

    with unchanged(monitor):
        threads = [threading.Thread(target=slow, args=("head", b"", slow_head)),
                   threading.Thread(target=slow, args=("body", head + b"\r\n\r\n", body)),
                   threading.Thread(target=slow, args=("nothing", b"", b"")),
                   threading.Thread(target=kept)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            quick(monitor.port)
            time.sleep(0.2)
        for thread in threads:
            thread.join()
        for name in ("head", "body", "kept"):
            assert took[name] < REQUEST_SECONDS + 2, (name, took)


def test_api_clients_that_do_not_read(env):
    """An answer that is not taken holds up nobody, and not for ever."""
    monitor = env.monitor("--quiet")
    with contextlib.ExitStack() as stack:
        stuck = []
        for _ in range(8):
            connection = stack.enter_context(contextlib.closing(socket.socket()))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", monitor.port))
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    connection.send(request_bytes("GET", "/apis") * 100)
            stuck.append(connection)
        quick(monitor.port)
        deadline = time.monotonic() + REQUEST_SECONDS + 3
        watch = select.poll()
        for connection in stuck:
            watch.register(connection, 0)
        gone = set()
        while len(gone) < len(stuck) and time.monotonic() < deadline:
            for descriptor, _ in watch.poll(500):
                gone.add(descriptor)
                watch.unregister(descriptor)
            quick(monitor.port)
        assert len(gone) == len(stuck), f"{len(gone)} of {len(stuck)} cut off"


@contextlib.contextmanager
def open_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_idle(port, count, data=b""):
    connections = []
    for _ in range(count):
        connection = connect(port)
        if data:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(data)
        connections.append(connection)
    return connections


def test_api_thousands_of_idle_connections(env):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 3100:
        env.skip("fewer than 3,100 open files allowed")
    monitor = env.monitor("--quiet")
    body = request_bytes("POST", "/add_pid", headers={"Content-Length": 100})
    with open_files(3100), unchanged(monitor):
        for data in (b"", b"GET /apis HT", body):
            connections = open_idle(monitor.port, 3000, data)
            try:
                for _ in range(20):
                    quick(monitor.port)
            finally:
                for connection in connections:
                    connection.close()
        quick(monitor.port)


def test_api_refused_callers_displace_nobody(env):
    need_root(env)
    monitor = env.monitor("--quiet")

    def crowd():
        return len(open_idle(monitor.port, 300))

    with contextlib.closing(connect(monitor.port)) as kept:
        kept.sendall(request_bytes("GET", "/apis"))
        assert read_answer(kept)[0] == 200
        for _ in range(3):
            assert as_nobody(crowd) == 300
            kept.sendall(request_bytes("GET", "/apis"))
            answer = read_answer(kept)
            assert answer and answer[0] == 200, "a kept connection was displaced"
        quick(monitor.port)


# --- who may call ------------------------------------------------------------------------------


def test_api_host_header(env):
    monitor = env.monitor("--quiet")
    seed(monitor)
    port = monitor.port
    for host in ("localhost", f"localhost:{port}", "127.0.0.1", f"127.0.0.1:{port}",
                 f"LOCALHOST:{port}"):
        assert ask(port, "GET", "/apis", headers={"Host": host})[0] == 200, host
    with unchanged(monitor):
        for host in ("evil.example", f"evil.example:{port}", f"localhost:{port + 1}", "[::1]",
                     "127.0.0.2", "0.0.0.0", "localhost.evil.example", "localhost.", "2130706433",
                     f"localhost:{port}, evil.example", f"user@localhost:{port}"):
            expect_error(ask(port, "POST", "/add_pid", {"pid": PID_MAX}, {"Host": host}), 403, host)
            expect_error(ask(port, "GET", "/nowhere", headers={"Host": host}), 403, host)


def test_api_origin_header(env):
    monitor = env.monitor("--quiet")
    seed(monitor)
    port = monitor.port
    for origin in (f"http://localhost:{port}", f"http://127.0.0.1:{port}"):
        assert ask(port, "GET", "/apis", headers={"Origin": origin})[0] == 200, origin
    with unchanged(monitor):
        for origin in ("null", "http://evil.example", f"http://evil.example:{port}",
                       f"https://localhost:{port}", f"http://localhost:{port + 1}",
                       "http://localhost", "file://", "", f"http://localhost:{port}.evil.example"):
            expect_error(ask(port, "POST", "/add_pid", {"pid": PID_MAX}, {"Origin": origin}),
                         403, origin)
        # What a browser asks before it lets a page send JSON.
        expect_error(ask(port, "OPTIONS", "/add_pid", headers={
            "Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}), 403,
            "preflight")


def test_api_refuses_other_users(env):
    need_root(env)
    monitor = env.monitor("--quiet")
    seed(monitor)
    with unchanged(monitor):
        for method, path in (("GET", "/target_pids"), ("POST", "/set_print_all"),
                             ("GET", "/nowhere")):
            answer = as_nobody(lambda m=method, p=path: ask(monitor.port, m, p))
            expect_error(answer, 403, path)
            assert f"--allow-uid {NOBODY}" in answer[1]["error"], answer
        answer = as_nobody(lambda: ask(monitor.port, "POST", "/add_pid", {"pid": PID_MAX}))
        expect_error(answer, 403, "/add_pid")


def test_api_allow_uid(env):
    need_root(env)
    monitor = env.monitor("--quiet", "--allow-uid", str(NOBODY))
    answer = as_nobody(lambda: ask(monitor.port, "POST", "/add_pid", {"pid": PID_MAX}))
    assert answer[0] == 200, answer
    assert ask(monitor.port, "GET", "/target_pids")[1]["pids"] == [PID_MAX]


def test_api_mapped_address(env):
    """A client whose socket is an IPv6 one, as Java's are, is known as well."""
    need_root(env)
    monitor = env.monitor("--quiet")
    address = ("::ffff:127.0.0.1", monitor.port)
    try:
        connect(address).close()
    except OSError as error:
        env.skip(f"no IPv6: {error}")
    assert ask(address, "GET", "/apis")[0] == 200
    answer = as_nobody(lambda: ask(address, "GET", "/apis"))
    assert answer[0] == 403 and str(NOBODY) in answer[1]["error"], answer


def send_and_leave(address, how, data):
    """Sends a request and is gone before it can be answered."""
    connection = connect(address)
    with contextlib.suppress(OSError):
        connection.sendall(data)
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how == "half":
            connection.shutdown(socket.SHUT_WR)
            while receive(connection):
                pass
    connection.close()


def test_api_closing_at_once_wins_nothing(env):
    """A socket that has been closed is root's, as the kernel tells it."""
    need_root(env)
    monitor = env.monitor("--quiet")
    seed(monitor)
    data = request_bytes("POST", "/add_pid", b'{"pid": 4194304}')

    def burst(how):
        for _ in range(300):
            send_and_leave(monitor.port, how, data)

    # Kept busy meanwhile, so that clients are gone before they are looked at.
    done = threading.Event()

    def busy():
        while not done.is_set():
            ask(monitor.port, "GET", "/apis")

    with unchanged(monitor):
        threads = [threading.Thread(target=busy) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for how in ("close", "reset", "half"):
                as_nobody(lambda h=how: burst(h))
        finally:
            done.set()
            for thread in threads:
                thread.join(30)


def test_api_half_closed_is_told_why(env):
    """Nobody can be known who has shut down the connection: the answer says what to do."""
    monitor = env.monitor("--quiet")
    statuses = set()
    for _ in range(50):
        with contextlib.closing(connect(monitor.port)) as connection:
            connection.sendall(request_bytes("GET", "/apis"))
            connection.shutdown(socket.SHUT_WR)
            status, _, body = read_answer(connection)
            statuses.add(status)
            if status == 403:
                assert "open" in json.loads(body)["error"], body
    assert statuses <= {200, 403}, statuses


@contextlib.contextmanager
def token_file(content):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "token")
        with open(path, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(content)
        yield path


def test_api_token(env):
    with token_file("s3cret\n") as path:
        monitor = env.monitor("--quiet", "--token-file", path)
        good = {"Authorization": "Bearer s3cret"}
        assert ask(monitor.port, "GET", "/apis", headers=good)[0] == 200
        for value in (None, "Bearer", "Bearer s3cre", "Bearer s3cret1", "Basic s3cret", "s3cret",
                      "Bearer s3cret s3cret"):
            answer = exchange(monitor.port, request_bytes(
                "POST", "/add_pid", b'{"pid": 4194304}', {"Authorization": value}))
            assert answer[0] == 401 and answer[1]["www-authenticate"] == "Bearer", (value, answer)
            assert answer[1]["content-type"] == "application/json"
            expect_error((answer[0], json.loads(answer[2])), 401, value)
        assert ask(monitor.port, "GET", "/target_pids", headers=good)[1]["pids"] == []
        # In this order: where the call comes from, who calls, the token, the path.
        evil = dict(good, Host="evil.example")
        assert ask(monitor.port, "GET", "/apis", headers=evil)[0] == 403
        assert ask(monitor.port, "GET", "/nowhere")[0] == 401
        assert ask(monitor.port, "GET", "/nowhere", headers=good)[0] == 404
        if os.geteuid() == 0:
            answer = as_nobody(lambda: ask(monitor.port, "GET", "/apis", headers=good))
            assert answer[0] == 403, "the token does not make up for the uid"


def expect_no_start(env, *args):
    try:
        monitor = env.monitor(*args)
    except Exception:  # pylint: disable=broad-except
        return
    monitor.stop()
    raise AssertionError(f"the monitor started with {args}")


def test_api_beyond_loopback_needs_a_token(env):
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    everywhere = f"0.0.0.0:{port}"
    expect_no_start(env, "--listen", everywhere)
    with token_file("\n") as path:
        expect_no_start(env, "--listen", everywhere, "--token-file", path)
    with token_file("s3cret") as path:
        monitor = env.monitor("--quiet", "--listen", everywhere, "--token-file", path)
        good = {"Authorization": "Bearer s3cret", "Host": f"127.0.0.1:{port}"}
        assert ask(port, "GET", "/apis", headers=good)[0] == 200
        assert ask(port, "GET", "/apis", headers=dict(good, Host=socket.gethostname()))[0] == 200
        assert ask(port, "GET", "/apis", headers=dict(good, Host="evil.example"))[0] == 403
        assert ask(port, "GET", "/apis", headers={"Host": f"127.0.0.1:{port}"})[0] == 401
        if os.geteuid() == 0:
            assert as_nobody(lambda: ask(port, "GET", "/apis", headers=good))[0] == 200
        monitor.stop()


def test_api_on_ipv6(env):
    try:
        with contextlib.closing(socket.socket(socket.AF_INET6)) as free:
            free.bind(("::1", 0))
            port = free.getsockname()[1]
    except OSError as error:
        env.skip(f"no ::1: {error}")
    monitor = env.monitor("--quiet", "--listen", f"[::1]:{port}")
    address = ("::1", port)
    for host in (f"[::1]:{port}", "localhost"):
        assert ask(address, "GET", "/apis", headers={"Host": host})[0] == 200, host
    for host in ("127.0.0.1", f"[::2]:{port}", "::1"):
        assert ask(address, "GET", "/apis", headers={"Host": host})[0] == 403, host
    if os.geteuid() == 0:
        answer = as_nobody(lambda: ask(address, "GET", "/apis", headers={"Host": "[::1]"}))
        assert answer[0] == 403 and str(NOBODY) in answer[1]["error"], answer
    monitor.stop()


def test_api_on_a_unix_socket(env):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "trapline.sock")
        # One that a killed monitor left behind.
        left = socket.socket(socket.AF_UNIX)
        left.bind(path)
        left.close()
        monitor = env.monitor("--quiet", "--listen", f"unix:{path}")
        assert ask(path, "GET", "/apis", headers={"Host": "anything"})[0] == 200
        assert ask(path, "POST", "/add_pid", {"pid": PID_MAX})[1]["total_pids"] == 1
        assert ask(path, "GET", "/apis", headers={"Origin": "http://evil.example"})[0] == 403
        if os.geteuid() == 0:
            answer = as_nobody(lambda: ask(path, "POST", "/clear_pid_list"))
            assert answer[0] == 403 and f"--allow-uid {NOBODY}" in answer[1]["error"], answer
            as_nobody(lambda: [send_and_leave(path, how, request_bytes("POST", "/clear_pid_list"))
                               for how in ("close", "half") for _ in range(50)])
        assert ask(path, "GET", "/target_pids")[1]["pids"] == [PID_MAX]
        # It is in use, and stays so.
        expect_no_start(env, "--listen", f"unix:{path}")
        assert ask(path, "GET", "/apis")[0] == 200
        monitor.stop()
        assert not os.path.exists(path), "the socket's file was left behind"
        # What is no socket is not ours to remove.
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        expect_no_start(env, "--listen", f"unix:{path}")
        with open(path, encoding="ascii") as file:
            assert file.read() == "precious"


def test_api_restarts_on_the_same_port(env):
    monitor = env.monitor("--quiet")
    port = monitor.port
    expect_no_start(env, "--listen", f"127.0.0.1:{port}")
    kept = connect(port)
    kept.sendall(request_bytes("GET", "/apis"))
    assert read_answer(kept)[0] == 200
    # The server closes first: its end is the one that stays in TIME_WAIT.
    monitor.stop()
    kept.close()
    again = env.monitor("--quiet", "--listen", f"127.0.0.1:{port}")
    assert ask(port, "GET", "/apis")[0] == 200
    again.stop()
