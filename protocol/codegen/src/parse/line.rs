//! The nom parsers of single lines: words, ranges, literals, attributes.

use crate::ast::{Base, Field, Literal, Spanned, Tag, Type};
use crate::diagnostic::Span;
use crate::range::Range;
use crate::release::Release;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::{char, digit1, hex_digit1};
use nom::combinator::{all_consuming, map, opt, recognize, verify};
use nom::error::{ErrorKind, ParseError};
use nom::sequence::{delimited, pair, preceded};
use nom::{IResult, Parser};

/// A line that could not be read: how much of it was left, how much is marked, and what was
/// expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) remaining: usize,
    pub(super) width: usize,
    pub(super) message: String,
}

impl ParseError<&str> for Fault {
    fn from_error_kind(input: &str, kind: ErrorKind) -> Self {
        let message = format!("cannot be read ({})", kind.description());
        Self { remaining: input.len(), width: 1, message }
    }

    fn append(_: &str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

pub(super) type Parsed<'a, T> = IResult<&'a str, T, Fault>;

/// An unrecoverable fault at the first `width` bytes of `at`.
pub(super) fn fail<T>(at: &str, width: usize, message: impl Into<String>) -> Parsed<'_, T> {
    let fault = Fault { remaining: at.len(), width: width.max(1), message: message.into() };
    Err(nom::Err::Failure(fault))
}

/// One line of a schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    /// How many spaces it starts with.
    pub(super) indent: usize,
    /// All of it.
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    /// What follows the indentation.
    pub(super) fn body(self) -> &'a str {
        &self.text[self.indent..]
    }

    /// The first word.
    pub(super) fn keyword(self) -> &'a str {
        self.body().split(' ').next().unwrap_or("")
    }

    /// The place of `width` bytes that stand `remaining` bytes before the end.
    pub(super) fn span(self, remaining: usize, width: usize) -> Span {
        let start = self.text.len() - remaining;
        let end = self.text.ceil_char_boundary(start + width);
        let chars = |text: &str| text.chars().count();
        Span {
            line: self.number,
            column: chars(&self.text[..start]) + 1,
            width: chars(&self.text[start..end]).max(1),
        }
    }
}

/// A word, up to the next space.
fn word(input: &str) -> Parsed<'_, &str> {
    take_while1(|c| c != ' ').parse(input)
}

/// The next word after at least one space; `what` says what it should have been if the line ends.
fn next_word<'a>(input: &'a str, what: &str) -> Parsed<'a, &'a str> {
    let (rest, _) = take_while(|c| c == ' ').parse(input)?;
    if rest.is_empty() {
        return fail(input, 1, format!("expected {what} here, the line ends"));
    }
    Ok((rest, ""))
}

/// A word that `read` understands, with its place.
pub(super) fn token<'a, T>(
    line: Line<'a>,
    input: &'a str,
    what: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Parsed<'a, Spanned<T>> {
    let (start, _) = next_word(input, what)?;
    let (rest, text) = word(start)?;
    match read(text) {
        Ok(value) => Ok((rest, Spanned { value, span: line.span(start.len(), text.len()) })),
        Err(message) => fail(start, text.len(), message),
    }
}

/// The words that are left, as one text.
pub(super) fn rest_of_line<'a>(
    line: Line<'a>,
    input: &'a str,
    what: &str,
) -> Parsed<'a, Spanned<String>> {
    let (start, _) = next_word(input, what)?;
    let span = line.span(start.len(), start.len());
    Ok(("", Spanned { value: start.to_owned(), span }))
}

/// The end of the line.
pub(super) fn end(input: &str) -> Parsed<'_, ()> {
    let (rest, _) = take_while(|c| c == ' ').parse(input)?;
    if rest.is_empty() {
        Ok((rest, ()))
    } else {
        fail(rest, rest.len(), "expected the line to end")
    }
}

/// Reads a whole text with a parser, or not at all.
fn whole<'a, T>(
    parser: impl Parser<&'a str, Output = T, Error = Fault>,
    text: &'a str,
) -> Option<T> {
    all_consuming(parser).parse(text).ok().map(|(_, value)| value)
}

/// A version, `0` to `32767`.
pub(super) fn version(text: &str) -> Result<i16, String> {
    whole(digit1, text)
        .and_then(|digits: &str| digits.parse().ok())
        .ok_or_else(|| format!("expected a version from 0 to 32767, found `{text}`"))
}

/// A number from -32768 to 32767.
pub(super) fn number(text: &str) -> Result<i16, String> {
    whole(recognize(pair(opt(char('-')), digit1)), text)
        .and_then(|digits: &str| digits.parse().ok())
        .ok_or_else(|| format!("expected a number from -32768 to 32767, found `{text}`"))
}

/// A tag number.
pub(super) fn tag_number(text: &str) -> Result<u32, String> {
    whole(digit1, text)
        .and_then(|digits: &str| digits.parse().ok())
        .ok_or_else(|| format!("expected a tag number, found `{text}`"))
}

enum RangeEnd<'a> {
    Open,
    At(&'a str),
}

/// A version range: `3`, `3-13` or `9+`.
pub(super) fn range(text: &str) -> Result<Range, String> {
    let bad = || format!("expected a version range such as 3, 3-13 or 9+, found `{text}`");
    let end =
        alt((map(char('+'), |_| RangeEnd::Open), map(preceded(char('-'), digit1), RangeEnd::At)));
    let (first, end) = whole(pair(digit1, opt(end)), text).ok_or_else(bad)?;
    let first: i16 = first.parse().map_err(|_| bad())?;
    let last = match end {
        None => Some(first),
        Some(RangeEnd::Open) => None,
        Some(RangeEnd::At(last)) => Some(last.parse().map_err(|_| bad())?),
    };
    match last {
        Some(last) if last < first => {
            Err(format!("the range `{text}` is empty: its last version is below its first"))
        }
        _ => Ok(Range { first, last }),
    }
}

/// A name of the form `CamelCase`.
pub(super) fn name(text: &str) -> Result<String, String> {
    let camel = pair(
        verify(take_while1(|c: char| c.is_ascii_alphanumeric()), |word: &str| {
            word.starts_with(|c: char| c.is_ascii_uppercase())
        }),
        nom::combinator::eof,
    );
    whole(recognize(camel), text)
        .map(str::to_owned)
        .ok_or_else(|| format!("expected a name in CamelCase, found `{text}`"))
}

/// A name of the form `UPPER_CASE`.
pub(super) fn error_name(text: &str) -> Result<String, String> {
    let upper = take_while1(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    whole(upper, text)
        .map(|found: &str| found.to_owned())
        .ok_or_else(|| format!("expected an error name in UPPER_CASE, found `{text}`"))
}

/// Any word.
pub(super) fn any_word(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// A type: a primitive, the name of a struct, or `[]` and one of these.
pub(super) fn field_type(text: &str) -> Result<Type, String> {
    let (base, array) = match text.strip_prefix("[]") {
        Some(base) => (base, true),
        None => (text, false),
    };
    if base.starts_with("[]") {
        return Err(format!("`{text}` is an array of arrays, which the protocol does not have"));
    }
    if let Some((_, primitive)) = Base::PRIMITIVES.iter().find(|(name, _)| *name == base) {
        return Ok(Type { array, base: primitive.clone() });
    }
    match name(base) {
        Ok(name) => Ok(Type { array, base: Base::Struct(name) }),
        Err(_) => {
            let known: Vec<&str> = Base::PRIMITIVES.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "unknown type `{base}`: expected {} or a struct's name in CamelCase",
                known.join(", ")
            ))
        }
    }
}

fn literal_word(text: &str) -> Result<Literal, String> {
    match text {
        "null" => return Ok(Literal::Null),
        "true" => return Ok(Literal::Bool(true)),
        "false" => return Ok(Literal::Bool(false)),
        _ => {}
    }
    let bad = || {
        format!("expected null, true, false, a number or a text in double quotes, found `{text}`")
    };
    if let Some(digits) = whole(preceded(tag("0x"), hex_digit1), text) {
        let value = i64::from_str_radix(digits, 16).map_err(|_| bad())?;
        return Ok(Literal::Int(value, text.to_owned()));
    }
    if let Some(digits) = whole(recognize(pair(opt(char('-')), digit1)), text) {
        let value = digits.parse().map_err(|_| bad())?;
        return Ok(Literal::Int(value, text.to_owned()));
    }
    let float = recognize((opt(char('-')), digit1, char('.'), digit1));
    whole(float, text).map(|found: &str| Literal::Float(found.to_owned())).ok_or_else(bad)
}

/// A literal: `null`, `true`, `-1`, `0x7fffffff`, `0.5`, `"text"`.
pub(super) fn literal<'a>(line: Line<'a>, input: &'a str) -> Parsed<'a, Spanned<Literal>> {
    let (start, _) = next_word(input, "a value")?;
    if !start.starts_with('"') {
        return token(line, input, "a value", literal_word);
    }
    let mut quoted = delimited(char('"'), take_till(|c| c == '"'), char('"'));
    let read: Parsed<'a, &str> = quoted.parse(start);
    match read {
        Ok((rest, _)) if !rest.is_empty() && !rest.starts_with(' ') => {
            fail(rest, 1, "expected a space, or the end of the line, after the text")
        }
        Ok((rest, text)) => {
            let span = line.span(start.len(), text.len() + 2);
            Ok((rest, Spanned { value: Literal::String(text.to_owned()), span }))
        }
        Err(_) => fail(start, start.len(), "the text has no closing double quote"),
    }
}

const ATTRIBUTES: &str =
    "nullable, default, tag, ignorable, key, formerly, entity, inflexible, sensitive or holds";

/// A release, such as `4.3`.
pub(super) fn release<'a>(line: Line<'a>, rest: &'a str) -> Parsed<'a, Spanned<Release>> {
    token(line, rest, "a release, such as 4.3", |text| {
        Release::parse(text).ok_or_else(|| {
            let names: Vec<String> = Release::ALL.iter().map(ToString::to_string).collect();
            format!("unknown release `{text}`: expected {}", names.join(", "))
        })
    })
}

/// A field's line: name, type, versions, attributes.
pub(super) fn field<'a>(line: Line<'a>) -> Parsed<'a, Field> {
    let (rest, name) = token(line, line.body(), "a field's name", name)?;
    let (rest, ty) = token(line, rest, "the field's type", field_type)?;
    let (mut rest, versions) = token(line, rest, "the versions that have the field", range)?;
    let mut field = Field {
        name,
        ty,
        versions,
        nullable: None,
        default: None,
        tag: None,
        ignorable: false,
        key: None,
        entity: None,
        former: None,
        inflexible: None,
        sensitive: None,
        holds: None,
        prose: Vec::new(),
        values: Vec::new(),
        fields: Vec::new(),
    };
    let mut seen: Vec<String> = Vec::new();
    while !rest.trim_start_matches(' ').is_empty() {
        let (after, attribute) = token(line, rest, "an attribute", any_word)?;
        if seen.contains(&attribute.value) {
            let at = rest.trim_start_matches(' ');
            let message = format!("`{}` is written twice", attribute.value);
            return fail(at, attribute.value.len(), message);
        }
        rest = add_attribute(line, &mut field, &attribute, rest, after)?.0;
        seen.push(attribute.value);
    }
    Ok((rest, field))
}

fn add_attribute<'a>(
    line: Line<'a>,
    field: &mut Field,
    attribute: &Spanned<String>,
    before: &'a str,
    after: &'a str,
) -> Parsed<'a, ()> {
    let rest = match attribute.value.as_str() {
        "nullable" => {
            let (rest, versions) = token(line, after, "the versions that may be null", range)?;
            field.nullable = Some(versions);
            rest
        }
        "default" => {
            let (rest, value) = literal(line, after)?;
            field.default = Some(value);
            rest
        }
        "tag" => {
            let (rest, number) = token(line, after, "the tag's number", tag_number)?;
            let (rest, versions) = token(line, rest, "the versions that are tagged", range)?;
            field.tag = Some(Tag { number, versions });
            rest
        }
        "entity" => {
            let (rest, entity) = token(line, after, "what the field identifies", any_word)?;
            field.entity = Some(entity);
            rest
        }
        "formerly" => {
            let (rest, former) = token(line, after, "the field's former name", name)?;
            let (rest, release) = release(line, rest)?;
            field.former = Some((former, release));
            rest
        }
        "holds" => {
            let (rest, holds) = token(line, after, "what the bytes hold", any_word)?;
            field.holds = Some(holds);
            rest
        }
        "ignorable" => {
            field.ignorable = true;
            after
        }
        "key" => {
            field.key = Some(attribute.span);
            after
        }
        "inflexible" => {
            field.inflexible = Some(attribute.span);
            after
        }
        "sensitive" => {
            field.sensitive = Some(attribute.span);
            after
        }
        other => {
            let at = before.trim_start_matches(' ');
            let message = format!("unknown attribute `{other}`: expected {ATTRIBUTES}");
            return fail(at, other.len(), message);
        }
    };
    Ok((rest, ()))
}
