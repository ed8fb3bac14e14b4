//! `antiphon cursor ROOM --user U`: how far somebody has read, and how much is unread.

use antiphon_client::{
    Client, ClientError, Code, CursorAnswer, CursorMove, HistoryRange, Seq, Subscription,
};
use clap::Args;
use serde::Serialize;

use crate::connection::Target;
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Cursor {
    /// The room.
    room: String,
    /// Whose cursor.
    #[arg(long, value_name = "USER", env = "ANTIPHON_USER")]
    user: String,
    /// Which of theirs; `chat` keeps one called "read".
    #[arg(long, value_name = "NAME", default_value = "read")]
    name: String,
    /// Move it up to this record first; it never goes back.
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    set: Option<u64>,
    /// Tell everybody in the room that it moved, as a read receipt.
    #[arg(long, requires = "set")]
    members: bool,
}

#[derive(Serialize)]
struct CursorObject<'a> {
    room: &'a str,
    user: &'a str,
    cursor: &'a str,
    seq: u64,
    count: u64,
    head_seq: u64,
    head_count: u64,
    unread: u64,
}

impl Cursor {
    pub(crate) fn run(self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let client = target.connect(&self.user)?;
        let at = match self.set {
            None => client.cursor(&self.room, &self.name),
            Some(seq) => {
                let mut to = CursorMove::from(&self.record(&client, target, Seq(seq))?).sync();
                if self.members {
                    to = to.members();
                }
                client.set_cursor(&self.room, &self.name, to)
            }
        };
        self.print(&at.map_err(|error| target.failure(&error))?, output)
    }

    /// The record itself: its count stands in it and nowhere else.
    fn record(
        &self,
        client: &Client,
        target: &Target,
        seq: Seq,
    ) -> Result<antiphon_client::Record, Failure> {
        let found = client.history(&self.room, HistoryRange::After(seq.previous()), 1);
        let mut found = found.map_err(|error| target.failure(&error))?;
        found.records.pop().ok_or_else(|| {
            let head = found.head_seq;
            let told = format_args!("record {seq} is not in the room (its last one is {head})");
            Failure::new(Exit::Refused, told).next("see what is there: antiphon history ROOM")
        })
    }

    fn print(&self, at: &CursorAnswer, output: &mut Output) -> Result<(), Failure> {
        let (position, head, unread) = (at.position, at.head, at.unread());
        if output.is_json() {
            return output.object(&CursorObject {
                room: &self.room,
                user: &self.user,
                cursor: &self.name,
                seq: position.seq.0,
                count: position.count.0,
                head_seq: head.seq.0,
                head_count: head.count.0,
                unread,
            });
        }
        let (seq, head) = (position.seq, head.seq);
        output.line(format_args!("at {seq} of {head}, {unread} unread"))
    }
}

/// A cursor that follows what a command prints.
pub(crate) struct Following<'a> {
    room: &'a str,
    name: &'a str,
    /// The last record that was printed.
    read: Option<CursorMove>,
    /// The broker was told of it.
    is_told: bool,
}

impl<'a> Following<'a> {
    pub(crate) fn new(room: &'a str, name: &'a str) -> Following<'a> {
        Following {
            room,
            name,
            read: None,
            is_told: true,
        }
    }

    /// This record was printed.
    pub(crate) fn on_printed(&mut self, record: &antiphon_client::Record) {
        self.read = Some(record.into());
        self.is_told = false;
    }

    /// Tells the broker, if there is anything to tell; what was printed must be flushed by now. A broker that is away is told
    /// later: reading goes on over its absence, too. One that refuses is asked no more until there is something new to tell.
    pub(crate) fn tell(&mut self, client: &Client) -> Result<(), ClientError> {
        let Some(to) = self.read.filter(|_| !self.is_told) else {
            return Ok(());
        };
        match client.set_cursor(self.room, self.name, to) {
            Err(ClientError::Timeout | ClientError::Disconnected) => Ok(()),
            told => {
                self.is_told = true;
                told.map(drop)
            }
        }
    }

    /// Waits until what was printed counts as read for good.
    pub(crate) fn settle(&mut self, client: &Client) -> Result<(), ClientError> {
        let Some(to) = self.read else {
            return Ok(());
        };
        client.set_cursor(self.room, self.name, to.sync()).map(drop)
    }
}

/// How much of the room was unread when it was entered; a room that does not exist yet has nothing to read.
pub(crate) fn unread_on_entry(
    client: &Client,
    entered: &Subscription,
    room: &str,
    name: &str,
) -> Result<u64, ClientError> {
    if entered.head().room_id.is_none() {
        return Ok(0);
    }
    match client.cursor(room, name) {
        Ok(at) => Ok(at.unread()),
        // An older broker keeps no cursors.
        Err(ClientError::Rejected(rejection)) if rejection.code == Code::NOT_SUPPORTED => Ok(0),
        Err(error) => Err(error),
    }
}
