//! `antiphon log ls|dump|verify DIR`: looks into a data directory; nothing is changed, and a broker may run on it.

mod dump;
mod verify;

use std::path::PathBuf;

use antiphon_disk::inspect::{DumpOptions, Place, SegmentInfo, SegmentState};
use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, Table, presets};

use crate::commands::log::dump::print_dumped;
use crate::commands::log::verify::{print_verification, verdict};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::offline::{open, unreadable};
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Log {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the segments.
    Ls {
        /// The data directory.
        directory: PathBuf,
    },
    /// Print every block and what it holds.
    Dump {
        /// The data directory.
        directory: PathBuf,
        /// Only this segment.
        #[arg(long, value_name = "N")]
        segment: Option<u32>,
        /// Also each record.
        #[arg(long)]
        records: bool,
        /// Also each record's body.
        #[arg(long)]
        bodies: bool,
    },
    /// Check every block, record and link; exit code 5 if something is damaged.
    Verify {
        /// The data directory.
        directory: PathBuf,
    },
}

impl Log {
    pub(crate) fn run(self, output: &mut Output) -> Result<(), Failure> {
        match self.action {
            Action::Ls { directory } => {
                let infos = open(&directory)?.ls().map_err(|error| unreadable(&error))?;
                print_segments(output, &infos)
            }
            Action::Dump {
                directory,
                segment,
                records,
                bodies,
            } => {
                let interrupt = Interrupt::install()?;
                let inspector = open(&directory)?;
                let options = DumpOptions {
                    segment,
                    records: records || bodies,
                    bodies,
                };
                let mut is_empty = true;
                for dumped in inspector
                    .dump(options)
                    .map_err(|error| unreadable(&error))?
                {
                    interrupt.check()?;
                    is_empty = false;
                    print_dumped(output, &dumped.map_err(|error| unreadable(&error))?)?;
                }
                match segment.filter(|_| is_empty) {
                    Some(segment) => Err(Failure::usage(format_args!(
                        "{} has no segment {segment}",
                        directory.display()
                    ))
                    .next("`antiphon log ls DIR` lists those that there are")),
                    None => Ok(()),
                }
            }
            Action::Verify { directory } => {
                let verification = open(&directory)?
                    .verify()
                    .map_err(|error| unreadable(&error))?;
                print_verification(output, &verification)?;
                output.flush()?;
                verdict(&verification)
            }
        }
    }
}

fn print_segments(output: &mut Output, infos: &[SegmentInfo]) -> Result<(), Failure> {
    if output.is_json() {
        return infos.iter().try_for_each(|info| output.object(info));
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "segment",
        "state",
        "file bytes",
        "first",
        "end",
        "blocks",
        "entries",
        "unreadable",
        "torn bytes",
    ]);
    for info in infos {
        table.add_row([
            info.segment.to_string(),
            state_name(&info.state),
            info.bytes.to_string(),
            shown(info.first),
            shown(info.end),
            info.blocks.to_string(),
            info.entries.to_string(),
            info.unreadable_ranges.to_string(),
            info.torn_bytes.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    output.line(table)
}

fn state_name(state: &SegmentState) -> String {
    match state {
        SegmentState::Active => "active".into(),
        SegmentState::Sealed => "sealed".into(),
        SegmentState::Ahead => "made ahead".into(),
        SegmentState::LetGo => "let go".into(),
        SegmentState::WithoutState => "without state".into(),
        SegmentState::Refused { reason } => format!("refused: {reason}"),
    }
}

fn shown(place: Option<Place>) -> String {
    place.map_or_else(|| "-".into(), |place| place.to_string())
}
