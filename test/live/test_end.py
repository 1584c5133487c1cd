# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The end of a run, outputs that nobody takes, and the account of what was lost."""
import contextlib
import fcntl
import http.client
import os
import pty
import re
import signal
import subprocess
import threading
import time

import lib
from lib import equal, wait_for

F_SETPIPE_SZ = 1031


def matrix(test):
    test.matrix = True
    return test


def stalled_pipe():
    """(read end, write end) of a pipe that holds one page."""
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, F_SETPIPE_SZ, 4096)
    return read_end, write_end


def read_start_lines(fd):
    data = b''
    while b'API Server' not in data or not data.endswith(b'\n'):
        assert lib.readable(fd, 10 * lib.PATIENCE), 'no start lines: %r' % data
        data += os.read(fd, 4096)


def read_whole(fd):
    data = b''
    while True:
        piece = os.read(fd, 65536)
        if not piece:
            return data.decode()
        data += piece


@matrix
def test_overload_balances(env):
    """With a ring far too small for two writers at full speed, seen is what they made, and each
    event is either on standard output or counted as lost, by cause."""
    calls = int(100000 / lib.PATIENCE)
    victims = [env.victim('calls', calls, calls) for _ in range(2)]
    with open(env.path('out'), 'wb') as out:
        monitor = env.monitor('--ring', '64K', *sum((['-p', v.pid] for v in victims), []),
                              stdout=out)
        wait_for(lambda: b'API Server' in open(env.path('out'), 'rb').read(400), 'the start')
        for victim in victims:
            victim.go()
        for victim in victims:
            victim.wait_stopped()
        monitor.ok('POST', '/clear_pid_list')
        equal(monitor.stop(), 0)
    ledger = monitor.ledger()
    equal(ledger['balanced'], True, ledger['line'])
    equal(ledger['seen'], 4 * calls, ledger['line'])
    equal(ledger['lost'], ledger['full'] + ledger['no_buffer'] + ledger['not_run'], 'by cause')
    with open(env.path('out'), 'rb') as out:
        shown = sum(b' - hello sys_' in line for line in out)
    equal(shown, ledger['console']['written'], 'lines')
    equal(ledger['seen'], ledger['lost'] + ledger['console']['lost'] + shown, 'the whole')
    if not env.transport:
        assert ledger['lost'] > 0, 'it was no overload: ' + ledger['line']


def test_losses_are_told(env):
    """While events are lost that is said, by cause, and no more than once a second."""
    victims = [env.victim('forever') for _ in range(2)]
    with open('/dev/null', 'wb') as out:
        monitor = env.monitor('--ring', '64K', '--all', stdout=out, wait=False)
        monitor.wait_error('transport ')
        for victim in victims:
            victim.go()
        started = time.monotonic()
        monitor.wait_error(r'lost \d+ events \(transport full \d+\)$', 10, 3)
        took = time.monotonic() - started
    assert took > 1.9, 'three reports within %.1f s' % took


@matrix
def test_nothing_lost_by_default(env):
    """Two writers at full speed; what the default ring holds is not lost."""
    calls = 20000
    victims = [env.victim('calls', calls, calls) for _ in range(2)]
    with open(env.path('out'), 'wb') as out:
        monitor = env.monitor(*sum((['-p', v.pid] for v in victims), []), stdout=out)
        wait_for(lambda: b'API Server' in open(env.path('out'), 'rb').read(400), 'the start')
        for victim in victims:
            victim.go()
        for victim in victims:
            victim.wait_stopped()
        equal(monitor.stop(), 0)
    ledger = monitor.ledger()
    equal((ledger['seen'], ledger['lost'], ledger['balanced']), (4 * calls, 0, True),
          ledger['line'])
    equal(ledger['console'], {'offered': 4 * calls, 'written': 4 * calls, 'lost': 0})


def test_end_under_load(env):
    """SIGTERM under load: in under a second, everything in flight delivered, exit status 0."""
    victims = [env.victim('forever') for _ in range(2)]
    with open(env.path('out'), 'wb') as out:
        monitor = env.monitor(*sum((['-p', v.pid] for v in victims), []), stdout=out)
        wait_for(lambda: b'API Server' in open(env.path('out'), 'rb').read(400), 'the start')
        for victim in victims:
            victim.go()
        wait_for(lambda: os.path.getsize(env.path('out')) > 1 << 20, 'a megabyte of lines')
        started = time.monotonic()
        equal(monitor.stop(), 0)
        took = time.monotonic() - started
    assert took < 1 * lib.PATIENCE, 'it took %.2f s' % took
    ledger = monitor.ledger()
    equal(ledger['balanced'], True, ledger['line'])
    with open(env.path('out'), 'rb') as lines:
        text = lines.read()
    assert text.endswith(b'\nExiting...\n'), text[-100:]
    equal(text.count(b' - hello sys_'), ledger['console']['written'])


def test_sigint_ends_too(env):
    monitor = env.monitor('--all')
    equal(monitor.stop(signal.SIGINT), 0)
    equal(monitor.stdout_lines()[-1], 'Exiting...')


def test_stalled_output(env):
    """Output that nobody takes holds up neither an answer nor the end, and is counted."""
    read_end, write_end = stalled_pipe()
    victim = env.victim('calls', 50000, 0, 2)
    monitor = env.monitor('-p', victim.pid, stdout=write_end)
    os.close(write_end)
    read_start_lines(read_end)
    victim.round()
    started = time.monotonic()
    monitor.ok('POST', '/clear_pid_list')
    monitor.ok('POST', '/add_pid', {'pid': victim.pid})
    answered = time.monotonic() - started
    victim.round()
    started = time.monotonic()
    monitor.process.send_signal(signal.SIGTERM)
    equal(monitor.process.wait(10 * lib.PATIENCE), 0)
    took = time.monotonic() - started
    text = read_whole(read_end)
    os.close(read_end)
    monitor.stop()
    assert answered < 2 * lib.PATIENCE, 'answers took %.2f s' % answered
    assert took < 1 * lib.PATIENCE, 'the end took %.2f s' % took
    ledger = monitor.ledger()
    equal((ledger['seen'], ledger['balanced']), (100000, True), ledger['line'])
    equal(text.count('hello'), text.count(' was called'), 'begun lines')
    equal(len(re.findall(r'^\d+ - hello sys_read was called$', text, re.M)),
          ledger['console']['written'], 'lines')
    assert ledger['console']['lost'] > 90000, ledger['line']


def test_output_resumes(env):
    """A reader that comes back gets whole lines again, and nothing from before the answer."""
    read_end, write_end = stalled_pipe()
    first, second = env.victim('calls', 50000, 0), env.victim('calls', 100, 0)
    monitor = env.monitor('-p', first.pid, stdout=write_end)
    os.close(write_end)
    read_start_lines(read_end)
    first.round()
    monitor.ok('POST', '/clear_pid_list')
    text = b''
    while lib.readable(read_end, 0.5):
        text += os.read(read_end, 65536)
    # Whatever was still in the pipe ends with a whole line: the rest was discarded.
    assert text.endswith(b'\n'), text[-80:]
    monitor.ok('POST', '/add_pid', {'pid': second.pid})
    second.round()
    monitor.process.send_signal(signal.SIGTERM)
    rest = read_whole(read_end)
    os.close(read_end)
    monitor.stop()
    assert str(first.pid) + ' - hello' not in rest, rest[:200]
    equal(rest.count('%d - hello sys_read was called\n' % second.pid), 100)
    equal(rest.splitlines()[-1], 'Exiting...')


def test_log_alone_goes_on(env):
    """Standard output closes while there is a log: the log goes on."""
    read_end, write_end = os.pipe()
    victim = env.victim('calls', 10, 0, 2)
    monitor = env.monitor('-p', victim.pid, '--log=' + env.path('log'), stdout=write_end)
    os.close(write_end)
    read_start_lines(read_end)
    os.close(read_end)
    victim.round()
    monitor.wait_error('going on with the log file alone')
    victim.round()
    equal(monitor.stop(), 0)
    with open(env.path('log')) as log:
        equal(len(log.readlines()), 20)
    equal(monitor.ledger()['balanced'], True)


def test_killed(env):
    """After SIGKILL nothing stays attached."""
    if lib.attached_programs() is None:
        env.skip('bpftool not found')
    monitor = env.monitor('--all')
    assert lib.attached_programs(), 'nothing was attached'
    monitor.stop(signal.SIGKILL)
    wait_for(lambda: lib.attached_programs() == [], 'the kernel to detach')


def test_closed_descriptors(env):
    """Started without standard descriptors it does not mistake others for them."""
    script = 'exec "$0" monitor --listen 127.0.0.1:%d --all >&- <&-' % lib.free_port()
    process = env.popen(['/bin/sh', '-c', script, lib.TRAPLINE], stderr=subprocess.PIPE)
    wait_for(lambda: process.stderr.readline(), 'its first words')
    process.send_signal(signal.SIGTERM)
    equal(process.wait(10 * lib.PATIENCE), 0)
    process.stderr.close()


def test_slow_output(env):
    """Output that is taken slowly does not hold up an answer for long, nor the log at all; what
    is left unwritten at the answer does not follow it."""
    read_end, write_end = stalled_pipe()
    calls = int(400000 / lib.PATIENCE)
    victim = env.victim('calls', calls, 0)
    monitor = env.monitor('-p', victim.pid, '--ring', '64M', '--log=' + env.path('log'),
                          stdout=write_end)
    os.close(write_end)
    read_start_lines(read_end)
    text, stop = [], threading.Event()

    def take_slowly():
        while not stop.wait(0.02):  # its slowness is what is tested
            if lib.readable(read_end, 0):
                text.append(os.read(read_end, 4096))

    slow = threading.Thread(target=take_slowly)
    slow.start()
    victim.round()
    started = time.monotonic()
    monitor.ok('POST', '/clear_pid_list')
    took = time.monotonic() - started
    stop.set()
    slow.join()
    while lib.readable(read_end, 0.3):
        text.append(os.read(read_end, 65536))
    before = len(text)
    monitor.process.send_signal(signal.SIGTERM)
    rest = read_whole(read_end)
    os.close(read_end)
    equal(monitor.stop(), 0)
    assert took < 3 * lib.PATIENCE, 'the answer took %.2f s' % took
    equal((before > 0, 'hello' in rest), (True, False), rest[:100])
    ledger = monitor.ledger()
    equal((ledger['balanced'], ledger['seen'], ledger['log']['written']), (True, calls, calls),
          ledger['line'])
    assert ledger['console']['lost'] > calls / 4, ledger['line']


def in_terminal(env, *options, **keywords):
    """(process, master): a monitor whose controlling terminal's other end is master."""
    master, slave = pty.openpty()
    process = env.popen(['setsid', '-c', lib.TRAPLINE, '--no-api', *options], stdin=slave,
                        stdout=slave, stderr=slave, **keywords)
    os.close(slave)
    read_until(master, b'Initial state')
    return process, master


def read_until(fd, wanted):
    data = b''
    while wanted not in data:
        assert lib.readable(fd, 10 * lib.PATIENCE), data
        data += os.read(fd, 4096)


def test_hangup(env):
    """A terminal that hangs up ends the monitor, with and without a log; under nohup it goes on."""
    for options in ((), ('--log=' + env.path('log'),)):
        process, master = in_terminal(env, *options)
        os.close(master)
        equal(process.wait(10 * lib.PATIENCE), 0, options)
    victim = env.victim('calls', 10, 0)
    process, master = in_terminal(
        env, '--log=' + env.path('log'), '-p', str(victim.pid),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    os.close(master)
    victim.round()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    equal(process.wait(10 * lib.PATIENCE), 0)
    with open(env.path('log')) as log:
        equal(len(log.readlines()), 10)


def test_end_with_slow_output(env):
    """Output that is taken slowly does not hold up the end; the last line is still said."""
    read_end, write_end = stalled_pipe()
    calls = int(200000 / lib.PATIENCE)
    victim = env.victim('calls', calls, 0)
    monitor = env.monitor('-p', victim.pid, '--ring', '64M', stdout=write_end)
    os.close(write_end)
    read_start_lines(read_end)
    text = []

    def take_slowly():
        while not text or text[-1]:
            time.sleep(0.005)  # its slowness is what is tested
            text.append(os.read(read_end, 4096))

    slow = threading.Thread(target=take_slowly)
    slow.start()
    victim.round()
    started = time.monotonic()
    monitor.process.send_signal(signal.SIGTERM)
    equal(monitor.process.wait(10 * lib.PATIENCE), 0)
    took = time.monotonic() - started
    slow.join()
    os.close(read_end)
    monitor.stop()
    assert took < 1 * lib.PATIENCE, 'the end took %.2f s' % took
    ledger = monitor.ledger()
    equal((ledger['seen'], ledger['balanced']), (calls, True), ledger['line'])
    whole = b''.join(text).decode()
    equal(len(re.findall(r'^\d+ - hello sys_read was called$', whole, re.M)),
          ledger['console']['written'], 'lines')
    assert whole.endswith('called\nExiting...\n'), whole[-60:]


def test_stuck_standard_error(env):
    """Diagnostics that nobody takes hold up neither the start, nor an answer, nor the end."""
    read_end, write_end = stalled_pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, b'x' * 4096)
    os.set_blocking(write_end, True)
    victim = env.victim('forever')
    port = lib.free_port()
    process = env.popen([lib.TRAPLINE, '-v', '--listen', '127.0.0.1:%d' % port, '--ring', '64K',
                         '-p', str(victim.pid)], stdin=subprocess.DEVNULL,
                        stdout=open(env.path('out'), 'wb'), stderr=write_end)
    wait_for(lambda: b'API' in open(env.path('out'), 'rb').read(400), 'the start')
    victim.go()
    wait_for(lambda: os.path.getsize(env.path('out')) > 1 << 16, 'lines')
    for _ in range(5):
        started = time.monotonic()
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10 * lib.PATIENCE)
        connection.request('POST', '/set_print_all')
        equal(connection.getresponse().status, 200)
        connection.close()
        took = time.monotonic() - started
        assert took < 1 * lib.PATIENCE, 'an answer took %.2f s' % took
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    equal(process.wait(10 * lib.PATIENCE), 0)
    took = time.monotonic() - started
    os.close(read_end), os.close(write_end)
    assert took < 1 * lib.PATIENCE, 'the end took %.2f s' % took
