#!/usr/bin/env bash
# The program ottla-conformance, from a path, from a URL, or built from these sources.
#
#   CONFORMANCE_BINARY   a path, or a URL that curl knows; built where this is empty
#   CONFORMANCE_SHA256   its checksum; needed for a URL
#
# Prints the program's path, and writes it as `binary` to $GITHUB_OUTPUT where that is set.
set -euo pipefail

die() { echo "obtain: $*" >&2; exit 2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
binary=${CONFORMANCE_BINARY:-} sum=${CONFORMANCE_SHA256:-}

case $binary in
  *://*)
    [ -n "$sum" ] || die "$binary: a URL needs its checksum, as sha256"
    folder=${RUNNER_TEMP:-$(mktemp -d)}
    curl --fail --silent --show-error --location --output "$folder/ottla-conformance" "$binary" ||
      die "$binary cannot be had"
    binary=$folder/ottla-conformance
    chmod +x "$binary"
    ;;
  '')
    command -v cargo >/dev/null ||
      die "cargo is missing: install rustup, or name the program as binary"
    # rust-toolchain.toml counts in the sources' folder.
    (cd "$root" && cargo build --quiet --release --locked -p ottla-conformance) >&2 ||
      die "ottla-conformance cannot be built from $root"
    binary=${CARGO_TARGET_DIR:-$root/target}/release/ottla-conformance
    ;;
esac

[ -x "$binary" ] || die "$binary is no program"
if [ -n "$sum" ]; then
  echo "$sum  $binary" | sha256sum --check --status ||
    die "$binary: its checksum is $(sha256sum "$binary" | cut -d' ' -f1), not $sum"
fi
echo "$binary"
if [ -n "${GITHUB_OUTPUT:-}" ]; then echo "binary=$binary" >> "$GITHUB_OUTPUT"; fi
