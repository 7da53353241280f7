//! For each rule of the grammar lines that fit it, and lines that do not.

/// Where the lines stand.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// At the top of a file.
    Top,
    /// Below an API.
    Api,
    /// A field of a message.
    Field,
}

impl Place {
    /// The lines with what has to be around them.
    pub(crate) fn around(self, lines: &str) -> String {
        match self {
            Self::Top => format!("{lines}\n"),
            Self::Api => format!("api 1 A\n{lines}\n"),
            Self::Field => format!("data A  versions 0\n  {lines}\n"),
        }
    }
}

/// The rule, the place, what fits, and what does not.
pub(crate) type Sample = (&'static str, Place, &'static [&'static str], &'static [&'static str]);

use Place::{Api, Field, Top};

pub(crate) const SAMPLES: &[Sample] = &[
    ("schema", Top, &["| x", "error 1 A", "api 1 A"], &["  | x", "x", "error 1 A\n| x\n| y\n= z"]),
    ("other", Top, &["api 1 A\ndata B  versions 0\nerror 1 C"], &["api 1 A\nerror 1 C"]),
    ("named", Top, &["data A  versions 0\nerror 1 C"], &["struct A 0"]),
    ("api", Top, &["api -1 A9"], &["api A", "api 1", "api 1 a", "api 1 A b", "api 1 A 2"]),
    ("fact", Api, &["route connection", "deprecated 0"], &["routes connection", "deprecated"]),
    ("fact", Api, &["throttle A", "throttle A  after-response 1"], &["throttle A after 1"]),
    ("fact", Api, &["no-response x y"], &["no-response"]),
    (
        "fact",
        Api,
        &["unstable 1", "unstable 1 until 4.0"],
        &["unstable 1+", "unstable 1 since 4.0"],
    ),
    ("fact", Api, &["error A", "error 9A 1-2"], &["error", "error a", "error A 1 2"]),
    ("fact", Api, &["request versions 0"], &["request", "request A versions 0"]),
    ("lifetime", Api, &["since 4.0 1", "until 4.4 0-2"], &["since 1 4.0", "until 4.4"]),
    ("renamed", Api, &["formerly B 4.1"], &["formerly B", "formerly 4.1 B", "formerly b 4.1"]),
    (
        "renamed",
        Top,
        &["data A  versions 0\nsince 4.0 0\nformerly B 4.1\nbefore 4.1 C absent\nversion 0"],
        &["data A  versions 0\nbefore 4.1 C absent\nformerly B 4.1"],
    ),
    ("before", Api, &["request versions 0\nbefore 4.1 A key"], &["before 4.1 A key"]),
    (
        "path",
        Top,
        &["data A  versions 0\nbefore 4.1 B.C absent"],
        &["data A  versions 0\nbefore 4.1 B. absent", "data A  versions 0\nbefore 4.1 b absent"],
    ),
    (
        "was",
        Top,
        &[
            "data A  versions 0\nbefore 4.1 B type []int8",
            "data A  versions 0\nbefore 4.1 B default -1",
            "data A  versions 0\nbefore 4.1 B  not  key",
            "data A  versions 0\nbefore 4.1 B ignorable",
            "data A  versions 0\nbefore 4.1 B entity none",
        ],
        &[
            "data A  versions 0\nbefore 4.1 B",
            "data A  versions 0\nbefore 4.1 B not absent",
            "data A  versions 0\nbefore 4.1 B absent key",
            "data A  versions 0\nbefore 4.1 B entity",
            "data A  versions 0\nbefore 4.1 B tag 1",
        ],
    ),
    ("release", Api, &["since 3.9 1"], &["since 3.8 1", "since 4.10 1", "since 4 1"]),
    ("listener", Api, &["listeners broker"], &["listeners", "listeners brokers"]),
    ("route", Api, &["route any-broker"], &["route", "route anybroker", "route controller x"]),
    ("note", Api, &["version 1", "version 1 KIP-1 KAFKA-2"], &["version", "version 1+"]),
    ("source", Api, &["version 1 KIP-0"], &["version 1 KIP-", "version 1 KIP", "version 1 X-1"]),
    ("message", Top, &["data A versions 0"], &["data versions 0", "data A  versions 0 x"]),
    ("kind", Top, &["metadata A versions 0", "header A versions 0"], &["record A versions 0"]),
    ("head", Top, &["data A flexible 1+ versions 0 type 2"], &["data A", "data A flexible 1+"]),
    ("versions-of", Top, &["data A versions 0-1"], &["data A versions", "data A version 0"]),
    ("number-of", Top, &["data A type -1 versions 0"], &["data A type x versions 0"]),
    (
        "body",
        Api,
        &["request versions 0\n| x\n  A int8 0"],
        &["request versions 0\n  A int8 0\n| x"],
    ),
    ("struct", Field, &["A X 0\n  struct X 0\n    B int8 0"], &["A X 0\n  struct X\n    B int8 0"]),
    ("struct", Field, &["A X 0\n  struct X 0\n  | x"], &["A X 0\n  struct X 0\n    | x"]),
    (
        "fields",
        Field,
        &["A int8 0\n  B int8 0"],
        &["A int8 0\n      B int8 0", "A int8 0\nB int8 0"],
    ),
    ("field", Field, &["A  int8  0"], &["A int8", "a int8 0", "A 0 int8", "A int8 0 x"]),
    ("type", Field, &["A []B 0", "A []int8 0"], &["A [][]int8 0", "A [] 0", "A int8[] 0"]),
    ("primitive", Field, &["A uint32 0", "A Int9 0"], &["A int9 0", "A uint64 0"]),
    ("attribute", Field, &["A int8 0 key ignorable"], &["A int8 0 keys", "A int8 0 nullable"]),
    (
        "attribute",
        Field,
        &["A int8 0 tag 4294967295 0+"],
        &["A int8 0 tag 0", "A int8 0 tag -1 0+"],
    ),
    ("attribute", Field, &["A int8 0 formerly B 4.0"], &["A int8 0 formerly b 4.0"]),
    ("attribute", Field, &["A int8 0 entity é"], &["A int8 0 entity", "A int8 0 holds"]),
    ("value", Field, &["A int8 0\n  = -1  x y\n  | z"], &["A int8 0\n  = -1", "A int8 0\n  =-1 x"]),
    ("error", Top, &["error 1 A retriable\n> x\n>"], &["error 1", "error 1 A retry", "error A 1"]),
    ("header-rule", Top, &["header-version request 1 A 0"], &["header-version 1 request A"]),
    (
        "condition",
        Top,
        &["header-version response 0 otherwise"],
        &["header-version response 0 otherwise 1", "header-version response 0 api"],
    ),
    ("prose", Field, &["A int8 0\n  |\n  |x\n  | y"], &["A int8 0\n    | x", "A int8 0\n| x"]),
    ("range", Field, &["A int8 007", "A int8 1+", "A int8 1-2"], &["A int8 -2", "A int8 1+2"]),
    ("version", Api, &["unstable 32767"], &["unstable -1", "unstable x", "unstable 1.0"]),
    ("number", Top, &["error -32768 A"], &["error --1 A", "error +1 A", "error 1- A"]),
    (
        "literal",
        Field,
        &["A string 0 default \"a = b\" key", "A int8 0 default 0xfF"],
        &[
            "A string 0 default \"a",
            "A string 0 default \"a\"b",
            "A int8 0 default 0x",
            "A int8 0 default .5",
            "A int8 0 default 1.",
            "A int8 0 default True",
        ],
    ),
    ("digits", Api, &["unstable 00"], &["unstable 1_0"]),
    ("Name", Field, &["A int8 0", "AbC9 int8 0"], &["A_b int8 0", "9A int8 0", "É int8 0"]),
    ("ERROR", Top, &["error 1 A_9", "error 1 _", "error 1 9A"], &["error 1 A-B", "error 1 Ab"]),
    ("word", Field, &["A int8 0 holds =|\""], &["A int8 0 holds"]),
    ("text", Api, &["no-response é = |"], &["no-response"]),
    ("SP", Field, &["A   int8     0"], &["Aint8 0"]),
    (
        "INDENT",
        Field,
        &["A int8 0\n  B int8 0"],
        &["A int8 0\n   B int8 0", "A int8 0\n\tB int8 0"],
    ),
    ("EOL", Field, &["A int8 0\n\n# x\n  B int8 0"], &["A int8 0 ", "A int8 0\n # x"]),
];
