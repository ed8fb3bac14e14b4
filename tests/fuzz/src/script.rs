//! Bytes as a list of choices: what a target does is read from its input, so that an engine can steer it.

/// Reads choices from the front of an input. Behind its end every choice is 0.
#[derive(Clone, Debug)]
pub(crate) struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    /// All of `input`.
    pub(crate) fn new(input: &'a [u8]) -> Script<'a> {
        Script { rest: input }
    }

    /// Whether all was read.
    pub(crate) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// What was not read yet.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    /// A number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Up to `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// Cuts `bytes` into pieces whose sizes follow from `seed`: 0 is one piece, 1 single bytes.
pub(crate) fn pieces(bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    if seed == 0 {
        return vec![bytes];
    }
    let mut state = u32::from(seed);
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = if seed == 1 {
            1
        } else {
            1 + (state >> 16) as usize % usize::from(seed)
        };
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_behind_its_end_is_all_zeros() {
        let mut script = Script::new(&[3, 1, 2, 9]);
        assert_eq!(script.below(2), 1);
        assert_eq!(script.bytes(2), [1, 2]);
        assert_eq!(script.bytes(5), [9]);
        assert!(script.is_over());
        assert_eq!(script.byte(), 0);
    }

    #[test]
    fn pieces_are_the_whole_whatever_the_seed() {
        let bytes: Vec<u8> = (0..100).collect();
        for seed in 0..=u8::MAX {
            assert_eq!(pieces(&bytes, seed).concat(), bytes);
        }
        assert_eq!(pieces(&bytes, 0).len(), 1);
        assert_eq!(pieces(&bytes, 1).len(), 100);
    }
}
