//! The floors: what the kernel and the disk leave possible here. A system can at best come close to them.
//!
//! A process of the same binary stands behind them, so that they are pinned and counted like any other system.

mod frame;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use self::frame::{Frame, Kind, append};
pub use self::serve::serve;
use crate::error::{StartError, Unsupported, WireError};
use crate::port::Ports;
use crate::server::{Place, Process, Server};
use crate::target::{Ack, Durability, Event, Room, Since, Target, Wire};

/// The words with which the program is called to be a floor; a file may follow, for what it keeps. It prints its address.
pub const ARGUMENTS: [&str; 2] = ["bench", "floor"];

/// A floor, as a target.
#[derive(Clone, Debug)]
pub struct Floor {
    /// The program that has [`ARGUMENTS`].
    pub binary: PathBuf,
    /// Whether it keeps what wants an ack. If not, it spares the disk the file for it.
    pub keeps: bool,
}

impl Target for Floor {
    type Wire = FloorWire;

    fn name(&self) -> String {
        "floor".to_owned()
    }

    fn durability(&self) -> Durability {
        Durability {
            acked:
                "after one fdatasync for all that came meanwhile, into a file that is never read"
                    .to_owned(),
            synced_before_ack: true,
            synced_before_delivery: false,
        }
    }

    fn settings(&self) -> Vec<String> {
        Vec::new()
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        let directory = tempfile::Builder::new()
            .prefix("floor-bench-")
            .tempdir_in(&place.parent)?;
        let mut command = Command::new(&self.binary);
        command.args(ARGUMENTS).env_remove("RUST_LOG");
        if self.keeps {
            command.arg(directory.path().join("kept"));
        }
        let (process, address) = Process::spawn_until(
            &command,
            "floor",
            "build it: cargo build --release",
            directory.path(),
            place,
            |line| line.parse::<SocketAddr>().ok(),
        )?;
        Ok(Server {
            addresses: vec![address],
            processes: vec![process],
            ports: Ports::default(),
            directory,
        })
    }

    fn wire(&self, _number: u32) -> FloorWire {
        FloorWire
    }
}

/// One connection to a floor.
#[derive(Clone, Copy, Debug)]
pub struct FloorWire;

impl Wire for FloorWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        append(Kind::Hello, 0, 0, &[], out);
    }

    fn subscribe(
        &mut self,
        room: &Room,
        since: Since,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        if since == Since::Beginning {
            return Err(Unsupported("catch-up"));
        }
        append(Kind::Subscribe, room.number, 0, &[], out);
        Ok(())
    }

    fn publish(&mut self, room: &Room, request: u64, ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        let kind = match ack {
            Ack::Wanted => Kind::Keep,
            Ack::Unwanted => Kind::Publish,
        };
        let request = u32::try_from(request).expect("a run publishes fewer than 2^32 messages");
        append(kind, room.number, request, body, out);
    }

    #[inline]
    fn parse(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut used = 0;
        while let Some(frame) = Frame::next(&input[used..])? {
            used += frame.whole.len();
            sink(match frame.kind {
                Kind::Publish => Event::Delivered { body: frame.body() },
                Kind::Ack => Event::Acked {
                    request: frame.request.into(),
                },
                Kind::Hello => Event::Ready,
                Kind::Subscribe => Event::Subscribed,
                Kind::Keep => Event::Refused,
            });
        }
        Ok(used)
    }
}
