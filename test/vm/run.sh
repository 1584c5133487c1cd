#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# run.sh [ARCH]: the live tests on other kernels, each in a guest of its own. Prints the guests'
# results with the kernel before the name, `PASS vm/6.1/NAME`, and at the end how many there were of
# each kind. What the machine lacks is a skip; a guest that dies or a kernel that complains is a
# failure. Status 1 if anything failed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# Architecture, kernel, seconds at most, kernel arguments (- for none), command in the guest.
live="env TRAPLINE_TEST_PATIENCE=4 python3 /trapline/test/live/run.py"
rows=(
	"amd64 6.1 1200 - $live"
	"amd64 6.1 1200 - $live --matrix-only"
	"amd64 6.1 300 lockdown=confidentiality $live --only ^start/lockdown"
	"arm64 6.1 1500 - $live"
	"arm64 6.1 1500 - $live --matrix-only"
)

wanted=${1:-$native}
passed=0 failed=0 skipped=0 last=none

pass() { passed=$((passed + 1)) && last="PASS $1" && echo "$last"; }
fail() { failed=$((failed + 1)) && last="FAIL $1" && echo "$last"; }
skip() { skipped=$((skipped + 1)) && last="SKIP $1" && echo "$last"; }

finish() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] || exit 1
	exit 0
}

# A step that makes something ready: tells its reason and fails where it cannot.
prepare() {
	local name=$1 reason status=0
	shift
	reason=$("$@") || status=$?
	[ "$status" != 0 ] || return 0
	if [ "$status" = "$missing" ]; then
		skip "$name: ${reason##*$'\n'}"
	else
		fail "$name: $(basename "$1") ended with status $status"
	fi
	return 1
}

# What a guest says is counted, its own summary only compared.
take_line() {
	local name=$1 line=$2
	case $line in
	'PASS '*) pass "$name/${line#PASS }" ;;
	'FAIL '*) fail "$name/${line#FAIL }" ;;
	'SKIP '*) skip "$name/${line#SKIP }" ;;
	*' passed, '*' failed, '*' skipped') summary=$line ;;
	*) echo "$line" ;;
	esac
}

# Guests run side by side, each on one of the machine's CPUs; what they say is taken in order.
start_guest() {
	local arch=$1 series=$2 limit=$3 arguments=$4
	shift 4
	[ "$arguments" = - ] || export VM_APPEND=$arguments
	exec "$here/boot.sh" "$arch" "$series" "$limit" "$@"
}

finish_guest() {
	local name=$1 limit=$2 boot=$3 output=$4 line status=0 summary=''
	local before=("$passed" "$failed" "$skipped") counts
	last=none
	exec 3< <(exec tail -n +1 -s 0.2 --pid="$boot" -f "$output")
	while IFS= read -r line <&3 || [ -n "$line" ]; do
		take_line "$name" "$line"
	done
	exec 3<&-
	wait "$boot" || status=$?

	counts=$((passed - before[0])),$((failed - before[1])),$((skipped - before[2]))
	case $status in
	124) fail "$name/guest: no result within $limit s; last result: $last" ;;
	125) fail "$name/guest: died half-way; last result: $last" ;;
	126) fail "$name/kernel: complained, see above" ;;
	0) [ "$counts" != 0,0,0 ] || fail "$name/guest: no test gave a result" ;;
	*) [ "$failed" != "${before[1]}" ] || fail "$name/guest: ended with status $status; last result: $last" ;;
	esac
	if [ -n "$summary" ] && [ "$(tr -dc '0-9,' <<<"$summary")" != "$counts" ]; then
		fail "$name/summary: the guest says \"$summary\", $counts came through"
	fi
}

outputs=$(mktemp -d)
guests=()
boots=()
trap 'rm -rf "$outputs"' EXIT
trap '[ "${#boots[@]}" = 0 ] || kill "${boots[@]}" 2>/dev/null; exit 143' TERM INT HUP

case $wanted in
amd64) qemu="qemu-system-x86_64" ;;
arm64) qemu="qemu-system-aarch64" ;;
*) skip "vm: no guests for architecture $wanted" && finish ;;
esac
prepare vm need "$qemu" apt-get dpkg-deb cpio flock readelf setpriv "$python" || finish
trapline=${TRAPLINE:-$(build_dir "$wanted")/trapline}
if [ ! -x "$trapline" ]; then
	fail "vm: $trapline is not there, build it first" && finish
fi

for row in "${rows[@]}"; do
	read -r arch series limit arguments command <<<"$row"
	[ "$arch" = "$wanted" ] || continue
	name=vm/$series
	[ "$arch" = "$native" ] || name=vm/$arch-$series
	[ "$arguments" = - ] || name=$name/$arguments
	prepare "$name" "$here/kernel.sh" "$arch" "$series" || continue
	prepare "$name" "$here/guest.sh" "$arch" || continue
	output=$outputs/${#boots[@]}
	: >"$output"
	# shellcheck disable=SC2086
	(start_guest "$arch" "$series" "$limit" "$arguments" $command) >"$output" 2>&1 &
	boots+=("$!")
	guests+=("$name $limit $! $output")
done
for guest in "${guests[@]}"; do
	# shellcheck disable=SC2086
	finish_guest $guest
done
finish
