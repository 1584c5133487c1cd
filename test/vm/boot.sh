#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# boot.sh ARCH SERIES TIMEOUT COMMAND...: boots that kernel under emulation, runs COMMAND as root in
# the guest, in /trapline, and exits with its status; or with 77 when the machine lacks something, 124
# out of time (TIMEOUT seconds, the boot included), 125 when the guest died, 126 when the command
# succeeded but the kernel warned of itself or of BPF. Output comes as the guest writes it.
# VM_APPEND adds arguments to the kernel's command line.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

if [ $# -lt 4 ]; then
	echo "usage: boot.sh ARCH SERIES TIMEOUT COMMAND..." >&2
	exit 2
fi
arch=$1 series=$2 limit=$3
shift 3

# -cpu max on arm64 authenticates pointers with a cipher that is very slow to emulate; pauth-impdef
# takes a quick one.
append="quiet loglevel=1 panic=-1 oops=panic ${VM_APPEND:-}"
case $arch in
amd64)
	qemu=(qemu-system-x86_64 -cpu max)
	append="console=ttyS0 syscall.x32=y $append"
	;;
arm64)
	qemu=(qemu-system-aarch64 -M virt -cpu 'max,pauth-impdef=on')
	append="console=ttyAMA0 $append"
	;;
*) lack "no architecture $arch in test/vm" ;;
esac

need "${qemu[0]}" setpriv cpio "$python"
"$here/kernel.sh" "$arch" "$series"
"$here/guest.sh" "$arch"

kernel=$vm/$arch/$series/vmlinux
[ -e "$kernel" ] || kernel=$vm/$arch/$series/vmlinuz

tmp=$(mktemp -d "$vm/boot.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
marker=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
mkdir -p "$tmp/tree/etc"
echo "$marker" >"$tmp/tree/etc/vm-marker"
{
	printf exec
	for word; do
		printf " '%s'" "${word//\'/\'\\\'\'}"
	done
	echo
} >"$tmp/tree/etc/vm-command"
pack "$tmp/tree" "$tmp/command.cpio"
cat "$vm/$arch"/{base,guest}.cpio "$vm/$arch/$series/modules.cpio" "$tmp/command.cpio" >"$tmp/initrd"

# One thread for all of the guest's CPUs: with a thread each, QEMU 7.2 can go on running code that
# another CPU has patched (static keys, which attaching to a tracepoint turns), for ever.
#
# In the background and waited for, so that a signal to this script is acted on at once.
"$python" "$here/console.py" "$limit" "$marker" "$arch/$series" "${qemu[@]}" \
	-accel tcg,thread=single -m 1024 -smp 2 -nodefaults -display none -no-reboot -serial stdio \
	-kernel "$kernel" -initrd "$tmp/initrd" -append "$append" &
console=$!
trap 'kill "$console" 2>/dev/null; wait "$console"; rm -rf "$tmp"; exit 143' TERM INT HUP
status=0
wait "$console" || status=$?
exit "$status"
