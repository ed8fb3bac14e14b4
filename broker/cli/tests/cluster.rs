//! Three brokers in processes of their own form one cluster: the leader is killed, nothing acked is lost, and all of them come to the same.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use antiphon_tests::broker::{BrokerProcess, SMALL};
use antiphon_tests::port::Reserved;
use rustix::process::Signal;

/// Generous: an election takes less than a second, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// A node that does not lead is left after this long; the next one is asked.
const ASK_SECONDS: &str = "2";
const NODES: usize = 3;

/// The nodes, and what each publish said that was acked, in order.
struct Cluster {
    temp: tempfile::TempDir,
    clients: Vec<Reserved>,
    /// Held: nobody else takes them.
    _peers: Vec<Reserved>,
    running: Vec<Option<BrokerProcess>>,
    acked: Vec<String>,
    said: u32,
    /// Who acked last.
    leader: usize,
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_antiphon"))
}

fn ask(address: SocketAddr, words: &[&str]) -> Output {
    Command::new("timeout")
        .arg(ASK_SECONDS)
        .arg(binary())
        .args(["--addr", &address.to_string(), "--json"])
        .args(words)
        .output()
        .expect("it runs")
}

impl Cluster {
    fn form() -> Cluster {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let ports = || -> Vec<Reserved> {
            (0..NODES)
                .map(|_| Reserved::new().expect("a port"))
                .collect()
        };
        let (clients, peers) = (ports(), ports());
        let members: Vec<String> = (0..NODES)
            .map(|n| format!("{}={}/{}", n + 1, peers[n].address(), clients[n].address()))
            .collect();
        let config = format!(
            "[cluster]\nid = \"000102030405060708090a0b0c0d0e0f\"\nmembers = \"{}\"\n",
            members.join(",")
        );
        fs::write(temp.path().join("cluster.toml"), config).expect("writable");
        let mut cluster = Cluster {
            temp,
            clients,
            _peers: peers,
            running: (0..NODES).map(|_| None).collect(),
            acked: Vec::new(),
            said: 0,
            leader: 0,
        };
        (0..NODES).for_each(|node| cluster.start(node));
        cluster
    }

    fn folder(&self, node: usize) -> PathBuf {
        self.temp.path().join(format!("node-{}", node + 1))
    }

    fn start(&mut self, node: usize) {
        let config = self.temp.path().join("cluster.toml");
        let mut args = vec!["--config".to_owned(), config.display().to_string()];
        args.extend(["--set".to_owned(), format!("data.node={}", node + 1)]);
        args.extend(SMALL.map(str::to_owned));
        let folder = self.folder(node);
        fs::create_dir_all(&folder).expect("creatable");
        let address = self.clients[node].address();
        let broker = BrokerProcess::start(binary(), &folder.join("data"), address, &args);
        self.running[node] = Some(broker.expect("starts"));
    }

    fn kill(&mut self, node: usize) {
        let broker = self.running[node].take().expect("it runs");
        broker.kill().expect("it ran until now");
    }

    /// Says one thing until some node that is `awake` acks it.
    fn publish(&mut self, awake: impl Fn(usize) -> bool) {
        self.said += 1;
        let text = format!("message {}", self.said);
        let deadline = Instant::now() + PATIENCE;
        let leader = self.leader;
        while Instant::now() < deadline {
            let nodes = (0..NODES).map(|step| (leader + step) % NODES);
            for node in nodes.filter(|node| awake(*node)) {
                let address = self.clients[node].address();
                if self.running[node].is_some()
                    && ask(address, &["pub", "room", &text]).status.success()
                {
                    self.acked.push(text);
                    self.leader = node;
                    return;
                }
            }
        }
        panic!("{text} is acked by nobody\n{}", self.logs());
    }

    /// What a node that leads tells of the room, each text once: a publish whose ack was lost is said again.
    fn room(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            for node in (0..NODES).filter(|node| self.running[*node].is_some()) {
                let words = ["history", "room", "--last", "1000"];
                let told = ask(self.clients[node].address(), &words);
                if told.status.success() {
                    return texts(&told.stdout);
                }
            }
        }
        panic!("nobody tells of the room\n{}", self.logs());
    }

    fn check(&self) {
        let mut found = self.room();
        found.dedup();
        assert_eq!(found, self.acked, "{}", self.logs());
    }

    fn logs(&self) -> String {
        let running = self.running.iter().flatten();
        running.map(BrokerProcess::log_end).collect()
    }
}

fn texts(lines: &[u8]) -> Vec<String> {
    let lines = String::from_utf8_lossy(lines).into_owned();
    let records = lines.lines().map(|line| {
        let record: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        record["text"].as_str().expect("a text").to_owned()
    });
    records.collect()
}

#[test]
fn a_leader_that_is_killed_takes_nothing_with_it_and_catches_up_when_it_is_back() {
    let mut cluster = Cluster::form();
    (0..3).for_each(|_| cluster.publish(|_| true));
    let first = cluster.leader;
    cluster.kill(first);
    (0..3).for_each(|_| cluster.publish(|_| true));
    let second = cluster.leader;
    assert_ne!(first, second);
    cluster.check();

    // Without the second one a majority needs the first one, which must have caught up to lead or to ack.
    cluster.start(first);
    cluster.kill(second);
    (0..2).for_each(|_| cluster.publish(|_| true));
    cluster.check();

    // A leader that stands still is passed over, and leads no more when it goes on.
    cluster.start(second);
    let third = cluster.leader;
    let stop = |cluster: &Cluster, signal| {
        let broker = cluster.running[third].as_ref().expect("it runs");
        broker.signal(signal).expect("it runs");
    };
    stop(&cluster, Signal::STOP);
    cluster.publish(|node| node != third);
    stop(&cluster, Signal::CONT);
    cluster.publish(|_| true);
    cluster.check();
}

#[test]
fn a_cluster_that_is_killed_as_a_whole_has_all_that_was_acked_when_it_is_back() {
    let mut cluster = Cluster::form();
    (0..3).for_each(|_| cluster.publish(|_| true));
    (0..NODES).for_each(|node| cluster.kill(node));
    (0..NODES).for_each(|node| cluster.start(node));
    cluster.check();
    cluster.publish(|_| true);
    cluster.check();
}
