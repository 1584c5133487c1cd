#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# guest.sh ARCH [OUTDIR]: builds the guest's file system for any kernel, as two archives in OUTDIR
# (build/vm/ARCH): base.cpio holds busybox, Python and bpftool, guest.cpio what is under test:
# trapline, test/live and its helper programs, all as below this tree's root, under /trapline. Each
# is built again when what goes into it has changed.
# TRAPLINE names another binary than build/trapline.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

arch=$1 out=${2:-$vm/$1}
triplet=$(gnu_triplet "$arch")
root=$(library_root "$arch")
build=$(build_dir "$arch")
trapline=${TRAPLINE:-$build/trapline}

need cpio readelf flock "$python"
[ -z "$root" ] || "$here/sysroot.sh" "$arch"
lock "guest.$arch"
mkdir -p "$out"
tmp=$(mktemp -d "$vm/guest.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# Parts of the standard library that no test needs, and extension modules that would bring big
# libraries with them; what imports these does without.
drop_directories=(test idlelib ensurepip lib2to3 tkinter turtledemo pydoc_data distutils dist-packages
	sqlite3 dbm curses wsgiref xmlrpc venv 'config-*' __phello__ msilib)
drop_modules=(_ssl _hashlib _sqlite3 _tkinter _dbm _gdbm readline _bz2 _lzma nis ossaudiodev audioop
	'_curses*' '_codecs_*' '_test*' '_xx*' 'xx*' '_ctypes_test*')

put() {
	mkdir -p "$3$(dirname "$2")"
	cp -L "$1" "$3$2"
}

# put_libraries TREE SKIPLIST FILE...: what these need, without what is in SKIPLIST already.
put_libraries() {
	local tree=$1 skip=$2 source destination
	shift 2
	"$python" "$here/closure.py" "$root" "$triplet" "$@" >"$tmp/libraries"
	while IFS=$'\t' read -r source destination; do
		if ! grep -Fxq "$destination" "$skip"; then
			put "$source" "$destination" "$tree"
			echo "$destination" >>"$tree.libraries"
		fi
	done <"$tmp/libraries"
}

python_name() {
	basename "$(find "$root/usr/bin/" -name 'python3.[0-9]*' -a ! -name '*-*' | sort -V | tail -n 1)"
}

put_python() {
	local tree=$1 name=$2 lib drop
	lib=$tree/usr/lib/$name
	mkdir -p "$lib"
	for drop in "${drop_directories[@]}"; do
		printf '%s\n' "--exclude=./$drop"
	done >"$tmp/drop"
	for drop in "${drop_modules[@]}"; do
		printf '%s\n' "--exclude=./lib-dynload/$drop.cpython*"
	done >>"$tmp/drop"
	mapfile -t drops <"$tmp/drop"
	tar -C "$root/usr/lib/$name" --exclude=__pycache__ "${drops[@]}" -chf - . | tar -C "$lib" -xf -
	put "$root/usr/bin/$name" "/usr/bin/$name" "$tree"
	ln -s "$name" "$tree/usr/bin/python3"
	# Compiled beforehand and without source, since both compiling and looking for files are slow under
	# emulation. The machine's Python compiles for another architecture too, not for another version.
	if [ "$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')" = "$name" ]; then
		"$python" -m compileall -q -b -s "$tree" -j 2 --invalidation-mode unchecked-hash "$lib" >&2
		find "$lib" -name '*.py' -delete
	fi
}

put_accounts() {
	local etc=$1/etc
	mkdir -p "$etc"
	printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/:/bin/sh >"$etc/passwd"
	printf '%s\n' root:x:0: tty:x:5: nogroup:x:65534: >"$etc/group"
	printf '%s\n' '127.0.0.1 localhost' '::1 localhost' >"$etc/hosts"
	printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' >"$etc/nsswitch.conf"
}

build_base() {
	local tree=$tmp/base name=$1 bpftool=$2 directory
	mkdir -p "$tree"/{proc,sys,dev,tmp,run,root,etc,mnt,trapline,var/{log,tmp},usr/{bin,sbin,lib,lib64}}
	chmod 1777 "$tree/tmp" "$tree/var/tmp"
	for directory in bin sbin lib lib64; do
		ln -s "usr/$directory" "$tree/$directory"
	done
	put "$busybox" /usr/bin/busybox "$tree"
	ln -s busybox "$tree/usr/bin/sh"
	put "$here/init" /init "$tree"
	chmod 755 "$tree/init"
	put_accounts "$tree"
	put_python "$tree" "$name"
	[ -z "$bpftool" ] || put "$bpftool" /usr/sbin/bpftool "$tree"
	find "$tree/usr/bin/$name" "$tree/usr/lib/$name/lib-dynload" -type f >"$tmp/elf"
	[ -z "$bpftool" ] || echo "$bpftool" >>"$tmp/elf"
	mapfile -t elf <"$tmp/elf"
	: >"$tmp/base.libraries"
	put_libraries "$tree" /dev/null "${elf[@]}"
	pack "$tree" "$out/base.cpio"
	cp "$tmp/base.libraries" "$out/base.libraries"
}

build_project() {
	local tree=$tmp/guest programs=() file
	mkdir -p "$tree/trapline/test" "$tree/trapline/build/test/live"
	[ ! -d "$top/test/live" ] || cp -rL "$top/test/live" "$tree/trapline/test/"
	"$python" -m compileall -q -s "$tree" --invalidation-mode unchecked-hash "$tree/trapline/test" >&2
	if [ -e "$trapline" ]; then
		put "$trapline" /trapline/build/trapline "$tree"
		programs+=("$trapline")
	fi
	for file in "$build"/test/live/*; do
		if [ -f "$file" ] && [ -x "$file" ]; then
			put "$file" "/trapline/build/test/live/$(basename "$file")" "$tree"
			programs+=("$file")
		fi
	done
	: >"$tmp/guest.libraries"
	put_libraries "$tree" "$out/base.libraries" "${programs[@]}"
	pack "$tree" "$out/guest.cpio"
}

# make_archive NAME BUILDER ARG... <LIST OF INPUTS: builds NAME if the inputs are not those it was
# built from. Files are compared by name, size and time.
make_archive() {
	local name=$1
	shift
	xargs -r -d '\n' stat -L -c '%n %s %Y' >"$tmp/inputs"
	if [ -e "$out/$name.cpio" ] && cmp -s "$tmp/inputs" "$out/$name.inputs"; then return; fi
	note "building $arch/$name.cpio"
	"$@"
	cp "$tmp/inputs" "$out/$name.inputs"
}

busybox=$(find "$root/bin/busybox" "$root/usr/bin/busybox" 2>/dev/null | head -n 1) || true
[ -n "$busybox" ] || lack "busybox not found (package busybox-static)"
! readelf -l "$busybox" | grep -q INTERP || lack "busybox is not static (package busybox-static)"
name=$(python_name)
[ -n "$name" ] || lack "no Python in ${root:-/}usr/bin"
bpftool=
# Where bpftool is a script, it looks for one that fits the running kernel; no use in a guest.
if [ -z "$root" ] && [ -e /usr/sbin/bpftool ] && readelf -h /usr/sbin/bpftool >/dev/null 2>&1; then
	bpftool=/usr/sbin/bpftool
fi

# What stands for the libraries: they change with libc's package, or with the tree as a whole.
libraries=/lib/$triplet/libc.so.6
[ -z "$root" ] || libraries=$root/.packages
rig=("$here/guest.sh" "$here/lib.sh" "$here/closure.py")
printf '%s\n' "${rig[@]}" "$here/init" "$busybox" "$root/usr/bin/$name" "$root/usr/lib/$name/os.py" \
	${bpftool:+"$bpftool"} "$libraries" |
	make_archive base build_base "$name" "$bpftool"
{
	printf '%s\n' "${rig[@]}" "$out/base.cpio"
	[ ! -e "$trapline" ] || echo "$trapline"
	for directory in "$top/test/live" "$build/test/live"; do
		[ ! -d "$directory" ] || find "$directory" -type f ! -path '*/__pycache__/*'
	done | LC_ALL=C sort
} | make_archive guest build_project
