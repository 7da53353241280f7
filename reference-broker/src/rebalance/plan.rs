//! Where replicas should be: a pure function of where they are.
//!
//! What has to go from drained brokers goes first. Then replicas go from the fullest brokers to the
//! emptiest, as few as it takes until no broker has two more than another; a move never leaves a
//! partition in fewer racks than before. At last the preferred leaders are spread, which copies
//! nothing. A partition that has a replica on a broker that is down, and is not drained, stays as
//! it is: it is short of replicas already. The same input gives the same plan.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

/// A partition: its topic's name and its index.
pub(crate) type Key = (String, i32);
/// Replicas by partition, the preferred leader first.
pub(crate) type Assignment = BTreeMap<Key, Vec<i32>>;

/// What a plan is made from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// The racks of the brokers that are up.
    pub(crate) brokers: BTreeMap<i32, Option<String>>,
    /// Where replicas are.
    pub(crate) assignment: Assignment,
}

/// The partitions that should have other replicas, or the same in another order.
///
/// # Errors
/// When a partition has more replicas than brokers are left.
pub(crate) fn plan(layout: &Layout, drained: &BTreeSet<i32>) -> Result<Assignment, String> {
    let mut draft = Draft::new(layout, drained);
    draft.drain(drained)?;
    while draft.balance_replicas() {}
    while draft.balance_leaders() {}
    let is_other = |key: &Key, replicas: &mut Vec<i32>| layout.assignment[key] != *replicas;
    Ok(draft.assignment.extract_if(.., is_other).collect())
}

/// A plan in the making.
struct Draft<'a> {
    racks: &'a BTreeMap<i32, Option<String>>,
    assignment: Assignment,
    /// How many replicas each broker has that may have some.
    load: BTreeMap<i32, usize>,
    /// The same by topic.
    topic_load: BTreeMap<(String, i32), usize>,
    /// Partitions that stay as they are.
    fixed: BTreeSet<Key>,
}

impl<'a> Draft<'a> {
    fn new(layout: &'a Layout, drained: &BTreeSet<i32>) -> Self {
        let is_down = |id: &i32| !layout.brokers.contains_key(id) && !drained.contains(id);
        let stays = layout.assignment.iter().filter(|(_, ids)| ids.iter().any(is_down));
        let targets = layout.brokers.keys().filter(|id| !drained.contains(id));
        let mut load: BTreeMap<i32, usize> = targets.map(|id| (*id, 0)).collect();
        let mut topic_load = BTreeMap::new();
        for ((topic, _), replicas) in &layout.assignment {
            for id in replicas {
                load.entry(*id).and_modify(|count| *count += 1);
                *topic_load.entry((topic.clone(), *id)).or_default() += 1;
            }
        }
        Self {
            racks: &layout.brokers,
            fixed: stays.map(|(key, _)| key.clone()).collect(),
            assignment: layout.assignment.clone(),
            load,
            topic_load,
        }
    }

    fn drain(&mut self, drained: &BTreeSet<i32>) -> Result<(), String> {
        let keys: Vec<Key> = self.assignment.keys().cloned().collect();
        for key in keys {
            let goes = |id: &&i32| drained.contains(id);
            let leaving: Vec<i32> = self.assignment[&key].iter().filter(goes).copied().collect();
            for from in leaving {
                let replicas = &self.assignment[&key];
                let racks = |to: i32| self.racks_after(replicas, from, to);
                let free = self.load.keys().filter(|id| !replicas.contains(id));
                let to = free.min_by_key(|id| {
                    let of_topic = self.topic_load.get(&(key.0.clone(), **id)).copied();
                    (usize::MAX - racks(**id), self.load[*id], of_topic.unwrap_or(0))
                });
                let Some(to) = to.copied() else {
                    return Err(format!(
                        "partition {}-{} has {} replicas, and only {} brokers are left for them: \
                         start another broker, or drain fewer",
                        key.0,
                        key.1,
                        replicas.len(),
                        self.load.len()
                    ));
                };
                self.shift(&key, from, to);
            }
        }
        Ok(())
    }

    /// In how many racks a partition would be. A broker without one counts as a rack of its own.
    fn racks_after(&self, replicas: &[i32], from: i32, to: i32) -> usize {
        let after = replicas.iter().map(|id| if *id == from { to } else { *id });
        let rack = |id: i32| match self.racks.get(&id) {
            Some(Some(rack)) => (Some(rack), 0),
            _ => (None, id),
        };
        after.map(rack).collect::<BTreeSet<_>>().len()
    }

    fn shift(&mut self, key: &Key, from: i32, to: i32) {
        let replicas = self.assignment.get_mut(key).expect("it is a key of the assignment");
        replicas.iter_mut().filter(|id| **id == from).for_each(|id| *id = to);
        self.load.entry(from).and_modify(|count| *count -= 1);
        *self.load.entry(to).or_default() += 1;
        let topic = &key.0;
        self.topic_load.entry((topic.clone(), from)).and_modify(|count| *count -= 1);
        *self.topic_load.entry((topic.clone(), to)).or_default() += 1;
    }

    /// Moves one replica to a broker that has at least two fewer; false when there is none to
    /// move. The sum of the loads' squares falls with each, so there is an end.
    fn balance_replicas(&mut self) -> bool {
        let mut pairs: Vec<(usize, i32, i32)> = Vec::new();
        for (from, full) in &self.load {
            for (to, empty) in &self.load {
                if *full >= empty + 2 {
                    pairs.push((full - empty, *from, *to));
                }
            }
        }
        pairs.sort_by_key(|(more, from, to)| (usize::MAX - more, *from, *to));
        for (_, from, to) in pairs {
            if let Some(key) = self.movable(from, to) {
                self.shift(&key, from, to);
                return true;
            }
        }
        false
    }

    /// The partition whose topic gains most by a move between two brokers.
    fn movable(&self, from: i32, to: i32) -> Option<Key> {
        let of_topic = |topic: &str, id: i32| {
            self.topic_load.get(&(topic.to_owned(), id)).copied().unwrap_or(0)
        };
        let mut gains: BTreeMap<&str, i64> = BTreeMap::new();
        let mut best: Option<(i64, &Key)> = None;
        for (key, replicas) in &self.assignment {
            if !replicas.contains(&from) || replicas.contains(&to) || self.fixed.contains(key) {
                continue;
            }
            let gain = *gains.entry(&key.0).or_insert_with(|| {
                let count = |id| i64::try_from(of_topic(&key.0, id)).unwrap_or(i64::MAX);
                count(from) - count(to)
            });
            let racks = |to| self.racks_after(replicas, from, to);
            if best.is_none_or(|(most, _)| gain > most) && racks(to) >= racks(from) {
                best = Some((gain, key));
            }
        }
        best.map(|(_, key)| key.clone())
    }

    /// Takes a preferred leader from a broker that has two more of them than one that it can reach,
    /// if need be by way of others; false when there is none.
    fn balance_leaders(&mut self) -> bool {
        let mut led: BTreeMap<i32, usize> = self.load.keys().map(|id| (*id, 0)).collect();
        // A partition for each way from its leader to another of its replicas.
        let mut ways: BTreeMap<i32, BTreeMap<i32, &Key>> = BTreeMap::new();
        for (key, replicas) in &self.assignment {
            let Some((leader, others)) = replicas.split_first() else { continue };
            led.entry(*leader).and_modify(|count| *count += 1);
            if !self.fixed.contains(key) {
                let ways = ways.entry(*leader).or_default();
                ways.extend(others.iter().map(|id| (*id, key)));
            }
        }
        let mut order: Vec<i32> = led.keys().copied().collect();
        order.sort_by_key(|id| usize::MAX - led[id]);
        for from in order {
            let ends = |id: &i32| led.get(id).is_some_and(|count| count + 2 <= led[&from]);
            let Some(path) = path(&ways, from, ends) else { continue };
            let swaps: Vec<(Key, i32)> =
                path.into_iter().map(|(key, to)| (key.clone(), to)).collect();
            for (key, to) in swaps {
                let replicas = self.assignment.get_mut(&key).expect("ways lead over partitions");
                let at = replicas.iter().position(|id| *id == to);
                replicas.swap(0, at.expect("ways lead to replicas"));
            }
            return true;
        }
        false
    }
}

/// The shortest way from a broker to one that `ends` accepts: partitions and their next leaders.
fn path<'k>(
    ways: &BTreeMap<i32, BTreeMap<i32, &'k Key>>,
    from: i32,
    ends: impl Fn(&i32) -> bool,
) -> Option<Vec<(&'k Key, i32)>> {
    let mut came: BTreeMap<i32, (i32, &Key)> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        if at != from && ends(&at) {
            let mut path = Vec::new();
            let mut to = at;
            while to != from {
                let (before, key) = came[&to];
                path.push((key, to));
                to = before;
            }
            return Some(path);
        }
        for (to, key) in ways.get(&at).into_iter().flatten() {
            if *to != from && !came.contains_key(to) {
                came.insert(*to, (at, key));
                queue.push_back(*to);
            }
        }
    }
    None
}

/// A plan for a reader: what changes, and what each broker has before and after.
pub(crate) fn describe(layout: &Layout, changes: &Assignment) -> String {
    if changes.is_empty() {
        return "nothing to move: no broker has two replicas more than another\n".to_owned();
    }
    let mut out = String::new();
    let mut copied = 0;
    for (key, after) in changes {
        let before = layout.assignment.get(key).map_or(&[][..], Vec::as_slice);
        copied += after.iter().filter(|id| !before.contains(id)).count();
        let _ = writeln!(out, "{}-{}  {before:?} -> {after:?}", key.0, key.1);
    }
    let mut after = layout.assignment.clone();
    after.extend(changes.iter().map(|(key, ids)| (key.clone(), ids.clone())));
    let held = [count(&layout.assignment), count(&after)];
    let ids: BTreeSet<i32> = held.iter().flat_map(BTreeMap::keys).copied().collect();
    for id in ids.iter().chain(layout.brokers.keys().filter(|id| !ids.contains(id))) {
        let [before, after] = [0, 1].map(|at| held[at].get(id).copied().unwrap_or_default());
        let _ = writeln!(
            out,
            "broker {id}: {} -> {} replicas, preferred leader of {} -> {} partitions",
            before.0, after.0, before.1, after.1
        );
    }
    let _ = writeln!(out, "{} partitions change, {copied} replicas are copied", changes.len());
    out
}

/// Of each broker how many replicas it has, and of how many partitions it is the preferred leader.
fn count(assignment: &Assignment) -> BTreeMap<i32, (usize, usize)> {
    let mut counts: BTreeMap<i32, (usize, usize)> = BTreeMap::new();
    for replicas in assignment.values() {
        for (at, id) in replicas.iter().enumerate() {
            let count = counts.entry(*id).or_default();
            count.0 += 1;
            count.1 += usize::from(at == 0);
        }
    }
    counts
}

#[cfg(test)]
mod tests;
