//! Values as the reader of a report wants them, not as Rust prints them.

use std::fmt::Display;

/// Values with commas between; `none` where there are none.
pub(crate) fn listed<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

/// A value, or `none`.
pub(crate) fn or_none<T: Display>(value: Option<T>) -> String {
    listed(value)
}

/// A text in quotes, or `null`.
pub(crate) fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("{text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reads_as_rust() {
        assert_eq!(listed([1, 2]), "1, 2");
        assert_eq!(listed::<i64>([]), "none");
        assert_eq!((or_none(Some(3)), or_none::<i64>(None)), ("3".to_owned(), "none".to_owned()));
        assert_eq!(quoted(Some("a\n")), "\"a\\n\"");
        assert_eq!(quoted(None), "null");
    }
}
