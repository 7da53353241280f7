//! A socket that is a real one, or one of the simulation that the caller is in.

use bytes::BufMut;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};

/// How much one read takes.
const READ_LEN: usize = 64 << 10;
/// A full connection is tried again after this long.
const FULL_WAIT: Duration = Duration::from_millis(1);

/// A connection; the methods are tokio's.
#[derive(Debug)]
pub(super) enum TcpStream {
    Real(tokio::net::TcpStream),
    Simulated(Mutex<turmoil::net::TcpStream>),
}

impl TcpStream {
    /// Connects inside a simulation.
    pub(super) async fn connect_simulated(host: &str, port: u16) -> io::Result<Self> {
        let stream = turmoil::net::TcpStream::connect((host, port)).await?;
        Ok(Self::Simulated(Mutex::new(stream)))
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.readable().await,
            Self::Simulated(stream) => {
                let peek = |cx: &mut Context<'_>| {
                    let mut byte = [0; 1];
                    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                    stream.poll_peek(cx, &mut ReadBuf::new(&mut byte)).map_ok(drop)
                };
                std::future::poll_fn(peek).await
            }
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.writable().await,
            Self::Simulated(_) => {
                tokio::time::sleep(FULL_WAIT).await;
                Ok(())
            }
        }
    }

    pub(super) fn try_read_buf(&self, buf: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Self::Real(stream) => stream.try_read_buf(buf),
            Self::Simulated(stream) => {
                let mut bytes = vec![0; READ_LEN];
                let mut read = ReadBuf::new(&mut bytes);
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                let mut cx = Context::from_waker(Waker::noop());
                match Pin::new(&mut *stream).poll_read(&mut cx, &mut read) {
                    Poll::Ready(done) => done?,
                    Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
                }
                buf.put_slice(read.filled());
                Ok(read.filled().len())
            }
        }
    }

    pub(super) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Real(stream) => stream.try_write_vectored(slices),
            Self::Simulated(stream) => {
                let stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                let parts: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
                stream.try_write(&parts.concat())
            }
        }
    }
}
