//! The schemas of `protocol/schemas`, in the binary.

use ottla_codegen::Library;
use ottla_codegen::ast::Message;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Every file: its path below the folder and its text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/schemas.rs"));

/// The message of a name.
pub(super) fn message(name: &str) -> Option<&'static Message> {
    static ALL: OnceLock<HashMap<String, Message>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let files: Vec<(String, String)> =
            FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let library = Library::parse(&files).unwrap_or_else(|findings| {
            panic!("the schemas, which their own tests check: {}", findings[0])
        });
        let found = library.messages();
        found.iter().map(|one| (one.message.name.value.clone(), one.message.clone())).collect()
    });
    all.get(name)
}
