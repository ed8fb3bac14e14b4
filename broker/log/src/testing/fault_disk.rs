//! A disk in memory with a crash at any call, failing writes and syncs, a full disk, rot and bad sectors.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use super::inode::{Inode, Survival};
use super::random::Random;
use crate::disk_trait::{Disk, DiskError, DiskErrorKind, DiskOp};
use crate::limits::SECTOR_BYTES;

const SECTOR: usize = SECTOR_BYTES as usize;
/// Pages of this size fail to be read together.
const PAGE: u64 = 4_096;

/// A shared disk: clones are the same disk.
///
/// Every call that changes something is numbered from 1, and each can be made a crash ([`FaultDisk::crash_at`]) or a
/// failure ([`FaultDisk::fail_at`]). After a crash every call fails until [`FaultDisk::lose_power`] gives the disk as the
/// next process finds it.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk(Rc<RefCell<World>>);

/// An open file.
#[derive(Debug)]
pub struct FaultFile(u64);

#[derive(Clone, Debug, Default)]
struct World {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Since the last directory sync, oldest first: a name and what it stands for now.
    pending_names: Vec<NameChange>,
    next_inode: u64,
    calls: u64,
    crash_at: Option<u64>,
    fail_at: Option<(u64, DiskErrorKind)>,
    is_dead: bool,
    capacity: Option<u64>,
    /// Pages that cannot be read: name and number.
    bad_pages: BTreeSet<(String, u64)>,
    syncs: u64,
    bytes_read: u64,
}

/// Names change together in a rename.
#[derive(Clone, Debug)]
struct NameChange {
    removed: Option<String>,
    set: Option<(String, u64)>,
}

/// What is to happen to a call.
enum Fate {
    Works,
    /// It happens, as far as it can without a sync, and nobody hears of it.
    Crashes,
    Fails(DiskErrorKind),
}

impl FaultDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> FaultDisk {
        FaultDisk::default()
    }

    /// The call with this number is the last one of the process.
    pub fn crash_at(&self, call: u64) {
        self.0.borrow_mut().crash_at = Some(call);
    }

    /// The call with this number fails, once. A sync that fails loses what it should have made durable, without a trace.
    pub fn fail_at(&self, call: u64, kind: DiskErrorKind) {
        self.0.borrow_mut().fail_at = Some((call, kind));
    }

    /// No file may grow when all files together would have more than `bytes`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.borrow_mut().capacity = bytes;
    }

    /// The 4 KiB page with this number cannot be read.
    pub fn set_bad_page(&self, name: &str, page: u64) {
        self.0
            .borrow_mut()
            .bad_pages
            .insert((name.to_string(), page));
    }

    /// All pages can be read again: a fault of cable or controller is over.
    pub fn heal(&self) {
        self.0.borrow_mut().bad_pages.clear();
    }

    /// Numbered calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    /// Successful syncs of files so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.0.borrow().syncs
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.borrow().bytes_read
    }

    /// Names of all files.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    /// What reads of a file see; empty if there is none.
    #[must_use]
    pub fn content(&self, name: &str) -> Vec<u8> {
        let world = self.0.borrow();
        let inode = world
            .names
            .get(name)
            .and_then(|inode| world.inodes.get(inode));
        inode
            .map(|inode| inode.content().to_vec())
            .unwrap_or_default()
    }

    /// Looks at what reads of a file see, without a copy; at nothing if there is none.
    pub fn look<T>(&self, name: &str, look: impl FnOnce(&[u8]) -> T) -> T {
        let world = self.0.borrow();
        let inode = world
            .names
            .get(name)
            .and_then(|inode| world.inodes.get(inode));
        look(inode.map_or(&[], |inode| inode.content()))
    }

    /// As [`FaultDisk::look`], at a file that is open; its name may have changed since.
    pub fn look_at<T>(&self, file: &FaultFile, look: impl FnOnce(&[u8]) -> T) -> T {
        let world = self.0.borrow();
        let inode = world.inodes.get(&file.0);
        look(inode.map_or(&[], |inode| inode.content()))
    }

    /// Changes the durable content of a file.
    pub fn rot(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.0.borrow_mut();
        if let Some(inode) = world
            .names
            .get(name)
            .copied()
            .and_then(|inode| world.inodes.get_mut(&inode))
        {
            inode.rot(change);
        }
    }

    /// Another disk with the same content.
    #[must_use]
    pub fn fork(&self) -> FaultDisk {
        FaultDisk(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    /// The disk as the next process finds it after the power went; planned faults are gone.
    #[must_use]
    pub fn lose_power(&self, survival: Survival) -> FaultDisk {
        let mut world = self.0.borrow().clone();
        let mut random = Random::new(if let Survival::Mixed(seed) = survival {
            seed
        } else {
            0
        });
        let survivors = match survival {
            Survival::Kept => world.pending_names.len(),
            Survival::Lost => 0,
            Survival::Mixed(_) => random.below(world.pending_names.len() as u64 + 1) as usize,
        };
        for change in world.pending_names.drain(..).take(survivors) {
            change.apply(&mut world.durable_names);
        }
        world.names.clone_from(&world.durable_names);
        for inode in world.inodes.values_mut() {
            inode.lose_power(survival, &mut random);
        }
        world.revive()
    }

    /// The disk as the next process finds it after this one was killed: what was written is there, synced or not.
    #[must_use]
    pub fn kill(&self) -> FaultDisk {
        self.0.borrow().clone().revive()
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        if let Some(removed) = &self.removed {
            names.remove(removed);
        }
        if let Some((name, inode)) = &self.set {
            names.insert(name.clone(), *inode);
        }
    }

    fn is_in(&self, folder: &str) -> bool {
        let name = self
            .removed
            .as_deref()
            .or(self.set.as_ref().map(|(name, _)| name.as_str()));
        name.is_some_and(|name| in_folder(name, folder).is_some())
    }
}

/// The name without its folder, if it is in that one.
fn in_folder<'a>(name: &'a str, folder: &str) -> Option<&'a str> {
    name.strip_prefix(folder)?.strip_prefix('/')
}

impl World {
    fn revive(mut self) -> FaultDisk {
        self.calls = 0;
        self.crash_at = None;
        self.fail_at = None;
        self.is_dead = false;
        self.bytes_read = 0;
        self.syncs = 0;
        FaultDisk(Rc::new(RefCell::new(self)))
    }

    /// Numbers a call and tells what is to happen to it.
    fn fate(&mut self, op: DiskOp) -> Result<Fate, DiskError> {
        if self.is_dead {
            return Err(DiskError {
                op,
                kind: DiskErrorKind::Io,
            });
        }
        self.calls += 1;
        if self.crash_at == Some(self.calls) {
            self.is_dead = true;
            return Ok(Fate::Crashes);
        }
        match self.fail_at {
            Some((call, kind)) if call == self.calls => Ok(Fate::Fails(kind)),
            _ => Ok(Fate::Works),
        }
    }

    /// As [`World::fate`], for calls that only happen or fail.
    fn change(
        &mut self,
        op: DiskOp,
        change: impl FnOnce(&mut World) -> Result<(), DiskErrorKind>,
    ) -> Result<(), DiskError> {
        let error = |kind| DiskError { op, kind };
        match self.fate(op)? {
            Fate::Works => change(self).map_err(error),
            Fate::Crashes => {
                let _ = change(self);
                Err(error(DiskErrorKind::Io))
            }
            Fate::Fails(kind) => Err(error(kind)),
        }
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn inode(&mut self, file: &FaultFile) -> &mut Inode {
        self.inodes.entry(file.0).or_default()
    }

    /// Bytes of all files that have a name.
    fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|inode| self.inodes.get(inode))
            .map(|inode| inode.len() as u64)
            .sum()
    }

    fn has_space(&self, file: &FaultFile, end: u64) -> bool {
        let Some(capacity) = self.capacity else {
            return true;
        };
        let inode = self.inodes.get(&file.0);
        let grown = end.saturating_sub(inode.map_or(0, |inode| inode.len() as u64));
        grown == 0 || self.used() + grown <= capacity
    }

    fn is_bad(&self, file: &FaultFile, offset: u64, len: u64) -> bool {
        if self.bad_pages.is_empty() {
            return false;
        }
        let name = self
            .names
            .iter()
            .find(|(_, inode)| **inode == file.0)
            .map(|(name, _)| name);
        let Some(name) = name else { return false };
        (offset / PAGE..(offset + len).div_ceil(PAGE))
            .any(|page| self.bad_pages.contains(&(name.clone(), page)))
    }
}

impl Disk for FaultDisk {
    type File = FaultFile;

    fn create(&self, name: &str) -> Result<FaultFile, DiskError> {
        let mut world = self.0.borrow_mut();
        let inode = world.next_inode;
        world.change(DiskOp::Create, |world| {
            if world.names.contains_key(name) {
                return Err(DiskErrorKind::Exists);
            }
            world.next_inode += 1;
            world.inodes.insert(inode, Inode::default());
            world.change_names(NameChange {
                removed: None,
                set: Some((name.to_string(), inode)),
            });
            Ok(())
        })?;
        Ok(FaultFile(inode))
    }

    fn open(&self, name: &str) -> Result<FaultFile, DiskError> {
        let error = |kind| DiskError {
            op: DiskOp::Open,
            kind,
        };
        let world = self.0.borrow();
        if world.is_dead {
            return Err(error(DiskErrorKind::Io));
        }
        world
            .names
            .get(name)
            .map(|inode| FaultFile(*inode))
            .ok_or(error(DiskErrorKind::Missing))
    }

    fn size(&self, file: &FaultFile) -> Result<u64, DiskError> {
        Ok(self.0.borrow_mut().inode(file).len() as u64)
    }

    fn reserve(&self, file: &FaultFile, bytes: u64) -> Result<(), DiskError> {
        self.0.borrow_mut().change(DiskOp::Reserve, |world| {
            if !world.has_space(file, bytes) {
                return Err(DiskErrorKind::Full);
            }
            world.inode(file).reserve(bytes as usize);
            Ok(())
        })
    }

    fn read_at(&self, file: &FaultFile, offset: u64, into: &mut [u8]) -> Result<usize, DiskError> {
        let mut world = self.0.borrow_mut();
        if world.is_dead || world.is_bad(file, offset, into.len() as u64) {
            return Err(DiskError {
                op: DiskOp::Read,
                kind: DiskErrorKind::Io,
            });
        }
        let read = world.inode(file).read(offset as usize, into);
        world.bytes_read += read as u64;
        Ok(read)
    }

    fn write_at(&self, file: &FaultFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut world = self.0.borrow_mut();
        let error = |kind| DiskError {
            op: DiskOp::Write,
            kind,
        };
        if !world.is_dead && !world.has_space(file, offset + bytes.len() as u64) {
            return Err(error(DiskErrorKind::Full));
        }
        match world.fate(DiskOp::Write)? {
            Fate::Works => world.inode(file).write(offset as usize, bytes),
            Fate::Crashes => {
                world.inode(file).write(offset as usize, bytes);
                return Err(error(DiskErrorKind::Io));
            }
            Fate::Fails(kind) => {
                // Some whole sectors of it.
                let end = (offset as usize + bytes.len() / 2) / SECTOR * SECTOR;
                let written = end.saturating_sub(offset as usize).min(bytes.len());
                world.inode(file).write(offset as usize, &bytes[..written]);
                return Err(error(kind));
            }
        }
        Ok(())
    }

    fn sync(&self, file: &FaultFile) -> Result<(), DiskError> {
        let mut world = self.0.borrow_mut();
        let error = |kind| DiskError {
            op: DiskOp::Sync,
            kind,
        };
        match world.fate(DiskOp::Sync)? {
            Fate::Works => world.inode(file).sync(),
            Fate::Crashes => return Err(error(DiskErrorKind::Io)),
            Fate::Fails(kind) => {
                world.inode(file).fail_sync();
                return Err(error(kind));
            }
        }
        world.syncs += 1;
        Ok(())
    }

    fn forget_cached(&self, file: &FaultFile) -> Result<(), DiskError> {
        self.0.borrow_mut().inode(file).forget_cached();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.0.borrow_mut().change(DiskOp::Rename, |world| {
            let inode = *world.names.get(from).ok_or(DiskErrorKind::Missing)?;
            world.change_names(NameChange {
                removed: Some(from.to_string()),
                set: Some((to.to_string(), inode)),
            });
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.0.borrow_mut().change(DiskOp::Remove, |world| {
            if !world.names.contains_key(name) {
                return Err(DiskErrorKind::Missing);
            }
            world.change_names(NameChange {
                removed: Some(name.to_string()),
                set: None,
            });
            Ok(())
        })
    }

    fn sync_directory(&self, folder: &str) -> Result<(), DiskError> {
        let mut world = self.0.borrow_mut();
        let error = |kind| DiskError {
            op: DiskOp::SyncDirectory,
            kind,
        };
        match world.fate(DiskOp::SyncDirectory)? {
            Fate::Works => {}
            Fate::Crashes => return Err(error(DiskErrorKind::Io)),
            Fate::Fails(kind) => return Err(error(kind)),
        }
        let (done, pending) = world
            .pending_names
            .drain(..)
            .partition(|change: &NameChange| change.is_in(folder));
        world.pending_names = pending;
        let done: Vec<NameChange> = done;
        done.iter()
            .for_each(|change| change.apply(&mut world.durable_names));
        Ok(())
    }

    fn free_bytes(&self) -> Result<Option<u64>, DiskError> {
        let world = self.0.borrow();
        if world.is_dead {
            return Err(DiskError {
                op: DiskOp::Free,
                kind: DiskErrorKind::Io,
            });
        }
        Ok(world
            .capacity
            .map(|capacity| capacity.saturating_sub(world.used())))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, DiskError> {
        let world = self.0.borrow();
        if world.is_dead {
            return Err(DiskError {
                op: DiskOp::List,
                kind: DiskErrorKind::Io,
            });
        }
        Ok(world
            .names
            .keys()
            .filter_map(|name| in_folder(name, folder))
            .map(ToString::to_string)
            .collect())
    }
}
