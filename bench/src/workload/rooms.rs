//! `rooms`: many rooms with some members each, all of them on the same connections.

use std::collections::BTreeMap;

use super::fanout::delivered;
use super::{Findings, options, pace};
use crate::drive::drive;
use crate::error::BenchError;
use crate::pace::Pace;
use crate::stage::Stage;
use crate::stamp::Stream;
use crate::target::{Room, Target};
use crate::traffic::{Complete, Source, Traffic};
use crate::verify::Verifier;

/// Options of `rooms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rooms {
    /// How many rooms.
    pub rooms: u32,
    /// Members of each room; at most `connections`.
    pub members: u32,
    /// Connections that the members are spread over. The first member of each room publishes in it, and hears itself.
    pub connections: u32,
    /// When the next message is published; rooms take turns. In flight: not yet delivered to all members.
    pub pace: Pace,
}

impl Rooms {
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        options([
            ("rooms", self.rooms.to_string()),
            ("members", self.members.to_string()),
            ("connections", self.connections.to_string()),
            pace(self.pace),
        ])
    }

    /// The connection of a member. Members of a room are as far apart as they can be, so no connection is in a room twice.
    pub(super) fn member(&self, room: u32, member: u32) -> u32 {
        let step = (self.connections / self.members).max(1);
        (room + member * step) % self.connections
    }

    pub(super) fn members(&self, room: u32) -> impl Iterator<Item = u32> + '_ {
        (0..self.members).map(move |member| self.member(room, member))
    }

    pub(super) fn sources(&self, rooms: &[Room]) -> Vec<Source> {
        let source = |room: &Room| Source {
            connection: self.member(room.number, 0),
            room: room.clone(),
            subscribers: self.members,
        };
        rooms.iter().map(source).collect()
    }

    pub(super) fn verifier(&self) -> Verifier {
        let mut verifier = Verifier::default();
        for room in 0..self.rooms {
            for member in self.members(room) {
                verifier.expect(member, Stream(room));
            }
        }
        verifier
    }

    pub(super) fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        if self.members > self.connections || self.members == 0 || self.rooms == 0 {
            let told = "a room has between 1 member and as many as there are connections";
            return Err(BenchError::Usage(told.to_owned()));
        }
        let rooms = stage.rooms(self.rooms)?;
        let mut generator = stage.connect(self.connections)?;
        let pairs = rooms
            .iter()
            .flat_map(|room| self.members(room.number).map(move |member| (member, room)));
        stage.subscribe(&mut generator, pairs)?;
        let mut traffic = Traffic::new(
            self.sources(&rooms),
            self.verifier(),
            Complete::Delivered,
            self.pace,
            stage.options.body_bytes,
        );
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
    fn every_room_has_its_members_once_and_every_connection_as_many_rooms() {
        let rooms = Rooms {
            rooms: 1_000,
            members: 10,
            connections: 1_000,
            pace: Pace::InFlight(1),
        };
        let mut per_connection = [0; 1_000];
        for room in 0..1_000 {
            let mut members: Vec<_> = rooms.members(room).collect();
            members
                .iter()
                .for_each(|&member| per_connection[member as usize] += 1);
            members.sort_unstable();
            members.dedup();
            assert_eq!(members.len(), 10, "room {room}");
        }
        assert_eq!(per_connection, [10; 1_000]);
    }
}
