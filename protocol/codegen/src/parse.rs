//! From the text of a schema file to its [`Schema`].
//!
//! Lines are read by the nom parsers of `line`; this module puts them together by indentation. It
//! stops at the first line that it cannot read. The grammar is in `protocol/schemas/GRAMMAR.md`.

mod api;
mod before;
mod line;
mod message;

use crate::ast::{Direction, ErrorCode, HeaderCondition, HeaderVersion, Item, Schema, Spanned};
use crate::ast::{Kind, VersionNote};
use crate::diagnostic::{Diagnostic, Span};
use line::{Line, Parsed, any_word, end, error_name, number, token, version};

/// Reads a schema file.
pub fn parse(file: &str, source: &str) -> Result<Schema, Diagnostic> {
    let lines = split(file, source)?;
    let mut parser = Parser { file, source, lines, at: 0 };
    let prose = parser.prose(0);
    let mut items = Vec::new();
    while let Some(line) = parser.peek() {
        items.push(parser.item(line)?);
    }
    Ok(Schema { file: file.to_owned(), source: source.to_owned(), prose, items })
}

/// The lines that say something, with their indentation; blank lines and comments (`#`) are left
/// out.
fn split<'a>(file: &str, source: &'a str) -> Result<Vec<Line<'a>>, Diagnostic> {
    let mut lines = Vec::new();
    for (index, text) in source.lines().enumerate() {
        let indent = text.len() - text.trim_start_matches(' ').len();
        let line = Line { number: index + 1, indent, text };
        let wrong = |from: usize, width: usize, message: &str| {
            Err(Diagnostic::new(
                "syntax",
                file,
                source,
                line.span(text.len() - from, width),
                message,
            ))
        };
        if let Some(at) = text.find('\t') {
            return wrong(at, 1, "a tab: indent and separate with spaces");
        }
        let kept = text.trim_end_matches(' ').len();
        if kept < text.len() {
            return wrong(kept, text.len() - kept, "spaces at the end of the line: remove them");
        }
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if indent % 2 == 1 {
            return wrong(0, indent, "an odd indentation: each level is two spaces");
        }
        lines.push(line);
    }
    Ok(lines)
}

/// Walks over the lines.
struct Parser<'a> {
    file: &'a str,
    source: &'a str,
    lines: Vec<Line<'a>>,
    at: usize,
}

type Outcome<T> = Result<T, Diagnostic>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Line<'a>> {
        self.lines.get(self.at).copied()
    }

    /// The next line, if it stands at this indentation.
    fn peek_at(&self, indent: usize) -> Option<Line<'a>> {
        self.peek().filter(|line| line.indent == indent)
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn error<T>(&self, span: Span, message: impl Into<String>) -> Outcome<T> {
        Err(Diagnostic::new("syntax", self.file, self.source, span, message))
    }

    /// Refuses a whole line.
    fn refuse<T>(&self, line: Line<'_>, message: impl Into<String>) -> Outcome<T> {
        let body = line.body();
        self.error(line.span(body.len(), body.len()), message)
    }

    /// Turns what a line parser gave into a value or a finding.
    fn take<T>(&self, line: Line<'_>, parsed: Parsed<'_, T>) -> Outcome<T> {
        match parsed {
            Ok((_, value)) => Ok(value),
            Err(nom::Err::Failure(fault) | nom::Err::Error(fault)) => {
                self.error(line.span(fault.remaining, fault.width), fault.message)
            }
            Err(nom::Err::Incomplete(_)) => self.refuse(line, "the line ends too early"),
        }
    }

    /// The lines that begin with `|` at this indentation.
    fn prose(&mut self, indent: usize) -> Vec<String> {
        self.marked(indent, '|')
    }

    fn marked(&mut self, indent: usize, mark: char) -> Vec<String> {
        let mut prose = Vec::new();
        while let Some(line) = self.peek_at(indent) {
            let Some(text) = line.body().strip_prefix(mark) else { break };
            prose.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
            self.advance();
        }
        prose
    }

    fn item(&mut self, line: Line<'a>) -> Outcome<Item> {
        if line.indent > 0 {
            return self.refuse(line, "an indented line that belongs to nothing above it");
        }
        let kind = match line.keyword() {
            "api" => return self.api(line).map(|api| Item::Api(Box::new(api))),
            "error" => return self.error_code(line).map(|code| Item::Error(Box::new(code))),
            "header-version" => return self.header_version(line).map(Item::HeaderVersion),
            "header" => Kind::Header,
            "data" => Kind::Data,
            "coordinator-key" => Kind::CoordinatorKey,
            "coordinator-value" => Kind::CoordinatorValue,
            "metadata" => Kind::Metadata,
            "|" => {
                return self
                    .refuse(line, "prose that describes nothing: put it below a definition");
            }
            other => {
                let span = line.span(line.body().len(), other.len());
                let message = format!(
                    "unknown definition `{other}`: expected api, header, header-version, data, \
                     coordinator-key, coordinator-value, metadata or error"
                );
                return self.error(span, message);
            }
        };
        self.message(line, kind).map(|message| Item::Message(Box::new(message)))
    }

    fn error_code(&mut self, line: Line<'a>) -> Outcome<ErrorCode> {
        let parsed = self.take(line, error_line(line))?;
        self.advance();
        let prose = self.prose(0);
        let advice = self.marked(0, '>');
        let (code, name, retriable, refresh_metadata) = parsed;
        Ok(ErrorCode { code, name, retriable, refresh_metadata, prose, advice })
    }

    fn header_version(&mut self, line: Line<'a>) -> Outcome<HeaderVersion> {
        let (direction, version, condition) = self.take(line, header_version_line(line))?;
        self.advance();
        Ok(HeaderVersion { direction, version, condition, prose: self.prose(0) })
    }

    /// `version N [sources]` lines with their prose.
    fn version_notes(&mut self) -> Outcome<Vec<VersionNote>> {
        let mut notes = Vec::new();
        while let Some(line) = self.peek_at(0).filter(|line| line.keyword() == "version") {
            let (version, sources) = self.take(line, version_line(line))?;
            self.advance();
            notes.push(VersionNote { version, sources, prose: self.prose(0) });
        }
        Ok(notes)
    }
}

fn keyword<'a>(line: Line<'a>) -> &'a str {
    &line.body()[line.keyword().len()..]
}

type ErrorLine = (Spanned<i16>, Spanned<String>, bool, bool);

fn error_line<'a>(line: Line<'a>) -> Parsed<'a, ErrorLine> {
    let (rest, code) = token(line, keyword(line), "the error's number", number)?;
    let (mut rest, name) = token(line, rest, "the error's name", error_name)?;
    let (mut retriable, mut refresh) = (false, false);
    while !rest.is_empty() {
        let flag = |text: &str| match text {
            "retriable" | "refresh-metadata" => Ok(text == "retriable"),
            _ => Err(format!("unknown property `{text}`: expected retriable or refresh-metadata")),
        };
        let (after, found) = token(line, rest, "retriable or refresh-metadata", flag)?;
        if found.value {
            retriable = true;
        } else {
            refresh = true;
        }
        rest = after;
    }
    Ok((rest, (code, name, retriable, refresh)))
}

type HeaderLine = (Spanned<Direction>, Spanned<i16>, Spanned<HeaderCondition>);

fn header_version_line<'a>(line: Line<'a>) -> Parsed<'a, HeaderLine> {
    let direction = |text: &str| match text {
        "request" => Ok(Direction::Request),
        "response" => Ok(Direction::Response),
        _ => Err(format!("expected request or response, found `{text}`")),
    };
    let condition = |text: &str| {
        Ok(match text {
            "flexible" => HeaderCondition::Flexible,
            "otherwise" => HeaderCondition::Otherwise,
            api => HeaderCondition::Api(line::name(api)?, None),
        })
    };
    let (rest, direction) = token(line, keyword(line), "request or response", direction)?;
    let (rest, version) = token(line, rest, "the header's version", version)?;
    let (mut rest, mut condition) =
        token(line, rest, "flexible, otherwise or an API's name", condition)?;
    if let (HeaderCondition::Api(_, versions), false) = (&mut condition.value, rest.is_empty()) {
        let (after, read) = token(line, rest, "a version range", line::range)?;
        (*versions, rest) = (Some(read.value), after);
    }
    let (rest, ()) = end(rest)?;
    Ok((rest, (direction, version, condition)))
}

fn version_line<'a>(line: Line<'a>) -> Parsed<'a, (Spanned<i16>, Vec<String>)> {
    let (mut rest, version) = token(line, keyword(line), "a version", version)?;
    let mut sources = Vec::new();
    while !rest.is_empty() {
        let (after, source) = token(line, rest, "a proposal or ticket", |text| {
            let (project, digits) = text.split_once('-').unwrap_or((text, ""));
            let known = matches!(project, "KIP" | "KAFKA");
            if known && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                any_word(text)
            } else {
                Err(format!("expected a source such as KIP-482 or KAFKA-9577, found `{text}`"))
            }
        })?;
        sources.push(source.value);
        rest = after;
    }
    Ok((rest, (version, sources)))
}

#[cfg(test)]
mod tests;
