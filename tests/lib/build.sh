# SPDX-License-Identifier: Apache-2.0
# Shell functions that ./check and ./quickstart share: packages and trees.
# Sourced, with $top the top of the source tree.

build_packages="autoconf automake build-essential gcc libc6-dev
	libevent-dev libjansson-dev libprotobuf-c-dev libseccomp-dev libsubid-dev
	libsystemd-dev libtool make pkg-config protobuf-c-compiler"

# Install what is missing of the packages named; apt is left alone if none is.
packages_need() {
	local missing=() name
	for name in "$@"; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null |
			grep -q '^ii' || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "missing packages, and only root can install them:" \
			"${missing[*]}" >&2
		return 1
	fi
	echo "installing: ${missing[*]}"
	packages_install "${missing[@]}" ||
		{ apt-get -q update && packages_install "${missing[@]}"; }
}

packages_install() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		--no-install-recommends -o Dpkg::Use-Pty=0 install "$@" </dev/null
}

# tree_configure DIR CONFIGURE-ARGUMENT...: ./configure out of tree, once for
# the same arguments and the same configure.
tree_configure() {
	local dir=$1
	shift
	if [ ! -x "$top/configure" ] ||
		[ "$top/configure.ac" -nt "$top/configure" ]; then
		"$top/autogen.sh" || return 1
	fi
	mkdir -p "$dir"
	if [ -f "$dir/Makefile" ] && [ "$dir/config.args" -nt "$top/configure" ] &&
		[ "$(cat "$dir/config.args")" = "$*" ]; then
		return 0
	fi
	(cd "$dir" && "$top/configure" --quiet "$@" && echo "$*" >config.args)
}
