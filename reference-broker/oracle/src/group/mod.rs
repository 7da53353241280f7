//! The members of one classic group, and what they commit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{Invariant, Seen, Violation, Violations};

#[cfg(test)]
mod tests;

/// A commit's number, given out by [`Group::commit`]. Members send it as the commit's metadata, so
/// that what is fetched says which commit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// How a commit's sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nobody knows: it may be stored, also later.
    Unknown,
    Acknowledged(Duration),
    Refused(Duration),
}

#[derive(Debug)]
struct Commit {
    by: Seen,
    generation: i32,
    partition: i32,
    offset: i64,
    outcome: Outcome,
}

impl Commit {
    /// Whether this one was stored before the other, if both were. A generation begins when the
    /// commits of former ones are over, because the coordinator refuses them from then on.
    fn is_before(&self, other: &Self) -> bool {
        let is_over = match self.outcome {
            Outcome::Acknowledged(at) => at <= other.by.at,
            Outcome::Unknown | Outcome::Refused(_) => false,
        };
        self.generation < other.generation || (self.generation == other.generation && is_over)
    }

    fn tell(&self) -> String {
        let Self { by, generation, offset, .. } = self;
        let outcome = match self.outcome {
            Outcome::Unknown => "not answered".to_owned(),
            Outcome::Acknowledged(at) => format!("acknowledged at {:.3} s", at.as_secs_f64()),
            Outcome::Refused(at) => format!("refused at {:.3} s", at.as_secs_f64()),
        };
        format!("{by}: commits {offset} in generation {generation}, {outcome}")
    }
}

/// An answer to OffsetFetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch<'a> {
    /// When it was asked for.
    pub asked: Duration,
    /// When the answer came.
    pub at: Duration,
    /// Who asked.
    pub member: &'a str,
    /// The generation that it had been given an assignment in, by the broker that it asked; `None`
    /// when all is over, and the coordinator knows everything.
    pub generation: Option<i32>,
    /// The partition.
    pub partition: i32,
    /// The commit that was found, and its offset; `None` where there was none.
    pub found: Option<(CommitId, i64)>,
}

/// What a generation's leader gave to whom.
type Assignment = BTreeMap<String, BTreeSet<i32>>;

/// What the members of a group saw.
#[derive(Debug, Default)]
pub struct Group {
    commits: BTreeMap<CommitId, Commit>,
    /// By generation: what its leaders proposed. There are several where a coordinator was lost
    /// before it could store the first.
    proposed: BTreeMap<i32, Vec<Assignment>>,
    /// By generation: who was told to own what.
    owned: BTreeMap<i32, BTreeMap<String, (Seen, BTreeSet<i32>)>>,
    acknowledged: usize,
    violations: Violations,
}

impl Group {
    /// The leader of a generation sends what it gives to each member.
    pub fn proposes(
        &mut self,
        generation: i32,
        given: impl IntoIterator<Item = (String, BTreeSet<i32>)>,
    ) {
        self.proposed.entry(generation).or_default().push(given.into_iter().collect());
    }

    /// A member is told what it owns in a generation.
    pub fn owns(
        &mut self,
        at: Duration,
        member: &str,
        generation: i32,
        partitions: &BTreeSet<i32>,
    ) {
        let owned = self.owned.entry(generation).or_default();
        let by = Seen::new(at, member);
        let tell = |by: &Seen, owned: &BTreeSet<i32>| {
            format!("{by}: owns {owned:?} in generation {generation}")
        };
        for (other, (seen, theirs)) in owned.iter() {
            let shared = theirs.intersection(partitions).next();
            if let Some(partition) = shared.filter(|_| other != member) {
                let events = vec![tell(seen, theirs), tell(&by, partitions)];
                self.violations.push(Invariant::OneOwner, *partition, None, events);
            }
        }
        let before = owned.insert(member.to_owned(), (by.clone(), partitions.clone()));
        let is_same = before.as_ref().is_none_or(|(_, before)| before == partitions);
        // One proposal must be what all the generation's members were told.
        let is_proposed = self.proposed.get(&generation).is_some_and(|all| {
            let is_this = |one: &Assignment| {
                owned.iter().all(|(member, (_, owned))| one.get(member) == Some(owned))
            };
            all.iter().any(is_this)
        });
        if !is_same || !is_proposed {
            let mut events: Vec<String> =
                before.iter().map(|(by, before)| tell(by, before)).collect();
            events.push(tell(&by, partitions));
            let all = self.proposed.get(&generation);
            events.push(format!("its leaders gave {:?}", all.cloned().unwrap_or_default()));
            let partition = partitions.first().copied().unwrap_or(-1);
            self.violations.push(Invariant::AsAssigned, partition, None, events);
        }
    }

    /// A member sends a commit.
    pub fn commit(
        &mut self,
        at: Duration,
        member: &str,
        generation: i32,
        (partition, offset): (i32, i64),
    ) -> CommitId {
        let id = CommitId(self.commits.len() as u64);
        let (by, outcome) = (Seen::new(at, member), Outcome::Unknown);
        self.commits.insert(id, Commit { by, generation, partition, offset, outcome });
        id
    }

    /// A commit was acknowledged.
    pub fn acknowledged(&mut self, at: Duration, id: CommitId) {
        self.acknowledged += 1;
        self.end(id, Outcome::Acknowledged(at));
        let Some(commit) = self.commits.get(&id) else { return };
        let later = self.owned.range(commit.generation.saturating_add(1)..);
        let mut later = later
            .flat_map(|(generation, owned)| owned.values().map(move |(by, _)| (generation, by)));
        if let Some((generation, by)) = later.find(|(_, by)| by.at < commit.by.at) {
            let events = vec![format!("{by}: is in generation {generation}"), commit.tell()];
            let (partition, offset) = (commit.partition, commit.offset);
            self.violations.push(Invariant::FencedCommit, partition, offset, events);
        }
    }

    /// A commit was refused, by an answer that says that it is not stored.
    pub fn refused(&mut self, at: Duration, id: CommitId) {
        self.end(id, Outcome::Refused(at));
    }

    fn end(&mut self, id: CommitId, outcome: Outcome) {
        if let Some(commit) = self.commits.get_mut(&id) {
            commit.outcome = outcome;
        }
    }

    /// A member was told what is committed; it must not have committed in its generation before.
    ///
    /// Its own generation's commits may be missing: they may be at another broker, which
    /// coordinates since, or on their way.
    /// What was acknowledged in former generations has been stored by whoever could give the member
    /// this generation. Which of the commits it is may be open: those that nobody answered may be
    /// stored at any time in their generation, also late, as duplicates.
    pub fn fetched(&mut self, fetch: &Fetch<'_>) {
        let generation = fetch.generation.unwrap_or(i32::MAX);
        let known: Vec<&Commit> = self
            .commits
            .values()
            .filter(|commit| commit.partition == fetch.partition)
            .filter(|commit| commit.generation <= generation && commit.by.at <= fetch.at)
            .collect();
        let must: Vec<&&Commit> = known
            .iter()
            .filter(|commit| commit.generation < generation)
            .filter(|commit| match commit.outcome {
                Outcome::Acknowledged(at) => at <= fetch.asked,
                Outcome::Unknown | Outcome::Refused(_) => false,
            })
            .collect();
        let found = fetch.found.and_then(|(id, offset)| {
            self.commits.get(&id).filter(|commit| commit.offset == offset)
        });
        let who = Seen::new(fetch.at, fetch.member);
        let offset = fetch.found.map(|(_, offset)| offset);
        let finding = match (fetch.found, found) {
            (None, _) => format!("{who}: fetches no commit"),
            (Some(_), Some(commit)) => format!("{who}: fetches {}", commit.tell()),
            (Some((CommitId(id), offset)), None) => {
                format!("{who}: fetches {offset} of commit {id}, which nobody has sent")
            }
        };
        let is_known = found.is_some_and(|found| known.iter().any(|one| std::ptr::eq(*one, found)));
        let (invariant, event) = match found {
            Some(found) if matches!(found.outcome, Outcome::Refused(_)) => {
                (Invariant::RefusedCommit, None)
            }
            Some(found) if is_known => {
                let later = must.iter().find(|other| found.is_before(other));
                let Some(later) = later else { return };
                (Invariant::CommitKept, Some(later.tell()))
            }
            _ if fetch.found.is_some() => (Invariant::RefusedCommit, None),
            _ => {
                let Some(first) = must.first() else { return };
                (Invariant::CommitKept, Some(first.tell()))
            }
        };
        let events = event.into_iter().chain([finding]).collect();
        self.violations.push(invariant, fetch.partition, offset, events);
    }

    /// How many generations were given out, and how many commits acknowledged.
    pub fn counts(&self) -> (usize, usize) {
        (self.owned.len(), self.acknowledged)
    }

    /// What has been wrong.
    pub fn violations(&self) -> &[Violation] {
        &self.violations.told
    }
}
