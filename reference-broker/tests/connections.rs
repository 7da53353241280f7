//! What connections may take: time without a request (`connections.max.idle.ms`), and bytes of
//! large requests (`queued.max.request.bytes`).

mod support;

use std::time::{Duration, Instant};

use ottla_broker::testing::Faults;
use ottla_broker::{Broker, Config, RunningBroker};
use ottla_protocol::messages::{ApiKey, ApiVersionsRequest, Response};
use support::{Client, Process, batch, eventually, fetch_request, folder, produce_request};

const IDLE: Duration = Duration::from_secs(1);

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let (_folder, data) = folder();
    let idle = format!("connections.max.idle.ms={}", IDLE.as_millis());
    let broker = Process::start(&data, &[&idle]);
    let mut waiting = broker.connect();
    waiting.create_topic("t", 1, &[]);
    std::thread::scope(|scope| {
        // One that never said anything, and one that did once.
        for speaks in [false, true] {
            let mut client = broker.connect();
            scope.spawn(move || {
                assert!(!speaks || client.is_alive());
                let began = Instant::now();
                assert!(client.is_closed());
                // Of the silence, the way of the answer is not seen here.
                let least = if speaks { IDLE * 9 / 10 } else { IDLE / 2 };
                assert!(began.elapsed() > least, "closed after {:?}", began.elapsed());
            });
        }
        let mut busy = broker.connect();
        scope.spawn(move || {
            let began = Instant::now();
            while began.elapsed() < 2 * IDLE {
                assert!(busy.is_alive());
            }
        });
        // Who waits for an answer is not idle.
        scope.spawn(move || {
            let ms = i32::try_from((2 * IDLE).as_millis()).expect("two seconds");
            let request = fetch_request("t", 0, 0, ms, 1000);
            for _ in 0..2 {
                let Response::Fetch(answer) = waiting.call(11, request.clone()) else { panic!() };
                assert_eq!(answer.responses[0].partitions[0].error_code, 0);
            }
        });
    });
}

/// A broker in this process whose requests are counted.
struct Counted {
    broker: RunningBroker,
    faults: std::sync::Arc<Faults>,
}

impl Counted {
    /// How many requests were read so far.
    fn read(&self, api: ApiKey) -> u64 {
        let requests = self.faults.requests();
        requests.iter().filter(|((of, _), _)| *of == api).map(|(_, count)| count).sum()
    }
}

#[test]
fn large_requests_wait_for_their_turn_and_none_is_lost() {
    const CLIENTS: usize = 8;
    /// One fits into the budget, if the others have not begun to arrive, and one may go beyond it
    /// so that nobody waits for ever.
    const AT_ONCE: u64 = 2;
    let (_folder, data) = folder();
    let config = Config::dev()
        .set("listeners", "PLAINTEXT://127.0.0.1:0")
        .and_then(|config| config.set("log.dirs", data.to_str().unwrap()))
        .and_then(|config| config.set("queued.max.request.bytes", "1048576"))
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(Broker::start(config)).unwrap();
    let faults = broker.faults();
    let counted = Counted { broker, faults };
    let address = counted.broker.addr();
    Client::connect(address).create_topic("t", 1, &[]);
    for round in 0..2 {
        let before = counted.read(ApiKey::Produce);
        counted.faults.pause();
        let mut offsets: Vec<i64> = std::thread::scope(|scope| {
            let produce = |client: usize| {
                let mut value = vec![b'x'; 900_000];
                value[0] = u8::try_from(round * CLIENTS + client).expect("a small number");
                let request = produce_request("t", 0, -1, batch(&[&value]));
                let Response::Produce(answer) = Client::connect(address).call(9, request) else {
                    panic!()
                };
                let part = &answer.responses[0].partition_responses[0];
                assert_eq!(part.error_code, 0);
                part.base_offset
            };
            let clients: Vec<_> =
                (0..CLIENTS).map(|client| scope.spawn(move || produce(client))).collect();
            let resumes = Resumes(&counted.faults);
            eventually("one is read", || counted.read(ApiKey::Produce) > before);
            // Small ones need nothing of the budget; while they come, no further large one does.
            let small: Vec<Client> = (0..100)
                .map(|number| {
                    let mut client = Client::connect(address);
                    let seen = counted.read(ApiKey::ApiVersions);
                    client.send(0, &ApiVersionsRequest::default().into());
                    eventually(&format!("small request {number} is read"), || {
                        counted.read(ApiKey::ApiVersions) > seen
                    });
                    client
                })
                .collect();
            let large = counted.read(ApiKey::Produce) - before;
            assert!(large <= AT_ONCE, "{large} were read at once");
            drop((resumes, small));
            clients.into_iter().map(|client| client.join().expect("it is answered")).collect()
        });
        offsets.sort_unstable();
        let first = i64::try_from(round * CLIENTS).expect("a small number");
        let expected: Vec<i64> = (first..).take(CLIENTS).collect();
        assert_eq!(offsets, expected, "each was appended once");
    }
    let stored = Client::connect(address).read_all("t", 0);
    let mut firsts: Vec<u8> = stored.iter().map(|(_, value)| value[0]).collect();
    firsts.sort_unstable();
    assert_eq!(firsts, (0..16).collect::<Vec<u8>>());
    runtime.block_on(counted.broker.kill());
}

/// Lets the clients have their answers, however this ends.
struct Resumes<'a>(&'a Faults);

impl Drop for Resumes<'_> {
    fn drop(&mut self) {
        self.0.resume();
    }
}
