# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Whoever reads the monitor's output is not shown, through any number of hands."""
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import threading

import lib
from lib import equal, hide, wait_for

# What a test's own processes do is not to be taken for what a reader does: each test counts lines
# of given processes, while a victim makes sure that there is something to read.


def shell(env, script, *args):
    """A pipeline whose processes' numbers can be looked up by their command lines."""
    return env.popen([find_tool(env, 'bash'), '-c', script, lib.TRAPLINE, *map(str, args)],
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                     stderr=open(env.path('err'), 'wb'), start_new_session=True)


def children(pid):
    with open('/proc/%d/task/%d/children' % (pid, pid)) as listed:
        return [int(child) for child in listed.read().split()]


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def name(pid):
    with open('/proc/%d/comm' % pid) as comm:
        return comm.read().strip()


def by_name(pid, wanted):
    return [child for child in descendants(pid) if name(child) == wanted]


def shown(path):
    """Lines by process, in a file that the pipeline writes."""
    counts = {}
    with open(path, errors='replace') as lines:
        for line in lines:
            found = re.match(r'(\d+) - hello sys_', line)
            if found:
                counts[int(found.group(1))] = counts.get(int(found.group(1)), 0) + 1
    return counts


def end_group(process):
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(10 * lib.PATIENCE)


def test_pipeline(env):
    """trapline --all | cat | tee f | cat: none of them is shown, the victim is."""
    victim = env.victim('calls', 500, 0, 3)
    port = lib.free_port()
    group = shell(env, '"$0" --listen 127.0.0.1:$1 --all | cat | tee "$2" | cat', port,
                  env.path('f'))
    wait_for(lambda: os.path.exists(env.path('f')) and 'API' in open(env.path('f')).read(),
             'the start')
    hands = by_name(group.pid, 'cat') + by_name(group.pid, 'tee')
    equal(len(hands), 3, 'hands')
    for _ in range(3):
        victim.round()
    wait_for(lambda: shown(env.path('f')).get(victim.pid) == 1500, 'the victim\'s lines')
    counts = shown(env.path('f'))
    equal({pid: counts.get(pid, 0) for pid in hands}, {pid: 0 for pid in hands})
    end_group(group)
    with open(env.path('err')) as errors:
        told = set(map(int, re.findall(r'skipping PID (\d+)', errors.read())))
    assert told >= set(hands), (told, hands)


def test_no_skip_readers(env):
    """With --no-skip-readers they are shown."""
    victim = env.victim('calls', 500, 0)
    group = shell(env, '"$0" --listen 127.0.0.1:$1 --all --no-skip-readers | tee "$2" | tail -n 1',
                  lib.free_port(), env.path('f'))
    wait_for(lambda: os.path.exists(env.path('f')) and 'API' in open(env.path('f')).read(),
             'the start')
    tee = by_name(group.pid, 'tee')[0]
    victim.round()
    wait_for(lambda: shown(env.path('f')).get(tee), 'lines of tee')
    end_group(group)
    with open(env.path('err')) as errors:
        assert 'skipping' not in errors.read()


def test_late_tail_of_the_log(env):
    """A tail -f of the log that comes later is not shown from its first read of it on."""
    victim = env.victim('calls', 300, 0, 4)
    monitor = env.monitor('-q', '--all', '--log=' + env.path('log'))
    victim.round()
    # The victim reads nothing of ours; a tail of ours starts while all is watched.
    tail = env.popen(['tail', '-n', '+1', '-f', env.path('log')], stdout=subprocess.DEVNULL)
    monitor.wait_error(r'skipping PID %d \(tail\)' % tail.pid)
    for _ in range(3):
        victim.round()
    monitor.flush()
    before = log_count(env.path('log'), tail.pid)
    monitor.ok('POST', '/set_print_all')
    wait_for(lambda: open('/proc/%d/fdinfo/3' % tail.pid).read().split()[1] ==
             str(os.path.getsize(env.path('log'))), 'tail to have read all')
    monitor.stop()
    # Reading its libraries before it opened the log is its own; after that there is nothing.
    equal(log_count(env.path('log'), tail.pid), before)
    with open(env.path('log')) as log:
        lines = log.read().splitlines()
    mine = [i for i, line in enumerate(lines) if 'TGID: %d)' % tail.pid in line]
    assert len(mine) < 40, '%d lines of tail' % len(mine)
    assert sum('TGID: %d)' % victim.pid in line for line in lines) == 1200


def log_count(path, pid):
    with open(path) as log:
        return sum('TGID: %d)' % pid in line for line in log)


def test_reader_of_redirected_output(env):
    """Standard output in a file, and a tail -f of that."""
    victim = env.victim('calls', 200, 0, 2)
    with open(env.path('out'), 'wb') as out:
        monitor = env.monitor('--all', stdout=out)
    wait_for(lambda: b'API' in open(env.path('out'), 'rb').read(), 'the start')
    tail = env.popen(['tail', '-n', '0', '-f', env.path('out')], stdout=subprocess.PIPE)
    monitor.wait_error(r'skipping PID %d ' % tail.pid)
    # The answer comes after all lines of before.
    monitor.ok('POST', '/clear_ip_list', {'clear_ip_list': True})
    before = shown(env.path('out')).get(tail.pid, 0)
    victim.round(), victim.round()
    for _ in range(400):
        tail.stdout.readline()
    monitor.stop()
    equal(shown(env.path('out')).get(tail.pid, 0), before)
    tail.kill(), tail.wait(), tail.stdout.close()


def test_terminal(env):
    """A terminal: who holds its other end is not shown, nor what that writes to."""
    victim = env.victim('calls', 300, 0, 3)
    # A relay in the middle: script-like, a process that has the master and writes to a pipe.
    master, slave = pty.openpty()
    os.set_inheritable(master, False)
    relay = env.popen(['/usr/bin/python3', '-c', RELAY], stdin=master, stdout=subprocess.PIPE)
    catcher = env.popen(['cat'], stdin=relay.stdout, stdout=open(env.path('f'), 'wb'))
    relay.stdout.close()
    os.close(master)
    monitor = env.monitor('--all', stdout=slave, wait=False)
    os.close(slave)
    wait_for(lambda: 'API' in open(env.path('f')).read(), 'the start')
    for _ in range(3):
        victim.round()
    wait_for(lambda: shown(env.path('f')).get(victim.pid) == 900, 'the victim\'s lines')
    monitor.stop()
    counts = shown(env.path('f'))
    equal((counts.get(relay.pid, 0), counts.get(catcher.pid, 0)), (0, 0))
    relay.kill(), relay.wait()


RELAY = '''
import os
while True:
    try:
        data = os.read(0, 65536)
    except OSError:
        break
    if not data:
        break
    os.write(1, data)
'''


def test_tmux(env):
    """In a pane of tmux: its server and clients are not shown, another pane's shell is."""
    if not shutil.which('tmux'):
        env.skip('tmux not found')
    tmux = ['tmux', '-S', env.path('tmux'), '-f', '/dev/null']
    victim = env.victim('calls', 200, 0, 3)
    port = lib.free_port()
    subprocess.run([*tmux, 'new-session', '-d', '-x', '120', '-y', '50',
                    '%s --listen 127.0.0.1:%d --all --log=%s 2>%s' % (
                        lib.TRAPLINE, port, env.path('log'), env.path('err'))], check=True,
                   env={**os.environ, 'TERM': 'xterm'})
    try:
        server = int(subprocess.run([*tmux, 'display-message', '-p', '#{pid}'], check=True,
                                    capture_output=True, text=True).stdout)
        subprocess.run([*tmux, 'split-window', 'cat >/dev/null'], check=True)
        pane = int(subprocess.run([*tmux, 'display-message', '-p', '#{pane_pid}'], check=True,
                                  capture_output=True, text=True).stdout)
        wait_for(lambda: os.path.exists(env.path('err')) and
                 'skipping PID %d ' % server in open(env.path('err')).read(), 'the server')
        started = log_count(env.path('log'), server)
        for _ in range(3):
            victim.round()
        wait_for(lambda: log_count(env.path('log'), victim.pid) == 600, 'the victim\'s lines')
        subprocess.run([*tmux, 'send-keys', 'x', 'Enter'], check=True)
        wait_for(lambda: any(log_count(env.path('log'), pid) for pid in
                             [pane, *descendants(pane)]), 'the other pane\'s cat')
        equal(log_count(env.path('log'), server), started, 'lines of the server')
        with open(env.path('err')) as errors:
            assert 'skipping PID %d ' % pane not in errors.read()
    finally:
        subprocess.run([*tmux, 'kill-server'], check=False)
    wait_for(lambda: not os.path.exists('/proc/%d' % server), 'tmux to end')
    wait_for(lambda: not listens(port), 'the monitor to end with its terminal')


def test_over_the_network(env):
    """trapline | a program that sends it to another one over TCP: both are hands."""
    victim = env.victim('calls', 300, 0, 2)
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        receiver = env.popen(['/usr/bin/python3', '-c', RECEIVER], stdin=listener.fileno(),
                             stdout=open(env.path('f'), 'wb'))
    read_end, write_end = os.pipe()
    sender = env.popen(['/usr/bin/python3', '-c', SENDER, str(port)], stdin=read_end)
    os.close(read_end)
    wait_for(lambda: any(os.readlink('/proc/%d/fd/%s' % (sender.pid, fd)).startswith('socket')
                         for fd in os.listdir('/proc/%d/fd' % sender.pid)), 'the connection')
    monitor = env.monitor('--all', stdout=write_end, wait=False)
    os.close(write_end)
    wait_for(lambda: 'API' in open(env.path('f')).read(), 'the start')
    victim.round(), victim.round()
    wait_for(lambda: shown(env.path('f')).get(victim.pid) == 600, 'the victim\'s lines')
    monitor.stop()
    counts = shown(env.path('f'))
    equal((counts.get(sender.pid, 0), counts.get(receiver.pid, 0)), (0, 0))


SENDER = '''
import os, socket, sys
connection = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
while True:
    data = os.read(0, 65536)
    if not data:
        break
    os.write(connection.fileno(), data)
'''

RECEIVER = '''
import os, socket
connection, _ = socket.socket(fileno=0).accept()
while True:
    data = os.read(connection.fileno(), 65536)
    if not data:
        break
    os.write(1, data)
'''


def test_supervisor_keeps_its_children(env):
    """Who started the monitor and reads it by a pipe is a reader; what it started is not."""
    victim = env.victim('calls', 50, 0)
    monitor = env.monitor('--all')
    monitor.wait_error(r'skipping PID %d ' % os.getpid())
    read_end, write_end = os.pipe()
    fed = env.popen(['/bin/dd', 'of=/dev/null', 'bs=1'], stdin=read_end, stderr=subprocess.DEVNULL)
    os.close(read_end)
    os.write(write_end, b'y' * 25)
    os.close(write_end)
    fed.wait(10 * lib.PATIENCE)
    victim.round()
    monitor.ok('POST', '/clear_pid_list')
    monitor.wait_line('POST /clear_pid_list')
    equal(monitor.count(victim.pid, 'read'), 50)
    assert monitor.count(fed.pid, 'write') >= 25, monitor.pids_shown()
    equal(monitor.pids_shown()[os.getpid()], 0)


def test_target_that_reads_us(env):
    """A reader stays unshown even as a target, and that is said."""
    monitor = env.monitor('-p', os.getpid())
    monitor.wait_error(r'skipping PID %d ' % os.getpid())
    threading.Thread(target=os.getppid).start()
    with open('/dev/zero', 'rb', buffering=0) as zero:
        for _ in range(20):
            zero.read(1)
    monitor.flush()
    equal(monitor.pids_shown()[os.getpid()], 0)


def test_reader_that_stops_reading(env):
    """A process that has closed the log is shown again."""
    monitor = env.monitor('-q', '--all', '--log=' + env.path('log'))
    script = 'import os\nfd = os.open(%r, os.O_RDONLY)\nos.read(fd, 10)\n' \
             'os.read(0, 1)\nos.close(fd)\nos.read(0, 1)\n' \
             'z = os.open("/dev/zero", os.O_RDONLY)\n' \
             'for _ in range(77): os.read(z, 3)\nos.read(0, 1)\n' % env.path('log')
    child = env.popen(['/usr/bin/python3', '-S', '-c', script], stdin=subprocess.PIPE)
    monitor.wait_error(r'skipping PID %d ' % child.pid)
    child.stdin.write(b'x'), child.stdin.flush()
    dump = ['/usr/sbin/bpftool', '-j', 'map', 'dump', 'name', 'skip_pid']
    if not os.path.exists(dump[0]):
        env.skip('bpftool not found')
    wait_for(lambda: ('"key":%d,' % child.pid) not in subprocess.run(
        dump, capture_output=True, text=True).stdout, 'it to leave skip_pid')
    before = log_count(env.path('log'), child.pid)
    child.stdin.write(b'x'), child.stdin.flush()
    wait_for(lambda: log_count(env.path('log'), child.pid) >= before + 77, 'its reads')
    child.stdin.close()
    child.wait(10 * lib.PATIENCE)


def find_tool(env, tool):
    found = shutil.which(tool, path='/usr/sbin:/usr/bin:/sbin:/bin')
    if not found:
        env.skip(tool + ' not found')
    return found


def test_ssh(env):
    """Under an SSH server on this machine: neither the server, nor the client, nor who reads
    that, is shown."""
    server, client, keygen = (find_tool(env, t) for t in ('dropbear', 'dbclient', 'dropbearkey'))
    for key in ('host', 'user'):
        subprocess.run([keygen, '-t', 'ed25519', '-f', env.path(key)], check=True,
                       capture_output=True)
    public = subprocess.run([keygen, '-y', '-f', env.path('user')], check=True,
                            capture_output=True, text=True).stdout
    with open(env.path('authorized'), 'w') as authorized:
        authorized.write(next(l for l in public.splitlines() if l.startswith('ssh-')) + '\n')
    port, api = lib.free_port(), lib.free_port()
    home = os.path.expanduser('~root')
    # The server looks for keys in root's home: it gets one of its own, in its own mount namespace.
    script = 'chmod 700 {0} && mkdir -m 700 {0}/.ssh && cp {1} {0}/.ssh/authorized_keys && ' \
             'exec {2} -F -E -s -p 127.0.0.1:{3} -r {4} -P {5}'.format(
                 home, env.path('authorized'), server, port, env.path('host'), env.path('pid'))
    daemon = env.popen(['/bin/sh', '-c', script], preexec_fn=hide(home),
                       stderr=open(env.path('daemon'), 'wb'), stdin=subprocess.DEVNULL,
                       start_new_session=True)
    wait_for(lambda: listens(port), 'the SSH server')
    victim = env.victim('calls', 300, 0, 2)
    command = '%s --listen 127.0.0.1:%d --all --log=%s 2>%s' % (
        lib.TRAPLINE, api, env.path('log'), env.path('err'))
    master, slave = pty.openpty()  # the client wants a terminal to give the server one
    session = env.popen([client, '-i', env.path('user'), '-t', '-y', '-p', str(port),
                         'root@127.0.0.1', command], stdin=slave,
                        stdout=subprocess.PIPE, stderr=open(env.path('client'), 'wb'))
    catcher = env.popen(['cat'], stdin=session.stdout, stdout=open(env.path('f'), 'wb'))
    session.stdout.close()
    wait_for(lambda: 'API' in open(env.path('f')).read(), 'the start: ' +
             open(env.path('client')).read())
    hands = [session.pid, catcher.pid, *[p for p in descendants(daemon.pid)
                                        if name(p) == 'dropbear']]
    wait_for(lambda: all('skipping PID %d ' % p in open(env.path('err')).read() for p in hands),
             'all hands of %r' % hands)
    before = {pid: log_count(env.path('log'), pid) for pid in hands}
    victim.round(), victim.round()
    wait_for(lambda: log_count(env.path('log'), victim.pid) == 600, 'the victim\'s lines')
    wait_for(lambda: shown(env.path('f')).get(victim.pid) == 600, 'them at the far end')
    equal({pid: log_count(env.path('log'), pid) for pid in hands}, before)
    session.kill(), session.wait()
    os.close(master), os.close(slave)
    os.killpg(daemon.pid, signal.SIGTERM)
    daemon.wait(10 * lib.PATIENCE)
    wait_for(lambda: not listens(api), 'the monitor to end with its terminal')


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0
