//! What a simulation has done, as one number: every message that was sent, every line that a broker
//! logs, every event of the clients, with host and time. The same seed must give the same number.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_broker::runtime::set_blocking_latency;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::system;

/// Of each value, so many bytes count.
const VALUE_LEN: usize = 160;

#[derive(Default)]
struct Trace {
    hash: u64,
    events: u64,
    /// Spans that name the host which runs.
    hosts: BTreeMap<u64, String>,
    host: String,
    skews: BTreeMap<String, i64>,
    disk_latencies: BTreeMap<String, Duration>,
}

thread_local! {
    static TRACE: RefCell<Trace> = RefCell::default();
}

/// FNV-1a.
fn mix(hash: u64, bytes: &[u8]) -> u64 {
    let start = if hash == 0 { 0xcbf2_9ce4_8422_2325 } else { hash };
    bytes
        .iter()
        .fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Adds what a part of the simulation did.
pub fn note(what: &str) {
    let now = system::elapsed().unwrap_or_default().as_micros();
    TRACE.with_borrow_mut(|trace| {
        let line = format!("{now} {} {what}", trace.host);
        trace.hash = mix(trace.hash, line.as_bytes());
        trace.events += 1;
    });
}

/// The number, and of how many events it is made.
pub fn hash() -> (u64, u64) {
    TRACE.with_borrow(|trace| (trace.hash, trace.events))
}

/// Sets how far a host's wall clock is ahead.
pub fn set_skew_ms(host: &str, skew_ms: i64) {
    TRACE.with_borrow_mut(|trace| trace.skews.insert(host.to_owned(), skew_ms));
}

/// Sets how long a host's disk takes for what its broker leaves to other threads.
pub fn set_disk_latency(host: &str, latency: Duration) {
    TRACE.with_borrow_mut(|trace| trace.disk_latencies.insert(host.to_owned(), latency));
}

/// Takes what everything below tells through `tracing` into the trace.
#[derive(Debug)]
pub struct Tracer {
    next: AtomicU64,
    /// Shown on the standard error stream as well, from this level on.
    shown: Option<Level>,
}

impl Tracer {
    /// A tracer that shows events up to this level.
    pub fn new(shown: Option<Level>) -> Self {
        Self { next: AtomicU64::new(1), shown }
    }
}

/// The fields of an event as text; long ones are cut, which saves most of the work.
struct Text(String);

struct Cut<'a>(&'a mut String, usize);

impl Write for Cut<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.1 == 0 {
            return Err(fmt::Error);
        }
        self.1 = self.1.saturating_sub(part.len());
        self.0.push_str(part);
        Ok(())
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}=", field.name());
        // Cut is what is longer.
        let _ = write!(Cut(&mut self.0, VALUE_LEN), "{value:?}");
    }
}

impl Subscriber for Tracer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match metadata.target() {
            // The network's own account: that a message was sent says all of it.
            "turmoil" if metadata.is_event() => {
                metadata.file().is_some_and(|file| file.ends_with("top.rs"))
            }
            "turmoil" => true,
            target if target.starts_with("turmoil") => metadata.is_span(),
            target => {
                target.starts_with("ottla")
                    && metadata.is_event()
                    && *metadata.level() <= Level::DEBUG
            }
        }
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        if span.metadata().name() == "node" {
            let mut text = Text(String::new());
            span.record(&mut text);
            let name = text.0.split('"').nth(1).unwrap_or_default().to_owned();
            TRACE.with_borrow_mut(|trace| trace.hosts.insert(id, name));
        }
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(event.metadata().target().to_owned());
        event.record(&mut text);
        if self.shown.is_some_and(|shown| *event.metadata().level() <= shown) {
            let at = system::elapsed().unwrap_or_default().as_secs_f64();
            let host = TRACE.with_borrow(|trace| trace.host.clone());
            eprintln!("{at:10.3} {host:10} {} {}", event.metadata().level(), text.0);
        }
        note(&text.0);
    }

    fn enter(&self, span: &Id) {
        TRACE.with_borrow_mut(|trace| {
            if let Some(host) = trace.hosts.get(&span.into_u64()) {
                trace.host.clone_from(host);
                system::set_skew_ms(trace.skews.get(host).copied().unwrap_or(0));
                set_blocking_latency(trace.disk_latencies.get(host).copied().unwrap_or_default());
            }
        });
    }

    fn exit(&self, span: &Id) {
        TRACE.with_borrow_mut(|trace| {
            if trace.hosts.remove(&span.into_u64()).is_some() {
                trace.host.clear();
                system::set_skew_ms(0);
            }
        });
    }
}
