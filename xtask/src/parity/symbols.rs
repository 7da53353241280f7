//! What a package declares: modules, types and their members.

use std::collections::{BTreeMap, BTreeSet};

/// Names that users of one language's package can write. A name is a path of words with dots:
/// `Producer.send`, `aio.Producer.send`; the package itself is the empty path.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    /// By module or type, the names in it.
    members: BTreeMap<String, BTreeSet<String>>,
    /// By module or type, where more of its names come from: base classes, what an alias stands
    /// for, modules whose names are all imported.
    more: BTreeMap<String, Vec<String>>,
}

impl Symbols {
    /// Adds a name to a module or type.
    pub(crate) fn declare(&mut self, owner: &str, name: &str) {
        self.members.entry(owner.to_owned()).or_default().insert(name.to_owned());
    }

    /// A module or type has all names of another one, too.
    pub(crate) fn extend(&mut self, owner: &str, from: &str) {
        self.more.entry(owner.to_owned()).or_default().push(from.to_owned());
    }

    /// Whether nothing was declared.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether users can write the path: each word but the first is a name of what the words
    /// before it say.
    pub(crate) fn has(&self, path: &str) -> bool {
        match path.rsplit_once('.') {
            Some((owner, name)) => self.has(owner) && self.member(owner, name, 0),
            None => self.member("", path, 0),
        }
    }

    /// Types may extend each other in a circle only by mistake: the depth ends it.
    fn member(&self, owner: &str, name: &str, depth: usize) -> bool {
        if depth > 8 {
            return false;
        }
        if self.members.get(owner).is_some_and(|names| names.contains(name)) {
            return true;
        }
        // A base is named as seen from where the type stands, or from the package.
        let (scope, last) = owner.rsplit_once('.').unwrap_or(("", owner));
        let more = self.more.get(owner).into_iter().flatten();
        let own = more.flat_map(|from| [join(scope, from), from.clone()]);
        // The type itself may come from where all names of its scope come from.
        let of_scope = self.more.get(scope).into_iter().flatten().map(|from| join(from, last));
        own.chain(of_scope).any(|from| from != owner && self.member(&from, name, depth + 1))
    }
}

/// A path below another one.
pub(crate) fn join(owner: &str, name: &str) -> String {
    if owner.is_empty() { name.to_owned() } else { format!("{owner}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_of_the_type_and_its_bases() {
        let mut symbols = Symbols::default();
        symbols.declare("", "Producer");
        symbols.declare("", "aio");
        symbols.declare("aio", "Producer");
        symbols.declare("Base", "close");
        symbols.declare("Producer", "send");
        symbols.extend("Producer", "Base");
        symbols.extend("aio.Producer", "Producer");
        for path in ["Producer", "Producer.send", "Producer.close", "aio.Producer.close"] {
            assert!(symbols.has(path), "{path}");
        }
        for path in ["send", "Base", "Base.close", "Consumer.send", "Producer.sen", "aio.send"] {
            assert!(!symbols.has(path), "{path}");
        }
    }
}
