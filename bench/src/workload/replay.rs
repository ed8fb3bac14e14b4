//! `replay`: a file of chat as people wrote it. Its rooms, who speaks in them, in which order, and how much; not its words.
//!
//! Everybody who speaks in a room hears it. The file is gone through again and again until the time is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::fanout::delivered;
use super::{Findings, options, pace};
use crate::drive::drive;
use crate::error::BenchError;
use crate::limits::REPLAY_BODY_BYTES_MAX;
use crate::pace::Pace;
use crate::stage::Stage;
use crate::stamp::{STAMP_BYTES, Stream};
use crate::target::Target;
use crate::traffic::{Complete, Said, Source, Traffic};
use crate::verify::Verifier;

/// Options of `replay`.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Where the lines come from, for people.
    pub name: String,
    /// What is said, in this order.
    pub lines: Arc<[Line]>,
    /// Connections that the users share.
    pub connections: u32,
    /// When the next message is published. In flight: not yet delivered to all members of its room.
    pub pace: Pace,
}

/// One line of chat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Line {
    /// Rooms and users are numbered from 0, without gaps.
    pub room: u32,
    /// Who says it.
    pub user: u32,
    /// How long it is; what is shorter than a stamp becomes as long as one.
    pub bytes: u32,
}

/// Who is where.
#[derive(Debug, Default)]
struct Cast {
    /// By room: the connections that speak in it, each with its source.
    rooms: Vec<BTreeMap<u32, u32>>,
    /// By source: connection and room.
    sources: Vec<(u32, u32)>,
    script: Vec<Said>,
}

impl Replay {
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        let count = |of: fn(&Line) -> u32| self.lines.iter().map(of).collect::<BTreeSet<_>>().len();
        options([
            ("file", self.name.clone()),
            ("lines", self.lines.len().to_string()),
            ("rooms", count(|line| line.room).to_string()),
            ("users", count(|line| line.user).to_string()),
            ("connections", self.connections.to_string()),
            pace(self.pace),
        ])
    }

    fn cast(&self) -> Cast {
        let mut cast = Cast::default();
        for line in self.lines.iter() {
            let room = line.room as usize;
            if cast.rooms.len() <= room {
                cast.rooms.resize_with(room + 1, BTreeMap::new);
            }
            let connection = line.user % self.connections;
            let sources = &mut cast.sources;
            let source = *cast.rooms[room].entry(connection).or_insert_with(|| {
                sources.push((connection, line.room));
                u32::try_from(sources.len() - 1).expect("there are fewer sources than lines")
            });
            cast.script.push(Said {
                source,
                body_bytes: (line.bytes as usize).clamp(STAMP_BYTES, REPLAY_BODY_BYTES_MAX),
            });
        }
        cast
    }

    pub(super) fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        if self.lines.is_empty() || self.connections == 0 {
            let told = "a file with at least one line, and a connection, are needed";
            return Err(BenchError::Usage(told.to_owned()));
        }
        let cast = self.cast();
        let count = u32::try_from(cast.rooms.len()).expect("there are fewer rooms than lines");
        let rooms = stage.rooms(count)?;
        let mut generator = stage.connect(self.connections)?;
        let members = cast.rooms.iter().zip(&rooms);
        let pairs = members.flat_map(|(members, room)| members.keys().map(move |&one| (one, room)));
        stage.subscribe(&mut generator, pairs)?;
        let mut verifier = Verifier::default();
        for members in &cast.rooms {
            for &connection in members.keys() {
                members
                    .values()
                    .for_each(|&source| verifier.expect(connection, Stream(source)));
            }
        }
        let source = |&(connection, room): &(u32, u32)| Source {
            connection,
            room: rooms[room as usize].clone(),
            subscribers: u32::try_from(cast.rooms[room as usize].len())
                .expect("members are connections"),
        };
        let sources = cast.sources.iter().map(source).collect();
        let complete = Complete::Delivered;
        let mut traffic = Traffic::new(sources, verifier, complete, self.pace, STAMP_BYTES);
        traffic.follow(cast.script);
        let phases = stage.options.phases;
        let used = drive(
            &mut generator,
            &mut traffic,
            phases,
            stage.pids(),
            stage.progress,
        )?;
        Ok(delivered(traffic, used, self.pace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_in_a_room_is_in_it_once_and_lines_keep_their_order() {
        let line = |room, user, bytes| Line { room, user, bytes };
        // Users 0 and 2 share a connection.
        let lines = [
            line(0, 0, 5),
            line(1, 1, 400),
            line(0, 2, 40),
            line(0, 1, 0),
        ];
        let replay = Replay {
            name: "four lines".to_owned(),
            lines: lines.into(),
            connections: 2,
            pace: Pace::InFlight(1),
        };
        let cast = replay.cast();
        assert_eq!(cast.sources, [(0, 0), (1, 1), (1, 0)]);
        let members: Vec<Vec<u32>> = cast
            .rooms
            .iter()
            .map(|room| room.keys().copied().collect())
            .collect();
        assert_eq!(members, [vec![0, 1], vec![1]]);
        let script: Vec<_> = cast
            .script
            .iter()
            .map(|said| (said.source, said.body_bytes))
            .collect();
        assert_eq!(script, [(0, 32), (1, 400), (0, 40), (2, 32)]);
        assert_eq!(replay.configuration()["users"], "3");
    }
}
