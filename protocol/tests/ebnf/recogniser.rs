//! Recognises a text by the rules.

use crate::grammar::{Level, Node, Rules};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// The rules at work on a text.
pub(crate) struct Recogniser<'r> {
    rules: &'r Rules,
    text: &'r str,
    /// The rules that have fitted somewhere.
    pub(crate) fitted: RefCell<BTreeSet<&'r str>>,
    /// The furthest place that was reached.
    furthest: RefCell<usize>,
}

impl<'r> Recogniser<'r> {
    /// A text without empty lines and comments.
    pub(crate) fn new(rules: &'r Rules, text: &'r str) -> Self {
        Self { rules, text, fitted: RefCell::default(), furthest: RefCell::default() }
    }

    /// Whether all of the text fits the rule; if not, the line where it does not.
    pub(crate) fn recognise(&self, rule: &str) -> Result<(), String> {
        if self.end(&self.rules[rule], 0, 0) == Some(self.text.len()) {
            return Ok(());
        }
        let furthest = *self.furthest.borrow();
        let before = &self.text[..furthest];
        let line = self.text.lines().nth(before.matches('\n').count()).unwrap_or_default();
        Err(format!("after `{}` in `{line}`", before.lines().last().unwrap_or_default()))
    }

    /// Where the node ends that begins at a place; n is the number of the rule at hand.
    fn end(&self, node: &'r Node, at: usize, n: usize) -> Option<usize> {
        if at > *self.furthest.borrow() {
            *self.furthest.borrow_mut() = at;
        }
        let rest = &self.text[at..];
        match node {
            Node::Choice(all) => all.iter().find_map(|node| self.end(node, at, n)),
            Node::Sequence(all) => all.iter().try_fold(at, |at, node| self.end(node, at, n)),
            Node::Optional(node) => Some(self.end(node, at, n).unwrap_or(at)),
            Node::Repeat(node) => {
                let mut at = at;
                while let Some(end) = self.end(node, at, n).filter(|end| *end > at) {
                    at = end;
                }
                Some(at)
            }
            Node::Text(text) => rest.starts_with(text).then(|| at + text.len()),
            Node::Words(words) => self.words(words, rest, n).map(|len| at + len),
            Node::Rule(name, level) => {
                let n = match level {
                    Level::None => 0,
                    Level::Is(number) => *number,
                    Level::More(more) => n + more,
                };
                let (name, node) = self.rules.get_key_value(name).expect("rules are defined");
                let end = self.end(node, at, n)?;
                self.fitted.borrow_mut().insert(name);
                Some(end)
            }
        }
    }

    /// How many bytes fit what the words say.
    fn words(&self, words: &str, rest: &str, n: usize) -> Option<usize> {
        let first = rest.chars().next().filter(|c| *c != '\n');
        let one = |fits: fn(char) -> bool| first.filter(|c| fits(*c)).map(char::len_utf8);
        match words {
            "any character" => one(|_| true),
            "any character but a space" => one(|c| c != ' '),
            "any character but a double quote" => one(|c| c != '"'),
            "0 to 9" => one(|c| c.is_ascii_digit()),
            "0 to 9, a to f, A to F" => one(|c| c.is_ascii_hexdigit()),
            "A to Z" => one(|c| c.is_ascii_uppercase()),
            "A to Z, a to z, 0 to 9" => one(|c| c.is_ascii_alphanumeric()),
            "A to Z, 0 to 9, _" => {
                one(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            }
            "the end of the line" => rest.starts_with('\n').then_some(1),
            "2 n spaces, and then no space" => {
                let spaces = rest.len() - rest.trim_start_matches(' ').len();
                (spaces == 2 * n).then_some(spaces)
            }
            other => panic!("no character is `{other}`"),
        }
    }
}
