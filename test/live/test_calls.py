# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Lines for calls, counted exactly; hooks; targets and their end."""
import os
import re
import signal
import subprocess

import lib
from lib import equal, wait_for


def matrix(test):
    test.matrix = True
    return test


@matrix
def test_exact_counts(env):
    """Each read and each write of a target is a line, and nothing else is."""
    victim, other = env.victim('calls', 1234, 567), env.victim('calls', 100, 100)
    monitor = env.monitor('-p', victim.pid)
    victim.go(), other.go()
    victim.wait_stopped(), other.wait_stopped()
    monitor.flush()
    equal(monitor.count(victim.pid, 'read'), 1234, 'reads')
    equal(monitor.count(victim.pid, 'write'), 567, 'writes')
    equal(set(monitor.pids_shown()), {victim.pid}, 'processes shown')
    equal(monitor.stop(), 0, 'exit status')
    ledger = monitor.ledger()
    equal((ledger['seen'], ledger['balanced']), (1801, True), ledger['line'])


def test_start_lines(env):
    monitor = env.monitor()
    pid = monitor.pid
    equal(monitor.stdout_lines(), [
        'Loading eBPF program',
        'Monitoring sys_read and sys_write calls...',
        'Host PID: %d' % pid,
        'Skipping self PID: %d' % pid,
        'Initial state: No PIDs in target list, print_all disabled',
        'API Server starting on localhost:%d' % monitor.port,
    ], 'start lines')
    equal(monitor.stop(signal.SIGINT), 0, 'exit status')
    equal(monitor.stdout_lines()[-1], 'Exiting...', 'last line')
    choice = [line for line in monitor.stderr_lines() if 'transport' in line and 'hook' in line]
    equal(len(choice), 1, 'lines that tell the choice')


def test_initial_state(env):
    """The state line says what the options make true."""
    victim = env.victim('calls', 1, 1)
    for options, said in (
            (('--all',), 'No PIDs in target list, print_all enabled'),
            (('-p', victim.pid), '1 PID in target list, print_all disabled'),
            (('-p', victim.pid, '-p', victim.pid, '-p', 4194303),
             '2 PIDs in target list, print_all disabled'),
            (('-p', victim.pid, '--all'), '1 PID in target list, print_all enabled')):
        monitor = env.monitor(*options)
        monitor.wait_line('^Initial state: %s$' % re.escape(said))
        answer = monitor.ok('GET', '/target_pids')
        equal(answer['print_all'], '--all' in options, 'print_all')
        equal(answer['total_pids'], len({o for o in options if isinstance(o, int)}), 'total_pids')
        monitor.stop()


@matrix
def test_print_all_and_back(env):
    """Print-all shows everyone but the monitor; a target ends it; each switch is exact."""
    first, second = env.victim('calls', 10, 0, 4), env.victim('calls', 10, 0, 4)
    monitor = env.monitor()
    first.round(), second.round()
    monitor.ok('POST', '/set_print_all')
    first.round(), second.round()
    equal(monitor.ok('POST', '/add_pid', {'pid': second.pid})['print_all'], False, 'print_all')
    first.round(), second.round()
    monitor.ok('POST', '/clear_pid_list')
    first.round(), second.round()
    monitor.flush()
    equal(monitor.count(first.pid, 'read'), 10, 'the first')
    equal(monitor.count(second.pid, 'read'), 20, 'the second')
    equal(monitor.pids_shown()[monitor.pid], 0, 'the monitor itself')


@matrix
def test_compat_calls(env):
    """32-bit calls of 64-bit code (int 0x80) are seen, by all hooks but per-call tracepoints."""
    if os.uname().machine != 'x86_64':
        env.skip('no int 0x80 on this processor')
    victim = env.victim('compat', 40, 30)
    monitor = env.monitor('-p', victim.pid)
    victim.round()
    monitor.flush()
    wanted = (0, 0) if env.hook == 'tracepoint' else (40, 30)
    equal((monitor.count(victim.pid, 'read'), monitor.count(victim.pid, 'write')), wanted)


def test_x32_calls(env):
    if os.uname().machine != 'x86_64':
        env.skip('no x32 calls on this processor')
    victim = env.victim('x32', 40, 30)
    monitor = env.monitor('-p', victim.pid)
    try:
        victim.round()
    except lib.Skip:
        env.skip('this kernel takes no x32 calls')
    monitor.flush()
    equal((monitor.count(victim.pid, 'read'), monitor.count(victim.pid, 'write')), (40, 30))


@matrix
def test_threads_are_their_process(env):
    victim = env.victim('threads', 8, 25)
    monitor = env.monitor('-p', victim.pid, '--log=' + env.path('log'))
    victim.round()
    monitor.flush()
    equal(monitor.count(victim.pid, 'read'), 200, 'reads')
    monitor.stop()
    with open(env.path('log')) as log:
        tids = {re.search(r'PID: (\d+), TGID: %d\)' % victim.pid, line).group(1) for line in log}
    equal(len(tids), 8, 'threads in the log')


@matrix
def test_target_leaves_with_its_process(env):
    victim = env.victim('calls', 5, 0)
    monitor = env.monitor('-p', victim.pid, '-p', 4194303)
    victim.round()
    equal(monitor.ok('GET', '/target_pids')['pids'], sorted((victim.pid, 4194303)))
    victim.end()
    wait_for(lambda: monitor.ok('GET', '/target_pids')['pids'] == [4194303], 'it to leave')
    monitor.flush()
    equal(monitor.count(victim.pid, 'read'), 5)


def unused_pid():
    with open('/proc/sys/kernel/pid_max') as pid_max:
        pid = int(pid_max.read()) - 1
    while os.path.exists('/proc/%d' % pid):
        pid -= 1
    return pid


def spawn_at(env, pid, *args):
    """A victim with that very PID; ends with its parent."""
    try:
        with open('/proc/sys/kernel/ns_last_pid'):
            pass
    except FileNotFoundError:
        env.skip('the kernel cannot restore PIDs (CONFIG_CHECKPOINT_RESTORE)')
    parent = env.popen([lib.VICTIM, 'spawn', str(pid), lib.VICTIM, *map(str, args)],
                       stdin=subprocess.DEVNULL)
    wait_for(lambda: lib.process_state(pid) in ('T', 't') or parent.poll() is not None,
             'PID %d' % pid)
    equal(parent.poll(), None, 'the process with a chosen PID')
    return parent


def end_spawned(parent, pid):
    os.kill(pid, signal.SIGKILL)
    equal(parent.wait(10), 128 + signal.SIGKILL, 'its end')


@matrix
def test_pid_reuse(env):
    """A new process with a target's number is not watched."""
    pid = unused_pid()
    monitor = env.monitor()
    first = spawn_at(env, pid, 'calls', 7, 0)
    monitor.ok('POST', '/add_pids', {'pids': [pid, os.getpid()]})
    os.kill(pid, signal.SIGCONT)
    monitor.wait_line('^%d - hello sys_read' % pid, 10, 7)
    end_spawned(first, pid)
    second = spawn_at(env, pid, 'calls', 7, 0)
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: lib.process_state(pid) == 'T', 'its round')
    monitor.flush()
    equal(monitor.count(pid, 'read'), 7, 'reads of that number')
    equal(monitor.ok('GET', '/target_pids')['pids'], [os.getpid()])
    end_spawned(second, pid)


def test_pid_before_its_process(env):
    """A number that no process has yet is watched when one gets it, and leaves with it."""
    pid = unused_pid()
    monitor = env.monitor()
    equal(monitor.ok('POST', '/add_pid', {'pid': pid}).get('running'), False, 'running')
    first = spawn_at(env, pid, 'calls', 7, 0)
    os.kill(pid, signal.SIGCONT)
    monitor.wait_line('^%d - hello sys_read' % pid, 10, 7)
    end_spawned(first, pid)
    wait_for(lambda: monitor.ok('GET', '/target_pids')['pids'] == [], 'it to leave')
    second = spawn_at(env, pid, 'calls', 7, 0)
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: lib.process_state(pid) == 'T', 'its round')
    monitor.flush()
    equal(monitor.count(pid, 'read'), 7, 'reads of that number')
    end_spawned(second, pid)


def test_zombie_is_nobody(env):
    """A process that has ended but was not waited for is not running."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    wait_for(lambda: lib.process_state(child) == 'Z', 'a zombie')
    monitor = env.monitor()
    equal(monitor.ok('POST', '/add_pid', {'pid': child}).get('running'), False, 'running')
    os.waitpid(child, 0)


def bpf_attached(env):
    found = lib.attached_programs()
    if found is None:
        env.skip('bpftool not found')
    return found


@matrix
def test_nothing_attached_while_idle(env):
    """The first target attaches, clearing detaches, and so does the end of the last target."""
    equal(bpf_attached(env), [], 'attached before')
    victim = env.victim('calls', 1, 0)
    monitor = env.monitor()
    equal(bpf_attached(env), [], 'attached without an aim')
    monitor.ok('POST', '/add_pid', {'pid': victim.pid})
    assert 'process_exited' in bpf_attached(env)
    monitor.ok('POST', '/clear_pid_list')
    equal(bpf_attached(env), [], 'attached after clearing')
    monitor.ok('POST', '/set_print_all')
    assert 'process_exited' in bpf_attached(env)
    monitor.ok('POST', '/clear_pid_list')
    equal(bpf_attached(env), [], 'attached after print_all')
    monitor.ok('POST', '/add_ips', {'add_ips': ['10.0.0.0/8']})
    assert 'process_exited' in bpf_attached(env)
    monitor.ok('POST', '/clear_ip_list', {'clear_ip_list': True})
    equal(bpf_attached(env), [], 'attached after clearing the IPs')
    monitor.ok('POST', '/add_pid', {'pid': victim.pid})
    victim.end()
    wait_for(lambda: bpf_attached(env) == [], 'the last target\'s end to detach')
    monitor.ok('POST', '/set_print_all')
    monitor.stop(signal.SIGKILL)
    wait_for(lambda: bpf_attached(env) == [], 'the kernel to clean up after SIGKILL')


def test_hook_by_name(env):
    """What is asked for is used, or refused by name."""
    monitor = env.monitor('--transport', 'perfbuf', '--hook', 'raw_tp')
    monitor.wait_error('hook raw_tp .*transport perfbuf')
    monitor.stop()
    equal(env.run('monitor', '--hook', 'bogus').returncode, 2, 'unknown hook')


def test_maps_can_be_looked_at(env):
    if lib.attached_programs() is None:
        env.skip('bpftool not found')
    victim = env.victim('calls', 1, 0)
    monitor = env.monitor('-p', victim.pid, '-v')

    def dump(name):
        done = subprocess.run(['/usr/sbin/bpftool', 'map', 'dump', 'name', name],
                              capture_output=True, text=True, check=True)
        return done.stdout

    assert str(victim.pid) in dump('target_pids')
    assert str(monitor.pid) in dump('skip_pid')
    assert '"value": 0' in dump('print_all_flag')
    monitor.ok('POST', '/set_print_all')
    assert '"value": 1' in dump('print_all_flag')
    assert '"verbose": 1' in dump('config_map')
    dump('exec_start')
    shown = subprocess.run(['/usr/sbin/bpftool', 'map', 'show', 'name', 'events'],
                           capture_output=True, text=True, check=True).stdout
    assert 'ringbuf' in shown, shown


def test_two_monitors(env):
    victim = env.victim('calls', 30, 0)
    one, two = env.monitor('-p', victim.pid), env.monitor('-p', victim.pid)
    victim.round()
    one.flush(), two.flush()
    equal((one.count(victim.pid, 'read'), two.count(victim.pid, 'read')), (30, 30))


def test_many_targets(env):
    """10,000 targets; the first and the last are watched; clearing them is quick to hold."""
    victims = [env.victim('calls', 3, 0, 2) for _ in range(2)]
    monitor = env.monitor()
    others = [pid for pid in range(3000000, 3010000)]
    monitor.ok('POST', '/add_pid', {'pid': victims[0].pid})
    for at in range(0, len(others), 5000):
        monitor.ok('POST', '/add_pids', {'pids': others[at:at + 5000]})
    answer = monitor.ok('POST', '/add_pid', {'pid': victims[1].pid})
    equal(answer['total_pids'], 10002)
    for victim in victims:
        victim.round()
    equal(monitor.ok('POST', '/clear_pid_list')['total_pids'], 0)
    for victim in victims:
        victim.round()
    monitor.flush()
    for victim in victims:
        equal(monitor.count(victim.pid, 'read'), 3)
    equal(monitor.ok('GET', '/target_pids')['pids'], [])


def test_full_target_list(env):
    """The 65,537th PID is refused, with nothing of its request added."""
    monitor = env.monitor()
    for at in range(2000000, 2065536, 4096):
        monitor.ok('POST', '/add_pids', {'pids': list(range(at, at + 4096))})
    status, _, answer = monitor.api('POST', '/add_pids', {'pids': [1999999, 1999998]})
    equal(status, 507, answer)
    assert '65536' in answer['error'], answer
    equal(monitor.ok('GET', '/target_pids')['total_pids'], 65536)
    equal(monitor.ok('POST', '/add_pid', {'pid': 2000000})['total_pids'], 65536, 'known already')
    monitor.ok('POST', '/clear_pid_list')
    equal(monitor.ok('POST', '/add_pid', {'pid': 1999999})['total_pids'], 1)


def test_standard_output_closed(env):
    """`trapline --all | head -1` ends when head does."""
    victim = env.victim('forever')
    read_end, write_end = os.pipe()
    monitor = env.monitor('-p', victim.pid, stdout=write_end, wait=False)
    os.close(write_end)
    os.read(read_end, 10)
    os.close(read_end)
    victim.go()
    equal(monitor.process.wait(10 * lib.PATIENCE), 0)
    monitor.wait_error('standard output is closed')


def test_verbose_logs_in_the_kernel(env):
    """-v: the kernel side writes to trace_pipe, libbpf to standard error."""
    trace = '/sys/kernel/tracing/trace'
    if not os.path.exists(trace):
        env.skip('tracefs is not mounted')
    victim = env.victim('calls', 3, 0)
    monitor = env.monitor('-v', '-p', victim.pid)
    with open(trace, 'w'):
        pass
    victim.round()
    monitor.flush()
    with open(trace) as lines:
        logged = [line for line in lines if 'trapline: call' in line and
                  'tgid %d' % victim.pid in line]
    equal(len(logged), 3, 'lines of the kernel side')
    monitor.wait_error('^libbpf: ')
