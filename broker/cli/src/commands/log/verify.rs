//! `log verify`: one line that says how the log is, then what is out of order.

use antiphon_disk::inspect::{Finding, LogOutcome, Verification};

use crate::failure::{Exit, Failure};
use crate::output::{Output, note};

/// How the log was found, in one word that scripts can compare.
fn outcome_word(verification: &Verification) -> &'static str {
    let is_torn = verification
        .findings
        .iter()
        .any(|finding| matches!(finding, Finding::Torn { .. }));
    match verification.outcome {
        _ if !verification.is_whole() => "damaged",
        LogOutcome::Fresh => "empty",
        LogOutcome::Clean => "clean",
        _ if is_torn => "torn",
        _ => "not closed",
    }
}

/// Prints the result.
pub(super) fn print_verification(
    output: &mut Output,
    verification: &Verification,
) -> Result<(), Failure> {
    if output.is_json() {
        return output.object(verification);
    }
    let Verification {
        records,
        rooms,
        entries,
        blocks,
        segments,
        checkpoints,
        end,
        ..
    } = verification;
    output.line(format_args!(
        "{}: {records} records in {rooms} rooms; {entries} entries, {blocks} blocks, {segments} segments, {checkpoints} checkpoints; ends at {end}",
        outcome_word(verification)
    ))?;
    for finding in &verification.findings {
        let finding = describe(finding);
        output.line(format_args!("  {}", output.shown(finding.as_bytes())))?;
    }
    for loss in &verification.losses {
        output.line(format_args!("  {loss}"))?;
    }
    let more = verification.findings_dropped + verification.losses_dropped;
    if more > 0 {
        note(format_args!("and {more} more"));
    }
    Ok(())
}

fn describe(finding: &Finding) -> String {
    match finding {
        Finding::Torn { at } => {
            format!("torn at {at}: the last write was under way; nothing acked is missing")
        }
        Finding::Damage {
            from,
            end,
            only_group,
        } => {
            let whose = only_group
                .map(|group| format!(", all of group {group}"))
                .unwrap_or_default();
            format!("DAMAGE from {from} to {end}{whose}: bytes that were durable cannot be read")
        }
        Finding::Unreadable {
            from,
            end,
            error,
            head,
        } => {
            let head = head
                .as_deref()
                .map(|head| format!("; it says that it is {head}"))
                .unwrap_or_default();
            format!("no block from {from} to {end}: {error}{head}")
        }
        Finding::UnreadablePage { segment, page } => {
            format!("page {page} of segment {segment} cannot be read from the device")
        }
        Finding::Segment { segment, fault } => format!("segment {segment}: {fault}"),
        Finding::Entry {
            group,
            index,
            room,
            fault,
        } => {
            let room = room
                .map(|room| format!(", room {room}"))
                .unwrap_or_default();
            format!("group {group}, entry {index}{room}: {fault}")
        }
        Finding::Contradiction { at, group } => {
            format!(
                "the block at {at} contradicts what came before it in group {group}: damaged from there on"
            )
        }
        Finding::Checkpoint { name, fault } => {
            format!("checkpoint {name}: {fault}; the older one is used")
        }
    }
}

/// Damage is a failure of its own.
pub(super) fn verdict(verification: &Verification) -> Result<(), Failure> {
    if verification.is_whole() {
        return Ok(());
    }
    Err(Failure::new(Exit::Damage, "the log is damaged").next(
        "nothing was changed; copy the directory before you do anything, and look closer with `antiphon log dump`",
    ))
}
