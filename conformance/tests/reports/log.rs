//! Wire logs: what came in parts is put together, and answers are told by what they answer.

use super::sample::frame;
use ottla_conformance::annotate::log;
use ottla_conformance::codec::hex;
use ottla_conformance::report::wire::{Frame, KEPT_BYTES, frames};
use ottla_conformance::wire::{Trace, Way};
use ottla_conformance::wire::{Wire, frame as request_frame};
use ottla_protocol::messages::{ApiKey, Request};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A Metadata request of version 1 for all topics.
fn metadata(correlation_id: i32) -> String {
    let request = Request::default_of(ApiKey::Metadata);
    hex(&request_frame(1, correlation_id, None, &request).expect("a request"))
}

/// No brokers, controller 1, no topics.
fn answer(correlation_id: u8) -> String {
    format!("00000010000000{correlation_id:02x}000000000000000100000000")
}

/// What a test sent and received over a connection, half of which is an answer.
pub(super) fn trace() -> Trace {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut head = [0; 8];
        stream.read_exact(&mut head).expect("a request");
        let answer = ottla_conformance::codec::unhex(&answer(1)).expect("hex");
        stream.write_all(&answer).expect("an answer is taken");
    });
    let trace = Trace::default();
    let patience = Duration::from_secs(10);
    let wire = Wire::connect(address, patience, trace.clone(), 1, Instant::now());
    let mut wire = wire.expect("a connection");
    let request = Request::default_of(ApiKey::Metadata);
    wire.call(1, &request).expect("an answer");
    served.join().expect("no panic");
    trace
}

fn titles(frames: &[Frame]) -> Vec<String> {
    log(frames, Way::Sent, 8).iter().map(ottla_conformance::annotate::Entry::title).collect()
}

#[test]
fn a_trace_becomes_frames_with_their_apis() {
    let kept = frames(&trace().frames(), Way::Sent, KEPT_BYTES);
    let apis: Vec<_> = kept.iter().map(|frame| (frame.way, frame.api.as_deref())).collect();
    let metadata = Some("Metadata v1");
    assert_eq!(apis, [(Way::Sent, metadata), (Way::Received, metadata)]);
    assert_eq!(titles(&kept), ["Metadata v1 request", "Metadata v1 response"]);
    let json = serde_json::to_value(&kept[1]).expect("plain data");
    assert_eq!((&json["way"], &json["bytes"]), (&"received".into(), &20.into()));
}

#[test]
fn parts_are_put_together() {
    let (one, two) = (metadata(1), metadata(2));
    let (begin, end) = one.split_at(22);
    let sent = |text: &str| frame(Way::Sent, text);
    assert_eq!(
        titles(&[sent(begin), sent(end)]),
        [
            format!("the first 11 of {} bytes of a frame", one.len() / 2),
            "Metadata v1 request, begun 11 bytes before".to_owned(),
        ]
    );
    let both = format!("{one}{two}");
    assert_eq!(titles(&[sent(&both)]), ["Metadata v1 request, Metadata v1 request"]);
    assert_eq!(titles(&[sent("474554202f")]), ["not a frame"]);
    assert_eq!(titles(&[sent("00")]), ["the beginning of a frame's length"]);
    let received = || frame(Way::Received, &answer(7));
    assert_eq!(titles(&[received()]), ["answer"]);
    let asked = [sent(&metadata(7)), received()];
    assert_eq!(titles(&asked), ["Metadata v1 request", "Metadata v1 response"]);
}

#[test]
fn what_the_log_cut_is_not_an_error() {
    let whole = metadata(1);
    let mut cut = frame(Way::Sent, &whole[..36]);
    cut.bytes = whole.len() / 2;
    let entries = log(std::slice::from_ref(&cut), Way::Sent, 8);
    assert_eq!((entries[0].parts.len(), &entries[0].parts[0].error), (1, &None));
    let mut answer = frame(Way::Received, &answer(1)[..28]);
    answer.bytes = 20;
    answer.api = Some("Metadata v1".to_owned());
    let entries = log(std::slice::from_ref(&answer), Way::Sent, 8);
    assert_eq!(entries[0].title(), "Metadata v1 response");
    assert_eq!(entries[0].parts[0].error, None);
    assert!(entries[0].parts[0].text(4).contains("the log keeps no more"));
}
