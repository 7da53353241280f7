//! Requests of Kafka's APIs to one broker, where the client would choose another or none.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::Encoder;
use ottla_protocol::header::{decode_response_header, encode_request_header};
use ottla_protocol::messages::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to a broker's listener for clients.
pub struct Wire {
    name: String,
    stream: TcpStream,
}

impl Wire {
    /// Connects to a host; `name` is who asks.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn connect(name: &str, host: &str) -> io::Result<Self> {
        let connected = tokio::time::timeout(PATIENCE, TcpStream::connect((host, 9092)));
        Ok(Self { name: name.to_owned(), stream: connected.await?? })
    }

    /// One request. After an error the connection is of no use any more.
    ///
    /// # Errors
    /// When there is no answer in time, or none that can be read.
    pub async fn call(&mut self, version: i16, request: &Request) -> io::Result<Response> {
        let api = request.api_key();
        let mut out = Encoder::framed();
        encode_request_header(&mut out, api, version, 1, Some(&self.name))
            .and_then(|()| request.encode(&mut out, version))
            .map_err(io::Error::other)?;
        let frame = tokio::time::timeout(PATIENCE, self.exchange(&out.into_bytes())).await??;
        let (_, body) = decode_response_header(&frame, api, version).map_err(io::Error::other)?;
        Response::decode(api, version, &frame, body).map_err(io::Error::other)
    }

    async fn exchange(&mut self, frame: &[u8]) -> io::Result<Bytes> {
        self.stream.write_all(frame).await?;
        let len = usize::try_from(self.stream.read_i32().await?).map_err(io::Error::other)?;
        let mut answer = BytesMut::zeroed(len);
        self.stream.read_exact(&mut answer).await?;
        Ok(answer.freeze())
    }
}
