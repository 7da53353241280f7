//! Whether octets match a rule.

use crate::grammar::{How, Node, Prose, Rules};

/// The grammar and the octets.
pub(crate) struct Matcher<'r> {
    rules: &'r Rules,
    octets: &'r [u8],
}

/// The rules that have matched so far in the rule at hand, and where.
type Scope<'r> = Vec<(&'r str, usize, usize)>;

/// Where a match may end, and what has matched by then.
type Ends<'r> = Vec<(usize, Scope<'r>)>;

/// Whether all of the octets match the rule.
pub(crate) fn matches(rules: &Rules, rule: &str, octets: &[u8]) -> bool {
    let matcher = Matcher { rules, octets };
    matcher.whole(rule, 0, octets.len())
}

/// A CRC of 32 bits, bit by bit.
fn checksum(polynomial: u32, octets: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for octet in octets {
        sum ^= u32::from(*octet);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ polynomial } else { sum >> 1 };
        }
    }
    !sum
}

impl<'r> Matcher<'r> {
    fn rule(&self, name: &str) -> &'r Node {
        self.rules.get(name).unwrap_or_else(|| panic!("no rule is named `{name}`"))
    }

    fn whole(&self, rule: &str, at: usize, end: usize) -> bool {
        let anything = |node: &Node| matches!(node, Node::Rule(name) if name == "OCTET");
        match self.rule(rule) {
            Node::Repeat(0, usize::MAX, node) if anything(node) => true,
            node => self.ends(node, at, end, &Scope::new()).iter().any(|(at, _)| *at == end),
        }
    }

    /// The ends of matches of a rule, without what matched inside.
    fn rule_ends(&self, rule: &str, at: usize, end: usize) -> Vec<usize> {
        let found = self.ends(self.rule(rule), at, end, &Scope::new());
        let mut ends: Vec<usize> = found.into_iter().map(|(at, _)| at).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    fn ends(&self, node: &'r Node, at: usize, end: usize, scope: &Scope<'r>) -> Ends<'r> {
        match node {
            Node::Range(first, last) => {
                let fits = at < end && (*first..=*last).contains(&self.octets[at]);
                if fits { vec![(at + 1, scope.clone())] } else { Vec::new() }
            }
            Node::Alternatives(all) => {
                all.iter().flat_map(|node| self.ends(node, at, end, scope)).collect()
            }
            Node::Sequence(all) => {
                let mut found = vec![(at, scope.clone())];
                for node in all {
                    let next = |(at, scope): &(usize, Scope<'r>)| self.ends(node, *at, end, scope);
                    found = found.iter().flat_map(next).collect();
                }
                found
            }
            Node::Repeat(least, most, node) => {
                let next = |at| self.ends(node, at, end, &Scope::new());
                let ends = repeat((*least, *most), at, |at| {
                    next(at).into_iter().map(|(at, _)| at).collect()
                });
                ends.into_iter().map(|at| (at, scope.clone())).collect()
            }
            Node::Rule(name) => self
                .rule_ends(name, at, end)
                .into_iter()
                .map(|to| {
                    let mut scope = scope.clone();
                    scope.push((name, at, to));
                    (to, scope)
                })
                .collect(),
            Node::Prose(prose) => {
                let ends = self.prose(prose, at, end, scope);
                ends.into_iter().map(|at| (at, scope.clone())).collect()
            }
        }
    }

    fn prose(&self, prose: &Prose, at: usize, end: usize, scope: &Scope<'_>) -> Vec<usize> {
        let found = scope.iter().rev().find(|(name, ..)| *name == prose.number);
        let (name, from, to) = found.unwrap_or_else(|| panic!("`{}` is not before", prose.number));
        let number = self.number(name, *from, *to);
        match prose.how {
            How::For(less) => {
                let len = usize::try_from(number - less).ok().filter(|len| *len <= end - at);
                let to = len.map(|len| at + len).filter(|to| self.whole(&prose.rule, at, *to));
                to.into_iter().collect()
            }
            How::Times(less) => {
                // Each takes an octet at least.
                let times = usize::try_from(number - less).ok().filter(|times| *times <= end - at);
                let Some(times) = times else { return Vec::new() };
                repeat((times, times), at, |at| self.rule_ends(&prose.rule, at, end))
            }
            How::Under(polynomial) => {
                let sum = i64::from(checksum(polynomial, &self.octets[at..end]));
                let fits = sum == number && self.whole(&prose.rule, at, end);
                if fits { vec![end] } else { Vec::new() }
            }
        }
    }

    /// The number that the octets of a rule say.
    fn number(&self, rule: &str, from: usize, to: usize) -> i64 {
        let octets = &self.octets[from..to];
        let groups = || {
            let wide = octets.iter().rev().fold(0u64, |n, octet| n << 7 | u64::from(octet & 0x7f));
            wide as u32
        };
        match (rule, self.rule(rule)) {
            ("uvarint", _) => i64::from(groups()),
            ("varint", _) => i64::from((groups() >> 1) as i32 ^ -((groups() & 1) as i32)),
            (_, Node::Rule(inner)) => self.number(inner, from, to),
            _ => octets.iter().fold(0, |number, octet| number << 8 | i64::from(*octet)),
        }
    }
}

/// The ends after at least and at most so many matches.
fn repeat(
    (least, most): (usize, usize),
    at: usize,
    next: impl Fn(usize) -> Vec<usize>,
) -> Vec<usize> {
    let mut ends = if least == 0 { vec![at] } else { Vec::new() };
    let mut front = vec![at];
    let mut times = 0;
    while times < most && !front.is_empty() {
        let mut found: Vec<usize> = front.iter().flat_map(|at| next(*at)).collect();
        found.sort_unstable();
        found.dedup();
        // What takes nothing would go on for ever.
        found.retain(|to| *to > front[0] || most != usize::MAX);
        times += 1;
        if times >= least {
            ends.extend(&found);
        }
        front = found;
    }
    ends.sort_unstable();
    ends.dedup();
    ends
}
