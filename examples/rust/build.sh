#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build the Rust agent offline from Debian's packages.
#
# usage: examples/rust/build.sh OUTPUT-DIRECTORY
# needs: cargo rustc librust-ttrpc-dev librust-protobuf-codegen-pure-dev
# Debian's cargo and its registry of packaged crates are used, whatever else
# is in PATH; nothing is written below this directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUTPUT-DIRECTORY}
mkdir -p "$out/package/src"
out=$(cd "$out" && pwd)
cp "$here/Cargo.toml" "$here/build.rs" "$out/package/"
cp "$here/src/main.rs" "$out/package/src/"
cp "$here/../../proto/nsexec.proto" "$out/package/"
cd "$out/package"
export NSEXEC_PROTO="$out/package/nsexec.proto" CARGO_HOME="$out/cargo"
export RUSTC="${RUSTC:-/usr/bin/rustc}" CARGO_TARGET_DIR="$out/target"
unset RUSTUP_TOOLCHAIN RUSTC_WRAPPER RUSTFLAGS || :
"${CARGO:-/usr/bin/cargo}" --offline \
	--config 'source.crates-io.replace-with="debian"' \
	--config 'source.debian.directory="/usr/share/cargo/registry"' \
	build --quiet
cp "$out/target/debug/agent-rust" "$out/agent-rust"
