//! Plans by example, and what holds for every plan.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::{Assignment, Key, Layout, describe, plan};

fn key(topic: &str, index: i32) -> Key {
    (topic.to_owned(), index)
}

/// Brokers without racks, and the partitions of topic `t`.
fn layout(brokers: &[i32], partitions: &[&[i32]]) -> Layout {
    Layout {
        brokers: brokers.iter().map(|id| (*id, None)).collect(),
        assignment: (0..).zip(partitions).map(|(at, ids)| (key("t", at), ids.to_vec())).collect(),
    }
}

fn after(layout: &Layout, changes: &Assignment) -> Assignment {
    let mut after = layout.assignment.clone();
    after.extend(changes.clone());
    after
}

fn loads(layout: &Layout, assignment: &Assignment, drained: &BTreeSet<i32>) -> Vec<usize> {
    let count = |id: &i32| assignment.values().flatten().filter(|replica| *replica == id).count();
    layout.brokers.keys().filter(|id| !drained.contains(id)).map(count).collect()
}

fn copied(layout: &Layout, changes: &Assignment) -> usize {
    let new = |(key, ids): (&Key, &Vec<i32>)| {
        ids.iter().filter(|id| !layout.assignment[key].contains(id)).count()
    };
    changes.iter().map(new).sum()
}

#[test]
fn a_new_broker_takes_its_share_and_no_more_is_copied() {
    let even: &[&[i32]] = &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2], &[1, 3, 2]];
    let layout = layout(&[1, 2, 3, 4], even);
    let changes = plan(&layout, &BTreeSet::new()).unwrap();
    let after = after(&layout, &changes);
    assert_eq!(loads(&layout, &after, &BTreeSet::new()), [3, 3, 3, 3]);
    assert_eq!(copied(&layout, &changes), 3);
    let leaders: BTreeSet<i32> = after.values().map(|ids| ids[0]).collect();
    assert_eq!(leaders, BTreeSet::from([1, 2, 3, 4]));
    let text = describe(&layout, &changes);
    assert!(text.contains("broker 4: 0 -> 3 replicas, preferred leader of 0 -> 1 "), "{text}");
    assert!(text.contains(", 3 replicas are copied"), "{text}");
}

#[test]
fn what_is_even_stays_as_it_is() {
    let layout = layout(&[1, 2, 3], &[&[1, 2], &[2, 3], &[3, 1], &[1, 2]]);
    let changes = plan(&layout, &BTreeSet::new()).unwrap();
    assert_eq!(changes, Assignment::new());
    assert!(describe(&layout, &changes).starts_with("nothing to move"));
}

#[test]
fn a_drained_broker_is_left_by_all_also_when_it_is_down() {
    let partitions: &[&[i32]] = &[&[1, 2], &[2, 4], &[4, 1], &[3, 4]];
    for brokers in [&[1, 2, 3, 4][..], &[1, 2, 3]] {
        let layout = layout(brokers, partitions);
        let drained = BTreeSet::from([4]);
        let after = after(&layout, &plan(&layout, &drained).unwrap());
        assert!(after.values().all(|ids| !ids.contains(&4)), "{after:?}");
        let loads = loads(&layout, &after, &drained);
        assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{loads:?}");
    }
}

#[test]
fn a_drain_without_room_says_so() {
    let layout = layout(&[1, 2, 3], &[&[1, 2, 3]]);
    let reason = plan(&layout, &BTreeSet::from([3])).unwrap_err();
    assert!(reason.starts_with("partition t-0 has 3 replicas, and only 2 brokers"), "{reason}");
}

#[test]
fn partitions_of_a_broker_that_is_down_are_left_alone() {
    let layout = layout(&[1, 2, 3], &[&[1, 9], &[1, 9], &[1, 9], &[1, 2]]);
    let changes = plan(&layout, &BTreeSet::new()).unwrap();
    assert!(changes.keys().all(|key| key.1 == 3), "{changes:?}");
}

#[test]
fn a_move_goes_to_the_rack_that_it_leaves() {
    let racks = [(1, "a"), (2, "b"), (3, "a"), (4, "b")];
    let mut layout = layout(&[], &[[1, 2].as_slice(); 6]);
    layout.brokers = racks.iter().map(|(id, rack)| (*id, Some((*rack).to_owned()))).collect();
    let none = BTreeSet::new();
    let after = after(&layout, &plan(&layout, &none).unwrap());
    assert_eq!(loads(&layout, &after, &none), [3, 3, 3, 3]);
    for ids in after.values() {
        let racks: BTreeSet<_> = ids.iter().map(|id| &layout.brokers[id]).collect();
        assert_eq!(racks.len(), 2, "{ids:?}");
    }
}

/// Up to seven brokers in up to three racks, partitions with up to three replicas, of which some
/// are down, and what is drained.
fn anything() -> impl Strategy<Value = (Layout, BTreeSet<i32>)> {
    let racks = vec(prop::option::of("[abc]"), 3..8);
    let partitions = vec((0..3_u8, btree_set(0..8, 1..4), any::<prop::sample::Index>()), 0..40);
    (racks, partitions, btree_set(0..8, 0..3)).prop_map(|(racks, partitions, drained)| {
        let brokers: BTreeMap<i32, Option<String>> = (0..).zip(racks).collect();
        let named =
            |(index, (topic, ids, first)): (i32, (u8, BTreeSet<i32>, prop::sample::Index))| {
                let mut ids: Vec<i32> = ids.into_iter().collect();
                let count = ids.len();
                ids.rotate_left(first.index(count));
                (key(&format!("t{topic}"), index), ids)
            };
        (Layout { brokers, assignment: (0..).zip(partitions).map(named).collect() }, drained)
    })
}

proptest! {
    #[test]
    fn every_plan_keeps_what_a_plan_must_keep((layout, drained) in anything()) {
        let left: Vec<i32> =
            layout.brokers.keys().copied().filter(|id| !drained.contains(id)).collect();
        let Ok(changes) = plan(&layout, &drained) else {
            let leaves = |ids: &Vec<i32>| ids.iter().any(|id| drained.contains(id));
            let tight = |ids: &&Vec<i32>| leaves(ids) && {
                let stay = ids.iter().filter(|id| !left.contains(id) && !drained.contains(id));
                ids.len() - stay.count() > left.len()
            };
            prop_assert!(layout.assignment.values().any(|ids| tight(&ids)));
            return Ok(());
        };
        let after = after(&layout, &changes);
        for (key, ids) in &after {
            let before = &layout.assignment[key];
            prop_assert_eq!(ids.len(), before.len());
            prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
            for id in ids {
                prop_assert!(!drained.contains(id));
                prop_assert!(left.contains(id) || before.contains(id));
            }
        }
        // Who follows a plan has nothing left to do.
        let done = Layout { assignment: after, ..layout };
        prop_assert_eq!(plan(&done, &drained).unwrap(), Assignment::new());
    }
    #[test]
    fn without_racks_there_is_always_a_way_to_even((layout, drained) in anything()) {
        let is_up = |ids: &Vec<i32>| ids.iter().all(|id| layout.brokers.contains_key(id));
        let assignment = layout.assignment.clone().into_iter().filter(|(_, ids)| is_up(ids));
        let brokers = layout.brokers.keys().map(|id| (*id, None));
        let layout = Layout { brokers: brokers.collect(), assignment: assignment.collect() };
        let Ok(changes) = plan(&layout, &drained) else { return Ok(()) };
        let loads = loads(&layout, &after(&layout, &changes), &drained);
        let (most, least) = (loads.iter().max(), loads.iter().min());
        prop_assert!(most.zip(least).is_none_or(|(most, least)| most - least <= 1), "{:?}", loads);
    }
}
