#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# run.sh KIND...: runs kinds of tests (check, unit, live, vm, vm-arm64, image), prints PASS, FAIL or
# SKIP for each test, and at the end what failed, what was skipped and why, and the sums.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

results=$(mktemp)
trap 'rm -f "$results"' EXIT

# Shows what a kind of tests prints and keeps its results, their names beginning with the kind. What
# ends with a status but without a failed test has failed itself.
gather()
{
	local kind=$1 status
	shift
	"$@" </dev/null 2>&1 | tee "$results.$kind" | grep -vE '^[0-9]+ passed, [0-9]+ failed'
	status=${PIPESTATUS[0]}
	grep -E '^(PASS|FAIL|SKIP) ' "$results.$kind" |
		sed -E "/^[A-Z]+ ${kind}[/:]/! s|^([A-Z]+) |\1 $kind/|" >"$results.named"
	if [ "$status" -ne 0 ] && ! grep -q '^FAIL' "$results.named"; then
		echo "FAIL $kind: ended with status $status" | tee -a "$results.named"
	fi
	cat "$results.named" >>"$results"
	rm -f "$results.$kind" "$results.named"
}

run_unit()
{
	local test name
	make --no-print-directory unit-tests >"$results.build" 2>&1 || {
		cat "$results.build"
		echo "FAIL build: the unit tests do not build"
		return 1
	}
	for test in build/test/unit/test_*; do
		case $test in *.d) continue ;; esac
		name=$(basename "$test")
		# cmocka's own lines say which test of the program it was.
		CMOCKA_MESSAGE_OUTPUT=stdout timeout 120 "$test" >"$results.out" 2>&1
		local status=$? ok
		ok=$(grep -cE '^\[ +OK ' "$results.out")
		grep -E '^\[ +OK ' "$results.out" | sed -E "s|^\[ +OK \] |PASS $name/|"
		grep -E '^\[ +SKIPPED \]' "$results.out" | sed -E "s|^\[ +SKIPPED \] (.*)|SKIP $name/\1: see the test|"
		if [ "$status" -ne 0 ] || [ "$ok" -eq 0 ]; then
			cat "$results.out"
			echo "FAIL $name: status $status"
		fi
	done
	rm -f "$results.out" "$results.build"
}

run_live()
{
	if [ "$(id -u)" -ne 0 ]; then
		echo "SKIP all: not root"
		return
	fi
	make --no-print-directory live-helpers || return 1
	/usr/bin/python3 test/live/run.py
}

run_vm()
{
	make --no-print-directory live-helpers || return 1
	test/vm/run.sh amd64
}

run_vm_arm64()
{
	test/vm/sysroot.sh arm64 || return 1
	make --no-print-directory BUILD=build/arm64 ARCH=arm64 live-helpers || return 1
	test/vm/run.sh arm64
}

for kind in "$@"; do
	case $kind in
	check) gather check tools/check-style ;;
	unit) gather unit run_unit ;;
	live) gather live run_live ;;
	vm) gather vm run_vm ;;
	vm-arm64) gather vm-arm64 run_vm_arm64 ;;
	image) gather image test/image/run.sh ;;
	*)
		echo "run.sh: unknown kind of tests '$kind'" >&2
		exit 2
		;;
	esac
done

passed=$(grep -c '^PASS' "$results")
failed=$(grep -c '^FAIL' "$results")
skipped=$(grep -c '^SKIP' "$results")
[ "$skipped" -eq 0 ] || { echo; echo "Skipped:"; grep '^SKIP' "$results"; }
[ "$failed" -eq 0 ] || { echo; echo "Failed:"; grep '^FAIL' "$results"; }
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
