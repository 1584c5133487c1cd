# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the live tests share: a monitor, its victims, its API, and waiting with a bound."""
import collections
import ctypes
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRAPLINE = os.environ.get('TRAPLINE', os.path.join(ROOT, 'build', 'trapline'))
HELPERS = os.path.join(os.path.dirname(TRAPLINE), 'test', 'live')
VICTIM = os.path.join(HELPERS, 'victim')

# Guests without hardware help are slower by an order of magnitude.
PATIENCE = float(os.environ.get('TRAPLINE_TEST_PATIENCE', '1'))


CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x44000
libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """The machine cannot run this test; the text says why."""


def wait_for(condition, what, timeout=10.0):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + timeout * PATIENCE
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError('timed out waiting for ' + what)
        time.sleep(pause)  # polls what cannot be waited for; bounded by the deadline
        pause = min(pause * 2, 0.05)


def equal(got, wanted, what=''):
    if got != wanted:
        raise AssertionError('%s: got %r, wanted %r' % (what, got, wanted))


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def process_state(pid):
    """One letter, or None where there is no such process."""
    try:
        with open('/proc/%d/stat' % pid) as stat:
            return stat.read().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


class Victim:
    """build/test/live/victim, which stops itself when it is ready and after each round."""

    def __init__(self, *args, pass_fds=(), stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen([VICTIM, *map(str, args)], pass_fds=pass_fds, stdin=stdin)
        self.pid = self.process.pid
        self.wait_stopped()

    def wait_stopped(self):
        def stopped():
            pid, status = os.waitpid(self.pid, os.WUNTRACED | os.WNOHANG)
            if pid and not os.WIFSTOPPED(status):
                self.process.returncode = os.waitstatus_to_exitcode(status)
                if self.process.returncode == 98:
                    raise Skip('the kernel refused the victim\'s calls')
                raise AssertionError('victim ended with %r' % status)
            return pid
        wait_for(stopped, 'the victim to stop', 60)

    def go(self):
        """Lets it run; wait_stopped says when the round is over."""
        os.kill(self.pid, signal.SIGCONT)

    def round(self):
        self.go()
        self.wait_stopped()

    def end(self):
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()


class Monitor:
    """A running trapline, its output gathered by threads."""

    def __init__(self, argv, port=None, unix=None, stdout=subprocess.PIPE, wait=True,
                 preexec_fn=None, env=None, cwd=None):
        self.port = port
        self.unix = unix
        self.lines = []
        self.errors = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout,
                                        stderr=subprocess.PIPE, preexec_fn=preexec_fn, env=env,
                                        cwd=cwd)
        self.pid = self.process.pid
        self.threads = []
        if stdout == subprocess.PIPE:
            self._gather(self.process.stdout, self.lines)
        self._gather(self.process.stderr, self.errors)
        self.ended = None
        if wait and stdout == subprocess.PIPE:
            self.wait_line('^API Server starting|^TIME  |^Initial state' if port is None
                           else '^API Server starting')

    def _gather(self, stream, lines):
        def gather():
            for line in stream:
                with self.changed:
                    lines.append(line.decode('utf-8', 'surrogateescape').rstrip('\n'))
                    self.changed.notify_all()
            with self.changed:
                self.changed.notify_all()
        thread = threading.Thread(target=gather, daemon=True)
        thread.start()
        self.threads.append(thread)

    def stdout_lines(self):
        with self.changed:
            return list(self.lines)

    def stderr_lines(self):
        with self.changed:
            return list(self.errors)

    def _wait(self, lines, pattern, timeout, count=1):
        regex = re.compile(pattern)
        deadline = time.monotonic() + timeout * PATIENCE
        with self.changed:
            seen, at = 0, 0
            while True:
                for line in lines[at:]:
                    at += 1
                    if regex.search(line):
                        seen += 1
                        if seen == count:
                            return line
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._reading()):
                    raise AssertionError('no line %r in %d lines; last: %r; stderr: %r' % (
                        pattern, len(lines), lines[-3:], self.errors[-4:]))
                self.changed.wait(min(left, 0.1))

    def _reading(self):
        return any(thread.is_alive() for thread in self.threads)

    def wait_line(self, pattern, timeout=5, count=1):
        return self._wait(self.lines, pattern, timeout, count)

    def wait_error(self, pattern, timeout=5, count=1):
        return self._wait(self.errors, pattern, timeout, count)

    def count(self, pid, call):
        wanted = '%d - hello sys_%s was called' % (pid, call)
        return self.stdout_lines().count(wanted)

    def pids_shown(self):
        shown = collections.Counter()
        for line in self.stdout_lines():
            match = re.match(r'(\d+) - hello sys_(read|write) was called$', line)
            if match:
                shown[int(match.group(1))] += 1
        return shown

    def connect(self, timeout=10):
        if self.unix:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout * PATIENCE)
            connection.connect(self.unix)
            return connection
        return socket.create_connection(('127.0.0.1', self.port), timeout * PATIENCE)

    def api(self, method, path, body=None, headers=None):
        """(status, headers, parsed answer)"""
        connection = http.client.HTTPConnection('127.0.0.1', self.port or 80)
        connection.sock = self.connect()
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            text = answer.read()
            parsed = json.loads(text) if text else None
            return answer.status, answer.headers, parsed
        finally:
            connection.close()

    def ok(self, method, path, body=None):
        status, _, answer = self.api(method, path, body)
        if status != 200:
            raise AssertionError('%s %s: %d %r' % (method, path, status, answer))
        return answer

    def flush(self):
        """Returns once all events of calls that have been made are on standard output: the
        answer to a change that takes something away comes after them, and so does its line."""
        before = sum('POST {clear_ip_list' in line for line in self.stdout_lines())
        self.ok('POST', '/clear_ip_list', {'clear_ip_list': True})
        self.wait_line(re.escape('Received request: POST {clear_ip_list: true}'), 10, before + 1)

    def stop(self, number=signal.SIGTERM, timeout=10):
        """Ends it; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError('the monitor did not end')
        for thread in self.threads:
            thread.join(5 * PATIENCE)
        return status

    def ledger(self):
        """The ledger of the end, as numbers."""
        line = [l for l in self.stderr_lines() if 'ledger:' in l][-1]
        found = {'balanced': line.endswith('; balanced'), 'line': line}
        kernel = re.search(r'seen (\d+), emitted (\d+), lost (\d+) \(transport full (\d+), '
                           r'no buffer (\d+), program not run (\d+)\); received (\d+), '
                           r'decoded (\d+), malformed (\d+)', line)
        names = ('seen', 'emitted', 'lost', 'full', 'no_buffer', 'not_run', 'received', 'decoded',
                 'malformed')
        found.update(zip(names, map(int, kernel.groups())))
        for name, key in (('standard output', 'console'), ('log file', 'log')):
            sink = re.search(name + r': offered (\d+), written (\d+), lost (\d+)', line)
            if sink:
                found[key] = dict(zip(('offered', 'written', 'lost'), map(int, sink.groups())))
        return found


class Environment:
    """What a test is given; all that it starts is ended with it."""

    def __init__(self, hook=None, transport=None):
        self.hook = hook
        self.transport = transport
        self.started = []
        self.directory = tempfile.mkdtemp(prefix='trapline-test.')

    def options(self):
        options = []
        if self.hook:
            options += ['--hook', self.hook]
        if self.transport:
            options += ['--transport', self.transport]
        return options

    def monitor(self, *args, **keywords):
        port = keywords.pop('port', None) or free_port()
        argv = [TRAPLINE, 'monitor', '--listen', '127.0.0.1:%d' % port, *self.options(),
                *map(str, args)]
        return self.keep(Monitor(argv, port, **keywords))

    def monitor_raw(self, *args, **keywords):
        """Only the given arguments."""
        return self.keep(Monitor([TRAPLINE, *map(str, args)], **keywords))

    def victim(self, *args, **keywords):
        return self.keep(Victim(*args, **keywords))

    def run(self, *args, timeout=30, **keywords):
        """Runs trapline to its end."""
        return subprocess.run([TRAPLINE, *map(str, args)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout * PATIENCE,
                              **keywords)

    def popen(self, *args, **keywords):
        return self.keep(subprocess.Popen(*args, **keywords))

    def keep(self, thing):
        self.started.append(thing)
        return thing

    def path(self, name):
        return os.path.join(self.directory, name)

    def skip(self, reason):
        raise Skip(reason)

    def close(self):
        for thing in reversed(self.started):
            try:
                if isinstance(thing, Victim):
                    thing.end()
                elif isinstance(thing, Monitor):
                    thing.process.kill()
                    thing.process.wait()
                elif thing.poll() is None:
                    thing.kill()
                    thing.wait()
            except ProcessLookupError:
                pass
        shutil.rmtree(self.directory, ignore_errors=True)


def attached_programs():
    """Names of trapline's programs that something is attached to, or None without bpftool."""
    tool = shutil.which('bpftool', path='/usr/sbin:/sbin:' + os.environ.get('PATH', ''))
    if not tool:
        return None
    def ask(*what):
        # What goes away while it is being listed makes bpftool fail: it is asked again.
        for _ in range(20):
            done = subprocess.run([tool, '-j', *what], capture_output=True,
                                  stdin=subprocess.DEVNULL)
            if done.returncode == 0:
                return json.loads(done.stdout or '[]')
        raise AssertionError('bpftool %s: %r' % (what, done.stderr))
    names = {program['id']: program.get('name', '') for program in ask('prog')}
    found = [names.get(link.get('prog_id'), '') for link in ask('link')]
    perf = ask('perf') if os.path.exists('/sys/kernel/tracing/events') else []
    found += [names.get(entry.get('prog_id'), '') for entry in perf]
    return sorted(name for name in found if re.match(r'enter_|process_', name))


def hide(*paths):
    """To be run in the child: covers directories in a mount namespace of its own."""
    def cover():
        if libc.unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), 'unshare')
        libc.mount(b'none', b'/', None, MS_REC_PRIVATE, None)
        for path in paths:
            if libc.mount(b'none', path.encode(), b'tmpfs', 0, None):
                raise OSError(ctypes.get_errno(), 'mount')
    return cover


def readable(stream, timeout):
    return bool(select.select([stream], [], [], timeout)[0])
