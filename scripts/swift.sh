#!/bin/bash
# Makes `swift` (Swift 6: SwiftPM, XCTest, swift-testing, Foundation) usable on Debian bookworm, which has
# no Swift package of its own.  Debian trixie's `swiftlang` goes into a root folder of its own; a wrapper
# runs it on the host's own paths.
#
#   scripts/swift.sh         # idempotent and quiet; one line on success (--path: the command only)
#   export PATH="${SWIFT_ROOT:-$HOME/.cache/swift-root}/bin:$PATH"
#   swift test               # in any package;  swift-in-root CMD... for anything else in that root
#
# SWIFT_ROOT        where it all goes              default: ~/.cache/swift-root (XDG_CACHE_HOME is honoured)
# SWIFT_MIRROR      the Debian mirror              default: the one apt is configured with
# SWIFT_SUITE       trixie (Swift 6.0) by default  sid: a newer Swift that moves
# SWIFT_FULL=1      keep lldb, sourcekit-lsp, clangd, docc, the static and the embedded standard library
# SWIFT_FORCE=1     install even where a native swift >= 6 is on PATH
# SWIFT_SMOKE=0     skip the smoke test that ends an installation
set -euo pipefail
ROOT=${SWIFT_ROOT:-${XDG_CACHE_HOME:-$HOME/.cache}/swift-root}
SUITE=${SWIFT_SUITE:-trixie}
WANT=${1:-}                              # --path: only the command is printed
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg   # bookworm's holds trixie's and sid's keys too
case $ROOT in /*) ;; *) ROOT=$PWD/$ROOT ;; esac
case $ROOT in *[[:space:]]*) echo "swift setup: SWIFT_ROOT must not hold spaces" >&2; exit 1 ;; esac

say() { if [ "$WANT" = --path ]; then echo "$2"; else echo "swift $1: $2"; fi; }

swift_version() { "$1" --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -1; }

# A native Swift 6 is better than this one.  (On Debian a command called swift may be OpenStack's client.)
native=$(PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF "$ROOT/bin" | paste -sd:) command -v swift || true)
if [ -n "$native" ] && [ "${SWIFT_FORCE:-0}" != 1 ]; then
  v=$(swift_version "$native")
  if [ "${v%%.*}" -ge 6 ] 2>/dev/null; then say "$v" "$native"; exit 0; fi
fi

mkdir -p "$ROOT/bin"
exec 9>"$ROOT/.lock"; flock 9                            # two set-ups at once: the second finds it done
LOG=$ROOT/setup.log

write_wrappers() {
  cat > "$ROOT/bin/swift-in-root" <<'EOW'
#!/bin/bash
# Run a command in the Swift root, in the same folder and with the host's files at their own paths.
# The mounts live in a private mount namespace: they vanish with the command, nothing is left to unmount,
# and the host never sees them (so removing the root folder stays safe at any time).
R=$(dirname "$(dirname "$(readlink -f "$0")")")/root
B=${SWIFT_BINDS:-}
if [ -z "$B" ]; then                     # default: every top-level folder that is not the system's own
  for d in /*; do
    case $d in /bin|/boot|/dev|/etc|/lib*|/lost+found|/proc|/run|/sbin|/sys|/usr|/var) continue ;; esac
    if [ -d "$d" ] && [ ! -L "$d" ]; then B="$B $d"; fi
  done
  B="$B /var/tmp"
fi
ok=; D=$(pwd -P); for b in $B; do case $D/ in "$b"/*) ok=1 ;; esac; done
if [ -z "$ok" ]; then echo "swift-in-root: $D is under none of:$B (set SWIFT_BINDS)" >&2; exit 2; fi
exec unshare --mount --propagation private bash -c '
  set -e; R=$1; B=$2; D=$3; shift 3
  # /proc is a must: the toolchain finds its libraries by $ORIGIN, read from /proc/self/exe
  mount -t proc proc "$R/proc"; mount --rbind /dev "$R/dev"
  for f in /etc/resolv.conf /etc/hosts; do
    if [ -e "$f" ] && [ -e "$R$f" ]; then mount --bind "$(readlink -f "$f")" "$R$f"; fi
  done
  for b in $B; do mkdir -p "$R$b"; mount --rbind "$b" "$R$b"; done
  export PATH=/usr/libexec/swift/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
  exec chroot "$R" /bin/sh -c "cd \"\$0\" && exec \"\$@\"" "$D" "$@"
' bash "$R" "$B" "$D" "$@"
EOW
  local t
  for t in swift swiftc; do
    printf '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/swift-in-root" %s "$@"\n' $t > "$ROOT/bin/$t"
    chmod +x "$ROOT/bin/$t"
  done
  chmod +x "$ROOT/bin/swift-in-root"
}

mirror() {                                               # the host release's main archive, as apt knows it
  # shellcheck disable=SC1091
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v c="$(. /etc/os-release; echo "${VERSION_CODENAME:-}")" '
      $3 != "main" { next } $2 == c { print $1; found = 1; exit } first == "" { first = $1 }
      END { if (!found && first != "") print first }'
}

make_root() {                                            # (no set -e inside: called from a || list)
  local new=$ROOT/root.new p S=/usr/libexec/swift opts
  if ! command -v mmdebstrap >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap || return 1
  fi
  local m=${SWIFT_MIRROR:-$(mirror)}
  if [ -z "$m" ]; then echo "apt names no Debian mirror: set SWIFT_MIRROR"; return 1; fi
  rm -rf --one-file-system "$new"
  apt-config dump --format '%F "%v";%n' Acquire | grep -E '::https?::|Check-(Valid-Until|Date)' > "$ROOT/apt.conf" || true
  echo 'Acquire::Retries "5";' >> "$ROOT/apt.conf"
  opts=(--mode=root --components=main --keyring="$KEYRING" --variant=apt
        # libc6-dev is only a Recommends, and without it not even Package.swift links ("cannot find Scrt1.o")
        --include=swiftlang,libc6-dev --aptopt='APT::Install-Recommends "false"' --aptopt="$ROOT/apt.conf")
  for p in /usr/share/doc /usr/share/man /usr/share/locale; do opts+=(--dpkgopt="path-exclude=$p/*"); done
  if [ "${SWIFT_FULL:-0}" != 1 ]; then
    for p in $S/bin/lldb-\* $S/bin/clangd $S/bin/sourcekit-lsp $S/bin/docc $S/lib/liblldb\* \
             $S/lib/libsourcekitdInProc.so $S/lib/libLTO.so\* $S/lib/libclang.so\* \
             $S/lib/swift_static/\* $S/lib/swift/embedded/\*; do opts+=(--dpkgopt="path-exclude=$p"); done
  fi
  mmdebstrap "${opts[@]}" "$SUITE" "$new" "$m" || return 1
  touch "$new/etc/resolv.conf" "$new/etc/hosts"
  rm -rf --one-file-system "$ROOT/root" && mv "$new" "$ROOT/root"
}

smoke() {
  local t; t=$(mktemp -d "${TMPDIR:-/var/tmp}/swift-smoke.XXXXXX") && cd "$t" || return 1
  mkdir -p Sources/S Tests/STests
  cat > Package.swift <<'E'
// swift-tools-version: 6.0
import PackageDescription
let package = Package(name: "S", targets: [.target(name: "S"), .testTarget(name: "STests", dependencies: ["S"])])
E
  cat > Sources/S/S.swift <<'E'
import Foundation
public func ticks(_ n: Int) -> AsyncStream<Int> {
    AsyncStream { c in Task { for i in 0..<n { c.yield(i) }; c.finish() } }
}
public func now() -> Date { Date() }
E
  cat > Tests/STests/T.swift <<'E'
import Testing
import XCTest
import S
@Test func stream() async { var s = 0; for await i in ticks(4) { s += i }; #expect(s == 6) }
final class X: XCTestCase {
    func testStream() async { var s = 0; for await i in ticks(5) { s += i }; XCTAssertEqual(s, 10); XCTAssert(now().timeIntervalSince1970 > 0) }
}
E
  "$ROOT/bin/swift" test > log 2>&1 || { cat log; return 1; }
  cat log
  grep -q 'Test run with 1 test .*passed' log && grep -q "testStream' passed" log || return 1
  cd / && rm -rf "$t"
}

fail() { tail -40 "$LOG" >&2; echo "swift setup: $1 (all of it: $LOG)" >&2; exit 1; }

if [ ! -e "$ROOT/root/.complete-$SUITE-${SWIFT_FULL:-0}" ]; then
  if [ "$(id -u)" != 0 ]; then echo "swift setup: needs root (apt, mount, chroot)" >&2; exit 1; fi
  : > "$LOG"
  (make_root) >> "$LOG" 2>&1 </dev/null || fail "the root could not be made"
  write_wrappers
  if [ "${SWIFT_SMOKE:-1}" = 1 ]; then (smoke) >> "$LOG" 2>&1 </dev/null || fail "the smoke test failed"; fi
  touch "$ROOT/root/.complete-$SUITE-${SWIFT_FULL:-0}"
fi
write_wrappers
v=$(cd "$ROOT/bin" && SWIFT_BINDS=$ROOT/bin swift_version "$ROOT/bin/swift") || true
[ -n "$v" ] || fail "the installed swift does not start"
say "$v" "$ROOT/bin/swift"
