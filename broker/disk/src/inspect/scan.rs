//! A segment's bytes cut into blocks, blanks and what is neither.

use antiphon_log::{Block, BlockError, LogPosition, decode_block};

use crate::inspect::segment::{FIRST_BLOCK_AT, SegmentFile};

/// Blocks stand at multiples of this.
const BLOCK_ALIGN: usize = 8;

/// A piece of a segment.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// A whole block.
    Block(Block<'a>),
    /// Only zeros up to the next block or the end of the file.
    Blank,
    /// Bytes that are no block, up to the next block or the end of the file.
    Unreadable {
        from: LogPosition,
        end: LogPosition,
        /// What is wrong with the block that should stand at `from`.
        error: BlockError,
    },
}

/// Iterates over the pieces of a segment, from the first block's place to the end of the file.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    file: &'a SegmentFile,
    at: u32,
}

impl<'a> Scan<'a> {
    pub(super) fn new(file: &'a SegmentFile) -> Self {
        Scan {
            file,
            at: FIRST_BLOCK_AT,
        }
    }

    fn decode(&self, at: u32) -> Result<Block<'a>, BlockError> {
        decode_block(&self.file.bytes, self.file.at(at), self.file.seed)
    }

    /// The first place at or after `from` where a block stands, or the end of the file.
    fn next_block(&self, from: u32) -> u32 {
        let bytes = &self.file.bytes;
        let mut at = from as usize;
        while at < bytes.len() {
            let word = &bytes[at..bytes.len().min(at + BLOCK_ALIGN)];
            // A block never starts with zeros: the kind, in these bytes, is not 0.
            if word.iter().any(|byte| *byte != 0) && self.decode(at as u32).is_ok() {
                break;
            }
            at += BLOCK_ALIGN;
        }
        at.min(bytes.len()) as u32
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let bytes = &self.file.bytes;
        if self.at as usize >= bytes.len() {
            return None;
        }
        let error = match self.decode(self.at) {
            Ok(block) => {
                self.at = block.end.offset();
                return Some(Piece::Block(block));
            }
            Err(error) => error,
        };
        let start = self.at;
        self.at = self.next_block(start + BLOCK_ALIGN as u32);
        let is_blank = bytes[start as usize..self.at as usize]
            .iter()
            .all(|byte| *byte == 0);
        Some(if is_blank {
            Piece::Blank
        } else {
            Piece::Unreadable {
                from: self.file.at(start),
                end: self.file.at(self.at),
                error,
            }
        })
    }
}
