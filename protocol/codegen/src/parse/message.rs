//! Messages, structs and fields.

use super::line::{self, Line, Parsed, end, field, literal, name, number, range, token};
use super::{Outcome, Parser, before, keyword};
use crate::ast::{CommonStruct, Field, Kind, Literal, Message, Spanned, ValueNote};
use crate::range::Range;

/// What stands on a message's first line.
struct Head {
    name: Option<Spanned<String>>,
    number: Option<Spanned<i16>>,
    versions: Spanned<Range>,
    flexible: Option<Spanned<Range>>,
}

/// `data NAME [type N] versions R [flexible R]`; `named` is false for `request` and `response`.
fn head<'a>(line: Line<'a>, named: bool) -> Parsed<'a, Head> {
    let mut rest = keyword(line);
    let mut found = None;
    if named {
        let (after, read) = token(line, rest, "the message's name", name)?;
        (rest, found) = (after, Some(read));
    }
    let (mut number_found, mut versions, mut flexible) = (None, None, None);
    while !rest.is_empty() {
        let (after, word) = token(line, rest, "type, versions or flexible", |text| match text {
            "type" | "versions" | "flexible" => line::any_word(text),
            _ => Err(format!("expected type, versions or flexible, found `{text}`")),
        })?;
        let slot = match word.value.as_str() {
            "type" => {
                if number_found.is_some() {
                    return twice(rest, &word.value);
                }
                let (after, read) = token(line, after, "the record's type number", number)?;
                number_found = Some(read);
                rest = after;
                continue;
            }
            "versions" => &mut versions,
            _ => &mut flexible,
        };
        if slot.is_some() {
            return twice(rest, &word.value);
        }
        let (after, read) = token(line, after, "a version range", range)?;
        *slot = Some(read);
        rest = after;
    }
    let Some(versions) = versions else {
        return line::fail(rest, 1, "expected `versions` and a version range");
    };
    Ok((rest, Head { name: found, number: number_found, versions, flexible }))
}

/// Refuses a word that comes again.
fn twice<'a, T>(rest: &'a str, word: &str) -> Parsed<'a, T> {
    line::fail(rest.trim_start_matches(' '), word.len(), format!("`{word}` is written twice"))
}

fn struct_head<'a>(line: Line<'a>) -> Parsed<'a, (Spanned<String>, Spanned<Range>)> {
    let (rest, name) = token(line, keyword(line), "the struct's name", name)?;
    let (rest, versions) = token(line, rest, "the versions that have the struct", range)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, (name, versions)))
}

fn value_line<'a>(line: Line<'a>) -> Parsed<'a, (Spanned<Literal>, Spanned<String>)> {
    let (rest, value) = literal(line, keyword(line))?;
    let (rest, text) = line::rest_of_line(line, rest, "the value's meaning")?;
    Ok((rest, (value, text)))
}

impl<'a> Parser<'a> {
    /// A message that has a name of its own.
    pub(super) fn message(&mut self, line: Line<'a>, kind: Kind) -> Outcome<Message> {
        let head = self.take(line, head(line, true))?;
        let name = head.name.clone().expect("a named head has a name");
        self.advance();
        self.message_body(kind, name, head)
    }

    /// `request` or `response` of an API; its name follows from the API's.
    pub(super) fn half(&mut self, line: Line<'a>, kind: Kind, api: &str) -> Outcome<Message> {
        let head = self.take(line, head(line, false))?;
        let suffix = if kind == Kind::Request { "Request" } else { "Response" };
        let body = line.body();
        let span = line.span(body.len(), line.keyword().len());
        self.advance();
        self.message_body(kind, Spanned { value: format!("{api}{suffix}"), span }, head)
    }

    fn message_body(&mut self, kind: Kind, name: Spanned<String>, head: Head) -> Outcome<Message> {
        let prose = self.prose(0);
        let (mut lifetimes, mut former, mut notes) = (Vec::new(), None, Vec::new());
        let is_half = matches!(kind, Kind::Request | Kind::Response);
        if !is_half {
            while let Some(line) =
                self.peek_at(0).filter(|line| matches!(line.keyword(), "since" | "until"))
            {
                lifetimes.push(self.take(line, super::api::lifetime(line))?);
                self.advance();
            }
            if let Some(line) = self.peek_at(0).filter(|line| line.keyword() == "formerly") {
                former = Some(self.take(line, super::api::former(line))?);
                self.advance();
            }
        }
        let mut before = Vec::new();
        while let Some(line) = self.peek_at(0).filter(|line| line.keyword() == "before") {
            before.push(self.take(line, before::before(line))?);
            self.advance();
        }
        if !is_half {
            notes = self.version_notes()?;
        }
        let fields = self.fields(2)?;
        let structs = self.structs()?;
        let Head { number, versions, flexible, .. } = head;
        let message = Message {
            kind,
            name,
            number,
            versions,
            flexible,
            prose,
            lifetimes,
            former,
            before,
            notes,
            fields,
            structs,
        };
        Ok(message)
    }

    fn structs(&mut self) -> Outcome<Vec<CommonStruct>> {
        let mut structs = Vec::new();
        while let Some(line) = self.peek_at(2).filter(|line| line.keyword() == "struct") {
            let (name, versions) = self.take(line, struct_head(line))?;
            self.advance();
            let prose = self.prose(2);
            let fields = self.fields(4)?;
            structs.push(CommonStruct { name, versions, prose, fields });
        }
        match self.peek() {
            Some(line) if line.indent > 0 => self.refuse_indented(line),
            _ => Ok(structs),
        }
    }

    /// A line below a message that is neither a field nor a struct.
    fn refuse_indented<T>(&self, line: Line<'_>) -> Outcome<T> {
        match line.keyword() {
            "|" => self.refuse(line, "prose at another indentation than what it describes"),
            "struct" => self.refuse(line, "a struct is indented by two spaces, after all fields"),
            word if word.starts_with(|c: char| c.is_ascii_uppercase()) => self.refuse(
                line,
                "a field at an indentation that does not fit: members stand two spaces deeper \
                 than their struct",
            ),
            _ => self.refuse(line, "expected a field, which begins with its name in CamelCase"),
        }
    }

    fn fields(&mut self, indent: usize) -> Outcome<Vec<Field>> {
        let mut fields = Vec::new();
        while let Some(line) = self.peek_at(indent) {
            if !line.body().starts_with(|c: char| c.is_ascii_uppercase()) {
                if line.keyword() == "struct" && indent == 2 {
                    break;
                }
                return self.refuse_indented(line);
            }
            let mut read = self.take(line, field(line))?;
            self.advance();
            read.prose = self.prose(indent);
            read.values = self.values(indent)?;
            read.fields = self.fields(indent + 2)?;
            fields.push(read);
        }
        Ok(fields)
    }

    fn values(&mut self, indent: usize) -> Outcome<Vec<ValueNote>> {
        let mut values = Vec::new();
        while let Some(line) = self.peek_at(indent).filter(|line| line.keyword() == "=") {
            let (value, text) = self.take(line, value_line(line))?;
            self.advance();
            let mut prose = text.value;
            for more in self.prose(indent) {
                prose.push(' ');
                prose.push_str(&more);
            }
            values.push(ValueNote { value, prose });
        }
        Ok(values)
    }
}
