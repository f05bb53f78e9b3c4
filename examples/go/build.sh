#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build the Go agent offline from Debian's packages.
#
# usage: examples/go/build.sh OUTPUT-DIRECTORY
# needs: golang-go golang-github-containerd-ttrpc-dev gogottrpc
#        protobuf-compiler
# The packaged ttrpc (1.1) has no streams, and its generator would turn a
# stream into a unary call: the one streaming method is left out of its copy of
# the schema. Agents on it use NextEvents.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUTPUT-DIRECTORY}
mkdir -p "$out/gopath/src/nsexec" "$out/proto"
out=$(cd "$out" && pwd)
grep -v 'returns (stream ' "$here/../../proto/nsexec.proto" \
	>"$out/proto/nsexec.proto"
protoc --proto_path="$out/proto" \
	--gogottrpc_out=plugins=ttrpc:"$out/gopath/src/nsexec" \
	"$out/proto/nsexec.proto"
cd "$here"
export GO111MODULE=off GOPATH="$out/gopath:/usr/share/gocode"
export GOCACHE="${GOCACHE:-$out/cache}" GOFLAGS=-mod= CGO_ENABLED=0
exec go build -o "$out/agent-go" main.go
