//! What is wrong with a schema, and where.

use std::fmt;

/// A place in a schema file: one stretch of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The line, from 1.
    pub line: usize,
    /// The first column, from 1, in characters.
    pub column: usize,
    /// How many characters; at least 1.
    pub width: usize,
}

/// One finding, with the line that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The rule of `GRAMMAR.md` that is broken: `S3`; `syntax` where the line cannot be read.
    pub rule: &'static str,
    /// The file, as it was named to the parser.
    pub file: String,
    /// Where in the file.
    pub span: Span,
    /// The text of the line.
    pub text: String,
    /// What is wrong, and what is expected instead.
    pub message: String,
}

impl Diagnostic {
    /// A finding at a place of `source`.
    pub fn new(
        rule: &'static str,
        file: &str,
        source: &str,
        span: Span,
        message: impl Into<String>,
    ) -> Self {
        let text = source.lines().nth(span.line.saturating_sub(1)).unwrap_or("").to_owned();
        Self { rule, file: file.to_owned(), span, text, message: message.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { line, column, width } = self.span;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "error[{}]: {}", self.rule, self.message)?;
        writeln!(f, "{margin}--> {}:{line}:{column}", self.file)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.text)?;
        let indent = " ".repeat(column.saturating_sub(1));
        write!(f, "{margin} | {indent}{}", "^".repeat(width.max(1)))
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let source = "first\n  Acks  strng  0+\n";
        let span = Span { line: 2, column: 9, width: 5 };
        let shown = Diagnostic::new("S1", "a.schema", source, span, "unknown type").to_string();
        let expected = "error[S1]: unknown type\n --> a.schema:2:9\n  |\n\
                        2 |   Acks  strng  0+\n  |         ^^^^^";
        assert_eq!(shown, expected);
    }
}
