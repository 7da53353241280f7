use std::collections::BTreeSet;

use ottla_protocol::Uuid;

use super::*;

/// Brokers by their racks.
fn brokers(racks: &[(i32, Option<&str>)]) -> BTreeMap<i32, BrokerImage> {
    let broker = |(id, rack): &(i32, Option<&str>)| {
        let broker = BrokerImage {
            epoch: 1,
            incarnation: Uuid::default(),
            host: String::new(),
            port: 0,
            rack: rack.map(str::to_owned),
            internal_host: String::new(),
            internal_port: 0,
            directory: Uuid::default(),
            log_dirs: Vec::new(),
            fenced: false,
            shutting_down: false,
            min_in_sync: 0,
        };
        (*id, broker)
    };
    racks.iter().map(broker).collect()
}

/// How often each broker has a replica, and how often it leads.
fn load(placed: &[Vec<i32>]) -> (BTreeMap<i32, usize>, BTreeMap<i32, usize>) {
    let mut load = (BTreeMap::new(), BTreeMap::new());
    for replicas in placed {
        *load.1.entry(replicas[0]).or_default() += 1;
        for id in replicas {
            *load.0.entry(*id).or_default() += 1;
        }
    }
    load
}

fn is_even(counts: &BTreeMap<i32, usize>) -> bool {
    counts.values().max().unwrap() - counts.values().min().unwrap() <= 1
}

#[test]
fn leaders_and_replicas_are_spread_evenly() {
    for count in 1..7 {
        let ids: Vec<(i32, Option<&str>)> = (1..=count).map(|id| (id, None)).collect();
        let brokers = brokers(&ids);
        for factor in 1..=brokers.len() {
            for rounds in 0..5 {
                let start = rounds * brokers.len();
                let placed = place(&brokers, start, brokers.len() * 6, factor).unwrap();
                let (replicas, leaders) = load(&placed);
                assert!(is_even(&replicas) && is_even(&leaders), "{placed:?}");
                for replicas in placed {
                    assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), factor);
                }
            }
        }
    }
    // Topics of one partition, one after the other.
    let three = brokers(&[(1, None), (2, None), (3, None)]);
    let leaders = (0..6).map(|start| place(&three, start, 1, 2).unwrap()[0][0]);
    assert_eq!(leaders.collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3]);
}

#[test]
fn the_followers_of_a_leader_change() {
    let four = brokers(&[(1, None), (2, None), (3, None), (4, None)]);
    let placed = place(&four, 0, 12, 2).unwrap();
    let of_1: BTreeSet<i32> =
        placed.iter().filter(|replicas| replicas[0] == 1).map(|replicas| replicas[1]).collect();
    assert_eq!(of_1, BTreeSet::from([2, 3, 4]));
}

#[test]
fn replicas_are_in_different_racks_as_long_as_there_are_racks() {
    let six = brokers(&[
        (1, Some("a")),
        (2, Some("a")),
        (3, Some("b")),
        (4, Some("b")),
        (5, Some("c")),
        (6, Some("c")),
    ]);
    for factor in 1..=6 {
        let placed = place(&six, 0, 24, factor).unwrap();
        for replicas in &placed {
            let racks: BTreeSet<&Option<String>> =
                replicas.iter().map(|id| &six[id].rack).collect();
            assert_eq!(racks.len(), factor.min(3), "{replicas:?}");
        }
        assert!(is_even(&load(&placed).0), "{placed:?}");
    }
    let uneven = brokers(&[(1, Some("a")), (2, Some("b")), (3, Some("b")), (4, Some("b"))]);
    for replicas in place(&uneven, 0, 8, 2).unwrap() {
        assert!(replicas.contains(&1), "{replicas:?}");
    }
}

#[test]
fn inactive_brokers_lead_nothing_and_come_last() {
    let mut three = brokers(&[(1, Some("a")), (2, Some("b")), (3, Some("b"))]);
    three.get_mut(&1).unwrap().fenced = true;
    assert!(place(&three, 0, 6, 2).unwrap().iter().all(|replicas| !replicas.contains(&1)));
    assert!(place(&three, 0, 6, 3).unwrap().iter().all(|replicas| replicas[2] == 1));
    for id in [2, 3] {
        three.get_mut(&id).unwrap().shutting_down = true;
    }
    assert_eq!(place(&three, 0, 1, 1), Err(PlacementError::NoActiveBroker));
}

#[test]
fn a_factor_has_its_limits() {
    let one = brokers(&[(1, None)]);
    assert_eq!(place(&one, 0, 1, 0), Err(PlacementError::NoReplicas));
    let error = PlacementError::TooFewBrokers { factor: 2, registered: 1 };
    assert_eq!(place(&one, 0, 1, 2), Err(error));
}
