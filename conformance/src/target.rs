//! What a target is: its addresses and what it says of itself.

use crate::wire::{NoAnswer, Trace, Wire};
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::{ApiKey, Request, Response};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// The shortest patience for an answer, whatever the round trip.
const PATIENCE_MIN: Duration = Duration::from_secs(3);
/// Patience in round trips.
const PATIENCE_ROUND_TRIPS: u32 = 200;
/// How long the first answer may take.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// A target that was reached and said which versions it has.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it was reached.
    pub address: SocketAddr,
    /// How long any answer may take: as given, or scaled by the measured round trip.
    pub patience: Duration,
    /// The median of five round trips.
    pub round_trip: Duration,
    /// What ApiVersions v0 lists: first and last version per API key, known to us or not.
    pub advertised: BTreeMap<i16, (i16, i16)>,
    /// Replicas of the topics that tests make; 1 unless set.
    pub replication_factor: i16,
}

/// Why a target cannot be tested.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

impl Target {
    /// Reaches the target at `bootstrap` (`host:port`, more separated by commas: the first that
    /// answers counts) and asks what it has.
    ///
    /// # Errors
    ///
    /// A name that does not resolve, nobody who listens, and somebody who does not speak Kafka.
    pub fn reach(bootstrap: &str) -> Result<Self, Unreachable> {
        Self::reach_within(bootstrap, None)
    }

    /// As [`reach`](Self::reach), with a patience for all answers in place of the measured one.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reach_within(bootstrap: &str, patience: Option<Duration>) -> Result<Self, Unreachable> {
        let mut failures = Vec::new();
        for name in bootstrap.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let addresses = match name.to_socket_addrs() {
                Ok(addresses) => addresses,
                Err(error) => {
                    failures.push(format!("{name}: {error} (expected host:port)"));
                    continue;
                }
            };
            for address in addresses {
                match Self::ask(address, patience) {
                    Ok(target) => return Ok(target),
                    Err(why) => failures.push(format!("{name}: {why}")),
                }
            }
        }
        if failures.is_empty() {
            failures.push("no address was given".to_owned());
        }
        Err(Unreachable(failures.join("; ")))
    }

    fn ask(address: SocketAddr, patience: Option<Duration>) -> Result<Self, String> {
        let began = Instant::now();
        let first = patience.unwrap_or(FIRST_PATIENCE);
        let connected = Wire::connect(address, first, Trace::default(), 1, began);
        let mut wire = connected.map_err(|why| why.to_string())?;
        let mut advertised = None;
        let mut trips = Vec::new();
        for _ in 0..5 {
            let sent = Instant::now();
            advertised = Some(versions(&mut wire).map_err(|why| not_kafka(&why))?);
            trips.push(sent.elapsed());
        }
        trips.sort();
        let round_trip = trips[2];
        let measured = (round_trip * PATIENCE_ROUND_TRIPS).max(PATIENCE_MIN);
        let patience = patience.unwrap_or(measured);
        let advertised = advertised.expect("it was asked five times");
        Ok(Self { address, patience, round_trip, advertised, replication_factor: 1 })
    }

    /// The versions of an API that both the target and our codec have; `None` where the target
    /// does not list it.
    pub fn versions_of(&self, api: ApiKey) -> Option<RangeInclusive<i16>> {
        let (first, last) = *self.advertised.get(&api.code())?;
        let ours = api.stable_versions();
        Some(first.max(*ours.start())..=last.min(*ours.end()))
    }

    /// The highest version of an API that both sides have; `None` where the target does not list
    /// the API, or no version that we know.
    pub fn best(&self, api: ApiKey) -> Option<i16> {
        self.versions_of(api)
            .filter(|versions| !versions.is_empty())
            .map(|versions| *versions.end())
    }
}

fn versions(wire: &mut Wire) -> Result<BTreeMap<i16, (i16, i16)>, NoAnswer> {
    let request = Request::ApiVersions(Box::<ApiVersionsRequest>::default());
    match wire.call(0, &request)? {
        Response::ApiVersions(answer) if answer.error_code == 0 => {
            let entry = |key: &ottla_protocol::messages::api_versions::ApiVersion| {
                (key.api_key, (key.min_version, key.max_version))
            };
            Ok(answer.api_keys.iter().map(entry).collect())
        }
        Response::ApiVersions(answer) => {
            let code = answer.error_code;
            Err(NoAnswer::NotAFrame(format!("ApiVersions v0 was answered with error {code}")))
        }
        _ => Err(NoAnswer::NotAFrame("another API's answer".to_owned())),
    }
}

fn not_kafka(why: &NoAnswer) -> String {
    match why {
        NoAnswer::Broken(_) => why.to_string(),
        NoAnswer::Closed => "it closes the connection when it is asked for ApiVersions v0: not a \
                             Kafka broker, or one that wants TLS"
            .to_owned(),
        NoAnswer::Silence(_) => format!("{why} to ApiVersions v0: not a Kafka broker, or it hangs"),
        NoAnswer::NotAFrame(_) => format!("not a Kafka broker: {why}"),
    }
}
