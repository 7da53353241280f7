//! A peer against a listener that misbehaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottla_protocol::Uuid;

use super::*;
use crate::runtime::TcpListener;

const LONG: Duration = Duration::from_secs(20);
const ECHO: i16 = 31_000;
const NEVER: i16 = 31_001;
const END: i16 = 31_002;

/// Says who it is, answers `ECHO` with its body, lets `NEVER` wait and ends connections at `END`.
async fn node(own: Hello) -> (Peer, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(answer(stream, own.clone()));
        }
    });
    let peer = Peer::new(Hello::new("c", 1, Uuid([1; 16])).to(2), "127.0.0.1", port);
    (peer, accepted)
}

async fn answer(mut stream: TcpStream, own: Hello) -> Option<()> {
    let mut decoder = FrameDecoder::new(1 << 20);
    loop {
        let Some(frame) = decoder.next_frame().unwrap() else {
            stream.read_buf(decoder.buffer()).await.ok().filter(|read| *read > 0)?;
            continue;
        };
        let (header, body) = RequestHeader::decode_prefix(&frame, 0, 1).unwrap();
        let body = match header.request_api_key {
            HELLO => {
                let hello: Hello = serde_json::from_slice(&frame[body..]).unwrap();
                let introduction = Introduction {
                    node_id: 2,
                    directory: "d".into(),
                    formed: true,
                    voters: Vec::new(),
                };
                let answer = match own.refuse(&hello) {
                    Some(reason) => HelloAnswer::Refused(reason),
                    None => HelloAnswer::Introduced(introduction),
                };
                Bytes::from(answer.to_json())
            }
            ECHO => frame.slice(body..),
            NEVER => continue,
            _ => return None,
        };
        let mut out = Encoder::framed();
        out.put_slice(&header.correlation_id.to_be_bytes());
        out.put_slice(&body);
        stream.write_all(&out.into_bytes()).await.ok()?;
    }
}

fn two() -> Hello {
    Hello::new("c", 2, Uuid([2; 16]))
}

#[tokio::test]
async fn connections_are_used_again() {
    let (peer, accepted) = node(two()).await;
    for body in [&b"a"[..], b"", b"bc"] {
        assert_eq!(peer.call(ECHO, 0, body, LONG).await.unwrap(), body);
    }
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
    assert!(peer.introduce(LONG).await.unwrap().formed);
}

#[tokio::test]
async fn a_call_that_is_given_up_takes_its_connection_with_it() {
    let (peer, accepted) = node(two()).await;
    let error = peer.call(NEVER, 0, b"x", Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, PeerError::TimedOut { .. }), "{error}");
    assert_eq!(peer.call(ECHO, 0, b"y", LONG).await.unwrap(), &b"y"[..]);
    assert_eq!(accepted.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn calls_at_once_do_not_wait_for_each_other() {
    let (peer, _) = node(two()).await;
    let waiting = peer.call(NEVER, 0, b"x", LONG);
    let echoed = async {
        tokio::task::yield_now().await;
        peer.call(ECHO, 0, b"y", LONG).await
    };
    tokio::select! {
        _ = waiting => panic!("it is never answered"),
        answer = echoed => assert_eq!(answer.unwrap(), &b"y"[..]),
    }
}

#[tokio::test]
async fn a_connection_that_ends_costs_one_call() {
    let (peer, _) = node(two()).await;
    peer.call(ECHO, 0, b"a", LONG).await.unwrap();
    let error = peer.call(END, 0, b"", LONG).await.unwrap_err();
    assert!(matches!(error, PeerError::Lost { .. }), "{error}");
    assert_eq!(peer.call(ECHO, 0, b"b", LONG).await.unwrap(), &b"b"[..]);
}

#[tokio::test]
async fn another_node_than_the_one_that_was_meant_refuses() {
    let (peer, _) = node(Hello::new("c", 3, Uuid([3; 16]))).await;
    let error = peer.call(ECHO, 0, b"a", LONG).await.unwrap_err();
    assert!(error.to_string().contains("this is node 3, not node 2"), "{error}");
    let nobody = Peer::new(two(), "127.0.0.1", 1);
    let error = nobody.call(ECHO, 0, b"a", LONG).await.unwrap_err();
    assert!(matches!(error, PeerError::Unreachable { .. }), "{error}");
}
