//! The npm packages: JavaScript, and the native parts in a package of the platform's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::Native;
use super::platform::{PLATFORMS, Platform};
use super::room::{Room, folder_of};
use super::{Dist, VERSION, first_block, unpack};
use crate::task::{Failure, root, run_quietly};

/// A package and its native part.
struct Package {
    name: &'static str,
    folder: &'static str,
    description: &'static str,
}

impl Package {
    /// The native part's name in the platform's package.
    fn native(&self, platform: &Platform) -> String {
        match self.name {
            "ottla" => format!("ottla.{}.node", platform.name),
            _ => format!("bin/{}", platform.program("ottla-broker")),
        }
    }
}

const PACKAGES: [Package; 2] = [
    Package {
        name: "ottla",
        folder: "bindings/node",
        description: "The native module of the package ottla",
    },
    Package {
        name: "ottla-testing",
        folder: "bindings/testing/node",
        description: "The broker of the package ottla-testing",
    },
];

/// Packs both packages, and one each for their native parts.
pub(super) fn pack(dist: &Dist, native: &Native) -> Result<(), Failure> {
    for package in &PACKAGES {
        let library = if package.name == "ottla" { &native.node } else { &native.broker };
        pack_platform(dist, package, library)?;
        // The same for all platforms.
        if dist.platform.is_tried_out() {
            pack_main(dist, package)?;
        }
    }
    Ok(())
}

fn pack_platform(dist: &Dist, package: &Package, library: &Path) -> Result<(), Failure> {
    let Package { name, description, .. } = package;
    let Platform { name: platform, npm: (system, cpu, libc), .. } = dist.platform;
    let native = package.native(dist.platform);
    let folder = dist.fresh(&format!("{name}-{platform}"))?;
    fs::create_dir_all(folder.join("bin"))?;
    fs::copy(library, folder.join(&native))?;
    // A program is found by the place of the manifest, a module is loaded by the package's name.
    let entry = match package.name {
        "ottla" => format!("\"main\": \"{native}\""),
        _ => "\"exports\": { \"./package.json\": \"./package.json\" }".to_owned(),
    };
    let readme = format!(
        "# {name}-{platform}\n\n{description} for {platform}. `npm install {name}` brings it.\n"
    );
    fs::write(folder.join("README.md"), readme)?;
    let libc = libc.map(|libc| format!("  \"libc\": [\"{libc}\"],\n")).unwrap_or_default();
    let manifest = format!(
        "{{\n  \"name\": \"{name}-{platform}\",\n  \"version\": \"{VERSION}\",\n  \
         \"description\": \"{description} ({platform})\",\n  \"license\": \"Apache-2.0\",\n  \
         {entry},\n  \"files\": [\"{native}\"],\n  \"os\": [\"{system}\"],\n  \
         \"cpu\": [\"{cpu}\"],\n{libc}  \"engines\": {{ \"node\": \">=20.4\" }}\n}}\n"
    );
    fs::write(folder.join("package.json"), manifest)?;
    pack_folder(dist, &folder)
}

/// The package's own files, with the platforms' packages as optional dependencies. In the
/// repository they are none: nothing published could satisfy them there.
fn pack_main(dist: &Dist, package: &Package) -> Result<(), Failure> {
    let work = dist.fresh(&format!("{}-main", package.name))?;
    let mut npm = npm(&root().join(package.folder));
    run_quietly(npm.args(["pack", "--silent", "--pack-destination"]).arg(&work))?;
    let archive = crate::packages::file_in(&work, ".tgz")?;
    unpack(&archive, &work)?;
    let folder = work.join("package");
    let dependencies = PLATFORMS.map(|platform| {
        format!("optionalDependencies.{}-{}={VERSION}", package.name, platform.name)
    });
    run_quietly(self::npm(&folder).args(["pkg", "set"]).args(dependencies))?;
    let of_developers = ["pkg", "delete", "devDependencies", "scripts", "napi"];
    run_quietly(self::npm(&folder).args(of_developers))?;
    pack_folder(dist, &folder)
}

fn pack_folder(dist: &Dist, folder: &Path) -> Result<(), Failure> {
    fs::copy(root().join("LICENSE"), folder.join("LICENSE"))?;
    let mut npm = npm(folder);
    run_quietly(npm.args(["pack", "--silent", "--pack-destination"]).arg(&dist.packages)).map(drop)
}

fn npm(folder: &Path) -> Command {
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(folder);
    npm
}

/// Prints what is in the packages; sources of tests and tools have no place there.
pub(super) fn check_metadata(dist: &Dist) -> Result<(), Failure> {
    for archive in dist.files()?.iter().filter(|file| file.to_string_lossy().ends_with(".tgz")) {
        let listed = run_quietly(Command::new("tar").arg("-tzf").arg(archive))?;
        let files: Vec<&str> =
            listed.lines().map(|file| file.strip_prefix("package/").unwrap_or(file)).collect();
        let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("    {name}: {}", files.join(" "));
        let is_stray = |file: &&&str| {
            let outside = ["test/", "src/", "scripts/", "examples/", "node_modules/"];
            outside.iter().any(|folder| file.starts_with(folder))
        };
        if let Some(stray) = files.iter().find(is_stray) {
            return Err(Failure::new(format!("{name} has {stray}, which is not for users")));
        }
        for needed in ["package.json", "README.md", "LICENSE"] {
            if !files.contains(&needed) {
                return Err(Failure::new(format!("{name} has no {needed}")));
            }
        }
    }
    Ok(())
}

/// Installs all four packages without a network, resolves them in every way that Node and
/// TypeScript have, and runs the README's example.
pub(super) fn try_out(dist: &Dist, room: &Room) -> Result<(), Failure> {
    let readme = fs::read_to_string(root().join("bindings/node/README.md"))?;
    let example = first_block(&readme, &["js", "mjs", "javascript"])
        .ok_or_else(|| Failure::new("bindings/node/README.md has no example in JavaScript"))?;
    room.write("node/example.mjs", &example)?;
    room.write("node/package.json", "{ \"private\": true }\n")?;
    let types = "import { Producer, type Consumer } from 'ottla';\n\
                 export const p: Promise<Producer> = Producer.connect({ lingerMs: 5 });\n\
                 export type C = Consumer;\n";
    room.write("node/esm.mts", types)?;
    room.write("node/commonjs.cts", types)?;
    let names: Vec<String> = archives(dist)?
        .iter()
        .map(|path| format!("../packages/{}", path.file_name().unwrap_or_default().display()))
        .collect();
    let script = format!(
        "
        cd node
        npm install --silent --offline --no-audit --no-fund {}
        node -e \"if (typeof require('ottla').Producer !== 'function') process.exit(1)\"
        node --input-type=module -e \"import ottla, {{ Producer }} from 'ottla';
            if (ottla.Producer !== Producer) process.exit(1);
            import {{ Broker }} from 'ottla-testing';
            const broker = await Broker.start();
            const {{ bootstrapServers }} = broker;
            const producer = await Producer.connect({{ bootstrapServers }});
            const {{ offset }} = await producer.send({{ topic: 'room', value: 'clean' }});
            await producer.close();
            await broker.close();
            if (offset !== 0n) process.exit(1);\"
        node example.mjs
        ",
        names.join(" ")
    );
    println!("{}", room.run(&[folder_of("node")?], &script)?.trim_end());
    // The room does not see the compiler; what it installed stays for it.
    let tsc = root().join("bindings/node/node_modules/.bin/tsc");
    let mut check = Command::new(tsc);
    check.args(["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"]);
    check.args(["--typeRoots"]).arg(root().join("bindings/node/node_modules/@types"));
    check.args(["--types", "node", "esm.mts", "commonjs.cts"]);
    run_quietly(check.current_dir(room.folder.join("node"))).map(drop)
}

fn archives(dist: &Dist) -> Result<Vec<PathBuf>, Failure> {
    let files = dist.files()?.into_iter();
    Ok(files.filter(|file| file.to_string_lossy().ends_with(".tgz")).collect())
}
