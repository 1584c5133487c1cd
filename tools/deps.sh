#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# deps.sh [build|test|image|arm64]... installs the packages of those sets (build when none is
# named) that are missing, on Debian and Ubuntu. It prints the commands that it runs, and
# nothing at all when nothing is missing.
set -euo pipefail

# One package a row: its set; its name, with '|' before the name to take where that one does not
# exist and '+' between names that belong together; what is asked for where packages have other
# names: cmd:COMMAND, pc:PKG-CONFIG-MODULE or hdr:HEADER. A fourth word is the one architecture
# that needs the row.
#
# Ubuntu 24.04 has no package bpftool: it lies in /usr/lib/linux-tools/*/ there.
# podman takes crun or runc; crun refuses a machine with cgroup trees of both versions.
table='
build	gcc					cmd:gcc
build	make					cmd:make
build	libc6-dev				hdr:stdio.h
build	pkgconf|pkg-config			cmd:pkg-config
build	clang					cmd:clang
build	llvm					cmd:llvm-strip
build	bpftool|linux-tools-common+linux-tools-generic	cmd:bpftool
build	libbpf-dev				pc:libbpf
build	libelf-dev				pc:libelf
build	zlib1g-dev				pc:zlib
build	libmicrohttpd-dev			pc:libmicrohttpd
build	libjansson-dev				pc:jansson

test	libcmocka-dev				pc:cmocka
test	python3					cmd:python3
test	jq					cmd:jq
test	curl					cmd:curl
test	tmux					cmd:tmux
test	dropbear-bin				cmd:dropbear
test	qemu-system-x86				cmd:qemu-system-x86_64	amd64
test	qemu-system-arm				cmd:qemu-system-aarch64	arm64
test	busybox-static				cmd:busybox
test	cpio					cmd:cpio
test	zstd					cmd:zstd
test	lz4					cmd:lz4
test	clang-format				cmd:clang-format
test	clang-tidy				cmd:clang-tidy
test	cppcheck				cmd:cppcheck
test	shellcheck				cmd:shellcheck
test	mandoc					cmd:mandoc

image	buildah					cmd:buildah
image	podman					cmd:podman
image	runc					cmd:runc
image	debootstrap				cmd:debootstrap
image	debian-archive-keyring			cmd:debootstrap
image	docker-compose				cmd:docker-compose
image	curl					cmd:curl
image	jq					cmd:jq
image	python3					cmd:python3

arm64	gcc-aarch64-linux-gnu			cmd:aarch64-linux-gnu-gcc	amd64
arm64	libc6-dev-arm64-cross			cmd:aarch64-linux-gnu-gcc	amd64
arm64	qemu-system-arm				cmd:qemu-system-aarch64
'

die()
{
	printf 'deps: %s\n' "$1" >&2
	exit "${2:-1}"
}

run()
{
	printf '+ %s\n' "$*"
	"$@"
}

# Prints "PACKAGE PROBE" for each row of the sets named that this machine needs.
rows()
{
	local set package probe only

	while read -r set package probe only; do
		[[ -n $set && " $* " == *" $set "* ]] || continue
		[[ -z $only || $only == "$arch" ]] || continue
		printf '%s %s\n' "$package" "$probe"
	done <<<"$table" | sort -u
}

# True where the machine has what a row is there for, whoever installed it.
has()
{
	case $1 in
	cmd:bpftool) type -P bpftool >/dev/null || compgen -G '/usr/lib/linux-tools/*/bpftool' >/dev/null ;;
	cmd:docker-compose) type -P docker-compose >/dev/null || docker compose version &>/dev/null ;;
	cmd:*) PATH=$PATH:/usr/sbin:/sbin type -P "${1#cmd:}" >/dev/null ;;
	pc:*) pkg-config --exists "${1#pc:}" 2>/dev/null ;;
	hdr:*) printf '#include <%s>\n' "${1#hdr:}" | cc -E - >/dev/null 2>&1 ;;
	esac
}

# Sets installed[PACKAGE] for each installed package that a row names.
read_installed()
{
	local names status of name

	read -ra names <<<"$(rows "$@" | sed 's/ .*//; s/[|+]/ /g' | tr '\n' ' ')"
	while read -r status of name; do
		[[ $status == installed && ($of == all || $of == "$arch") ]] || continue
		installed[$name]=1
	done <<<"$(dpkg-query -W -f '${db:Status-Status} ${Architecture} ${Package}\n' \
		"${names[@]}" 2>/dev/null)"
}

is_installed()
{
	local choice name choices names

	IFS='|' read -ra choices <<<"$1"
	for choice in "${choices[@]}"; do
		IFS=+ read -ra names <<<"$choice"
		for name in "${names[@]}"; do
			[[ -n ${installed[$name]:-} ]] || continue 2
		done
		return 0
	done
	return 1
}

# Prints the packages of the first choice that the distribution really has, the first choice
# where it has none: apt's own error is the best one then.
choose()
{
	local choice choices policy

	IFS='|' read -ra choices <<<"$1"
	for choice in "${choices[@]}"; do
		policy=$(apt-cache policy "${choice%%+*}" 2>/dev/null)
		if [[ $policy == *'Candidate: '[!\(]* ]]; then
			printf '%s\n' "${choice//+/ }"
			return
		fi
	done
	printf '%s\n' "${choices[0]//+/ }"
}

# Says which rows nothing here fulfils, and why they cannot be installed.
do_without()
{
	local why=$1 row list=''
	shift

	for row in "$@"; do
		has "${row#* }" || list+=", ${row#* } (${row% *})"
	done
	[[ -z $list ]] || die "$why; needed, with the Debian package that has it: ${list:2}"
	exit 0
}

sets=("${@:-build}")
for set in "${sets[@]}"; do
	case $set in
	build | test | image | arm64) ;;
	*) die "no set of packages is named '$set' (build, test, image, arm64)" 2 ;;
	esac
done

if ! type -P apt-get dpkg-query >/dev/null; then
	arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
	mapfile -t missing <<<"$(rows "${sets[@]}")"
	do_without 'this distribution has no apt-get' "${missing[@]}"
fi

arch=$(dpkg --print-architecture)
declare -A installed=()
read_installed "${sets[@]}"
missing=()
while read -r row; do
	is_installed "${row% *}" || missing+=("$row")
done <<<"$(rows "${sets[@]}")"
((${#missing[@]})) || exit 0

# needrestart must not restart services because somebody builds a program.
quietly=(DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1)
if ((EUID == 0)); then
	export "${quietly[@]}"
	as_root=()
elif type -P sudo >/dev/null; then
	as_root=(sudo env "${quietly[@]}")
else
	do_without 'packages are missing, and this is neither root nor is there sudo' "${missing[@]}"
fi

run "${as_root[@]}" apt-get update -q ||
	printf 'deps: apt-get update failed; going on with the lists that are there\n' >&2
packages=()
for row in "${missing[@]}"; do
	read -ra names <<<"$(choose "${row% *}")"
	packages+=("${names[@]}")
done
run "${as_root[@]}" apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
	"${packages[@]}" || die 'apt-get install failed: see its messages above'
