//! The Swift package with its native library.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::build::Native;
use super::room::Room;
use super::{Dist, VERSION, first_block, unpack};
use crate::task::{Failure, root, run_quietly};
use crate::tools;

/// What of `bindings/swift` is the package.
const PARTS: [&str; 3] = ["Package.swift", "README.md", "Sources"];

/// `ottla-swift-VERSION-PLATFORM.tar.gz`: the package, and in `lib` the library and the
/// `ottla.pc` by which SwiftPM finds it, wherever the folder is put.
pub(super) fn pack(dist: &Dist, native: &Native) -> Result<(), Failure> {
    let name = format!("ottla-swift-{VERSION}");
    let work = dist.fresh("swift")?;
    let folder = work.join(&name);
    let libraries = folder.join("lib/pkgconfig");
    fs::create_dir_all(&libraries)?;
    for part in PARTS {
        let from = root().join("bindings/swift").join(part);
        run_quietly(Command::new("cp").arg("-R").arg(from).arg(&folder))?;
    }
    fs::copy(root().join("LICENSE"), folder.join("LICENSE"))?;
    let library = dist.platform.library("ottla_swift");
    fs::copy(&native.swift, folder.join("lib").join(library))?;
    let script = root().join("bindings/swift/ottla.pc.sh");
    let description = run_quietly(Command::new(script).arg("${pcfiledir}/.."))?;
    fs::write(libraries.join("ottla.pc"), &description)?;
    without_tests(&folder.join("Package.swift"))?;
    let archive = dist.packages.join(format!("{name}-{}.tar.gz", dist.platform.name));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-czf"]);
    run_quietly(tar.arg(archive).arg("-C").arg(&work).arg(&name)).map(drop)
}

/// The package's users have no use for its tests, whose sources are not in the archive.
fn without_tests(manifest: &Path) -> Result<(), Failure> {
    let text = fs::read_to_string(manifest)?;
    fs::write(manifest, without_test_targets(&text)).map_err(Failure::from)
}

/// Takes `.testTarget(...)` out of a manifest, with the comma behind it.
fn without_test_targets(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(".testTarget(") {
        out.push_str(rest[..at].trim_end());
        let mut depth = 0_usize;
        let end = rest[at..].find(|letter: char| {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            letter == ')' && depth == 0
        });
        rest = end.map_or("", |end| &rest[at + end + 1..]);
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    out.push_str(rest);
    out
}

/// Builds and runs a package that depends on the archive's, with the README's example.
pub(super) fn try_out(dist: &Dist, room: &Room) -> Result<(), Failure> {
    let readme = fs::read_to_string(root().join("bindings/swift/README.md"))?;
    let example = first_block(&readme, &["swift"])
        .ok_or_else(|| Failure::new("bindings/swift/README.md has no example in Swift"))?;
    let package = format!("ottla-swift-{VERSION}");
    unpack(&dist.file(&package, ".tar.gz")?, &room.folder)?;
    let manifest = format!(
        "// swift-tools-version: 6.0\nimport PackageDescription\n\nlet package = Package(\n    \
         name: \"example\",\n    dependencies: [.package(path: \"../{package}\")],\n    targets: \
         [\n        .executableTarget(name: \"example\", dependencies: [\n            \
         .product(name: \"Ottla\", package: \"{package}\")\n        ])\n    ]\n)\n"
    );
    room.write("swift/Package.swift", &manifest)?;
    room.write("swift/Sources/example/main.swift", &example)?;
    let swift = tools::swift()?;
    let script = format!(
        "cd swift
        export PKG_CONFIG_PATH=$PWD/../{package}/lib/pkgconfig
        export LD_LIBRARY_PATH=$PWD/../{package}/lib
        \"{}\" run --quiet",
        swift.display()
    );
    println!("{}", room.run(&[], &script)?.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_targets_are_taken_out_of_the_manifest() {
        let text = "targets: [\n    .target(name: \"A\"),\n    .testTarget(name: \"ATests\", \
                    dependencies: [.product(name: \"B\")]),\n]\n";
        let wanted = "targets: [\n    .target(name: \"A\"),\n]\n";
        assert_eq!(without_test_targets(text), wanted);
    }
}
