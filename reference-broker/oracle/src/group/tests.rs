use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn set(partitions: &[i32]) -> BTreeSet<i32> {
    partitions.iter().copied().collect()
}

fn found(group: &Group) -> Vec<Invariant> {
    group.violations().iter().map(|violation| violation.invariant).collect()
}

fn fetch(generation: Option<i32>, seconds: u64, found: Option<(CommitId, i64)>) -> Fetch<'static> {
    let (asked, at) = (at(seconds), at(seconds));
    Fetch { asked, at, member: "b", generation, partition: 0, found }
}

/// A generation of two members, as its leader gave it.
fn shared() -> Group {
    let mut group = Group::default();
    group.proposes(1, [("a".to_owned(), set(&[0, 1])), ("b".to_owned(), set(&[2]))]);
    group.owns(at(1), "a", 1, &set(&[0, 1]));
    group.owns(at(2), "b", 1, &set(&[2]));
    group
}

#[test]
fn members_that_get_what_the_leader_gave_are_well() {
    let mut group = shared();
    group.owns(at(3), "a", 1, &set(&[0, 1]));
    // The next generation moves a partition; the one before knows nothing of it.
    group.proposes(2, [("a".to_owned(), set(&[0])), ("b".to_owned(), set(&[1, 2]))]);
    group.owns(at(4), "b", 2, &set(&[1, 2]));
    assert_eq!(found(&group), []);
    assert_eq!(group.counts(), (2, 0));
}

#[test]
fn two_owners_of_a_partition_are_caught() {
    let mut group = shared();
    group.owns(at(3), "b", 1, &set(&[1, 2]));
    assert_eq!(found(&group), [Invariant::OneOwner, Invariant::AsAssigned]);
    assert_eq!(group.violations()[0].partition, 1);
}

#[test]
fn a_generation_given_out_by_two_leaders_is_caught() {
    let mut group = shared();
    group.proposes(1, [("b".to_owned(), set(&[])), ("c".to_owned(), set(&[0, 1, 2]))]);
    // Either proposal is possible, both together are not.
    group.owns(at(3), "b", 1, &set(&[]));
    assert_eq!(found(&group), [Invariant::AsAssigned]);
    let mut group = Group::default();
    group.owns(at(3), "b", 1, &set(&[]));
    assert_eq!(found(&group), [Invariant::AsAssigned], "nobody gave it anything");
}

#[test]
fn the_last_acknowledged_commit_is_kept() {
    let mut group = Group::default();
    let first = group.commit(at(1), "a", 1, (0, 10));
    group.acknowledged(at(2), first);
    let second = group.commit(at(3), "a", 1, (0, 20));
    group.acknowledged(at(4), second);
    group.fetched(&fetch(Some(2), 5, Some((second, 20))));
    // Not answered: it may be there, and may come later.
    let third = group.commit(at(6), "b", 2, (0, 30));
    group.fetched(&fetch(Some(3), 7, Some((second, 20))));
    group.fetched(&fetch(Some(3), 8, Some((third, 30))));
    assert_eq!(found(&group), []);
    group.fetched(&fetch(Some(3), 9, Some((first, 10))));
    assert_eq!(found(&group), [Invariant::CommitKept]);
    let text = group.violations()[0].to_string();
    assert!(text.contains("partition 0, offset 10") && text.contains("commits 20"), "{text}");
    group.fetched(&fetch(None, 9, None));
    assert_eq!(found(&group).len(), 2);
}

#[test]
fn a_late_duplicate_moves_back_within_its_generation_only() {
    let mut group = Group::default();
    let late = group.commit(at(1), "a", 1, (0, 10));
    let next = group.commit(at(2), "a", 1, (0, 20));
    group.acknowledged(at(3), next);
    group.fetched(&fetch(Some(2), 4, Some((late, 10))));
    assert_eq!(found(&group), [], "nobody answered it: it may have come later");
    let newer = group.commit(at(5), "b", 2, (0, 15));
    group.acknowledged(at(6), newer);
    group.fetched(&fetch(Some(3), 7, Some((late, 10))));
    assert_eq!(found(&group), [Invariant::CommitKept], "generation 2 has committed since");
}

#[test]
fn a_commit_of_a_later_generation_is_not_asked_of_an_earlier_one() {
    let mut group = Group::default();
    let early = group.commit(at(1), "a", 1, (0, 10));
    group.acknowledged(at(2), early);
    let late = group.commit(at(3), "b", 3, (0, 20));
    group.acknowledged(at(4), late);
    // Whoever asked in generation 2 asked a broker that leads no more, and does not know it.
    group.fetched(&fetch(Some(2), 5, Some((early, 10))));
    assert_eq!(found(&group), []);
    group.fetched(&fetch(None, 6, Some((early, 10))));
    assert_eq!(found(&group), [Invariant::CommitKept]);
}

#[test]
fn a_refused_or_unknown_commit_is_not_found() {
    let mut group = Group::default();
    let refused = group.commit(at(1), "a", 1, (0, 10));
    group.refused(at(2), refused);
    group.fetched(&fetch(None, 3, None));
    assert_eq!(found(&group), []);
    group.fetched(&fetch(None, 4, Some((refused, 10))));
    group.fetched(&fetch(None, 5, Some((CommitId(7), 10))));
    assert_eq!(found(&group), [Invariant::RefusedCommit; 2]);
}

#[test]
fn a_commit_of_a_generation_that_is_over_is_refused() {
    let mut group = shared();
    let late = group.commit(at(2), "a", 1, (0, 10));
    group.proposes(2, [("b".to_owned(), set(&[0, 1, 2]))]);
    group.owns(at(3), "b", 2, &set(&[0, 1, 2]));
    group.acknowledged(at(4), late);
    assert_eq!(found(&group), [], "it was sent before, its answer was slow");
    let stale = group.commit(at(5), "a", 1, (0, 20));
    group.acknowledged(at(6), stale);
    assert_eq!(found(&group), [Invariant::FencedCommit]);
}
