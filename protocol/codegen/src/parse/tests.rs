//! What the parser reads, and what it says of lines that it cannot read.

use super::parse;
use crate::ast::{
    Base, Bound, Direction, HeaderCondition, Item, Kind, Literal, Message, Route, Type, Was,
};
use crate::range::Range;

fn read(source: &str) -> Vec<Item> {
    parse("test.schema", source).unwrap_or_else(|finding| panic!("{finding}")).items
}

fn message(source: &str) -> Message {
    match read(source).remove(0) {
        Item::Message(message) => *message,
        other => panic!("expected a message, found {other:?}"),
    }
}

/// The finding for a source that cannot be read: (line, column, width, message).
fn refused(source: &str) -> (usize, usize, usize, String) {
    let finding = parse("test.schema", source).expect_err("the source should be refused");
    assert_eq!(finding.rule, "syntax");
    (finding.span.line, finding.span.column, finding.span.width, finding.message)
}

/// The same for a single field line in a message.
fn refused_field(line: &str) -> (usize, usize, String) {
    let (number, column, width, text) = refused(&format!("data A  versions 0-9\n  {line}\n"));
    assert_eq!(number, 2);
    (column - 2, width, text)
}

#[test]
fn a_field_has_name_type_versions_and_attributes() {
    let read = message(
        "data A  versions 0-4  flexible 2+\n\
         | What it is for.\n\
         \x20 Owner  []Owner  1+  nullable 2+  default null  tag 3 2+  ignorable  key\n\
         \x20 | First line\n\
         \x20 | second line.\n\
         \x20   Id  int32  1-3  default 0x7f  entity brokerId\n\
         \x20   = -1  nobody\n\
         \x20   | and nothing\n\
         \x20   Name  string  1+  default \"a b\"  inflexible\n\
         \x20 Data  bytes  0  sensitive  holds token\n",
    );
    assert_eq!(read.kind, Kind::Data);
    assert_eq!(read.versions.value, Range::closed(0, 4));
    assert_eq!(read.flexible.as_ref().map(|range| range.value.to_string()), Some("2+".into()));
    assert_eq!(read.prose, ["What it is for."]);
    let [owner, data] = &read.fields[..] else { panic!("two fields: {:?}", read.fields) };
    assert!(owner.ty.value.array);
    assert_eq!(owner.ty.value.base, Base::Struct("Owner".into()));
    assert_eq!(owner.nullable.as_ref().map(|range| range.value.first), Some(2));
    assert_eq!(owner.default.as_ref().map(|value| value.value.clone()), Some(Literal::Null));
    let tag = owner.tag.as_ref().expect("a tag");
    assert_eq!((tag.number.value, tag.versions.value.to_string()), (3, "2+".into()));
    assert!(owner.ignorable && owner.key.is_some());
    assert_eq!(owner.prose, ["First line", "second line."]);
    let [id, name] = &owner.fields[..] else { panic!("two members: {:?}", owner.fields) };
    assert_eq!(
        id.default.as_ref().map(|value| value.value.clone()),
        Some(Literal::Int(127, "0x7f".into()))
    );
    assert_eq!(id.values[0].prose, "nobody and nothing");
    assert_eq!(
        name.default.as_ref().map(|value| value.value.clone()),
        Some(Literal::String("a b".into()))
    );
    assert!(name.inflexible.is_some());
    assert!(data.sensitive.is_some());
    assert_eq!(data.holds.as_ref().map(|holds| holds.value.as_str()), Some("token"));
}

#[test]
fn an_api_has_facts_errors_notes_and_two_halves() {
    let source = "# a comment\napi 7 Look\n| Looks.\n\nlisteners broker controller\n\
                  route controller\n\
                  throttle DelayMs after-response 1+\nno-response Acks is 0\nunstable 2\n\
                  deprecated 0-1\nerror NOT_CONTROLLER 1+\n| Elsewhere.\nversion 1 KIP-1 KAFKA-2\n\
                  | Adds.\n\nrequest  versions 0-2\n  Acks  int16  0+\n\
                  response  versions 0-2\n  DelayMs  int32  0+\n";
    let Item::Api(api) = read(source).remove(0) else { panic!("an API") };
    assert_eq!((api.key.value, api.name.value.as_str()), (7, "Look"));
    assert_eq!(api.listeners.len(), 2);
    assert_eq!(api.route.as_ref().map(|route| route.value), Some(Route::Controller));
    let throttle = api.throttle.as_ref().expect("a throttle");
    assert_eq!(throttle.after_response.as_ref().map(|range| range.value.first), Some(1));
    assert_eq!(api.no_response.as_ref().map(|no| no.value.as_str()), Some("Acks is 0"));
    assert_eq!(api.unstable.as_ref().map(|version| version.value), Some(2));
    assert_eq!(api.deprecated.as_ref().map(|range| range.value), Some(Range::closed(0, 1)));
    assert_eq!(api.errors[0].name.value, "NOT_CONTROLLER");
    assert_eq!(api.versions[0].sources, ["KIP-1", "KAFKA-2"]);
    let names = api.request.iter().chain(&api.response).map(|half| half.name.value.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["LookRequest", "LookResponse"]);
}

#[test]
fn lifetimes_and_former_names_are_read() {
    let source = "api 7 Look\n| Looks.\nuntil 4.0 0\nsince 4.4 3\nunstable 2 until 4.2\n\
                  unstable 3\nrequest  versions 0-3\n  New  int8  0+  formerly Old 4.1\n";
    let Item::Api(api) = read(source).remove(0) else { panic!("an API") };
    let lifetimes: Vec<_> = api
        .lifetimes
        .iter()
        .map(|l| (l.bound, l.release.value.to_string(), l.versions.value.to_string()))
        .collect();
    let text = |release: &str, versions: &str| (release.to_owned(), versions.to_owned());
    for (at, bound, (release, versions)) in [
        (0, Bound::Until, text("4.0", "0")),
        (1, Bound::Since, text("4.4", "3")),
        (2, Bound::UnstableUntil, text("4.2", "2")),
    ] {
        assert_eq!(lifetimes[at], (bound, release, versions));
    }
    assert_eq!(api.unstable.as_ref().map(|version| version.value), Some(3));
    let request = api.request.as_ref().expect("a request");
    let (name, release) = request.fields[0].former.as_ref().expect("a former name");
    assert_eq!((name.value.as_str(), release.value.to_string().as_str()), ("Old", "4.1"));
    let items = read("data A  versions 0-1\n| A.\nsince 4.1 1\nversion 1\n| More.\n");
    let Item::Message(message) = &items[0] else { panic!("a message") };
    assert_eq!((message.lifetimes.len(), message.notes.len()), (1, 1));
    let items = read(
        "data A  versions 0\n| A.\nformerly Z 4.1\nbefore 4.1 B.C type []uint16\nbefore 4.0 B not \
         key\nbefore 4.2 B entity none\nbefore 4.2 B default null\n  B  int8  0\n",
    );
    let Item::Message(message) = &items[0] else { panic!("a message") };
    assert_eq!(message.former.as_ref().map(|(name, _)| &*name.value), Some("Z"));
    let was: Vec<&Was> = message.before.iter().map(|before| &before.was.value).collect();
    let former = Type { array: true, base: Base::Uint16 };
    let expected =
        [Was::Type(former), Was::Key(false), Was::Entity(None), Was::Default(Literal::Null)];
    assert_eq!(was, expected.iter().collect::<Vec<_>>());
    assert_eq!(message.before[0].path.value, ["B", "C"]);
    let items = read("header-version request 0 Look 0-1\n| Why.\n");
    let Item::HeaderVersion(rule) = &items[0] else { panic!("a rule") };
    let look = HeaderCondition::Api("Look".into(), Some(Range::closed(0, 1)));
    assert_eq!(rule.condition.value, look);
}

#[test]
fn errors_header_rules_structs_and_records_are_read() {
    let items = read(
        "| Top.\n\nerror -1 UNKNOWN  retriable  refresh-metadata\n| What.\n> Next.\n\
         header-version response 0 Look\n| Why.\nheader-version request 1 otherwise\n\
         coordinator-key K  type 3  versions 0\n  Parts  []Part  0\n  struct Part  0\n  | A part.\n\
         \x20   Id  int32  0\n",
    );
    let [
        Item::Error(error),
        Item::HeaderVersion(first),
        Item::HeaderVersion(second),
        Item::Message(key),
    ] = &items[..]
    else {
        panic!("four items: {items:?}")
    };
    assert_eq!((error.code.value, error.retriable, error.refresh_metadata), (-1, true, true));
    assert_eq!((error.prose.len(), error.advice.len()), (1, 1));
    assert_eq!(first.direction.value, Direction::Response);
    assert_eq!(first.condition.value, HeaderCondition::Api("Look".into(), None));
    assert_eq!(second.condition.value, HeaderCondition::Otherwise);
    assert_eq!((key.kind, key.number.as_ref().map(|n| n.value)), (Kind::CoordinatorKey, Some(3)));
    assert_eq!(key.structs[0].fields[0].name.value, "Id");
}

/// A source, (line, column, width) of its finding, and how the message begins.
type Case = (&'static str, (usize, usize, usize), &'static str);

const REFUSED: &[Case] = &[
    ("data A\tversions 0\n", (1, 7, 1), "a tab: indent and separate with spaces"),
    ("data A  versions 0  \n", (1, 19, 2), "spaces at the end of the line: remove them"),
    (
        "data A  versions 0\n   B  int8  0\n",
        (2, 1, 3),
        "an odd indentation: each level is two spaces",
    ),
    ("  B  int8  0\n", (1, 3, 10), "an indented line that belongs to nothing above it"),
    ("thing A\n", (1, 1, 5), "unknown definition `thing`: expected api, header, header-version"),
    (
        "data A  versions 0\n\ndata B  versions 0\n\n  | lost\n",
        (5, 3, 6),
        "prose at another indentation than what it describes",
    ),
    (
        "data A  versions 0\n  B  int8  0\n      C  int8  0\n",
        (3, 7, 10),
        "a field at an indentation that does not fit",
    ),
    (
        "data A  versions 0\n  b  int8  0\n",
        (2, 3, 10),
        "expected a field, which begins with its name in CamelCase",
    ),
    (
        "data A  versions 0\n  B  X  0\n    struct X  0\n",
        (3, 5, 11),
        "a struct is indented by two spaces, after all fields",
    ),
    ("data A\n", (1, 7, 1), "expected `versions` and a version range"),
    ("data\n", (1, 5, 1), "expected the message's name here, the line ends"),
    ("data A  version 0\n", (1, 9, 7), "expected type, versions or flexible, found `version`"),
    ("data A  versions 0\nbefore 4.1 B lost\n", (2, 14, 4), "expected absent, type, default,"),
    ("data A  versions 0\nbefore 4.1 B not lost\n", (2, 18, 4), "expected ignorable or key"),
    ("data A  versions 0\nbefore 4.9 B absent\n", (2, 8, 3), "unknown release `4.9`"),
    ("data A  versions 0  versions 1\n", (1, 21, 8), "`versions` is written twice"),
    ("metadata A  type 1  type 2  versions 0\n", (1, 21, 4), "`type` is written twice"),
    (
        "data A  versions 5-3\n",
        (1, 18, 3),
        "the range `5-3` is empty: its last version is below its first",
    ),
    (
        "data A  versions x\n",
        (1, 18, 1),
        "expected a version range such as 3, 3-13 or 9+, found `x`",
    ),
    ("data a  versions 0\n", (1, 6, 1), "expected a name in CamelCase, found `a`"),
    ("error 99999 A\n", (1, 7, 5), "expected a number from -32768 to 32767, found `99999`"),
    ("error 1 lower\n", (1, 9, 5), "expected an error name in UPPER_CASE, found `lower`"),
    (
        "error 1 A  maybe\n",
        (1, 12, 5),
        "unknown property `maybe`: expected retriable or refresh-metadata",
    ),
    ("header-version both 1 otherwise\n", (1, 16, 4), "expected request or response, found `both`"),
    ("header-version request 1 otherwise x\n", (1, 36, 1), "expected the line to end"),
    (
        "data A  versions 0-1\nversion 1 JIRA-1\n",
        (2, 11, 6),
        "expected a source such as KIP-482 or KAFKA-9577, found `JIRA-1`",
    ),
    (
        "data A  versions 0-1\nversion one\n",
        (2, 9, 3),
        "expected a version from 0 to 32767, found `one`",
    ),
];

#[test]
fn lines_are_refused_with_the_place() {
    for (source, place, message) in REFUSED {
        let (line, column, width, text) = refused(source);
        assert!(text.starts_with(message), "{source}: {text}");
        assert_eq!((line, column, width), *place, "{source}: {text}");
    }
}

#[test]
fn api_facts_are_refused_with_the_place() {
    let cases = [
        (
            "listeners broker brokr",
            (18, 5),
            "unknown listener `brokr`: expected broker, controller or zk-broker",
        ),
        (
            "route leader",
            (7, 6),
            "unknown route `leader`: expected any-broker, connection, partition-leader",
        ),
        ("throttle DelayMs before 1+", (18, 6), "expected after-response, found `before`"),
        ("no-response", (12, 1), "expected a condition here, the line ends"),
        ("unstable 1 2", (12, 1), "expected until, found `2`"),
        ("unstable 1 until 9.9", (18, 3), "unknown release `9.9`: expected 3.9, 4.0"),
        ("since 4.4 1 2", (13, 1), "expected the line to end"),
        ("retries 3", (1, 7), "unknown fact `retries`: expected listeners, route, throttle"),
    ];
    for (line, (column, width), message) in cases {
        let (number, at, marked, text) = refused(&format!("api 1 A\n{line}\n"));
        assert!(text.starts_with(message), "{line}: {text}");
        assert_eq!((number, at, marked), (2, column, width), "{line}: {text}");
    }
    let (line, .., text) = refused("api 1 A\nroute controller\nroute controller\n");
    assert_eq!((line, text.as_str()), (3, "the API has `route` twice"));
}

#[test]
fn fields_are_refused_with_the_place() {
    let cases = [
        ("B", (2, 1), "expected the field's type here, the line ends"),
        ("B  strng  0+", (4, 5), "unknown type `strng`: expected bool, int8, int16"),
        (
            "B  [][]int8  0+",
            (4, 8),
            "`[][]int8` is an array of arrays, which the protocol does not have",
        ),
        ("B  int8", (8, 1), "expected the versions that have the field here, the line ends"),
        (
            "B  int8  0+  optional",
            (14, 8),
            "unknown attribute `optional`: expected nullable, default, tag",
        ),
        ("B  int8  0+  key  key", (19, 3), "`key` is written twice"),
        ("B  int8  0+  tag x 0+", (18, 1), "expected a tag number, found `x`"),
        (
            "B  int8  0+  default 1x",
            (22, 2),
            "expected null, true, false, a number or a text in double quotes, found `1x`",
        ),
        ("B  string  0+  default \"a", (24, 2), "the text has no closing double quote"),
        ("B  string  0+  default \"\"key", (26, 1), "expected a space, or the end of the line"),
        (
            "B  string  0+  nullable",
            (24, 1),
            "expected the versions that may be null here, the line ends",
        ),
    ];
    for (line, place, message) in cases {
        let (column, width, text) = refused_field(line);
        assert!(text.starts_with(message), "{line}: {text}");
        assert_eq!((column, width), place, "{line}: {text}");
    }
}

#[test]
fn columns_count_characters_and_not_bytes() {
    let (_, column, width, _) = refused("data A  versions 0\n  B  string  0  default \"ä\" x\n");
    assert_eq!((column, width), (29, 1));
}

#[test]
fn damaged_schemas_are_read_or_refused_without_a_panic() {
    let source = "api 7 Look\n| Looks é.\nlisteners broker\nerror NONE 1+\n| Ok.\nversion 1 KIP-1\n\
                  request  versions 0-1  flexible 1+\n  A  []B  0+  nullable 1+  default null\n\
                  \x20   C  string  0+  default \"x\"  tag 0 1+\n    = \"x\"  text\n";
    for at in (0..source.len()).filter(|at| source.is_char_boundary(*at)) {
        for piece in ["", "🚀", " ", "\n", "\"", "[]", "-", "99999999999999999999"] {
            let damaged = format!("{}{piece}{}", &source[..at], &source[at..]);
            if let Err(finding) = parse("test.schema", &damaged) {
                assert!(finding.to_string().contains('^'), "{finding}");
            }
        }
        if let Err(finding) = parse("test.schema", &source[..at]) {
            assert!(finding.span.width > 0, "{finding}");
        }
    }
}
