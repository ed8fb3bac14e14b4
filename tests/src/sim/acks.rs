//! Acks that leave a server's socket, read from the bytes themselves.

use antiphon_protocol::{FRAME_HEADER_BYTES, Kind, PubackEntry, ServerFrame, needed, next_frame};

/// One connection's bytes from the server. What is no PUBACK is passed over by its length.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    /// The beginning of a frame: less than a header, or less than a whole PUBACK.
    held: Vec<u8>,
    /// Bytes of a frame that is passed over.
    skip: usize,
}

impl Acks {
    /// Takes the next bytes; each entry of a PUBACK that is complete goes to `acked`.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut acked: impl FnMut(PubackEntry)) {
        loop {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = &bytes[passed..];
            if bytes.is_empty() {
                return;
            }
            let wanted = needed(&self.held) - self.held.len();
            let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.held.extend_from_slice(taken);
            bytes = rest;
            let whole = needed(&self.held);
            if self.held.len() < FRAME_HEADER_BYTES {
                return;
            }
            if self.held[4] != Kind::Puback.wire() {
                self.skip = whole - self.held.len();
                self.held.clear();
            } else if self.held.len() == whole {
                if let Ok(Some(frame)) = next_frame(&self.held, u32::MAX)
                    && let Ok(ServerFrame::Puback(puback)) = ServerFrame::decode(frame)
                {
                    puback.entries().for_each(&mut acked);
                }
                self.held.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::{Link, ProducerSeq, RequestId, RoomId, Seq, Timestamp};

    use super::*;

    fn puback(seq: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut builder = antiphon_protocol::PubackBuilder::default();
        let entry = PubackEntry {
            request: RequestId(1),
            room_id: RoomId(7),
            producer_seq: ProducerSeq(1),
            seq: Seq(seq),
            link: Link(0),
            time: Timestamp(0),
            duplicate: false,
        };
        builder.push(&entry, &mut bytes);
        builder.finish(&mut bytes);
        bytes
    }

    #[test]
    fn acks_are_found_in_any_pieces_between_other_frames() {
        let mut other = puback(9);
        other[4] = Kind::Ok.wire();
        let all = [puback(1), other.clone(), puback(2), other, puback(3)].concat();
        for piece in [1, 15, 16, 17, 100, all.len()] {
            let (mut acks, mut seen) = (Acks::default(), Vec::new());
            for bytes in all.chunks(piece) {
                acks.feed(bytes, |entry| seen.push((entry.room_id.0, entry.seq.0)));
            }
            assert_eq!(seen, [(7, 1), (7, 2), (7, 3)], "in pieces of {piece}");
        }
    }
}
