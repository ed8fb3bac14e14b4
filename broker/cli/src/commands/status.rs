//! `antiphon status`: what a node does right now, one line an interval, from its admin port.
//!
//! Two scrapes of `/metrics` make one line: sizes are those of the second, rates and the sync time those of the time between.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use antiphon_server::config::DEFAULT_ADMIN_PORT;
use clap::Args;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::interrupt::{Interrupt, NOTICE};
use crate::limits::{ANSWER_DEADLINE, METRICS_BYTES_MAX, STATUS_HEAD_EVERY};
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Status {
    /// The node's admin port; it serves one with admin.enabled = true.
    #[arg(long, env = "ANTIPHON_ADMIN", value_name = "IP:PORT", default_value_t = SocketAddr::from(([127, 0, 0, 1], DEFAULT_ADMIN_PORT)))]
    admin: SocketAddr,
    /// One line, then end.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
}

/// All numbers of one scrape, summed over cores. Buckets of the sync time stand apart: their end in seconds, and how many syncs
/// took at most that.
#[derive(Clone, Debug, Default, PartialEq)]
struct Scrape {
    values: HashMap<String, f64>,
    sync_buckets: Vec<(f64, f64)>,
}

/// One line.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    uptime_s: u64,
    connections: u64,
    subscriptions: u64,
    rooms: u64,
    /// Requests of readers behind that are under way.
    behind: u64,
    /// Readers that fell behind, a second.
    turned_behind_per_s: f64,
    published_per_s: f64,
    delivered_per_s: f64,
    errors_per_s: f64,
    syncs_per_s: f64,
    /// Upper end of the bucket that holds the 99th of 100 syncs; null if there was none, or it took longer than all ends.
    sync_p99_ms: Option<f64>,
    partitions_impaired: u64,
}

impl Status {
    pub(crate) fn run(self, output: &mut Output) -> Result<(), Failure> {
        let interrupt = Interrupt::install()?;
        let interval = Duration::from_secs(self.interval);
        let mut before = scrape(self.admin)?;
        for number in 0_u64.. {
            let due = Instant::now() + interval;
            while Instant::now() < due {
                interrupt.check()?;
                std::thread::sleep(NOTICE.min(due.saturating_duration_since(Instant::now())));
            }
            let now = scrape(self.admin)?;
            let line = Line::between(&before, &now);
            if output.is_json() {
                output.object(&line)?;
            } else {
                if number % STATUS_HEAD_EVERY == 0 {
                    output.line(HEAD)?;
                }
                output.line(line.text())?;
            }
            output.flush()?;
            if self.once {
                break;
            }
            before = now;
        }
        Ok(())
    }
}

/// Above the lines, now and then.
const HEAD: &str = "   conns     subs    rooms  behind   pub/s   dlv/s   err/s  sync/s  p99 sync";

impl Line {
    fn between(before: &Scrape, now: &Scrape) -> Line {
        let size = |name: &str| now.value(name) as u64;
        let seconds = now.value("uptime_seconds") - before.value("uptime_seconds");
        let rate = |name: &str| {
            let more = now.value(name) - before.value(name);
            // A node that was started again counts from 0: no rate is better than a negative one.
            if seconds > 0.0 && more > 0.0 {
                more / seconds
            } else {
                0.0
            }
        };
        Line {
            uptime_s: size("uptime_seconds"),
            connections: size("connections"),
            subscriptions: size("subscriptions"),
            rooms: size("rooms"),
            behind: size("pulls_in_flight"),
            turned_behind_per_s: rate("turned_behind_total"),
            published_per_s: rate("records_published_total"),
            delivered_per_s: rate("deliveries_total"),
            errors_per_s: rate("errors_total"),
            syncs_per_s: rate("sync_duration_seconds_count"),
            sync_p99_ms: now.sync_p99(before).map(|seconds| seconds * 1e3),
            partitions_impaired: size("partitions_impaired"),
        }
    }

    fn text(&self) -> String {
        let p99 = self
            .sync_p99_ms
            .map_or_else(|| "-".to_owned(), |ms| format!("<= {ms:.3} ms"));
        let impaired = match self.partitions_impaired {
            0 => String::new(),
            count => format!("  {count} partitions impaired"),
        };
        format!(
            "{:8} {:8} {:8} {:7} {:7.0} {:7.0} {:7.0} {:7.0}  {p99}{impaired}",
            self.connections,
            self.subscriptions,
            self.rooms,
            self.behind,
            self.published_per_s,
            self.delivered_per_s,
            self.errors_per_s,
            self.syncs_per_s,
        )
    }
}

impl Scrape {
    fn parse(text: &str) -> Scrape {
        let mut scrape = Scrape::default();
        for line in text.lines() {
            let Some((name, value)) = line
                .strip_prefix("antiphon_")
                .and_then(|line| line.rsplit_once(' '))
            else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else {
                continue;
            };
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            if name == "sync_duration_seconds_bucket" {
                let end = labels
                    .split("le=\"")
                    .nth(1)
                    .and_then(|end| end.split('"').next());
                if let Some(end) = end.and_then(|end| end.parse().ok()) {
                    scrape.sync_buckets.push((end, value));
                }
            } else {
                *scrape.values.entry(name.to_owned()).or_default() += value;
            }
        }
        scrape
    }

    fn value(&self, name: &str) -> f64 {
        self.values.get(name).copied().unwrap_or(0.0)
    }

    /// The end of the bucket in which the 99th of 100 syncs since `before` lies, in seconds.
    fn sync_p99(&self, before: &Scrape) -> Option<f64> {
        let since = |index: usize, count: f64| {
            count
                - before
                    .sync_buckets
                    .get(index)
                    .map_or(0.0, |(_, count)| *count)
        };
        let all = since(
            self.sync_buckets.len().checked_sub(1)?,
            self.sync_buckets.last()?.1,
        );
        if all <= 0.0 {
            return None;
        }
        let mut buckets = self.sync_buckets.iter().enumerate();
        let found = buckets.find(|(index, (_, count))| since(*index, *count) >= 0.99 * all);
        found
            .map(|(_, (end, _))| *end)
            .filter(|end| end.is_finite())
    }
}

/// Asks the admin port for all numbers.
fn scrape(admin: SocketAddr) -> Result<Scrape, Failure> {
    let trouble = |told: &dyn std::fmt::Display| {
        Failure::new(Exit::Unreachable, format_args!("no metrics from {admin}: {told}"))
            .next("start the node with `antiphon serve --set admin.enabled=true`, or name its admin port with --admin")
    };
    let mut answer = String::new();
    let read = TcpStream::connect_timeout(&admin, ANSWER_DEADLINE).and_then(|mut stream| {
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        stream.set_write_timeout(Some(ANSWER_DEADLINE))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
        stream.take(METRICS_BYTES_MAX).read_to_string(&mut answer)
    });
    read.map_err(|error| trouble(&error))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| trouble(&"that is no HTTP"))?;
    if head.split(' ').nth(1) != Some("200") || !body.ends_with("# EOF\n") {
        return Err(trouble(&head.lines().next().unwrap_or_default()));
    }
    Ok(Scrape::parse(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(uptime: u32, records: [u32; 2], buckets: [u32; 3]) -> Scrape {
        Scrape::parse(&format!(
            "# HELP antiphon_connections Connections.\n\
             antiphon_connections{{node=\"1\",core=\"0\"}} 3\n\
             antiphon_connections{{node=\"1\",core=\"1\"}} 4\n\
             antiphon_records_published_total{{node=\"1\",core=\"0\"}} {}\n\
             antiphon_records_published_total{{node=\"1\",core=\"1\"}} {}\n\
             antiphon_uptime_seconds{{node=\"1\"}} {uptime}.5\n\
             antiphon_sync_duration_seconds_count{{node=\"1\"}} {}\n\
             antiphon_sync_duration_seconds_bucket{{le=\"0.001\",node=\"1\"}} {}\n\
             antiphon_sync_duration_seconds_bucket{{le=\"0.002\",node=\"1\"}} {}\n\
             antiphon_sync_duration_seconds_bucket{{le=\"+Inf\",node=\"1\"}} {}\n# EOF\n",
            records[0], records[1], buckets[2], buckets[0], buckets[1], buckets[2],
        ))
    }

    #[test]
    fn sizes_are_of_now_and_rates_of_the_time_between() {
        let before = scrape(10, [100, 50], [900, 900, 900]);
        let line = Line::between(&before, &scrape(12, [130, 60], [950, 1_000, 1_000]));
        assert_eq!((line.connections, line.uptime_s), (7, 12));
        assert!((line.published_per_s - 20.0).abs() < 1e-9);
        assert!((line.syncs_per_s - 50.0).abs() < 1e-9);
        assert_eq!(line.sync_p99_ms, Some(2.0));
    }

    #[test]
    fn a_sync_beyond_all_ends_has_no_p99_and_a_node_started_again_no_negative_rate() {
        let before = scrape(10, [100, 50], [0, 0, 0]);
        let line = Line::between(&before, &scrape(11, [0, 0], [0, 50, 100]));
        assert_eq!((line.sync_p99_ms, line.published_per_s), (None, 0.0));
        let quiet = Line::between(&before, &before);
        assert_eq!((quiet.sync_p99_ms, quiet.syncs_per_s), (None, 0.0));
    }
}
