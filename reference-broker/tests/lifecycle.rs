//! A broker inside another program: start, stop, kill, and start again in the same folder.

mod support;

use ottla_broker::{Broker, Config, RunningBroker, StartError};
use support::{Client, batch, folder};

async fn start(data: &std::path::Path) -> Result<RunningBroker, StartError> {
    let config = Config::dev()
        .set("listeners", "PLAINTEXT://127.0.0.1:0")
        .and_then(|config| config.set("log.dirs", data.to_str().unwrap()))
        .unwrap();
    Broker::start(config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_in_process_is_stopped_killed_and_started_again() {
    let (_folder, data) = folder();
    for round in 0..4i64 {
        let broker = start(&data).await.unwrap();
        let address = broker.addr();
        tokio::task::spawn_blocking(move || {
            let mut client = Client::connect(address);
            if round == 0 {
                client.create_topic("t", 1, &[]);
            }
            assert_eq!(client.produce("t", 0, -1, batch(&[b"x"])).base_offset, round);
        })
        .await
        .unwrap();
        match round % 2 {
            0 => broker.kill().await,
            _ => broker.shutdown().await.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clean_stop_answers_a_waiting_fetch_and_closes() {
    let (_folder, data) = folder();
    let broker = start(&data).await.unwrap();
    let address = broker.addr();
    let client = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address);
        client.create_topic("t", 1, &[]);
        let request = support::fetch_request("t", 0, 0, 15_000, 1 << 20).into();
        let correlation_id = client.send(11, &request);
        client.receive(ottla_protocol::messages::ApiKey::Fetch, 11, correlation_id);
        assert!(client.is_closed());
    });
    // Only a fetch that the broker has read is answered.
    let waiting = || broker.broker().partition("t", 0).is_ok_and(|topic| topic.waiting() > 0);
    tokio::task::block_in_place(|| support::eventually("the fetch waits", waiting));
    let started = std::time::Instant::now();
    broker.shutdown().await.unwrap();
    client.await.unwrap();
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_brokers_do_not_share_a_folder() {
    let (_folder, data) = folder();
    let first = start(&data).await.unwrap();
    let error = start(&data).await.unwrap_err().to_string();
    assert!(error.contains("in use by another broker"), "{error}");
    drop(first);
}
