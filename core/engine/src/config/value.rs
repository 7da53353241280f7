//! A checked value of one setting.

use std::time::Duration;

use super::typed::OffsetReset;
use super::{ConfigError, Kind, Setting};

/// A value that its setting allows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Flag(bool),
    Integer(i64),
    Text(String),
    List(Vec<String>),
    OffsetReset(OffsetReset, String),
}

impl Value {
    /// Reads and checks what a user wrote.
    pub(super) fn parse(setting: &Setting, text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        let malformed = || ConfigError::Malformed {
            name: setting.name,
            value: text.to_owned(),
            allowed: setting.allowed(),
        };
        match setting.kind {
            Kind::Flag => match text.to_ascii_lowercase().as_str() {
                "true" => Ok(Self::Flag(true)),
                "false" => Ok(Self::Flag(false)),
                _ => Err(malformed()),
            },
            Kind::Integer { min, max } => {
                let value: i64 = text.parse().map_err(|_| malformed())?;
                if !(min..=max).contains(&value) {
                    let allowed = setting.allowed();
                    return Err(ConfigError::OutOfRange { name: setting.name, value, allowed });
                }
                Ok(Self::Integer(value))
            }
            Kind::Text => Ok(Self::Text(text.to_owned())),
            Kind::Addresses => addresses(text).map(Self::List).ok_or_else(malformed),
            Kind::Choice(choices) => choice(choices, text)
                .map(|found| Self::Text(found.to_owned()))
                .ok_or_else(malformed),
            Kind::Choices(choices) => {
                let found: Option<Vec<String>> =
                    text.split(',').map(|item| choice(choices, item).map(str::to_owned)).collect();
                found.map(Self::List).ok_or_else(malformed)
            }
            Kind::OffsetReset => offset_reset(text)
                .map(|reset| Self::OffsetReset(reset, text.to_owned()))
                .ok_or_else(malformed),
        }
    }

    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Flag(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Text(value) | Self::OffsetReset(_, value) => value.clone(),
            Self::List(values) => values.join(","),
        }
    }
}

/// The choice that is meant. Case does not matter, nor whether an assignor is given by its name or
/// by its Java class.
fn choice(choices: &[&'static str], text: &str) -> Option<&'static str> {
    let wanted = match text.trim().rsplit('.').next().unwrap_or_default() {
        "RangeAssignor" => "range",
        "RoundRobinAssignor" => "roundrobin",
        "StickyAssignor" => "sticky",
        "CooperativeStickyAssignor" => "cooperative-sticky",
        _ => text.trim(),
    };
    choices.iter().copied().find(|choice| choice.eq_ignore_ascii_case(wanted))
}

fn addresses(text: &str) -> Option<Vec<String>> {
    let list: Vec<String> = text
        .split(',')
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect();
    let is_address = |item: &String| {
        item.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0)
        })
    };
    (!list.is_empty() && list.iter().all(is_address)).then_some(list)
}

fn offset_reset(text: &str) -> Option<OffsetReset> {
    match text.to_ascii_lowercase().as_str() {
        "earliest" => return Some(OffsetReset::Earliest),
        "latest" => return Some(OffsetReset::Latest),
        "none" => return Some(OffsetReset::None),
        _ => {}
    }
    let (how, argument) = text.split_once(':')?;
    match how {
        "by_duration" => iso_duration(argument).map(OffsetReset::ByDuration),
        "timestamp" => {
            let timestamp_ms: i64 = argument.parse().ok()?;
            (timestamp_ms >= 0).then_some(OffsetReset::Timestamp { timestamp_ms })
        }
        _ => None,
    }
}

/// An ISO 8601 duration as `java.time.Duration` reads it: `P1D`, `PT36H`, `PT5M30S`, `PT0.5S`.
fn iso_duration(text: &str) -> Option<Duration> {
    let (date, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text.strip_prefix('P')?, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let mut seconds = parts(date, &[('D', 86_400.0)])?;
    seconds += parts(time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The sum of `<number><unit>` groups; every unit at most once and in the order given.
fn parts(text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut rest = text;
    let mut sum = 0.0;
    for (unit, seconds) in units {
        if let Some((number, tail)) = rest.split_once(*unit) {
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                return None;
            }
            sum += number.parse::<f64>().ok()? * seconds;
            rest = tail;
        }
    }
    rest.is_empty().then_some(sum)
}
