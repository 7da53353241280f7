//! Pieces of pages.

use crate::source::Source;
use std::fmt::Write as _;

/// Where a page stands, and what its texts link to.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) source: &'a Source,
    /// From the page's folder to that of the book: empty or `../`.
    pub(crate) up: &'a str,
}

impl Place<'_> {
    /// The link to an API's page; its name alone where there is none.
    pub(crate) fn api(&self, name: &str) -> String {
        match self.source.page_of(name) {
            Some(page) => format!("<a href=\"{}{page}.html\">{}</a>", self.up, escape(name)),
            None => escape(name),
        }
    }

    /// The link to an error.
    pub(crate) fn error(&self, name: &str) -> String {
        if !self.source.is_error(name) {
            return code(name);
        }
        let (anchor, name) = (anchor(name), escape(name));
        format!("<a href=\"{}errors.html#{anchor}\"><code>{name}</code></a>", self.up)
    }

    /// The link to a statement, on the page of its profile.
    pub(crate) fn statement(&self, id: &str, profile: &str) -> String {
        let (id, anchor) = (escape(id), anchor(id));
        format!("<a href=\"{}statements/{profile}.html#{anchor}\">{id}</a>", self.up)
    }

    /// A schema's prose: code between backticks, with links to the errors and APIs that it names.
    pub(crate) fn prose<T: AsRef<str>>(&self, lines: &[T]) -> String {
        let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        let text = lines.join(" ");
        let mut out = String::new();
        for (index, piece) in text.split('`').enumerate() {
            if index % 2 == 0 {
                out.push_str(&self.words(piece));
            } else if self.source.is_error(piece) {
                out.push_str(&self.error(piece));
            } else {
                let _ = write!(out, "<code>{}</code>", escape(piece)); // a String takes everything
            }
        }
        out
    }

    /// Plain text, with links where it names an error, or an API of more than one word.
    fn words(&self, text: &str) -> String {
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut out = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.len() - rest.trim_start_matches(in_word).len();
            let (name, after) = rest.split_at(word);
            let is_link = name.chars().filter(char::is_ascii_uppercase).count() > 1
                && self.source.page_of(name).is_some();
            let is_error = name.contains('_') && self.source.is_error(name);
            out.push_str(&match (is_link, is_error) {
                (true, _) => self.api(name),
                (_, true) => self.error(name),
                _ => escape(name),
            });
            let between = after.find(in_word).unwrap_or(after.len());
            out.push_str(&escape(&after[..between]));
            rest = &after[between..];
        }
        out
    }
}

/// Text as HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// A name as the end of a link: lower case, what is neither letter, digit nor `_` as `-`.
pub(crate) fn anchor(name: &str) -> String {
    let plain =
        |c: char| if c.is_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).collect()
}

/// A table being made. Cells are HTML; on a narrow screen each stands under its column's name.
pub(crate) struct Table {
    columns: Vec<&'static str>,
    out: String,
}

impl Table {
    /// `class` says how it looks, see `theme/book.css`.
    pub(crate) fn new(class: &str, columns: &[&'static str]) -> Self {
        let mut out = format!("<table class=\"{class}\">\n<thead><tr>");
        for column in columns {
            let _ = write!(out, "<th>{column}</th>"); // a String takes everything
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        Self { columns: columns.to_vec(), out }
    }

    /// A row, to which `anchor` leads where it is not empty.
    pub(crate) fn row(&mut self, anchor: &str, cells: &[String]) {
        self.row_of("", anchor, cells);
    }

    /// A row of a class.
    pub(crate) fn row_of(&mut self, class: &str, anchor: &str, cells: &[String]) {
        debug_assert_eq!(cells.len(), self.columns.len(), "{cells:?}");
        self.out.push_str("<tr");
        for (name, value) in [("class", class), ("id", anchor)] {
            if !value.is_empty() {
                let _ = write!(self.out, " {name}=\"{value}\""); // a String takes everything
            }
        }
        self.out.push('>');
        for (column, cell) in self.columns.iter().zip(cells) {
            let empty = if cell.is_empty() { " class=\"empty\"" } else { "" };
            let _ = write!(self.out, "<td data-column=\"{column}\"{empty}>{cell}</td>");
        }
        self.out.push_str("</tr>\n");
    }

    /// The whole; an empty line is behind it, as Markdown wants.
    pub(crate) fn finish(self) -> String {
        format!("<div class=\"wide\">\n{}</tbody>\n</table>\n</div>\n\n", self.out)
    }
}

/// Code.
pub(crate) fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// A short word in a frame of its own: `sensitive`, `tag 0`.
pub(crate) fn mark(class: &str, text: &str) -> String {
    format!("<span class=\"mark {class}\">{}</span>", escape(text))
}
