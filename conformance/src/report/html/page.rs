//! What both pages share: the frame of the page, escaping, verdicts.

use crate::links;
use crate::runner::Outcome;
use crate::statement::Statement;
use crate::verdict::Verdict;
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("filter.js");

/// A page of this title, with these elements in its body.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{body}\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// Text for elements and attributes. What XML cannot hold becomes U+FFFD; so do the characters that
/// turn the direction of the text around them.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}');
            }
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

/// Text as the name of an element: what else than letters and digits becomes `-`.
pub(super) fn anchor(text: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    text.chars().map(plain).collect()
}

/// A sign besides the colour.
pub(super) fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Info => "i",
        Verdict::Unsupported => "–",
        Verdict::NonStrict => "≈",
        Verdict::Blocked => "⊘",
        Verdict::Fail => "✗",
        Verdict::HarnessError => "!",
    }
}

/// The class of a verdict's colours.
pub(super) fn class(verdict: Verdict) -> String {
    format!("v-{}", verdict.name().to_ascii_lowercase())
}

/// A verdict with its sign and name.
pub(super) fn mark(verdict: Verdict) -> String {
    let (class, sign) = (class(verdict), sign(verdict));
    format!(
        "<span class=\"mark {class}\"><span aria-hidden=\"true\">{sign}</span> {verdict}</span>"
    )
}

/// What each sign means, for the top of a page.
pub(super) fn legend() -> String {
    let meaning = |verdict| match verdict {
        Verdict::Pass => "every assertion held",
        Verdict::Info => "the protocol leaves it open; what the target does",
        Verdict::Unsupported => "not claimed, with the proof",
        Verdict::NonStrict => "a SHOULD was not followed",
        Verdict::Blocked => "not come to: something before it did not work",
        Verdict::Fail => "a MUST was not followed",
        Verdict::HarnessError => "the suite is at fault",
    };
    let mut out = String::from("<dl class=\"legend\">");
    for verdict in Verdict::ALL {
        let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", mark(verdict), meaning(verdict));
    }
    out + "</dl>\n"
}

/// The sources of a statement, with links.
pub(super) fn sources(statement: &Statement) -> String {
    let source = |source: &String| match links::link(source) {
        Some(address) => {
            format!("<a href=\"{}\" rel=\"noreferrer\">{}</a>", escape(&address), escape(source))
        }
        None => escape(source),
    };
    statement.source.iter().map(source).collect::<Vec<_>>().join(", ")
}

/// What a statement says: level and kind, text, versions, sources.
pub(super) fn statement(statement: &Statement) -> String {
    let api = statement.api.join(", ");
    let versions = match statement.versions.as_str() {
        "all" => "every version".to_owned(),
        versions => format!("versions {versions}"),
    };
    format!(
        "<p class=\"obligation\">{}</p>\n<p class=\"meta\"><strong>{}</strong> · {} · {} · {} · \
         from {}</p>\n",
        escape(&statement.text),
        escape(&statement.level),
        escape(&statement.kind),
        escape(&api),
        escape(&versions),
        sources(statement)
    )
}

/// Why an outcome is what it is: the statement that decided, and the message.
pub(super) fn why(outcome: &Outcome) -> String {
    if outcome.message.is_empty() && outcome.statement.is_none() {
        return String::new();
    }
    let statement = match &outcome.statement {
        Some(id) => format!("<code>{}</code> ", escape(id)),
        None => String::new(),
    };
    format!("<p class=\"why\">{statement}{}</p>\n", escape(&outcome.message))
}
