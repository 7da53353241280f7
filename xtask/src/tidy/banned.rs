//! Words and calls that have no place, each with what to do instead.

use super::{File, Finding};

/// Where a rule holds.
#[derive(Clone, Copy, PartialEq)]
enum In {
    /// Every text file.
    Everything,
    /// Rust outside tests.
    Code,
    /// Rust, tests too.
    CodeAndTests,
    /// Rust of tests.
    Tests,
    /// Rust that has no clock, socket or thread of its own, outside tests and drivers.
    SansIo,
}

struct Ban {
    rule: &'static str,
    held: In,
    /// Parts of a line, written apart so that this file does not break its own rules.
    words: &'static [&'static [&'static str]],
    instead: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        rule: "unwrap",
        held: In::Code,
        words: &[&[".unwrap", "()"]],
        instead: "return the error, or `expect` with the invariant that rules it out",
    },
    Ban {
        rule: "sleep",
        held: In::Tests,
        words: &[&["thread::", "sleep("], &["time::", "sleep(Duration"]],
        instead: "wait for the condition with a deadline",
    },
    Ban {
        rule: "ignored-test",
        held: In::CodeAndTests,
        words: &[&["#[", "ignore"]],
        instead: "a test that needs tools calls `ottla_interop::skip`, others always run",
    },
    Ban {
        rule: "unfinished",
        held: In::Everything,
        words: &[&["TO", "DO"], &["FIX", "ME"], &["XX", "X:"], &["todo", "!("]],
        instead: "do it, or say in the documentation what is left out and why",
    },
    Ban {
        rule: "machine-path",
        held: In::Everything,
        words: &[&["/wo", "rk/"], &["/ho", "me/"], &["/ro", "ot/"], &["/Us", "ers/"]],
        instead: "a path from the project's folder, or the environment's",
    },
    Ban {
        rule: "registry-host",
        held: In::Everything,
        words: &[
            &["://cra", "tes.io"],
            &["static.cra", "tes.io"],
            &["py", "pi.org"],
            &["python", "hosted.org"],
            &["npm", "js.org"],
            &["npm", "js.com"],
            &["maven", ".org"],
            &["proxy.go", "lang.org"],
            &["deb.deb", "ian.org"],
        ],
        instead: "the package's name; the client knows its registry",
    },
    Ban {
        rule: "outside-world",
        held: In::SansIo,
        words: &[
            &["std::", "net"],
            &["std::", "thread"],
            &["tok", "io::"],
            &["Instant::", "now("],
            &["SystemTime::", "now("],
            &["getran", "dom::"],
        ],
        instead: "`now`, bytes and seed come from outside",
    },
    Ban {
        rule: "consensus-library",
        held: In::CodeAndTests,
        words: &[&["use open", "raft"]],
        instead: "only reference-broker/raft names it",
    },
];

const SANS_IO: [&str; 4] =
    ["core/engine/src/", "protocol/src/", "reference-broker/src/coordinator/", "protocol/codegen/"];

pub(super) fn check(file: &File) -> Vec<Finding> {
    // This list of exceptions and the tables of other people's text speak of such words.
    if file.path.starts_with("protocol/vectors/") || file.path == "Cargo.lock" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    // What a generator says of its own work is not ours.
    let counts = |ban: &&Ban| ban.rule != "unfinished" || !file.is_generated();
    for (number, line, is_test) in file.lines() {
        let held = BANS.iter().filter(|ban| holds(ban, file, line, is_test)).filter(counts);
        for ban in held {
            let found = ban.words.iter().map(|parts| parts.concat()).find(|w| line.contains(w));
            if let Some(word) = found {
                let message = format!("`{word}`: {}", ban.instead);
                findings.push(Finding::new(ban.rule, &file.path, number, message));
            }
        }
    }
    findings
}

fn holds(ban: &Ban, file: &File, line: &str, is_test: bool) -> bool {
    let rust = file.is(&["rs"]) && !line.trim_start().starts_with("//");
    match ban.held {
        In::Everything => true,
        In::CodeAndTests if ban.rule == "consensus-library" => {
            rust && !file.path.starts_with("reference-broker/raft/")
        }
        In::CodeAndTests => rust,
        In::Code => rust && !is_test,
        In::Tests => rust && is_test,
        In::SansIo => {
            let sans_io = SANS_IO.iter().any(|folder| file.path.starts_with(folder));
            rust && !is_test && sans_io && !file.path.ends_with("/driver.rs")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        check(&file).into_iter().map(|finding| (finding.rule, finding.line)).collect()
    }

    #[test]
    fn calls_are_banned_where_the_rule_holds() {
        let call = concat!("x.unwrap", "();\n");
        assert_eq!(rules("a/src/b.rs", call), [("unwrap", 1)]);
        assert_eq!(rules("a/tests/b.rs", call), []);
        assert_eq!(rules("a/src/b.rs", &format!("// {call}")), []);
        let clock = concat!("Instant::", "now();\n");
        assert_eq!(rules("core/engine/src/b.rs", clock), [("outside-world", 1)]);
        assert_eq!(rules("core/client/src/b.rs", clock), []);
    }

    #[test]
    fn words_are_banned_in_every_text() {
        assert_eq!(rules("a.md", concat!("x\n TO", "DO later")), [("unfinished", 2)]);
        assert_eq!(rules("a.py", concat!("'/wo", "rk/x'")), [("machine-path", 1)]);
    }
}
