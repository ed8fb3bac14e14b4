//! Segments mapped for reading, a bounded number at a time, shared by all reader threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use antiphon_log::{
    Entry, EntryReader, GroupId, Index, Located, LogPosition, ReadError, RoomReader, RoomSlice,
    SegmentId, Wants, read_block,
};
use antiphon_protocol::{RoomId, Seq};

use crate::bad_pages::BadPages;
use crate::map::{MapError, SegmentMap};

/// Maps kept when nobody uses them, by default: 2 GiB of addresses with segments of 64 MiB.
pub const MAPS_DEFAULT: usize = 32;

/// The maps. Least recently used ones make place for new ones; a reader that still holds one keeps it until it is done.
#[derive(Debug)]
pub struct SegmentMaps {
    root: PathBuf,
    directory_id: u128,
    bad_pages: BadPages,
    maps_max: usize,
    /// Most recently used last; <= `maps_max`.
    maps: Mutex<Vec<Arc<SegmentMap>>>,
}

/// Which records of a room to read, and where the room index says that they are.
#[derive(Clone, Copy, Debug)]
pub struct RoomRead<'a> {
    /// The room.
    pub room: RoomId,
    /// The first seq wanted.
    pub from: Seq,
    /// At most this many records.
    pub records_max: u32,
    /// At most this many bytes, but at least one record.
    pub bytes_max: usize,
    /// Batches from the one that holds `from` on.
    pub located: &'a [Located],
    /// A synced end that the log published; all of `located` lies below.
    pub below: LogPosition,
}

/// Which entries of a group to read, and where they stand.
#[derive(Clone, Copy, Debug)]
pub struct EntryRead<'a> {
    /// The group.
    pub group: GroupId,
    /// The first one wanted.
    pub first: Index,
    /// Where it and those behind it stand.
    pub places: &'a [LogPosition],
    /// At most this many bytes of payload, but at least one entry.
    pub bytes_max: usize,
    /// A synced end that the log published; all of `places` lies below.
    pub below: LogPosition,
}

/// Why records or entries cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoomReadError {
    /// The segment cannot be read at all.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The segment can be read, the records not.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl SegmentMaps {
    /// Keeps at most `maps_max` maps.
    pub(crate) fn new(
        root: PathBuf,
        directory_id: u128,
        bad_pages: BadPages,
        maps_max: usize,
    ) -> Self {
        assert!(
            maps_max >= 1,
            "INV-DISK-2: at least one segment can be mapped"
        );
        let maps = Mutex::new(Vec::with_capacity(maps_max));
        SegmentMaps {
            root,
            directory_id,
            bad_pages,
            maps_max,
            maps,
        }
    }

    /// The map of `segment`: the one that is kept, or a new one.
    ///
    /// # Errors
    /// See [`MapError`].
    pub fn get(&self, segment: SegmentId) -> Result<Arc<SegmentMap>, MapError> {
        if let Some(map) = self.kept(segment) {
            return Ok(map);
        }
        // Mapped without the lock, so that a slow disk does not stop those whose map is kept. Two threads may map the
        // same segment; the later one then uses the earlier one's.
        let map = SegmentMap::open(&self.root, self.directory_id, segment, &self.bad_pages)?;
        Ok(self.keep(Arc::new(map)))
    }

    /// Appends records to `out` as `read` says and tells which.
    ///
    /// A slice that ends early because of a damaged later batch is no error yet: the next read from there is.
    ///
    /// # Errors
    /// See [`RoomReadError`]; nothing was appended then.
    pub fn read_room(
        &self,
        read: &RoomRead<'_>,
        out: &mut Vec<u8>,
    ) -> Result<RoomSlice, RoomReadError> {
        let mut reader =
            RoomReader::new(read.room, read.from, read.records_max, read.bytes_max, out);
        let mut failure = None;
        for located in read.located {
            match self.take(&mut reader, located.at, read.below) {
                Ok(Wants::More) => {}
                Ok(Wants::Nothing) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let at = read
            .located
            .first()
            .map_or(LogPosition::ZERO, |located| located.at);
        let nothing = ReadError::NotThere {
            at,
            room: read.room,
            from: read.from,
        };
        reader
            .finish()
            .ok_or_else(|| failure.unwrap_or(nothing.into()))
    }

    /// Reads entries: as many as there are places for, and the budget allows. Fewer if a later one is damaged: the next read from there tells.
    ///
    /// # Errors
    /// See [`RoomReadError`].
    pub fn read_entries(&self, read: &EntryRead<'_>) -> Result<Vec<Entry>, RoomReadError> {
        let mut reader = EntryReader::new(read.group, read.first, read.bytes_max);
        let mut failure = None;
        for at in read.places {
            match self.take_entry(&mut reader, *at, read.below) {
                Ok(Wants::More) => {}
                Ok(Wants::Nothing) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        match (reader.finish(), failure) {
            (entries, Some(error)) if entries.is_empty() => Err(error),
            (entries, _) => Ok(entries),
        }
    }

    fn take_entry(
        &self,
        reader: &mut EntryReader,
        at: LogPosition,
        below: LogPosition,
    ) -> Result<Wants, RoomReadError> {
        let map = self.get(at.segment())?;
        let block = read_block(map.below(below), at, below, map.seed())?;
        Ok(reader.take(&block)?)
    }

    /// Gives up all maps of segments below `first`: as long as one is mapped its space is not free, even if its file is gone.
    pub fn forget_below(&self, first: SegmentId) {
        self.maps
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|map| map.segment() >= first);
    }

    fn take(
        &self,
        reader: &mut RoomReader<'_>,
        at: LogPosition,
        below: LogPosition,
    ) -> Result<Wants, RoomReadError> {
        let map = self.get(at.segment())?;
        let block = read_block(map.below(below), at, below, map.seed())?;
        Ok(reader.take(&block)?)
    }

    /// The kept map of `segment`, which becomes the most recently used.
    fn kept(&self, segment: SegmentId) -> Option<Arc<SegmentMap>> {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let place = maps.iter().position(|map| map.segment() == segment)?;
        let map = maps.remove(place);
        maps.push(Arc::clone(&map));
        Some(map)
    }

    /// Keeps `map`, unless one of the same segment is kept already, which is returned instead.
    fn keep(&self, map: Arc<SegmentMap>) -> Arc<SegmentMap> {
        if let Some(kept) = self.kept(map.segment()) {
            return kept;
        }
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        if maps.len() == self.maps_max {
            maps.remove(0);
        }
        maps.push(Arc::clone(&map));
        map
    }
}
