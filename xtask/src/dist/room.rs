//! A clean room: no network but loopback, no Rust, no home, not this project; a broker on the port
//! that the examples name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::folders_of_this_machine;
use super::{Dist, unpack};
use crate::task::{Failure, run_quietly};

pub(super) const WHY: &str = "no network, no Rust, an empty home: the README's example";

/// Longer than any example takes to be built and run, also on a busy machine.
const SECONDS: &str = "600";

/// Becomes the room, starts the broker, runs the rest of the arguments in it.
const ENTER: &str = r#"
    set -eu
    room=$1 hidden=$2
    shift 2
    ip link set lo up
    IFS=:
    for folder in $hidden; do
        if [ -d "$folder" ]; then mount -t tmpfs tmpfs "$folder"; fi
    done
    unset IFS
    if command -v cargo rustc > /dev/null; then echo "Rust is in the room" >&2; exit 1; fi
    if [ -n "$(ip route)" ]; then echo "a network is in the room" >&2; exit 1; fi
    rm -rf "$room/ready" "$room/data"
    mkfifo "$room/ready"
    "$room/ottla-broker" dev --port 9092 --data-dir "$room/data" > "$room/ready" &
    broker=$!
    trap 'kill -KILL $broker' EXIT
    exec 3< "$room/ready"
    read -r line <&3
    case $line in *' ready on '*) ;; *) echo "the broker said: $line" >&2; exit 1 ;; esac
    cd "$room"
    timeout "$SECONDS_AT_MOST" "$@"
"#;

/// A folder outside of the project, which programs in the room can use.
pub(super) struct Room {
    pub(super) folder: PathBuf,
}

impl Room {
    /// With the packages in it, in `packages`, and the broker of the testing package.
    pub(super) fn new(dist: &Dist) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("ottla-dist-{}", std::process::id()));
        let room = Self { folder };
        fs::create_dir_all(room.folder.join("packages"))?;
        fs::create_dir_all(room.folder.join("home"))?;
        for file in dist.files()? {
            let name = file.file_name().unwrap_or_default();
            fs::copy(&file, room.folder.join("packages").join(name))?;
        }
        let testing = room.folder.join("testing");
        unpack(&dist.file("ottla_testing-", ".whl")?, &testing)?;
        let broker = super::content::files_in(&testing)?
            .into_iter()
            .find(|file| file.ends_with("ottla-broker"))
            .ok_or_else(|| Failure::new("the wheel of ottla-testing has no ottla-broker"))?;
        fs::copy(broker, room.folder.join("ottla-broker"))?;
        let mut chmod = Command::new("chmod");
        run_quietly(chmod.arg("+x").arg(room.folder.join("ottla-broker")))?;
        Ok(room)
    }

    /// Runs a shell script in the room, with these folders on its path beside the system's.
    pub(super) fn run(&self, path: &[PathBuf], script: &str) -> Result<String, Failure> {
        let mut folders: Vec<String> = path.iter().map(|p| p.display().to_string()).collect();
        folders.extend(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(str::to_owned));
        let hidden = folders_of_this_machine();
        let hidden: Vec<String> = hidden.iter().map(|path| path.display().to_string()).collect();
        let mut command = Command::new("unshare");
        // Mounts and a network of its own take root's rights, or those of a user namespace.
        if run_quietly(Command::new("id").arg("-u"))?.trim() != "0" {
            command.arg("--map-root-user");
        }
        command.args(["--net", "--mount", "sh", "-c", ENTER, "sh"]);
        command.arg(&self.folder).arg(hidden.join(":")).args(["sh", "-euc", script]);
        command.env_clear().env("PATH", folders.join(":")).env("SECONDS_AT_MOST", SECONDS);
        command.env("HOME", self.folder.join("home")).env("LC_ALL", "C.UTF-8");
        run_quietly(&mut command)
    }

    /// Writes a file of the room.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text)?;
        Ok(path)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of a program, links followed.
pub(super) fn folder_of(program: &str) -> Result<PathBuf, Failure> {
    let script = "readlink -f \"$(command -v \"$0\")\"";
    let path = run_quietly(Command::new("sh").args(["-c", script, program]))?;
    let folder = Path::new(path.trim()).parent().map(Path::to_owned);
    folder.ok_or_else(|| Failure::new(format!("{program} is not on the path")))
}
