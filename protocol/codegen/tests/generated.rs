//! The project's own schemas are well formed, and the checked-in modules are what they generate.

use ottla_codegen::{Library, emit_rust};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace's root")
}

fn library() -> Library {
    let read = Library::read(&root().join("protocol/schemas")).expect("the schemas can be read");
    read.unwrap_or_else(|findings| {
        let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
        panic!("{}", shown.join("\n\n"))
    })
}

#[test]
fn the_checked_in_modules_are_those_of_the_schemas() {
    for output in emit_rust::emit(&library(), &root()).expect("rustfmt takes the output") {
        let path = root().join("protocol/src").join(&output.path);
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == output.text, "{}: run `cargo xtask codegen`", output.path);
        assert!(found.starts_with(emit_rust::HEADER), "{}", output.path);
        let long = found.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None, "{}", output.path);
    }
}

#[test]
fn every_line_of_a_schema_fits_the_page() {
    for schema in &library().schemas {
        for (index, line) in schema.source.lines().enumerate() {
            let width = line.chars().count();
            assert!(width <= 100, "{}:{} has {width} columns", schema.file, index + 1);
        }
    }
}

#[test]
fn every_api_is_in_its_own_file() {
    let library = library();
    let apis: Vec<_> = library.apis().collect();
    assert!(apis.len() >= 26, "{} APIs", apis.len());
    for (schema, api) in apis {
        assert_eq!(schema.items.len(), 1, "{} holds more than {}", schema.file, api.name.value);
    }
}
