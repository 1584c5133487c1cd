# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Who may call the API: Host, Origin, uid, token, and the addresses it listens on."""
import contextlib
import json
import os
import signal
import socket
import struct
import threading
import time

import lib
from api_client import (
    NOBODY, PID_MAX, as_nobody, ask, connect, exchange, expect_error, need_root, quick,
    read_answer, receive, request_bytes, seed, unchanged)


def test_host_header(env):
    monitor = env.monitor()
    seed(monitor)
    port = monitor.port
    for host in ('localhost', f'localhost:{port}', '127.0.0.1', f'127.0.0.1:{port}',
                 f'LOCALHOST:{port}'):
        assert ask(port, 'GET', '/apis', headers={'Host': host})[0] == 200, host
    with unchanged(monitor):
        for host in ('evil.example', f'evil.example:{port}', f'localhost:{port + 1}', '[::1]',
                     '127.0.0.2', '0.0.0.0', 'localhost.evil.example', 'localhost.', '2130706433',
                     f'localhost:{port}, evil.example', f'user@localhost:{port}'):
            expect_error(ask(port, 'POST', '/add_pid', {'pid': PID_MAX}, {'Host': host}), 403, host)
            expect_error(ask(port, 'GET', '/nowhere', headers={'Host': host}), 403, host)


def test_origin_header(env):
    monitor = env.monitor()
    seed(monitor)
    port = monitor.port
    for origin in (f'http://localhost:{port}', f'http://127.0.0.1:{port}'):
        assert ask(port, 'GET', '/apis', headers={'Origin': origin})[0] == 200, origin
    with unchanged(monitor):
        for origin in ('null', 'http://evil.example', f'http://evil.example:{port}',
                       f'https://localhost:{port}', f'http://localhost:{port + 1}',
                       'http://localhost', 'file://', '', f'http://localhost:{port}.evil.example'):
            expect_error(ask(port, 'POST', '/add_pid', {'pid': PID_MAX}, {'Origin': origin}),
                         403, origin)
        # What a browser asks before it lets a page send JSON.
        expect_error(ask(port, 'OPTIONS', '/add_pid', headers={
            'Origin': 'http://evil.example', 'Access-Control-Request-Method': 'POST'}), 403,
            'preflight')


def test_refuses_other_users(env):
    need_root(env)
    monitor = env.monitor()
    seed(monitor)
    with unchanged(monitor):
        for method, path in (('GET', '/target_pids'), ('POST', '/set_print_all'),
                             ('GET', '/nowhere')):
            answer = as_nobody(lambda m=method, p=path: ask(monitor.port, m, p))
            expect_error(answer, 403, path)
            assert f'--allow-uid {NOBODY}' in answer[1]['error'], answer
        answer = as_nobody(lambda: ask(monitor.port, 'POST', '/add_pid', {'pid': PID_MAX}))
        expect_error(answer, 403, '/add_pid')


def test_allow_uid(env):
    need_root(env)
    monitor = env.monitor('--allow-uid', str(NOBODY))
    answer = as_nobody(lambda: ask(monitor.port, 'POST', '/add_pid', {'pid': PID_MAX}))
    assert answer[0] == 200, answer
    assert ask(monitor.port, 'GET', '/target_pids')[1]['pids'] == [PID_MAX]


def test_mapped_address(env):
    """A client whose socket is an IPv6 one, as Java's are, is known as well."""
    need_root(env)
    monitor = env.monitor()
    address = ('::ffff:127.0.0.1', monitor.port)
    try:
        connect(address).close()
    except OSError as error:
        env.skip(f'no IPv6: {error}')
    assert ask(address, 'GET', '/apis')[0] == 200
    answer = as_nobody(lambda: ask(address, 'GET', '/apis'))
    assert answer[0] == 403 and str(NOBODY) in answer[1]['error'], answer


def send_and_leave(address, how, data):
    """Sends a request and is gone before it can be answered."""
    connection = connect(address)
    with contextlib.suppress(OSError):
        connection.sendall(data)
        if how == 'reset':
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()


def send_and_shut(address, count, data):
    """The answers to so many requests from connections that are shut down after sending."""
    connections = [connect(address) for _ in range(count)]
    for connection in connections:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    return [(read_answer(connection) or [None])[0] for connection in connections]


@contextlib.contextmanager
def stopped(process):
    """Whoever calls meanwhile is not seen before the end."""
    process.send_signal(signal.SIGSTOP)
    lib.wait_for(lambda: lib.process_state(process.pid) == 'T', 'the monitor to stop')
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_closing_at_once_wins_nothing(env):
    """A socket that has been closed is root's, as the kernel tells it."""
    need_root(env)
    monitor = env.monitor()
    seed(monitor)
    data = request_bytes('POST', '/add_pid', b'{"pid": 4194304}')

    def burst(how):
        for _ in range(200):
            send_and_leave(monitor.port, how, data)

    with unchanged(monitor):
        for how in ('close', 'reset'):
            as_nobody(lambda h=how: burst(h))
            with stopped(monitor.process):
                as_nobody(lambda h=how: burst(h))
            quick(monitor.port)
        resume = threading.Timer(0.5, monitor.process.send_signal, [signal.SIGCONT])
        with stopped(monitor.process):
            resume.start()
            statuses = as_nobody(lambda: send_and_shut(monitor.port, 20, data))
        resume.join()
        assert set(statuses) == {403}, statuses


def test_half_closed_is_told_why(env):
    """Nobody can be known who has shut down the connection: the answer says what to do."""
    monitor = env.monitor()
    statuses = set()
    for _ in range(50):
        with contextlib.closing(connect(monitor.port)) as connection:
            connection.sendall(request_bytes('GET', '/apis'))
            connection.shutdown(socket.SHUT_WR)
            status, _, body = read_answer(connection)
            statuses.add(status)
            if status == 403:
                assert 'open' in json.loads(body)['error'], body
            begin = time.monotonic()
            assert receive(connection) == b''
            assert time.monotonic() - begin < 2 * lib.PATIENCE, 'the end is not noticed'
    assert statuses <= {200, 403}, statuses


def token_file(env, content):
    path = env.path('token')
    with open(path, 'w', encoding='ascii', opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(content)
    return path


def test_token(env):
    monitor = env.monitor('--token-file', token_file(env, 's3cret\n'))
    good = {'Authorization': 'Bearer s3cret'}
    assert ask(monitor.port, 'GET', '/apis', headers=good)[0] == 200
    for value in (None, 'Bearer', 'Bearer s3cre', 'Bearer s3cret1', 'Basic s3cret', 's3cret',
                  'Bearer s3cret s3cret'):
        answer = exchange(monitor.port, request_bytes(
            'POST', '/add_pid', b'{"pid": 4194304}', {'Authorization': value}))
        assert answer[0] == 401 and answer[1]['www-authenticate'] == 'Bearer', (value, answer)
        assert answer[1]['content-type'] == 'application/json'
        expect_error((answer[0], json.loads(answer[2])), 401, value)
    assert ask(monitor.port, 'GET', '/target_pids', headers=good)[1]['pids'] == []
    # In this order: where the call comes from, who calls, the token, the path.
    evil = dict(good, Host='evil.example')
    assert ask(monitor.port, 'GET', '/apis', headers=evil)[0] == 403
    assert ask(monitor.port, 'GET', '/nowhere')[0] == 401
    assert ask(monitor.port, 'GET', '/nowhere', headers=good)[0] == 404
    if os.geteuid() == 0:
        answer = as_nobody(lambda: ask(monitor.port, 'GET', '/apis', headers=good))
        assert answer[0] == 403, 'the token does not make up for the uid'


def expect_no_start(env, message, *args):
    ended = env.run('monitor', *args)
    assert ended.returncode == 1 and message in ended.stderr, (args, ended)
    assert 'API Server' not in ended.stdout


def test_beyond_loopback_needs_a_token(env):
    port = lib.free_port()
    everywhere = ('--listen', f'0.0.0.0:{port}')
    expect_no_start(env, '--token-file', *everywhere)
    expect_no_start(env, 'is empty', *everywhere, '--token-file', token_file(env, '\n'))
    env.monitor(*everywhere, '--token-file', token_file(env, 's3cret'), port=port)
    good = {'Authorization': 'Bearer s3cret', 'Host': f'127.0.0.1:{port}'}
    for host in (f'127.0.0.1:{port}', 'localhost', socket.gethostname()):
        assert ask(port, 'GET', '/apis', headers=dict(good, Host=host))[0] == 200, host
    assert ask(port, 'GET', '/apis', headers=dict(good, Host='evil.example'))[0] == 403
    assert ask(port, 'GET', '/apis', headers={'Host': f'127.0.0.1:{port}'})[0] == 401
    if os.geteuid() == 0:
        assert as_nobody(lambda: ask(port, 'GET', '/apis', headers=good))[0] == 200


def test_bad_addresses(env):
    for text in ('8080', '127.0.0.1', '127.0.0.1:0', '127.0.0.1:65536', '::1:80', 'unix:here'):
        ended = env.run('monitor', '--listen', text)
        assert ended.returncode in (1, 2) and 'unix:/run/trapline.sock' in ended.stderr, ended
    expect_no_start(env, 'No such file', '--token-file', env.path('missing'))


def test_on_ipv6(env):
    try:
        with contextlib.closing(socket.socket(socket.AF_INET6)) as free:
            free.bind(('::1', 0))
            port = free.getsockname()[1]
    except OSError as error:
        env.skip(f'no ::1: {error}')
    env.monitor_raw('monitor', *env.options(), '--listen', f'[::1]:{port}')
    address = ('::1', port)
    for host in (f'[::1]:{port}', 'localhost'):
        assert ask(address, 'GET', '/apis', headers={'Host': host})[0] == 200, host
    for host in ('127.0.0.1', f'[::2]:{port}', '::1'):
        assert ask(address, 'GET', '/apis', headers={'Host': host})[0] == 403, host
    if os.geteuid() == 0:
        answer = as_nobody(lambda: ask(address, 'GET', '/apis', headers={'Host': '[::1]'}))
        assert answer[0] == 403 and str(NOBODY) in answer[1]['error'], answer


def leave_stale_socket(path):
    """As a monitor that was killed does."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(path)


def test_on_a_unix_socket(env):
    os.chmod(env.directory, 0o755)
    path = env.path('trapline.sock')
    listen = ('--listen', 'unix:' + path)
    leave_stale_socket(path)
    monitor = env.monitor_raw('monitor', *env.options(), *listen, unix=path)
    assert ask(path, 'GET', '/apis', headers={'Host': 'anything'})[0] == 200
    assert ask(path, 'POST', '/add_pid', {'pid': PID_MAX})[1]['total_pids'] == 1
    assert ask(path, 'GET', '/apis', headers={'Origin': 'http://evil.example'})[0] == 403
    if os.geteuid() == 0:
        answer = as_nobody(lambda: ask(path, 'POST', '/clear_pid_list'))
        assert answer[0] == 403 and f'--allow-uid {NOBODY}' in answer[1]['error'], answer
        as_nobody(lambda: [send_and_leave(path, 'close', request_bytes('POST', '/clear_pid_list'))
                           for _ in range(50)])
    assert ask(path, 'GET', '/target_pids')[1]['pids'] == [PID_MAX]
    # It is in use, and stays so.
    expect_no_start(env, 'already in use', *listen)
    assert ask(path, 'GET', '/apis')[0] == 200
    monitor.stop()
    assert not os.path.exists(path), 'the file of the socket was left behind'
    # What is no socket is not ours to remove.
    with open(path, 'w', encoding='ascii') as file:
        file.write('precious')
    expect_no_start(env, 'not a socket', *listen)
    with open(path, encoding='ascii') as file:
        assert file.read() == 'precious'


def test_restarts_on_the_same_port(env):
    monitor = env.monitor()
    expect_no_start(env, 'already in use', '--listen', f'127.0.0.1:{monitor.port}')
    with contextlib.closing(connect(monitor.port)) as kept:
        kept.sendall(request_bytes('GET', '/apis'))
        assert read_answer(kept)[0] == 200
        # The server closes first: its end is the one that stays in TIME_WAIT.
        monitor.stop()
    env.monitor(port=monitor.port)
    assert ask(monitor.port, 'GET', '/apis')[0] == 200
