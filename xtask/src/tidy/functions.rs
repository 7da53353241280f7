//! Lines per function.

use super::{File, Finding};
use crate::parity::braces::{Language, without_literals};

const FUNCTION_LINES: usize = 70;

pub(super) fn check(file: &File) -> Vec<Finding> {
    if file.is_generated() {
        return Vec::new();
    }
    let code = if file.is(&["rs"]) {
        code_only(&file.text)
    } else if file.is(&["swift"]) {
        without_literals(&file.text, Language::Swift, true)
    } else if file.is(&["js", "cjs", "mjs", "ts", "cts", "mts"]) {
        without_literals(&file.text, Language::TypeScript, true)
    } else if file.is(&["py"]) {
        file.text.clone()
    } else {
        return Vec::new();
    };
    let lines: Vec<&str> = code.lines().collect();
    let mut findings = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let found = if file.is(&["py"]) {
            python_name(line).zip(python_lines(&lines[index..]))
        } else if file.is(&["rs"]) {
            function_name(line, "fn ").zip(body_lines(&lines[index..]))
        } else if file.is(&["swift"]) {
            function_name(line, "func ").zip(body_lines(&lines[index..]))
        } else {
            script_name(line).zip(body_lines(&lines[index..]))
        };
        let Some((name, count)) = found else { continue };
        if count > FUNCTION_LINES {
            let message = format!("`{name}` has {count} lines, {FUNCTION_LINES} at most");
            findings.push(Finding::new("long-function", &file.path, index + 1, message));
        }
    }
    findings
}

/// `def name(` and `async def name(`.
fn python_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ")?;
    rest.split('(').next()
}

/// Lines to the last that is indented more than the first, whatever stands between.
fn python_lines(lines: &[&str]) -> Option<usize> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let first = indent(lines.first()?);
    let is_inside = |line: &&str| {
        // The end of a signature over several lines stands where `def` does.
        line.trim().is_empty() || indent(line) > first || line.trim_start().starts_with(')')
    };
    let count = 1 + lines[1..].iter().take_while(|line| is_inside(line)).count();
    let blank = lines[..count].iter().rev().take_while(|line| line.trim().is_empty()).count();
    Some(count - blank)
}

/// `function name(` and a method, `async name(...) {`.
fn script_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["export ", "default ", "static ", "async ", "get ", "set ", "function ", "#"] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let rest = rest.trim_start_matches(['*', ' ']);
    let name = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')?];
    let control = ["if", "for", "while", "switch", "catch", "return", "with"].contains(&name);
    let is_head = rest[name.len()..].starts_with('(') && line.trim_end().ends_with('{');
    // A call whose last argument is a function's body is no function's head.
    let is_call = line.contains("=>") || line.trim_start().starts_with("await ");
    (!name.is_empty() && !control && is_head && !is_call).then_some(name)
}

fn function_name<'l>(line: &'l str, keyword: &str) -> Option<&'l str> {
    let (before, after) = line.split_once(keyword)?;
    let is_item = before.split_whitespace().all(|word| {
        word.starts_with("pub")
            || word.ends_with(')')
            || matches!(word, "async" | "const" | "unsafe" | "extern" | "default")
            || matches!(word, "static" | "private" | "override" | "mutating" | "nonisolated")
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
    fn other_languages_functions_are_counted() {
        let count = |path: &str, text: String| {
            let file = File { path: path.to_owned(), text };
            check(&file).into_iter().map(|finding| finding.message).collect::<Vec<_>>()
        };
        let long = |name: &str| vec![format!("`{name}` has 71 lines, 70 at most")];
        let body = |line: &str, lines: usize| format!("    {line}\n").repeat(lines);
        let python =
            |lines| format!("async def f(\n    a: int,\n) -> None:\n{}x()\n", body("a", lines));
        assert_eq!(count("a.py", python(68)), long("f"));
        assert_eq!(count("a.py", python(67)), [""; 0]);
        let swift = format!("public func g() {{\n{}}}\n", body("\"}\" // }", 69));
        assert_eq!(count("a.swift", swift), long("g"));
        let method = format!("class A {{\n  async m(a) {{\n{}  }}\n}}\n", body("'}'", 69));
        assert_eq!(count("a.mjs", method), long("m"));
        let tests = format!("describe('x', () => {{\n{}}});\n", body("a", 90));
        assert_eq!(count("a.mjs", tests), [""; 0]);
    }

    #[test]
    fn function_without_a_body_has_no_length() {
        let rest = "x\n".repeat(100);
        assert_eq!(findings(format!("trait T {{\n fn f(a: [u8; 2]);\n{rest}}}\n")), []);
    }
}
