//! A broker in a process of its own, for what a process must be watched or killed for.
//!
//! The child is this test binary, asked to run the one test [`serve`], which is a broker if the environment says so.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use antiphon_server::run_with;
use rustix::process::{Pid, Signal, kill_process};

use crate::support;

/// The data directory of the child; set: be a broker.
const DIRECTORY: &str = "SOCKETS_TEST_DIRECTORY";
const READY: &str = "broker ready on ";

/// A broker process. Killed if it is dropped alive.
pub(crate) struct BrokerProcess {
    child: Child,
    address: SocketAddr,
}

/// Not a test, but the child's main function.
#[test]
fn serve() {
    let Some(directory) = env::var_os(DIRECTORY) else {
        return;
    };
    let config = support::config(Path::new(&directory), &[]);
    let ended = run_with(config, |address| println!("\n{READY}{address}"));
    let code = ended.map_or_else(|error| error.exit_code(), |()| antiphon_server::exit::DONE);
    std::process::exit(i32::from(code));
}

impl BrokerProcess {
    pub(crate) fn start(directory: &Path) -> Self {
        let mut child = Command::new(env::current_exe().expect("this binary"))
            .args(["child::serve", "--exact", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child process");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let address = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix(READY)?.parse().ok())
            .expect("the child says where it listens");
        Self { child, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the child lives");
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("the child ends")
    }

    /// Bytes of memory that are the child's own.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let statm =
            std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).expect("it lives");
        let resident: u64 = statm
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .expect("a number");
        resident * 4_096
    }

    /// CPU time used over one second, in percent of a CPU. The second is an interval to measure over, not to wait for something.
    pub(crate) fn percent_used(&self) -> u64 {
        let before = self.cpu_ticks();
        std::thread::sleep(Duration::from_secs(1));
        self.cpu_ticks() - before
    }

    /// CPU time used, in clock ticks of 10 ms.
    fn cpu_ticks(&self) -> u64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it lives");
        // The name in parentheses may hold spaces.
        let after_name = stat.rsplit_once(") ").expect("a name").1;
        let field = |number: usize| {
            after_name
                .split(' ')
                .nth(number)
                .and_then(|text| text.parse::<u64>().ok())
        };
        field(11).expect("user time") + field(12).expect("system time")
    }

    pub(crate) fn limit(&self, resource: rlimit::Resource, value: u64) {
        let pid = self.child.id().try_into().expect("a process id");
        rlimit::prlimit(pid, resource, Some((value, value)), None)
            .expect("the limit of an own child");
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        // Has it ended already, there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
