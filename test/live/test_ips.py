# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""IP selectors: reads and writes on sockets whose peer is in the list, whoever makes them."""
import socket

import lib
from lib import equal


def matrix(test):
    test.matrix = True
    return test


def pair(family, address, peer_from=None):
    """(client, server): a TCP connection; the client's own address is peer_from."""
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen(1)
        client = socket.socket(family)
        if peer_from:
            client.bind((peer_from, 0))
        client.connect(listener.getsockname()[:2])
        server, _ = listener.accept()
    return client, server


def talk(env, monitor, connection, other):
    """A victim makes 30 reads and 20 writes on connection; returns what is shown of them."""
    victim = env.victim('sockets', connection.fileno(), 30, 20, pass_fds=[connection.fileno()])
    other.sendall(b'x' * 30)
    victim.round()
    other.settimeout(10 * lib.PATIENCE)
    received = 0
    while received < 20:
        received += len(other.recv(20))
    equal(received, 20, 'bytes written')
    bystander = env.victim('calls', 10, 10)
    bystander.round()
    # Without taking an IP away: clearing the PIDs waits for what was emitted, too.
    before = sum('clear_pid_list' in line for line in monitor.stdout_lines())
    monitor.ok('POST', '/clear_pid_list')
    monitor.wait_line('POST /clear_pid_list', 10, before + 1)
    equal(monitor.pids_shown()[bystander.pid], 0, 'calls on no socket')
    return monitor.count(victim.pid, 'read'), monitor.count(victim.pid, 'write')


def aim(monitor, *entries):
    monitor.ok('POST', '/clear_ip_list', {'clear_ip_list': True})
    return monitor.ok('POST', '/add_ips', {'add_ips': list(entries)})


@matrix
def test_ipv4_peer(env):
    """Reads and writes on a connection to 127.0.0.5, by a process that was never named."""
    monitor = env.monitor()
    client, server = pair(socket.AF_INET, '127.0.0.5')
    with client, server:
        answer = aim(monitor, '127.0.0.5')
        equal(set(answer), {'message', 'added_ips', 'total_ips'}, 'it can aim')
        equal(talk(env, monitor, client, server), (30, 20))
        equal(talk(env, monitor, server, client), (0, 0), 'the other end, whose peer is 127.0.0.1')
        aim(monitor, '127.0.0.6')
        equal(talk(env, monitor, client, server), (0, 0), 'another address')
    equal(monitor.stop(), 0)
    equal(monitor.ledger()['balanced'], True)


def test_forms_of_an_address(env):
    """Numbers, prefixes, mapped addresses; /0; the longest prefix does not hide a shorter one."""
    monitor = env.monitor()
    client, server = pair(socket.AF_INET, '127.0.0.5')
    with client, server:
        for entries, seen in (
                ([0x7f000005], True),
                (['127.0.0.0/8'], True),
                (['127.0.0.4/30'], True),
                (['127.0.0.8/29'], False),
                (['::ffff:127.0.0.5'], True),
                (['::ffff:127.0.0.0/104'], True),
                (['0.0.0.0/0'], True),
                (['::/0'], False),
                (['10.0.0.0/8', '127.0.0.0/8', '127.0.0.5/32'], True)):
            aim(monitor, *entries)
            equal(talk(env, monitor, client, server), (30, 20) if seen else (0, 0), entries)


def test_ipv6_peer(env):
    try:
        client, server = pair(socket.AF_INET6, '::1')
    except OSError as error:
        env.skip('no IPv6 on loopback: %s' % error)
    monitor = env.monitor()
    with client, server:
        for entries, seen in ((['::1'], True), (['::/64'], True), (['2001:db8::/32'], False),
                              (['127.0.0.1'], False)):
            aim(monitor, *entries)
            equal(talk(env, monitor, client, server), (30, 20) if seen else (0, 0), entries)


def test_mapped_socket(env):
    """An IPv6 socket that talks to an IPv4 address has that as its peer."""
    with socket.socket(socket.AF_INET) as listener:
        listener.bind(('127.0.0.5', 0))
        listener.listen(1)
        try:
            client = socket.socket(socket.AF_INET6)
            client.connect(('::ffff:127.0.0.5', listener.getsockname()[1]))
        except OSError as error:
            env.skip('no mapped addresses: %s' % error)
        server, _ = listener.accept()
    monitor = env.monitor()
    with client, server:
        aim(monitor, '127.0.0.5')
        equal(talk(env, monitor, client, server), (30, 20))


def test_udp_peer(env):
    """A connected UDP socket has a peer; one that is not has none."""
    monitor = env.monitor()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        one.bind(('127.0.0.7', 0))
        other.bind(('127.0.0.8', 0))
        one.connect(other.getsockname())
        victim = env.victim('sockets', one.fileno(), 0, 20, pass_fds=[one.fileno()])
        monitor.ok('POST', '/add_ips', {'add_ips': ['127.0.0.8']})
        victim.round()
        monitor.flush()
        equal(monitor.count(victim.pid, 'write'), 20)


def test_unix_sockets_have_no_ip(env):
    monitor = env.monitor()
    aim(monitor, '0.0.0.0/0', '::/0')
    one, other = socket.socketpair()
    with one, other:
        equal(talk(env, monitor, one, other), (0, 0))


def test_ips_and_pids_add_up(env):
    """A call that both pick is shown once; each list is cleared on its own."""
    monitor = env.monitor()
    client, server = pair(socket.AF_INET, '127.0.0.5')
    with client, server:
        victim = env.victim('sockets', client.fileno(), 10, 0, pass_fds=[client.fileno()])
        other = env.victim('calls', 10, 0)
        monitor.ok('POST', '/add_pid', {'pid': victim.pid})
        monitor.ok('POST', '/add_pid', {'pid': other.pid})
        monitor.ok('POST', '/add_ips', {'add_ips': ['127.0.0.5']})
        server.sendall(b'x' * 10)
        victim.round(), other.round()
        monitor.flush()
        equal((monitor.count(victim.pid, 'read'), monitor.count(other.pid, 'read')), (10, 10))


def test_full_ip_list(env):
    """65,536 entries; one more is refused, with nothing of its request added."""
    monitor = env.monitor()
    for at in range(0, 65536, 4096):
        monitor.ok('POST', '/add_ips', {'add_ips': list(range(at, at + 4096))})
    status, _, answer = monitor.api('POST', '/add_ips', {'add_ips': [5, 70000, 70001]})
    equal(status, 507, answer)
    listed = monitor.ok('POST', '/print_all_ips', {'print_all_ips': True})
    equal((listed['total_ips'], listed['ips'][-1]), (65536, 65535))
    equal(monitor.ok('POST', '/add_ips', {'add_ips': [7, '0.0.0.9']})['total_ips'], 65536)
    equal(monitor.ok('POST', '/clear_ip_list', {'clear_ip_list': True})['total_ips'], 0)
    equal(monitor.ok('POST', '/add_ips', {'add_ips': ['10.0.0.1']})['total_ips'], 1)
