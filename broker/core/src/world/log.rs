//! A log in memory: appends wait until they are persisted; reader threads answer from what was.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use antiphon_log::{Append, GroupId, Index, Item, Items, LogPosition, Persisted, SegmentId};
use antiphon_protocol::{Record, RoomId, Seq, records};
use bytes::Bytes;

use crate::read::{ReadAnswer, ReadFailure, ReadJob, ReadRecords};

/// The log of a node.
#[derive(Debug)]
pub(super) struct Log {
    queued: VecDeque<Append>,
    blocks: BTreeMap<LogPosition, Bytes>,
    end: u32,
}

impl Log {
    pub(super) fn new() -> Log {
        Log {
            queued: VecDeque::new(),
            blocks: BTreeMap::new(),
            end: 4_096,
        }
    }

    pub(super) fn append(&mut self, append: Append) {
        self.queued.push_back(append);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queued.is_empty()
    }

    pub(super) fn sync_end(&self) -> LogPosition {
        LogPosition::new(SegmentId(1), self.end)
    }

    /// Makes the oldest `count` appends durable; one report per group.
    pub(super) fn persist(&mut self, count: usize) -> Vec<Persisted> {
        let mut reports: BTreeMap<GroupId, Persisted> = BTreeMap::new();
        for _ in 0..count {
            let Some(append) = self.queued.pop_front() else {
                break;
            };
            let report = reports.entry(append.group).or_insert(Persisted {
                group: append.group,
                ready: 0,
                positions: Vec::new(),
            });
            report.ready = append.ready;
            for entry in append.entries {
                let at = self.sync_end();
                self.end += 48 + u32::try_from(entry.payload.len()).unwrap();
                report.positions.push((Index(entry.index.0), at));
                self.blocks.insert(at, entry.payload);
            }
        }
        reports.into_values().collect()
    }

    /// What was said in each room, ascending by seq: bodies up to their filling.
    pub(super) fn rooms(&self) -> BTreeMap<RoomId, Vec<Vec<u8>>> {
        let mut rooms: BTreeMap<RoomId, Vec<Vec<u8>>> = BTreeMap::new();
        for payload in self.blocks.values() {
            for item in Items::new(payload) {
                let Ok(Item::Records(item)) = item else {
                    continue;
                };
                let bodies = rooms.entry(item.room).or_default();
                for record in records(item.records) {
                    let record: Record<'_> = record.unwrap();
                    bodies.push(
                        record
                            .body()
                            .split(|&byte| byte == b'.')
                            .next()
                            .unwrap()
                            .to_vec(),
                    );
                    assert_eq!(record.seq().0, bodies.len() as u64, "dense");
                }
            }
        }
        rooms
    }

    /// Does a reader thread's work.
    pub(super) fn read(&self, job: &ReadJob) -> ReadAnswer {
        let mut out = Vec::new();
        let (mut next, mut link_before) = (job.from, None);
        'blocks: for located in &job.located {
            assert!(located.at < job.below, "only synced blocks are read");
            let Some(payload) = self.blocks.get(&located.at) else {
                panic!("no block at {:?}", located.at)
            };
            for item in Items::new(payload) {
                let Ok(Item::Records(item)) = item else {
                    continue;
                };
                if item.room != job.room {
                    continue;
                }
                let mut before = item.link_before;
                for record in records(item.records) {
                    let record: Record<'_> = record.unwrap();
                    if record.seq() == next && next < job.until {
                        if !out.is_empty()
                            && out.len() + record.whole().len() > job.bytes_max as usize
                        {
                            break 'blocks;
                        }
                        link_before = link_before.or(Some(before));
                        out.extend_from_slice(record.whole());
                        next = Seq(next.0 + 1);
                    }
                    before = record.link();
                }
            }
        }
        let result = match link_before {
            Some(link_before) => Ok(ReadRecords {
                first: job.from,
                next,
                link_before,
                records: Bytes::from(out),
            }),
            None => Err(ReadFailure::Damaged),
        };
        job.answer(result)
    }
}
