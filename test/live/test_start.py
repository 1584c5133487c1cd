# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What bad input gets, kernels and rights that are not enough, and `trapline doctor`."""
import ctypes
import os
import re
import signal
import socket
import subprocess

import lib
from lib import equal, hide

libc = ctypes.CDLL(None, use_errno=True)


def refused(env, status, text, *args, **keywords):
    """The command fails so, with one line on standard error and none on standard output."""
    done = env.run(*args, **keywords)
    equal((done.returncode, done.stdout), (status, ''), '%r: %r' % (args, done.stderr))
    equal(len(done.stderr.splitlines()), 1, done.stderr)
    assert re.search(text, done.stderr), (text, done.stderr)


def test_usage(env):
    """Bad options: one line, exit status 2."""
    for text, *args in (
            ('--bogus', '--bogus'),
            ('--bogus', 'monitor', '--bogus'),
            ('bogus', 'bogus'),
            ('bad PID', '-p', '0'),
            ('bad PID', '-p', '-1'),
            ('bad PID', '-p', 'x'),
            ('bad PID', '-p', '4194305'),
            ('bad PID', '-p', '1x'),
            ('requires an argument', '-p'),
            ('unexpected argument', 'monitor', 'x'),
            ('unknown hook', '--hook', 'x'),
            ('unknown transport', '--transport', 'x'),
            ('bad size', '--ring', '1'),
            ('bad size', '--ring', '2T'),
            ('bad user ID', '--allow-uid', 'root'),
            ('bad duration', 'procs', '-d', '-1'),
            ('bad duration', 'procs', '-d', 'x'),
            ('bad duration', 'procs', '--duration', '1.5'),
            ('unexpected argument', 'procs', 'x'),
            ('unexpected argument', 'doctor', 'x')):
        refused(env, 2, text, *args)


def test_help_and_version(env):
    for args in (('--help',), ('help',), ('monitor', '--help'), ('procs', '--help'),
                 ('doctor', '--help')):
        done = env.run(*args)
        equal((done.returncode, done.stderr), (0, ''), args)
        assert 'Usage: trapline' in done.stdout, done.stdout
    assert re.fullmatch(r'trapline \d+\.\d+\.\d+\n', env.run('--version').stdout)


def test_addresses(env):
    """A bad address and one that is taken are refused before anything is loaded."""
    refused(env, 1, 'listen|address', '--listen', 'nonsense')
    refused(env, 1, 'listen|address', '--listen', '127.0.0.1:99999')
    refused(env, 1, 'token', '--listen', '0.0.0.0:18999')
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen(1)
        refused(env, 1, 'in use', '--listen', '127.0.0.1:%d' % taken.getsockname()[1])


def test_no_api(env):
    monitor = env.monitor_raw('--no-api', '--all')
    monitor.wait_line('^Initial state')
    equal(monitor.stop(), 0)
    equal([l for l in monitor.stdout_lines() if 'API' in l], [])


def test_not_root(env):
    """Another user is told which capability is missing and how to run it."""
    def become_nobody():
        os.setgid(65534)
        os.setuid(65534)
    for args in (('--no-api',), ('procs',)):
        done = env.run(*args, preexec_fn=become_nobody)
        equal(done.returncode, 1, done.stderr)
        equal(len(done.stderr.splitlines()), 1, done.stderr)
        assert 'CAP_BPF, CAP_PERFMON' in done.stderr and 'sudo' in done.stderr, done.stderr
    done = env.run('doctor', preexec_fn=become_nobody)
    equal(done.returncode, 1)
    assert 'CAP_BPF' in done.stdout


def test_no_btf(env):
    done = env.run('--no-api', preexec_fn=hide('/sys/kernel/btf'))
    equal(done.returncode, 1)
    assert 'BTF' in done.stderr and 'CONFIG_DEBUG_INFO_BTF' in done.stderr, done.stderr
    done = env.run('doctor', preexec_fn=hide('/sys/kernel/btf'))
    equal(done.returncode, 1)
    assert re.search(r'BTF +no', done.stdout), done.stdout


def lockdown():
    try:
        with open('/sys/kernel/security/lockdown') as mode:
            return re.search(r'\[(\w+)\]', mode.read()).group(1)
    except OSError:
        return 'absent'


def test_lockdown(env):
    """In mode confidentiality it is refused by name; in the others it works."""
    done = env.run('doctor')
    if lockdown() == 'confidentiality':
        equal(done.returncode, 1)
        assert 'lockdown' in env.run('--no-api').stderr
    else:
        equal(done.returncode, 0, done.stdout)


def test_doctor(env):
    """Every hook and transport is told of, and what would be used is what is used."""
    done = env.run('doctor')
    equal(done.returncode, 0, done.stderr)
    for what in ('kernel', 'BTF', 'lockdown', 'capabilities', 'hook fentry', 'hook kprobe',
                 'hook tp_btf', 'hook raw_tp', 'hook tracepoint', 'transport ringbuf',
                 'transport perfbuf'):
        assert re.search('^%s ' % re.escape(what), done.stdout, re.M), (what, done.stdout)
    would = re.search('trapline would use hook (\\S+) ', done.stdout).group(1)
    monitor = env.monitor()
    monitor.wait_error('hook %s ' % would)
    equal(lib.attached_programs() or [], [], 'left by the doctor')


def test_no_bpf(env):
    """A kernel that refuses bpf(2), here by a seccomp filter."""
    done = env.run('--no-api', preexec_fn=without_bpf)
    equal(done.returncode, 1)
    assert 'bpf(2)' in done.stderr and 'CONFIG_BPF_SYSCALL' in done.stderr, done.stderr


def without_bpf():
    number = {'x86_64': 321, 'aarch64': 280}[os.uname().machine]
    # load the number; if it is bpf's, fail with ENOSYS; else allow
    program = b''.join(int(v).to_bytes(w, 'little') for code, jt, jf, k in (
        (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38),
        (0x06, 0, 0, 0x7fff0000)) for v, w in ((code, 2), (jt, 1), (jf, 1), (k, 4)))
    buffer = ctypes.create_string_buffer(program, len(program))

    class Prog(ctypes.Structure):
        _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]

    prog = Prog(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(prog), 0, 0):
        os._exit(99)


def test_nested_pid_namespace(env):
    """Without the machine's PIDs: it says so, knows its own number, and takes the machine's."""
    victim = env.victim('calls', 12, 0)
    port = lib.free_port()
    argv = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', lib.TRAPLINE, '--listen',
            '127.0.0.1:%d' % port, '-p', str(victim.pid)]
    if subprocess.run(['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', 'true'],
                      capture_output=True).returncode:
        env.skip('unshare cannot make a PID namespace here')
    monitor = env.keep(lib.Monitor(argv, port))
    host = int(re.search(r'\d+', monitor.wait_line('^Host PID: ')).group())
    with open('/proc/%d/comm' % host) as comm:
        equal(comm.read(), 'trapline\n')
    monitor.wait_line('^Skipping self PID: %d$' % host)
    monitor.wait_error('warning: .*PID namespace')
    victim.round()
    monitor.flush()
    equal(monitor.count(victim.pid, 'read'), 12)
    answer = monitor.ok('POST', '/add_pid', {'pid': victim.pid})
    equal('running' in answer, False, 'it cannot know')
    monitor.ok('POST', '/set_print_all')
    monitor.flush()
    equal(monitor.pids_shown()[host], 0, 'itself')
    os.kill(host, signal.SIGTERM)
    monitor.process.wait(10 * lib.PATIENCE)


def test_tracepoints_without_tracefs(env):
    """--hook tracepoint works where no tracefs is mounted, and mounts none."""
    if os.path.exists('/sys/kernel/tracing/events'):
        env.skip('tracefs is mounted')
    with open('/proc/self/mounts') as mounts:
        before = mounts.read()
    victim = env.victim('calls', 5, 5)
    monitor = env.monitor('--hook', 'tracepoint', '-p', victim.pid)
    victim.round()
    monitor.flush()
    equal(monitor.pids_shown(), {victim.pid: 10})
    monitor.stop()
    with open('/proc/self/mounts') as mounts:
        equal(mounts.read(), before)
