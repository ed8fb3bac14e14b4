//! What happens to files while nobody looks; and what somebody would do who can compute sums.

use antiphon_log::limits::{BLOCK_ALIGN, BLOCK_HEAD_BYTES, SEGMENT_HEADER_BYTES};
use antiphon_log::testing::FaultDisk;
use antiphon_log::{Disk, LogPosition, SegmentId, parse_segment_name};

use super::{DIRECTORY, SEGMENT_BYTES};
use crate::script::Script;

/// `file u8 | what u8`, then what it needs. True: a sum was put right, so anything may be there now.
pub(super) fn rot(script: &mut Script<'_>, disk: &FaultDisk) -> bool {
    let names = disk.names();
    if names.is_empty() {
        return false;
    }
    let name = &names[script.below(names.len())];
    let what = script.byte();
    let at = place(script);
    let mut is_forged = false;
    match what & 15 {
        0..=3 => {
            let mask = script.byte();
            change(disk, name, at, |byte| *byte ^= mask);
        }
        4 | 5 => {
            let count = script.below(256);
            let bytes = script.bytes(count).to_vec();
            disk.rot(name, |file| {
                for (byte, new) in file.iter_mut().skip(at).zip(&bytes) {
                    *byte = *new;
                }
            });
        }
        6 => {
            let count = 1 + script.below(256) * 16;
            disk.rot(name, |file| {
                file.iter_mut()
                    .skip(at)
                    .take(count)
                    .for_each(|byte| *byte = 0)
            });
        }
        7 => {
            let (from, count) = (place(script), script.below(256) * 8);
            disk.rot(name, |file| {
                let count = count.min(file.len().saturating_sub(from.max(at)));
                if count > 0 {
                    file.copy_within(from..from + count, at);
                }
            });
        }
        8 => disk.rot(name, |file| file.truncate(at)),
        9 => {
            let by = script.below(256) * 32;
            disk.rot(name, |file| file.resize(file.len() + by, 0x5A));
        }
        10 => {
            let other = disk.content(&names[script.below(names.len())]);
            disk.rot(name, |file| *file = other);
        }
        11 => disk.remove(name).expect("a disk without faults"),
        _ => {
            is_forged = true;
            let (field, number) = (script.below(BLOCK_HEAD_BYTES as usize), script.byte());
            forge(disk, name, at, field, number);
        }
    }
    is_forged
}

/// Two bytes: anywhere, mostly where blocks can begin.
fn place(script: &mut Script<'_>) -> usize {
    let (high, low) = (script.byte(), script.byte());
    let at = usize::from(high) * 256 + usize::from(low);
    if high & 0x80 == 0 {
        // The start of one of the first blocks, or within it.
        SEGMENT_HEADER_BYTES as usize + at % 4_096
    } else {
        at % SEGMENT_BYTES as usize
    }
}

fn change(disk: &FaultDisk, name: &str, at: usize, change: impl FnOnce(&mut u8)) {
    disk.rot(name, |file| {
        if let Some(byte) = file.get_mut(at) {
            change(byte);
        }
    });
}

/// Sets a byte of the block that stands at or before `at`, and puts its sums right (docs/log-format.md, "Block").
fn forge(disk: &FaultDisk, name: &str, at: usize, field: usize, number: u8) {
    let Some(segment) = parse_segment_name(name) else {
        return;
    };
    let align = BLOCK_ALIGN as usize;
    disk.rot(name, |file| {
        let Some(at) = block_before(file, at / align * align) else {
            return;
        };
        file[at + field] = number;
        let len = u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
        let start = at + BLOCK_HEAD_BYTES as usize;
        let Some(payload) = file[start..].get(..len as usize) else {
            return;
        };
        let sum = head_sum(&file[at..start], segment, at);
        let sum_of_all = crc32c::crc32c_append(sum, payload);
        let folded = (sum >> 16) as u16 ^ sum as u16;
        file[at + 6..at + 8].copy_from_slice(&folded.to_le_bytes());
        file[at + 8..at + 12].copy_from_slice(&sum_of_all.to_le_bytes());
    });
}

/// The last block, walked from the first one by their lengths, that begins at or before `at`.
fn block_before(file: &[u8], at: usize) -> Option<usize> {
    let mut here = SEGMENT_HEADER_BYTES as usize;
    loop {
        let len = u32::from_le_bytes(*file.get(here..)?.first_chunk::<4>()?);
        let padded = (len as usize).next_multiple_of(BLOCK_ALIGN as usize);
        let next = here + BLOCK_HEAD_BYTES as usize + padded;
        if next + BLOCK_HEAD_BYTES as usize > file.len() {
            return (here + BLOCK_HEAD_BYTES as usize <= file.len()).then_some(here);
        }
        if next > at || file[next + 4] == 0 {
            return Some(here);
        }
        here = next;
    }
}

fn head_sum(head: &[u8], segment: SegmentId, at: usize) -> u32 {
    let directory = crc32c::crc32c(&DIRECTORY.to_le_bytes());
    let seed = crc32c::crc32c_append(directory, &segment.0.to_le_bytes());
    let position = LogPosition::new(segment, at as u32);
    let sum = crc32c::crc32c_append(seed, &head[12..]);
    let sum = crc32c::crc32c_append(sum, &position.wire().to_le_bytes());
    crc32c::crc32c_append(sum, &head[..6])
}
