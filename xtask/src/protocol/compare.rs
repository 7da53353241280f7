//! What differs between two sets of definitions.

use super::definition::{Definition, Definitions, Row, Versions};
use std::fmt;

/// One difference: a message, where in it, what of it, and both sides. A side is none where it
/// lacks the message or field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    pub(super) message: String,
    /// The field's path; none for the message itself.
    pub(super) field: Option<String>,
    /// `valid versions`, `type`; empty where all of the message or field is meant.
    pub(super) what: &'static str,
    pub(super) left: Option<String>,
    pub(super) right: Option<String>,
}

impl Difference {
    /// In one line, with names for the sides.
    pub(super) fn told(&self, left: &str, right: &str) -> String {
        let field = self.field.as_ref().map_or_else(String::new, |field| format!(" {field}"));
        let place = format!("{}{field}", self.message);
        match (&self.left, &self.right) {
            (Some(mine), None) => format!("{place}: only in {left}: {mine}"),
            (None, Some(other)) => format!("{place}: only in {right}: {other}"),
            (mine, other) => {
                let side = |side: &Option<String>| side.clone().unwrap_or_default();
                let what = self.what;
                format!("{place}: {what} {} in {left}, {} in {right}", side(mine), side(other))
            }
        }
    }
}

/// What differs: messages that one side lacks, then the others, in the order of kinds and names,
/// then of the fields. Of versions that one side lacks, it is told once that it does.
pub(super) fn compare(left: &Definitions, right: &Definitions) -> Vec<Difference> {
    let without = |here: &Definitions, there: &Definitions, is_left| {
        let alone = here.iter().filter(|(place, _)| !there.contains_key(*place));
        alone.map(|(_, one)| lone(one, is_left)).collect::<Vec<_>>()
    };
    let mut found = without(left, right, true);
    found.extend(without(right, left, false));
    for (place, mine) in left {
        if let Some(other) = right.get(place) {
            messages(mine, other, &mut found);
        }
    }
    found
}

/// A message that one side lacks.
fn lone(definition: &Definition, is_left: bool) -> Difference {
    let told = Some(format!("{} {}", definition.kind, definition.valid));
    let (left, right) = if is_left { (told, None) } else { (None, told) };
    Difference { message: definition.name.clone(), field: None, what: "", left, right }
}

fn messages(left: &Definition, right: &Definition, found: &mut Vec<Difference>) {
    let mut tell =
        |field: Option<&str>, what, mine: &dyn fmt::Display, other: &dyn fmt::Display| {
            let (mine, other) = (mine.to_string(), other.to_string());
            if mine != other {
                found.push(Difference {
                    message: left.name.clone(),
                    field: field.map(str::to_owned),
                    what,
                    left: Some(mine),
                    right: Some(other),
                });
            }
        };
    tell(None, "kind", &left.kind, &right.kind);
    tell(None, "key", &number(left.key), &number(right.key));
    tell(None, "valid versions", &left.valid, &right.valid);
    let valid = left.valid.and(right.valid);
    let both = |mine: Versions, other: Versions| (mine.and(valid), other.and(valid));
    let (mine, other) = both(left.flexible, right.flexible);
    tell(None, "flexible versions", &mine, &other);
    let (mine, other) = both(left.deprecated, right.deprecated);
    tell(None, "deprecated versions", &mine, &other);
    tell(None, "latest version unstable", &left.latest_unstable, &right.latest_unstable);
    tell(None, "listeners", &left.listeners.join(" "), &right.listeners.join(" "));
    for mine in &left.fields {
        let Some(other) = right.fields.iter().find(|other| same(mine, other)) else { continue };
        let path = Some(&*mine.path);
        tell(path, "type", &mine.ty, &other.ty);
        let (versions, of_other) = both(mine.versions, other.versions);
        tell(path, "versions", &versions, &of_other);
        let (nullable, of_other) = both(mine.nullable, other.nullable);
        tell(path, "nullable versions", &nullable, &of_other);
        tell(path, "default", &mine.default, &other.default);
        tell(path, "tag", &number(mine.tag), &number(other.tag));
        let (tagged, of_other) = both(mine.tagged, other.tagged);
        tell(path, "tagged versions", &tagged, &of_other);
        tell(path, "classic length", &mine.inflexible, &other.inflexible);
        tell(path, "ignorable", &mine.ignorable, &other.ignorable);
        tell(path, "map key", &mine.map_key, &other.map_key);
        tell(path, "entity type", &text(mine), &text(other));
    }
    let order = |of: &Definition, other: &Definition| {
        let has_place = |row: &Row| row.tagged != row.versions;
        let is_shared = |row: &&Row| {
            let there = other.fields.iter().find(|other| same(row, other));
            has_place(row) && there.is_some_and(has_place)
        };
        of.fields.iter().filter(is_shared).map(|row| normal(&row.path)).collect::<Vec<_>>()
    };
    let (mine, other) = moved(&order(left, right), &order(right, left));
    tell(None, "order", &mine, &other);
    lone_fields(left, right, found);
}

/// What is left of two orders without the front and the end that they share.
fn moved(left: &[String], right: &[String]) -> (String, String) {
    let front = left.iter().zip(right).take_while(|(mine, other)| mine == other).count();
    let (left, right) = (&left[front..], &right[front..]);
    let ends = left.iter().rev().zip(right.iter().rev());
    let end = ends.take_while(|(mine, other)| mine == other).count();
    (left[..left.len() - end].join(" "), right[..right.len() - end].join(" "))
}

fn lone_fields(left: &Definition, right: &Definition, found: &mut Vec<Difference>) {
    for (of, other, is_left) in [(left, right, true), (right, left, false)] {
        for row in of.fields.iter().filter(|row| !other.fields.iter().any(|one| same(row, one))) {
            let told = Some(format!("{} {}", row.ty, row.versions));
            let (mine, theirs) = if is_left { (told, None) } else { (None, told) };
            found.push(Difference {
                message: of.name.clone(),
                field: Some(row.path.clone()),
                what: "",
                left: mine,
                right: theirs,
            });
        }
    }
}

/// Names are the same without regard to case and underscores.
fn same(left: &Row, right: &Row) -> bool {
    normal(&left.path) == normal(&right.path)
}

fn normal(path: &str) -> String {
    path.replace('_', "").to_ascii_lowercase()
}

fn number(of: Option<i64>) -> String {
    of.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

fn text(row: &Row) -> String {
    row.entity.clone().unwrap_or_else(|| "none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::definition::of_export;
    use super::*;
    use serde_json::{Value, json};

    fn one(valid: &str, fields: Value) -> Definitions {
        let export = json!({"records": [
            {"name": "A", "kind": "data", "valid": valid, "flexible": "1+", "fields": fields},
        ]});
        of_export(&export).expect("an export")
    }

    fn told(left: &Definitions, right: &Definitions) -> Vec<String> {
        compare(left, right).iter().map(|one| one.told("a", "b")).collect()
    }

    #[test]
    fn ranges_are_what_they_mean_within_the_message() {
        let left = one("1-3", json!([{"path": "A", "type": "int8", "versions": "0+"}]));
        let right = one("1-3", json!([{"path": "a", "type": "int8", "versions": "1-3"}]));
        assert_eq!(told(&left, &right), [] as [&str; 0]);
    }

    #[test]
    fn each_fact_of_a_field_is_compared() {
        let field = json!({"path": "A", "type": "string", "versions": "0+", "nullable": "1+",
            "default": null, "tag": 0, "tagged": "1+", "entityType": "groupId"});
        let left = one("0-2", json!([field]));
        let changes = [
            ("type", json!("bytes"), "A A: type string in a, bytes in b"),
            ("versions", json!("1+"), "A A: versions 0-2 in a, 1-2 in b"),
            ("nullable", json!("2+"), "A A: nullable versions 1-2 in a, 2 in b"),
            ("default", json!("x"), "A A: default null in a, \"x\" in b"),
            ("tag", json!(1), "A A: tag 0 in a, 1 in b"),
            ("tagged", json!("2+"), "A A: tagged versions 1-2 in a, 2 in b"),
            ("flexible", json!("none"), "A A: classic length false in a, true in b"),
            ("ignorable", json!(true), "A A: ignorable false in a, true in b"),
            ("mapKey", json!(true), "A A: map key false in a, true in b"),
            ("entityType", json!("topicName"), "A A: entity type groupId in a, topicName in b"),
        ];
        for (key, value, expected) in changes {
            let mut changed = field.clone();
            changed[key] = value;
            assert_eq!(told(&left, &one("0-2", json!([changed]))), [expected]);
        }
    }

    #[test]
    fn order_counts_for_fields_that_have_a_place() {
        let a = json!({"path": "A", "type": "int8", "versions": "0+"});
        let b = json!({"path": "B", "type": "int8", "versions": "0+"});
        let c = json!({"path": "C", "type": "int8", "versions": "1+", "tag": 0, "tagged": "1+"});
        let left = one("0-2", json!([a, b, c]));
        assert_eq!(told(&left, &one("0-2", json!([c, a, b]))), [] as [&str; 0]);
        let swapped = told(&left, &one("0-2", json!([b, a, c])));
        assert_eq!(swapped, ["A: order a b in a, b a in b"]);
    }

    #[test]
    fn a_new_version_is_told_once() {
        let a = json!({"path": "A", "type": "int8", "versions": "0+", "nullable": "1+"});
        let b = json!({"path": "B", "type": "int8", "versions": "3+"});
        let (before, after) = (one("0-2", json!([a])), one("0-3", json!([a, b])));
        let expected = ["A: valid versions 0-2 in a, 0-3 in b", "A B: only in b: int8 3"];
        assert_eq!(told(&before, &after), expected);
    }

    #[test]
    fn what_one_side_lacks_is_told_once() {
        let a = json!({"path": "A", "type": "int8", "versions": "0+"});
        let (full, empty) = (one("0-2", json!([a])), one("0-2", json!([])));
        assert_eq!(told(&full, &empty), ["A A: only in a: int8 0-2"]);
        assert_eq!(told(&empty, &full), ["A A: only in b: int8 0-2"]);
        assert_eq!(told(&Definitions::new(), &full), ["A: only in b: data 0-2"]);
    }
}
