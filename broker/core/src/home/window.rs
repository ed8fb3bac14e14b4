//! The newest records of one producer in one room, for answering its retries.
//!
//! Each record tells the distance to its producer's previous one, so a window is resolved by hopping back from the newest, at most as far as a
//! connection may have publishes in flight. Records never change, so a resolved window stays right for ever.

use alloc::vec::Vec;

use antiphon_protocol::{Link, Producer, ProducerSeq, Record, Seq, Timestamp};

use crate::home::records::{RecordFault, frame_length};
use crate::home::state::ProducerState;

/// One record of the window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Placed {
    /// Its seq.
    pub(crate) seq: Seq,
    /// Its link.
    pub(crate) link: Link,
    /// Its time.
    pub(crate) time: Timestamp,
    /// What was published; `None`: it was erased, so that is no longer known.
    pub(crate) digest: Option<u32>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    producer: Producer,
    /// Number of the first of `records`.
    top: ProducerSeq,
    /// Descending, dense by producer_seq.
    records: Vec<Placed>,
    /// Seq of the next record to visit; `None`: there is none, or the chain of distances ends.
    next: Option<Seq>,
}

impl Window {
    /// A window with nothing resolved, from the producer's newest record down.
    pub(crate) fn new(producer: Producer, state: ProducerState) -> Window {
        Window {
            producer,
            top: state.last,
            records: Vec::new(),
            next: Some(state.seq),
        }
    }

    /// The record to visit next, unless the window reaches down to `want` already or is `depth_max` deep.
    pub(crate) fn next_hop(&self, want: ProducerSeq, depth_max: usize) -> Option<Seq> {
        let reaches = self.find(want).is_some() || want > self.top;
        if reaches || self.records.len() >= depth_max {
            None
        } else {
            self.next
        }
    }

    /// The number at which the window starts, downwards.
    pub(crate) fn top(&self) -> ProducerSeq {
        self.top
    }

    /// The record with this number, if it is resolved.
    pub(crate) fn find(&self, producer_seq: ProducerSeq) -> Option<&Placed> {
        let down = self.top.0.checked_sub(producer_seq.0)?;
        self.records.get(usize::try_from(down).ok()?)
    }

    /// Gives up on what is not resolved: it cannot be read.
    pub(crate) fn end(&mut self) {
        self.next = None;
    }

    /// Hops through `bytes`, whole records from seq `first` on, as far as they reach; tells how many it had to walk over.
    ///
    /// # Errors
    /// A fault if the bytes are no records, or not those that the distances promised.
    pub(crate) fn hop(
        &mut self,
        bytes: &[u8],
        first: Seq,
        want: ProducerSeq,
        depth_max: usize,
    ) -> Result<usize, RecordFault> {
        let Some(start) = self.next else {
            return Ok(0);
        };
        let offsets = offsets(bytes, first, start);
        while let Some(hop) = self.next_hop(want, depth_max) {
            let Some(place) = hop.0.checked_sub(first.0) else {
                break;
            };
            let Some(offset) = usize::try_from(place)
                .ok()
                .and_then(|place| offsets.get(place))
            else {
                break;
            };
            let rest = &bytes[*offset..];
            let length = frame_length(rest).ok_or(RecordFault::Cut)?;
            let frame = rest.get(..length).ok_or(RecordFault::Cut)?;
            let record = Record::parse_unchecked_crc(frame).map_err(RecordFault::Decode)?;
            self.visit(&record, hop)?;
        }
        Ok(offsets.len())
    }

    fn visit(&mut self, record: &Record<'_>, hop: Seq) -> Result<(), RecordFault> {
        let expected = self.top.0 - self.records.len() as u64;
        let is_promised = record.seq() == hop
            && record.producer() == self.producer
            && record.producer_seq().0 == expected;
        if !is_promised {
            return Err(RecordFault::Broken);
        }
        self.records.push(Placed {
            seq: hop,
            link: record.link(),
            time: record.time(),
            digest: (!record.is_erased()).then(|| record.digest()),
        });
        let back = u64::from(record.back());
        self.next = (back != 0 && back < hop.0).then(|| Seq(hop.0 - back));
        Ok(())
    }
}

/// Where the records `first..=last` start in `bytes`, as far as they go.
fn offsets(bytes: &[u8], first: Seq, last: Seq) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut at = 0;
    let mut seq = first;
    while seq <= last && at < bytes.len() {
        let Some(length) = frame_length(&bytes[at..]) else {
            break;
        };
        if at + length > bytes.len() {
            break;
        }
        offsets.push(at);
        at += length;
        seq = seq.next();
    }
    offsets
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::{
        Count, Device, RecordFields, RecordKind, RoomId, append_record, publish_digest,
    };

    use super::*;

    const ROOM: RoomId = RoomId(0x4b10_0000_0000_0001);
    /// Where the flag ERASED is, in a whole frame.
    const STATE_AT: usize = 20;

    /// The first record of a producer, with an empty body.
    fn record() -> Vec<u8> {
        let mut bytes = Vec::new();
        let fields = RecordFields {
            room_id: ROOM,
            seq: Seq(1),
            count: Count(1),
            time: Timestamp(5),
            producer: Producer(77),
            producer_seq: ProducerSeq(1),
            back: 0,
            device: Device(1),
            kind: RecordKind::from_wire(0),
            codec: 0,
            record_flags: 0,
            sender: b"ann",
            headers: b"",
            body: b"",
        };
        append_record(&mut bytes, &fields, Link::start(ROOM));
        bytes
    }

    fn placed(bytes: &[u8]) -> Placed {
        let state = ProducerState {
            last: ProducerSeq(1),
            seq: Seq(1),
            time: Timestamp(5),
        };
        let mut window = Window::new(Producer(77), state);
        window
            .hop(bytes, Seq(1), ProducerSeq(1), 8)
            .expect("a record");
        *window.find(ProducerSeq(1)).expect("found")
    }

    #[test]
    fn what_was_erased_has_a_place_and_no_digest() {
        let kept = record();
        let digest = publish_digest(RecordKind::from_wire(0), 0, b"", b"");
        assert_eq!(placed(&kept).digest, Some(digest));
        let mut erased = kept.clone();
        erased[STATE_AT] |= 1;
        assert_eq!(
            placed(&erased),
            Placed {
                digest: None,
                ..placed(&kept)
            }
        );
    }
}
