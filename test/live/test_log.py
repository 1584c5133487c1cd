# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The log file, and what happens to it: rotation, a full disk, names that would break a line."""
import os
import re
import signal
import stat
import subprocess
import time

import lib
from lib import equal, wait_for

LINE = re.compile(r'\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{9})\] hello sys_(read|write) was called '
                  r'by (.*) \(PID: (\d+), TGID: (\d+)\)$')


def log_lines(path):
    with open(path, errors='surrogateescape') as log:
        text = log.read()
    assert not text or text.endswith('\n'), 'the last line is not whole'
    return [LINE.match(line) or line for line in text.splitlines()]


def whole(lines):
    broken = [line for line in lines if isinstance(line, str)]
    equal(broken, [], 'broken lines')
    return lines


def test_line_format(env):
    """One line a call, with the kernel's time of the call, in local time."""
    path = env.path('log')
    victim = env.victim('calls', 20, 10)
    monitor = env.monitor('-p', victim.pid, '--log=' + path, env={**os.environ, 'TZ': 'XYZ-5:30'})
    before = time.time_ns()
    victim.round()
    after = time.time_ns()
    equal(monitor.stop(), 0)
    lines = whole(log_lines(path))
    equal(len(lines), 30)
    for line in lines:
        equal(line.group(4, 5, 6), ('victim', str(victim.pid), str(victim.pid)))
        seconds = time.mktime(time.strptime(line.group(1), '%Y-%m-%d %H:%M:%S')) - time.timezone
        at = int(seconds - 5.5 * 3600) * 10**9 + int(line.group(2))
        assert before - 10**6 <= at <= after + 10**6, (before, at, after)
    times = [line.group(1) + line.group(2) for line in lines]
    equal(times, sorted(times), 'times')
    equal([line.group(3) for line in lines], ['read'] * 20 + ['write'] * 10)
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o640, 'mode')
    equal(monitor.ledger()['log'], {'offered': 30, 'written': 30, 'lost': 0})


def test_default_name_and_append(env):
    with open(env.path('syscalls.log'), 'w') as log:
        log.write('kept\n')
    victim = env.victim('calls', 2, 0)
    monitor = env.monitor('-p', victim.pid, '--log', cwd=env.directory)
    victim.round()
    monitor.stop()
    lines = log_lines(env.path('syscalls.log'))
    equal((lines[0], len(lines)), ('kept', 3))


def test_quiet(env):
    """--quiet leaves the calls to the log; requests are still told of."""
    victim = env.victim('calls', 5, 5)
    monitor = env.monitor('-q', '--log=' + env.path('log'))
    monitor.ok('POST', '/add_pid', {'pid': victim.pid})
    victim.round()
    monitor.flush()
    equal(monitor.pids_shown(), {})
    monitor.wait_line(r'^Received request: POST /add_pid \{pid: %d\}$' % victim.pid)
    monitor.stop()
    equal(len(whole(log_lines(env.path('log')))), 10)


def test_rotation(env):
    """SIGHUP reopens: no line is lost, cut or written twice across many rotations."""
    path = env.path('log')
    victim = env.victim('calls', 2000, 0, 10)
    monitor = env.monitor('-q', '-p', victim.pid, '--log=' + path)
    for number in range(10):
        victim.go()
        os.rename(path, '%s.%d' % (path, number))
        monitor.process.send_signal(signal.SIGHUP)
        wait_for(lambda: os.path.exists(path), 'the new log')
        victim.wait_stopped()
    monitor.stop()
    lines = []
    for number in range(10):
        lines += whole(log_lines('%s.%d' % (path, number)))
    lines += whole(log_lines(path))
    equal(len(lines), 20000)
    times = [line.group(1) + line.group(2) for line in lines]
    equal(times, sorted(times), 'times')


def test_rotation_fails(env):
    """A log that cannot be reopened: the old one goes on, and that is said."""
    os.mkdir(env.path('d'))
    path = env.path('d/log')
    victim = env.victim('calls', 3, 0, 2)
    monitor = env.monitor('-q', '-p', victim.pid, '--log=' + path)
    victim.round()
    os.rename(env.path('d'), env.path('e'))
    monitor.process.send_signal(signal.SIGHUP)
    monitor.wait_error('cannot reopen log file')
    victim.round()
    equal(monitor.stop(), 0)
    equal(len(whole(log_lines(env.path('e/log')))), 6)


def test_unwritable(env):
    done = env.run('monitor', '--no-api', '--log=/nonexistent/log')
    equal((done.returncode, done.stdout), (1, ''))
    equal(len(done.stderr.splitlines()), 1, done.stderr)
    assert '/nonexistent/log: No such file or directory' in done.stderr, done.stderr
    os.mkfifo(env.path('fifo'))
    equal(env.run('monitor', '--no-api', '--log=' + env.path('fifo')).returncode, 1, 'a FIFO')


def test_full_disk(env):
    """A full disk is told once and counted; when there is room again, whole lines follow."""
    mounted = env.path('disk')
    os.mkdir(mounted)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mounted], check=True)
    try:
        path = os.path.join(mounted, 'log')
        victim, after = env.victim('calls', 5000, 0), env.victim('calls', 50, 0)
        monitor = env.monitor('-q', '-p', victim.pid, '-p', after.pid, '--log=' + path)
        victim.round()
        monitor.flush()
        monitor.wait_error('cannot write to .*log: No space left on device')
        monitor.wait_error(r'lost \d+ events \(log file \d+\)')
        equal(monitor.process.poll(), None, 'it goes on')
        with open(path, 'r+') as log:
            kept = log.read()
            log.truncate(0)
        monitor.wait_error('writing again', 10)
        after.round()
        monitor.flush()
        equal(monitor.stop(), 0)
        ledger = monitor.ledger()
        equal((ledger['seen'], ledger['balanced']), (5050, True), ledger['line'])
        assert ledger['log']['lost'] > 0, ledger
        with open(path) as log:
            rest = log.read()
        equal(rest.count('TGID: %d)' % after.pid), 50, 'lines after it')
        text = kept + rest
        # The line that the full disk cut is completed after the truncation.
        equal(text.count('\n'), ledger['log']['written'], 'whole lines')
        equal([line for line in text.splitlines() if not LINE.match(line)], [], 'broken lines')
    finally:
        for thing in env.started:
            if isinstance(thing, lib.Monitor):
                thing.process.kill()
                thing.process.wait()
        subprocess.run(['umount', mounted], check=True)


def test_hostile_names(env):
    """A process's name cannot forge a line, nor reach a terminal."""
    victim = env.victim('name', 'a\n[2026\x1b[31m')
    monitor = env.monitor('-p', victim.pid, '--log=' + env.path('log'))
    victim.round()
    monitor.stop()
    lines = whole(log_lines(env.path('log')))
    equal([line.group(4) for line in lines], ['a\\n[2026\\x1b[31m'])
