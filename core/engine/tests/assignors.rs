//! The assignors: every partition to one subscriber, balanced, and with as little movement as the
//! strategy promises.

use ottla_engine::cluster::backoff::Seed;
use ottla_engine::group::TopicPartition;
use ottla_engine::group::assignor::{
    Assignment, Assignor, PartitionCounts, Subscriber, sticky_user_data,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ALL: [Assignor; 4] =
    [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky];

fn member(id: &str, topics: &[&str]) -> Subscriber {
    Subscriber {
        member_id: id.to_string(),
        topics: topics.iter().map(|&topic| Arc::from(topic)).collect(),
        generation: -1,
        ..Subscriber::default()
    }
}

fn counts(topics: &[(&str, i32)]) -> PartitionCounts {
    topics.iter().map(|&(topic, count)| (Arc::from(topic), count)).collect()
}

/// `a: t-0 t-1 | b: t-2`
fn show(assignment: &Assignment) -> String {
    let members = assignment.iter().map(|(member, partitions)| {
        let words: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        format!("{member}: {}", words.join(" "))
    });
    members.collect::<Vec<_>>().join(" | ")
}

/// The members as they come to the next round: they say what they own, in both ways.
fn next_round(members: &[Subscriber], owned: &Assignment, generation: i32) -> Vec<Subscriber> {
    let of = |member: &Subscriber| {
        let owned = owned.get(&member.member_id).cloned().unwrap_or_default();
        let user_data = Some(sticky_user_data(&owned, generation));
        Subscriber { owned, generation, user_data, ..member.clone() }
    };
    members.iter().map(of).collect()
}

fn owners(assignment: &Assignment) -> BTreeMap<TopicPartition, String> {
    let mut owners = BTreeMap::new();
    for (member, partitions) in assignment {
        for partition in partitions {
            let before = owners.insert(partition.clone(), member.clone());
            assert_eq!(before, None, "{partition} has two owners");
        }
    }
    owners
}

/// Every partition of a subscribed topic has one owner that subscribes to it.
fn check_complete(members: &[Subscriber], topics: &PartitionCounts, assignment: &Assignment) {
    let owners = owners(assignment);
    for (topic, &count) in topics {
        let takers: Vec<_> = members.iter().filter(|m| m.topics.contains(topic)).collect();
        for partition in (0..count).map(|p| TopicPartition::new(topic.clone(), p)) {
            match owners.get(&partition) {
                Some(owner) => assert!(takers.iter().any(|m| m.member_id == *owner)),
                None => assert!(takers.is_empty(), "{partition} has no owner"),
            }
        }
    }
    assert_eq!(assignment.len(), members.len(), "every member is a key");
}

/// No single move from a member to another subscriber of the partition's topic helps.
fn check_balanced(members: &[Subscriber], assignment: &Assignment) {
    for (owner, partitions) in assignment {
        for partition in partitions {
            for other in members.iter().filter(|m| m.topics.contains(&partition.topic)) {
                let (more, less) = (partitions.len(), assignment[&other.member_id].len());
                assert!(
                    more <= less + 1,
                    "{partition} should move from {owner} to {}: {}",
                    other.member_id,
                    show(assignment)
                );
            }
        }
    }
}

#[test]
fn range_gives_neighbours_and_the_first_members_get_one_more() {
    // The example of the Java class's documentation.
    let members = [member("C0", &["t0", "t1"]), member("C1", &["t0", "t1"])];
    let topics = counts(&[("t0", 3), ("t1", 3)]);
    assert_eq!(
        show(&Assignor::Range.assign(&members, &topics)),
        "C0: t0-0 t0-1 t1-0 t1-1 | C1: t0-2 t1-2"
    );
    let members = [member("C1", &["t0"]), member("C0", &["t0", "t1"]), member("C2", &["t1"])];
    assert_eq!(
        show(&Assignor::Range.assign(&members, &topics)),
        "C0: t0-0 t0-1 t1-0 t1-1 | C1: t0-2 | C2: t1-2"
    );
}

#[test]
fn round_robin_passes_over_members_that_do_not_subscribe() {
    let members = [member("C0", &["t0"]), member("C1", &["t0", "t1"])];
    let topics = counts(&[("t0", 3), ("t1", 2)]);
    assert_eq!(
        show(&Assignor::RoundRobin.assign(&members, &topics)),
        "C0: t0-0 t0-2 | C1: t0-1 t1-0 t1-1"
    );
}

#[test]
fn static_members_keep_their_place_under_a_new_member_id() {
    let with = |id: &str, instance: &str| Subscriber {
        instance_id: Some(instance.to_string()),
        ..member(id, &["t"])
    };
    let topics = counts(&[("t", 4)]);
    for assignor in [Assignor::Range, Assignor::RoundRobin] {
        let before = assignor.assign(&[with("m1", "i1"), with("m2", "i2")], &topics);
        // i1 restarts and gets a member id that sorts last.
        let after = assignor.assign(&[with("m9", "i1"), with("m2", "i2")], &topics);
        assert_eq!(before["m1"], after["m9"], "{assignor}");
    }
}

#[test]
fn sticky_keeps_what_members_have_when_one_leaves_or_joins() {
    let topics = counts(&[("t0", 4), ("t1", 4)]);
    let all = ["a", "b", "c"].map(|id| member(id, &["t0", "t1"]));
    let first = Assignor::Sticky.assign(&all, &topics);
    check_balanced(&all, &first);

    let left = next_round(&all[..2], &first, 1);
    let second = Assignor::Sticky.assign(&left, &topics);
    for id in ["a", "b"] {
        for partition in &first[id] {
            assert!(second[id].contains(partition), "{id} lost {partition}");
        }
    }
    let joined: Vec<_> =
        next_round(&all[..2], &second, 2).into_iter().chain([all[2].clone()]).collect();
    let third = Assignor::Sticky.assign(&joined, &topics);
    check_balanced(&joined, &third);
    for id in ["a", "b"] {
        let kept = third[id].iter().filter(|p| second[id].contains(p)).count();
        assert_eq!(kept, third[id].len(), "{id} got partitions that others had");
    }
}

#[test]
fn a_claim_of_an_older_generation_does_not_count() {
    let topics = counts(&[("t", 2)]);
    let owns = |id: &str, generation: i32| Subscriber {
        owned: vec![TopicPartition::new("t", 0)],
        generation,
        ..member(id, &["t"])
    };
    let fresh = Assignor::CooperativeSticky.assign(&[owns("a", 3), owns("b", 7)], &topics);
    assert!(!fresh["a"].contains(&TopicPartition::new("t", 0)), "a is a zombie");
    // Two of the same generation: nobody can tell who is right.
    let both = Assignor::CooperativeSticky.assign(&[owns("a", 7), owns("b", 7)], &topics);
    assert!(!owners(&both).contains_key(&TopicPartition::new("t", 0)), "{}", show(&both));
}

#[test]
fn cooperative_rounds_move_a_partition_only_after_its_owner_gave_it_up() {
    let topics = counts(&[("t", 6)]);
    let one = [member("a", &["t"])];
    let first = Assignor::CooperativeSticky.assign(&one, &topics);
    assert_eq!(first["a"].len(), 6);

    let two: Vec<_> =
        next_round(&one, &first, 1).into_iter().chain([member("b", &["t"])]).collect();
    let second = Assignor::CooperativeSticky.assign(&two, &topics);
    assert_eq!(second["a"].len(), 3);
    assert_eq!(second["b"], [], "what a still has is nobody's in this round");

    let third = Assignor::CooperativeSticky.assign(&next_round(&two, &second, 2), &topics);
    check_complete(&two, &topics, &third);
    assert_eq!((third["a"].clone(), third["b"].len()), (second["a"].clone(), 3));
}

/// Random groups over several rounds of members and topics that come and go.
#[test]
fn random_groups_are_complete_balanced_and_settle() {
    for number in 0..300 {
        let mut seed = Seed::new(number);
        let mut below = |limit: u64| (seed.next_u64() % limit) as usize;
        let names = ["t0", "t1", "t2", "t3"];
        let topics: PartitionCounts =
            names.iter().map(|&name| (Arc::from(name), below(7) as i32)).collect();
        let is_uniform = below(2) == 0;
        let mut owned = Assignment::new();
        for generation in 1..4 {
            let members: Vec<Subscriber> = (0..=below(5))
                .map(|index| {
                    let chosen = names.iter().filter(|_| is_uniform || below(3) > 0).copied();
                    member(&format!("m{index}"), &chosen.collect::<Vec<_>>())
                })
                .collect();
            for assignor in ALL {
                let mut assignment = assignor.assign(&members, &topics);
                let mut asked = next_round(&members, &owned, generation);
                if !matches!(assignor, Assignor::Range | Assignor::RoundRobin) {
                    // At most two rounds until every partition has found its owner.
                    for round in 0..3 {
                        assignment = assignor.assign(&asked, &topics);
                        asked = next_round(&members, &assignment, generation + round);
                    }
                    let again = assignor.assign(&asked, &topics);
                    let sets = |a: &Assignment| -> Vec<BTreeSet<TopicPartition>> {
                        a.values().map(|p| p.iter().cloned().collect()).collect()
                    };
                    assert_eq!(
                        sets(&again),
                        sets(&assignment),
                        "seed {number}: {assignor} moves on"
                    );
                    check_balanced(&members, &assignment);
                }
                check_complete(&members, &topics, &assignment);
                owned = assignment;
            }
        }
    }
}

#[test]
fn names_are_those_of_the_wire_and_of_the_java_classes() {
    for assignor in ALL {
        assert_eq!(assignor.name().parse(), Ok(assignor));
    }
    let class = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    assert_eq!(class.parse(), Ok(Assignor::CooperativeSticky));
    assert!("uniform".parse::<Assignor>().is_err_and(|error| error.contains("'uniform'")));
}
