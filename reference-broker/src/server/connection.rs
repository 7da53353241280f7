//! One connection: read a frame, serve it, write the answer, again.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::frame::FrameDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::Shared;
use super::budget::Taken;
use super::request::{self, Served};
use crate::runtime::TcpStream;

/// A frame that has begun must bring bytes at least this often, because it may hold a part of the
/// common budget.
const STALL_MAX: Duration = Duration::from_secs(30);
/// A buffer that served a large frame is given back after this long without traffic.
const BUFFER_KEPT: Duration = Duration::from_secs(1);
const BUFFER_KEPT_LEN: usize = 64 << 10;
/// How many chunks go into one vectored write.
const SLICES_MAX: usize = 64;

/// Why a connection ended.
pub(super) enum Closed {
    /// The client closed it.
    ByPeer,
    /// Nothing to worry about.
    Quietly(&'static str),
    /// The client sent what cannot be served.
    Refused(String),
}

impl From<io::Error> for Closed {
    fn from(_: io::Error) -> Self {
        Self::ByPeer
    }
}

/// Serves a connection until either side ends it.
pub(super) async fn run(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    peer: SocketAddr,
    mut stop: watch::Receiver<bool>,
) -> Closed {
    let mut decoder = FrameDecoder::new(shared.frame_len_max);
    loop {
        let (frame, taken) = tokio::select! {
            biased;
            read = read_frame(shared, &mut stream, &mut decoder) => match read {
                Ok(read) => read,
                Err(closed) => return closed,
            },
            _ = stop.wait_for(|stop| *stop) => return Closed::Quietly("the broker shuts down"),
        };
        let served = request::serve(shared, peer, frame).await;
        drop(taken);
        match served {
            Served::Answer(chunks) => {
                if let Err(closed) = answer(shared, &mut stream, chunks).await {
                    return closed;
                }
            }
            Served::Last(chunks, reason) => {
                let written = answer(shared, &mut stream, chunks).await;
                return written.err().unwrap_or_else(|| Closed::Refused(reason.into()));
            }
            Served::Silence => {}
            Served::Close(reason) => return Closed::Refused(reason),
        }
    }
}

/// Writes an answer; its bytes are counted until the client has taken them.
async fn answer(
    shared: &Arc<Shared>,
    stream: &mut TcpStream,
    chunks: Vec<Bytes>,
) -> Result<(), Closed> {
    let len = chunks.iter().map(Bytes::len).sum();
    let _unread = shared.broker.count_unread(len);
    match tokio::time::timeout(shared.idle_max, write_all(stream, chunks)).await {
        Ok(written) => {
            written?;
            shared.broker.metrics().on_sent(len);
            Ok(())
        }
        Err(_) => Err(Closed::Quietly("the client does not read its answers")),
    }
}

/// Reads until there is a whole frame; memory grows with the bytes that came.
async fn read_frame(
    shared: &Arc<Shared>,
    stream: &mut TcpStream,
    decoder: &mut FrameDecoder,
) -> Result<(Bytes, Taken), Closed> {
    let mut taken = Taken::default();
    let mut idle = Duration::ZERO;
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => return Ok((frame, taken)),
            Ok(None) => {}
            Err(error) => return Err(Closed::Refused(error.to_string())),
        }
        let (arrived, len) = (decoder.pending_len(), decoder.claimed_len().unwrap_or(0));
        shared.budget.pay(&mut taken, arrived, len).await;
        let begun = arrived > 0;
        let large = !begun && decoder.capacity() > BUFFER_KEPT_LEN;
        let patience = match (begun, large) {
            (true, _) => STALL_MAX.min(shared.idle_max),
            (false, true) => BUFFER_KEPT.min(shared.idle_max),
            (false, false) => shared.idle_max.saturating_sub(idle),
        };
        // One read may bring a megabyte: not before that is paid for.
        let mut room = (&mut *stream).take(taken.room(arrived, len) as u64);
        match tokio::time::timeout(patience, room.read_buf(decoder.buffer())).await {
            Ok(Ok(0)) => return Err(Closed::ByPeer),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(_) if begun => return Err(Closed::Refused("a frame stopped half-way".into())),
            Err(_) if large => {
                *decoder = FrameDecoder::new(shared.frame_len_max);
                idle += patience;
            }
            Err(_) => return Err(Closed::Quietly("idle for connections.max.idle.ms")),
        }
    }
}

/// Writes all chunks by vectored writes: record data goes from the log's read to the socket without
/// a copy.
pub(crate) async fn write_all(stream: &mut TcpStream, chunks: Vec<Bytes>) -> io::Result<()> {
    if let [only] = &chunks[..] {
        return stream.write_all(only).await;
    }
    let mut first = 0;
    let mut offset = 0;
    while first < chunks.len() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&chunks[first..]) {
            let from = if count == 0 { offset } else { 0 };
            *slice = IoSlice::new(&chunk[from..]);
            count += 1;
        }
        let mut written = stream.write_vectored(&slices[..count]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while first < chunks.len() && written >= chunks[first].len() - offset {
            written -= chunks[first].len() - offset;
            first += 1;
            offset = 0;
        }
        offset += written;
    }
    Ok(())
}
