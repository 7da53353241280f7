//! Prose as documentation comments.

/// How wide a line of prose may be, without its indentation and `/// `.
const WIDTH: usize = 90;

/// Prose lines as paragraphs and list entries, each one text; an empty text is a break between
/// paragraphs.
pub(super) fn paragraphs(lines: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for line in lines {
        let starts = line.is_empty() || line.starts_with("- ");
        match out.last_mut() {
            Some(last) if !starts && !last.is_empty() => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => out.push(line.clone()),
        }
    }
    out
}

/// All prose as one text.
pub(super) fn flat(lines: &[String]) -> String {
    paragraphs(lines).into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Breaks one text into lines; those after the first begin with `hang`.
pub(super) fn wrap(text: &str, width: usize, hang: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.trim_start().is_empty() && line.chars().count() + 1 + word.chars().count() > width
        {
            lines.push(std::mem::replace(&mut line, hang.to_owned()));
            line.push_str(word);
            continue;
        }
        if !line.trim_start().is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Writes prose with `mark` (`///` or `//!`) in front of each line.
pub(super) fn doc(out: &mut String, mark: &str, indent: &str, lines: &[String]) {
    for paragraph in paragraphs(lines) {
        if paragraph.is_empty() {
            out.push_str(&format!("{indent}{mark}\n"));
            continue;
        }
        let hang = if paragraph.starts_with("- ") { "  " } else { "" };
        for line in wrap(&paragraph, WIDTH, hang) {
            out.push_str(&format!("{indent}{mark} {line}\n"));
        }
    }
}

/// A string literal that is broken over lines where it is long.
pub(super) fn literal(text: &str, indent: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    wrap(&escaped, 76, "").join(&format!(" \\\n{indent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn lines_join_to_paragraphs_and_lists_stay_apart() {
        let prose = lines(&["one", "two", "", "three", "- a", "  b", "- c"]);
        assert_eq!(paragraphs(&prose), ["one two", "", "three", "- a b", "- c"]);
        assert_eq!(flat(&lines(&["one", "", "two"])), "one two");
    }

    #[test]
    fn long_texts_are_wrapped_between_words() {
        assert_eq!(wrap("aaa bbb ccc", 7, ""), ["aaa bbb", "ccc"]);
        assert_eq!(wrap("- aaa bbb", 6, "  "), ["- aaa", "  bbb"]);
        assert_eq!(wrap("aaaaaaaaaa", 3, ""), ["aaaaaaaaaa"]);
    }
}
