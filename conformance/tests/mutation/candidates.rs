//! What can be done to answers, in the order in which it is tried.

use super::meddler::Answered;
use super::{Change, FrameOp, Mutation, Op, Selector, place};
use crate::relay::{Asked, encoded};
use ottla_protocol::messages::{ApiKey, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many changes of each single answer are tried before those of other APIs.
const HEAD: usize = 4;

/// Every mutation of a test's answers: first those of the API that it is about, all answers at once
/// and then single ones, the last first, for what comes first prepares the test; then the others'.
/// Whole frames are the last.
pub(crate) fn of(answers: &[Answered], about: Option<ApiKey>) -> Vec<Mutation> {
    let mut apis: Vec<ApiKey> = Vec::new();
    for answer in answers.iter().rev() {
        if !apis.contains(&answer.api) {
            apis.push(answer.api);
        }
    }
    apis.sort_by_key(|api| Some(*api) != about);
    let (first, others) = apis.split_at(apis.len().min(1));
    let mut found = together(answers, first);
    found.extend(single(answers, first, false, 0..HEAD));
    found.extend(together(answers, others));
    found.extend(frames_together(&apis));
    found.extend(single(answers, others, false, 0..HEAD));
    for indices in [false, true] {
        found.extend(single(answers, &apis, indices, 0..usize::MAX));
    }
    found.extend(frames(answers));
    let mut seen = BTreeSet::new();
    found.retain(|mutation| seen.insert(mutation.to_string()));
    found
}

fn together(answers: &[Answered], apis: &[ApiKey]) -> Vec<Mutation> {
    let mut found = Vec::new();
    for api in apis {
        let of_it: Vec<&Answered> = answers.iter().filter(|answer| answer.api == *api).collect();
        // Long tests ask the same over and over.
        for answer in of_it.iter().rev().take(10).chain(of_it.first()) {
            let selector = Selector::Answers(Some(*api), None);
            let change = |change| Mutation { selector, change };
            found.extend(changes(answer, false).into_iter().map(change));
        }
    }
    found
}

fn single(
    answers: &[Answered],
    apis: &[ApiKey],
    indices: bool,
    which: std::ops::Range<usize>,
) -> Vec<Mutation> {
    let mut found = Vec::new();
    for answer in answers.iter().rev().filter(|answer| apis.contains(&answer.api)) {
        let selector = Selector::Answers(Some(answer.api), Some(answer.number));
        let some = changes(answer, indices).into_iter().skip(which.start).take(which.len());
        found.extend(some.map(|change| Mutation { selector, change }));
    }
    found
}

fn on_frame(api: Option<ApiKey>, number: Option<usize>, op: FrameOp) -> Mutation {
    Mutation { selector: Selector::Answers(api, number), change: Change::Frame(op) }
}

fn frames_together(apis: &[ApiKey]) -> Vec<Mutation> {
    use FrameOp::{
        Close, CloseAfter, Cut, Early, Id, Longer, StaysOpen, Swap, TagIn, TagOut, Twice,
    };
    let mut found = Vec::new();
    for op in [Id, TagIn, TagOut, Cut, Longer, Twice, Swap, Close, CloseAfter, Early] {
        found.extend(apis.iter().map(|api| on_frame(Some(*api), None, op)));
    }
    found.extend([StaysOpen, Early].map(|op| on_frame(None, None, op)));
    found
}

fn frames(answers: &[Answered]) -> Vec<Mutation> {
    use FrameOp::{Close, CloseAfter, Early, Id, Never, Twice};
    let mut found = Vec::new();
    for op in [Id, Twice, Early, Close, CloseAfter, Never] {
        let single = |answer: &Answered| on_frame(Some(answer.api), Some(answer.number), op);
        found.extend(answers.iter().rev().map(single));
    }
    found
}

/// Mutations of what the target says of itself, by what it said.
pub(crate) fn of_the_target(answers: &[Answered]) -> Vec<Mutation> {
    let Some(answer) = answers.last() else { return Vec::new() };
    let mut found = Vec::new();
    for indices in [false, true] {
        let mutation = |change| Mutation { selector: Selector::Target, change };
        found.extend(changes(answer, indices).into_iter().map(mutation));
    }
    // Keys that only controllers serve.
    let key = Op::Set(json!(62));
    let change = Change::Place("apiKeys/last/apiKey".to_owned(), key);
    found.push(Mutation { selector: Selector::Target, change });
    found
}

/// What can be done to this answer so that it can still be written, and is another.
fn changes(answer: &Answered, indices: bool) -> Vec<Change> {
    let mut places = Vec::new();
    places_of(&answer.json, String::new(), indices, &mut places);
    // What every answer has is tried in the end.
    places.sort_by_key(|(place, _)| weight(place));
    let mut found = Vec::new();
    for (place, value) in places {
        for op in ops(&place, &value) {
            if applied(answer, &place, &op).is_some() {
                let change = Change::Place(place.clone(), op);
                if !found.contains(&change) {
                    found.push(change);
                }
            }
        }
    }
    found
}

fn weight(place: &str) -> usize {
    match place.rsplit('/').next() {
        Some("errorCode") => 0,
        Some("throttleTimeMs") => 3,
        Some("errorMessage") => 2,
        _ => 1,
    }
}

/// The frame of an answer that was changed; `None` where it cannot be written or is the same.
pub(crate) fn applied(answer: &Answered, place: &str, op: &Op) -> Option<Vec<u8>> {
    let mut json = answer.json.clone();
    if place::apply(&mut json, place, op) == 0 {
        return None;
    }
    let changed = Response::from_json(answer.api, answer.version, &json).ok()?;
    let (api, version) = (Some(answer.api), answer.version);
    let asked = Asked { correlation_id: answer.correlation_id, api, version, number: 0 };
    encoded(&asked, &changed)
}

fn places_of(value: &Value, at: String, indices: bool, found: &mut Vec<(String, Value)>) {
    let below = |step: &str| if at.is_empty() { step.to_owned() } else { format!("{at}/{step}") };
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| places_of(value, below(name), indices, found));
        }
        Value::Array(elements) => {
            found.push((at.clone(), value.clone()));
            match (&elements[..], indices) {
                ([], _) => {}
                ([first, .., last], true) => {
                    places_of(first, below("0"), indices, found);
                    places_of(last, below("last"), indices, found);
                }
                (all, _) => {
                    all.iter().for_each(|value| places_of(value, below("*"), indices, found));
                }
            }
        }
        _ if !found.contains(&(at.clone(), value.clone())) => found.push((at, value.clone())),
        _ => {}
    }
}

/// An id that nothing has.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

fn ops(place: &str, value: &Value) -> Vec<Op> {
    let set = |value: Value| Op::Set(value);
    match value {
        // Nobody else's port, and no name that somebody would have to be asked for.
        Value::Number(_) if place.ends_with("port") => vec![set(json!(0)), set(json!(-1))],
        Value::String(_) if place.ends_with("host") => {
            vec![set(json!("")), set(json!("127.0.0.2"))]
        }
        // INVALID_REQUEST and UNKNOWN_SERVER_ERROR pass in no test's eyes.
        Value::Number(_) if place.ends_with("errorCode") => {
            vec![set(json!(0)), set(json!(42)), set(json!(-1))]
        }
        Value::Number(_) => vec![
            Op::Add(1),
            Op::Add(-1),
            set(json!(0)),
            set(json!(-1)),
            set(json!(99)),
            Op::Add(1_000_000),
        ],
        Value::Bool(_) => vec![Op::Not],
        Value::Null => vec![set(json!("x")), set(json!("")), set(json!([])), set(json!("AAAA"))],
        // An element of defaults.
        Value::Array(elements) if elements.is_empty() => vec![set(json!([{}])), null()],
        Value::Array(_) => {
            vec![set(json!([])), Op::DropLast, Op::DropFirst, Op::Double, Op::Reverse, null()]
        }
        Value::String(_) if place.ends_with("records") => {
            let mut all = vec![Op::Byte(-1), set(json!("")), null(), Op::Halve];
            all.extend([7, 11, 15, 16, 20].map(Op::Byte));
            all.extend([22, 26, 34, 42, 50, 52, 56, 60].map(Op::Sealed));
            all
        }
        // Settings are numbers in words.
        Value::String(text) if text.parse::<i64>().is_ok() => {
            vec![set(json!("2")), set(json!("3000")), set(json!("")), Op::Append, null()]
        }
        Value::String(_) => vec![
            set(json!("")),
            Op::Append,
            null(),
            set(json!(NO_ID)),
            set(json!("AAAAAAAAAAAAAAAAAAAAAA")),
            Op::Byte(0),
            Op::Byte(-1),
            Op::Halve,
        ],
        Value::Object(_) => Vec::new(),
    }
}

fn null() -> Op {
    Op::Set(Value::Null)
}

/// One of the changes of an answer, by a number.
pub(crate) fn one_of(answer: &Answered, number: u64) -> Option<Vec<u8>> {
    let mut places = Vec::new();
    places_of(&answer.json, String::new(), number.is_multiple_of(2), &mut places);
    let pick = |len: usize, number: u64| (number % len.max(1) as u64) as usize;
    let (place, value) = places.get(pick(places.len(), number >> 1))?;
    let mut all = ops(place, value);
    if value.is_number() && !place.ends_with("port") {
        all.extend([i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX].map(|n| Op::Set(json!(n))));
    }
    applied(answer, place, all.get(pick(all.len(), number >> 32))?)
}
