//! What the statements owe: a test, or the reason why there is none.

use super::{File, Finding};

/// The profiles of which every MUST is decided. Statements of others may be planned.
const DECIDED: [&str; 5] = ["core", "groups", "admin", "robustness", "client"];

/// A statement as far as the rule reads it.
#[derive(Default)]
struct Statement<'a> {
    line: usize,
    id: &'a str,
    level: &'a str,
    profile: &'a str,
    has_tests: bool,
    has_reason: bool,
    is_planned: bool,
}

impl Statement<'_> {
    /// What is missing, if it is.
    fn finding(&self, path: &str) -> Option<Finding> {
        let may_be_planned = !DECIDED.contains(&self.profile);
        let is_settled = self.has_tests || self.has_reason || (self.is_planned && may_be_planned);
        if self.level != "MUST" || is_settled {
            return None;
        }
        let (id, profile) = (self.id, self.profile);
        let message = format!(
            "{id} is a MUST of the profile {profile} and has no test: name it in a test, or say \
             why there is none in untestable"
        );
        Some(Finding::new("undecided-statement", path, self.line, message))
    }
}

/// Every MUST of a profile that is decided has a test or a reason.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let is_statements =
        |file: &&File| file.path.starts_with("protocol/statements/") && file.is(&["toml"]);
    let all = files.iter().filter(is_statements);
    all.flat_map(|file| {
        let read = statements(&file.text);
        read.into_iter().filter_map(|statement| statement.finding(&file.path))
    })
    .collect()
}

/// The statements of a file, by their lines: fields stand at the start of a line, and the tests of
/// a long list one a line.
fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut all: Vec<Statement<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line == "[[statement]]" {
            all.push(Statement { line: index + 1, ..Statement::default() });
        }
        let (Some(now), Some((field, value))) = (all.last_mut(), line.split_once(" = ")) else {
            continue;
        };
        let word = value.trim_matches('"');
        match field {
            "id" => now.id = word,
            "level" => now.level = word,
            "profile" => now.profile = word,
            "tests" => now.has_tests = value != "[]",
            "untestable" => now.has_reason = true,
            "planned" => now.is_planned = value == "true",
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(role: &str, level: &str, profile: &str, rest: &str) -> usize {
        let text = format!(
            "# Why.\n\n[[statement]]\nid = \"K-A-001\"\ntext = \"It does.\"\nrole = \"{role}\"\n\
             level = \"{level}\"\nprofile = \"{profile}\"\n{rest}\n"
        );
        let path = "protocol/statements/a.toml".to_owned();
        check(&[File { path, text }]).len()
    }

    #[test]
    fn must_without_test_or_reason_is_a_finding() {
        let (none, planned) = ("tests = []", "tests = []\nplanned = true");
        for (role, level, profile, rest, count) in [
            ("broker", "MUST", "core", none, 1),
            ("broker", "MUST", "core", planned, 1),
            ("broker", "MUST", "core", "tests = [\"a/b\"]", 0),
            ("broker", "MUST", "core", "tests = [\n    \"a/b\",\n]", 0),
            ("broker", "MUST", "core", "tests = []\nuntestable = \"\"\"\\\n    a reason\"\"\"", 0),
            ("broker", "SHOULD", "core", planned, 0),
            ("broker", "MUST", "transactions", planned, 0),
            ("broker", "MUST", "transactions", none, 1),
            ("client", "MUST", "client", none, 1),
            ("client", "MUST", "client", planned, 1),
            ("client", "MUST", "client", "tests = [\"a/b\"]", 0),
        ] {
            let got = found(role, level, profile, rest);
            assert_eq!(got, count, "{role} {level} {profile} {rest}");
        }
    }
}
