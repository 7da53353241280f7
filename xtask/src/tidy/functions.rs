//! Lines per function.

use super::{File, Finding};

const FUNCTION_LINES: usize = 70;

pub(super) fn check(file: &File) -> Vec<Finding> {
    if file.is_generated() || !file.is(&["rs"]) {
        return Vec::new();
    }
    let code = code_only(&file.text);
    let lines: Vec<&str> = code.lines().collect();
    let mut findings = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let Some(count) = body_lines(&lines[index..]) else { continue };
        if count > FUNCTION_LINES {
            let message = format!("`{name}` has {count} lines, {FUNCTION_LINES} at most");
            findings.push(Finding::new("long-function", &file.path, index + 1, message));
        }
    }
    findings
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let is_item = before.split_whitespace().all(|word| {
        word.starts_with("pub")
            || word.ends_with(')')
            || matches!(word, "async" | "const" | "unsafe" | "extern" | "default")
    });
    let end = after.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    (is_item && end > 0).then(|| &after[..end])
}

/// Lines from a function's first to the one that closes its body; none for one without a body.
fn body_lines(lines: &[&str]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut brackets = 0_usize;
    for (index, line) in lines.iter().enumerate() {
        for letter in line.chars() {
            match letter {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' => depth += 1,
                '}' if depth == 1 => return Some(index + 1),
                '}' => depth = depth.saturating_sub(1),
                ';' if depth == 0 && brackets == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

/// The text with the inside of comments, strings and character literals blanked, lines kept.
fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = skippable(rest);
        if skipped == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (inside, after) = rest.split_at(skipped);
            out.extend(inside.chars().filter(|letter| *letter == '\n'));
            rest = after;
        }
    }
    out
}

/// The length of the comment or literal that starts here, 0 if none does.
fn skippable(rest: &str) -> usize {
    let until = |from: usize, end: &str| {
        rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until(2, "*/");
    }
    for (start, end) in [("r\"", "\""), ("r#\"", "\"#"), ("r##\"", "\"##")] {
        if rest.starts_with(start) {
            return until(start.len(), end);
        }
    }
    if rest.starts_with('"') {
        return quoted(rest);
    }
    // A character literal, not a lifetime: 'x' or an escape.
    let mut letters = rest.char_indices();
    match (letters.next(), letters.next(), letters.next()) {
        (Some((_, '\'')), Some((_, '\\')), Some((at, _))) => until(at + 1, "'"),
        (Some((_, '\'')), Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: String) -> Vec<(usize, String)> {
        let file = File { path: "a/b.rs".to_owned(), text };
        check(&file).into_iter().map(|finding| (finding.line, finding.message)).collect()
    }

    #[test]
    fn long_function_is_found_where_it_starts() {
        let body = "    x();\n".repeat(68);
        assert_eq!(findings(format!("// one\npub(crate) async fn f() {{\n{body}}}\n")), []);
        let body = "    x();\n".repeat(69);
        assert_eq!(
            findings(format!("// one\npub(crate) async fn f() {{\n{body}}}\n")),
            [(2, "`f` has 71 lines, 70 at most".to_owned())]
        );
    }

    #[test]
    fn braces_in_strings_comments_and_letters_do_not_count() {
        let body = "    // }\n    let a = (\"}\\\"}\", '}', '\\'', r#\"}\"}\"#, 'l: loop {});\n";
        let long = format!("fn f<'a>(x: &'a str, y: [u8; 2]) {{\n{}}}\n", body.repeat(40));
        assert_eq!(findings(long).len(), 1);
    }

    #[test]
    fn function_without_a_body_has_no_length() {
        let rest = "x\n".repeat(100);
        assert_eq!(findings(format!("trait T {{\n fn f(a: [u8; 2]);\n{rest}}}\n")), []);
    }
}
