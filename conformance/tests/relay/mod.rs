//! Our broker in this process, and a relay before it that changes what it answers.

use ottla_conformance::wire;
use ottla_protocol::header;
use ottla_protocol::messages::{ApiKey, Request, Response};
use ottla_protocol::{Bytes, Encoder};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the relay does to one API.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    /// Changes the answer.
    Body(fn(&mut Response)),
    /// Changes the answer's bytes, without the length, from the correlation id on.
    Raw(fn(&mut Vec<u8>)),
    /// Sends each second answer before the first.
    Swap,
    /// Answers in place of the broker.
    Answer(fn(&Request) -> Option<Response>),
}

/// The API, its version (`None`: all), and the change.
type Fault = (ApiKey, Option<i16>, Change);

/// A broker behind a relay.
pub(crate) struct Relay {
    address: SocketAddr,
    fault: Arc<Mutex<Option<Fault>>>,
    _runtime: tokio::runtime::Runtime,
    _broker: ottla_broker::RunningBroker,
    _folder: tempfile::TempDir,
}

impl Relay {
    /// Starts both; the broker names the relay as its own address.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let folder = tempfile::tempdir().expect("a writable folder");
        let path = folder.path().to_str().expect("a plain path");
        let settings = [
            ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
            ("advertised.listeners", format!("PLAINTEXT://{address}")),
            ("log.dirs", path.to_owned()),
        ];
        let config = settings.iter().fold(ottla_broker::Config::dev(), |config, (name, value)| {
            config.set(name, value).expect("a setting that exists")
        });
        let runtime = tokio::runtime::Runtime::new().expect("threads are to be had");
        let broker = runtime.block_on(ottla_broker::Broker::start(config)).expect("it starts");
        let (behind, fault) = (broker.addr(), Arc::default());
        let shared = Arc::clone(&fault);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                relay(client, behind, Arc::clone(&shared));
            }
        });
        Self { address, fault, _runtime: runtime, _broker: broker, _folder: folder }
    }

    /// Where the relay listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets or takes away the fault.
    pub(crate) fn plant(&self, fault: Option<Fault>) {
        *self.fault.lock().expect("no thread panics with it") = fault;
    }
}

/// A request that waits for its answer.
struct Asked {
    correlation_id: i32,
    api: ApiKey,
    version: i16,
}

#[derive(Clone)]
struct Connection {
    fault: Arc<Mutex<Option<Fault>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    client: Arc<Mutex<TcpStream>>,
}

fn relay(client: TcpStream, behind: SocketAddr, fault: Arc<Mutex<Option<Fault>>>) {
    let Ok(broker) = TcpStream::connect(behind) else { return };
    let _ = (client.set_nodelay(true), broker.set_nodelay(true)); // it is slower without
    let (Ok(from_client), Ok(to_broker)) = (client.try_clone(), broker.try_clone()) else {
        return;
    };
    let client = Arc::new(Mutex::new(client));
    let connection = Connection { fault, asked: Arc::default(), client };
    let other = connection.clone();
    thread::spawn(move || {
        let _ = requests(&connection, from_client, &to_broker);
        let _ = to_broker.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = answers(&other, broker);
        let client = other.client.lock().expect("no thread panics with it");
        let _ = client.shutdown(Shutdown::Both);
    });
}

/// The bytes after a length, as they are where it is none that a frame of tests can have.
fn frame_of(stream: &mut TcpStream) -> std::io::Result<(Vec<u8>, bool)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let len = u32::from_be_bytes(length);
    if len > 64 << 20 {
        return Ok((length.to_vec(), false));
    }
    let mut frame = vec![0; len as usize];
    stream.read_exact(&mut frame)?;
    Ok((frame, true))
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes(), frame].concat()
}

fn requests(
    connection: &Connection,
    mut from: TcpStream,
    mut to: &TcpStream,
) -> std::io::Result<()> {
    loop {
        let (frame, whole) = frame_of(&mut from)?;
        if !whole {
            to.write_all(&frame)?;
            std::io::copy(&mut from, &mut to)?;
            return Ok(());
        }
        let frame = Bytes::from(frame);
        if let Some(asked) = header_of(&frame) {
            if let Some(answer) = answer_to(connection, &asked, &frame) {
                let mut client = connection.client.lock().expect("no thread panics with it");
                client.write_all(&framed(&answer))?;
                continue;
            }
            connection.asked.lock().expect("no thread panics with it").push(asked);
        }
        to.write_all(&framed(&frame))?;
    }
}

fn header_of(frame: &Bytes) -> Option<Asked> {
    let number = |at: usize| Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let correlation_id = i32::from_be_bytes(frame.get(4..8)?.try_into().ok()?);
    let api = ApiKey::ALL.iter().copied().find(|api| Some(api.code()) == number(0))?;
    Some(Asked { correlation_id, api, version: number(2)? })
}

fn fault_of(connection: &Connection, asked: &Asked) -> Option<Change> {
    let fault = *connection.fault.lock().expect("no thread panics with it");
    let (api, version, change) = fault?;
    let applies = api == asked.api && version.is_none_or(|version| version == asked.version);
    applies.then_some(change)
}

fn answer_to(connection: &Connection, asked: &Asked, frame: &Bytes) -> Option<Vec<u8>> {
    let Change::Answer(answer) = fault_of(connection, asked)? else { return None };
    let (_, _, body_at) = header::decode_request_header(frame).ok()?;
    let request = Request::decode(asked.api, asked.version, frame, body_at).ok()?;
    encoded(asked, &answer(&request)?)
}

fn encoded(asked: &Asked, answer: &Response) -> Option<Vec<u8>> {
    let mut out = Encoder::new();
    header::encode_response_header(&mut out, asked.api, asked.version, asked.correlation_id);
    answer.encode(&mut out, asked.version).ok()?;
    Some(out.into_bytes().to_vec())
}

fn answers(connection: &Connection, mut from: TcpStream) -> std::io::Result<()> {
    let mut held = None;
    loop {
        let (frame, _) = frame_of(&mut from)?;
        let mut frames = vec![frame];
        if let Some(asked) = asked_for(connection, &frames[0]) {
            match fault_of(connection, &asked) {
                Some(Change::Raw(change)) => change(&mut frames[0]),
                Some(Change::Body(change)) => {
                    let bytes = Bytes::from(frames[0].clone());
                    let id = asked.correlation_id;
                    if let Ok(mut answer) = wire::response(asked.api, asked.version, id, &bytes) {
                        change(&mut answer);
                        frames[0] = encoded(&asked, &answer).expect("it was decoded before");
                    }
                }
                Some(Change::Swap) => match held.take() {
                    None => {
                        held = frames.pop();
                    }
                    Some(first) => frames.push(first),
                },
                Some(Change::Answer(_)) | None => {}
            }
        }
        let mut client = connection.client.lock().expect("no thread panics with it");
        for frame in frames {
            client.write_all(&framed(&frame))?;
        }
    }
}

fn asked_for(connection: &Connection, frame: &[u8]) -> Option<Asked> {
    let id = i32::from_be_bytes(frame.get(..4)?.try_into().ok()?);
    let mut asked = connection.asked.lock().expect("no thread panics with it");
    let at = asked.iter().position(|asked| asked.correlation_id == id)?;
    Some(asked.remove(at))
}
