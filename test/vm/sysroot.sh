#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# sysroot.sh ARCH [OUTDIR]: unpacks Debian's libraries of another architecture into OUTDIR
# (build/ARCH/sysroot), to build against and to make the guest from. Nothing is installed, and the
# machine's package state is not touched. What the packages below depend on comes with them. Newer
# packages are looked for once a day.
#
# To build against it (the compiler is Debian's crossbuild package, gcc-aarch64-linux-gnu):
#   CC="aarch64-linux-gnu-gcc --sysroot=$SYSROOT"
#   PKG_CONFIG_LIBDIR=$SYSROOT/usr/lib/aarch64-linux-gnu/pkgconfig:$SYSROOT/usr/share/pkgconfig
#   PKG_CONFIG_SYSROOT_DIR=$SYSROOT
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

arch=$1 out=${2:-$top/build/$1/sysroot}
packages=(libc6-dev libbpf-dev libelf-dev zlib1g-dev libmicrohttpd-dev libjansson-dev
	busybox-static python3-minimal libpython3-stdlib)

# fetch APT...: leaves the packages' file names in wanted.ARCH and the files in the cache.
fetch() {
	local install=(apt-get -qq -y --no-install-recommends -o APT::Sandbox::User=root install)
	mkdir -p "$cache/$arch/partial"
	# apt names only what its archive lacks, so it is asked with the one that stays empty.
	"$@" "${install[@]}" --print-uris "${packages[@]}" 2>/dev/null |
		sed -n "s/^'[^']*' \([^ ]*\.deb\) .*/\1/p" | LC_ALL=C sort >"$cache/wanted.$arch"
	[ -s "$cache/wanted.$arch" ] || return 1
	"$@" "${install[@]}" --download-only -o "Dir::Cache::archives=$cache/$arch" "${packages[@]}" >&2
}

# Links that are absolute, such as libz.so, would lead out of the tree.
relative_links() {
	local link target
	find "$1" -type l -lname '/*' -print0 | while IFS= read -r -d '' link; do
		target=$1$(readlink "$link")
		ln -sfnr "$target" "$link"
	done
}

unpack() {
	local tmp deb
	mkdir -p "$(dirname "$out")"
	tmp=$(mktemp -d "$(dirname "$out")/sysroot.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf '$tmp'" EXIT
	while read -r deb; do
		dpkg-deb -x "$cache/$arch/$deb" "$tmp/root"
	done <"$cache/wanted.$arch"
	rm -rf "$tmp"/root/usr/share/{doc,man,locale,info}
	relative_links "$tmp/root"
	cp "$cache/wanted.$arch" "$tmp/root/.packages"
	replace "$out" "$tmp/root" .packages
}

fresh() {
	[ -n "$(find "$out/.packages" -mtime -1 -newer "$here/sysroot.sh" 2>/dev/null)" ]
}

fresh && exit
[ "$arch" != "$native" ] || lack "$arch is this machine's own architecture, it needs no tree to build against"
need apt-get dpkg-deb flock
lock "sysroot.$arch"
fresh && exit

mkdir -p "$cache"
# Our own apt alone: the machine's state knows what is installed, and would leave that out.
if ! with_apt "$arch" fetch; then
	if [ -e "$out/.packages" ]; then
		note "no newer $arch packages can be fetched, staying with what there is"
		exit
	fi
	lack "the $arch packages cannot be fetched from this machine's package sources"
fi
if cmp -s "$cache/wanted.$arch" "$out/.packages" && [ "$out/.packages" -nt "$here/sysroot.sh" ]; then
	touch "$out/.packages"
	exit
fi
note "unpacking $(wc -l <"$cache/wanted.$arch") $arch packages"
unpack
