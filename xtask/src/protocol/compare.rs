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
/// then of the fields. Of versions that one side lacks, it is told once that it does. What has one
/// name today, where both sides know that, is one: then its name differs.
pub(super) fn compare(left: &Definitions, right: &Definitions) -> Vec<Difference> {
    let today = |one: &Definition| {
        let (group, name) = one.place();
        (group, one.today.clone().unwrap_or(name))
    };
    let paired = Paired::of(left.values(), right.values(), today, Definition::place);
    let mut found: Vec<_> = paired.left.iter().map(|one| lone(one, true)).collect();
    found.extend(paired.right.iter().map(|one| lone(one, false)));
    for (mine, other) in paired.both {
        messages(mine, other, &mut found);
    }
    found
}

/// Which of two lists are the same thing.
struct Paired<'d, T> {
    both: Vec<(&'d T, &'d T)>,
    /// Those of one list alone.
    left: Vec<&'d T>,
    right: Vec<&'d T>,
}

impl<'d, T> Paired<'d, T> {
    /// By what they are called today; what is left over, by what each list calls them.
    fn of<K: PartialEq>(
        left: impl Iterator<Item = &'d T>,
        right: impl Iterator<Item = &'d T>,
        today: impl Fn(&T) -> K,
        name: impl Fn(&T) -> K,
    ) -> Self {
        let (left, right): (Vec<_>, Vec<_>) = (left.collect(), right.collect());
        let mut partners: Vec<Option<usize>> = vec![None; left.len()];
        let mut taken = vec![false; right.len()];
        for called in [&today as &dyn Fn(&T) -> K, &name] {
            let theirs: Vec<K> = right.iter().map(|other| called(other)).collect();
            for (mine, partner) in left.iter().zip(&mut partners) {
                if partner.is_some() {
                    continue;
                }
                let mine = called(mine);
                let found = (0..right.len()).find(|at| !taken[*at] && theirs[*at] == mine);
                if let Some(at) = found {
                    (*partner, taken[at]) = (Some(at), true);
                }
            }
        }
        let both = left.iter().zip(&partners);
        let both = both.filter_map(|(mine, at)| Some((*mine, right[(*at)?]))).collect();
        let alone = left.iter().zip(&partners).filter(|(_, partner)| partner.is_none());
        Self {
            both,
            left: alone.map(|(mine, _)| *mine).collect(),
            right: right
                .iter()
                .zip(taken)
                .filter(|(_, taken)| !taken)
                .map(|(one, _)| *one)
                .collect(),
        }
    }
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
    if normal(&left.name) != normal(&right.name) {
        tell(None, "name", &left.name, &right.name);
    }
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
    let today = |row: &Row| normal(row.today.as_ref().unwrap_or(&row.path));
    let name = |row: &Row| normal(&row.path);
    let paired = Paired::of(left.fields.iter(), right.fields.iter(), today, name);
    for (mine, other) in &paired.both {
        let path = Some(&*mine.path);
        let (name, of_other) = (last_name(&mine.path), last_name(&other.path));
        if normal(name) != normal(of_other) {
            tell(path, "name", &name, &of_other);
        }
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
    let has_place = |row: &Row| row.tagged != row.versions;
    let order = |of: &Definition, other_side: bool| {
        let shared = of.fields.iter().filter_map(|row| {
            let is_it = |(mine, other): &&(&Row, &Row)| {
                std::ptr::eq(if other_side { *other } else { *mine }, row)
            };
            let (mine, other) = paired.both.iter().find(is_it)?;
            (has_place(mine) && has_place(other)).then(|| normal(&mine.path))
        });
        shared.collect::<Vec<_>>()
    };
    let (mine, other) = moved(&order(left, false), &order(right, true));
    tell(None, "order", &mine, &other);
    found.extend(paired.left.iter().map(|row| lone_field(left, row, true)));
    found.extend(paired.right.iter().map(|row| lone_field(right, row, false)));
}

/// `Name` of `Topics[].Name`.
fn last_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// What is left of two orders without the front and the end that they share.
fn moved(left: &[String], right: &[String]) -> (String, String) {
    let front = left.iter().zip(right).take_while(|(mine, other)| mine == other).count();
    let (left, right) = (&left[front..], &right[front..]);
    let ends = left.iter().rev().zip(right.iter().rev());
    let end = ends.take_while(|(mine, other)| mine == other).count();
    (left[..left.len() - end].join(" "), right[..right.len() - end].join(" "))
}

/// A field that one side lacks.
fn lone_field(of: &Definition, row: &Row, is_left: bool) -> Difference {
    let told = Some(format!("{} {}", row.ty, row.versions));
    let (left, right) = if is_left { (told, None) } else { (None, told) };
    let field = Some(row.path.clone());
    Difference { message: of.name.clone(), field, what: "", left, right }
}

/// Names are the same without regard to case and underscores.
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
    fn what_both_call_the_same_today_was_renamed() {
        let field = |path: &str| json!({"path": path, "type": "[]struct", "versions": "0+"});
        let member = |path: &str, ty: &str| json!({"path": path, "type": ty, "versions": "0+"});
        let named = |mut field: Value, today: &str| {
            field["today"] = today.into();
            field
        };
        let before = json!([
            named(field("Old"), "New"),
            named(member("Old[].A", "int8"), "New[].A"),
            named(member("Old[].B", "int8"), "New[].C"),
        ]);
        let after = json!([
            field("New"),
            member("New[].A", "int16"),
            member("New[].C", "int8"),
            member("New[].B", "int64"),
        ]);
        let (before, after) = (one("0-2", before), one("0-2", after));
        let expected = [
            "A Old: name Old in a, New in b",
            "A Old[].A: type int8 in a, int16 in b",
            "A Old[].B: name B in a, C in b",
            "A New[].B: only in b: int64 0-2",
        ];
        assert_eq!(told(&before, &after), expected);
        let back = told(&after, &before);
        assert_eq!(back[0], "A New: name New in a, Old in b");
        assert_eq!(back.len(), expected.len(), "{back:#?}");
    }

    #[test]
    fn a_message_is_renamed_too_and_else_has_the_name_of_its_side() {
        let record = |name: &str, today: Option<&str>, path: &str| {
            let fields = json!([{"path": path, "type": "int8", "versions": "0"}]);
            let mut row = json!({"name": name, "kind": "data", "valid": "0", "fields": fields});
            if let Some(today) = today {
                row["today"] = today.into();
            }
            row
        };
        let export = |records: Value| of_export(&json!({"records": records})).expect("an export");
        let left = export(json!([record("A", Some("B"), "X"), record("C", Some("D"), "Y")]));
        let right = export(json!([record("B", None, "X"), record("C", None, "Z")]));
        let expected =
            ["A: name A in a, B in b", "C Y: only in a: int8 0", "C Z: only in b: int8 0"];
        assert_eq!(told(&left, &right), expected);
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
