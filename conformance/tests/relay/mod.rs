//! Our broker in this process, and a relay before it that meddles with what it answers.

use ottla_protocol::messages::{ApiKey, Response};
use ottla_protocol::{Bytes, Encoder, header};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the relay does to what goes through. Frames are without their length.
pub(crate) trait Meddle: Send + Sync {
    /// A request is there, on its way to the broker.
    fn request(&self, _asked: &mut Asked, _frame: &Bytes) -> Passage {
        Passage::default()
    }

    /// What the client gets for an answer. `held` is the connection's own, for frames that go
    /// later.
    fn answer(&self, asked: &Asked, frame: Vec<u8>, held: &mut Vec<Vec<u8>>) -> Told;

    /// Whether the client's connection stays open when the broker closes its.
    fn stays_open(&self) -> bool {
        false
    }
}

/// What becomes of a request.
#[derive(Default)]
pub(crate) struct Passage {
    /// What the client gets at once.
    pub(crate) at_once: Option<Vec<u8>>,
    /// Whether the broker does not get the request.
    pub(crate) is_kept: bool,
}

/// What becomes of an answer.
#[derive(Default)]
pub(crate) struct Told {
    /// What the client gets.
    pub(crate) frames: Vec<Vec<u8>>,
    /// Whether the connection ends after it.
    pub(crate) closes: bool,
}

impl From<Vec<u8>> for Told {
    fn from(frame: Vec<u8>) -> Self {
        Self { frames: vec![frame], closes: false }
    }
}

/// A request that waits for its answer.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) correlation_id: i32,
    /// An API that is known.
    pub(crate) api: Option<ApiKey>,
    pub(crate) version: i16,
    /// For whoever meddles: which request it is.
    #[allow(dead_code, reason = "not every test that has a relay counts")]
    pub(crate) number: usize,
}

type Fault = Option<Arc<dyn Meddle>>;

/// A broker behind a relay.
pub(crate) struct Relay {
    address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
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
        let (behind, fault) = (broker.addr(), Arc::<Mutex<Fault>>::default());
        let shared = Arc::clone(&fault);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A connection keeps the fault that it began with, so that what is left of an
                // earlier test meets nothing of a later one.
                let fault = shared.lock().expect("no thread panics with it").clone();
                relay(client, behind, fault);
            }
        });
        Self { address, fault, _runtime: runtime, _broker: broker, _folder: folder }
    }

    /// Where the relay listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets or takes away the fault of the connections that are made from now on.
    pub(crate) fn plant(&self, fault: Fault) {
        *self.fault.lock().expect("no thread panics with it") = fault;
    }
}

#[derive(Clone)]
struct Connection {
    fault: Fault,
    asked: Arc<Mutex<Vec<Asked>>>,
    client: Arc<Mutex<TcpStream>>,
}

impl Connection {
    fn stays_open(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.stays_open())
    }

    fn tell(&self, frames: &[Vec<u8>]) -> std::io::Result<()> {
        let mut client = self.client.lock().expect("no thread panics with it");
        frames.iter().try_for_each(|frame| client.write_all(&framed(frame)))
    }
}

fn relay(client: TcpStream, behind: SocketAddr, fault: Fault) {
    let Ok(broker) = TcpStream::connect(behind) else { return };
    let _ = (client.set_nodelay(true), broker.set_nodelay(true)); // it is slower without
    let (Ok(mut from_client), Ok(to_broker)) = (client.try_clone(), broker.try_clone()) else {
        return;
    };
    let client = Arc::new(Mutex::new(client));
    let connection = Connection { fault, asked: Arc::default(), client };
    let other = connection.clone();
    thread::spawn(move || {
        let _ = requests(&connection, &mut from_client, &to_broker);
        let _ = to_broker.shutdown(Shutdown::Write);
        if connection.stays_open() {
            let _ = std::io::copy(&mut from_client, &mut std::io::sink());
        }
    });
    thread::spawn(move || {
        let _ = answers(&other, broker);
        if !other.stays_open() {
            let client = other.client.lock().expect("no thread panics with it");
            let _ = client.shutdown(Shutdown::Both);
        }
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
    from: &mut TcpStream,
    mut to: &TcpStream,
) -> std::io::Result<()> {
    loop {
        let (frame, whole) = frame_of(from)?;
        if !whole {
            to.write_all(&frame)?;
            std::io::copy(from, &mut to)?;
            return Ok(());
        }
        let frame = Bytes::from(frame);
        if let Some(mut asked) = header_of(&frame) {
            let passage = match &connection.fault {
                Some(fault) => fault.request(&mut asked, &frame),
                None => Passage::default(),
            };
            if let Some(answer) = passage.at_once {
                connection.tell(&[answer])?;
            }
            if passage.is_kept {
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
    let api = ApiKey::from_code(number(0)?);
    Some(Asked { correlation_id, api, version: number(2)?, number: 0 })
}

/// The frame of an answer.
pub(crate) fn encoded(asked: &Asked, answer: &Response) -> Option<Vec<u8>> {
    let mut out = Encoder::new();
    header::encode_response_header(&mut out, asked.api?, asked.version, asked.correlation_id);
    answer.encode(&mut out, asked.version).ok()?;
    Some(out.into_bytes().to_vec())
}

fn answers(connection: &Connection, mut from: TcpStream) -> std::io::Result<()> {
    let mut held = Vec::new();
    loop {
        let (frame, _) = frame_of(&mut from)?;
        let told = match (&connection.fault, asked_for(connection, &frame)) {
            (Some(fault), Some(asked)) => fault.answer(&asked, frame, &mut held),
            _ => Told::from(frame),
        };
        connection.tell(&told.frames)?;
        if told.closes {
            let client = connection.client.lock().expect("no thread panics with it");
            return client.shutdown(Shutdown::Both);
        }
    }
}

fn asked_for(connection: &Connection, frame: &[u8]) -> Option<Asked> {
    let id = i32::from_be_bytes(frame.get(..4)?.try_into().ok()?);
    let mut asked = connection.asked.lock().expect("no thread panics with it");
    let at = asked.iter().position(|asked| asked.correlation_id == id)?;
    Some(asked.remove(at))
}
