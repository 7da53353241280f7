//! Reads the EBNF of `schemas/GRAMMAR.md`, part 2.

use std::collections::BTreeMap;

/// What recognises a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// The first of these that fits.
    Choice(Vec<Self>),
    /// These, one after the other.
    Sequence(Vec<Self>),
    /// Nothing, or this.
    Optional(Box<Self>),
    /// As often as it fits.
    Repeat(Box<Self>),
    /// This text.
    Text(String),
    /// One character, in words.
    Words(String),
    /// A rule, and its number.
    Rule(String, Level),
}

/// The number in parentheses behind a rule's name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Level {
    /// None.
    None,
    /// `(2)`
    Is(usize),
    /// `(n)` or `(n + 1)`
    More(usize),
}

/// The rules by name.
pub(crate) type Rules = BTreeMap<String, Node>;

/// Reads a grammar.
pub(crate) fn parse(text: &str) -> Result<Rules, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0 };
    let mut rules = Rules::new();
    while parser.at < tokens.len() {
        let (name, _) = parser.name().ok_or_else(|| parser.expected("a rule's name"))?;
        parser.must("=")?;
        let node = parser.choice()?;
        parser.must(";")?;
        if rules.insert(name.clone(), node).is_some() {
            return Err(format!("`{name}` is defined twice"));
        }
    }
    Ok(rules)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Words(String),
    Mark(String),
}

/// Names with their number, texts in quotes, words between question marks, and single characters.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let until = |start: usize, end: &str| {
            rest[start..].split_once(end).ok_or_else(|| format!("no {end} after {rest:.20}"))
        };
        let (token, after) = if rest.starts_with("(*") {
            (None, until(2, "*)")?.1)
        } else if matches!(first, '"' | '\'') {
            let (text, after) = until(1, &first.to_string())?;
            (Some(Token::Text(text.to_owned())), after)
        } else if first == '?' {
            let (words, after) = until(1, "?")?;
            (Some(Token::Words(words.trim().to_owned())), after)
        } else if first.is_ascii_alphabetic() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            (Some(Token::Name(name.to_owned())), after)
        } else {
            (Some(Token::Mark(first.to_string())), &rest[first.len_utf8()..])
        };
        // A number belongs to the name right before it: with a space between, it is a group.
        match (&token, after.starts_with('(')) {
            (Some(Token::Name(name)), true) => {
                let (level, after) = after[1..].split_once(')').ok_or("no `)`")?;
                tokens.push(Token::Name(format!("{name}({level})")));
                rest = after.trim_start();
            }
            _ => {
                tokens.extend(token);
                rest = after.trim_start();
            }
        }
    }
    Ok(tokens)
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl Parser<'_> {
    fn take(&mut self, mark: &str) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Mark(mark.to_owned()));
        self.at += usize::from(found);
        found
    }

    fn must(&mut self, mark: &str) -> Result<(), String> {
        if self.take(mark) { Ok(()) } else { Err(self.expected(mark)) }
    }

    fn expected(&self, what: &str) -> String {
        format!("expected {what} before {:?}", self.tokens.get(self.at))
    }

    fn name(&mut self) -> Option<(String, Level)> {
        let Some(Token::Name(name)) = self.tokens.get(self.at) else { return None };
        self.at += 1;
        let Some((name, level)) = name.split_once('(') else {
            return Some((name.clone(), Level::None));
        };
        let level = match level.trim_end_matches(')') {
            "n" => Level::More(0),
            "n + 1" => Level::More(1),
            number => Level::Is(number.parse().ok()?),
        };
        Some((name.to_owned(), level))
    }

    fn choice(&mut self) -> Result<Node, String> {
        let mut all = vec![self.sequence()?];
        while self.take("|") {
            all.push(self.sequence()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Choice(all) })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut all = vec![self.factor()?];
        while self.take(",") {
            all.push(self.factor()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Sequence(all) })
    }

    fn factor(&mut self) -> Result<Node, String> {
        for (open, close) in [("(", ")"), ("[", "]"), ("{", "}")] {
            if self.take(open) {
                let inner = self.choice()?;
                self.must(close)?;
                return Ok(match open {
                    "(" => inner,
                    "[" => Node::Optional(Box::new(inner)),
                    _ => Node::Repeat(Box::new(inner)),
                });
            }
        }
        let node = match self.tokens.get(self.at) {
            Some(Token::Text(text)) => Node::Text(text.clone()),
            Some(Token::Words(words)) => Node::Words(words.clone()),
            _ => {
                let name = self.name();
                let (name, level) = name.ok_or_else(|| self.expected("a rule or a text"))?;
                return Ok(Node::Rule(name, level));
            }
        };
        self.at += 1;
        Ok(node)
    }
}

/// The rules that a node names.
pub(crate) fn names(node: &Node, found: &mut Vec<String>) {
    match node {
        Node::Choice(all) | Node::Sequence(all) => all.iter().for_each(|node| names(node, found)),
        Node::Optional(node) | Node::Repeat(node) => names(node, found),
        Node::Rule(name, _) => found.push(name.clone()),
        Node::Text(_) | Node::Words(_) => {}
    }
}
