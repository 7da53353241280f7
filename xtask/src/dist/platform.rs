//! What packages are built for.

/// A kind of machine, as npm and the names of packages have it.
#[derive(Debug, PartialEq)]
pub(super) struct Platform {
    /// As in `ottla-linux-x64-gnu`.
    pub(super) name: &'static str,
    /// Rust's name.
    pub(super) target: &'static str,
    /// What maturin tells pip about the C library.
    pub(super) wheel: &'static str,
    /// What follows the target for Zig's linker, where that links: the C library's version.
    pub(super) zig: Option<&'static str>,
    /// npm's `os`, `cpu` and, on Linux, `libc`.
    pub(super) npm: (&'static str, &'static str, Option<&'static str>),
}

/// The first is the one that is built and tried out where this project is developed; all others
/// are built by the release workflow only.
pub(super) const PLATFORMS: [Platform; 7] = [
    Platform {
        name: "linux-x64-gnu",
        target: "x86_64-unknown-linux-gnu",
        wheel: "manylinux_2_28",
        zig: Some(".2.28"),
        npm: ("linux", "x64", Some("glibc")),
    },
    Platform {
        name: "linux-arm64-gnu",
        target: "aarch64-unknown-linux-gnu",
        wheel: "manylinux_2_28",
        zig: Some(".2.28"),
        npm: ("linux", "arm64", Some("glibc")),
    },
    Platform {
        name: "linux-x64-musl",
        target: "x86_64-unknown-linux-musl",
        wheel: "musllinux_1_2",
        zig: Some(""),
        npm: ("linux", "x64", Some("musl")),
    },
    Platform {
        name: "linux-arm64-musl",
        target: "aarch64-unknown-linux-musl",
        wheel: "musllinux_1_2",
        zig: Some(""),
        npm: ("linux", "arm64", Some("musl")),
    },
    Platform {
        name: "darwin-x64",
        target: "x86_64-apple-darwin",
        wheel: "pypi",
        zig: None,
        npm: ("darwin", "x64", None),
    },
    Platform {
        name: "darwin-arm64",
        target: "aarch64-apple-darwin",
        wheel: "pypi",
        zig: None,
        npm: ("darwin", "arm64", None),
    },
    Platform {
        name: "win32-x64-msvc",
        target: "x86_64-pc-windows-msvc",
        wheel: "pypi",
        zig: None,
        npm: ("win32", "x64", None),
    },
];

impl Platform {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        PLATFORMS.iter().find(|platform| platform.name == name)
    }

    /// Whether it is the one that can be tried out here.
    pub(super) fn is_tried_out(&self) -> bool {
        *self == PLATFORMS[0]
    }

    pub(super) fn is_musl(&self) -> bool {
        self.npm.2 == Some("musl")
    }

    /// The file that cargo makes of a dynamic library.
    pub(super) fn library(&self, name: &str) -> String {
        match self.npm.0 {
            "win32" => format!("{name}.dll"),
            "darwin" => format!("lib{name}.dylib"),
            _ => format!("lib{name}.so"),
        }
    }

    /// The file that cargo makes of a program.
    pub(super) fn program(&self, name: &str) -> String {
        if self.npm.0 == "win32" { format!("{name}.exe") } else { name.to_owned() }
    }
}
