# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash disable=SC2034
# What the scripts of the VM rig share: where things lie, how a missing thing is told, and packages
# of any architecture without a change to the machine. Everything made goes below build/vm, but for
# the tree to cross-build against (sysroot.sh).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
vm=$top/build/vm
cache=$vm/cache
native=$(dpkg --print-architecture 2>/dev/null || echo unknown)
python=/usr/bin/python3

# Exit status of a script that cannot go on because the machine lacks something; the reason is then
# all that stands on standard output, progress goes to standard error. run.sh makes it a skip.
missing=77

lack() {
	echo "$*"
	exit "$missing"
}

note() {
	echo "vm: $*" >&2
}

need() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || lack "$tool not found"
	done
}

# One builder at a time; the lock goes with the process.
lock() {
	mkdir -p "$vm"
	exec 9>"$vm/lock.$1"
	flock -w 900 9 || lack "another process holds $vm/lock.$1"
}

gnu_triplet() {
	case $1 in
	amd64) echo x86_64-linux-gnu ;;
	arm64) echo aarch64-linux-gnu ;;
	*)
		note "no architecture $1 here"
		return 1
		;;
	esac
}

# Where the build of ARCH lies, and the tree its libraries come from.
build_dir() {
	if [ "$1" = "$native" ]; then echo "$top/build"; else echo "$top/build/$1"; fi
}

library_root() {
	if [ "$1" = "$native" ]; then echo; else echo "$top/build/$1/sysroot"; fi
}

# An apt of our own: the machine's sources and keys, but lists, cache and package state below
# build/vm, and one architecture only. apt reads APT_CONFIG first and nothing after it, since the
# directories of the machine's configuration are turned away; what that says of fetching is copied.
own_apt() {
	local arch=$1
	shift
	local dir=$vm/apt/$arch
	mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/none"
	: >>"$dir/status"
	{
		apt-config dump | grep '^Acquire::' | grep -v '::IndexTargets' || true
		cat <<-END
			APT::Architecture "$arch";
			#clear APT::Architectures;
			APT::Architectures { "$arch"; };
			APT::Install-Recommends "false";
			Dir::Etc::parts "$dir/none";
			Dir::Etc::main "/dev/null";
			Dir::State "$dir";
			Dir::State::status "$dir/status";
			Dir::State::lists "$dir/lists";
			Dir::Cache "$dir";
			Dir::Cache::archives "$dir/archives";
			Debug::NoLocking "true";
			Acquire::Retries "2";
			#clear Acquire::Languages;
			Acquire::Languages { "none"; };
		END
	} >"$dir/apt.conf.$$"
	mv "$dir/apt.conf.$$" "$dir/apt.conf"
	APT_CONFIG=$dir/apt.conf "$@"
}

own_apt_update() {
	note "fetching the package lists for $1"
	own_apt "$1" apt-get -qq update >&2
}

# The first of apt's two states that works: the machine's own, then ours, then ours brought up to date.
# COMMAND gets the name of a wrapper as its first argument: `plain` or `own_apt ARCH`.
with_apt() {
	local arch=$1
	shift
	if [ "$arch" = "$native" ] && "$@" env; then return; fi
	if [ -n "$(find "$vm/apt/$arch/lists" -name '*Packages*' -mtime -1 -print -quit 2>/dev/null)" ] &&
		"$@" own_apt "$arch"; then
		return
	fi
	own_apt_update "$arch" && "$@" own_apt "$arch"
}

# replace OLD NEW MARK: puts a tree in the place of the one made before, known by the file MARK in it.
replace() {
	if [ -e "$1" ] && [ ! -e "$1/$3" ]; then
		note "$1 is there already and not ours, leaving it alone"
		return 1
	fi
	rm -rf "$1"
	mkdir -p "$(dirname "$1")"
	mv "$2" "$1"
}

# Packs a directory for the kernel: uncompressed, since unpacking costs more under emulation than
# reading. Archives may be put one behind the other; a later file replaces an earlier one.
pack() {
	(cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$2.$$"
	mv "$2.$$" "$2"
}
