//! Reads ABNF: RFC 5234 without `char-val`, which octets have no use for, and with prose-vals of
//! the forms that `schemas/kafka.abnf` describes.

use std::collections::BTreeMap;

/// What matches octets.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// One of these.
    Alternatives(Vec<Self>),
    /// These, one after the other.
    Sequence(Vec<Self>),
    /// At least and at most so many times.
    Repeat(usize, usize, Box<Self>),
    /// A rule.
    Rule(String),
    /// One octet from the first to the last.
    Range(u8, u8),
    /// What is counted or summed by octets before it.
    Prose(Prose),
}

/// A prose-val.
#[derive(Debug, Clone)]
pub(crate) struct Prose {
    /// The rule that is matched.
    pub(crate) rule: String,
    /// How.
    pub(crate) how: How,
    /// The rule that has the number.
    pub(crate) number: String,
}

/// What a prose-val says of its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// So many octets, less this.
    For(i64),
    /// So many times, less this.
    Times(i64),
    /// The rest, of this checksum: that of the polynomial.
    Under(u32),
}

/// The rules by name.
pub(crate) type Rules = BTreeMap<String, Node>;

/// Reads a grammar.
pub(crate) fn parse(text: &str) -> Result<Rules, String> {
    let mut rules = Rules::new();
    rules.insert("OCTET".to_owned(), Node::Range(0, 0xff));
    for (number, rule) in logical_lines(text)? {
        let at = |reason: String| format!("line {number}: {reason}");
        let (name, rest) = rule.split_once('=').ok_or_else(|| at("expected `=`".to_owned()))?;
        let name = name.trim_end();
        if !is_name(name) {
            return Err(at(format!("`{name}` is no rule's name")));
        }
        let mut parser = Parser { rest: rest.strip_prefix('/').unwrap_or(rest) };
        let node = parser.alternatives().map_err(at)?;
        parser.end().map_err(at)?;
        match (rules.get_mut(name), rest.starts_with('/')) {
            (Some(before), true) => {
                *before = Node::Alternatives(vec![before.clone(), node]);
            }
            (None, false) => drop(rules.insert(name.to_owned(), node)),
            (Some(_), false) => return Err(at(format!("`{name}` is defined twice"))),
            (None, true) => return Err(at(format!("`{name}` is extended before it is defined"))),
        }
    }
    Ok(rules)
}

/// Rules without comments, each on one line, with the number of its first one.
fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, String> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // RFC 5234 has visible ASCII, also in comments.
        if let Some(odd) = line.chars().find(|c| !(' '..='~').contains(c)) {
            return Err(format!("line {}: {odd:?} is not ASCII", index + 1));
        }
        let line = line.split(';').next().unwrap_or("").trim_end();
        if line.is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            lines.push((index + 1, line.to_owned()));
            continue;
        }
        let Some((_, rule)) = lines.last_mut() else {
            return Err(format!("line {}: a continuation of nothing", index + 1));
        };
        rule.push_str(line);
    }
    Ok(lines)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn take(&mut self, mark: char) -> bool {
        self.skip();
        let after = self.rest.strip_prefix(mark);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn while_(&mut self, of: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !of(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn end(&mut self) -> Result<(), String> {
        self.skip();
        if self.rest.is_empty() { Ok(()) } else { Err(format!("cannot read `{}`", self.rest)) }
    }

    fn alternatives(&mut self) -> Result<Node, String> {
        let mut all = vec![self.sequence()?];
        while self.take('/') {
            all.push(self.sequence()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Alternatives(all) })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut all = Vec::new();
        loop {
            self.skip();
            if self.rest.is_empty() || self.rest.starts_with(['/', ')', ']']) {
                break;
            }
            all.push(self.repetition()?);
        }
        match all.len() {
            0 => Err(format!("expected an element before `{}`", self.rest)),
            1 => Ok(all.remove(0)),
            _ => Ok(Node::Sequence(all)),
        }
    }

    fn repetition(&mut self) -> Result<Node, String> {
        let digits = |text: &str, none| text.parse().unwrap_or(none);
        let least = self.while_(|c| c.is_ascii_digit());
        if self.rest.starts_with('*') {
            self.rest = &self.rest[1..];
            let most = self.while_(|c| c.is_ascii_digit());
            let (least, most) = (digits(least, 0), digits(most, usize::MAX));
            return Ok(Node::Repeat(least, most, Box::new(self.element()?)));
        }
        let element = self.element()?;
        Ok(match least {
            "" => element,
            exactly => Node::Repeat(digits(exactly, 0), digits(exactly, 0), Box::new(element)),
        })
    }

    fn element(&mut self) -> Result<Node, String> {
        let before = self.rest;
        let closed = |parser: &mut Self, mark: char, node| {
            if parser.take(mark) { Ok(node) } else { Err(format!("expected `{mark}`")) }
        };
        if self.rest.starts_with('(') {
            self.take('(');
            let inner = self.alternatives()?;
            return closed(self, ')', inner);
        }
        if self.rest.starts_with('[') {
            self.take('[');
            let inner = Node::Repeat(0, 1, Box::new(self.alternatives()?));
            return closed(self, ']', inner);
        }
        if let Some(rest) = self.rest.strip_prefix("%x") {
            self.rest = rest;
            return self.octets();
        }
        if let Some(rest) = self.rest.strip_prefix('<') {
            let (prose, rest) = rest.split_once('>').ok_or("expected `>`")?;
            self.rest = rest;
            return prose_val(prose).map(Node::Prose);
        }
        let name = self.while_(|c| c.is_ascii_alphanumeric() || c == '-');
        if is_name(name) {
            return Ok(Node::Rule(name.to_owned()));
        }
        Err(format!("expected an element before `{before}`"))
    }

    /// What follows `%x`.
    fn octets(&mut self) -> Result<Node, String> {
        let first = self.octet()?;
        if self.rest.starts_with('-') {
            self.rest = &self.rest[1..];
            return Ok(Node::Range(first, self.octet()?));
        }
        let mut all = vec![Node::Range(first, first)];
        while self.rest.starts_with('.') {
            self.rest = &self.rest[1..];
            let next = self.octet()?;
            all.push(Node::Range(next, next));
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Sequence(all) })
    }

    fn octet(&mut self) -> Result<u8, String> {
        let digits = self.while_(|c| c.is_ascii_hexdigit());
        u8::from_str_radix(digits, 16).map_err(|_| format!("`{digits}` is no octet"))
    }
}

fn prose_val(text: &str) -> Result<Prose, String> {
    let words: Vec<&str> = text.split(' ').collect();
    let (rule, how, number) = match words[..] {
        [rule, "for", number] => (rule, How::For(0), number),
        [rule, "for", number, "less", "1"] => (rule, How::For(1), number),
        [rule, "times", number] => (rule, How::Times(0), number),
        [rule, "times", number, "less", "1"] => (rule, How::Times(1), number),
        [rule, "under", "crc-32", number] => (rule, How::Under(0xedb8_8320), number),
        [rule, "under", "crc-32c", number] => (rule, How::Under(0x82f6_3b78), number),
        _ => return Err(format!("<{text}> has none of the documented forms")),
    };
    Ok(Prose { rule: rule.to_owned(), how, number: number.to_owned() })
}

/// The rules that a node names.
pub(crate) fn names(node: &Node, found: &mut Vec<String>) {
    match node {
        Node::Alternatives(all) | Node::Sequence(all) => {
            all.iter().for_each(|node| names(node, found));
        }
        Node::Repeat(_, _, node) => names(node, found),
        Node::Rule(name) => found.push(name.clone()),
        Node::Range(..) => {}
        Node::Prose(prose) => found.extend([prose.rule.clone(), prose.number.clone()]),
    }
}
