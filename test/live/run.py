#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Runs the live tests: real processes on this machine's own kernel.

    run.py [--matrix | --matrix-only] [--only REGEX] [--list]

Every function test_* of the files test_*.py beside this one is a test; its argument is an
Environment (lib.py). With --matrix, those marked with `matrix = True` are run once more for each
hook and each transport; with --matrix-only, nothing else is run. Prints PASS, FAIL or SKIP for each, and a line of sums at the end.
"""
import argparse
import importlib
import os
import re
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import lib  # noqa: E402

HOOKS = ('fentry', 'kprobe', 'tp_btf', 'raw_tp', 'tracepoint')
TRANSPORTS = ('ringbuf', 'perfbuf')


def all_tests():
    directory = os.path.dirname(os.path.abspath(__file__))
    for name in sorted(os.listdir(directory)):
        if not re.fullmatch(r'test_\w+\.py', name):
            continue
        module = importlib.import_module(name[:-3])
        for key, value in list(vars(module).items()):
            if key.startswith('test_') and callable(value):
                yield '%s/%s' % (name[5:-3], key[5:]), value


def chosen(tests, plain, matrix):
    for name, test in tests:
        if plain:
            yield name, test, None, None
        if not matrix or not getattr(test, 'matrix', False):
            continue
        for hook in HOOKS:
            for transport in TRANSPORTS:
                yield '%s[%s,%s]' % (name, hook, transport), test, hook, transport




_refused = {}


def hook_refusal(hook):
    """Why this kernel does not take the hook, or None: as `trapline doctor` finds it."""
    if not _refused:
        environment = lib.Environment()
        report = environment.run('doctor').stdout
        environment.close()
        for line in report.splitlines():
            match = re.match(r'hook (\S+)\s+(yes|no)\s+(.*)', line)
            if match:
                _refused[match.group(1)] = None if match.group(2) == 'yes' else match.group(3)
    return _refused.get(hook, 'not in the doctor\'s report')


def run_one(name, test, hook, transport):
    started = time.monotonic()
    environment = lib.Environment(hook, transport)
    try:
        refusal = hook_refusal(hook) if hook else None
        if refusal:
            raise lib.Skip('hook %s: %s' % (hook, refusal))
        test(environment)
        result, detail = 'PASS', ''
    except lib.Skip as skip:
        result, detail = 'SKIP', ': %s' % skip
    except Exception:  # a test that breaks has failed
        result, detail = 'FAIL', ': ' + traceback.format_exc().strip().replace('\n', '\n    ')
    finally:
        environment.close()
    print('%s %s%s (%.1f s)' % (result, name, detail, time.monotonic() - started), flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--matrix', action='store_true', help='also each hook and transport')
    parser.add_argument('--matrix-only', action='store_true', help='each of those alone')
    parser.add_argument('--only', default='', help='tests whose name matches')
    parser.add_argument('--list', action='store_true', help='names, and run nothing')
    options = parser.parse_args()
    tests = [test for test in chosen(all_tests(), not options.matrix_only,
                                     options.matrix or options.matrix_only)
             if re.search(options.only, test[0])]
    if options.list:
        for test in tests:
            print(test[0])
        return 0
    results = [run_one(*test) for test in tests]
    print('%d passed, %d failed, %d skipped' % (
        results.count('PASS'), results.count('FAIL'), results.count('SKIP')), flush=True)
    return 1 if 'FAIL' in results else 0


if __name__ == '__main__':
    sys.exit(main())
