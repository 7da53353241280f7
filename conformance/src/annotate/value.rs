//! Values as text, and what they mean.

use ottla_codegen::ast::{Field, Literal};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::ApiKey;

/// Longer texts are cut, in characters.
const TEXT_MAX: usize = 80;

/// What a number means: a value that the schema names, an error, an API, a time.
pub(super) fn meaning(field: &Field, number: i64) -> String {
    let noted = field
        .values
        .iter()
        .find(|note| matches!(note.value.value, Literal::Int(value, _) if value == number));
    if let Some(note) = noted {
        return note.prose.clone();
    }
    let name = field.name.value.as_str();
    let code = i16::try_from(number).ok();
    if name.ends_with("ErrorCode") {
        let known = code.and_then(ErrorCode::from_code);
        return known.map_or("unknown error", |known| known.name()).to_owned();
    }
    if matches!(name, "ApiKey" | "RequestApiKey") {
        return code.and_then(ApiKey::from_code).map_or("", |api| api.name()).to_owned();
    }
    if name.ends_with("Timestamp") || name.ends_with("TimestampMs") {
        return time(number);
    }
    String::new()
}

/// A time in milliseconds since 1970, where it can be one.
pub(super) fn time(ms: i64) -> String {
    u64::try_from(ms).ok().filter(|ms| *ms > 0).and_then(utc).unwrap_or_default()
}

/// A string in quotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(TEXT_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(TEXT_MAX).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// Bytes: as a string where they are text, else how many.
pub(super) fn bytes(bytes: &[u8]) -> String {
    let plain = |text: &&str| !text.chars().any(char::is_control);
    match std::str::from_utf8(bytes).ok().filter(plain) {
        Some(text) => quoted(text),
        None => counted(bytes.len(), "byte"),
    }
}

/// `1 byte`, `2 bytes`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Milliseconds since 1970 as `2026-11-22T21:06:36.000Z`; none for years of five digits.
pub(crate) fn utc(ms: u64) -> Option<String> {
    let (days, ms_of_day) = (ms / 86_400_000, ms % 86_400_000);
    // Howard Hinnant's algorithm, with years that begin in March.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    if year > 9999 {
        return None;
    }
    let (hour, minute) = (ms_of_day / 3_600_000, ms_of_day / 60_000 % 60);
    let (second, milli) = (ms_of_day / 1000 % 60, ms_of_day % 1000);
    Some(format!(
        "{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_795_375_403_077, "2026-11-22T19:23:23.077Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(utc(ms).as_deref(), Some(text));
        }
        assert_eq!(utc(253_402_300_800_000), None);
        assert_eq!(utc(u64::MAX), None);
    }

    #[test]
    fn texts_are_cut_and_escaped() {
        assert_eq!(quoted("a\"\n"), r#""a\"\n""#);
        assert_eq!(quoted(&"é".repeat(81)), format!("\"{}…\"", "é".repeat(80)));
        assert_eq!((bytes(b"abc").as_str(), bytes(&[0]).as_str()), ("\"abc\"", "1 byte"));
    }
}
