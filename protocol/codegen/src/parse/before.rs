//! What was otherwise in earlier releases: `before 4.1 Topics.Name ignorable`.

use super::keyword;
use super::line::{Line, Parsed, any_word, end, fail, field_type, literal, name, release, token};
use crate::ast::{Before, Was};

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

fn was<'a>(line: Line<'a>, before: &'a str) -> Parsed<'a, Was> {
    let (rest, word) = token(line, before, EXPECTED, any_word)?;
    let was = match word.value.as_str() {
        "absent" => Was::Absent,
        "ignorable" => Was::Ignorable(true),
        "key" => Was::Key(true),
        "not" => {
            let (rest, of) = token(line, rest, "ignorable or key", |text| match text {
                "ignorable" => Ok(Was::Ignorable(false)),
                "key" => Ok(Was::Key(false)),
                _ => Err(format!("expected ignorable or key, found `{text}`")),
            })?;
            return Ok((rest, of.value));
        }
        "type" => {
            let (rest, ty) = token(line, rest, "the type that it had", field_type)?;
            return Ok((rest, Was::Type(ty.value)));
        }
        "default" => {
            let (rest, default) = literal(line, rest)?;
            return Ok((rest, Was::Default(default.value)));
        }
        "entity" => {
            let (rest, entity) = token(line, rest, "what it identified, or none", any_word)?;
            let entity = Some(entity.value).filter(|entity| entity != "none");
            return Ok((rest, Was::Entity(entity)));
        }
        other => {
            let at = before.trim_start_matches(' ');
            return fail(at, other.len(), format!("expected {EXPECTED}, found `{other}`"));
        }
    };
    Ok((rest, was))
}
