//! Who may speak to a node as its peer: a member of its cluster, on the disk it was first met on, and nobody else.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use antiphon_protocol::limits::PEER_FRAME_BYTES_MAX;
use antiphon_protocol::peer::{
    ClusterId, DirectoryId, Life, PeerHello, PeerKind, PeerPing, PeerRefusal, PeerRefused,
    PeerWelcome, Session, voters_digest,
};
use antiphon_protocol::{NodeId, Timestamp, next_frame};
use antiphon_tests::broker::{BrokerProcess, SMALL};
use antiphon_tests::port::Reserved;

const PATIENCE: Duration = Duration::from_secs(20);

/// Node 1 of a cluster of three whose other nodes are this test.
struct Node {
    temp: tempfile::TempDir,
    ports: Vec<Reserved>,
    broker: Option<BrokerProcess>,
}

impl Node {
    fn start() -> Node {
        let ports: Vec<Reserved> = (0..6).map(|_| Reserved::new().expect("a port")).collect();
        let mut node = Node {
            temp: tempfile::tempdir().expect("a temporary directory"),
            ports,
            broker: None,
        };
        node.run();
        node
    }

    fn run(&mut self) {
        let address = |place: usize| self.ports[place].address();
        let members: Vec<String> = (0..3)
            .map(|n| format!("{}={}/{}", n + 1, address(3 + n), address(n)))
            .collect();
        let config = format!(
            "[cluster]\nid = \"0000000000000000000000000000004d\"\nmembers = \"{}\"\n",
            members.join(",")
        );
        let file = self.temp.path().join("cluster.toml");
        fs::write(&file, config).expect("writable");
        let mut args = vec!["--config".to_owned(), file.display().to_string()];
        args.extend(SMALL.map(str::to_owned));
        let binary = Path::new(env!("CARGO_BIN_EXE_antiphon"));
        let data = self.temp.path().join("data");
        let broker = BrokerProcess::start(binary, &data, address(0), &args);
        self.broker = Some(broker.expect("starts"));
    }

    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.ports[3].address()).expect("it listens");
        let patience = stream.set_read_timeout(Some(PATIENCE));
        patience.expect("a timeout");
        stream
    }

    fn say(&self, hello: &PeerHello) -> (TcpStream, Result<PeerWelcome, PeerRefusal>) {
        let mut stream = self.dial();
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        stream.write_all(&bytes).expect("it reads");
        let answer = frame(&mut stream).expect("an answer");
        let raw = next_frame(&answer, 1_024).expect("lawful").expect("whole");
        let said = match PeerKind::from_wire(raw.header.kind).expect("of a peer") {
            PeerKind::Welcome => Ok(PeerWelcome::decode(raw).expect("lawful")),
            _ => Err(PeerRefused::decode(raw).expect("lawful").code),
        };
        (stream, said)
    }
}

/// The next frame; `None`: the connection is closed.
fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 16];
    stream.read_exact(&mut bytes).ok()?;
    let len = u32::from_le_bytes(*bytes.first_chunk().expect("a header"));
    bytes.resize(16 + len as usize, 0);
    stream.read_exact(&mut bytes[16..]).ok()?;
    Some(bytes)
}

fn lawful() -> PeerHello {
    PeerHello {
        version_min: 1,
        version_max: 1,
        partitions: 1,
        from: NodeId(2),
        to: NodeId(1),
        level: 1,
        cluster: ClusterId(0x4d),
        directory: DirectoryId(22),
        life: Life(7),
        session: Session(1),
        voters_digest: voters_digest(&[NodeId(1), NodeId(2), NodeId(3)]),
        frame_bytes_max: PEER_FRAME_BYTES_MAX,
    }
}

#[test]
fn who_is_not_a_member_is_told_why_and_closed() {
    let node = Node::start();
    let base = lawful();
    let others = voters_digest(&[NodeId(1), NodeId(2)]);
    #[rustfmt::skip]
    let wrong = [
        (PeerHello { cluster: ClusterId(1), ..base }, PeerRefusal::OTHER_CLUSTER),
        (PeerHello { to: NodeId(3), ..base }, PeerRefusal::OTHER_NODE),
        (PeerHello { from: NodeId(4), ..base }, PeerRefusal::UNKNOWN_NODE),
        (PeerHello { voters_digest: others, ..base }, PeerRefusal::OTHER_VOTERS),
        (PeerHello { partitions: 2, ..base }, PeerRefusal::OTHER_VOTERS),
        (PeerHello { version_min: 2, version_max: 2, ..base }, PeerRefusal::VERSION),
    ];
    for (hello, why) in wrong {
        let (mut stream, said) = node.say(&hello);
        assert_eq!(said, Err(why));
        assert_eq!(frame(&mut stream), None, "closed");
    }
    // What announces more than a small frame, and what begins with anything else, is refused before it is read on.
    for header in [[0xff, 0xff, 0, 0, 128, 0, 0, 0], [8, 0, 0, 0, 1, 0, 0, 0]] {
        let mut stream = node.dial();
        let mut bytes = header.to_vec();
        bytes.resize(16 + 8, 0);
        stream.write_all(&bytes).expect("it reads");
        let answer = frame(&mut stream).expect("an answer");
        let raw = next_frame(&answer, 1_024).expect("lawful").expect("whole");
        let code = PeerRefused::decode(raw).expect("lawful").code;
        assert_eq!(code, PeerRefusal::BAD_FRAME);
    }
    // Who says nothing is closed, too.
    assert_eq!(frame(&mut node.dial()), None);
    assert!(
        node.say(&base).1.is_ok(),
        "a member is welcome all the same"
    );
}

#[test]
fn a_member_is_known_by_its_disk_and_its_newest_session_alone() {
    let mut node = Node::start();
    let base = lawful();
    let (mut old, said) = node.say(&base);
    let welcome = said.expect("a member");
    assert_eq!(welcome.session, Session(1));
    let mut ping = Vec::new();
    let (nonce, time) = (5, Timestamp(6));
    PeerPing { nonce, time }.encode(&mut ping);
    old.write_all(&ping).expect("it reads");
    let pong = frame(&mut old).expect("an answer");
    assert_eq!(pong[4], PeerKind::Pong.wire());

    assert_eq!(node.say(&base).1, Err(PeerRefusal::OLD_SESSION));
    let newer = PeerHello {
        session: Session(2),
        ..base
    };
    let (_new, said) = node.say(&newer);
    assert!(said.is_ok());
    assert_eq!(frame(&mut old), None, "the session before is over");
    let wiped = PeerHello {
        directory: DirectoryId(23),
        life: Life(8),
        ..base
    };
    assert_eq!(node.say(&wiped).1, Err(PeerRefusal::OTHER_DIRECTORY));

    // It is written down before the welcome: a node that is killed knows it when it is back.
    node.broker.take().expect("it runs").kill().expect("it ran");
    node.run();
    assert_eq!(node.say(&wiped).1, Err(PeerRefusal::OTHER_DIRECTORY));
    assert!(node.say(&base).1.is_ok());
}
