//! One file: what reads see, what is durable, and what is on its way.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use super::random::Random;
use crate::limits::SECTOR_BYTES;

const SECTOR: usize = SECTOR_BYTES as usize;

/// What fresh space holds before it is written: whoever relies on zeros is found out.
const GARBAGE: u8 = 0xEE;

/// What becomes of everything that was not synced when the power goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Survival {
    /// All of it reached the disk.
    Kept,
    /// None of it did.
    Lost,
    /// Each sector has its old content or that of any of the writes since the last sync, drawn one by one. Of the
    /// changes of names a prefix survives.
    Mixed(u64),
}

type Sector = [u8; SECTOR];

/// The content of one file. What reads see and what is durable share their memory while nothing was written to either: a disk is copied at each
/// end of a process, and most of its files never change again.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    cached: Rc<Vec<u8>>,
    durable: Rc<Vec<u8>>,
    /// All contents that a sector has had since the last sync, oldest first.
    dirty: BTreeMap<usize, Vec<Sector>>,
}

impl Inode {
    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn reserve(&mut self, bytes: usize) {
        if bytes > self.cached.len() {
            Rc::make_mut(&mut self.cached).resize(bytes, GARBAGE);
        }
    }

    pub(super) fn read(&self, offset: usize, into: &mut [u8]) -> usize {
        let from = self.cached.get(offset..).unwrap_or_default();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        count
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        self.reserve(end);
        Rc::make_mut(&mut self.cached)[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            let content = sector_of(&self.cached, sector);
            self.dirty.entry(sector).or_default().push(content);
        }
    }

    pub(super) fn sync(&mut self) {
        let len = self.cached.len();
        if self.dirty.is_empty() && self.durable.len() == len {
            return;
        }
        let durable = Rc::make_mut(&mut self.durable);
        for (sector, versions) in core::mem::take(&mut self.dirty) {
            if let Some(newest) = versions.last() {
                put_sector(durable, len, sector, newest);
            }
        }
        durable.resize(len, GARBAGE);
    }

    /// As Linux does it: pages are clean and look right, and never reached the device.
    pub(super) fn fail_sync(&mut self) {
        self.dirty.clear();
    }

    /// Reads see the device again, but for what is still on its way.
    pub(super) fn forget_cached(&mut self) {
        if self.dirty.is_empty() && self.durable.len() >= self.cached.len() {
            self.cached = Rc::clone(&self.durable);
            return;
        }
        let mut cached = self.durable.as_ref().clone();
        cached.resize(self.cached.len().max(self.durable.len()), GARBAGE);
        for (sector, versions) in &self.dirty {
            if let Some(newest) = versions.last() {
                put_sector(&mut cached, self.cached.len(), *sector, newest);
            }
        }
        self.cached = Rc::new(cached);
    }

    /// Changes what is durable, as rot does.
    pub(super) fn rot(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        self.sync();
        change(Rc::make_mut(&mut self.durable));
        self.cached = Rc::clone(&self.durable);
    }

    pub(super) fn lose_power(&mut self, survival: Survival, random: &mut Random) {
        let is_grown = match survival {
            Survival::Kept => true,
            Survival::Lost => false,
            Survival::Mixed(_) => random.one_in(2),
        };
        if is_grown {
            let len = self.cached.len();
            if self.durable.len() != len {
                Rc::make_mut(&mut self.durable).resize(len, GARBAGE);
            }
        }
        for (sector, versions) in core::mem::take(&mut self.dirty) {
            let survivor = match survival {
                Survival::Kept => versions.len(),
                Survival::Lost => 0,
                Survival::Mixed(_) => random.below(versions.len() as u64 + 1) as usize,
            };
            if survivor > 0 {
                let len = self.durable.len();
                let durable = Rc::make_mut(&mut self.durable);
                put_sector(durable, len, sector, &versions[survivor - 1]);
            }
        }
        self.cached = Rc::clone(&self.durable);
    }
}

fn sector_of(bytes: &[u8], sector: usize) -> Sector {
    let mut content = [GARBAGE; SECTOR];
    let from = &bytes[sector * SECTOR..bytes.len().min((sector + 1) * SECTOR)];
    content[..from.len()].copy_from_slice(from);
    content
}

/// Puts a sector into a file of `len` bytes; what lies beyond is cut.
fn put_sector(bytes: &mut Vec<u8>, len: usize, sector: usize, content: &Sector) {
    let (from, end) = (sector * SECTOR, len.min((sector + 1) * SECTOR));
    if from < end {
        if bytes.len() < end {
            bytes.resize(end, GARBAGE);
        }
        bytes[from..end].copy_from_slice(&content[..end - from]);
    }
}
