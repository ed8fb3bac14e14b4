//! A connection's input between the socket and the frames.
//!
//! ```text
//!  socket --read--> the core's one shared buffer --frames in place--> sink
//!                                   | what is left: a started frame, or whole frames of a paused connection
//!                                   v
//!                              Input::held   (allocated only then, freed as soon as it is used up)
//! ```
//! An idle connection holds nothing. `held` grows with bytes received, never with a length announced.

use antiphon_protocol::{BrokenStream, RawFrame, needed, next_frame};

use crate::limits::INPUT_SCARCE_HELD_BYTES;

/// Who takes a connection's frames.
pub(crate) trait FrameSink {
    /// The longest frame that is lawful now; asked before every frame, because a frame may change it.
    fn len_max(&mut self) -> u32;
    /// Takes a frame; says whether to go on.
    fn frame(&mut self, frame: RawFrame<'_>) -> Next;
    /// The stream cannot be understood from here on.
    fn broken(&mut self, why: BrokenStream);
}

/// What to do after a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// Parse on.
    Go,
    /// Take no further frame until told to resume.
    Pause,
}

/// How parsing ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Parsed {
    /// Everything whole was taken; a started frame may be held.
    All,
    /// The sink wants no more for now; whole frames may be held.
    Paused,
    /// The turn's frames are used up; whole frames may be held.
    Budget,
    /// Nothing more can be understood; nothing is held.
    Broken,
}

/// The bytes of one connection that no frame was made of yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    held: Vec<u8>,
}

impl Input {
    /// Bytes of memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.held.capacity()
    }

    /// Whether a frame has started and is not used up.
    pub(crate) fn is_partial(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether it holds much and will not give it back soon: what to stop when memory is scarce.
    pub(crate) fn hoards(&self) -> bool {
        let missing = needed(&self.held).saturating_sub(self.held.len());
        self.capacity() > INPUT_SCARCE_HELD_BYTES && missing > INPUT_SCARCE_HELD_BYTES
    }

    /// Frees what is held.
    pub(crate) fn clear(&mut self) {
        self.held = Vec::new();
    }

    /// Parses what is held, after a pause or a spent budget. `frames_left` counts down.
    pub(crate) fn parse_held(
        &mut self,
        frames_left: &mut u32,
        sink: &mut impl FrameSink,
    ) -> Parsed {
        let held = std::mem::take(&mut self.held);
        let (used, parsed) = parse(&held, frames_left, sink);
        if parsed == Parsed::Broken {
            return parsed;
        }
        self.held = if used == 0 {
            held
        } else {
            held[used..].to_vec()
        };
        parsed
    }

    /// Parses `bytes`, just read. What is held is at most one started frame: `parse_held` came first.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        frames_left: &mut u32,
        sink: &mut impl FrameSink,
    ) -> Parsed {
        let mut rest = bytes;
        while !self.held.is_empty() {
            match self.complete(&mut rest, frames_left, sink) {
                Some(Parsed::All) => {}
                Some(stopped) => {
                    self.held.extend_from_slice(rest);
                    return stopped;
                }
                None => return self.end_of_bytes(),
            }
        }
        let (used, parsed) = parse(rest, frames_left, sink);
        if parsed != Parsed::Broken && used < rest.len() {
            self.held.extend_from_slice(&rest[used..]);
        }
        parsed
    }

    /// Adds bytes to the started frame, at most up to its end, and gives it to the sink if it is whole.
    /// `None`: `rest` is used up and the frame is not whole.
    fn complete(
        &mut self,
        rest: &mut &[u8],
        frames_left: &mut u32,
        sink: &mut impl FrameSink,
    ) -> Option<Parsed> {
        loop {
            match next_frame(&self.held, sink.len_max()) {
                Err(why) => {
                    sink.broken(why);
                    self.clear();
                    *rest = &[];
                    return Some(Parsed::Broken);
                }
                Ok(Some(frame)) => {
                    debug_assert_eq!(
                        frame.whole.len(),
                        self.held.len(),
                        "INV-SRV-4: held is one frame at most"
                    );
                    *frames_left = frames_left.saturating_sub(1);
                    let next = sink.frame(frame);
                    self.clear();
                    return Some(match next {
                        Next::Pause => Parsed::Paused,
                        Next::Go if *frames_left == 0 => Parsed::Budget,
                        Next::Go => Parsed::All,
                    });
                }
                Ok(None) if rest.is_empty() => return None,
                Ok(None) => {
                    let missing = needed(&self.held).saturating_sub(self.held.len());
                    let (now, later) = rest.split_at(missing.min(rest.len()));
                    self.held.extend_from_slice(now);
                    *rest = later;
                }
            }
        }
    }

    fn end_of_bytes(&self) -> Parsed {
        debug_assert!(
            !self.held.is_empty(),
            "INV-SRV-4: a frame that is not whole is held"
        );
        Parsed::All
    }
}

/// Gives the whole frames of `bytes` to `sink`; returns how many bytes they were.
fn parse(bytes: &[u8], frames_left: &mut u32, sink: &mut impl FrameSink) -> (usize, Parsed) {
    let mut used = 0;
    loop {
        if *frames_left == 0 {
            return (used, Parsed::Budget);
        }
        match next_frame(&bytes[used..], sink.len_max()) {
            Err(why) => {
                sink.broken(why);
                return (used, Parsed::Broken);
            }
            Ok(None) => return (used, Parsed::All),
            Ok(Some(frame)) => {
                used += frame.whole.len();
                *frames_left -= 1;
                if sink.frame(frame) == Next::Pause {
                    return (used, Parsed::Paused);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes down the ids of the frames; pauses after those it is told to.
    #[derive(Default)]
    struct Listing {
        ids: Vec<u64>,
        broken: Option<BrokenStream>,
        pause_after: Option<u64>,
    }

    impl FrameSink for Listing {
        fn len_max(&mut self) -> u32 {
            1_000
        }
        fn frame(&mut self, frame: RawFrame<'_>) -> Next {
            assert!(
                frame
                    .body()
                    .iter()
                    .all(|byte| u64::from(*byte) == frame.header.id.0),
                "bytes of another frame"
            );
            self.ids.push(frame.header.id.0);
            if self.pause_after == Some(frame.header.id.0) {
                Next::Pause
            } else {
                Next::Go
            }
        }
        fn broken(&mut self, why: BrokenStream) {
            assert_eq!(self.broken.replace(why), None, "told once");
        }
    }

    fn frame(id: u8, len: u32) -> Vec<u8> {
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[99, 0, 0, 0]);
        bytes.extend_from_slice(&u64::from(id).to_le_bytes());
        bytes.extend(std::iter::repeat_n(id, len as usize));
        bytes
    }

    fn stream() -> Vec<u8> {
        [
            frame(1, 0),
            frame(2, 5),
            frame(3, 40),
            frame(4, 0),
            frame(5, 16),
        ]
        .concat()
    }

    #[test]
    fn every_split_in_three_gives_the_same_frames_and_leaves_nothing() {
        let stream = stream();
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let (mut input, mut sink) = (Input::default(), Listing::default());
                for part in [&stream[..first], &stream[first..second], &stream[second..]] {
                    assert_eq!(input.feed(part, &mut 100, &mut sink), Parsed::All);
                }
                assert_eq!(sink.ids, [1, 2, 3, 4, 5]);
                assert_eq!(input.capacity(), 0, "a used up input holds no memory");
            }
        }
    }

    #[test]
    fn one_byte_at_a_time_holds_no_more_than_the_frame_that_came() {
        let (mut input, mut sink) = (Input::default(), Listing::default());
        for byte in stream() {
            assert_eq!(input.feed(&[byte], &mut 100, &mut sink), Parsed::All);
            assert!(input.capacity() <= 128);
        }
        assert_eq!(sink.ids, [1, 2, 3, 4, 5]);
        let announced = 1_000_u32.to_le_bytes();
        assert_eq!(
            input.feed(
                &[&announced[..], &[99, 0, 0, 0], &[9; 9]].concat(),
                &mut 9,
                &mut sink
            ),
            Parsed::All
        );
        assert!(
            input.capacity() < 100,
            "memory grows with bytes received, not with the length announced"
        );
    }

    #[test]
    fn a_pause_keeps_the_rest_and_resuming_takes_it_in_order() {
        let stream = stream();
        for cut in 0..=stream.len() {
            let (mut input, mut sink) = (
                Input::default(),
                Listing {
                    pause_after: Some(2),
                    ..Listing::default()
                },
            );
            let mut parsed = input.feed(&stream[..cut], &mut 100, &mut sink);
            if parsed == Parsed::All {
                parsed = input.feed(&stream[cut..], &mut 100, &mut sink);
                assert_eq!(parsed, Parsed::Paused);
                assert_eq!(input.parse_held(&mut 100, &mut sink), Parsed::All);
            } else {
                assert_eq!(parsed, Parsed::Paused);
                assert_eq!(input.parse_held(&mut 100, &mut sink), Parsed::All);
                assert_eq!(input.feed(&stream[cut..], &mut 100, &mut sink), Parsed::All);
            }
            assert_eq!(
                (sink.ids, input.is_partial()),
                (vec![1, 2, 3, 4, 5], false),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn the_frame_budget_stops_and_the_next_turn_goes_on() {
        let (mut input, mut sink) = (Input::default(), Listing::default());
        let mut frames_left = 2;
        assert_eq!(
            input.feed(&stream(), &mut frames_left, &mut sink),
            Parsed::Budget
        );
        assert_eq!((sink.ids.as_slice(), frames_left), (&[1, 2][..], 0));
        assert_eq!(input.parse_held(&mut 2, &mut sink), Parsed::Budget);
        assert_eq!(input.parse_held(&mut 2, &mut sink), Parsed::All);
        assert_eq!(sink.ids, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_broken_stream_is_told_once_and_holds_nothing() {
        let too_long = frame(7, 1_001);
        for cut in 0..20 {
            let (mut input, mut sink) = (Input::default(), Listing::default());
            let stream = [frame(1, 3), too_long.clone()].concat();
            let mut parsed = input.feed(&stream[..cut], &mut 100, &mut sink);
            if parsed == Parsed::All {
                parsed = input.feed(&stream[cut..], &mut 100, &mut sink);
            }
            assert_eq!(parsed, Parsed::Broken, "cut at {cut}");
            assert_eq!(
                sink.broken,
                Some(BrokenStream::TooLarge {
                    len: 1_001,
                    len_max: 1_000
                })
            );
            assert_eq!((sink.ids, input.capacity()), (vec![1], 0));
        }
    }
}
