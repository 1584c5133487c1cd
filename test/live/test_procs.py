# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Lines of `trapline procs`: what a process is, how it ended, whose child it was, its name."""
import os
import re
import resource
import shutil
import signal
import subprocess
import time

import lib
import test_calls
from lib import equal, wait_for
from procs import FAMILY, HEADING, family, finish, marker, only, rows, run, start, wait_end

ME = os.getpid()


def test_columns(env):
    """The heading, an EXEC with the whole path, an EXIT with code and duration."""
    monitor = start(env)
    ended = family(env, 'exit', 0)
    finish(monitor)
    equal(monitor.stdout_lines()[0], HEADING)
    begun, over = rows(monitor, pid=ended.pid, ppid=ME)
    equal(begun[1:], ('EXEC', b'family', ended.pid, ME, FAMILY.encode()))
    equal(over[1:5], ('EXIT', b'family', ended.pid, ME))
    assert re.fullmatch(rb'\[0\] \(\d+ms\)', over.rest), over.rest


def test_time_of_the_event(env):
    """TIME is when it happened, not when it was shown; local, by the zone of the monitor."""
    zone = dict(os.environ, TZ='XYZ-05:45')
    monitor = env.monitor_raw('procs', env=zone)
    os.kill(monitor.pid, signal.SIGSTOP)
    before = time.time()
    ended = family(env, 'exit', 0)
    after = time.time()
    wait_for(lambda: time.time() > after + 2.1, 'other seconds on the clock', 10)
    os.kill(monitor.pid, signal.SIGCONT)
    finish(monitor)
    local = {time.strftime('%H:%M:%S', time.gmtime(second + 20700))
             for second in range(int(before), int(after) + 1)}
    for row in rows(monitor, pid=ended.pid, ppid=ME):
        assert row.time in local, (row, local)


def test_exit_codes(env):
    monitor = start(env)
    pids = [family(env, 'exit', code).pid for code in range(256)]
    finish(monitor)
    for code, pid in enumerate(pids):
        row = only(rows(monitor, 'EXIT', pid, ME))
        equal((row.code, row.ms is None), (str(code), False), 'code and duration')


SIGNALS = (('SIGKILL', signal.SIGKILL), ('SIGTERM', signal.SIGTERM), ('SIGHUP', signal.SIGHUP),
           ('SIGSEGV', signal.SIGSEGV), ('SIGABRT', signal.SIGABRT),
           ('SIGRTMIN+0', signal.SIGRTMIN), ('SIGRTMIN+3', signal.SIGRTMIN + 3),
           ('SIGRTMIN+30', signal.SIGRTMAX))


def test_death_by_signal(env):
    """By name, and without `core` where none was written."""
    monitor = start(env)
    pids = []
    for _, number in SIGNALS:
        ended = run(env, lib.VICTIM, 'signal', int(number), cwd=env.directory)
        equal(ended.status, int(number), 'what waitpid gives')
        pids.append(ended.pid)
    finish(monitor)
    for (name, _), pid in zip(SIGNALS, pids):
        equal(only(rows(monitor, 'EXIT', pid, ME)).code, name)


def test_core_dumped(env):
    with open('/proc/sys/kernel/core_pattern') as pattern:
        pattern = pattern.read().strip()
    if not pattern or pattern[0] in '|@' or '/' in pattern:
        env.skip('cores go elsewhere here (core_pattern %s)' % pattern)
    def unlimited():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
    monitor = start(env)
    ended = run(env, lib.VICTIM, 'signal', int(signal.SIGSEGV), 'core', cwd=env.directory,
                preexec_fn=unlimited)
    if ended.status == signal.SIGSEGV:
        env.skip('the kernel writes no core')
    equal(ended.status, signal.SIGSEGV | 0x80, 'what waitpid gives')
    finish(monitor)
    equal(only(rows(monitor, 'EXIT', ended.pid, ME)).code, 'SIGSEGV, core')


def test_never_execed(env):
    """No EXEC, and no duration, not even its parent's."""
    monitor = start(env)
    parent = family(env, 'fork', 3, 0)
    finish(monitor)
    row = only(rows(monitor, ppid=parent.pid))
    equal((row.event, row.pid, row.comm, row.rest),
          ('EXIT', int(parent.output[0]), b'family', b'[3]'))


def test_duration_is_since_the_last_exec(env):
    monitor = start(env)
    before = time.monotonic()
    ended = run(env, FAMILY, 'then', 300, lib.VICTIM, 'sleep', 100)
    elapsed = (time.monotonic() - before) * 1000
    finish(monitor)
    first, second, over = rows(monitor, pid=ended.pid, ppid=ME)
    equal([first.rest, second.rest], [FAMILY.encode(), lib.VICTIM.encode()])
    assert 100 <= over.ms <= elapsed - 300, (over, elapsed)


# --- threads ---------------------------------------------------------------------------------


def test_threads_are_no_processes(env):
    monitor = start(env)
    victim = env.victim('threads', 50, 1)
    victim.round()
    victim.go()
    equal(victim.process.wait(30 * lib.PATIENCE), 0)
    killed = env.victim('forever')
    killed.end()
    finish(monitor)
    equal([row.event for row in rows(monitor, pid=victim.pid, ppid=ME)], ['EXEC', 'EXIT'])
    equal(rows(monitor, ppid=victim.pid), [], 'rows of threads')
    equal(only(rows(monitor, 'EXIT', killed.pid, ME)).code, 'SIGKILL')


def test_first_thread_leaves_first(env):
    """The process has ended when its last thread has, and with that one's code."""
    monitor = start(env)
    process = env.popen([FAMILY, 'leave', '5'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for(lambda: lib.process_state(process.pid) == 'Z', 'the first thread to end')
    marker(env, monitor)
    equal(rows(monitor, 'EXIT', process.pid, ME), [], 'while a thread lives')
    equal(process.poll(), None, 'it lives')
    process.stdin.close()
    ended = wait_end(process)
    finish(monitor)
    equal(ended.status >> 8, 5)
    equal(only(rows(monitor, 'EXIT', ended.pid, ME)).code, '5')


def test_last_threads_race(env):
    """Each of 200 processes whose threads end all at once is reported once, with the code that
    waitpid gives: whichever thread's that is."""
    monitor = start(env)
    ended = [family(env, 'race', 2 + (i % 8 if i % 2 else 0)) for i in range(200)]
    finish(monitor)
    for process in ended:
        row = only(rows(monitor, 'EXIT', process.pid, ME))
        equal(row.code, str(process.status >> 8), 'the code')
        assert row.ms is not None, row


def test_exec_by_another_thread(env):
    """It takes over the process, its PID and its parent; the first thread's end is no exit."""
    monitor = start(env)
    ended = [family(env, 'threadexec', 9, *args) for args in [()] * 20 + [('alone',)] * 20]
    finish(monitor)
    for process in ended:
        equal(process.status >> 8, 9)
        first, second, over = rows(monitor, pid=process.pid, ppid=ME)
        equal([(row.event, row.rest) for row in (first, second)],
              [('EXEC', FAMILY.encode()), ('EXEC', b'/proc/thread-self/exe')])
        equal((over.event, over.code, over.ms is None), ('EXIT', '9', False))
        equal(rows(monitor, ppid=process.pid), [], 'rows of threads')


# --- who is who ------------------------------------------------------------------------------


def test_parent_at_fork(env):
    """Also of an orphan, that execs and ends when another has adopted it."""
    monitor = start(env)
    first = family(env, 'orphan', 8)
    middle, grandchild = map(int, first.output)
    finish(monitor)
    equal([(row.event, row.pid, row.rest) for row in rows(monitor, ppid=first.pid)],
          [('EXIT', middle, b'[0]')])
    begun, over = rows(monitor, ppid=middle)
    equal((begun.event, begun.pid), ('EXEC', grandchild))
    equal((over.event, over.pid, over.code), ('EXIT', grandchild, '8'))


def test_pid_used_again(env):
    """A process has its own exec time, or none, whoever had its number before."""
    pid = test_calls.unused_pid()
    monitor = start(env)
    first = test_calls.spawn_at(env, pid, 'calls', 0, 0)
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() > begun + 0.5, 'time to pass')
    test_calls.end_spawned(first, pid)
    before = time.monotonic()
    second = run(env, lib.VICTIM, 'spawn', pid, FAMILY, 'exit', 2)
    elapsed = (time.monotonic() - before) * 1000
    third = family(env, 'fork', 4, 0, pid)
    finish(monitor)
    old, new, bare = rows(monitor, 'EXIT', pid)
    equal((old.ppid, old.code), (first.pid, 'SIGKILL'))
    equal((new.ppid, new.code), (second.pid, '2'))
    equal((bare.ppid, bare.rest), (third.pid, b'[4]'))
    assert old.ms >= 500 and new.ms <= elapsed, (old, new, elapsed)


def test_pid_namespace(env):
    """PIDs are those of the machine, also of a process that sees itself as number 1."""
    monitor = start(env)
    outside = family(env, 'namespace', FAMILY, 'fork', 6, 0)
    finish(monitor)
    inner = int(outside.output[0])
    equal(outside.output[1], b'2', 'the number inside')
    begun, over = rows(monitor, pid=inner, ppid=outside.pid)
    equal((begun.event, over.event, over.code), ('EXEC', 'EXIT', '6'))
    child = only(rows(monitor, ppid=inner))
    equal((child.event, child.rest), ('EXIT', b'[6]'))
    assert child.pid > 2, child


def test_there_before_the_monitor(env):
    """Their ends are shown, with their parents, without a duration that nobody knows."""
    victim = env.victim('calls', 0, 0)
    bare = env.popen([FAMILY, 'fork', '3', '100000'], stdout=subprocess.PIPE)
    child = int(bare.stdout.readline())
    headless = env.popen([FAMILY, 'leave', '5'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for(lambda: lib.process_state(headless.pid) == 'Z', 'the first thread to end')
    monitor = start(env)
    victim.end()
    os.kill(child, signal.SIGTERM)
    wait_end(bare)
    headless.stdin.close()
    wait_end(headless)
    again = run(env, FAMILY, 'exit', 0)
    finish(monitor)
    equal(only(rows(monitor, pid=victim.pid, ppid=ME)).rest, b'[SIGKILL]')
    equal(only(rows(monitor, pid=child, ppid=bare.pid)).rest, b'[SIGTERM]')
    equal(only(rows(monitor, pid=bare.pid, ppid=ME)).rest, b'[143]')
    equal(only(rows(monitor, pid=headless.pid, ppid=ME)).rest, b'[5]')
    assert only(rows(monitor, 'EXIT', again.pid, ME)).ms is not None


def test_parent_that_was_there(env):
    """The parent of one that was there is kept too, when it ends first."""
    parent = env.popen([FAMILY, 'fork', '3', '30000'], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    try:
        monitor = start(env)
        parent.kill()
        equal(parent.wait(20 * lib.PATIENCE), -signal.SIGKILL)
    finally:
        os.kill(child, signal.SIGTERM)  # not ours to wait for any more
    monitor.wait_line(r'EXIT  family +%d ' % child, 20)
    finish(monitor)
    row = only(rows(monitor, pid=child))
    equal((row.ppid, row.rest), (parent.pid, b'[SIGTERM]'))


def test_exec_of_one_that_was_there(env):
    """From its exec on its duration is known."""
    begun = time.monotonic()
    process = env.popen([FAMILY, 'after', FAMILY, 'exit', '1'], stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE)
    wait_for(lambda: time.monotonic() > begun + 0.3, 'time to pass')
    monitor = start(env)
    told = time.monotonic()
    process.stdin.close()
    wait_end(process)
    elapsed = (time.monotonic() - told) * 1000
    finish(monitor)
    exec_row, exit_row = rows(monitor, pid=process.pid, ppid=ME)
    equal((exec_row.event, exit_row.code), ('EXEC', '1'))
    assert exit_row.ms <= elapsed, (exit_row, elapsed)


# --- file names ------------------------------------------------------------------------------


def place(directory, *names):
    """A copy of the family at that path; returns the path."""
    path = os.path.join(os.fsencode(directory), *names)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(FAMILY, path)
    return path


def place_at(directory, path, original):
    """A link at a path below an open directory: together they may be longer than a path can."""
    for match in re.finditer(b'/', path):
        os.mkdir(path[:match.start()], dir_fd=directory)
    os.link(original, path, dst_dir_fd=directory)


def padded(directory, length, byte):
    """A path of so many bytes below the directory, through directories named with that byte."""
    names, left = [], length - len(os.fsencode(directory)) - bool(directory)
    while left > 255:
        take = 200 if left < 300 else 250
        names.append(byte * take)
        left -= take + 1
    return names + [byte * left]


def shown_names(env, monitor, paths, **keywords):
    pids = [run(env, path, 'exit', 0, **keywords).pid for path in paths]
    finish(monitor)
    return [only(rows(monitor, 'EXEC', pid, ME)) for pid in pids]


def test_long_names(env):
    """Whole, up to the longest path that the kernel takes; a relative one as it was given."""
    paths = [place(env.directory, *padded(env.directory, length, b'd'))
             for length in (127, 128, 129, 1000, 4094, 4095)]
    equal([len(path) for path in paths], [127, 128, 129, 1000, 4094, 4095])
    monitor = start(env)
    found = shown_names(env, monitor, paths)
    for row, path in zip(found, paths):
        equal((len(row.rest), row.rest[-20:]), (len(path), path[-20:]), 'length and end')
        equal(row.rest, path)
    deep = os.path.dirname(paths[-1])
    monitor = start(env)
    relative = b'./' + os.path.basename(paths[-1])
    equal(shown_names(env, monitor, [relative], cwd=deep)[0].rest, relative)


def test_unprintable_names(env):
    """On one line, and nothing in it that a terminal would obey."""
    odd = place(env.directory, b'a\nb\x1b[31m\xff\xe2\x80\xaec\\d e\xc3\xa9')
    worst = place(env.directory, *padded(env.directory, 4095, b'\x01'))
    monitor = start(env)
    first, second = shown_names(env, monitor, [odd, worst])
    directory = env.directory.encode() + b'/'
    equal(first.rest, directory + rb'a\nb\x1b[31m\xff\xe2\x80\xaec\\d e' + b'\xc3\xa9')
    equal(first.comm, rb'a\nb\x1b[31m\xff\xe2\x80\xaec\\d', 'the first 15 bytes')
    equal(second.rest, worst.replace(b'\x01', rb'\x01'))


def test_script(env):
    """The script's name, which is what was asked for; the interpreter has no line of its own."""
    path = env.path('script')
    with open(path, 'w') as script:
        script.write('#!/bin/sh\nexit 4\n')
    os.chmod(path, 0o755)
    monitor = start(env)
    ended = run(env, path)
    finish(monitor)
    begun, over = rows(monitor, pid=ended.pid, ppid=ME)
    equal((begun.event, begun.comm, begun.rest), ('EXEC', b'script', path.encode()))
    equal(over.code, '4')


def test_exec_of_a_descriptor(env):
    """As the kernel names it: by its number, and the path from there."""
    original = place(env.directory, b'program')
    program, directory = os.open(original, os.O_RDONLY), os.open(env.directory, os.O_RDONLY)
    prefix = b'/dev/fd/%d' % directory
    # With the prefix as long as a path can be, one byte longer, and as long as the name can be.
    lengths = [4095 - len(prefix) - 1, 4096 - len(prefix) - 1, 4095]
    names = [b'/'.join(padded('', length, b'%d' % i)) for i, length in enumerate(lengths)]
    for name in names:
        place_at(directory, name, original)
    monitor = start(env)
    ended = [family(env, 'at', program, '', 'exit', 5, pass_fds=[program])]
    ended += [family(env, 'at', directory, name, 'exit', 5, pass_fds=[directory])
              for name in names]
    os.close(program), os.close(directory)
    finish(monitor)
    equal({process.status >> 8 for process in ended}, {5})
    whole = [b'/dev/fd/%d' % program] + [prefix + b'/' + name for name in names]
    for process, name in zip(ended, whole):
        shown = rows(monitor, 'EXEC', process.pid, ME)[1].rest
        equal(shown, name if len(name) <= 4095 else name[:4095] + b'...')
