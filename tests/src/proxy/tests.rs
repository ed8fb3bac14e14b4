//! The proxy between a client and a server that the test holds both.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{End, Manner, Proxy, Scope, Way};

/// Long enough for whatever is to come; what is not to come is asked for with less.
const PATIENCE: Duration = Duration::from_secs(10);

struct Ends {
    proxy: Proxy,
    listener: TcpListener,
}

impl Ends {
    fn new() -> Self {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap(), 7).unwrap();
        Self { proxy, listener }
    }

    /// A connection, from both sides.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(self.proxy.address()).unwrap();
        let (server, _) = self.listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE)).unwrap();
            end.set_nodelay(true).unwrap();
        }
        (client, server)
    }
}

fn arrives(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes);
}

fn stays_silent(stream: &mut TcpStream) {
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let error = stream.read(&mut [0; 1]).expect_err("silence");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

fn is_reset(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

/// A frame with this many bytes of body.
fn frame(body: u32) -> Vec<u8> {
    let mut bytes = vec![0; 16 + body as usize];
    bytes[..4].copy_from_slice(&body.to_le_bytes());
    bytes
}

#[test]
fn bytes_and_ends_pass_both_ways_and_are_counted() {
    let ends = Ends::new();
    let (mut client, mut server) = ends.connect();
    client.write_all(b"question").unwrap();
    arrives(&mut server, b"question");
    server.write_all(b"an answer").unwrap();
    arrives(&mut client, b"an answer");
    assert_eq!(ends.proxy.passed().bytes, 17);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0; 8]).unwrap(), 0, "the client's FIN");
    server.write_all(b"last words").unwrap();
    arrives(&mut client, b"last words");
    drop(server);
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "the server's FIN");
    while ends.proxy.passed().open > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_megabyte_passes_whole_while_its_reader_is_slow() {
    let ends = Ends::new();
    let (mut client, mut server) = ends.connect();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    let writer = std::thread::spawn(move || client.write_all(&sent).map(|()| client));
    let mut got = vec![0; expected.len()];
    for piece in got.chunks_mut(33_333) {
        server.read_exact(piece).unwrap();
    }
    assert!(got == expected);
    writer.join().unwrap().unwrap();
}

#[test]
fn a_reset_and_a_finish_end_both_sides_each_in_its_way() {
    let ends = Ends::new();
    let (mut client, mut server) = ends.connect();
    assert_eq!(ends.proxy.cut(Scope::All, End::Reset), 1);
    assert!(is_reset(&mut client) && is_reset(&mut server));
    let (mut client, mut server) = ends.connect();
    assert_eq!(ends.proxy.cut(Scope::All, End::Finish), 1);
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
    let passed = ends.proxy.passed();
    assert_eq!((passed.open, passed.cuts, passed.connections), (0, 2, 2));
}

#[test]
fn a_cut_in_a_frame_lets_a_part_of_it_through() {
    let ends = Ends::new();
    let (mut client, mut server) = ends.connect();
    client.write_all(&frame(5)).unwrap();
    arrives(&mut server, &frame(5));
    ends.proxy.cut(Scope::All, End::InFrame(Way::Up));
    client.write_all(&frame(100)).unwrap();
    let mut got = Vec::new();
    let mut byte = [0];
    while let Ok(1) = server.read(&mut byte) {
        got.push(byte[0]);
    }
    assert!(!got.is_empty() && got.len() < 116, "{} bytes", got.len());
    assert!(is_reset(&mut client));
    assert_eq!(ends.proxy.passed().cuts_in_frame, 1);
}

#[test]
fn delayed_bytes_come_late_and_in_order() {
    let ends = Ends::new();
    let (mut client, mut server) = ends.connect();
    let least = Duration::from_millis(50);
    let most = Duration::from_millis(80);
    let delay = Manner::Delay { least, most };
    assert_eq!(ends.proxy.pass(Scope::All, Way::Up, delay), 1);
    let sent = Instant::now();
    client.write_all(b"1").unwrap();
    client.write_all(b"2").unwrap();
    arrives(&mut server, b"12");
    assert!(sent.elapsed() >= least);
}

#[test]
fn dribbled_and_throttled_bytes_take_their_time() {
    let ends = Ends::new();
    let (mut client, mut server) = ends.connect();
    let pause = Duration::from_millis(2);
    ends.proxy
        .pass(Scope::All, Way::Up, Manner::Dribble { pause });
    let sent = Instant::now();
    client.write_all(&[7; 20]).unwrap();
    arrives(&mut server, &[7; 20]);
    assert!(sent.elapsed() >= 19 * pause);
    let slow = Manner::Throttle {
        bytes_a_second: 10_000,
    };
    ends.proxy.pass(Scope::All, Way::Up, slow);
    let sent = Instant::now();
    client.write_all(&[8; 1_000]).unwrap();
    arrives(&mut server, &[8; 1_000]);
    assert!(sent.elapsed() >= Duration::from_millis(80));
}

#[test]
fn a_half_open_connection_says_nothing_and_ends_when_all_is_healed() {
    let ends = Ends::new();
    let (mut client, mut server) = ends.connect();
    ends.proxy.pass(Scope::All, Way::Both, Manner::Swallow);
    client.write_all(b"lost").unwrap();
    stays_silent(&mut server);
    stays_silent(&mut client);
    while ends.proxy.passed().open == 1 && ends.proxy.heal() == 0 {}
    assert!(is_reset(&mut client) && is_reset(&mut server));
    assert_eq!(ends.proxy.passed().bytes_swallowed, 4);
    let (mut client, mut server) = ends.connect();
    client.write_all(b"fresh").unwrap();
    arrives(&mut server, b"fresh");
}

#[test]
fn a_closed_window_stops_the_sender_and_loses_nothing() {
    let ends = Ends::new();
    ends.proxy.pass(Scope::All, Way::Up, Manner::Hold);
    let (mut client, mut server) = ends.connect();
    client
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut sent = 0;
    let block = [9; 64 * 1024];
    // Kernel buffers are finite: a writer that is never stopped would write for ever.
    while let Ok(count) = client.write(&block) {
        sent += count;
    }
    stays_silent(&mut server);
    ends.proxy.heal();
    drop(client);
    let mut got = Vec::new();
    server.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), sent);
}

#[test]
fn new_connections_can_be_refused_and_sent_elsewhere() {
    let ends = Ends::new();
    ends.proxy.refuse(true);
    let mut refused = TcpStream::connect(ends.proxy.address()).unwrap();
    refused.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(is_reset(&mut refused));
    ends.proxy.refuse(false);
    let other = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    ends.proxy.set_upstream(other.local_addr().unwrap());
    let mut client = TcpStream::connect(ends.proxy.address()).unwrap();
    let (mut server, _) = other.accept().unwrap();
    client.write_all(b"hello").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    arrives(&mut server, b"hello");
}

#[test]
fn only_some_connections_are_met_by_a_share() {
    let ends = Ends::new();
    let pairs: Vec<_> = (0..32).map(|_| ends.connect()).collect();
    let cut = ends.proxy.cut(Scope::Percent(50), End::Reset);
    assert!((4..=28).contains(&cut), "{cut} of 32");
    assert_eq!(ends.proxy.passed().open, 32 - cut);
    assert_eq!(ends.proxy.cut(Scope::Percent(0), End::Reset), 0);
    drop(pairs);
}
