#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build the streaming Go client from Debian 13's packages, whatever release
# this is: in a root made by mmdebstrap, removed afterwards. The program is
# static and runs here.
#
# usage: examples/go-stream/build.sh OUTPUT-DIRECTORY
# needs: root, mmdebstrap, and the package archive; exit 77 if Debian 13's
# packages cannot be had.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUTPUT-DIRECTORY}
proto=$here/../../proto/nsexec.proto
mkdir -p "$out"
out=$(cd "$out" && pwd)
root=$out/root
stamp=$(cat "$here/main.go" "$here/build.sh" "$proto" | sha256sum)
if [ -x "$out/client-go-stream" ] &&
	[ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi

rm -rf --one-file-system "$root"
trap 'rm -rf --one-file-system "$root"' EXIT
packages=golang-go,golang-github-containerd-ttrpc-dev
packages=$packages,golang-google-protobuf-dev,protobuf-compiler
if ! mmdebstrap --variant=apt --include="$packages" trixie "$root" \
	>"$out/mmdebstrap.log" 2>&1; then
	tail -n 20 "$out/mmdebstrap.log" >&2
	exit 77
fi

mkdir -p "$root/build/gopath/src/example/nsexec"
cp "$here/main.go" "$proto" "$root/build/"
cat >"$root/build/inside" <<'INSIDE'
set -eu
cd /build
export GO111MODULE=off GOPATH=/build/gopath:/usr/share/gocode CGO_ENABLED=0
export GOCACHE=/build/cache GOFLAGS=-mod= PATH=/build/bin:/usr/bin:/bin
mkdir bin
go build -o bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
go build -o bin/protoc-gen-go-ttrpc \
	github.com/containerd/ttrpc/cmd/protoc-gen-go-ttrpc
stubs=gopath/src/example/nsexec
names=Mnsexec.proto=example/nsexec,paths=source_relative
protoc --proto_path=. --go_out=$stubs --go_opt=$names \
	--go-ttrpc_out=$stubs --go-ttrpc_opt=$names nsexec.proto
go build -o client-go-stream main.go
INSIDE
unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" \
	chroot "$root" /bin/sh /build/inside
cp "$root/build/client-go-stream" "$out/client-go-stream"
echo "$stamp" >"$out/stamp"
