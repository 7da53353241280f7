#!/bin/bash
# Everything about the Swift package: builds the native library, compares the generated files, and
# runs swift build and swift test.  Arguments go to swift test (--filter seek).
#
#   OTTLA_TEST_BROKERS="ottla=127.0.0.1:1,apache-4.3=127.0.0.1:2" bindings/swift/test.sh
#
# Without OTTLA_TEST_BROKERS the tests start an ottla-broker of their own.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
export CARGO_TARGET_DIR=$target

swift=$("$root/scripts/swift.sh" --path)
cd "$root"
if [ "${OTTLA_SWIFT_BUILD:-1}" = 1 ]; then
  cargo build -q --release -p ottla-swift -p ottla-broker
  "$here/generate.sh" --check
fi

# What an installed package has in its lib/pkgconfig.
mkdir -p "$target/swift/pkgconfig"
"$here/ottla.pc.sh" "$target/release" > "$target/swift/pkgconfig/ottla.pc"
export PKG_CONFIG_PATH=$target/swift/pkgconfig LD_LIBRARY_PATH=$target/release
export OTTLA_BROKER_BIN=${OTTLA_BROKER_BIN:-$target/release/ottla-broker}
cd "$here"
"$swift" build --scratch-path "$target/swift/build" -q
"$swift" test --scratch-path "$target/swift/build" "$@"
