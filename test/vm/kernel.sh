#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# kernel.sh ARCH SERIES [OUTDIR]: fetches Debian's newest cloud kernel of a series (6.1, 6.12) and
# unpacks it into OUTDIR (build/vm/ARCH/SERIES): vmlinuz, vmlinux where the image holds a kernel that
# boots faster, modules/*.ko in the order to load them, modules.cpio, and the package's name.
# Nothing is installed. A newer package is looked for once a day.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

arch=$1 series=$2 out=${3:-$vm/$1/$2}

# What the guests need beyond what is built in: the ways to ask the kernel about sockets.
modules=(inet_diag tcp_diag udp_diag unix_diag ipv6)

newest() {
	"$@" apt-cache pkgnames "linux-image-$series." 2>/dev/null |
		grep -Ex "linux-image-${series//./\\.}\.[0-9]+(-[0-9]+|\+deb12)-cloud-$arch" | sort -V | tail -n 1
}

# apt names packages that it cannot fetch too (mentioned by others), hence the loop's second half.
fetch() {
	local package
	package=$(newest "$@") && [ -n "$package" ] || return 1
	mkdir -p "$cache"
	(cd "$cache" && "$@" apt-get -q -o APT::Sandbox::User=root download "$package") >&2 || return 1
	echo "$package" >"$cache/newest.$arch.$series"
}

unpack() {
	local deb=$1 package=$2 tmp image
	tmp=$(mktemp -d "$vm/kernel.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$tmp'" EXIT
	dpkg-deb -x "$deb" "$tmp/deb"
	mkdir -p "$tmp/out/modules" "$tmp/cpio/usr/lib"
	image=$(echo "$tmp"/deb/boot/vmlinuz-*)
	cp "$image" "$tmp/out/vmlinuz"
	"$python" "$here/kernel.py" image "$image" "$tmp/out/vmlinux"
	"$python" "$here/kernel.py" modules "$tmp/deb" "$tmp/out/modules" "${modules[@]}"
	# Not as lib/: in the guest that is a link, and a directory in an archive would replace it.
	cp -r "$tmp/out/modules" "$tmp/cpio/usr/lib/vm-modules"
	pack "$tmp/cpio" "$tmp/out/modules.cpio"
	echo "$package" >"$tmp/out/package"
	replace "$out" "$tmp/out" package
}

fresh() {
	[ -n "$(find "$out/package" -mtime -1 -newer "$here/kernel.sh" -newer "$here/kernel.py" 2>/dev/null)" ]
}

fresh && exit
need apt-get dpkg-deb cpio flock "$python"
lock kernel
fresh && exit

if ! with_apt "$arch" fetch; then
	if [ -e "$out/package" ]; then
		note "no newer kernel can be fetched, staying with $(cat "$out/package")"
		exit
	fi
	lack "no package linux-image-$series*-cloud-$arch can be fetched from this machine's package sources"
fi
package=$(cat "$cache/newest.$arch.$series")
deb=$(find "$cache" -name "${package}_*_$arch.deb" | sort -V | tail -n 1)
note "unpacking $(basename "$deb")"
unpack "$deb" "$package"
