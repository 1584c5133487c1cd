# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The HTTP API of a running monitor: every promise of v0. What is refused changes nothing."""
import contextlib
import json
import os
import re

from api_client import (
    LIST_MAX, PID_FORM, PID_MAX, accepted, ask, connect, expect_error, read_answer, receive,
    request_bytes, seed, state, unchanged)


def test_lists_its_endpoints(env):
    monitor = env.monitor()
    status, _, body = monitor.api('GET', '/apis')
    rows = [
        'GET /apis', 'POST /add_pid', 'POST /add_pids', 'POST /clear_pid_list',
        'POST /set_print_all', 'GET /target_pids', 'POST /add_ips', 'POST /clear_ip_list',
        'POST /print_all_ips',
    ]
    assert status == 200 and list(body) == ['available_apis', 'usage'], body
    for row in rows:
        listed = [line for line in body['available_apis'] if line.startswith(row + ' - ')]
        assert len(listed) == 1, (row, body['available_apis'])
        method, path = row.split()
        usage = body['usage'][path[1:]]
        assert sorted(usage) == ['body', 'method'] and usage['method'] == method, usage
        assert isinstance(usage['body'], str)


def test_target_list(env):
    monitor = env.monitor()
    own = os.getpid()
    status, headers, body = monitor.api('POST', '/add_pid', {'pid': own})
    assert {key.lower(): value for key, value in headers.items()}['content-type'] == \
        'application/json'
    assert status == 200
    assert list(body.items()) == [
        ('message', 'PID added successfully and print_all set to false'),
        ('added_pid', own), ('total_pids', 1), ('print_all', False),
    ], body
    monitor.wait_line(re.escape(f'Received request: POST /add_pid {{pid: {own}}}'))
    # Once more changes nothing.
    assert monitor.api('POST', '/add_pid', {'pid': own})[2]['total_pids'] == 1
    # A PID that no process has.
    body = monitor.api('POST', '/add_pid', {'pid': PID_MAX})[2]
    assert body['total_pids'] == 2 and body.get('running', False) is False, body
    assert set(body) <= {'message', 'added_pid', 'total_pids', 'print_all', 'running'}
    status, _, body = monitor.api('POST', '/add_pids', {'pids': [PID_MAX, PID_MAX - 1, own]})
    assert status == 200 and body.pop('running', False) is False
    assert list(body) == ['message', 'added_pids', 'total_pids', 'print_all'], body
    assert body['added_pids'] == [PID_MAX, PID_MAX - 1, own] and body['total_pids'] == 3
    assert body['print_all'] is False
    monitor.wait_line(re.escape(
        f'Received request: POST /add_pids {{pids: [{PID_MAX} {PID_MAX - 1} {own}]}}'))
    status, _, body = monitor.api('GET', '/target_pids')
    assert status == 200
    assert list(body.items()) == [
        ('message', 'Target PIDs and print_all flag state retrieved successfully'),
        ('pids', sorted([own, PID_MAX - 1, PID_MAX])), ('total_pids', 3), ('print_all', False),
    ], body


def test_print_all_and_clear(env):
    monitor = env.monitor()
    any_json = [b'', b'{}', b' \n', b'[]', b'null', b'7', b'"x"', b'{"a": [1]}', b'true']
    assert monitor.api('POST', '/add_pid', {'pid': PID_MAX})[0] == 200
    for sent in any_json:
        status, _, body = monitor.api('POST', '/set_print_all', sent)
        assert status == 200 and list(body.items()) == [
            ('message', 'Print all flag set to true successfully'), ('print_all', True),
        ], (sent, body)
    body = monitor.api('GET', '/target_pids')[2]
    assert body['print_all'] is True and body['pids'] == [PID_MAX], body
    # Adding a target ends the print-all mode, and so does clearing.
    assert monitor.api('POST', '/add_pid', {'pid': PID_MAX})[2]['print_all'] is False
    assert monitor.api('GET', '/target_pids')[2]['print_all'] is False
    for sent in any_json:
        assert monitor.api('POST', '/set_print_all')[0] == 200
        status, _, body = monitor.api('POST', '/clear_pid_list', sent)
        assert status == 200 and list(body.items()) == [
            ('message', 'PID list cleared and print_all set to false'), ('total_pids', 0),
            ('print_all', False),
        ], (sent, body)
    body = monitor.api('GET', '/target_pids')[2]
    assert body['pids'] == [] and body['total_pids'] == 0 and body['print_all'] is False


def test_lines_of_accepted_requests(env):
    monitor = env.monitor()
    sent = [
        ('/add_pid', {'pid': PID_MAX}, 'POST /add_pid {pid: 4194304}'),
        ('/add_pids', {'pids': [4194303, 4194302]}, 'POST /add_pids {pids: [4194303 4194302]}'),
        ('/set_print_all', b'', 'POST /set_print_all'),
        ('/clear_pid_list', b'{}', 'POST /clear_pid_list'),
        ('/add_ips', {'add_ips': [1, '10.0.0.1', '10.0.0.0/8']},
         'POST {add_ips: [1 10.0.0.1 10.0.0.0/8]}'),
        ('/print_all_ips', {'print_all_ips': True}, 'POST {print_all_ips: true}'),
        ('/clear_ip_list', {'clear_ip_list': True}, 'POST {clear_ip_list: true}'),
    ]
    for path, body, line in sent:
        assert monitor.api('POST', path, body)[0] == 200
        monitor.wait_line(re.escape('Received request: ' + line) + '$')
    assert monitor.api('GET', '/target_pids')[0] == 200
    assert monitor.api('GET', '/apis')[0] == 200
    assert accepted(monitor) == ['Received request: ' + line for _, _, line in sent]


def test_ip_list(env):
    monitor = env.monitor()
    status, _, body = monitor.api('POST', '/add_ips', {'add_ips': [1, 2, 3]})
    warning = body.pop('warning', None)
    assert status == 200 and list(body.items()) == [
        ('message', 'IPs added successfully'), ('added_ips', [1, 2, 3]), ('total_ips', 3),
    ], body
    entries = [0, 4294967295, '10.1.2.3', '10.1.2.3/8', '2001:DB8::1', '2001:db8::/32',
               '::ffff:192.0.2.1']
    status, _, body = monitor.api('POST', '/add_ips', {'add_ips': entries})
    assert status == 200 and body['added_ips'] == entries and body['total_ips'] == 10, body
    assert body.get('warning') == warning
    # The same sets of addresses, written otherwise.
    body = monitor.api('POST', '/add_ips', {'add_ips': [
        '0.0.0.1', '10.0.0.0/8', '2001:db8:0::1', '192.0.2.1', '::ffff:192.0.2.1/128']})[2]
    assert body['total_ips'] == 10, body
    status, _, body = monitor.api('POST', '/print_all_ips', {'print_all_ips': True})
    assert status == 200 and list(body.items()) == [
        ('message', 'All IPs retrieved successfully'), ('ips', [1, 2, 3] + entries),
        ('total_ips', 10),
    ], body
    status, _, body = monitor.api('POST', '/clear_ip_list', {'clear_ip_list': True})
    assert status == 200 and list(body.items()) == [
        ('message', 'IP list cleared successfully'), ('total_ips', 0)], body
    body = monitor.api('POST', '/print_all_ips', {'print_all_ips': True})[2]
    assert body['ips'] == [] and body['total_ips'] == 0, body


NO_OBJECT = ['', ' ', '{', 'null', '1234', '"1234"', '[1234]', 'true', '{}', '{}{}', '{"x": 1}',
             '{pid: 1}', 'pid=1234', '\ufeff{}', '{} x', '\0']
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
    '[]', 'null', '1', '"10.0.0.1"', '{}', '[-1]', '[4294967296]', '[1.0]', '[true]', '[null]',
    '[[1]]', '[""]', '["1"]', '["10.0.0"]', '["10.0.0.256"]', '["10.0.0.01"]', '["10.0.0.1/33"]',
    '["10.0.0.1/"]', '["::1/129"]', '["::1%lo"]', '["localhost"]', '[" 10.0.0.1"]',
    '["10.0.0.1\\u0000"]', '[1, "10.0.0.1", "x"]', '[99999999999999999999]')]
BAD_FLAGS = ['false', 'null', '1', '"true"', '[]', '{}']


def test_refuses_bad_bodies(env):
    monitor = env.monitor()
    seed(monitor)
    refused = [('/add_pid', body) for body in NO_OBJECT + BAD_PID_FORMS]
    refused += [('/add_pid', '{"pid": %d}' % pid) for pid in BAD_PIDS]
    refused += [('/add_pids', body) for body in NO_OBJECT + BAD_PID_LISTS]
    refused += [('/add_ips', body) for body in NO_OBJECT + BAD_IP_LISTS]
    for field in ('clear_ip_list', 'print_all_ips'):
        refused += [('/' + field, body) for body in NO_OBJECT]
        refused += [('/' + field, '{"%s": %s}' % (field, value)) for value in BAD_FLAGS]
    for path in ('/clear_pid_list', '/set_print_all'):
        refused += [(path, body) for body in ('x', '{', '{}{}', '{} x', '[1,]', '{}\0')]
    with unchanged(monitor):
        for path, body in refused:
            expect_error(monitor.api('POST', path, body.encode()), 400, (path, body))
    for body in BAD_PID_FORMS:
        error = monitor.api('POST', '/add_pid', body.encode())[2]['error']
        assert error == PID_FORM, (body, error)
    for pid in BAD_PIDS:
        error = monitor.api('POST', '/add_pid', b'{"pid": %d}' % pid)[2]['error']
        assert 'pid' in error and '1..4194304' in error, error
    # Neither with the whole of it in one piece nor cut anywhere.
    with unchanged(monitor):
        data = request_bytes('POST', '/add_pid', b'{"pid": "7"}')
        for cut in range(1, len(data)):
            with contextlib.closing(connect(monitor.port)) as connection:
                connection.sendall(data[:cut])
                connection.sendall(data[cut:])
                assert read_answer(connection)[0] == 400


def test_paths_and_methods(env):
    monitor = env.monitor()
    seed(monitor)
    with unchanged(monitor):
        for path in ('/', '/add_pid/', '/ADD_PID', '/v0/add_pid', '//add_pid', '/%2e%2e/add_pid'):
            for method in ('GET', 'POST', 'DELETE'):
                expect_error(ask(monitor.port, method, path), 404, (method, path))
        for method, path, allow in (
                ('GET', '/add_pid', 'POST'), ('PUT', '/add_pids', 'POST'),
                ('DELETE', '/clear_pid_list', 'POST'), ('OPTIONS', '/set_print_all', 'POST'),
                ('POST', '/target_pids', 'GET, HEAD'), ('PATCH', '/apis', 'GET, HEAD'),
                ('HEAD', '/add_ips', 'POST'), ('BREW', '/clear_ip_list', 'POST'),
                ('get', '/apis', 'GET, HEAD')):
            with contextlib.closing(connect(monitor.port)) as connection:
                connection.sendall(request_bytes(method, path))
                status, headers, body = read_answer(connection, head_only=method == 'HEAD')
            assert status == 405 and headers['allow'] == allow, (method, path, headers)
            assert headers['content-type'] == 'application/json'
            if method != 'HEAD':
                expect_error((status, json.loads(body)), 405, (method, path))
        for path in ('/apis', '/target_pids'):
            with contextlib.closing(connect(monitor.port)) as connection:
                connection.sendall(request_bytes('HEAD', path) + request_bytes('GET', path))
                status, headers, body = read_answer(connection, head_only=True)
                assert status == 200 and int(headers['content-length']) > 0, headers
                rest = body or receive(connection)
                assert rest.startswith(b'HTTP/1.1 200'), rest
    # A query is not part of the path.
    assert ask(monitor.port, 'GET', '/apis?x=/add_pid')[0] == 200


def test_full_tables(env):
    monitor = env.monitor()
    for first in range(PID_MAX - LIST_MAX + 1, PID_MAX + 1, 4096):
        batch = list(range(first, first + 4096))
        status, _, body = monitor.api('POST', '/add_pids', {'pids': batch})
        assert status == 200, body
    assert body['total_pids'] == LIST_MAX, body
    one_more = PID_MAX - LIST_MAX
    for path, sent in (('/add_pid', {'pid': one_more}),
                       ('/add_pids', {'pids': [PID_MAX, one_more, one_more - 1]})):
        status, _, body = monitor.api('POST', path, sent)
        expect_error((status, body), 507, path)
        assert '65536' in body['error'] and 'full' in body['error'], body
    body = monitor.api('GET', '/target_pids')[2]
    assert body['pids'] == list(range(PID_MAX - LIST_MAX + 1, PID_MAX + 1))
    # What is there already fits.
    assert monitor.api('POST', '/add_pid', {'pid': PID_MAX})[0] == 200
    body = monitor.api('POST', '/clear_pid_list')[2]
    assert body['total_pids'] == 0
    assert monitor.api('GET', '/target_pids')[2]['pids'] == []


def test_full_ip_list(env):
    monitor = env.monitor()
    for first in range(0, LIST_MAX, 4096):
        batch = list(range(0x0a000000 + first, 0x0a000000 + first + 4096))
        status, _, body = monitor.api('POST', '/add_ips', {'add_ips': batch})
        assert status == 200, body
    assert body['total_ips'] == LIST_MAX, body
    status, _, body = monitor.api('POST', '/add_ips', {'add_ips': ['192.0.2.1']})
    expect_error((status, body), 507, '/add_ips')
    assert '65536' in body['error'] and 'full' in body['error'], body
    body = monitor.api('POST', '/print_all_ips', {'print_all_ips': True})[2]
    assert body['ips'] == list(range(0x0a000000, 0x0a000000 + LIST_MAX))
    assert monitor.api('POST', '/clear_ip_list', {'clear_ip_list': True})[2]['total_ips'] == 0
