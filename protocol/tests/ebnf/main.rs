//! The EBNF in `schemas/GRAMMAR.md` and the parser say the same of every text: of the schemas, of
//! texts that use each rule, and of all of these with a change.

mod grammar;
mod recogniser;
mod samples;

use grammar::Rules;
use ottla_codegen::parse::parse;
use recogniser::Recogniser;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What the document says in prose: words of the parser's message for each.
const IN_PROSE: &[&str] = &["twice", "is empty: its last version is below its first"];

/// The same of numbers that are too large.
const OF_NUMBERS: &[&str] = &[
    "expected a version from 0 to 32767",
    "expected a version range such as",
    "expected a number from -32768 to 32767",
    "expected a tag number",
    "a number or a text in double quotes",
];

/// A text in which every rule of the grammar has a place.
const EVERYTHING: &str = "\
| What the file is about.
error -1 UNKNOWN_SERVER_ERROR retriable refresh-metadata
| Something.
> Ask again.
>
api 3 Metadata
| Asks.

# A comment.
listeners broker controller
formerly Metadatum 4.1
route any-broker
throttle ThrottleTimeMs after-response 6+
no-response when there is none
since 4.0 1-3
until 4.3 0
unstable 3 until 4.1
unstable 4
deprecated 0-1
error UNKNOWN_SERVER_ERROR
| When it does not know.
error UNKNOWN_SERVER_ERROR 2+
version 1 KIP-12 KAFKA-345
| Same bytes.
version 2
request  versions 0-4  flexible 2+
| Sent once.
  Topics  []Topic  0+  nullable 1+  default null
  | Which.
  = null  all
  | of them
    Name  string  0+  key  entity topicName
      Deep  []int32  0+
  Flag  bool  1+  default true  ignorable
  Number  int64  0-3  default 0x7f
  = -1  none
  Rate  float64  2  default -0.5
  Text  string  0+  default \"a b\"  formerly Words 4.3  inflexible
  Secret  bytes  2+  tag 0 2+  sensitive
  Blob  records  0+  holds record-batch
  One  Shared  0+
  struct Shared 0+
  | Used twice.
    Id  uuid  0+
response flexible 2+ versions 0-4
header RequestHeader  versions 0-2  flexible 2+
until 4.0 0
formerly AskHeader 4.0
before 4.1 Key.Name not ignorable
version 1
error 5 AFTER_A_MESSAGE
coordinator-key Key  type 1  versions 0
coordinator-value Value  type 1  versions 0-1
data Data  versions 0
metadata Record  versions 0  type 2  flexible 0+
header-version request 0 Metadata 0
| Why.
header-version request 2 flexible
header-version response 0 otherwise
";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        let text = fs::read_to_string(folder().join("GRAMMAR.md")).expect("the document");
        let block = text.split("```ebnf\n").nth(1).expect("a block of EBNF");
        let block = block.split("```").next().expect("its end");
        grammar::parse(block).unwrap_or_else(|error| panic!("GRAMMAR.md: {error}"))
    })
}

/// The schemas with their names.
fn schemas() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in [folder(), folder().join("records")] {
        for entry in fs::read_dir(folder).expect("schemas are part of the project") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|suffix| suffix == "schema") {
                let text = fs::read_to_string(&path).expect("a text");
                found.push((path.display().to_string(), text));
            }
        }
    }
    found.sort();
    found
}

/// Without what means nothing; refused where the document says so in prose.
fn stripped(text: &str) -> Result<String, String> {
    let mut kept = String::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if line.contains('\t') || line.ends_with(' ') {
            return Err(format!("a tab, or a space at the end: {line}"));
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if indent % 2 == 1 {
            return Err(format!("odd: {line}"));
        }
        kept.push_str(line);
        kept.push('\n');
    }
    Ok(kept)
}

fn recognise(text: &str) -> Result<BTreeSet<String>, String> {
    let text = stripped(text)?;
    let recogniser = Recogniser::new(rules(), &text);
    recogniser.recognise("schema")?;
    let fitted = recogniser.fitted.borrow();
    Ok(fitted.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn every_rule_is_defined_and_reached() {
    let mut used = vec!["schema".to_owned()];
    rules().values().for_each(|node| grammar::names(node, &mut used));
    let used: BTreeSet<String> = used.into_iter().collect();
    let defined: BTreeSet<String> = rules().keys().cloned().collect();
    assert_eq!(used, defined);
    let fitted = recognise(EVERYTHING).unwrap_or_else(|error| panic!("{error}"));
    // `schema` itself is not a part of another.
    let expected: BTreeSet<String> = defined.into_iter().filter(|name| name != "schema").collect();
    assert_eq!(fitted, expected);
    parse("all.schema", EVERYTHING).unwrap_or_else(|finding| panic!("{finding}"));
}

#[test]
fn every_schema_is_recognised() {
    let schemas = schemas();
    assert!(schemas.len() > 80, "only {} schemas", schemas.len());
    for (name, text) in schemas {
        recognise(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Both accept the text, or both refuse it; which.
fn alike(text: &str) -> bool {
    match (recognise(text), parse("changed.schema", text)) {
        (Ok(_), Ok(_)) => true,
        (Err(_), Err(_)) => false,
        (Ok(_), Err(finding)) => {
            let finding = finding.to_string();
            let says = |all: &[&str]| all.iter().any(|words| finding.contains(words));
            let mut numbers = text.split(|c: char| !c.is_ascii_digit());
            let large = numbers.any(|digits| digits.len() >= 5);
            let in_prose = says(IN_PROSE) || large && says(OF_NUMBERS);
            assert!(in_prose, "the EBNF has it, the parser not: {finding}\n{text}");
            false
        }
        (Err(error), Ok(_)) => panic!("the parser takes it, the EBNF not: {error}\n{text}"),
    }
}

#[test]
fn each_rule_has_lines_that_fit_and_lines_that_do_not() {
    let mut sampled = BTreeSet::new();
    for (rule, place, fitting, others) in samples::SAMPLES {
        sampled.insert((*rule).to_owned());
        for lines in *fitting {
            assert!(alike(&place.around(lines)), "{rule}: refused: {lines:?}");
        }
        for lines in *others {
            assert!(!alike(&place.around(lines)), "{rule}: accepted: {lines:?}");
        }
    }
    let characters = ["digit", "hex", "upper", "letter", "capital"];
    let rules: BTreeSet<String> = rules().keys().cloned().collect();
    sampled.extend(characters.map(str::to_owned));
    assert_eq!(sampled, rules);
}

/// A small generator (xorshift), so that every run is the same.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }

    /// Changes a line or two.
    fn change(&mut self, text: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (at, other) = (self.below(lines.len()), self.below(lines.len()));
        let line = lines[at].clone();
        let words: Vec<&str> = line.split(' ').collect();
        let (word, second) = (self.below(words.len()), self.below(words.len()));
        let from: Vec<&str> = text.split_whitespace().collect();
        let foreign = from[self.below(from.len())];
        let replaced = |by: &[&str]| [&words[..word], by, &words[word + 1..]].concat().join(" ");
        match self.below(14) {
            0 => drop(lines.remove(at)),
            1 => lines.swap(at, other),
            2 => lines.insert(at, lines[other].clone()),
            3 => lines[at] = replaced(&[]),
            4 => lines[at] = replaced(&[words[word], words[word]]),
            5 => {
                let mut words = words.clone();
                words.swap(word, second);
                lines[at] = words.join(" ");
            }
            6 => lines[at] = format!("  {line}"),
            7 => lines[at] = line.strip_prefix("  ").unwrap_or(&line).to_owned(),
            8 | 9 => lines[at] = replaced(&[foreign]),
            10 => {
                let odd = ["\"", "-", "+", "0x", "[]", "9", "a", "A", "|", "=", "1.5", "é", "_"];
                let odd = odd[self.below(odd.len())];
                let chars: Vec<char> = line.chars().collect();
                let (before, after) = chars.split_at(self.below(chars.len() + 1));
                let (before, after): (String, String) =
                    (before.iter().collect(), after.iter().collect());
                lines[at] = format!("{before}{odd}{after}");
            }
            11 | 12 => {
                let mut chars: Vec<char> = line.chars().collect();
                if !chars.is_empty() {
                    chars.remove(self.below(chars.len()));
                }
                lines[at] = chars.into_iter().collect();
            }
            _ => lines[at] = format!("{line} {foreign}"),
        }
        lines.join("\n") + "\n"
    }
}

#[test]
fn changed_schemas_are_accepted_or_refused_alike() {
    let short = ["12_heartbeat", "18_api_versions", "/headers", "36_sasl", "control_records"];
    let mut texts: Vec<String> = schemas()
        .into_iter()
        .filter(|(name, _)| short.iter().any(|part| name.contains(part)))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(texts.len(), short.len());
    texts.push(EVERYTHING.to_owned());
    let errors = fs::read_to_string(folder().join("errors.schema")).expect("a schema");
    texts.push(errors.lines().take(60).collect::<Vec<_>>().join("\n") + "\n");
    let mut random = Random(0x0771a);
    let (mut accepted, mut refused) = (0, 0);
    for text in &texts {
        for _ in 0..if text == EVERYTHING { 1_500 } else { 150 } {
            let changed = random.change(text);
            *if alike(&changed) { &mut accepted } else { &mut refused } += 1;
        }
    }
    assert!(accepted > 200 && refused > 800, "{accepted} accepted, {refused} refused");
}

#[test]
fn what_is_no_ebnf_is_refused() {
    for (text, reason) in [
        ("a = b", "expected ; before None"),
        ("a = ;", "expected a rule or a text before Some(Mark(\";\"))"),
        ("a = [ b ;", "expected ] before Some(Mark(\";\"))"),
        ("a = b ; a = c ;", "`a` is defined twice"),
        ("a = \"b ;", "no \" after \"b ;"),
    ] {
        assert_eq!(grammar::parse(text).err().as_deref(), Some(reason), "{text}");
    }
}
