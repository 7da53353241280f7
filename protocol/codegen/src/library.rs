//! All schema files together.

use crate::ast::{Api, ErrorCode, HeaderVersion, Item, Message, Schema};
use crate::diagnostic::{Diagnostic, Span};
use std::io;
use std::path::Path;

/// The schema files of the protocol, in the order of their paths.
#[derive(Debug, Clone, PartialEq)]
pub struct Library {
    /// The files.
    pub schemas: Vec<Schema>,
}

/// The order of [`Library::messages`] within a file is that of the text.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The file.
    pub schema: &'a Schema,
    /// The API, for requests and responses.
    pub api: Option<&'a Api>,
    /// The message.
    pub message: &'a Message,
}

impl Library {
    /// Reads every `*.schema` file in a folder and those in its subfolder `records`.
    ///
    /// The outer error is that of the file system, the inner one lists what cannot be read.
    pub fn read(folder: &Path) -> io::Result<Result<Self, Vec<Diagnostic>>> {
        let mut files = Vec::new();
        for (prefix, place) in [("", folder.to_owned()), ("records/", folder.join("records"))] {
            if !place.is_dir() {
                continue;
            }
            for entry in std::fs::read_dir(&place)? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                if let Some(name) = name.filter(|name| name.ends_with(".schema")) {
                    files.push((format!("{prefix}{name}"), std::fs::read_to_string(&path)?));
                }
            }
        }
        files.sort();
        Ok(Self::parse(&files))
    }

    /// Parses and checks files that are given as (path, text).
    pub fn parse(files: &[(String, String)]) -> Result<Self, Vec<Diagnostic>> {
        let mut schemas = Vec::new();
        let mut findings = Vec::new();
        for (file, source) in files {
            match crate::parse::parse(file, source) {
                Ok(schema) => schemas.push(schema),
                Err(finding) => findings.push(finding),
            }
        }
        let library = Self { schemas };
        if findings.is_empty() {
            findings = crate::check::check(&library);
        }
        if findings.is_empty() { Ok(library) } else { Err(findings) }
    }

    /// The APIs with their files, by file.
    pub fn apis(&self) -> impl Iterator<Item = (&Schema, &Api)> {
        self.items().filter_map(|(schema, item)| match item {
            Item::Api(api) => Some((schema, &**api)),
            _ => None,
        })
    }

    /// The error codes, as they stand.
    pub fn errors(&self) -> impl Iterator<Item = (&Schema, &ErrorCode)> {
        self.items().filter_map(|(schema, item)| match item {
            Item::Error(error) => Some((schema, &**error)),
            _ => None,
        })
    }

    /// The header rules, as they stand.
    pub fn header_versions(&self) -> impl Iterator<Item = (&Schema, &HeaderVersion)> {
        self.items().filter_map(|(schema, item)| match item {
            Item::HeaderVersion(rule) => Some((schema, rule)),
            _ => None,
        })
    }

    /// Every message: requests, responses, headers and the others.
    pub fn messages(&self) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        for (schema, item) in self.items() {
            match item {
                Item::Api(api) => {
                    let halves = api.request.iter().chain(&api.response);
                    found.extend(halves.map(|message| Found { schema, api: Some(api), message }));
                }
                Item::Message(message) => found.push(Found { schema, api: None, message }),
                _ => {}
            }
        }
        found
    }

    fn items(&self) -> impl Iterator<Item = (&Schema, &Item)> {
        self.schemas.iter().flat_map(|schema| schema.items.iter().map(move |item| (schema, item)))
    }
}

impl Schema {
    /// A finding in this file.
    pub(crate) fn finding(
        &self,
        rule: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::new(rule, &self.file, &self.source, span, message)
    }

    /// The file's name without folder, number and suffix: `produce`, `consumer_offsets`.
    pub fn stem(&self) -> &str {
        let name = self.file.rsplit('/').next().unwrap_or(&self.file);
        let name = name.strip_suffix(".schema").unwrap_or(name);
        let unnumbered = name.trim_start_matches(|c: char| c.is_ascii_digit());
        if unnumbered.len() < name.len() {
            unnumbered.strip_prefix('_').unwrap_or(unnumbered)
        } else {
            name
        }
    }
}

/// `TopicId` as `topic_id`, `TopicID` too.
pub fn snake_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| chars[before]);
        let after_lower = before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let starts_word = before.is_some_and(|c| c.is_ascii_uppercase())
            && chars.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase() && (after_lower || starts_word) {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case_word_by_word() {
        for (name, snake) in [
            ("TopicId", "topic_id"),
            ("TopicID", "topic_id"),
            ("IsKRaftController", "is_k_raft_controller"),
            ("ISRNodes", "isr_nodes"),
            ("V3AndBelowTopics", "v3_and_below_topics"),
            ("Acks", "acks"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
    }

    #[test]
    fn the_stem_is_the_name_without_number() {
        for (file, stem) in [
            ("00_produce.schema", "produce"),
            ("records/consumer_offsets.schema", "consumer_offsets"),
            ("headers.schema", "headers"),
        ] {
            let schema = Schema {
                file: file.to_owned(),
                source: String::new(),
                prose: Vec::new(),
                items: Vec::new(),
            };
            assert_eq!(schema.stem(), stem);
        }
    }
}
