//! A network of nodes that can be cut and slowed down, and nodes that crash and keep their disk.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use ottla_raft::storage::RealStorage;
use ottla_raft::{
    Applied, Error, Node, Options, ProposeError, Raft, StateMachine, Transport, Uuid128,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Lets simulated time go by: every test has a paused clock.
pub(crate) async fn elapse(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A state machine that keeps what was applied to it.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<(u64, String)>>>);

impl Record {
    pub(crate) fn commands(&self) -> Vec<(u64, String)> {
        self.0.lock().unwrap().clone()
    }
}

impl StateMachine for Record {
    fn apply(&mut self, index: u64, command: &[u8]) -> Vec<u8> {
        let mut applied = self.0.lock().unwrap();
        applied.push((index, String::from_utf8(command.to_vec()).unwrap()));
        format!("{} commands", applied.len()).into_bytes()
    }

    fn applied(&mut self, _: u64) {}

    fn snapshot(&self) -> Vec<u8> {
        let lines = self.commands().into_iter().map(|(index, text)| format!("{index} {text}\n"));
        lines.collect::<String>().into_bytes()
    }

    fn restore(&mut self, _: u64, snapshot: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(snapshot).map_err(|error| error.to_string())?;
        let pair = |line: &str| {
            let (index, command) = line.split_once(' ').unwrap();
            (index.parse().unwrap(), command.to_owned())
        };
        *self.0.lock().unwrap() = text.lines().map(pair).collect();
        Ok(())
    }
}

/// The nodes that run, and which ways between them are cut.
pub(crate) struct Net {
    folder: tempfile::TempDir,
    wires: Arc<Mutex<Wires>>,
    pub(crate) records: BTreeMap<i32, Record>,
    pub(crate) snapshot_every: u64,
}

struct Wires {
    running: BTreeMap<i32, Raft>,
    cut: BTreeSet<(i32, i32)>,
    random: StdRng,
}

struct Wire {
    from: i32,
    wires: Arc<Mutex<Wires>>,
}

impl Wire {
    fn is_cut(&self, to: i32) -> bool {
        let wires = self.wires.lock().unwrap();
        wires.cut.contains(&(self.from, to)) || wires.cut.contains(&(to, self.from))
    }
}

impl Transport for Wire {
    fn call(
        &self,
        to: &Node,
        request: Bytes,
        _: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, String>> + Send + '_>> {
        let to = to.id;
        Box::pin(async move {
            let micros = self.wires.lock().unwrap().random.gen_range(0..2000);
            elapse(Duration::from_micros(micros)).await;
            if self.is_cut(to) {
                std::future::pending::<()>().await;
            }
            let node = self.wires.lock().unwrap().running.get(&to).cloned();
            let answer = node.ok_or("nobody is there")?.handle(request).await;
            if self.is_cut(to) {
                std::future::pending::<()>().await;
            }
            Ok(answer)
        })
    }
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        let wires = Wires {
            running: BTreeMap::new(),
            cut: BTreeSet::new(),
            random: StdRng::seed_from_u64(seed),
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            wires: Arc::new(Mutex::new(wires)),
            records: BTreeMap::new(),
            snapshot_every: 1000,
        }
    }

    /// Nodes 1 to `count`, all of them voters.
    pub(crate) async fn with_voters(seed: u64, count: i32) -> Self {
        let mut net = Self::new(seed);
        for id in 1..=count {
            net.start(id).await.unwrap();
        }
        let voters = (1..=count).map(|id| net.node(id)).collect();
        net.raft(1).bootstrap(voters).await.unwrap();
        net.leader().await;
        net
    }

    fn wires(&self) -> MutexGuard<'_, Wires> {
        self.wires.lock().unwrap()
    }

    pub(crate) fn node(&self, id: i32) -> Node {
        let directory = Uuid128([u8::try_from(id).unwrap(); 16]);
        Node { id, directory, host: "h".into(), port: 1 }
    }

    pub(crate) fn data(&self, id: i32) -> PathBuf {
        self.folder.path().join(id.to_string())
    }

    pub(crate) async fn start(&mut self, id: i32) -> Result<(), Error> {
        self.start_as(self.node(id)).await
    }

    pub(crate) async fn start_as(&mut self, node: Node) -> Result<(), Error> {
        let id = node.id;
        let seed = self.wires().random.r#gen();
        let options = Options {
            node,
            storage: Arc::new(RealStorage),
            folder: self.data(id),
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(150),
            election_max: Duration::from_millis(300),
            snapshot_every: self.snapshot_every,
            seed,
        };
        let record = Record::default();
        let wire = Wire { from: id, wires: Arc::clone(&self.wires) };
        let raft = Raft::start(options, record.clone(), Arc::new(wire)).await?;
        self.records.insert(id, record);
        self.wires().running.insert(id, raft);
        Ok(())
    }

    /// It ends and keeps its disk.
    pub(crate) async fn crash(&mut self, id: i32) {
        let raft = self.wires().running.remove(&id).unwrap();
        raft.shutdown().await;
    }

    pub(crate) fn running(&self) -> Vec<i32> {
        self.wires().running.keys().copied().collect()
    }

    pub(crate) fn raft(&self, id: i32) -> Raft {
        self.wires().running[&id].clone()
    }

    pub(crate) fn random(&self, below: usize) -> usize {
        self.wires().random.gen_range(0..below)
    }

    /// Cuts a node off from these.
    pub(crate) fn cut(&self, id: i32, from: impl IntoIterator<Item = i32>) {
        self.wires().cut.extend(from.into_iter().map(|other| (id, other)));
    }

    pub(crate) fn heal(&self) {
        self.wires().cut.clear();
    }

    /// Nodes that call themselves the leader.
    pub(crate) fn leaders(&self) -> Vec<i32> {
        let wires = self.wires();
        let leads = |(id, raft): (&i32, &Raft)| {
            raft.status().leader.filter(|leader| leader.id == *id).map(|leader| leader.id)
        };
        wires.running.iter().filter_map(leads).collect()
    }

    /// Waits for a leader; there is never more than one.
    pub(crate) async fn leader(&self) -> i32 {
        for _ in 0..2000 {
            let leaders = self.leaders();
            assert!(leaders.len() < 2, "two leases at once: {leaders:?}");
            if let [leader] = leaders[..] {
                return leader;
            }
            elapse(Duration::from_millis(10)).await;
        }
        panic!("no leader in 20 s");
    }

    pub(crate) async fn propose(&self, on: i32, text: &str) -> Result<Applied, ProposeError> {
        self.raft(on).propose(text.as_bytes().to_vec(), Duration::from_millis(500)).await
    }

    /// Proposes until it is acknowledged by whoever leads.
    pub(crate) async fn write(&self, text: &str) -> Applied {
        for _ in 0..100 {
            let leader = self.leader().await;
            if let Ok(applied) = self.propose(leader, text).await {
                return applied;
            }
        }
        panic!("{text} is never acknowledged");
    }

    /// Waits until these nodes have applied the same; answers what.
    pub(crate) async fn settled(&self, ids: &[i32]) -> Vec<(u64, String)> {
        for _ in 0..2000 {
            let all: Vec<_> = ids.iter().map(|id| self.records[id].commands()).collect();
            let applied: BTreeSet<u64> =
                ids.iter().map(|id| self.raft(*id).status().applied).collect();
            if applied.len() == 1 && all.windows(2).all(|pair| pair[0] == pair[1]) {
                return all[0].clone();
            }
            elapse(Duration::from_millis(10)).await;
        }
        panic!("{ids:?} do not agree in 20 s");
    }
}
