//! The schemas as JSON, in the form of an export: one flat list of fields for each message, each
//! with its path. This is all that the second codec gets to see.

use ottla_codegen::Library;
use ottla_codegen::ast::{Base, Field, Literal, Message};
use serde_json::{Value, json};

/// Every message in every version.
pub(crate) fn export(library: &Library) -> Value {
    let half = |message: &Option<Message>| message.as_ref().map(export_message);
    let apis: Vec<Value> = library
        .apis()
        .map(|(_, api)| {
            json!({
                "key": api.key.value,
                "name": api.name.value,
                "request": half(&api.request),
                "response": half(&api.response),
            })
        })
        .collect();
    let others = library.messages().into_iter().filter(|found| found.api.is_none());
    let others: Vec<Value> = others.map(|found| export_message(found.message)).collect();
    json!({ "apis": apis, "headers": [], "records": others })
}

fn export_message(message: &Message) -> Value {
    let mut rows = Vec::new();
    export_fields(message, &message.fields, "", &mut rows);
    let flexible = message.flexible.as_ref().map(|flexible| flexible.value.to_string());
    json!({
        "name": message.name.value,
        "key": message.number.as_ref().map(|number| number.value),
        "valid": message.versions.value.to_string(),
        "flexible": flexible.unwrap_or_else(|| "none".to_owned()),
        "fields": rows,
    })
}

fn export_fields(message: &Message, fields: &[Field], prefix: &str, rows: &mut Vec<Value>) {
    for field in fields {
        let path = format!("{prefix}{}", field.name.value);
        let ty = &field.ty.value;
        let brackets = if ty.array { "[]" } else { "" };
        let is_struct = matches!(ty.base, Base::Struct(_));
        let base = if is_struct { "struct" } else { ty.base.name() };
        let range = |range: Option<String>| range.unwrap_or_else(|| "none".to_owned());
        let mut row = json!({
            "path": path,
            "type": format!("{brackets}{base}"),
            "versions": field.versions.value.to_string(),
            "nullable": range(field.nullable.as_ref().map(|range| range.value.to_string())),
            "tag": field.tag.as_ref().map(|tag| tag.number.value),
            "tagged": range(field.tag.as_ref().map(|tag| tag.versions.value.to_string())),
            "ignorable": field.ignorable,
            "formerly": field.former.as_ref().map(|(name, _)| name.value.as_str()),
        });
        if field.inflexible.is_some() {
            row["flexible"] = "none".into();
        }
        match field.default.as_ref() {
            Some(default) => row["default"] = export_literal(&default.value),
            // Where nothing is said, the form takes null for records.
            None if ty.base == Base::Records => row["default"] = "".into(),
            None => {}
        }
        rows.push(row);
        if is_struct {
            let shared = || message.structs.iter().find(|one| one.name.value == ty.base.name());
            let own = (!field.fields.is_empty()).then_some(&field.fields);
            let inner = own.or_else(|| shared().map(|one| &one.fields)).expect("it has members");
            export_fields(message, inner, &format!("{path}{brackets}."), rows);
        }
    }
}

fn export_literal(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => (*value).into(),
        Literal::Int(number, _) => (*number).into(),
        Literal::Float(text) => text.parse::<f64>().expect("digits").into(),
        Literal::String(text) => text.as_str().into(),
    }
}
