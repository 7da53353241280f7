//! What was otherwise in earlier releases: `before 4.1 Topics.Name ignorable`.

use super::keyword;
use super::line::{Line, Parsed, any_word, end, fail, field_type, literal, name, release, token};
use crate::ast::{Before, Spanned, Was};

const EXPECTED: &str = "absent, type, default, ignorable, key, not or entity";

pub(super) fn before<'a>(line: Line<'a>) -> Parsed<'a, Before> {
    let (rest, release) = release(line, keyword(line))?;
    let (rest, path) = token(line, rest, "the field's path, such as Topics.Name", path)?;
    let (rest, was) = was(line, rest)?;
    let (rest, ()) = end(rest)?;
    Ok((rest, Before { release, path, was }))
}

fn path(text: &str) -> Result<Vec<String>, String> {
    text.split('.').map(name).collect()
}

fn was<'a>(line: Line<'a>, before: &'a str) -> Parsed<'a, Spanned<Was>> {
    let (rest, word) = token(line, before, EXPECTED, any_word)?;
    let was = match word.value.as_str() {
        "absent" => Was::Absent,
        "ignorable" => Was::Ignorable(true),
        "key" => Was::Key(true),
        "not" => {
            return token(line, rest, "ignorable or key", |text| match text {
                "ignorable" => Ok(Was::Ignorable(false)),
                "key" => Ok(Was::Key(false)),
                _ => Err(format!("expected ignorable or key, found `{text}`")),
            });
        }
        "type" => {
            let read = |text: &str| field_type(text).map(Was::Type);
            return token(line, rest, "the type that it had", read);
        }
        "default" => {
            let (rest, Spanned { value, span }) = literal(line, rest)?;
            return Ok((rest, Spanned { value: Was::Default(value), span }));
        }
        "entity" => {
            let read = |text: &str| Ok(Was::Entity((text != "none").then(|| text.to_owned())));
            return token(line, rest, "what it identified, or none", read);
        }
        other => {
            let at = before.trim_start_matches(' ');
            return fail(at, other.len(), format!("expected {EXPECTED}, found `{other}`"));
        }
    };
    Ok((rest, Spanned { value: was, span: word.span }))
}
