#!/bin/bash
# Writes the generated part of the package from the native library: Sources/OttlaFFI/OttlaFFI.swift
# and Sources/COttla/ottlaFFI.h.  With --check nothing is written: it fails where they differ.
#
#   cargo build --release -p ottla-swift && bindings/swift/generate.sh [--check]
#
# The library must not be stripped: the generator reads symbols of it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
library=${OTTLA_SWIFT_LIBRARY:-$target/release/libottla_swift.so}
if [ ! -e "$library" ]; then
  echo "generate.sh: no $library: cargo build --release -p ottla-swift" >&2
  exit 1
fi

CARGO_TARGET_DIR=$target cargo build -q --locked --manifest-path "$here/bindgen/Cargo.toml"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cd "$here/native" # where the generator finds uniffi.toml
"$target/debug/ottla-swift-bindgen" --swift-sources "$library" "$out"
"$target/debug/ottla-swift-bindgen" --headers "$library" "$out"
# Spaces at the ends of lines are the generator's.
sed -i -e 's/[[:space:]]*$//' "$out"/*

status=0
for pair in OttlaFFI.swift:OttlaFFI ottlaFFI.h:COttla; do
  file=${pair%%:*} folder=$here/Sources/${pair##*:}
  if [ "${1:-}" = --check ]; then
    diff -u "$folder/$file" "$out/$file" || status=1
  else
    cp "$out/$file" "$folder/$file"
  fi
done
if [ $status != 0 ]; then
  echo "generate.sh: generated files differ from the library: run bindings/swift/generate.sh" >&2
fi
exit $status
