# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""HTTP over plain sockets: what is sent here is what a client library would refuse to send.

Also who sends it (nobody, in a process of its own), and the state that refused requests must leave
as it was.
"""
import contextlib
import json
import os
import socket
import time

import lib

NOBODY = 65534
PID_MAX = 4194304
LIST_MAX = 65536
BODY_MAX = 64 * 1024
DISCARD_MAX = 1024 * 1024
REQUEST_SECONDS = 10
PID_FORM = 'Invalid JSON format. Expected: {"pid": 1234}'


def connect(address, timeout=15.0):
    """address is a port of 127.0.0.1, a (host, port), or the path of a unix socket."""
    timeout *= lib.PATIENCE
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(address)
        return connection
    if isinstance(address, int):
        address = ('127.0.0.1', address)
    return socket.create_connection(address, timeout=timeout)


def request_bytes(method, path, body=b'', headers=None, version='1.1'):
    lines = {'Host': 'localhost'}
    if body:
        lines['Content-Length'] = len(body)
    lines.update(headers or {})
    head = f'{method} {path} HTTP/{version}\r\n'
    head += ''.join(f'{key}: {value}\r\n' for key, value in lines.items() if value is not None)
    return head.encode('latin-1') + b'\r\n' + body


def read_answer(connection, head_only=False):
    """(status, headers, body) of the next answer; None where the connection ends before it."""
    received = b''
    while b'\r\n\r\n' not in received:
        piece = receive(connection)
        if not piece:
            return None
        received += piece
    head, _, body = received.partition(b'\r\n\r\n')
    lines = head.decode('latin-1').split('\r\n')
    headers = {}
    for line in lines[1:]:
        key, _, value = line.partition(':')
        headers[key.lower()] = value.strip()
    length = 0 if head_only else int(headers.get('content-length', '0'))
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
        return b''


def exchange(address, data):
    """One answer to the bytes given, over a connection of its own."""
    with contextlib.closing(connect(address)) as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(data)
        return read_answer(connection)


def ask(address, method, path, body=b'', headers=None, version='1.1'):
    """(status, parsed body)."""
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    answer = exchange(address, request_bytes(method, path, body, headers, version))
    assert answer, f'{method} {path}: no answer'
    assert answer[1].get('content-type') == 'application/json', answer
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
            result = {'value': function()}
        except BaseException as error:  # pylint: disable=broad-except
            result = {'error': f'{type(error).__name__}: {error}'}
        os.write(writing, json.dumps(result).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        result = json.loads(pipe.read())
    os.waitpid(child, 0)
    assert 'error' not in result, result
    return result['value']


def need_root(env):
    if os.geteuid() != 0:
        env.skip('needs root, to become nobody')


def accepted(monitor):
    return [line for line in monitor.stdout_lines() if line.startswith('Received request: ')]


def state(monitor):
    """The lists, the flag, and how many requests were accepted (but for the one made here)."""
    _, _, pids = monitor.api('GET', '/target_pids')
    _, _, ips = monitor.api('POST', '/print_all_ips', {'print_all_ips': True})
    line = 'Received request: POST {print_all_ips: true}'
    lib.wait_for(lambda: accepted(monitor)[-1:] == [line], 'the line of the last request')
    others = [text for text in accepted(monitor) if text != line]
    return pids['pids'], pids['print_all'], ips['ips'], len(others)


@contextlib.contextmanager
def unchanged(monitor):
    before = state(monitor)
    yield
    after = state(monitor)
    assert after == before, f'{before} became {after}'


def expect_error(answer, status, what):
    got, body = answer[0], answer[-1]
    assert got == status, f'{what!r}: {got} {body}'
    assert list(body) == ['error'] and isinstance(body['error'], str), f'{what!r}: {body}'


def seed(monitor):
    """Something in each list that a refused request could spoil."""
    assert monitor.api('POST', '/add_pids', {'pids': [4194301, 4194300]})[0] == 200
    assert monitor.api('POST', '/add_ips', {'add_ips': [3325256705, '198.51.100.0/28']})[0] == 200


def quick(address, seconds=1.0):
    """A new request is answered at once, whatever else goes on."""
    begin = time.monotonic()
    assert ask(address, 'GET', '/target_pids')[0] == 200
    passed = time.monotonic() - begin
    assert passed < seconds * lib.PATIENCE, f'an answer took {passed:.2f} s'
