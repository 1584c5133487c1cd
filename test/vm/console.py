# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""console.py LIMIT MARKER NAME COMMAND...: runs an emulator whose standard output is the guest's
serial line, for at most LIMIT seconds, and exits with the guest's status.

Between the two lines that the guest's init prints with MARKER, the output is handed on as it comes,
without carriage returns. What comes earlier (firmware, early kernel) is shown only if the guest never
gets that far. Own exit statuses: 124 out of time, 125 the guest ended without a result, 126 the
command succeeded but the kernel complained.
"""
import os
import re
import select
import signal
import subprocess
import sys
import time

OUT_OF_TIME, NO_RESULT, KERNEL = 124, 125, 126


class Console:
    def __init__(self, marker, name):
        self.line = re.compile(rb"^(.*?)@vm %s (start (\S+)|end (\d+) (\d+))\s*$" % marker.encode())
        self.name = name
        self.early = []
        self.start = time.monotonic()
        self.booted = None
        self.status = None
        self.rest = b""

    def say(self, text):
        print(f"vm: {self.name}: {text}", file=sys.stderr, flush=True)

    def show(self, data):
        if self.booted is None:
            self.early.append(data)
        elif data and self.status is None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def take(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.take_line(line.rstrip(b"\r"))

    def take_line(self, line):
        found = self.line.match(line)
        if not found:
            self.show(line + b"\n")
            return
        now = time.monotonic()
        if found[1]:
            self.show(found[1] + b"\n")
        if found[3]:
            self.booted = now
            self.say(f"booted {found[3].decode()} in {now - self.start:.1f} s")
        elif self.status is None:
            self.status = int(found[4])
            self.say(f"status {self.status} after {now - self.start:.1f} s")
            if int(found[5]):
                self.say("the kernel complained, see the lines that begin with 'kernel:'")
                self.status = self.status or KERNEL

    def end(self, why, status):
        if self.status is not None:
            return self.status
        if self.rest:
            self.show(b"(unfinished) " + self.rest + b"\n")
        if self.booted is None:
            sys.stdout.buffer.write(b"".join(self.early[-60:]))
            sys.stdout.buffer.flush()
        self.say(why)
        return status


def read_until_end(process, console, limit):
    """The guest powers off by itself after its result; it is not waited for longer than 5 s."""
    deadline = time.monotonic() + limit
    output = process.stdout.fileno()
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([output], [], [], left)[0]:
            return console.end(f"no result within {limit:.0f} s", OUT_OF_TIME)
        data = os.read(output, 65536)
        if not data:
            return console.end("ended without a result", NO_RESULT)
        console.take(data)
        if console.status is not None:
            deadline = min(deadline, time.monotonic() + 5)


def main(limit, marker, name, *command):
    # The emulator must not outlive us, however we end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(128 + signal.SIGINT))
    command = ("setpriv", "--pdeathsig", "KILL", *command)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            return read_until_end(process, Console(marker, name), float(limit))
        finally:
            process.kill()


sys.exit(main(*sys.argv[1:]))
