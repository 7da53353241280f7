//! Places in a JSON form, and what operations do there.

use super::Op;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ottla_protocol::records::crc::crc32c;
use ottla_protocol::records::header::{ATTRIBUTES_AT, BATCH_LENGTH_AT, CRC_AT, LENGTH_PREFIX_LEN};
use serde_json::{Number, Value};

/// Applies the operation to all values at a place; how many of them it changed.
pub(crate) fn apply(value: &mut Value, place: &str, op: &Op) -> usize {
    let (step, rest) = match place.split_once('/') {
        Some((step, rest)) => (step, Some(rest)),
        None => (place, None),
    };
    let down = |value: &mut Value| match rest {
        Some(rest) => apply(value, rest, op),
        None => usize::from(changed(value, op)),
    };
    match value {
        Value::Object(fields) => fields.get_mut(step).map_or(0, down),
        Value::Array(elements) => match step {
            "*" => elements.iter_mut().map(down).sum(),
            "last" => elements.last_mut().map_or(0, down),
            _ => step.parse().ok().and_then(|at: usize| elements.get_mut(at)).map_or(0, down),
        },
        _ => 0,
    }
}

/// Changes the value; whether it is another now.
fn changed(value: &mut Value, op: &Op) -> bool {
    let before = value.clone();
    match (op, &mut *value) {
        (Op::Set(other), value) => *value = other.clone(),
        (Op::Add(count), Value::Number(number)) => {
            if let Some(known) = number.as_i64() {
                *number = Number::from(known.wrapping_add(*count));
            }
        }
        (Op::Append, Value::String(text)) => text.push('x'),
        (Op::Not, Value::Bool(holds)) => *holds = !*holds,
        (Op::DropFirst, Value::Array(elements)) if !elements.is_empty() => {
            elements.remove(0);
        }
        (Op::DropLast, Value::Array(elements)) => drop(elements.pop()),
        (Op::Double, Value::Array(elements)) => elements.extend(elements.first().cloned()),
        (Op::Reverse, Value::Array(elements)) => elements.reverse(),
        (Op::Byte(_) | Op::Sealed(_) | Op::Halve, Value::String(text)) => {
            if let Ok(mut bytes) = STANDARD.decode(&*text) {
                change_bytes(&mut bytes, op);
                *text = STANDARD.encode(bytes);
            }
        }
        _ => {}
    }
    *value != before
}

fn change_bytes(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Byte(at) => {
            let from_end = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
            let at = if *at < 0 { bytes.len().wrapping_sub(from_end) } else { from_end };
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1;
            }
        }
        Op::Sealed(at) => seal(bytes, *at),
        _ => bytes.truncate(bytes.len() / 2),
    }
}

/// Changes this byte of every batch of a `records` field that is whole.
fn seal(bytes: &mut [u8], at: usize) {
    let mut rest = bytes;
    while let Some(length) = rest.get(BATCH_LENGTH_AT..BATCH_LENGTH_AT + 4) {
        let length = i32::from_be_bytes(length.try_into().expect("four bytes were taken"));
        let len = usize::try_from(length).unwrap_or(0) + LENGTH_PREFIX_LEN;
        if len <= ATTRIBUTES_AT || len > rest.len() {
            return;
        }
        let (batch, after) = rest.split_at_mut(len);
        if let Some(byte) = batch.get_mut(at) {
            *byte ^= 1;
        }
        let sum = crc32c(&batch[ATTRIBUTES_AT..]).to_be_bytes();
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&sum);
        rest = after;
    }
}
