# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the tests of `trapline procs` share: its lines as rows, and processes to look at."""
import os
import re
import subprocess
import typing
import weakref

import lib
from lib import equal

FAMILY = os.path.join(lib.HELPERS, 'family')
HEADING = 'TIME     EVENT COMM             PID     PPID    FILENAME/EXIT CODE'
FORMAT = b'%-8s %-5s %-16s %-7s %-7s %s'
LINE = re.compile(rb'(\d\d:\d\d:\d\d) (EXEC|EXIT)  (.{16,}?) (\d[\d ]{6,}?) (\d[\d ]{6,}?) (.*)')


class Row(typing.NamedTuple):
    time: str
    event: str
    comm: bytes
    pid: int
    ppid: int
    rest: bytes

    @property
    def code(self):
        """What stands in the brackets."""
        return re.match(r'\[(.*?)\]', self.rest.decode()).group(1)

    @property
    def ms(self):
        """The duration, or None."""
        found = re.fullmatch(r'\[.*?\] \((\d+)ms\)', self.rest.decode())
        if not found:
            equal(self.rest.decode(), '[%s]' % self.code, 'the end of a line')
        return int(found.group(1)) if found else None


def parse(line):
    """One line of the table; its columns are checked."""
    text = line.encode('utf-8', 'surrogateescape') if isinstance(line, str) else line
    found = LINE.fullmatch(text)
    assert found, 'no row: %r' % text
    fields = [field if i == 5 else field.rstrip(b' ') for i, field in enumerate(found.groups())]
    equal(FORMAT % tuple(fields), text, 'the columns')
    time, event, comm, pid, ppid, rest = fields
    return Row(time.decode(), event.decode(), comm, int(pid), int(ppid), rest)


_parsed = weakref.WeakKeyDictionary()


def all_rows(monitor):
    """Each line is parsed once, however often it is asked for."""
    heading, *lines = monitor.stdout_lines()
    equal(heading, HEADING, 'heading')
    known = _parsed.setdefault(monitor, [])
    known += [parse(line) for line in lines[len(known):]]
    return known


def rows(monitor, event=None, pid=None, ppid=None):
    return [row for row in all_rows(monitor)
            if event in (None, row.event) and pid in (None, row.pid) and ppid in (None, row.ppid)]


def only(found):
    equal(len(found), 1, 'rows %r' % found)
    return found[0]


def start(env, *args):
    return env.monitor_raw('procs', *args)


def finish(monitor, **keywords):
    """Ends the monitor. What it has seen is then all there, and accounted for."""
    equal(monitor.stop(**keywords), 0, 'exit status')
    ledger = monitor.ledger()
    shown = len(monitor.stdout_lines()) - 1
    equal((ledger['balanced'], ledger['lost'], ledger['emitted']), (True, 0, ledger['seen']),
          ledger['line'])
    equal((ledger['console']['written'], ledger['console']['lost'], shown),
          (ledger['seen'], 0, ledger['seen']), ledger['line'])
    return ledger


class Ended(typing.NamedTuple):
    pid: int
    status: int  # as waitpid gives it
    output: list  # words


def run(env, *argv, stdin=None, **keywords):
    """Runs a program to its end. subprocess loses the core flag: hence os.waitpid."""
    process = env.popen([os.fspath(arg) if isinstance(arg, (bytes, os.PathLike)) else str(arg)
                         for arg in argv], stdin=stdin or subprocess.DEVNULL,
                        stdout=subprocess.PIPE, **keywords)
    return wait_end(process)


def wait_end(process, timeout=60):
    """The end of a process whose standard output is a pipe."""
    def ended():
        pid, status = os.waitpid(process.pid, os.WNOHANG)
        return (status,) if pid else None
    (status,) = lib.wait_for(ended, 'process %d to end' % process.pid, timeout)
    process.returncode = os.waitstatus_to_exitcode(status)
    output = process.stdout.read().split() if process.stdout else []
    if output == [b'refused']:
        raise lib.Skip('the kernel refused what the process asked for')
    return Ended(process.pid, status, output)


def family(env, *args, **keywords):
    return run(env, FAMILY, *args, **keywords)


def marker(env, monitor):
    """Returns once all that has happened is on standard output: records come in order."""
    pid = family(env, 'exit', 0).pid
    monitor.wait_line(r'EXIT  family +%d +%d ' % (pid, os.getpid()), 20)
