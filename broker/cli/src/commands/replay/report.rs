//! What a replay says while it runs (stderr) and when it is done (stdout).
//!
//! With `--json`, stderr carries events, one object a line: `{"event":"progress","acked":N,"lines":N}` and
//! `{"event":"outage","connections":N,"unacked":N}`.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::commands::replay::pool::Losses;
use crate::failure::Failure;
use crate::output::{Output, note};

/// Losses that follow each other more closely than this are one outage: a broker's end is noticed connection by connection.
const OUTAGE_QUIET: Duration = Duration::from_millis(250);

/// Events come at most this often, and at least with every hundredth of the file.
const EVENT_EVERY: Duration = Duration::from_millis(50);

pub(crate) struct Report {
    as_json: bool,
    bar: ProgressBar,
    began: Instant,
    lines: u64,
    acked: u64,
    duplicates: u64,
    /// Losses so far of an outage that may go on, and when the last one was.
    outage: Option<(Losses, Instant)>,
    outages: Vec<Losses>,
    told_at: Instant,
    told_acked: u64,
}

#[derive(Serialize)]
struct Summary {
    lines: u64,
    acked: u64,
    published: u64,
    duplicates: u64,
    reconnects: u64,
    /// How many publishes were unacked when connections were lost, outage by outage.
    unacked_at_losses: Vec<u64>,
    seconds: f64,
}

impl Report {
    pub(crate) fn new(as_json: bool, lines: u64) -> Self {
        let target = if as_json {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(lines), target);
        let style = "{wide_bar} {human_pos}/{human_len} {per_sec} eta {eta}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self {
            as_json,
            bar,
            began: now,
            lines,
            acked: 0,
            duplicates: 0,
            outage: None,
            outages: Vec::new(),
            told_at: now,
            told_acked: 0,
        }
    }

    pub(crate) fn acked(&mut self, is_duplicate: bool) {
        self.acked += 1;
        self.duplicates += u64::from(is_duplicate);
    }

    /// Connections were lost.
    pub(crate) fn lost(&mut self, losses: Losses) {
        if losses == Losses::default() {
            return;
        }
        let (sum, _) = self.outage.unwrap_or((Losses::default(), Instant::now()));
        self.outage = Some((sum.plus(losses), Instant::now()));
    }

    /// Shows how far it is, not too often.
    pub(crate) fn tell(&mut self) {
        if self
            .outage
            .is_some_and(|(_, last)| last.elapsed() >= OUTAGE_QUIET)
        {
            self.end_outage();
        }
        self.bar.set_position(self.acked);
        let fresh = self.acked - self.told_acked;
        let is_time = self.told_at.elapsed() >= EVENT_EVERY || fresh * 100 >= self.lines;
        if self.as_json && is_time && fresh > 0 {
            (self.told_at, self.told_acked) = (Instant::now(), self.acked);
            note(json!({ "event": "progress", "acked": self.acked, "lines": self.lines }));
        }
    }

    fn end_outage(&mut self) {
        let Some((losses, _)) = self.outage.take() else {
            return;
        };
        self.outages.push(losses);
        if self.as_json {
            note(
                json!({ "event": "outage", "connections": losses.connections, "unacked": losses.unacked }),
            );
        } else {
            self.bar
                .set_message(format!("{} outages", self.outages.len()));
        }
    }

    /// The replay ended before its time.
    pub(crate) fn stopped(&self) {
        self.bar.abandon();
        if !self.as_json {
            let (acked, lines) = (self.acked, self.lines);
            note(format_args!(
                "\nstopped at {acked} of {lines}; run the same command again to go on: nothing is published twice"
            ));
        }
    }

    pub(crate) fn finish(mut self, output: &mut Output) -> Result<(), Failure> {
        self.end_outage();
        self.bar.finish_and_clear();
        let seconds = self.began.elapsed().as_secs_f64();
        let reconnects = self.outages.iter().map(|outage| outage.connections).sum();
        let unacked: Vec<u64> = self.outages.iter().map(|outage| outage.unacked).collect();
        let published = self.acked - self.duplicates;
        if output.is_json() {
            return output.object(&Summary {
                lines: self.lines,
                acked: self.acked,
                published,
                duplicates: self.duplicates,
                reconnects,
                unacked_at_losses: unacked,
                seconds,
            });
        }
        let rate = self.acked as f64 / seconds.max(1e-9);
        output.line(format_args!(
            "{published} published, {} duplicates, in {seconds:.1} s ({rate:.0}/s)",
            self.duplicates
        ))?;
        if unacked.is_empty() {
            return Ok(());
        }
        output.line(format_args!("{reconnects} connections lost and opened again; publishes unacked at each outage: {unacked:?}"))
    }
}
