//! Names that TypeScript declarations and Swift sources declare: both nest by braces.

use super::symbols::{Symbols, join};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Language {
    TypeScript,
    Swift,
}

/// What a pair of braces belongs to.
enum Scope {
    /// A module or type whose names count.
    Named { path: String, all_public: bool },
    /// `export { A, B as C }` of this module.
    Exports(String),
    /// A body, a literal, or what is not public.
    Other,
}

/// Reads a file. `module` is the path of what it declares into; empty for the package itself.
pub(crate) fn read(symbols: &mut Symbols, language: Language, module: &str, text: &str) {
    let text = without_literals(text, language, true);
    let mut reader = Reader { symbols, language, scopes: Vec::new(), module };
    let mut head = String::new();
    let mut brackets = 0_usize;
    for letter in text.chars() {
        match letter {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        match letter {
            // A literal inside of brackets is part of the head: `send(options: { a: string })`.
            '{' if brackets == 0 => reader.open(&std::mem::take(&mut head)),
            '}' if brackets == 0 => {
                reader.statement(&std::mem::take(&mut head));
                reader.scopes.pop();
            }
            ';' if brackets == 0 => reader.statement(&std::mem::take(&mut head)),
            '\n' if brackets == 0 && !reader.opens_scope(&head) => {
                reader.statement(&std::mem::take(&mut head));
            }
            _ => head.push(letter),
        }
    }
    reader.statement(&head);
}

struct Reader<'a> {
    symbols: &'a mut Symbols,
    language: Language,
    scopes: Vec<Scope>,
    module: &'a str,
}

/// What a head says: `public final class Producer: Base` or `send(record: Record): Promise<...>`.
struct Head<'t> {
    is_public: bool,
    /// Said to be private or the like.
    is_hidden: bool,
    /// `class`, `func`, ...; empty for a member without one.
    kind: &'t str,
    name: &'t str,
    rest: &'t str,
}

impl Reader<'_> {
    fn open(&mut self, head: &str) {
        let owner = self.owner();
        let parsed = self.head(head);
        let Some((owner, all_public)) = owner else { return self.scopes.push(Scope::Other) };
        if matches!(head.trim(), "export" | "export type") {
            return self.scopes.push(Scope::Exports(owner));
        }
        // TypeScript's `type Name = { ... }`; a Swift `typealias` has no braces.
        if !is_container(parsed.kind) && parsed.kind != "type" {
            self.statement(head);
            return self.scopes.push(Scope::Other);
        }
        let path = join(&owner, parsed.name);
        let counts = all_public || parsed.is_public;
        if counts && parsed.kind != "extension" {
            self.symbols.declare(&owner, parsed.name);
        }
        for base in bases(parsed.rest, self.language) {
            self.symbols.extend(&path, base);
        }
        // What only a private type declares is still a name where a public one extends it.
        let all_public = match self.language {
            Language::TypeScript => true,
            Language::Swift => {
                parsed.kind == "protocol" || (parsed.kind == "extension" && parsed.is_public)
            }
        };
        self.scopes.push(Scope::Named { path, all_public });
    }

    fn statement(&mut self, head: &str) {
        if let Some(Scope::Exports(owner)) = self.scopes.last() {
            return export(self.symbols, &owner.clone(), head);
        }
        let Some((owner, all_public)) = self.owner() else { return };
        let parsed = self.head(head);
        let is_case = self.language == Language::Swift && parsed.kind == "case";
        if is_case {
            for name in head.trim_start().trim_start_matches("case ").split(',') {
                self.symbols.declare(&owner, word(name.trim_start()));
            }
            return;
        }
        let counts = (all_public || parsed.is_public) && !parsed.is_hidden;
        if counts && !parsed.name.is_empty() && parsed.kind != "import" {
            self.symbols.declare(&owner, parsed.name);
        }
    }

    /// The innermost scope, if its names count.
    fn owner(&self) -> Option<(String, bool)> {
        match self.scopes.last() {
            None => Some((self.module.to_owned(), false)),
            Some(Scope::Named { path, all_public }) => Some((path.clone(), *all_public)),
            Some(Scope::Exports(_) | Scope::Other) => None,
        }
    }

    /// Whether the braces that follow, perhaps on the next line, are a type's.
    fn opens_scope(&self, head: &str) -> bool {
        is_container(self.head(head).kind)
    }

    fn head<'t>(&self, text: &'t str) -> Head<'t> {
        let mut rest = text.trim_start();
        let mut head = Head { is_public: false, is_hidden: false, kind: "", name: "", rest: "" };
        loop {
            let next = word(rest);
            let after = rest[next.len()..].trim_start();
            if next.is_empty() {
                // `@MainActor`, `[Symbol.asyncIterator]`, `-> Type`.
                if let Some(attribute) = rest.strip_prefix('@') {
                    let after = attribute[word(attribute).len()..].trim_start();
                    rest = match after.strip_prefix('(') {
                        Some(inside) => inside.split_once(')').map_or("", |(_, after)| after),
                        None => after,
                    }
                    .trim_start();
                    continue;
                }
                if let Some(inside) = rest.strip_prefix("[Symbol.") {
                    head.name = word(inside);
                }
                return head;
            }
            // A name that is also a keyword is a name where a name must be: `get(`, `public?:`.
            let is_member = !after.starts_with("(set)")
                && (after.is_empty() || after.starts_with(['(', ':', '?', ';', '<', '=', ',']));
            let is_initializer = matches!(next, "init" | "subscript");
            if is_initializer || is_member || !is_keyword(next, self.language) {
                head.name = next;
                head.rest = after;
                return head;
            }
            match next {
                "public" | "open" | "export" => {
                    head.is_public = !after.starts_with("(set)");
                }
                "private" | "fileprivate" | "internal" | "protected" => {
                    head.is_hidden |= !after.starts_with("(set)");
                }
                "import" => return Head { kind: next, ..head },
                "class" if is_keyword(word(after), self.language) => {}
                _ if !is_modifier(next) => head.kind = next,
                _ => {}
            }
            rest = after.strip_prefix("(set)").unwrap_or(after).trim_start();
        }
    }
}

/// `A, B as C` of `export { A, B as C }`.
fn export(symbols: &mut Symbols, owner: &str, names: &str) {
    for name in names.split(',') {
        let mut words = name.split_whitespace().filter(|word| *word != "type");
        let Some(original) = words.next() else { continue };
        let shown = words.nth(1).unwrap_or(original);
        symbols.declare(owner, shown);
        symbols.extend(&join(owner, shown), original);
    }
}

fn is_container(kind: &str) -> bool {
    matches!(
        kind,
        "class"
            | "interface"
            | "namespace"
            | "module"
            | "enum"
            | "struct"
            | "actor"
            | "protocol"
            | "extension"
    )
}

fn is_modifier(word: &str) -> bool {
    matches!(
        word,
        "declare"
            | "default"
            | "abstract"
            | "static"
            | "readonly"
            | "async"
            | "get"
            | "set"
            | "final"
            | "nonisolated"
            | "override"
            | "mutating"
            | "indirect"
            | "convenience"
            | "lazy"
            | "weak"
            | "consuming"
            | "borrowing"
            | "unowned"
            | "required"
            | "isolated"
    )
}

fn is_keyword(word: &str, language: Language) -> bool {
    let of_both = matches!(word, "class" | "enum" | "import" | "public" | "private" | "internal");
    let own = match language {
        Language::TypeScript => matches!(
            word,
            "export"
                | "declare"
                | "default"
                | "abstract"
                | "static"
                | "readonly"
                | "async"
                | "interface"
                | "namespace"
                | "module"
                | "type"
                | "const"
                | "let"
                | "var"
                | "function"
                | "get"
                | "set"
                | "protected"
                | "accessor"
        ),
        Language::Swift => matches!(
            word,
            "struct"
                | "actor"
                | "protocol"
                | "extension"
                | "func"
                | "var"
                | "let"
                | "case"
                | "typealias"
                | "associatedtype"
                | "static"
                | "final"
                | "open"
                | "fileprivate"
                | "nonisolated"
                | "override"
                | "mutating"
                | "indirect"
                | "convenience"
                | "lazy"
                | "weak"
                | "consuming"
                | "borrowing"
                | "unowned"
                | "required"
                | "isolated"
                | "return"
        ),
    };
    of_both || own
}

/// `<T> extends A, B` and `<T>: A, B where ...` to `A`, `B`.
fn bases(rest: &str, language: Language) -> Vec<&str> {
    let start = match language {
        Language::TypeScript => rest.find("extends ").map(|at| at + "extends ".len()),
        Language::Swift => rest.rfind(':').map(|at| at + 1),
    };
    let Some(start) = start else { return Vec::new() };
    let named = rest[start..].split(" where ").next().unwrap_or_default();
    let named = named.split(" implements ").next().unwrap_or_default();
    let names = named.split(',').map(|base| {
        let base = base.trim();
        &base[..base.find(|c: char| !is_word(c) && c != '.').unwrap_or(base.len())]
    });
    names.filter(|base| !base.is_empty()).collect()
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

/// The identifier that the text begins with.
fn word(text: &str) -> &str {
    &text[..text.find(|letter: char| !is_word(letter)).unwrap_or(text.len())]
}

/// The text without comments and, if asked, without the inside of strings; lines are kept.
pub(crate) fn without_literals(text: &str, language: Language, strings: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (skipped, is_string) = literal(rest, language);
        if skipped == 0 || (is_string && !strings) {
            let length = skipped.max(first.len_utf8());
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if is_string {
            out.push_str("\"\"");
        }
        out.extend(rest[..skipped].chars().filter(|letter| *letter == '\n'));
        rest = &rest[skipped..];
    }
    out
}

/// The length of the comment or string that starts here, 0 if none does; whether it is a string.
fn literal(rest: &str, language: Language) -> (usize, bool) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |at| at + 2), false);
    }
    let quotes: &[&str] = match language {
        Language::TypeScript => &["\"", "'", "`"],
        Language::Swift => &["\"\"\"", "\""],
    };
    let Some(quote) = quotes.iter().find(|quote| rest.starts_with(**quote)) else {
        return (0, false);
    };
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip_while(|(at, _)| *at < quote.len()) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' if quote.len() == 1 && *quote != "`" => return (at, true),
            _ if rest[at..].starts_with(quote) => return (at + quote.len(), true),
            _ => {}
        }
    }
    (rest.len(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(language: Language, text: &str) -> Symbols {
        let mut symbols = Symbols::default();
        read(&mut symbols, language, "", text);
        symbols
    }

    fn assert_names(symbols: &Symbols, present: &[&str], absent: &[&str]) {
        for path in present {
            assert!(symbols.has(path), "{path}");
        }
        for path in absent {
            assert!(!symbols.has(path), "{path}");
        }
    }

    #[test]
    fn typescript_classes_have_their_members() {
        let symbols = symbols(
            Language::TypeScript,
            "/** class No { no(): void } */\n\
             declare class Base<T> { close(options?: { signal?: AbortSignal }): Promise<void> }\n\
             export declare class Producer extends Base<string>\n  implements X {\n\
               static create(settings: {\n    'a': string; b: number }): Promise<Producer>;\n\
               send(record: Record): Promise<RecordMetadata>\n\
               readonly memoryUsed: number\n  get lag(): bigint\n\
               [Symbol.asyncDispose](): Promise<void>\n}\n\
             export interface Record { key?: Buffer | null; headers: { name: string }[] }\n\
             export const version: string\nexport function connect(): void\n\
             interface Hidden { x: 1 }\n\
             export namespace testing { class Broker { kill(): void } }\n\
             declare class Late { end(): void }\nexport {\n  Late as Shown,\n}\n\
             export type Options = { linger: number }\nexport type Name = string\n",
        );
        assert_names(
            &symbols,
            &[
                "Producer.create",
                "Producer.send",
                "Producer.memoryUsed",
                "Producer.lag",
                "Producer.asyncDispose",
                "Producer.close",
                "Record.key",
                "Record.headers",
                "version",
                "connect",
                "testing.Broker.kill",
                "Shown.end",
                "Options.linger",
                "Name",
            ],
            &[
                "No.no",
                "Base",
                "Hidden",
                "Late",
                "Producer.b",
                "Producer.key",
                "send",
                "Record.name",
            ],
        );
    }

    #[test]
    fn swift_types_have_what_is_public_and_said_in_extensions() {
        let symbols = symbols(
            Language::Swift,
            "import class Foundation.Thread\n// public struct No {}\n\
             public final class Producer: Sendable {\n\
               public init(_ settings: Settings) async throws {\n    let inner = \"}\"\n  }\n\
               public func send(\n    _ record: Record\n  ) async throws -> RecordMetadata {\n\
                 func nested() {}\n  }\n  func hidden() {}\n  private var secret: Int\n\
               public private(set) var memory: Int { get { 1 } }\n\
               public nonisolated static func make() {}\n}\n\
             struct Internal { public func nothing() {} }\n\
             extension Producer {\n  public func flush() async {}\n  func own() {}\n}\n\
             public extension Producer { func close() {} }\n\
             public enum Kind: String, Sendable {\n  case config, notFound\n  case closed(Int)\n}\n\
             @frozen public struct Batch: AsyncSequence {\n  public struct Iterator {\n    public \
             mutating func next() {}\n  }\n  @discardableResult public func records() {}\n  \
             public subscript(i: Int) -> Int { 1 }\n}\n",
        );
        assert_names(
            &symbols,
            &[
                "Producer.init",
                "Producer.send",
                "Producer.memory",
                "Producer.make",
                "Producer.flush",
                "Producer.close",
                "Kind.config",
                "Kind.notFound",
                "Kind.closed",
                "Batch.Iterator.next",
                "Batch.records",
                "Batch.subscript",
            ],
            &[
                "No",
                "Internal",
                "Internal.nothing",
                "Producer.hidden",
                "Producer.secret",
                "Producer.own",
                "Producer.nested",
                "Producer.inner",
                "send",
            ],
        );
    }
}
