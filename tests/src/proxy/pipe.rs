//! One direction of a connection: bytes taken and not passed on yet, and when they may go.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::frames::Frames;
use super::manner::Manner;
use crate::sim::random::Random;

/// Bytes that one direction holds; beyond it the sender is not read, as any router would do it.
const HELD_BYTES_MAX: usize = 256 * 1024;

/// Bytes written at once while throttled, as a share of a second.
const THROTTLE_STEP: Duration = Duration::from_millis(20);

/// Cuts fall within this many first bytes of a frame: in its header or early in its body.
const CUT_DEPTH_MAX: u64 = 64;

/// A piece as it came.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    passed: usize,
    may_go: Instant,
}

/// What may be done now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// So many bytes of [`Pipe::front`] may be written.
    Write(usize),
    /// Nothing before then.
    At(Instant),
    /// The stream stands where it is to be cut.
    Cut,
    /// All was passed on, and the sender has sent its end.
    End,
    /// Nothing.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Pipe {
    manner: Manner,
    pieces: VecDeque<Piece>,
    held: usize,
    /// No byte goes before.
    paced_until: Option<Instant>,
    /// When the last piece may go: none overtakes it.
    last_may_go: Option<Instant>,
    /// The sender has closed its side.
    pub(crate) is_ended: bool,
    /// That was passed on.
    pub(crate) is_shut: bool,
    frames: Frames,
    cut_depth: Option<usize>,
    /// Bytes that were taken and will never be passed on.
    pub(crate) swallowed: u64,
}

impl Pipe {
    pub(crate) fn new(manner: Manner) -> Self {
        Self {
            manner,
            pieces: VecDeque::new(),
            held: 0,
            paced_until: None,
            last_may_go: None,
            is_ended: false,
            is_shut: false,
            frames: Frames::default(),
            cut_depth: None,
            swallowed: 0,
        }
    }

    /// Passes bytes on like this from now on; [`Manner::Clear`] also takes a cut back that has not met its frame.
    pub(crate) fn set(&mut self, manner: Manner) {
        self.manner = manner;
        self.paced_until = None;
        if manner == Manner::Clear {
            self.cut_depth = None;
        }
    }

    /// Whether the other side is to hear nothing, not even of an end.
    pub(crate) fn is_silent(&self) -> bool {
        self.manner == Manner::Swallow
    }

    /// The connection is to be cut in the middle of the next frame that passes here.
    pub(crate) fn cut_in_frame(&mut self, dice: &mut Random) {
        self.cut_depth = Some(dice.between(1, CUT_DEPTH_MAX) as usize);
    }

    /// How many bytes may be taken from the sender.
    pub(crate) fn room(&self) -> usize {
        match self.manner {
            Manner::Hold => 0,
            Manner::Swallow => HELD_BYTES_MAX,
            _ => HELD_BYTES_MAX.saturating_sub(self.held),
        }
    }

    /// Takes bytes from the sender.
    pub(crate) fn take(&mut self, bytes: &[u8], now: Instant, dice: &mut Random) {
        if self.is_silent() {
            self.swallowed += bytes.len() as u64;
            return;
        }
        let late = match self.manner {
            Manner::Delay { least, most } => {
                let (least, most) = (micros(least), micros(most));
                Duration::from_micros(dice.between(least, most))
            }
            _ => Duration::ZERO,
        };
        let may_go = (now + late).max(self.last_may_go.unwrap_or(now));
        self.last_may_go = Some(may_go);
        self.held += bytes.len();
        self.pieces.push_back(Piece {
            bytes: bytes.to_vec(),
            passed: 0,
            may_go,
        });
    }

    /// What is to be done now.
    pub(crate) fn next(&self, now: Instant) -> Next {
        if self.is_silent() {
            return Next::Nothing;
        }
        let Some(piece) = self.pieces.front() else {
            let is_over = self.is_ended && !self.is_shut;
            return if is_over { Next::End } else { Next::Nothing };
        };
        let waits_until = self.paced_until.max(Some(piece.may_go));
        if let Some(at) = waits_until.filter(|at| *at > now) {
            return Next::At(at);
        }
        let bytes = self.front();
        let most = match self.manner {
            Manner::Dribble { .. } => 1,
            Manner::Throttle { bytes_a_second } => {
                let step = u64::from(bytes_a_second) * micros(THROTTLE_STEP) / 1_000_000;
                bytes.len().min(step.max(1) as usize)
            }
            _ => bytes.len(),
        };
        match self.cut_depth {
            None => Next::Write(most),
            Some(depth) => match self.frames.until_inside(&bytes[..most], depth) {
                Some(0) => Next::Cut,
                Some(count) => Next::Write(count),
                None => Next::Write(most),
            },
        }
    }

    /// The bytes that go next.
    pub(crate) fn front(&self) -> &[u8] {
        let front = self.pieces.front();
        front.map_or(&[], |piece| &piece.bytes[piece.passed..])
    }

    /// So many bytes of [`Pipe::front`] were written.
    pub(crate) fn wrote(&mut self, count: usize, now: Instant) {
        let Some(piece) = self.pieces.front_mut() else {
            return;
        };
        let written = &piece.bytes[piece.passed..piece.passed + count];
        self.frames.pass(written);
        piece.passed += count;
        self.held -= count;
        if piece.passed == piece.bytes.len() {
            self.pieces.pop_front();
        }
        self.paced_until = match self.manner {
            Manner::Dribble { pause } => Some(now + pause),
            Manner::Throttle { bytes_a_second } => {
                let micros = count as u64 * 1_000_000 / u64::from(bytes_a_second.max(1));
                Some(now + Duration::from_micros(micros))
            }
            _ => None,
        };
    }

    /// Whether the stream stands in the middle of a frame.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.frames.is_inside()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
