//! Names for what is counted elsewhere. Labels are bounded: node and core, never a room or a user.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode as encode_text;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::admin::Sights;
use crate::admin::cells::{Counted, SYNC_BUCKETS_US};

/// What the text is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One number of a core: name without prefix and suffix, meaning, where it is, whether it only grows.
type Row = (&'static str, &'static str, fn(&Counted) -> u64, bool);

const COUNTER: bool = true;
const GAUGE: bool = false;

/// Every number of a core.
const ROWS: &[Row] = &[
    (
        "connections",
        "Connections",
        |s| s.core.edge.connections,
        GAUGE,
    ),
    (
        "subscriptions",
        "Subscriptions",
        |s| s.core.edge.subscriptions,
        GAUGE,
    ),
    (
        "subscribed_rooms",
        "Rooms with a subscriber on this core",
        |s| s.core.edge.rooms,
        GAUGE,
    ),
    (
        "rooms",
        "Rooms at home on this core",
        |s| s.core.home.rooms,
        GAUGE,
    ),
    (
        "producers",
        "Producers remembered",
        |s| s.core.home.producers,
        GAUGE,
    ),
    (
        "partitions",
        "Partitions at home on this core",
        |s| s.core.home.partitions,
        GAUGE,
    ),
    (
        "partitions_impaired",
        "Partitions that are read only or quarantined",
        |s| s.core.home.partitions_impaired,
        GAUGE,
    ),
    (
        "hot_tail_bytes",
        "Payload bytes in hot tails",
        |s| s.core.home.hot_bytes,
        GAUGE,
    ),
    (
        "outbox_bytes",
        "Bytes that wait for clients",
        |s| s.core.edge.outbox_bytes,
        GAUGE,
    ),
    (
        "pulls_in_flight",
        "Requests of readers behind that are not answered",
        |s| s.core.edge.pulls_in_flight,
        GAUGE,
    ),
    (
        "lane_waiting_messages",
        "Messages that wait for full lanes",
        |s| s.core.lane_waiting,
        GAUGE,
    ),
    (
        "sessions_opened",
        "Sessions opened",
        |s| s.core.edge.sessions_opened,
        COUNTER,
    ),
    (
        "sessions_replaced",
        "Sessions ended by a newer connection of their own",
        |s| s.core.edge.sessions_replaced,
        COUNTER,
    ),
    ("goaways", "GOAWAYs sent", |s| s.core.edge.goaways, COUNTER),
    (
        "errors",
        "ERROR frames queued",
        |s| s.core.edge.errors,
        COUNTER,
    ),
    (
        "publishes",
        "Publishes taken",
        |s| s.core.edge.publishes,
        COUNTER,
    ),
    (
        "publish_batches",
        "Batches put into room channels",
        |s| s.core.edge.batches,
        COUNTER,
    ),
    (
        "publish_batches_parked",
        "Batches that found their channel full",
        |s| s.core.edge.batches_parked,
        COUNTER,
    ),
    (
        "publish_batches_refused",
        "Batches refused because their channel stayed full",
        |s| s.core.edge.batches_refused,
        COUNTER,
    ),
    (
        "acks",
        "Publishes acked, duplicates included",
        |s| s.core.home.acks,
        COUNTER,
    ),
    (
        "duplicates",
        "Publishes acked as duplicates",
        |s| s.core.home.duplicates,
        COUNTER,
    ),
    (
        "refusals",
        "Requests refused by a room's home",
        |s| s.core.home.refusals,
        COUNTER,
    ),
    (
        "records_published",
        "Records applied since the start",
        |s| s.core.home.records,
        COUNTER,
    ),
    (
        "entries",
        "Entries applied",
        |s| s.core.home.entries,
        COUNTER,
    ),
    (
        "deliveries",
        "Live deliveries queued, one per subscriber",
        |s| s.core.edge.deliveries,
        COUNTER,
    ),
    (
        "deliveries_dropped",
        "Deliveries dropped; their subscribers read behind",
        |s| s.core.edge.deliveries_dropped,
        COUNTER,
    ),
    (
        "turned_behind",
        "Live subscribers that became readers behind",
        |s| s.core.edge.turned_behind,
        COUNTER,
    ),
    (
        "reads_hot",
        "Slices and pages served from memory",
        |s| s.core.home.reads_hot,
        COUNTER,
    ),
    (
        "reads_cold",
        "Slices, pages and look-ups asked of reader threads",
        |s| s.core.home.reads_cold,
        COUNTER,
    ),
    (
        "entries_reads",
        "Pieces of the log read for replicas on other nodes that lag",
        |s| s.core.home.entries_reads,
        COUNTER,
    ),
    (
        "entries_missing",
        "Entries wanted by replicas that lag too far to be fed from here",
        |s| s.core.home.entries_missing,
        COUNTER,
    ),
    (
        "signals",
        "Signals queued, one per subscriber",
        |s| s.core.edge.signals,
        COUNTER,
    ),
    (
        "signals_dropped",
        "Signals that a subscription lost",
        |s| s.core.edge.signals_dropped,
        COUNTER,
    ),
    (
        "flushes",
        "Sockets that had output in a turn, summed up over turns",
        |s| s.flushes,
        COUNTER,
    ),
    (
        "sends",
        "Sends to sockets; one per flush, but for output of more than 32 KiB",
        |s| s.sends,
        COUNTER,
    ),
    (
        "stalls",
        "Turns in which a partition admitted nothing because its hot tail was full",
        |s| s.core.home.stalls,
        COUNTER,
    ),
    (
        "checkpoints",
        "Checkpoints made",
        |s| s.core.home.checkpoints,
        COUNTER,
    ),
    (
        "producers_expired",
        "Producers forgotten",
        |s| s.core.home.producers_expired,
        COUNTER,
    ),
];

/// What the numbers were when somebody asked.
#[derive(Debug)]
struct Scrape {
    node: String,
    /// Per core; `None`: it did not answer in time.
    cores: Vec<Option<Counted>>,
    uptime: f64,
    log_bytes: u64,
    log_blocks: u64,
    left_bytes: u64,
    is_full: bool,
    scrub_bytes: u64,
    scrub_passes: u64,
    scrub_rot: u64,
    sync_us: u64,
    syncs: Vec<u64>,
}

/// The whole answer to `/metrics`.
pub(crate) fn encode(sights: &Sights, cores: Vec<Option<Counted>>) -> Result<String, fmt::Error> {
    let log = &sights.log;
    let scrape = Scrape {
        node: sights.node.0.to_string(),
        cores,
        uptime: Instant::now().duration_since(sights.started).as_secs_f64(),
        log_bytes: log.bytes.load(Ordering::Relaxed),
        log_blocks: log.blocks.load(Ordering::Relaxed),
        left_bytes: log.left_bytes.load(Ordering::Relaxed),
        is_full: log.is_full.load(Ordering::Relaxed),
        scrub_bytes: log.scrub_bytes.load(Ordering::Relaxed),
        scrub_passes: log.scrub_passes.load(Ordering::Relaxed),
        scrub_rot: log.scrub_rot.load(Ordering::Relaxed),
        sync_us: log.sync_us.load(Ordering::Relaxed),
        syncs: log
            .syncs
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .collect(),
    };
    let mut registry = Registry::with_prefix("antiphon");
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    encode_text(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for row in ROWS {
            self.row(&mut encoder, row)?;
        }
        let node = [("node", self.node.as_str())];
        encoder
            .encode_descriptor(
                "uptime",
                "Since the node started",
                Some(&Unit::Seconds),
                MetricType::Gauge,
            )?
            .encode_family(&node)?
            .encode_gauge(&self.uptime)?;
        encoder
            .encode_descriptor(
                "log_written",
                "Written to the log, marks included",
                Some(&Unit::Bytes),
                MetricType::Counter,
            )?
            .encode_family(&node)?
            .encode_counter::<NoLabelSet, _, u64>(&self.log_bytes, None)?;
        encoder
            .encode_descriptor(
                "log_blocks",
                "Blocks written to the log",
                None,
                MetricType::Counter,
            )?
            .encode_family(&node)?
            .encode_counter::<NoLabelSet, _, u64>(&self.log_blocks, None)?;
        self.storage(&mut encoder, &node)?;
        self.scrubs(&mut encoder, &node)?;
        let ends = SYNC_BUCKETS_US.iter().map(|end| *end as f64 / 1e6);
        let buckets: Vec<(f64, u64)> = ends
            .chain([f64::MAX])
            .zip(self.syncs.iter().copied())
            .collect();
        encoder
            .encode_descriptor(
                "sync_duration",
                "Write and sync of one batch",
                Some(&Unit::Seconds),
                MetricType::Histogram,
            )?
            .encode_family(&node)?
            .encode_histogram::<NoLabelSet>(
                self.sync_us as f64 / 1e6,
                self.syncs.iter().sum(),
                &buckets,
                None,
            )
    }
}

impl Scrape {
    /// What is left of the disk, if that is known.
    fn storage(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        node: &[(&str, &str); 1],
    ) -> Result<(), fmt::Error> {
        if self.left_bytes != u64::MAX {
            let left = i64::try_from(self.left_bytes).unwrap_or(i64::MAX);
            encoder
                .encode_descriptor(
                    "storage_left",
                    "Left for the log: free space, the segment made ahead, the rest of the one being written",
                    Some(&Unit::Bytes),
                    MetricType::Gauge,
                )?
                .encode_family(node)?
                .encode_gauge(&left)?;
        }
        encoder
            .encode_descriptor(
                "storage_full",
                "1 while publishes are refused because too little is left",
                None,
                MetricType::Gauge,
            )?
            .encode_family(node)?
            .encode_gauge(&i64::from(self.is_full))
    }

    /// What scrubs read again, and what they found.
    fn scrubs(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        node: &[(&str, &str); 1],
    ) -> Result<(), fmt::Error> {
        let bytes = Some(&Unit::Bytes);
        for (name, help, unit, value) in [
            (
                "scrub_read",
                "Read again by scrubs of the log",
                bytes,
                self.scrub_bytes,
            ),
            (
                "scrub_passes",
                "Scrubs of all sealed segments that came to their end",
                None,
                self.scrub_passes,
            ),
            (
                "scrub_rot",
                "Stretches of the log that a scrub could not read as they were written; the same one counts in each pass",
                None,
                self.scrub_rot,
            ),
        ] {
            encoder
                .encode_descriptor(name, help, unit, MetricType::Counter)?
                .encode_family(node)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn row(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, value, is_counter): &Row,
    ) -> Result<(), fmt::Error> {
        let kind = if *is_counter {
            MetricType::Counter
        } else {
            MetricType::Gauge
        };
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (number, stats) in self.cores.iter().enumerate() {
            let Some(stats) = stats else { continue };
            let core = number.to_string();
            let labels = [("node", self.node.as_str()), ("core", core.as_str())];
            let mut metric = family.encode_family(&labels)?;
            if *is_counter {
                metric.encode_counter::<NoLabelSet, _, u64>(&value(stats), None)?;
            } else {
                let value = i64::try_from(value(stats)).unwrap_or(i64::MAX);
                metric.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}
