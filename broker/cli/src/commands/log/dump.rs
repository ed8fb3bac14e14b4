//! `log dump`: each segment, block, item and record, one line each.

use antiphon_disk::inspect::{BlockDump, CursorDump, Dumped, ItemDump};

use crate::failure::Failure;
use crate::output::Output;

/// Left margin of what belongs to the block above.
const MARGIN: &str = "                ";

/// Prints one thing found.
pub(super) fn print_dumped(output: &mut Output, dumped: &Dumped) -> Result<(), Failure> {
    if output.is_json() {
        return output.object(dumped);
    }
    match dumped {
        Dumped::Segment {
            segment,
            bytes,
            fault,
            unreadable_pages,
        } => {
            let fault = fault
                .as_deref()
                .map(|fault| format!(", header: {fault}"))
                .unwrap_or_default();
            let pages = if unreadable_pages.is_empty() {
                String::new()
            } else {
                format!(", unreadable pages {unreadable_pages:?}")
            };
            output.line(format_args!(
                "segment {segment}: {bytes} bytes{fault}{pages}"
            ))
        }
        Dumped::Block(block) => print_block(output, block),
        Dumped::Unreadable {
            from,
            end,
            counts,
            error,
            head,
        } => {
            let what = if *counts {
                "UNREADABLE"
            } else {
                "beyond the end"
            };
            let head = head
                .as_deref()
                .map(|head| format!(", says that it is {head}"))
                .unwrap_or_default();
            output.line(format_args!(
                "{from:>14}  {what} up to {end}: {error}{head}"
            ))
        }
    }
}

fn print_block(output: &mut Output, block: &BlockDump) -> Result<(), Failure> {
    let beyond = if block.counts { "" } else { "  BEYOND THE END" };
    output.line(format_args!(
        "{:>14}  {:<10} group {} index {} term {} commit {} synced {} payload {}{beyond}",
        block.at.to_string(),
        block.kind,
        block.group,
        block.index,
        block.term,
        block.commit,
        block.sync_end,
        block.payload_bytes
    ))?;
    if let Some(vote) = block.vote {
        output.line(format_args!("{MARGIN}vote {vote}"))?;
    }
    block
        .items
        .iter()
        .try_for_each(|item| print_item(output, item))?;
    match &block.fault {
        Some(fault) => output.line(format_args!("{MARGIN}FAULT: {fault}")),
        None => Ok(()),
    }
}

fn print_item(output: &mut Output, item: &ItemDump) -> Result<(), Failure> {
    match item {
        ItemDump::Room {
            room,
            namespace,
            name,
        } => {
            let name = output.shown(name.as_bytes());
            output.line(format_args!(
                "{MARGIN}room {room} {name:?} in namespace {namespace}"
            ))
        }
        ItemDump::Records {
            room,
            first,
            count,
            bytes,
            fault,
            records,
            ..
        } => {
            let fault = fault
                .as_deref()
                .map(|fault| format!("  FAULT: {fault}"))
                .unwrap_or_default();
            output.line(format_args!(
                "{MARGIN}{count} records of room {room} from seq {first}, {bytes} bytes{fault}"
            ))?;
            for record in records {
                let sender = output.shown(record.sender.as_bytes());
                let body = record
                    .body
                    .as_ref()
                    .map(|body| format!(": {}", output.shown(body.as_bytes())))
                    .unwrap_or_default();
                let erased = if record.erased { ", ERASED" } else { "" };
                let (seq, kind, bytes) = (record.seq, record.kind, record.body_bytes);
                let (producer, number) = (record.producer, record.producer_seq);
                output.line(format_args!(
                    "{MARGIN}  {seq} by {sender}, kind {kind}, producer {producer} no. {number}, {bytes} bytes{erased}{body}"
                ))?;
            }
            Ok(())
        }
        ItemDump::Expire { room, expired } => output.line(format_args!(
            "{MARGIN}{} producers of room {room} forgotten",
            expired.len()
        )),
        ItemDump::Erase { erased } => erased.iter().try_for_each(|record| {
            let (room, seq) = (record.room, record.seq);
            output.line(format_args!("{MARGIN}record {seq} of room {room} erased"))
        }),
        ItemDump::Cursors { moved } => {
            output.line(format_args!("{MARGIN}{} cursors moved", moved.len()))?;
            for CursorDump {
                room,
                user,
                name,
                seq,
            } in moved
            {
                let (user, name) = (output.shown(user.as_bytes()), output.shown(name.as_bytes()));
                output.line(format_args!(
                    "{MARGIN}  {name} of {user} in room {room} to {seq}"
                ))?;
            }
            Ok(())
        }
    }
}
