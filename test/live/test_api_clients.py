# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Clients of the API that are large, slow, broken or many: they harm nobody else."""
import contextlib
import json
import re
import resource
import select
import socket
import struct
import threading
import time

import lib
from api_client import (
    BODY_MAX, DISCARD_MAX, PID_MAX, REQUEST_SECONDS, accepted, as_nobody, ask, connect,
    exchange, expect_error, need_root, quick, read_answer, receive, request_bytes, seed,
    unchanged)


# asm-generic/socket.h; Python has no name for it.
SO_TIMESTAMPNS = 35


def padded(total):
    """An add_pid of so many bytes."""
    body = b'{"pid": 4194304'
    return body + b' ' * (total - len(body) - 1) + b'}'


def chunked(body, size=4096):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in pieces) + b'0\r\n\r\n'


def test_body_limit(env):
    monitor = env.monitor()
    encoding = {'Transfer-Encoding': 'chunked'}
    assert ask(monitor.port, 'POST', '/add_pid', padded(BODY_MAX))[0] == 200
    for size in (1, 7, 4096, BODY_MAX):
        data = request_bytes('POST', '/add_pid', headers=encoding) + chunked(padded(BODY_MAX), size)
        assert exchange(monitor.port, data)[0] == 200, size
    with unchanged(monitor):
        for size in (BODY_MAX + 1, 2 * BODY_MAX, DISCARD_MAX // 2):
            # A client that sends all of it before it listens is told as well.
            for _ in range(10):
                expect_error(monitor.api('POST', '/add_pid', padded(size)), 413, size)
            answer = exchange(monitor.port, request_bytes('POST', '/add_pid', headers=encoding) +
                              chunked(padded(size)))
            assert answer[0] == 413 and answer[1]['content-type'] == 'application/json', size
        # One that sends the rest after the answer has come is not thrown out over it.
        with contextlib.closing(connect(monitor.port)) as connection:
            connection.sendall(request_bytes('POST', '/add_pid',
                                             headers={'Content-Length': DISCARD_MAX}))
            assert read_answer(connection)[0] == 413 and receive(connection) == b''
            for _ in range(20):
                connection.sendall(b' ' * 10000)
                quick(monitor.port)
        # What is announced is refused before it is sent.
        for announced in (BODY_MAX + 1, 10**9, 2**63):
            begin = time.monotonic()
            answer = exchange(monitor.port, request_bytes(
                'POST', '/add_pid', headers={'Content-Length': announced}))
            assert answer[0] == 413 and time.monotonic() - begin < 1, answer
        answer = exchange(monitor.port, request_bytes(
            'POST', '/add_pid', headers={'Content-Length': 10**6, 'Expect': '100-continue'}))
        assert answer[0] == 413, answer
        # What never ends is cut off.
        with contextlib.closing(connect(monitor.port)) as connection:
            connection.sendall(request_bytes('POST', '/add_pid', headers=encoding))
            piece = b'1000\r\n' + b' ' * 4096 + b'\r\n'
            sent = 0
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                while sent < 64 * DISCARD_MAX:
                    connection.sendall(piece)
                    sent += 4096
                connection.recv(1)
            assert sent < 64 * DISCARD_MAX, 'an endless body is read for ever'


def test_bodies_in_pieces(env):
    monitor = env.monitor()
    data = request_bytes('POST', '/add_pid', b'{"pid": 4194304}', {'Expect': '100-continue'})
    head, _, body = data.partition(b'\r\n\r\n')
    with contextlib.closing(connect(monitor.port)) as connection:
        connection.sendall(head + b'\r\n\r\n')
        assert b'100 Continue' in receive(connection)
        for at in range(len(body)):
            connection.sendall(body[at:at + 1])
        assert read_answer(connection)[0] == 200


def test_keeps_connections(env):
    monitor = env.monitor()
    exchanges = [
        (request_bytes('GET', '/target_pids'), 200),
        (request_bytes('POST', '/add_pid', b'{"pid": 4194304}'), 200),
        (request_bytes('POST', '/add_pid', b'{"pid": 0}'), 400),
        (request_bytes('POST', '/nowhere', b'x' * 1000), 404),
        (request_bytes('PUT', '/add_pid', b'x' * 1000), 405),
        (request_bytes('GET', '/apis', headers={'Host': 'evil.example'}), 403),
        (request_bytes('POST', '/set_print_all'), 200),
        (request_bytes('POST', '/clear_pid_list'), 200),
    ]
    with contextlib.closing(connect(monitor.port)) as connection:
        for data, status in exchanges * 20:
            connection.sendall(data)
            answer = read_answer(connection)
            assert answer and answer[0] == status, (data, answer)
    # All at once, answered in their order.
    with contextlib.closing(connect(monitor.port)) as connection:
        connection.sendall(b''.join(data for data, _ in exchanges) +
                           request_bytes('GET', '/apis', headers={'Connection': 'close'}))
        received = b''
        while True:
            piece = receive(connection)
            if not piece:
                break
            received += piece
        statuses = [int(status) for status in re.findall(rb'HTTP/1\.1 (\d+)', received)]
        assert statuses == [status for _, status in exchanges] + [200], statuses


def test_old_http(env):
    monitor = env.monitor()
    answer = exchange(monitor.port, b'GET /apis HTTP/1.0\r\n\r\n')
    assert answer[0] == 200
    answer = exchange(monitor.port, request_bytes('GET', '/apis', headers={'Host': None}))
    assert answer[0] == 400, answer
    answer = exchange(monitor.port, b'GET /apis HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n')
    assert answer[0] == 400, answer


def read_stamped(connection):
    """total_pids of the next answer, and when the kernel received it, in ns."""
    received, controls, _, _ = connection.recvmsg(65536, 256)
    for level, kind, data in controls:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack('qq', data[:16])
            return (json.loads(received.partition(b'\r\n\r\n')[2])['total_pids'],
                    seconds * 10**9 + nanoseconds)
    return None


def test_answers_in_order(env):
    """Of two changes, the answer to the first is not sent after that to the second."""
    monitor = env.monitor()
    compared = 0
    head, _, _ = request_bytes('POST', '/add_pid', b'{"pid": 4000000}').partition(b'{')
    busy = {'pids': list(range(3000000, 3001000))}
    for first in range(4000000, 4000200, 2):
        with contextlib.ExitStack() as stack:
            early, late, other = [stack.enter_context(contextlib.closing(connect(monitor.port)))
                                  for _ in range(3)]
            for connection in (early, late):
                connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            # The headers of one are read, the other is new: their ways to an answer differ.
            early.sendall(head)
            quick(monitor.port)
            # While the server is busy both become complete.
            other.sendall(request_bytes('POST', '/add_pids', json.dumps(busy).encode()))
            early.sendall(b'{"pid": %d}' % first)
            late.sendall(head + b'{"pid": %d}' % (first + 1))
            answers = [read_stamped(connection) for connection in (early, late)]
            if None in answers:
                continue
            compared += 1
            (total, stamp), (other_total, other_stamp) = answers
            assert (total < other_total) == (stamp < other_stamp), answers
    if not compared:
        env.skip('the kernel does not stamp what TCP receives')


def test_many_at_once(env):
    """Changes by eight clients at once: each counted once, lines in the order of the totals."""
    monitor = env.monitor()
    totals = {}
    errors = []

    def client(number):
        try:
            with contextlib.closing(connect(monitor.port)) as connection:
                for pid in range(4000000 + number, 4000400, 8):
                    connection.sendall(request_bytes('POST', '/add_pid', b'{"pid": %d}' % pid))
                    totals[pid] = json.loads(read_answer(connection)[2])['total_pids']
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
        'Received request: POST /add_pid {pid: %d}' % max(totals, key=totals.get)))
    lines = [int(re.search(r'pid: (\d+)', line).group(1)) for line in accepted(monitor)]
    assert lines == sorted(totals, key=totals.get)


def test_broken_clients(env):
    monitor = env.monitor()
    seed(monitor)
    line = b'POST /add_pid HTTP/1.1\r\nHost: localhost\r\n'
    body = b'{"pid": 4194304}'
    broken = [
        b'\r\n\r\n\r\n', b'\0' * 100, b'\xff' * 5000, b'GARBAGE\r\n\r\n', b'GET\r\n\r\n',
        b'GET /apis HTTP/9.9\r\nHost: localhost\r\n\r\n',
        b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(200),
        b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        line + b'Content-Length: -1\r\n\r\n' + body,
        line + b'Content-Length: x\r\n\r\n' + body,
        line + b'Content-Length: 16, 16\r\n\r\n' + body,
        line + b'Content-Length: 99999999999999999999999\r\n\r\n' + body,
        line + b'Content-Length: 17\r\n\r\n' + body,
        line + b'Transfer-Encoding: chunked\r\n\r\n' + body,
        line + b'Transfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n',
        line + b'Transfer-Encoding: gzip, chunked\r\n\r\n' + chunked(body),
        line + b'Transfer-Encoding: identity\r\n\r\n' + body,
        line + b'no colon here\r\n\r\n',
        line + b'X: ' + b'x' * 100000 + b'\r\n\r\n',
        b'GET /' + b'x' * 100000 + b' HTTP/1.1\r\n\r\n',
        line + b'X: y\r\n' * 20000 + b'\r\n',
    ]
    with unchanged(monitor):
        for connection, data in [(connect(monitor.port), data) for data in broken]:
            with contextlib.closing(connection):
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)
                answer = read_answer(connection)
            assert answer is None or answer[0] >= 400, (data[:60], answer)
            quick(monitor.port)
        # Cut off anywhere, by an end, by a reset, and with urgent data.
        data = request_bytes('POST', '/add_pid', body)
        for cut in range(0, len(data)):
            for reset in (False, True):
                with contextlib.closing(connect(monitor.port)) as connection:
                    connection.sendall(data[:cut])
                    if reset:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                              struct.pack('ii', 1, 0))
        with contextlib.closing(connect(monitor.port)) as connection:
            connection.sendall(data[:20])
            connection.send(b'!', socket.MSG_OOB)


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
            assert receive(connection) == b''
            break
    return time.monotonic() - begin


def test_slow_clients_are_cut_off(env):
    monitor = env.monitor()
    slow_head = request_bytes('POST', '/add_pid', b'{"pid": 4194304}')
    head, _, body = slow_head.partition(b'\r\n\r\n')
    took = {}

    def slow(name, begin, rest):
        with contextlib.closing(connect(monitor.port, 30)) as connection:
            connection.sendall(begin)
            took[name] = drip(connection, rest, 0.9)

    def kept():
        with contextlib.closing(connect(monitor.port, 30)) as connection:
            connection.sendall(request_bytes('GET', '/apis'))
            assert read_answer(connection)[0] == 200
            took['kept'] = drip(connection, slow_head, 0.9)

    with unchanged(monitor):
        threads = [threading.Thread(target=slow, args=('head', b'', slow_head)),
                   threading.Thread(target=slow, args=('body', head + b'\r\n\r\n', body)),
                   threading.Thread(target=slow, args=('nothing', b'', b'')),
                   threading.Thread(target=kept)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            quick(monitor.port)
            time.sleep(0.2)
        for thread in threads:
            thread.join()
        for name in ('head', 'body', 'kept'):
            assert took[name] < REQUEST_SECONDS + 2, (name, took)


def test_clients_that_do_not_read(env):
    """An answer that is not taken holds up nobody, and not for ever."""
    monitor = env.monitor()
    with contextlib.ExitStack() as stack:
        stuck = []
        for _ in range(8):
            connection = stack.enter_context(contextlib.closing(socket.socket()))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(('127.0.0.1', monitor.port))
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    connection.send(request_bytes('GET', '/apis') * 100)
            stuck.append(connection)
        quick(monitor.port)
        deadline = time.monotonic() + (REQUEST_SECONDS + 3) * lib.PATIENCE
        watch = select.poll()
        for connection in stuck:
            watch.register(connection, 0)
        gone = set()
        while len(gone) < len(stuck) and time.monotonic() < deadline:
            for descriptor, _ in watch.poll(500):
                gone.add(descriptor)
                watch.unregister(descriptor)
            quick(monitor.port)
        assert len(gone) == len(stuck), f'{len(gone)} of {len(stuck)} cut off'


@contextlib.contextmanager
def open_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count), hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_idle(port, count, data=b''):
    connections = []
    for _ in range(count):
        connection = connect(port)
        if data:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(data)
        connections.append(connection)
    return connections


def test_thousands_of_idle_connections(env):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 3100:
        env.skip('fewer than 3,100 open files allowed')
    monitor = env.monitor()
    body = request_bytes('POST', '/add_pid', headers={'Content-Length': 100})
    with open_files(3100), unchanged(monitor):
        for data in (b'', b'GET /apis HT', body):
            connections = open_idle(monitor.port, 3000, data)
            try:
                for _ in range(20):
                    quick(monitor.port)
            finally:
                for connection in connections:
                    connection.close()
        quick(monitor.port)


def test_refused_callers_displace_nobody(env):
    need_root(env)
    monitor = env.monitor()

    def crowd():
        return len(open_idle(monitor.port, 300))

    with contextlib.closing(connect(monitor.port)) as kept:
        kept.sendall(request_bytes('GET', '/apis'))
        assert read_answer(kept)[0] == 200
        for _ in range(3):
            assert as_nobody(crowd) == 300
            kept.sendall(request_bytes('GET', '/apis'))
            answer = read_answer(kept)
            assert answer and answer[0] == 200, 'a kept connection was displaced'
        quick(monitor.port)


def test_length_told_twice(env):
    """A body whose length is told more than once is refused."""
    monitor = env.monitor()
    with unchanged(monitor):
        for headers in (b'Content-Length: 9\r\nContent-Length: 3\r\n',
                        b'Content-Length: 9\r\nContent-Length: 9\r\n',
                        b'Transfer-Encoding: chunked\r\nContent-Length: 3\r\n'):
            with monitor.connect() as connection:
                connection.sendall(b'POST /add_pid HTTP/1.1\r\nHost: localhost\r\n' + headers +
                                   b'\r\n{"pid":8}')
                assert connection.recv(4096).startswith(b'HTTP/1.1 400 '), headers
