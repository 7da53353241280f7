//! One source per rule: what it says, and where.

mod releases;

use crate::diagnostic::Diagnostic;
use crate::library::Library;

fn findings(files: &[(&str, &str)]) -> Vec<Diagnostic> {
    let files: Vec<(String, String)> =
        files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    match Library::parse(&files) {
        Ok(_) => Vec::new(),
        Err(findings) => findings,
    }
}

/// Exactly one finding of this rule, with this message under these characters of the source.
fn one(files: &[(&str, &str)], rule: &str, marked: &str, message: &str) {
    let found = findings(files);
    let [finding] = &found[..] else {
        panic!("{rule}: expected one finding, got {}: {found:#?}", found.len());
    };
    assert_eq!(finding.rule, rule, "{finding}");
    assert!(finding.message.starts_with(message), "{finding}");
    let at: String =
        finding.text.chars().skip(finding.span.column - 1).take(finding.span.width).collect();
    assert_eq!(at, marked, "{finding}");
}

/// A data message around field lines, each with prose; every version has its note.
fn data(head: &str, fields: &[&str]) -> String {
    let mut source = format!("data A  {head}\n| For a test.\n");
    let versions = head.split("versions 0-").nth(1).unwrap_or("0");
    let last: i16 = versions.split(' ').next().and_then(|last| last.parse().ok()).unwrap_or(0);
    for version in 1..=last {
        source.push_str(&format!("version {version}\n| Something.\n"));
    }
    for field in fields {
        let indent = " ".repeat(field.len() - field.trim_start().len());
        source.push_str(&format!("{field}\n{indent}| Something.\n"));
    }
    source
}

fn one_data(head: &str, fields: &[&str], rule: &str, marked: &str, message: &str) {
    one(&[("a.schema", &data(head, fields))], rule, marked, message);
}

const ERRORS: &str = "error 0 NONE\n| Fine.\n> Go on.\n";

/// An API file that is well formed; each replacement breaks it.
const API: &str = "api 7 Look
| Looks.
listeners broker
route any-broker
throttle ThrottleTimeMs after-response 1+
unstable 1
error NONE
| Always.
version 1 KIP-1
| Adds nothing.
request  versions 0-1  flexible 1+
| Asks.
  Name  string  0+
  | The name.
response  versions 0-1  flexible 1+
| Answers.
  ThrottleTimeMs  int32  0+
  | The delay.
";

fn one_api(from: &str, to: &str, rule: &str, marked: &str, message: &str) {
    assert!(API.contains(from), "{from}");
    let text = API.replacen(from, to, 1);
    one(&[("07_look.schema", &text), ("errors.schema", ERRORS)], rule, marked, message);
}

#[test]
fn well_formed_schemas_have_no_findings() {
    assert_eq!(findings(&[("07_look.schema", API), ("errors.schema", ERRORS)]), []);
    let fields = ["  B  []C  0+  nullable 0+  default null", "    D  int8  0+  key"];
    assert_eq!(findings(&[("a.schema", &data("versions 0", &fields))]), []);
}

#[test]
fn s1_message_versions_end_and_flexible_ones_do_not() {
    one_data("versions 0+", &[], "S1", "0+", "a message's versions have an end");
    one_data("versions 0-1  flexible 0-1", &[], "S1", "0-1", "flexible versions begin with one of");
    one_data("versions 0  flexible 1+", &[], "S1", "1+", "flexible versions begin with one of 0");
}

#[test]
fn s2_only_coordinator_and_metadata_records_are_numbered() {
    one_data("type 4  versions 0", &[], "S2", "4", "only coordinator and metadata records");
    let source = "coordinator-key K  versions 0\n| Prose.\n";
    one(&[("a.schema", source)], "S2", "K", "this kind of message has a `type`");
    let source = "metadata M  type -1  versions 0\n| Prose.\n";
    one(&[("a.schema", source)], "S2", "-1", "a record's type is not negative");
}

#[test]
fn s3_common_structs_are_defined_once_and_used() {
    let source = |rest: &str| {
        format!(
            "data A  versions 0\n| P.\n  B  []C  0\n  | P.\n  struct C  0\n    D  int8  0\n\
             \x20   | P.\n{rest}"
        )
    };
    let twice = source("  struct C  0\n    D  int8  0\n    | P.\n");
    one(&[("a.schema", &twice)], "S3", "C", "struct `C` is defined twice in this message");
    let unused = source("  struct E  0\n    D  int8  0\n    | P.\n");
    one(&[("a.schema", &unused)], "S3", "E", "struct `E` is used by no field");
    let recursive = source("    E  []C  0\n    | P.\n");
    one(&[("a.schema", &recursive)], "S3", "C", "struct `C` contains itself");
    let mutual = source("    E  []F  0\n    | P.\n  struct F  0\n    G  []C  0\n    | P.\n");
    let found = Library::parse(&[("a.schema".to_owned(), mutual)]).expect_err("recursive");
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("struct `C` contains itself"), "{told:?}");
    assert!(told[1].contains("struct `F` contains itself"), "{told:?}");
}

#[test]
fn s4_to_s7_fields_fit_their_struct_and_type() {
    one_data(
        "versions 0",
        &["  B  int8  0", "  B  int16  0"],
        "S4",
        "B",
        "field `B` is defined twice",
    );
    let spelt = ["  TopicId  uuid  0", "  TopicID  uuid  0"];
    one_data("versions 0", &spelt, "S4", "TopicID", "`TopicID` is `TopicId` in another spelling");
    one_data("versions 0-2", &["  B  int8  3+"], "S5", "3+", "no version has `B`");
    let nested = ["  B  []C  0-1", "    D  int8  2"];
    one_data(
        "versions 0-2",
        &nested,
        "S5",
        "2",
        "no version has `D`: the struct around it has 0-1",
    );
    one_data("versions 0", &["  B  []C  0"], "S6", "[]C", "unknown struct `C`");
    one_data(
        "versions 0",
        &["  B  int8  0", "    C  int8  0"],
        "S7",
        "int8",
        "`int8` has no members",
    );
    one_data(
        "versions 0",
        &["  B  []records  0"],
        "S7",
        "[]records",
        "records cannot be an array's",
    );
}

#[test]
fn s5_and_s6_structs_have_members_wherever_they_are() {
    let shared = |versions: &str, of: &str, members: &str| {
        let notes = "version 1\n| P.\nversion 2\n| P.\n";
        let head = format!("data A  versions 0-2  flexible 2+\n| P.\n{notes}");
        format!("{head}  B  []C  {versions}\n  | P.\n  struct C  {of}\n{members}")
    };
    let member = |versions: &str| format!("    D  int8  {versions}\n    | P.\n");
    let [all, late] = [member("0+"), member("1+")];
    let two = format!("{}    E  int8  2+\n    | P.\n", member("0"));
    for (source, rule, marked, message) in [
        (shared("0+", "3+", &member("3+")), "S5", "3+", "no version of the message has struct `C`"),
        (shared("0+", "1+", &late), "S5", "0+", "struct `C` is in versions 1-2, this field in 0-2"),
        (shared("0+", "0+", ""), "S6", "C", "struct `C` has no members"),
        (
            shared("0+", "0+", &late),
            "S6",
            "[]C",
            "an element of `C` would take no byte in version 0",
        ),
        (
            shared("0+", "0+", &two),
            "S6",
            "[]C",
            "an element of `C` would take no byte in version 1",
        ),
    ] {
        let found = findings(&[("a.schema", &source)]);
        let told = found.iter().any(|finding| {
            finding.rule == rule && finding.message.starts_with(message) && {
                let line = finding.text.chars().skip(finding.span.column - 1);
                line.take(finding.span.width).collect::<String>() == marked
            }
        });
        assert!(told, "{message}: {found:#?}");
    }
    assert_eq!(findings(&[("a.schema", &shared("1+", "0+", &late.replace("1+", "0-1")))]), []);
    assert_eq!(findings(&[("a.schema", &shared("0+", "0+", &all))]), []);
    let both = "data A  versions 0\n| P.\n  B  []C  0\n  | P.\n    D  int8  0\n    | P.\n\
                \x20 struct C  0\n    D  int8  0\n    | P.\n";
    let message = "`C` has members here and as a struct of the message";
    one(&[("a.schema", both)], "S6", "[]C", message);
}

#[test]
fn s8_and_s9_null_needs_a_type_and_versions_that_have_it() {
    one_data("versions 0", &["  B  int32  0  nullable 0"], "S8", "0", "`int32` has no null");
    one_data(
        "versions 0-4",
        &["  B  string  2+  nullable 1+"],
        "S9",
        "1+",
        "nullable in versions that do not have the field: it has 2+",
    );
    let nowhere = "nullable in no version: it is in 0-4";
    one_data("versions 0-4", &["  B  string  0+  nullable 5+"], "S9", "5+", nowhere);
}

#[test]
fn s12_values_fit_their_type() {
    let cases = [
        ("int8", "128", "128 does not fit int8: -128 to 127"),
        ("uint16", "-1", "-1 does not fit uint16: 0 to 65535"),
        ("bool", "1", "an integer is not a bool"),
        ("string", "true", "the value is not a string"),
        ("string", "null", "null is the default of nullable fields only"),
        ("float64", "\"a\"", "the value is not a float64"),
        ("[]int8", "1", "an array's default is null or, when none is given, empty"),
    ];
    for (ty, value, message) in cases {
        one_data("versions 0", &[&format!("  B  {ty}  0  default {value}")], "S12", value, message);
    }
    let source = "data A  versions 0\n| P.\n  B  int8  0\n  | P.\n  = 300  much\n";
    one(&[("a.schema", source)], "S12", "300", "300 does not fit int8");
    let source = "data A  versions 0\n| P.\n  B  int8  0\n  | P.\n  = 0x10  one\n  = 16  two\n";
    one(&[("a.schema", source)], "S12", "16", "this value has a line above already");
    let source = "data A  versions 0\n| P.\n  B  string  0\n  | P.\n  = null  none\n";
    one(&[("a.schema", source)], "S12", "null", "null is a value of nullable fields only");
}

#[test]
fn s13_and_s14_attributes_are_where_they_mean_something() {
    one_data(
        "versions 0",
        &["  B  int8  0  key"],
        "S13",
        "key",
        "only a member of an array's struct",
    );
    one_data(
        "versions 0",
        &["  B  string  0  inflexible"],
        "S14",
        "inflexible",
        "`inflexible` is for",
    );
    one_data(
        "versions 0-2  flexible 2+",
        &["  B  string  0-1  inflexible"],
        "S14",
        "inflexible",
        "`inflexible` in versions that are not flexible: 2+ are",
    );
    one_data("versions 0", &["  B  int8  0  sensitive"], "S14", "sensitive", "`sensitive` is for");
    one_data(
        "versions 0",
        &["  B  string  0  holds x"],
        "S14",
        "x",
        "`holds` is for bytes and records",
    );
    let blob = ["  B  bytes  0  holds token"];
    one_data(
        "versions 0",
        &blob,
        "S14",
        "token",
        "unknown form `token`: expected a message's name",
    );
    let own = ["  B  bytes  0  holds A", "  C  records  0  holds record-batch"];
    assert_eq!(findings(&[("a.schema", &data("versions 0", &own))]), []);
    let lone = ["  B  string  0  entity topic"];
    one_data("versions 0", &lone, "S14", "topic", "unknown entity `topic`: expected topicName,");
    let number = ["  B  []int64  0  entity brokerId"];
    let text = "`brokerId` is for fields of type int32";
    one_data("versions 0", &number, "S14", "brokerId", text);
}

#[test]
fn s15_to_s18_tags() {
    let two =
        |first: &str, second: &str| [format!("  B  int8  {first}"), format!("  C  int8  {second}")];
    one_data(
        "versions 0",
        &["  B  int8  0+  tag 0 0+"],
        "S15",
        "0+",
        "the message has no flexible versions",
    );
    one_data(
        "versions 0-3  flexible 2+",
        &["  B  int8  0+  tag 0 1+"],
        "S15",
        "1+",
        "tagged in versions that are not flexible: 2+ are",
    );
    one_data(
        "versions 0-3  flexible 0+",
        &["  B  int8  0+  tag 0 1-2"],
        "S16",
        "1-2",
        "tagged versions are the last of the field's versions, which are 0+",
    );
    one_data(
        "versions 0-3  flexible 0+",
        &["  B  int8  0+  tag 0 4+"],
        "S15",
        "4+",
        "tagged in no version: the struct around it has 0-3",
    );
    let [b, c] = two("0+  tag 0 0+", "1+  tag 0 1+");
    one_data("versions 0-3  flexible 0+", &[&b, &c], "S17", "0", "tag 0 is taken by another field");
    let [b, c] = two("0-1  tag 0 0-1", "2+  tag 0 2+");
    assert_eq!(findings(&[("a.schema", &data("versions 0-3  flexible 0+", &[&b, &c]))]), []);
    one_data(
        "versions 0  flexible 0+",
        &["  B  int8  0+  tag 1 0+"],
        "S18",
        "1",
        "tag 1 without a tag 0",
    );
}

#[test]
fn s19_and_s26_everything_has_prose() {
    one(&[("a.schema", "data A  versions 0\n")], "S19", "A", "`A` lacks prose");
    let source = "data A  versions 0\n| P.\n  B  int8  0\n";
    one(&[("a.schema", source)], "S19", "B", "`B` lacks prose");
    one_api("| Looks.\n", "", "S26", "Look", "`Look` lacks prose");
    one_api("| Always.\n", "", "S26", "NONE", "say in `|` lines when `NONE` is answered");
    one_api("| Adds nothing.\n", "", "S26", "1", "say in `|` lines what version 1 changed");
}

#[test]
fn s20_to_s22_an_api_is_complete() {
    one_api("listeners broker\n", "", "S20", "Look", "`Look` lacks `listeners`");
    let twice = "listeners broker controller broker\n";
    one_api("listeners broker\n", twice, "S20", "broker", "`broker` is named twice");
    one_api("route any-broker\n", "", "S20", "Look", "`Look` lacks `route`");
    let half = API.find("response  versions").expect("a response");
    let text = &API[..half];
    let files = [("07_look.schema", text), ("errors.schema", ERRORS)];
    one(&files, "S21", "Look", "`Look` needs both a `request` and a `response`");
    one_api(
        "response  versions 0-1",
        "response  versions 0-2",
        "S22",
        "0-2",
        "the request has versions 0-1",
    );
    one_api(
        "response  versions 0-1  flexible 1+",
        "response  versions 0-1",
        "S22",
        "response",
        "the request is flexible in versions 1+",
    );
    one_api(
        "request  versions 0-1  flexible 1+",
        "request  versions 0-1",
        "S22",
        "response",
        "the request has no flexible versions",
    );
}

#[test]
fn s23_to_s25_facts_name_what_exists() {
    one_api(
        "throttle ThrottleTimeMs",
        "throttle DelayMs",
        "S23",
        "DelayMs",
        "the response has no int32 field `DelayMs`",
    );
    one_api(
        "throttle ThrottleTimeMs after-response 1+\n",
        "",
        "S23",
        "Look",
        "the response has `ThrottleTimeMs`: add a `throttle` line",
    );
    let there = "the response has `ThrottleTimeMs` in versions 0-1";
    one_api("after-response 1+", "after-response 2+", "S23", "2+", there);
    one_api("after-response 1+", "after-response 1-2", "S23", "1-2", there);
    one_api("unstable 1", "unstable 0", "S24", "0", "only the last version can be unstable");
    let until = "unstable 1\nunstable 1 until 4.2";
    one_api("unstable 1", until, "S24", "1", "version 1 has an `until 4.2`: `unstable` alone");
    one_api("unstable 1", "deprecated 1", "S24", "1", "deprecated versions are the first of 0-1");
    one_api("error NONE", "error SOME", "S25", "SOME", "there is no error `SOME` in errors.schema");
    let beyond = "`NONE` in versions that there are not: they are 0-1";
    one_api("error NONE", "error NONE 2+", "S25", "2+", beyond);
    let twice = "error NONE 0\n| Now.\nerror NONE";
    one_api("error NONE", twice, "S25", "NONE", "`NONE` stands above for these versions already");
}

#[test]
fn s27_version_notes_ascend_and_are_complete() {
    let missing = "version 1 KIP-1\n| Adds nothing.\n";
    one_api(missing, "", "S27", "Look", "`Look` has no note on what version 1 changed");
    let twice = format!("{missing}version 1\n| Again.\n");
    one_api(missing, &twice, "S27", "1", "version 1 stands after a later or the same version");
    let beyond = format!("{missing}version 2\n| Again.\n");
    one_api(missing, &beyond, "S27", "2", "there is no version 2: the versions are 0-1");
}

#[test]
fn s30_names_and_keys_are_unique() {
    let other = API.replace("Look", "Loom");
    let files = [("07_look.schema", API), ("07_loom.schema", &other), ("errors.schema", ERRORS)];
    one(&files, "S30", "7", "API key 7 is that of Look already");
    let source = data("versions 0", &[]);
    one(
        &[("a.schema", &source), ("b.schema", &source)],
        "S30",
        "A",
        "`A` is defined in a.schema already",
    );
    let negative = API.replace("api 7", "api -7");
    let files = [("-7_look.schema", &*negative), ("errors.schema", ERRORS)];
    one(&files, "S30", "-7", "an API's key is not negative");
}

#[test]
fn s30_types_of_a_kind_are_unique_in_a_file_and_a_release() {
    let records = |of_b: &str| {
        format!(
            "metadata A  type 4  versions 0\n| P.\nmetadata B  type 4  versions 0\n| P.\n{of_b}"
        )
    };
    one(&[("a.schema", &records(""))], "S30", "4", "type 4 is that of `A` already");
    let kinds = records("").replacen("metadata B", "coordinator-key B", 1);
    assert_eq!(findings(&[("a.schema", &kinds)]), []);
    let turns = records("since 4.1 0\n").replacen("| P.\n", "| P.\nuntil 4.1 0\n", 1);
    assert_eq!(findings(&[("a.schema", &turns)]), []);
}

#[test]
fn s31_and_s32_errors_ascend_and_are_explained() {
    let order = format!("{ERRORS}error -1 UNKNOWN\n| P.\n> P.\n");
    one(
        &[("errors.schema", &order)],
        "S31",
        "-1",
        "error -1 stands after a larger or equal number",
    );
    let name = format!("{ERRORS}error 1 NONE\n| P.\n> P.\n");
    one(&[("errors.schema", &name)], "S31", "NONE", "`NONE` is the name of error 0 already");
    one(&[("errors.schema", "error 0 NONE\n| P.\n")], "S32", "NONE", "`NONE` lacks prose");
}

#[test]
fn s33_header_rules_name_what_exists_and_end_with_otherwise() {
    let header = "header RequestHeader  versions 0-1\n| P.\nversion 1\n| P.\n";
    let with = |rules: &str| format!("{header}{rules}");
    let files = |text: &str| findings(&[("headers.schema", text)]);
    assert_eq!(files(&with("header-version request 1 otherwise\n")), []);
    let cases = [
        ("header-version request 2 otherwise\n", "2", "there is no `RequestHeader` of version 2"),
        (
            "header-version request 0 Look\nheader-version request 1 otherwise\n",
            "Look",
            "there is no API `Look`",
        ),
        ("header-version request 1 flexible\n", "flexible", "`otherwise` is the last rule"),
    ];
    for (rules, marked, message) in cases {
        one(&[("headers.schema", &with(rules))], "S33", marked, message);
    }
}

#[test]
fn s33_header_rules_are_of_versions_that_there_are_and_each_is_used() {
    let header = "header RequestHeader  versions 0-1\n| P.\nversion 1\n| P.\n";
    let with = |rules: &str| format!("{header}{rules}header-version request 1 otherwise\n");
    let beyond = "`Look` has the versions 0-1";
    let unused = "a rule above is about the same: this one is never used";
    let cases = [
        ("header-version request 0 Look 1-2\n", "Look", beyond),
        ("header-version request 0 Look 2+\n", "Look", beyond),
        ("header-version request 0 Look\nheader-version request 1 Look 1\n", "Look", unused),
        ("header-version request 0 Look 0+\nheader-version request 1 Look 1+\n", "Look", unused),
        ("header-version request 0 flexible\nheader-version request 0 Look 1+\n", "Look", unused),
        (
            "header-version request 1 flexible\nheader-version request 0 flexible\n",
            "flexible",
            unused,
        ),
    ];
    for (text, marked, message) in cases {
        let text = with(text);
        let files =
            [("07_look.schema", API), ("errors.schema", ERRORS), ("headers.schema", &*text)];
        one(&files, "S33", marked, message);
    }
    let text = with("header-version request 0 Look 0\nheader-version request 1 Look 1+\n");
    let files = [("07_look.schema", API), ("errors.schema", ERRORS), ("headers.schema", &*text)];
    assert_eq!(findings(&files), []);
}

#[test]
fn s34_an_api_file_is_named_after_its_api() {
    let files = [("07_lok.schema", API), ("errors.schema", ERRORS)];
    one(&files, "S34", "Look", "the file of this API is named 07_look.schema");
}

#[test]
fn a_finding_shows_the_file_and_the_line() {
    let found = findings(&[("a.schema", &data("versions 0", &["  B  []C  0"]))]);
    let shown = found[0].to_string();
    assert!(shown.contains("error[S6]: unknown struct `C`"), "{shown}");
    assert!(shown.contains("--> a.schema:3:6"), "{shown}");
    assert!(shown.ends_with("3 |   B  []C  0\n  |      ^^^"), "{shown}");
}
