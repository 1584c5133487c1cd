# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""closure.py ROOT TRIPLET FILE...: the shared libraries that these files need, and those need in turn.

ROOT is the tree the libraries come from ("" is the machine itself), TRIPLET names its architecture.
Prints a line "SOURCE<tab>DESTINATION" for each library and for the ELF interpreter, DESTINATION being
the path in the guest. Files that are no ELF, or are of another machine or class, are passed over: a
32-bit helper must be linked statically. A library that cannot be found is an error.
"""
import os
import re
import subprocess
import sys

MACHINES = {"x86_64-linux-gnu": "X86-64", "aarch64-linux-gnu": "AArch64"}
# glibc opens it when a thread ends early; nothing names it as needed.
ALWAYS = ("libgcc_s.so.1",)


def library_directories(root, triplet):
    return [root + d for d in (f"/lib/{triplet}", f"/usr/lib/{triplet}", "/lib", "/usr/lib", "/lib64")]


def is_elf(path):
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def read_elf(paths, machine):
    """What these files need by name, and the interpreters they name by path."""
    needed, interpreters = set(), set()
    paths = [p for p in paths if is_elf(p)]
    for path in paths:
        text = subprocess.run(["readelf", "-Whdl", path], capture_output=True, text=True,
                              check=True, env={"LC_ALL": "C"}).stdout
        if not re.search(rf"Class:\s+ELF64[\s\S]*Machine:.*{machine}", text):
            continue
        needed.update(re.findall(r"\(NEEDED\).*\[(.+)\]", text))
        interpreters.update(re.findall(r"program interpreter: (.+)\]", text))
    return needed, interpreters


def main(root, triplet, *files):
    directories = library_directories(root, triplet)
    found, todo, wanted = {}, list(files), set(ALWAYS)
    while todo or wanted:
        needed, interpreters = read_elf(todo, MACHINES[triplet])
        todo = []
        for name in interpreters:
            found[os.path.basename(name)] = (root + name, name)
        for name in (needed | wanted) - found.keys():
            path = next((f"{d}/{name}" for d in directories if os.path.exists(f"{d}/{name}")), None)
            if path is None:
                sys.exit(f"closure: {name} is in none of {' '.join(directories)}")
            found[name] = (path, f"/usr/lib/{triplet}/{name}")
            todo.append(path)
        wanted = set()
    for source, destination in sorted(found.values()):
        print(f"{source}\t{destination}")


main(*sys.argv[1:])
