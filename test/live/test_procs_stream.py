# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""`trapline procs` as a stream: many at once, buffering, slow readers, the end."""
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time

import lib
from lib import equal, wait_for
from procs import FAMILY, HEADING, family, finish, only, parse, rows, start, wait_end

ME = os.getpid()


def storm(env, count, **keywords):
    return env.popen([lib.VICTIM, 'storm', str(count)], stdout=subprocess.PIPE, **keywords)


def check_children(monitor, parent, count):
    """Each an EXEC and, after it, an EXIT with 7 and a duration."""
    alive, begun, over = set(), 0, 0
    for row in rows(monitor, ppid=parent):
        if row.event == 'EXEC':
            assert row.pid not in alive, row
            alive.add(row.pid)
            begun += 1
            continue
        assert row.pid in alive, row
        alive.remove(row.pid)
        over += 1
        equal((row.code, row.ms is None), ('7', False), 'code and duration')
    equal((begun, over, alive), (count, count, set()), 'begun, over and left')


def weather(env, count):
    monitor = start(env)
    process = wait_end(storm(env, count), 120)
    equal(process.status, 0)
    finish(monitor)
    check_children(monitor, process.pid, count)


def test_storm_of_1000(env):
    """64 at a time: none is lost, each is shown once."""
    weather(env, 1000)


def test_storm_of_10000(env):
    begun = time.monotonic()
    wait_end(storm(env, 200))
    forecast = (time.monotonic() - begun) * 50
    if forecast > 20:
        env.skip('10,000 processes would take %d s here' % forecast)
    weather(env, 10000)


def number_in(path):
    """The number in a file of the kernel, or None: no such file, or no limit."""
    try:
        with open(path) as file:
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return None


def room_for_processes():
    """(how many more there can be, what sets the limit)"""
    with open('/proc/meminfo') as file:
        available_kb = int(re.search(r'MemAvailable: +(\d+)', file.read()).group(1))
    running = len([name for name in os.listdir('/proc') if name.isdigit()])
    limits = [(available_kb // 200, 'memory')]
    for name in ('pid_max', 'threads-max'):
        limits.append((number_in('/proc/sys/kernel/' + name) * 9 // 10 - running, name))
    with open('/proc/self/cgroup') as file:
        groups = re.findall('^0::(.*)', file.read(), re.M)
    for group in groups:
        own = number_in('/sys/fs/cgroup%s/pids.max' % group)
        if own is not None:
            limits.append((own - number_in('/sys/fs/cgroup%s/pids.current' % group), 'pids.max'))
    return min(limits)


def crowd(env, count):
    room, what = room_for_processes()
    if room < count + 200:
        env.skip('%s allows %d processes here, not %d' % (what, room, count))
    monitor = start(env)
    process = env.popen([FAMILY, 'crowd', str(count)], stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE)
    equal(process.stdout.readline(), b'ready\n')
    process.stdin.close()
    wait_end(process, 300)
    finish(monitor)
    check_children(monitor, process.pid, count)


def test_crowd_of_1000(env):
    """All at once: each with its own exec time and parent."""
    crowd(env, 1000)


def test_crowd_of_10000(env):
    crowd(env, 10000)


# --- output ----------------------------------------------------------------------------------


class Chunks:
    """What arrives on a descriptor, by reads."""

    def __init__(self, fd):
        self.fd = fd
        self.data = b''
        self.count = 0

    def wait(self, pattern, timeout=20):
        deadline = time.monotonic() + timeout * lib.PATIENCE
        while not re.search(pattern, self.data):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise AssertionError('no %r in %r' % (pattern, self.data[-500:]))
            got = os.read(self.fd, 1 << 20)
            assert got, 'the end after %r' % self.data[-500:]
            self.data += got
            self.count += 1


def line_of(pid):
    return rb'EXIT  family +%d +%d +' % (pid, ME) + rb'\[0\] \(\d+ms\)\r?\n'


def test_lines_at_once_on_a_terminal(env):
    """A line does not wait for others, nor for the tenth of a second that it would in a pipe."""
    master, slave = pty.openpty()
    monitor = env.monitor_raw('procs', stdout=slave)
    os.close(slave)
    chunks = Chunks(master)
    chunks.wait(re.escape(HEADING.encode()) + rb'\r\n')
    times = []
    for _ in range(30):
        begun = time.monotonic()
        pid = family(env, 'exit', 0).pid
        chunks.wait(line_of(pid))
        times.append(time.monotonic() - begun)
    equal(monitor.stop(), 0, 'exit status')
    # In a pipe all but the first would take a tenth of a second.
    assert sorted(times)[2] < 0.08 * lib.PATIENCE, times
    os.close(master)


def test_blocks_elsewhere(env):
    """A line is there soon although no other follows; many come together."""
    inlet, outlet = os.pipe()
    fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, 1 << 20)
    monitor = env.monitor_raw('procs', stdout=outlet)
    os.close(outlet)
    chunks = Chunks(inlet)
    chunks.wait(HEADING.encode() + b'\n')
    for _ in range(3):
        chunks.wait(line_of(family(env, 'exit', 0).pid))
    before, begun = chunks.count, time.monotonic()
    process = storm(env, 600)
    chunks.wait(rb'EXIT  victim +%d ' % process.pid, 60)
    elapsed = time.monotonic() - begun
    wait_end(process)
    equal(monitor.stop(), 0, 'exit status')
    # One for each tenth of a second, and one for each block that was full before that.
    allowed = elapsed / 0.1 + len(chunks.data) / 16384 + 2
    assert chunks.count - before <= allowed, (chunks.count - before, allowed)
    os.close(inlet)


def test_reader_that_leaves(env):
    """`trapline procs | head -1` ends, with status 0."""
    monitor = env.popen([lib.TRAPLINE, 'procs'], stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    head = env.popen(['head', '-1'], stdin=monitor.stdout, stdout=subprocess.PIPE)
    monitor.stdout.close()
    equal(head.communicate(timeout=20 * lib.PATIENCE)[0], HEADING.encode() + b'\n')
    def over():
        family(env, 'exit', 0)  # something to be written
        return monitor.poll() is not None
    wait_for(over, 'the monitor to end', 20)
    equal(monitor.returncode, 0, 'exit status')
    errors = monitor.stderr.read().decode()
    assert 'standard output is closed' in errors and errors.endswith('; balanced\n'), errors


def test_reader_that_stalls(env):
    """It holds nothing up; what it does not take is counted, what it takes are whole lines."""
    inlet, outlet = os.pipe()
    fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, 4096)
    monitor = env.monitor_raw('procs', stdout=outlet)
    os.close(outlet)
    chunks = Chunks(inlet)
    chunks.wait(HEADING.encode() + b'\n')
    wait_end(storm(env, 500))
    begun = time.monotonic()
    monitor.process.send_signal(signal.SIGINT)
    equal(monitor.process.wait(20 * lib.PATIENCE), 0, 'exit status')
    elapsed = time.monotonic() - begun
    with os.fdopen(inlet, 'rb') as output:
        heading, *lines, rest = (chunks.data + output.read()).split(b'\n')
    equal((heading.decode(), rest), (HEADING, b''), 'first and last line')
    found = [parse(line) for line in lines]
    assert elapsed < lib.PATIENCE, 'took %.2f s to end' % elapsed
    monitor.stop()
    ledger = monitor.ledger()
    equal((ledger['balanced'], ledger['lost']), (True, 0), ledger['line'])
    equal(ledger['console']['written'], len(found), 'lines taken')
    assert ledger['console']['lost'] > 0 and ledger['seen'] >= 1000, ledger['line']
    equal(ledger['seen'], ledger['console']['written'] + ledger['console']['lost'])


def test_reader_that_is_slow(env):
    """As long as it goes on taking, it gets everything."""
    inlet, outlet = os.pipe()
    fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, 4096)
    monitor = env.monitor_raw('procs', stdout=outlet)
    os.close(outlet)
    data = []

    def read_slowly():
        while True:
            select.select([], [], [], 0.002)
            got = os.read(inlet, 1024)
            if not got:
                return
            data.append(got)
    reader = threading.Thread(target=read_slowly, daemon=True)
    reader.start()
    wait_for(lambda: data, 'the heading', 20)
    process = wait_end(storm(env, 500))
    wait_for(lambda: b'EXIT  victim           %-7d ' % process.pid in b''.join(data),
             'the last line', 60)
    equal(monitor.stop(), 0, 'exit status')
    reader.join(20 * lib.PATIENCE)
    os.close(inlet)
    lines = b''.join(data).decode().split('\n')
    equal((lines[0], lines[-1]), (HEADING, ''), 'first and last line')
    ledger = monitor.ledger()
    equal((ledger['balanced'], ledger['lost'], ledger['console']['lost']), (True, 0, 0),
          ledger['line'])
    equal(len(lines) - 2, ledger['seen'], 'lines')
    of_storm = [row for row in map(parse, lines[1:-1]) if row.ppid == process.pid]
    equal(len(of_storm), 1000, 'lines of the storm')


def end_in_the_storm(env, number):
    monitor = start(env)
    process = storm(env, 100000)
    monitor.wait_line(r'EXIT .* %d +\[7\]' % process.pid, 20, 200)
    begun = time.monotonic()
    monitor.process.send_signal(number)
    equal(monitor.process.wait(20 * lib.PATIENCE), 0, 'exit status')
    elapsed = time.monotonic() - begun
    process.kill(), process.wait()
    ledger = finish(monitor)
    assert elapsed < lib.PATIENCE, 'took %.2f s to end' % elapsed
    assert ledger['seen'] > 400, ledger['line']
    counted = [row.event for row in rows(monitor, ppid=process.pid)]
    assert 0 <= counted.count('EXEC') - counted.count('EXIT') <= 64, len(counted)


def test_sigint_in_a_storm(env):
    """Everything in flight is delivered, and the end is soon."""
    end_in_the_storm(env, signal.SIGINT)


def test_sigterm_in_a_storm(env):
    end_in_the_storm(env, signal.SIGTERM)


def test_nothing_stays(env):
    """Neither after the end nor after SIGKILL."""
    if lib.attached_programs() is None:
        env.skip('bpftool not found')
    for number in (signal.SIGINT, signal.SIGKILL):
        monitor = start(env)
        own = lib.attached_programs()
        for name in ('process_forked', 'process_execed', 'process_exited'):
            assert name[:15] in [program[:15] for program in own], own
        monitor.stop(number)
        wait_for(lambda: len(lib.attached_programs()) <= len(own) - 3, 'programs to be detached')


def test_two_at_once(env):
    """A second one sees the same, and the first one's end is a line of it."""
    first, second = start(env), start(env)
    ended = family(env, 'exit', 0)
    finish(first)
    finish(second)
    equal(len(rows(first, pid=ended.pid, ppid=ME)), 2)
    equal(len(rows(second, pid=ended.pid, ppid=ME)), 2)
    equal(only(rows(second, 'EXIT', first.pid, ME)).code, '0')
