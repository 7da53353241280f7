//! Names that Python stubs and modules declare.

use super::symbols::{Symbols, join};

/// Reads a module's text. `module` is its path below the package; empty for the package itself.
pub(crate) fn read(symbols: &mut Symbols, module: &str, text: &str) {
    let text = without_literals(text);
    // The classes around the present line, with the indentation of their own line.
    let mut around: Vec<(usize, String)> = Vec::new();
    // What is inside of a function is nobody's name.
    let mut function_at = None;
    for line in logical_lines(&text) {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if function_at.is_some_and(|at| indent > at) {
            // But for the attributes that methods give their object.
            if let (Some(attribute), Some((_, class))) = (line.strip_prefix("self."), around.last())
            {
                assign(symbols, class, attribute);
            }
            continue;
        }
        function_at = None;
        while around.last().is_some_and(|(at, _)| indent <= *at) {
            around.pop();
        }
        let owner = around.last().map_or(module, |(_, class)| class).to_owned();
        if let Some(rest) = line.strip_prefix("class ") {
            let name = word(rest);
            let path = join(&owner, name);
            symbols.declare(&owner, name);
            for base in bases(&rest[name.len()..]) {
                symbols.extend(&path, base);
            }
            around.push((indent, path));
        } else if let Some(rest) = line.strip_prefix("async def ").or(line.strip_prefix("def ")) {
            symbols.declare(&owner, word(rest));
            function_at = Some(indent);
        } else if let Some(rest) = line.strip_prefix("from ") {
            import(symbols, &owner, rest);
        } else {
            assign(symbols, &owner, line);
        }
    }
}

/// `name: Type`, `name = value`; a value that is only a name makes an alias.
fn assign(symbols: &mut Symbols, owner: &str, line: &str) {
    let name = word(line);
    let rest = line[name.len()..].trim_start();
    if name.is_empty() || !(rest.starts_with(':') || rest.starts_with('=')) || rest == ":" {
        return;
    }
    symbols.declare(owner, name);
    let value = rest.trim_start_matches(['=', ':']).trim();
    if rest.starts_with('=') && !value.is_empty() && value.chars().all(is_path) {
        symbols.extend(&join(owner, name), value);
    }
}

/// `._native import Producer as Producer, Consumer`: what follows `from`.
fn import(symbols: &mut Symbols, owner: &str, rest: &str) {
    let Some((source, names)) = rest.split_once(" import ") else { return };
    // Only this package's modules matter: `.x`, `ottla.x`, `ottla_testing`.
    let source = source.trim();
    let of_package = ["ottla_testing.", "ottla_testing", "ottla.", "ottla"]
        .into_iter()
        .find_map(|package| source.strip_prefix(package));
    let is_relative = source.starts_with('.');
    let source = of_package.unwrap_or(source).trim_start_matches('.');
    for name in names.trim_matches(|c: char| "() ,".contains(c)).split(',') {
        let mut words = name.split_whitespace();
        let Some(original) = words.next() else { continue };
        let shown = words.nth(1).unwrap_or(original);
        if original == "*" {
            symbols.extend(owner, source);
        } else {
            symbols.declare(owner, shown);
            if is_relative || of_package.is_some() {
                symbols.extend(&join(owner, shown), &join(source, original));
            }
        }
    }
}

/// `(Base, Generic[T], metaclass=X):` to `Base`, `Generic`.
fn bases(rest: &str) -> impl Iterator<Item = &str> {
    let inside = rest.trim_start().strip_prefix('(').unwrap_or_default();
    let inside = inside.rsplit_once(')').map_or("", |(inside, _)| inside);
    inside
        .split(',')
        .filter(|base| !base.contains('='))
        .map(|base| base.trim().split('[').next().unwrap_or_default())
        .filter(|base| !base.is_empty())
}

fn is_path(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '.'
}

/// The identifier that the text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Lines with those that open brackets continue on joined to them.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = 0_i32;
    let mut current = String::new();
    for line in text.lines() {
        if open == 0 {
            current = line.to_owned();
        } else {
            current.push(' ');
            current.push_str(line.trim());
        }
        for letter in line.chars() {
            match letter {
                '(' | '[' | '{' => open += 1,
                ')' | ']' | '}' => open = (open - 1).max(0),
                _ => {}
            }
        }
        if open == 0 && !current.trim().is_empty() {
            lines.push(std::mem::take(&mut current));
        }
    }
    lines
}

/// The text without comments and without the inside of strings.
pub(crate) fn without_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' => string_length(rest, first),
            _ => {
                out.push(first);
                first.len_utf8()
            }
        };
        if first == '"' || first == '\'' {
            // Something stands where the string stood, so that `x = "y"` still has a value.
            out.push_str("''");
        }
        rest = &rest[skipped..];
    }
    out
}

fn string_length(rest: &str, quote: char) -> usize {
    let triple: String = std::iter::repeat_n(quote, 3).collect();
    let (end, multiline) =
        if rest.starts_with(&triple) { (triple.as_str(), true) } else { (&triple[..1], false) };
    let mut escaped = false;
    let mut at = end.len();
    while at < rest.len() {
        let letter = rest[at..].chars().next().unwrap_or_default();
        if escaped {
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if rest[at..].starts_with(end) {
            return at + end.len();
        } else if letter == '\n' && !multiline {
            return at;
        }
        at += letter.len_utf8();
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NATIVE: &str = r#"
class _Handle:
    """Has
    def docstring(self): ...
    """
    def close(self) -> None: ...

class Producer(_Handle):
    partitions: int
    @overload
    def send(
        self, topic: str,  # def comment(self)
    ) -> Delivery: ...
    @property
    def memory_used(self) -> int: ...
    def __init__(self) -> None:
        self.linger = 5
        self.other.name = 5
        self.call()
    class Options(dict[str, str], metaclass=M):
        x = 1
def connect() -> None:
    def inner(): ...
"#;

    fn symbols() -> Symbols {
        let mut symbols = Symbols::default();
        read(&mut symbols, "_native", NATIVE);
        let package = "from ._native import (\n    Producer as Producer,\n)\nfrom . import aio\n";
        read(&mut symbols, "", package);
        read(
            &mut symbols,
            "aio",
            "from . import _native\nclass Producer(_native.Producer):\n  \
             async def flush(self): ...\nClient = Producer\nNAME = 'def no(): ...'\n",
        );
        symbols
    }

    #[test]
    fn classes_have_their_members_and_those_of_their_bases() {
        let symbols = symbols();
        for path in [
            "Producer",
            "Producer.send",
            "Producer.partitions",
            "Producer.memory_used",
            "Producer.close",
            "Producer.Options.x",
            "Producer.linger",
            "aio.Producer.flush",
            "aio.Producer.send",
            "aio.Client.close",
            "aio.NAME",
        ] {
            assert!(symbols.has(path), "{path}");
        }
    }

    #[test]
    fn what_is_not_exported_or_stands_in_text_is_no_name() {
        let symbols = symbols();
        for path in [
            "connect",
            "send",
            "Producer.flush",
            "Producer.docstring",
            "Producer.comment",
            "Producer.inner",
            "Producer.other",
            "Producer.call",
            "aio.connect",
            "aio.no",
            "inner",
            "_Handle.close",
        ] {
            assert!(!symbols.has(path), "{path}");
        }
    }
}
