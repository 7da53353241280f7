//! The rules about what earlier releases had.

use super::{API, ERRORS, findings, one, one_api};

const FIRST: &str = "no release before 3.9 is described";

#[test]
fn s10_a_former_name_of_a_field_is_another_and_was_in_use() {
    let line = |attributes: &str| format!("  Name  string  0+  {attributes}\n");
    let formerly = |text: &str, marked: &str, message: &str| {
        one_api("  Name  string  0+\n", &line(text), "S10", marked, message);
    };
    formerly("formerly Label 3.9", "3.9", FIRST);
    formerly("formerly Name 4.1", "Name", "`Name` is its name today: a former one is another");
    let late = "  Name  string  1+  formerly Label 4.1\n";
    let since = API.replace("unstable 1\n", "since 4.1 1\n");
    let text = since.replace("  Name  string  0+\n", late);
    let files = [("07_look.schema", &*text), ("errors.schema", ERRORS)];
    one(&files, "S10", "4.1", "no release before 4.1 has `Name`");
    let absent = API.replace("| Asks.\n", "| Asks.\nbefore 4.1 Name absent\n");
    let text = absent.replace("  Name  string  0+\n", &line("formerly Label 4.1"));
    one(
        &[("07_look.schema", &*text), ("errors.schema", ERRORS)],
        "S10",
        "4.1",
        "no release before 4.1 has `Name`",
    );
    let right = absent.replace("  Name  string  0+\n", &line("formerly Label 4.2"));
    assert_eq!(findings(&[("07_look.schema", &right), ("errors.schema", ERRORS)]), []);
}

#[test]
fn s11_no_two_fields_have_one_name_in_a_release() {
    let message = |facts: &str, b: &str, c: &str| {
        let head = format!("data A  versions 0-1\n| P.\n{facts}version 1\n| P.\n");
        format!("{head}  B  int8  {b}\n  | P.\n  C  int8  {c}\n  | P.\n")
    };
    let clash = |facts: &str, b: &str, c: &str, marked: &str, text: &str| {
        one(&[("a.schema", &message(facts, b, c))], "S11", marked, text);
    };
    clash("", "0+  formerly C 4.1", "0+", "C", "in 3.9 `C` has this name");
    clash("", "0+", "0+  formerly B 4.1", "B", "in 3.9 `B` has this name");
    clash("", "0+  formerly D 4.1", "0+  formerly D 4.2", "D", "in 3.9 `B` has this name");
    clash("", "0+  formerly Bb 4.1", "0+  formerly BB 4.2", "BB", "in 3.9 `B` has this name");
    for (facts, b, c) in [
        // The other came with the release in which this one was renamed, with or without a version.
        ("since 4.1 1\n", "0+  formerly C 4.1", "1+"),
        ("before 4.1 C absent\n", "0+  formerly C 4.1", "0+"),
        // They change places.
        ("", "0+  formerly C 4.1", "0+  formerly B 4.1"),
        ("since 4.0 1\nbefore 4.0 B absent\n", "0+  formerly D 4.1", "1+  formerly E 4.2"),
    ] {
        assert_eq!(findings(&[("a.schema", &message(facts, b, c))]), [], "{b}, {c}");
    }
}

#[test]
fn s28_lifetimes_are_of_versions_that_were_there() {
    let (at, since) = ("unstable 1\n", |text: &str| format!("unstable 1\n{text}\n"));
    let of_some = "the versions are 0-1: a lifetime is of some of them";
    one_api(at, &since("since 4.4 2"), "S28", "2", of_some);
    one_api(at, &since("until 3.9 0"), "S28", "3.9", FIRST);
    let came = "this version came with this release or a later one";
    one_api(at, "until 4.1 0-1\nsince 4.1 1\n", "S28", "4.1", came);
    one_api(at, "unstable 1 until 4.0\nsince 4.1 1\n", "S28", "4.0", came);
}

#[test]
fn s28_a_version_comes_and_goes_once() {
    let at = "unstable 1\n";
    for (lines, marked, text) in [
        ("since 4.0 0-1\nsince 4.1 1\n", "1", "version 1 has a `since` above already"),
        ("until 4.1 0\nuntil 4.2 0-1\n", "0-1", "version 0 has a `until` above already"),
        ("since 4.1 1\nsince 4.1 1\n", "1", "version 1 has a `since` above already"),
        (
            "unstable 1 until 4.1\nunstable 1 until 4.2\n",
            "1",
            "version 1 has a `unstable … until` above already",
        ),
        ("until 4.0 0-1\nunstable 1 until 4.2\n", "4.2", "this version is gone in 4.0 already"),
        ("unstable 0 until 4.2\n", "4.2", "in 3.9 version 0 is not the last, 0-1 are there"),
    ] {
        one_api(at, lines, "S28", marked, text);
    }
    let right = API.replace(at, "since 4.0 1\nunstable 1 until 4.1\nuntil 4.2 0\n");
    assert_eq!(findings(&[("07_look.schema", &right), ("errors.schema", ERRORS)]), []);
}

#[test]
fn s28_the_versions_of_a_release_are_a_range() {
    let message = |lifetimes: &str| {
        let notes = "version 1\n| P.\nversion 2\n| P.\nversion 3\n| P.\n";
        format!("data A  versions 0-3\n| P.\n{lifetimes}{notes}")
    };
    for (lifetimes, marked, text) in [
        ("since 4.1 1\n", "1", "3.9 has versions 0 and 3 and not 1: versions come at the end"),
        ("until 4.2 2\n", "2", "4.2 has versions 0 and 3 and not 2"),
        ("until 4.0 0\nuntil 4.1 2\n", "2", "4.1 has versions 1 and 3 and not 2"),
        ("since 4.2 1-2\nsince 4.1 3\n", "1-2", "4.1 has versions 0 and 3 and not 1"),
    ] {
        one(&[("a.schema", &message(lifetimes))], "S28", marked, text);
    }
    let right = message("since 4.1 2\nsince 4.3 3\nuntil 4.0 0\n");
    assert_eq!(findings(&[("a.schema", &right)]), []);
}

#[test]
fn s29_a_former_name_of_an_api_or_record_is_another_and_was_in_use() {
    let at = "unstable 1\n";
    one_api(at, "unstable 1\nformerly Watch 3.9\n", "S29", "3.9", FIRST);
    let same = "`Look` is its name today: a former one is another";
    one_api(at, "unstable 1\nformerly Look 4.1\n", "S29", "Look", same);
    let late = "since 4.1 0-1\nformerly Watch 4.1\n";
    one_api(at, late, "S29", "4.1", "no release before 4.1 has `Look`");
    let message = |facts: &str| format!("data A  versions 0\n| P.\n{facts}");
    one(&[("a.schema", &message("formerly Z 3.9\n"))], "S29", "3.9", FIRST);
    let same = "`A` is its name today: a former one is another";
    one(&[("a.schema", &message("formerly A 4.2\n"))], "S29", "A", same);
}

#[test]
fn s29_no_two_have_one_name_in_a_release() {
    let other = |facts: &str| {
        let text = API.replace("api 7 Look", "api 8 Watch");
        text.replace("unstable 1\n", facts)
    };
    let text = API.replace("unstable 1\n", "formerly Watch 4.1\n");
    let beside = other("");
    let files = |other: &str| {
        findings(&[
            ("07_look.schema", &text),
            ("08_watch.schema", other),
            ("errors.schema", ERRORS),
        ])
    };
    let found = files(&beside);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].rule, &*found[0].message), ("S29", "in 3.9 `Watch` has this name"));
    assert_eq!(files(&other("since 4.1 0-1\n")), []);
    let records = |kind: &str, field: &str| {
        let first = format!("{kind} A  type 0  versions 0\n| P.\nformerly B 4.1\n");
        let field = format!("  {field}  int8  0\n  | P.\n");
        let second = format!("{kind} B  type 1  versions 0\n| P.\n  C  int8  0\n  | P.\n");
        format!("{first}{field}{second}")
    };
    // Types of keys were versions of one record once.
    assert_eq!(findings(&[("a.schema", &records("coordinator-key", "C"))]), []);
    let name = "in 3.9 `B` has this name";
    one(&[("a.schema", &records("coordinator-key", "D"))], "S29", "B", name);
    one(&[("a.schema", &records("metadata", "C"))], "S29", "B", name);
}

/// A message with a field of each sort that `before` speaks of.
fn message(facts: &str) -> String {
    let fields = [
        "  B  []C  0+",
        "    D  int8  0+  key",
        "    E  string  0+  entity topicName",
        "  F  int32  0+  default 70000",
        "  G  string  1+  nullable 1+  ignorable",
        "  H  []int8  0+",
        "  I  S  0+",
    ];
    let line = |field: &&str| {
        let indent = " ".repeat(field.len() - field.trim_start().len());
        format!("{field}\n{indent}| P.\n")
    };
    let fields: String = fields.iter().map(line).collect();
    let shared = "  struct S 0+\n    J  int8  0+\n    | P.\n";
    let (since, before): (Vec<&str>, Vec<&str>) =
        facts.split_inclusive('\n').partition(|line| line.starts_with("since"));
    let facts = format!("{}{}", since.concat(), before.concat());
    format!("data A  versions 0-1\n| P.\n{facts}version 1\n| P.\n{fields}{shared}")
}

#[test]
fn s35_what_was_otherwise_is_of_a_field_and_of_a_later_release() {
    for (facts, place, text) in [
        ("before 3.9 B absent\n", "3.9", FIRST),
        ("before 4.1 C absent\n", "C", "`A` has no field `C`"),
        ("before 4.1 B.X key\n", "B.X", "`A` has no field `B.X`"),
        ("before 4.1 B.D.D key\n", "B.D.D", "`A` has no field `B.D.D`"),
    ] {
        one(&[("a.schema", &message(facts))], "S35", place, text);
    }
    let right = "before 4.1 B.D not key\nbefore 4.0 B absent\nbefore 4.1 F type uint32\n\
                 before 4.2 G default null\nbefore 4.2 G not ignorable\nbefore 4.1 B.E key\n\
                 before 4.4 B.E entity none\nbefore 4.3 F default 1\nbefore 4.1 I.J absent\n";
    assert_eq!(findings(&[("a.schema", &message(right))]), []);
}

#[test]
fn s36_what_was_otherwise_was_there() {
    let none = |release: &str, path: &str| format!("no release before {release} has `{path}`");
    for (facts, place, text) in [
        ("since 4.1 1\nbefore 4.1 G default null\n", "4.1", none("4.1", "G")),
        ("since 4.1 1\nbefore 4.1 G absent\n", "4.1", none("4.1", "G")),
        ("since 4.2 0-1\nbefore 4.1 F type int16\n", "4.1", none("4.1", "F")),
        ("before 4.2 B absent\nbefore 4.1 B.D not key\n", "4.1", none("4.1", "B.D")),
        ("before 4.1 B.D not key\nbefore 4.1 B.D absent\n", "4.1", none("4.1", "B.D")),
        ("before 4.1 I.J absent\nbefore 4.0 I.J key\n", "4.0", none("4.0", "I.J")),
    ] {
        one(&[("a.schema", &message(facts))], "S36", place, &text);
    }
    let always = "no release from 4.2 on has `F`: it was so always";
    let gone = message("before 4.2 F type uint32\n")
        .replace("| P.\nbefore", "| P.\nuntil 4.1 0-1\nbefore");
    one(&[("a.schema", &gone)], "S36", "4.2", always);
    for facts in [
        "since 4.1 1\nbefore 4.2 G default null\n",
        "before 4.0 B absent\nbefore 4.1 B.D not key\n",
    ] {
        assert_eq!(findings(&[("a.schema", &message(facts))]), [], "{facts}");
    }
}

#[test]
fn s36_what_was_otherwise_is_not_so_today_and_is_said_once() {
    let today = |path: &str| format!("`{path}` is so today: say what was otherwise");
    for (line, marked, text) in [
        ("B.D key", "key", today("B.D")),
        ("F not key", "key", today("F")),
        ("G ignorable", "ignorable", today("G")),
        ("F not ignorable", "ignorable", today("F")),
        ("F type int32", "int32", today("F")),
        ("F default 0x11170", "0x11170", today("F")),
        ("B.D default 0", "0", today("B.D")),
        ("B.E default \"\"", "\"\"", today("B.E")),
        ("B.E entity topicName", "topicName", today("B.E")),
        ("F entity none", "none", today("F")),
    ] {
        one(&[("a.schema", &message(&format!("before 4.1 {line}\n")))], "S36", marked, &text);
    }
    let again = |path: &str| format!("a line above says this of `{path}` already");
    for (lines, marked, text) in [
        (["4.1 F default 1", "4.0 F default 2"], "2", again("F")),
        (["4.0 G not ignorable", "4.1 G not ignorable"], "ignorable", again("G")),
        (["4.1 B absent", "4.1 B absent"], "absent", again("B")),
        (["4.1 F type int8", "4.0 F type int16"], "int16", again("F")),
    ] {
        let lines: String = lines.iter().map(|line| format!("before {line}\n")).collect();
        let found = findings(&[("a.schema", &message(&lines))]);
        let told = found.iter().filter(|one| one.rule == "S36" && one.message == text);
        let marks = told.map(|one| {
            one.text.chars().skip(one.span.column - 1).take(one.span.width).collect::<String>()
        });
        assert_eq!(marks.collect::<Vec<_>>(), [marked], "{lines}: {found:#?}");
    }
}

#[test]
fn s36_what_was_otherwise_fits_the_field() {
    for (line, marked, text) in [
        ("F type uint16", "uint16", "70000 does not fit uint16: 0 to 65535"),
        ("F type string", "string", "an integer is not a string"),
        ("F default 0x80000000", "0x80000000", "0x80000000 does not fit int32"),
        ("F default null", "null", "null is the default of nullable fields only"),
        ("H default 3", "3", "an array's default is null or"),
        ("G type int32", "int32", "`int32` has no null"),
        ("H type []records", "[]records", "records cannot be an array's elements"),
        ("F key", "key", "only a member of an array's struct can be its key"),
        ("I.J key", "key", "only a member of an array's struct can be its key"),
        ("F entity producerId", "producerId", "`producerId` is for fields of type int64"),
        ("F entity broker", "broker", "unknown entity `broker`"),
        ("B.E type bytes", "bytes", "`topicName` is for fields of type string"),
        ("B type int8", "int8", "the type of a struct's field stays what it is"),
        ("I type int8", "int8", "the type of a struct's field stays what it is"),
        ("F type S", "S", "the type of a struct's field stays what it is"),
    ] {
        one(&[("a.schema", &message(&format!("before 4.1 {line}\n")))], "S36", marked, text);
    }
    // Both together are right, though neither is alone.
    let both = "before 4.1 F type uint16\nbefore 4.1 F default 7\n";
    assert_eq!(findings(&[("a.schema", &message(both))]), []);
}
