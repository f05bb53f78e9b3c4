#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A root of Debian 13 (trixie) with its systemd, for the suites that boot one.
#
# usage: trixie_root.sh DIR
# Made once, with mmdebstrap, from the mirror that apt uses here and with apt's
# own keys. A mirror that has no trixie is no failure: DIR is not there then, and
# the suites skip what needs it.
set -eu
dir=$1
mark=$dir/etc/nsexecd-test-root # the last thing to be written
packages=systemd,systemd-sysv,dbus,uidmap,python3
packages+=,libevent-core-2.1-7t64,libprotobuf-c1,libjansson4,libseccomp2
[ ! -e "$mark" ] || exit 0

# The first mirror of Debian itself that apt has, in either format.
mirror() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
		/etc/apt/sources.list.d/*.sources 2>/dev/null |
		sed -n 's/^URIs: *\([^ ]*\).*/\1/p
			s/^deb \(\[[^]]*\] *\)\?\([^ ]*\) .*/\2/p' |
		sed 's|/*$||' | grep '/debian$' | head -n 1
}
from=$(mirror)
from=${from:-http://deb.debian.org/debian}
rm -rf "$dir"
mkdir -p "$(dirname "$dir")"
# as root, without namespaces of its own: it may be one in which nothing mounts
if mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
	trixie "$dir" "$from"; then
	: >"$mark"
	exit 0
fi
rm -rf "$dir"
echo "no trixie from $from: what needs it is skipped" >&2
