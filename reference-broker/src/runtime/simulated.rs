//! Sockets that are the real ones, or those of the simulation that the caller is in.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

thread_local! {
    static BLOCKING_LATENCY: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Sets how long what blocks takes, for the host that runs now.
pub fn set_blocking_latency(latency: Duration) {
    BLOCKING_LATENCY.set(latency);
}

/// What blocks, as a task.
pub(super) fn spawn_late<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let latency = BLOCKING_LATENCY.get();
    tokio::spawn(async move {
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        work()
    })
}

/// Listens for connections.
pub enum TcpListener {
    /// Of the operating system.
    Real(tokio::net::TcpListener),
    /// Of the simulation.
    Simulated(turmoil::net::TcpListener),
}

/// A connection.
#[derive(Debug)]
pub enum TcpStream {
    /// Of the operating system.
    Real(tokio::net::TcpStream),
    /// Of the simulation.
    Simulated(turmoil::net::TcpStream),
}

impl TcpListener {
    /// Listens at an address of this machine, or at all addresses of this simulated host.
    pub async fn bind((host, port): (&str, u16)) -> io::Result<Self> {
        Ok(match turmoil::in_simulation() {
            true => Self::Simulated(turmoil::net::TcpListener::bind(("0.0.0.0", port)).await?),
            false => Self::Real(tokio::net::TcpListener::bind((host, port)).await?),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Real(listener) => listener.local_addr(),
            Self::Simulated(listener) => listener.local_addr(),
        }
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Ok(match self {
            Self::Real(listener) => {
                let (stream, peer) = listener.accept().await?;
                (TcpStream::Real(stream), peer)
            }
            Self::Simulated(listener) => {
                let (stream, peer) = listener.accept().await?;
                (TcpStream::Simulated(stream), peer)
            }
        })
    }
}

impl TcpStream {
    /// Connects to `host:port`.
    pub async fn connect(address: &str) -> io::Result<Self> {
        Ok(match turmoil::in_simulation() {
            true => Self::Simulated(turmoil::net::TcpStream::connect(address).await?),
            false => Self::Real(tokio::net::TcpStream::connect(address).await?),
        })
    }

    /// Sends without waiting for more.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.set_nodelay(nodelay),
            Self::Simulated(stream) => stream.set_nodelay(nodelay),
        }
    }
}

/// Calls a method of whichever stream it is.
macro_rules! of_stream {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            Self::Real(stream) => Pin::new(stream).$method($($argument),*),
            Self::Simulated(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        of_stream!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        of_stream!(self, poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        of_stream!(self, poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_stream!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_stream!(self, poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self, Self::Real(_))
    }
}
