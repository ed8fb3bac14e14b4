//! `antiphon export [ROOM...]`: rooms as a chat file that `replay` reads, room after room, each in its order.
//!
//! Records come over the wire. The protocol's version 1 cannot list rooms, so the *names*, unless given, come from a data directory on
//! this machine, read without disturbing the broker that runs on it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use antiphon_client::{
    Client, ClientError, Code, Gap, GapReason, HistoryRange, Record, RecordKind, Seq,
};
use clap::Args;

use crate::chat_line::ChatLine;
use crate::commands::history::{each_page, lost_end};
use crate::connection::Target;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::offline;
use crate::output::{Output, note};
use crate::record_line::sent_at;

/// Where `serve` keeps its data unless told otherwise.
const DEFAULT_DATA: &str = "antiphon-data";

#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The rooms; none: all of them.
    rooms: Vec<String>,
    /// All rooms: a file with their names, one a line; - is stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "rooms")]
    from: Option<PathBuf>,
    /// All rooms: the broker's data directory, on this machine, for their names [default: antiphon-data].
    #[arg(long, value_name = "DIR", conflicts_with_all = ["rooms", "from"])]
    data: Option<PathBuf>,
}

/// What an export could not carry.
#[derive(Default)]
struct Left {
    /// Records whose kind a chat file has no word for.
    other_kinds: u64,
    /// Messages that were redacted.
    erased: u64,
    /// Bodies that are no UTF-8; they are exported with replacement characters.
    not_text: u64,
    /// Records that the broker no longer has, by reason.
    gone: BTreeMap<GapReason, u64>,
    /// Rooms of which nobody knows how much is lost at their end.
    cut: u64,
}

impl Export {
    pub(crate) fn run(self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let is_all = self.rooms.is_empty();
        let rooms = self.room_names()?;
        let client = target.connect("export")?;
        let interrupt = Interrupt::install()?;
        let mut left = Left::default();
        for room in &rooms {
            interrupt.check()?;
            match export_room(&client, target, room, output, &interrupt, &mut left) {
                // The name was read from the log ahead of the commit of its first record, or the broker is another one.
                Err(Missing::Room(failure)) if !is_all => return Err(failure),
                Err(Missing::Room(_)) => {
                    note(format_args!("the broker knows no room {room:?}; skipped"))
                }
                Err(Missing::Other(failure)) => return Err(failure),
                Ok(()) => {}
            }
        }
        output.flush()?;
        left.tell()
    }

    fn room_names(self) -> Result<Vec<String>, Failure> {
        if let Some(from) = self.from {
            return names_in(&from);
        }
        if !self.rooms.is_empty() {
            return Ok(self.rooms);
        }
        let named = self.data.is_some();
        let data = self.data.unwrap_or_else(|| DEFAULT_DATA.into());
        if !named && !data.is_dir() {
            return Err(Failure::usage("which rooms? The broker cannot be asked for all their names").next(
                "name rooms; or list them in a file for --from FILE; or, on the broker's machine, give its data directory: --data DIR",
            ));
        }
        offline::room_names(&data)
    }
}

/// Why a room was not exported.
enum Missing {
    /// There is no such room.
    Room(Failure),
    Other(Failure),
}

impl From<Failure> for Missing {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

fn export_room(
    client: &Client,
    target: &Target,
    room: &str,
    output: &mut Output,
    interrupt: &Interrupt,
    left: &mut Left,
) -> Result<(), Missing> {
    let latest = client.history(room, HistoryRange::Latest, 1).map_err(|error| {
        let failure = target.failure(&error);
        let is_unknown = matches!(&error, ClientError::Rejected(rejection) if rejection.code == Code::NOT_FOUND);
        if is_unknown { Missing::Room(failure) } else { Missing::Other(failure) }
    })?;
    each_page(client, target, room, Seq(0), latest.head_seq, |page| {
        interrupt.check()?;
        for gap in &page.gaps {
            *left.gone.entry(gap.reason).or_default() += gap.to.0 + 1 - gap.from.0;
        }
        page.records
            .iter()
            .try_for_each(|record| print(output, room, record, left))
    })?;
    if let Some(gap) = lost_end(&latest) {
        left.cut += 1;
        print_gap_note(room, gap);
    }
    Ok(())
}

fn print_gap_note(room: &str, gap: &Gap) {
    note(format_args!(
        "{room:?}: records from {} on, if there were any, are lost: {}",
        gap.from, gap.reason
    ));
}

fn print(output: &mut Output, room: &str, record: &Record, left: &mut Left) -> Result<(), Failure> {
    if record.kind != RecordKind::MESSAGE {
        left.other_kinds += 1;
        return Ok(());
    }
    if record.is_erased {
        left.erased += 1;
        return Ok(());
    }
    let text = record.text();
    left.not_text += u64::from(text.as_bytes() != record.body);
    let user = record.sender_text().into_owned();
    output.object(&ChatLine {
        at: sent_at(record),
        room: room.to_owned(),
        user,
        text: text.into_owned(),
    })
}

impl Left {
    /// Says on stderr what is not in the export; damage fails it.
    fn tell(self) -> Result<(), Failure> {
        if self.other_kinds > 0 {
            note(format_args!(
                "{} records are no messages and were left out",
                self.other_kinds
            ));
        }
        if self.erased > 0 {
            note(format_args!(
                "{} messages were taken back by their senders and were left out",
                self.erased
            ));
        }
        if self.not_text > 0 {
            note(format_args!(
                "{} bodies are no UTF-8 and were exported with replacement characters",
                self.not_text
            ));
        }
        for (reason, records) in &self.gone {
            note(format_args!(
                "{records} records are not to be had: {reason}"
            ));
        }
        let damaged = self.gone.get(&GapReason::DAMAGED).copied().unwrap_or(0);
        if damaged == 0 && self.cut == 0 {
            return Ok(());
        }
        let told = format_args!(
            "the export is not whole: {damaged} records are damaged on the broker's disk, and {} rooms may have lost everything behind their last record here",
            self.cut
        );
        Err(Failure::new(Exit::Damage, told)
            .next("stop the broker and look with `antiphon log verify DIR`"))
    }
}

fn names_in(from: &Path) -> Result<Vec<String>, Failure> {
    let reader: Box<dyn BufRead> = if from == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(from);
        Box::new(BufReader::new(
            file.map_err(|error| unreadable(from, &error))?,
        ))
    };
    let names = reader
        .lines()
        .filter(|name| !name.as_ref().is_ok_and(String::is_empty));
    names
        .collect::<io::Result<_>>()
        .map_err(|error| unreadable(from, &error))
}

fn unreadable(from: &Path, error: &io::Error) -> Failure {
    Failure::usage(format_args!(
        "cannot read room names from {}: {error}",
        from.display()
    ))
    .next("give a file with one room's name a line, or - for stdin")
}
