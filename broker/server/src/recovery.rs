//! Opening the log: what was found, told to the operator, and what the cores start with.

use antiphon_core::{Condition, PartitionSeed, Recovering};
use antiphon_disk::{DataDirectory, FileDisk};
use antiphon_log::{Log, LogError, LogSettings, Outcome, Recovery, Retention};
use antiphon_protocol::NodeId;

use crate::config::Data;
use crate::error::StartError;
use crate::log_thread::ScrubPace;
use crate::start::random;

/// A recovered data directory.
pub(crate) struct Recovered {
    pub(crate) log: Log<FileDisk>,
    pub(crate) seeds: Vec<PartitionSeed>,
    pub(crate) partitions: u16,
    pub(crate) node: NodeId,
}

/// Opens the log of `directory` and rebuilds every partition from it.
///
/// Damage is no error: what is whole is served, what is not is read only, and the operator is told both.
pub(crate) fn recover(
    directory: &DataDirectory,
    data: &Data,
    hot_bytes: usize,
) -> Result<Recovered, StartError> {
    let file = directory.file();
    let failed = |told: String| StartError::Log {
        directory: directory.path().to_path_buf(),
        told,
    };
    let partitions = u16::try_from(file.partitions).map_err(|_| {
        failed(format!(
            "{} partitions are more than this program serves",
            file.partitions
        ))
    })?;
    let disk = directory.disk();
    let mut settings = LogSettings::new(file.directory_id);
    settings.partitions = file.partitions;
    settings.segment_bytes = u32::try_from(data.segment_bytes.bytes()).unwrap_or(u32::MAX);
    settings.reserve_bytes = data.reserve_bytes.bytes();
    settings.resume_bytes = data.resume_bytes.bytes();
    settings.retention = retention(data);
    let mut recovering = Recovering::new(partitions, random()?);
    if file.cluster.is_some() {
        recovering = recovering.of_member(hot_bytes);
    }
    let (log, recovery) = Log::open(disk.clone(), settings, &mut recovering).map_err(|error| {
        failed(
            disk.take_failure()
                .map_or_else(|| told(&error), |failure| failure.to_string()),
        )
    })?;
    tell(directory, &recovery);
    for group in recovering.strangers() {
        tracing::warn!(%group, "group_unknown");
    }
    let seeds = recovering.into_seeds();
    seeds.iter().for_each(tell_partition);
    Ok(Recovered {
        log,
        seeds,
        partitions,
        node: file.node,
    })
}

/// What is to be let go.
pub(crate) fn retention(data: &Data) -> Retention {
    Retention {
        bytes: data.retention_bytes.bytes(),
        age_ms: data.retention_age.millis(),
    }
}

/// How sealed segments are read again, if they are.
pub(crate) fn scrub_pace(data: &Data) -> Option<ScrubPace> {
    let bytes_per_second = data.scrub_rate.bytes();
    (bytes_per_second > 0).then(|| ScrubPace {
        bytes_per_second,
        pause: data.scrub_pause.duration(),
    })
}

fn told(error: &LogError) -> String {
    error.to_string()
}

fn tell(directory: &DataDirectory, recovery: &Recovery) {
    let path = directory.path().display();
    let Recovery {
        outcome,
        bytes_read,
        sync_end,
        segments,
        findings_dropped,
        ..
    } = recovery;
    match outcome {
        Outcome::Damaged => tracing::error!(
            directory = %path, bytes_read, %sync_end, segments, findings_dropped,
            "log_damaged"
        ),
        _ => {
            tracing::info!(directory = %path, ?outcome, bytes_read, %sync_end, segments, "log_opened")
        }
    }
    for finding in &recovery.findings {
        match outcome {
            Outcome::Damaged => tracing::error!(?finding, "log_finding"),
            _ => tracing::info!(?finding, "log_finding"),
        }
    }
    for (segment, page) in directory.bad_pages().pages() {
        tracing::warn!(%segment, page, "bad_page_known");
    }
}

fn tell_partition(seed: &PartitionSeed) {
    let (group, rooms, applied) = (seed.group(), seed.rooms(), seed.applied());
    match seed.condition() {
        Condition::Whole => tracing::debug!(%group, rooms, %applied, "partition_recovered"),
        Condition::Damaged(damage) => {
            tracing::error!(%group, rooms, %applied, ?damage, "partition_damaged_read_only");
        }
        Condition::Hole { missing } => {
            tracing::error!(%group, rooms, %applied, %missing, "partition_hole_read_only");
        }
        Condition::Unsound { at, why } => {
            tracing::error!(%group, rooms, %applied, %at, %why, "partition_unsound_not_served");
        }
    }
}
