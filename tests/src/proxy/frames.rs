//! Where in a frame a stream stands (docs/protocol.md, section 1), told by lengths alone.

use antiphon_protocol::FRAME_HEADER_BYTES;

/// A position in a stream of frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    /// The first bytes of the header at hand.
    length: [u8; 4],
    /// Bytes of the frame at hand that have passed.
    at: usize,
}

impl Frames {
    /// Bytes of the whole frame at hand, once its length is known.
    fn frame_bytes(&self) -> Option<usize> {
        let body = u32::from_le_bytes(self.length) as usize;
        (self.at >= self.length.len()).then(|| body.saturating_add(FRAME_HEADER_BYTES))
    }

    /// Whether a frame has passed in part.
    pub(crate) fn is_inside(&self) -> bool {
        self.at > 0
    }

    /// Moves on over bytes that pass.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            let Some(whole) = self.frame_bytes() else {
                self.length[self.at] = first;
                self.at += 1;
                bytes = rest;
                continue;
            };
            let passing = bytes.len().min(whole - self.at);
            self.at += passing;
            bytes = &bytes[passing..];
            if self.at == whole {
                self.at = 0;
            }
        }
    }

    /// How many of these bytes may pass so that the stream then stands inside a frame, `depth` (from 1) bytes deep or as
    /// deep as the frame goes; `None`: it does not come to that within them.
    pub(crate) fn until_inside(&self, bytes: &[u8], depth: usize) -> Option<usize> {
        let mut probe = self.clone();
        for (count, byte) in bytes.iter().enumerate() {
            let is_last = probe.frame_bytes().is_some_and(|all| probe.at + 1 == all);
            if probe.is_inside() && (probe.at >= depth || is_last) {
                return Some(count);
            }
            probe.pass(std::slice::from_ref(byte));
        }
        (probe.is_inside() && probe.at >= depth).then_some(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: usize) -> Vec<u8> {
        let mut bytes = vec![0; FRAME_HEADER_BYTES + body];
        bytes[..4].copy_from_slice(&(body as u32).to_le_bytes());
        bytes
    }

    #[test]
    fn a_stream_is_outside_exactly_between_two_frames() {
        let stream: Vec<u8> = [frame(3), frame(0), frame(40)].concat();
        let ends = [19, 35, 91];
        for piece in [1, 2, 7, 91] {
            let mut frames = Frames::default();
            let mut passed = 0;
            for bytes in stream.chunks(piece) {
                frames.pass(bytes);
                passed += bytes.len();
                assert_eq!(frames.is_inside(), !ends.contains(&passed), "{passed}");
            }
        }
    }

    #[test]
    fn a_cut_falls_inside_a_frame_whatever_its_length() {
        let stream: Vec<u8> = [frame(3), frame(0), frame(40)].concat();
        let begin = Frames::default();
        assert_eq!(begin.until_inside(&stream, 1), Some(1));
        assert_eq!(begin.until_inside(&stream, 10), Some(10));
        // Deeper than the frame is long: before its last byte.
        assert_eq!(begin.until_inside(&stream, 50), Some(18));
        assert_eq!(begin.until_inside(&stream[..5], 10), None);
        assert_eq!(begin.until_inside(&stream[..10], 10), Some(10));
        let mut inside = Frames::default();
        inside.pass(&stream[..25]);
        assert_eq!(inside.until_inside(&stream[25..], 3), Some(0));
    }
}
