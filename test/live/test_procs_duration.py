# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""`trapline procs -d MS`: only ends, and only of processes that lived so long."""
import os
import signal
import subprocess
import time

import lib
from lib import equal, wait_for
from procs import FAMILY, all_rows, family, finish, only, rows, run, start, wait_end

ME = os.getpid()


def test_shows_long_lives(env):
    """Ends alone, and only of processes that lived so long since their last exec."""
    limit = int(400 * lib.PATIENCE)
    monitor = start(env, '-d', limit)
    long = run(env, lib.VICTIM, 'sleep', limit + 20)
    short = run(env, lib.VICTIM, 'exit', 0)
    late = run(env, FAMILY, 'then', limit + 20, FAMILY, 'exit', 0)
    parent = family(env, 'fork', 3, limit + 20)
    finish(monitor)
    equal({row.event for row in all_rows(monitor)} - {'EXIT'}, set(), 'other events')
    assert only(rows(monitor, pid=long.pid, ppid=ME)).ms >= limit
    equal(rows(monitor, pid=short.pid, ppid=ME), [], 'one that ended at once')
    equal(rows(monitor, pid=late.pid, ppid=ME), [], 'one that ended soon after its last exec')
    equal(rows(monitor, ppid=parent.pid), [], 'one that never exec\'ed')
    only(rows(monitor, pid=parent.pid, ppid=ME))


def test_boundary(env):
    """What a monitor of all finds to be above the limit, and nothing below it."""
    limit = 60
    whole, part = start(env), start(env, '--duration=%d' % limit)
    pids = [run(env, lib.VICTIM, 'sleep', limit - 6 + i // 2).pid for i in range(24)]
    finish(whole), finish(part)
    for pid in pids:
        lived = only(rows(whole, 'EXIT', pid, ME)).ms
        found = rows(part, 'EXIT', pid, ME)
        # The two look at their clocks one after the other.
        if lived != limit - 1 or found:
            equal(len(found), int(lived >= limit), 'rows of one that lived %d ms' % lived)
        assert not found or found[0].ms >= limit, found


def test_zero(env):
    """The shortest there is: still ends alone, and of processes that exec'ed."""
    monitor = start(env, '-d', 0)
    ended = family(env, 'fork', 3, 0)
    finish(monitor)
    equal({row.event for row in all_rows(monitor)}, {'EXIT'}, 'events')
    equal(rows(monitor, ppid=ended.pid), [], 'one that never exec\'ed')
    assert only(rows(monitor, pid=ended.pid, ppid=ME)).ms is not None


def test_there_before_the_monitor(env):
    """Who was there is shown when it is certain that it lived so long."""
    limit = int(1500 * lib.PATIENCE)
    early, late = env.victim('calls', 0, 0), env.victim('calls', 0, 0)
    bare = env.popen([FAMILY, 'fork', '3', '1000000'], stdout=subprocess.PIPE)
    child = int(bare.stdout.readline())
    begun = time.monotonic()
    monitor = start(env, '-d', limit)
    early.end()
    in_time = time.monotonic() - begun < limit / 1000
    since = time.monotonic()
    wait_for(lambda: time.monotonic() - since > limit / 1000, 'the limit to pass', 30)
    late.end()
    os.kill(child, signal.SIGTERM)
    wait_end(bare)
    finish(monitor)
    if not in_time:
        env.skip('the monitor took longer to start than the limit')
    equal(rows(monitor, pid=early.pid, ppid=ME), [], 'one that ended soon')
    equal(only(rows(monitor, pid=late.pid, ppid=ME)).rest, b'[SIGKILL]')
    equal(rows(monitor, pid=child, ppid=bare.pid), [], 'one that never exec\'ed')


def test_bad_durations(env):
    """One line and status 2, before anything is loaded."""
    for arguments in (('-d', '-5'), ('-d-5',), ('--duration=-1',), ('-d', 'abc'), ('-d', '5x'),
                      ('-d', ''), ('-d', '1.5'), ('-d', ' 5'), ('-d', '+5'), ('-d', '0x10'),
                      ('-d', '99999999999999999999'), ('-d',), ('5',), ('--nonsense',)):
        ended = env.run('procs', *arguments)
        equal((ended.returncode, ended.stdout, ended.stderr.count('\n')), (2, '', 1),
              '%r: %s' % (arguments, ended.stderr))
