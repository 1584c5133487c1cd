# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Changes of the aim while everything is busy."""
import os
import random
import re
import threading
import time

import lib
from lib import equal

STAMP = re.compile(r'\[\d{4}-\d\d-\d\d (\d\d):(\d\d):(\d\d)\.(\d{9})\] hello sys_\w+ was called by '
                   r'.* \(PID: \d+, TGID: (\d+)\)$')
DAY_NS = 86400 * 10**9


def matrix(test):
    test.matrix = True
    return test


def reaim(env, changes, seed):
    """Random changes with two writers at full speed. Returns the monitor, the windows in which
    each victim was aimed at, and the log's path."""
    chance = random.Random(seed)
    victims = [env.victim('forever') for _ in range(2)]
    monitor = env.monitor('-q', '--ring', '64M', '--log=' + env.path('log'),
                          env={**os.environ, 'TZ': 'UTC'})
    windows = {victim.pid: [] for victim in victims}
    aimed = {}
    for victim in victims:
        victim.go()

    def opened(pid, at):
        aimed.setdefault(pid, at)

    def closed(pid, at):
        if pid in aimed:
            windows[pid].append((aimed.pop(pid), at))

    listed = set()
    for _ in range(changes):
        what = chance.choice(('add', 'add', 'both', 'clear', 'clear', 'all'))
        before = time.time_ns()
        if what == 'clear':
            monitor.ok('POST', '/clear_pid_list')
            after, listed = time.time_ns(), set()
        elif what == 'all':
            monitor.ok('POST', '/set_print_all')
            after = time.time_ns()
        else:
            pids = {chance.choice(victims).pid} if what == 'add' else set(windows)
            monitor.ok('POST', '/add_pids', {'pids': sorted(pids)})
            after, listed = time.time_ns(), listed | pids
        now = set(windows) if what == 'all' else listed
        for pid in windows:
            if pid in now:
                opened(pid, before)
            else:
                closed(pid, after)
    monitor.ok('POST', '/clear_pid_list')
    for pid in windows:
        closed(pid, time.time_ns())
    equal(monitor.stop(), 0)
    return monitor, windows


def check_log(env, windows):
    """Every line of a victim lies in a time at which it was a target."""
    midnight = time.time_ns() // DAY_NS * DAY_NS
    at = {pid: 0 for pid in windows}
    lines = 0
    with open(env.path('log')) as log:
        for line in log:
            found = STAMP.match(line)
            assert found, line
            hour, minute, second, ns, pid = map(int, found.groups())
            if pid not in windows:
                continue
            lines += 1
            when = midnight + ((hour * 60 + minute) * 60 + second) * 10**9 + ns
            if when > time.time_ns() + 10**9:
                when -= DAY_NS  # the day has changed since
            while at[pid] < len(windows[pid]) and when > windows[pid][at[pid]][1] + 100000:
                at[pid] += 1
            assert at[pid] < len(windows[pid]), 'after the last window: ' + line
            begin, end = windows[pid][at[pid]]
            assert begin - 100000 <= when <= end + 100000, (line, begin, end)
    return lines


def test_thousand_changes_under_load(env):
    """1,000 random changes: no event of a target outside the times at which it was one."""
    changes = int(1000 / lib.PATIENCE**2)
    monitor, windows = reaim(env, changes, 1)
    lines = check_log(env, windows)
    assert lines > changes, 'only %d lines' % lines
    equal(monitor.ledger()['balanced'], True, monitor.ledger()['line'])


@matrix
def test_changes_under_load(env):
    monitor, windows = reaim(env, int(30 / lib.PATIENCE), 2)
    assert check_log(env, windows) > 0
    equal(monitor.ledger()['balanced'], True, monitor.ledger()['line'])


@matrix
def test_nothing_after_the_answer(env):
    """Once clearing is answered no line of the target follows on standard output."""
    victim = env.victim('forever')
    monitor = env.monitor()
    victim.go()
    rounds = int(20 / lib.PATIENCE)
    for _ in range(rounds):
        monitor.ok('POST', '/add_pid', {'pid': victim.pid})
        monitor.wait_line('^%d - hello' % victim.pid, 10)
        monitor.ok('POST', '/clear_pid_list')
    # The line of a request that takes away stands after all lines of what it took away.
    lines = monitor.stdout_lines()
    aimed = False
    for line in lines:
        if line.startswith('Received request: POST /add_pid '):
            aimed = True
        elif line.startswith('Received request: POST /clear_pid_list'):
            aimed = False
        elif ' - hello sys_' in line:
            assert aimed, 'a line outside its time'
    assert monitor.pids_shown()[victim.pid] > rounds
    monitor.stop()
    equal(monitor.ledger()['balanced'], True)


def test_target_kept_loses_nothing(env):
    """A target that stays one while others come and go loses no event."""
    victim = env.victim('calls', 300000, 0)
    with open(env.path('out'), 'wb') as out:
        monitor = env.monitor('--ring', '64M', '-p', victim.pid, stdout=out)
        lib.wait_for(lambda: b'API Server' in open(env.path('out'), 'rb').read(400), 'the start')
        done = threading.Event()

        def others():
            number = 0
            while not done.is_set():
                number += 1
                monitor.ok('POST', '/add_pid', {'pid': 3000000 + number % 1000})
                monitor.ok('POST', '/add_ips', {'add_ips': ['10.0.%d.1' % (number % 256)]})
                if number % 8 == 0:
                    monitor.ok('POST', '/clear_ip_list', {'clear_ip_list': True})

        thread = threading.Thread(target=others)
        thread.start()
        try:
            victim.round()
        finally:
            done.set()
            thread.join()
        monitor.stop()
    with open(env.path('out'), 'rb') as out:
        wanted = b'%d - hello sys_read was called\n' % victim.pid
        equal(sum(line == wanted for line in out), 300000)


def test_concurrent_callers(env):
    """Many callers at once: the list holds the sum of what was answered."""
    monitor = env.monitor()
    totals = []

    def caller(first):
        for pid in range(first, first + 40):
            totals.append(monitor.ok('POST', '/add_pid', {'pid': pid})['total_pids'])

    threads = [threading.Thread(target=caller, args=(3000000 + i * 100,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(sorted(totals), list(range(1, 321)), 'each change saw those before it')
    equal(monitor.ok('GET', '/target_pids')['total_pids'], 320)
