//! What the pages are made from: schemas, statements, vectors and documents of the project.

use flate2::read::GzDecoder;
use ottla_codegen::Library;
use ottla_codegen::ast::{Api, ErrorCode, Message, Schema};
use ottla_conformance::codec::unhex;
use ottla_protocol::Bytes;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A row of `protocol/vectors/messages.tsv.gz`.
#[derive(Debug, Clone)]
pub struct Vector {
    /// The API's number, or a record's; -1 for others.
    pub key: i16,
    /// The message, `FetchRequest`.
    pub name: String,
    /// `request`, `response`, `header` or `record`.
    pub kind: String,
    /// The version.
    pub version: i16,
    /// How its values were chosen.
    pub variant: String,
    /// The bytes.
    pub bytes: Bytes,
    /// The value, as Kafka's JsonConverter gives it.
    pub json: String,
}

/// Everything.
pub struct Source {
    /// The project's folder.
    pub root: PathBuf,
    /// The schemas.
    pub library: Library,
    /// The message vectors, in the order of the file.
    pub vectors: Vec<Vector>,
    errors: BTreeMap<String, i16>,
    pages: BTreeMap<String, String>,
}

impl Source {
    /// Reads the project in this folder.
    ///
    /// # Errors
    ///
    /// When a file is missing or is not what it should be; the message names it.
    pub fn read(root: &Path) -> io::Result<Self> {
        let schemas = root.join("protocol/schemas");
        let library = Library::read(&schemas)?
            .map_err(|findings| io::Error::other(format!("{}", findings[0])))?;
        let vectors = vectors(&root.join("protocol/vectors/messages.tsv.gz"))?;
        let errors = library
            .errors()
            .map(|(_, error)| (error.name.value.clone(), error.code.value))
            .collect();
        let pages = library
            .apis()
            .map(|(schema, api)| (api.name.value.clone(), api_page(schema)))
            .collect();
        Ok(Self { root: root.to_owned(), library, vectors, errors, pages })
    }

    /// The APIs by their numbers.
    pub fn apis(&self) -> Vec<(&Schema, &Api)> {
        let mut apis: Vec<_> = self.library.apis().collect();
        apis.sort_by_key(|(_, api)| api.key.value);
        apis
    }

    /// The error of this name.
    pub fn error(&self, name: &str) -> Option<&ErrorCode> {
        let mut errors = self.library.errors();
        errors.find(|(_, error)| error.name.value == name).map(|(_, error)| error)
    }

    /// Whether an error has this name.
    pub(crate) fn is_error(&self, name: &str) -> bool {
        self.errors.contains_key(name)
    }

    /// The page of the API of this name, without suffix: `apis/fetch`.
    pub fn page_of(&self, api: &str) -> Option<&str> {
        self.pages.get(api).map(String::as_str)
    }

    /// The message of this name.
    pub fn message(&self, name: &str) -> Option<&Message> {
        self.library
            .messages()
            .into_iter()
            .map(|found| found.message)
            .find(|m| m.name.value == name)
    }
}

/// The page of an API, without suffix.
pub(crate) fn api_page(schema: &Schema) -> String {
    format!("apis/{}", schema.stem())
}

fn vectors(path: &Path) -> io::Result<Vec<Vector>> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path)?).read_to_string(&mut text)?;
    let row = |(index, line): (usize, &str)| {
        vector(line).ok_or_else(|| {
            io::Error::other(format!("{}:{}: not a vector", path.display(), index + 1))
        })
    };
    text.lines().enumerate().map(row).collect()
}

fn vector(line: &str) -> Option<Vector> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [key, name, kind, version, variant, hex, json] = columns[..] else { return None };
    Some(Vector {
        key: key.parse().ok()?,
        name: name.to_owned(),
        kind: kind.to_owned(),
        version: version.parse().ok()?,
        variant: variant.to_owned(),
        bytes: unhex(hex).ok()?,
        json: json.to_owned(),
    })
}
