//! Relative links in Markdown lead somewhere.

use std::path::Path;

use super::{File, Finding};

pub(super) fn check(file: &File, root: &Path) -> Vec<Finding> {
    if !file.is(&["md"]) {
        return Vec::new();
    }
    let folder = root.join(&file.path);
    let folder = folder.parent().expect("a file is in a folder");
    let mut findings = Vec::new();
    let mut in_code = false;
    for (number, line, _) in file.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for target in targets(line) {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !path.is_empty() && !elsewhere && !folder.join(path).exists() {
                let message = format!("the link to {target} leads nowhere");
                findings.push(Finding::new("broken-link", &file.path, number, message));
            }
        }
    }
    findings
}

/// What stands in `](…)`, outside of code spans.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (index, part) in line.split('`').enumerate() {
        // Every second part is between back ticks; a link's text may hold a span, its target not.
        let starts_target = part.starts_with("](");
        if index % 2 == 1 && !starts_target {
            continue;
        }
        for (at, _) in part.match_indices("](") {
            let rest = &part[at + 2..];
            if let Some(end) = rest.find(')') {
                found.push(rest[..end].split(' ').next().unwrap_or_default());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        assert_eq!(
            targets("see [a](b.md) and [`c`](d/e.md#f \"g\"), not `[x](y)`"),
            ["b.md", "d/e.md#f"]
        );
    }

    #[test]
    fn link_to_nothing_is_a_finding() {
        let text = "[here](Cargo.toml)\n[there](no.md)\n[web](https://a.example)\n[up](#x)\n";
        let file = File { path: "xtask/A.md".to_owned(), text: text.to_owned() };
        let lines: Vec<usize> =
            check(&file, &crate::task::root()).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2]);
    }
}
