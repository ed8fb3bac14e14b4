//! `report.html` in a real browser: every plot shows something, no script fails, in light and in dark.
//!
//! Skipped with a line when chromium is not installed.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use antiphon_bench::meter::{Bucket, Latency, Point};
use antiphon_bench::report::Report;
use antiphon_bench::result::{Better, FORMAT, Load, Metric, ResultFile, Run, VERSION};
use antiphon_bench::rivals::found::TournamentFile;
use antiphon_bench::rivals::plan::{curves, rows};
use antiphon_bench::rivals::system::System;
use antiphon_bench::rivals::tournament::{Rounds, Step, Tournament};
use antiphon_bench::server::find;
use antiphon_bench::target::Durability;

/// A run with all that a report shows. Figures are made of the system and the round.
fn run(step: &Step<'_>) -> Run {
    let systems = &curves()[0].systems;
    let place = systems.iter().position(|system| *system == step.system);
    let speed = 1.0 + place.map_or(5.0, |place| place as f64) + 0.1 * f64::from(step.pair);
    let configuration = step.workload.configuration();
    let subscribers = configuration.get("subscribers");
    let subscribers: f64 = subscribers.map_or(1.0, |text| text.parse().unwrap_or(1.0));
    let (kind, plural) = match step.workload.name() {
        "publish" => ("ack", "acks"),
        "connect" => ("connect", "connects"),
        "history" => ("history", "reads"),
        _ => ("delivery", "deliveries"),
    };
    let buckets = (0..60).map(|n| Bucket {
        upto_us: 50.0 * speed * 1.1_f64.powi(n),
        count: 1 + 100_000 / (1 + u64::try_from((n - 9).abs()).unwrap_or(0).pow(3)),
    });
    let latency = Latency {
        buckets: buckets.collect(),
        ..Latency::default()
    };
    let point = |n: u32| Point {
        at_s: 0.25 * f64::from(n),
        per_s: 1e6 / speed * (1.0 + 0.05 * f64::from(n % 3)),
        p50_us: 50.0,
        p99_us: 500.0,
        max_us: 900.0,
    };
    let durability = Durability {
        acked: "after a test".to_owned(),
        synced_before_ack: step.system == System::Records,
        synced_before_delivery: false,
    };
    Run {
        workload: step.workload.name().to_owned(),
        target: step.system.name(),
        pair: step.pair,
        configuration,
        settings: vec!["a < b = </script>".to_owned()],
        durability,
        seconds: 1.5,
        metrics: metrics(kind, plural, speed, subscribers),
        latency: BTreeMap::from([(kind.to_owned(), latency)]),
        series: BTreeMap::from([(kind.to_owned(), (1..=6).map(point).collect())]),
        verdict: Default::default(),
        memory: Default::default(),
        generator: Load {
            busy_share: 0.2,
            cpu_share: 0.3,
            stolen_share: 0.0,
        },
        notes: Vec::new(),
    }
}

fn metrics(kind: &str, plural: &str, speed: f64, subscribers: f64) -> Vec<Metric> {
    let metric = |name: String, value, better| Metric::new(&name, value, "1/s", better);
    let time = |name: String, value| Metric::new(&name, value, "us", Better::Lower);
    let cost = |name, value, unit| Metric::new(name, value, unit, Better::Lower);
    let cpu_s = speed * (0.3 + 5.0 / subscribers);
    vec![
        metric(format!("{plural}_per_s"), 1e6 / speed, Better::Higher),
        metric(format!("{plural}_per_cpu_s"), 2e6 / speed, Better::Higher),
        time(format!("{kind}_p50_us"), 90.0 * speed),
        time(format!("{kind}_p99_us"), 900.0 * speed),
        cost("anonymous_bytes_per_connection", 300.0 * speed, "bytes"),
        cost("cpu_s_per_million_deliveries", cpu_s, "s"),
    ]
}

/// All rows of the plan and the growth curve, as if everything were installed.
fn tournament() -> TournamentFile {
    let rounds = Rounds {
        judged: 3,
        told: 1,
        growth: 1,
    };
    let mut runner = |step: &Step<'_>| -> Result<_, std::convert::Infallible> { Ok(Ok(run(step))) };
    let mut tournament = Tournament::new(rounds, &mut runner);
    for row in rows() {
        let Ok(_) = tournament.row(&row);
    }
    for curve in curves() {
        let Ok(()) = tournament.curve(&curve);
    }
    let found = tournament.found;
    TournamentFile {
        result: ResultFile {
            format: FORMAT.to_owned(),
            version: VERSION,
            started_at: 1_798_761_599,
            command: ["bench".to_owned(), "rivals".to_owned()].into(),
            commit: "0123456789ab".to_owned(),
            profile: "release".to_owned(),
            machine: Default::default(),
            runs: found.runs.into_iter().map(|(_, run)| run).collect(),
        },
        programs: Vec::new(),
        rows: found.rows,
        not_yet: vec![("something".to_owned(), "needs something else".to_owned())],
        notes: Vec::new(),
    }
}

/// An attribute of the page's root element, as the script left it.
fn attribute<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = page.split_once(&format!("data-{name}=\""))?;
    behind.split('"').next()
}

fn chromium(folder: &Path, arguments: &[&str], hash: &str) -> Result<String, Box<dyn Error>> {
    let page = format!("file://{}{hash}", folder.join("report.html").display());
    let ran = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .args(["--virtual-time-budget=3000", "--window-size=1280,2400"])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .args(arguments)
        .arg(page)
        .env("HOME", folder)
        .output()?;
    Ok(String::from_utf8(ran.stdout)?)
}

#[test]
fn a_browser_shows_every_plot_and_no_script_fails() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    Report::of_rivals(&tournament()).write(&folder.path().join("report.html"))?;
    if find("chromium").is_none() {
        println!("skipped: chromium is not installed; get it with: apt-get install chromium");
        return Ok(());
    }
    let groups = rows().len();
    let also = rows().iter().filter(|row| row.also.is_some()).count();
    for hash in ["#light", "#dark"] {
        let page = chromium(folder.path(), &["--dump-dom"], hash)?;
        assert_eq!(attribute(&page, "errors"), None, "{hash}");
        assert_eq!(attribute(&page, "broken"), Some(""), "{hash}");
        // The glance, the growth curves, three a row, and one for each second figure.
        let expected = (1 + curves().len() + 3 * groups + also).to_string();
        assert_eq!(attribute(&page, "plots"), Some(expected.as_str()), "{hash}");
        assert_eq!(attribute(&page, "theme"), Some(&hash[1..]));
    }
    let image = folder.path().join("report.png");
    let screenshot = format!("--screenshot={}", image.display());
    chromium(folder.path(), &[&screenshot], "#light")?;
    let bytes = fs::read(&image)?;
    assert!(bytes.starts_with(b"\x89PNG"));
    // A page of one colour takes a tenth of this.
    assert!(bytes.len() > 60_000, "{} bytes", bytes.len());
    Ok(())
}

#[test]
fn an_empty_plot_and_a_script_error_are_told() -> Result<(), Box<dyn Error>> {
    if find("chromium").is_none() {
        println!("skipped: chromium is not installed; get it with: apt-get install chromium");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let page = folder.path().join("report.html");
    let mut file = tournament();
    // A figure that no run has: its bars are empty.
    "no such figure".clone_into(&mut file.rows[0].figure);
    Report::of_rivals(&file).write(&page)?;
    let told = chromium(folder.path(), &["--dump-dom"], "")?;
    let broken = attribute(&told, "broken").unwrap_or_default();
    assert!(broken.contains("no such figure"), "{broken}");
    let text = fs::read_to_string(&page)?;
    fs::write(&page, text.replace("build();", "build(); noSuchThing();"))?;
    let told = chromium(folder.path(), &["--dump-dom"], "")?;
    let errors = attribute(&told, "errors").unwrap_or_default();
    assert!(errors.contains("noSuchThing"), "{errors}");
    Ok(())
}

#[test]
fn a_result_without_rivals_has_a_group_for_each_load_and_nothing_ends_the_script_early() {
    let mut file = tournament().result;
    for run in &mut file.runs {
        run.configuration.remove("row");
    }
    let page = Report::of(&file).html();
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(page.contains("\"id\":\"publish\"") && page.contains("\"id\":\"rooms\""));
}
