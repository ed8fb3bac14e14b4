//! The broker and what can happen to it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use antiphon_client::{Client, ClientOptions};
use antiphon_server::config::{Count, Size};
use antiphon_server::{Config, Node};
use tempfile::TempDir;

use crate::door::Door;

/// How long the clients made here try again: first and longest wait. A test does not want to wait for a restarted broker.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// How long a call of the clients made here may take: far longer than any of it takes, so that a test fails and does not hang.
const DEADLINE: Duration = Duration::from_secs(60);

/// A broker for tests, in this process, reached over real sockets.
///
/// It listens on a free port of loopback and keeps its data in a temporary directory; both go with it. Its log is the real
/// one: an ack means that the disk has synced.
///
/// | fault | what clients see |
/// |---|---|
/// | [`kill`](TestBroker::kill) | the broker is gone without a word; what it had acked is kept |
/// | [`stop`](TestBroker::stop) | it says goodbye, and is gone |
/// | [`restart`](TestBroker::restart) | it is back, with the same data at the same address |
/// | [`pause`](TestBroker::pause), [`resume`](TestBroker::resume) | it takes connections and says nothing; it goes on |
/// | [`cut`](TestBroker::cut) | every connection ends, and another one can be made at once |
///
/// ```
/// use antiphon_testing::TestBroker;
///
/// let broker = TestBroker::start();
/// let client = broker.client("ann");
/// let pending = client.publish_pipelined("lobby", "hello")?;
/// broker.cut(); // whether the message had left or not: the client sends it again, and it is stored once
/// assert_eq!(pending.wait()?.seq.0, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// A method panics if the system refuses what a test cannot do without: a port, a directory, a thread.
#[derive(Debug)]
pub struct TestBroker {
    door: Door,
    /// `None`: killed or stopped.
    node: Option<Node>,
    config: Config,
    /// Unlinked last of all.
    directory: TempDir,
}

impl TestBroker {
    /// Starts a broker that suits a test: small segments, two core threads, nothing in its data.
    #[must_use]
    pub fn start() -> TestBroker {
        TestBroker::start_with(|_| ())
    }

    /// As [`start`](TestBroker::start), with settings of the test's own.
    ///
    /// Address and directory are set afterwards and cannot be changed.
    ///
    /// ```
    /// use antiphon_client::PublishError;
    /// use antiphon_testing::config::Size;
    /// use antiphon_testing::TestBroker;
    ///
    /// let broker = TestBroker::start_with(|config| config.session.body_bytes_max = Size::new(1024).expect("lawful"));
    /// let error = broker.client("ann").publish("lobby", vec![0; 1025]).expect_err("too large");
    /// assert!(matches!(error, PublishError::TooLarge { bytes_max: 1024, .. }));
    /// ```
    #[must_use]
    pub fn start_with(settings: impl FnOnce(&mut Config)) -> TestBroker {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut config = Config::default();
        config.data.segment_bytes = Size::new(4 << 20).expect("the smallest size is lawful");
        config.data.reserve_bytes = Size::new(4 << 20).expect("a lawful size");
        config.data.resume_bytes = Size::new(8 << 20).expect("a lawful size");
        config.data.partitions = Count::new(4).expect("a lawful number");
        config.threads.cores = Count::new(2).expect("a lawful number");
        config.threads.readers = Count::new(1).expect("a lawful number");
        settings(&mut config);
        config.listen.address = SocketAddr::from(([127, 0, 0, 1], 0));
        config.admin.address = SocketAddr::from(([127, 0, 0, 1], 0));
        config.data.directory = directory.path().to_path_buf();
        let mut broker = TestBroker {
            door: Door::open().expect("a free port and a thread can be had"),
            node: None,
            config,
            directory,
        };
        broker.run();
        broker
    }

    /// Where clients connect; the same over all restarts.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Where its metrics and probes are: `http://ADDRESS/metrics`, if the settings enable them; another address after each start.
    ///
    /// ```
    /// use antiphon_testing::TestBroker;
    ///
    /// let broker = TestBroker::start_with(|config| config.admin.enabled = true);
    /// assert!(broker.admin_address().is_some());
    /// ```
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.node.as_ref()?.admin_address()
    }

    /// Options of a client of this broker: it gives up late, and tries again soon.
    #[must_use]
    pub fn options(&self, user: &str) -> ClientOptions {
        ClientOptions::new(self.address().to_string())
            .user(user)
            .connect_deadline(DEADLINE)
            .request_deadline(DEADLINE)
            .publish_deadline(DEADLINE)
            .backoff(BACKOFF.0, BACKOFF.1)
    }

    /// A client of this broker.
    #[must_use]
    pub fn client(&self, user: &str) -> Client {
        Client::connect(self.options(user)).expect("a running broker greets")
    }

    /// Where the data is, as long as this broker lives.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends the broker as `kill -9` would: no goodbye, nothing written any more, no mark of a clean end in its log.
    ///
    /// What was acked is on the disk. Does nothing if the broker does not run.
    pub fn kill(&mut self) {
        self.door.close();
        if let Some(node) = self.node.take() {
            node.kill();
        }
    }

    /// Stops the broker as SIGTERM would: clients are told, the log is closed. Does nothing if the broker does not run.
    pub fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop().expect("a broker with a sound disk stops");
        }
        self.door.close();
    }

    /// Starts the broker on the data that is there, at the same address; stops it before if it runs.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Lets nothing through any more in either direction, as if the broker or the network hung; connections stay.
    pub fn pause(&self) {
        self.door.pause(true);
    }

    /// Ends a [`pause`](TestBroker::pause): what was held up goes on, in order.
    pub fn resume(&self) {
        self.door.pause(false);
    }

    /// Ends every connection without a word. Clients may connect again at once.
    pub fn cut(&self) {
        self.door.cut();
    }

    fn run(&mut self) {
        let node = Node::start(self.config.clone()).expect("a broker starts on its own data");
        self.door.lead_to(node.address());
        self.node = Some(node);
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        // Nobody reads the data again: a clean end would only take longer.
        self.kill();
    }
}
