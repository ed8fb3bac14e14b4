//! A little system that does what it is asked, but for one lie, told once.
//!
//! ```text
//!  0       4       8       12              20
//!  +-------+-------+-------+---------------+----------
//!  | length| kind  | room  | request       | body ...
//!  +-------+-------+-------+---------------+----------
//! ```
//! Little endian; `length` counts the whole frame. It is a thread of the test and one more for each connection, which ends with it.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use antiphon_bench::error::{StartError, Unsupported, WireError};
use antiphon_bench::port::Ports;
use antiphon_bench::server::{Place, Server};
use antiphon_bench::target::{Ack, Durability, Event, Room, Since, Target, Wire};

/// Which delivery, answer or item of history is lied about, from 0: not the first one, and some follow.
const LIED_ABOUT: u64 = 5;
const HEADER_BYTES: usize = 20;

/// What it does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lie {
    /// Nothing.
    None,
    /// A delivery does not come.
    Lost,
    /// It comes twice.
    Twice,
    /// It comes behind the next one.
    Late,
    /// The one before comes again in its place.
    Instead,
    /// A bit of it is another one.
    Flipped,
    /// It comes to somebody else, too.
    Stray,
    /// An answer to a publish or subscribe does not come.
    AnswerLost,
    /// It comes twice.
    AnswerTwice,
    /// A request is refused, and done.
    Refused,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
enum Kind {
    Hello = 1,
    SubscribeNow,
    SubscribeAll,
    Publish,
    PublishAcked,
    Delivery,
    /// The request is how many.
    History,
    Item,
    HistoryEnd,
    Refused,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::Hello,
        Kind::SubscribeNow,
        Kind::SubscribeAll,
        Kind::Publish,
        Kind::PublishAcked,
        Kind::Delivery,
        Kind::History,
        Kind::Item,
        Kind::HistoryEnd,
        Kind::Refused,
    ];
}

struct Frame<'a> {
    kind: Kind,
    room: u32,
    request: u64,
    body: &'a [u8],
    whole: usize,
}

fn next(input: &[u8]) -> Result<Option<Frame<'_>>, WireError> {
    let Some(header) = input.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let number = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let whole = number(0) as usize;
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u32 == number(4));
    let kind = kind.ok_or_else(|| WireError::Malformed("no such kind".to_owned()))?;
    Ok(input.get(HEADER_BYTES..whole).map(|body| Frame {
        kind,
        room: number(8),
        request: u64::from(number(12)) | u64::from(number(16)) << 32,
        body,
        whole,
    }))
}

fn append(kind: Kind, room: u32, request: u64, body: &[u8], out: &mut Vec<u8>) {
    let whole = (HEADER_BYTES + body.len()) as u32;
    for number in [whole, kind as u32, room] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&request.to_le_bytes());
    out.extend_from_slice(body);
}

/// The system, as a target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Liar {
    pub(crate) lie: Lie,
    pub(crate) address: SocketAddr,
}

/// The running system; everybody is disconnected when it is dropped.
pub(crate) struct Running {
    pub(crate) liar: Liar,
    house: Arc<Mutex<House>>,
}

#[derive(Default)]
struct House {
    lie: Option<Lie>,
    /// By connection.
    sockets: Vec<TcpStream>,
    bodies: HashMap<u32, Vec<Vec<u8>>>,
    listeners: HashMap<u32, Vec<usize>>,
    /// Deliveries and items so far; answers so far.
    told: u64,
    answered: u64,
    /// What the last delivery was.
    last: Vec<u8>,
    /// What comes behind the next one of its stream to this connection.
    held: Option<(usize, Vec<u8>)>,
    is_over: bool,
}

impl Running {
    pub(crate) fn start(lie: Lie) -> io::Result<Running> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let house = Arc::new(Mutex::new(House {
            lie: Some(lie),
            ..House::default()
        }));
        let ours = Arc::clone(&house);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let mut house = ours.lock().unwrap_or_else(PoisonError::into_inner);
                if house.is_over {
                    return;
                }
                let Ok(reading) = socket.try_clone() else {
                    return;
                };
                let number = house.sockets.len();
                house.sockets.push(socket);
                let theirs = Arc::clone(&ours);
                thread::spawn(move || serve(number, reading, &theirs));
            }
        });
        let liar = Liar { lie, address };
        Ok(Running { liar, house })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut house = self.house.lock().unwrap_or_else(PoisonError::into_inner);
        house.is_over = true;
        for socket in house.sockets.drain(..) {
            // It may be gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        drop(house);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.liar.address);
    }
}

fn serve(number: usize, mut socket: TcpStream, house: &Mutex<House>) {
    let mut input = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = socket.read(&mut buffer) {
        input.extend_from_slice(&buffer[..count]);
        let mut used = 0;
        while let Ok(Some(frame)) = next(&input[used..]) {
            used += frame.whole;
            let mut house = house.lock().unwrap_or_else(PoisonError::into_inner);
            house.take(number, &frame);
        }
        input.drain(..used);
    }
}

impl House {
    fn take(&mut self, from: usize, frame: &Frame<'_>) {
        let room = frame.room;
        match frame.kind {
            Kind::Hello => self.send(from, Kind::Hello, 0, 0, &[]),
            Kind::SubscribeNow | Kind::SubscribeAll => {
                self.listeners.entry(room).or_default().push(from);
                self.answer(from, frame.kind, frame.request);
                if frame.kind == Kind::SubscribeAll {
                    for body in self.bodies.get(&room).cloned().unwrap_or_default() {
                        self.tell(from, Kind::Delivery, room, &body);
                    }
                }
            }
            Kind::Publish | Kind::PublishAcked => {
                self.bodies
                    .entry(room)
                    .or_default()
                    .push(frame.body.to_vec());
                for to in self.listeners.get(&room).cloned().unwrap_or_default() {
                    self.tell(to, Kind::Delivery, room, frame.body);
                }
                if frame.kind == Kind::PublishAcked {
                    self.answer(from, frame.kind, frame.request);
                }
            }
            Kind::History => {
                let bodies = self.bodies.get(&room).cloned().unwrap_or_default();
                let first = bodies.len().saturating_sub(frame.request as usize);
                for body in &bodies[first..] {
                    self.tell(from, Kind::Item, room, body);
                }
                self.send(from, Kind::HistoryEnd, room, 0, &[]);
            }
            Kind::Delivery | Kind::Item | Kind::HistoryEnd | Kind::Refused => {}
        }
    }

    /// Sends a delivery or an item, or lies.
    fn tell(&mut self, to: usize, kind: Kind, room: u32, body: &[u8]) {
        let is_due = self.told == LIED_ABOUT;
        self.told += 1;
        match self.lie.filter(|_| is_due) {
            Some(Lie::Lost) => return,
            Some(Lie::Late) => {
                self.held = Some((to, body.to_vec()));
                return;
            }
            Some(Lie::Twice) => self.send(to, kind, room, 0, body),
            Some(Lie::Instead) => {
                let last = std::mem::take(&mut self.last);
                return self.send(to, kind, room, 0, &last);
            }
            Some(Lie::Flipped) => {
                let mut body = body.to_vec();
                body[9] ^= 4;
                return self.send(to, kind, room, 0, &body);
            }
            Some(Lie::Stray) => {
                let listeners = &self.listeners[&room];
                let other = (0..self.sockets.len()).find(|number| !listeners.contains(number));
                let other = other.expect("somebody does not listen");
                self.send(other, kind, room, 0, body);
            }
            _ => {}
        }
        self.send(to, kind, room, 0, body);
        self.last = body.to_vec();
        // Order is promised within a stream, which stands in its bodies.
        let stream = &body[4..8];
        let is_next =
            |(number, late): &mut (usize, Vec<u8>)| *number == to && late[4..8] == *stream;
        if let Some((_, late)) = self.held.take_if(is_next) {
            self.send(to, kind, room, 0, &late);
        }
    }

    /// Answers a request, or lies.
    fn answer(&mut self, to: usize, kind: Kind, request: u64) {
        let is_due = self.answered == LIED_ABOUT;
        self.answered += 1;
        match self.lie.filter(|_| is_due) {
            Some(Lie::AnswerLost) => return,
            Some(Lie::AnswerTwice) => self.send(to, kind, 0, request, &[]),
            Some(Lie::Refused) => self.send(to, Kind::Refused, 0, request, &[]),
            _ => {}
        }
        self.send(to, kind, 0, request, &[]);
    }

    fn send(&mut self, to: usize, kind: Kind, room: u32, request: u64, body: &[u8]) {
        let mut out = Vec::new();
        append(kind, room, request, body, &mut out);
        // Who is gone hears nothing.
        let _ = self.sockets[to].write_all(&out);
    }
}

impl Target for Liar {
    type Wire = LiarWire;

    fn name(&self) -> String {
        format!("a liar ({:?})", self.lie)
    }

    fn durability(&self) -> Durability {
        Durability {
            acked: "whenever it likes".to_owned(),
            synced_before_ack: false,
            synced_before_delivery: false,
        }
    }

    fn settings(&self) -> Vec<String> {
        Vec::new()
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        Ok(Server {
            addresses: vec![self.address],
            processes: Vec::new(),
            ports: Ports::default(),
            directory: tempfile::tempdir_in(&place.parent)?,
        })
    }

    fn wire(&self, _number: u32) -> LiarWire {
        LiarWire
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct LiarWire;

impl Wire for LiarWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        append(Kind::Hello, 0, 0, &[], out);
    }

    fn subscribe(
        &mut self,
        room: &Room,
        since: Since,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        let kind = match since {
            Since::Now => Kind::SubscribeNow,
            Since::Beginning => Kind::SubscribeAll,
        };
        append(kind, room.number, 0, &[], out);
        Ok(())
    }

    fn publish(&mut self, room: &Room, request: u64, ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        let kind = match ack {
            Ack::Wanted => Kind::PublishAcked,
            Ack::Unwanted => Kind::Publish,
        };
        append(kind, room.number, request, body, out);
    }

    fn history(
        &mut self,
        room: &Room,
        limit: u32,
        _request: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        append(Kind::History, room.number, limit.into(), &[], out);
        Ok(())
    }

    fn parse(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut used = 0;
        while let Some(frame) = next(&input[used..])? {
            used += frame.whole;
            sink(match frame.kind {
                Kind::Hello => Event::Ready,
                Kind::SubscribeNow | Kind::SubscribeAll => Event::Subscribed,
                Kind::PublishAcked => Event::Acked {
                    request: frame.request,
                },
                Kind::Delivery => Event::Delivered { body: frame.body },
                Kind::Item => Event::HistoryItem { body: frame.body },
                Kind::HistoryEnd => Event::History { request: 0 },
                Kind::Publish | Kind::History | Kind::Refused => Event::Refused,
            });
        }
        Ok(used)
    }
}
