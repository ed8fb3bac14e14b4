//! The durable consumer: handles every record of the room `orders` exactly once, also those that came while it was away:
//! `cargo run -p antiphon-client --example consumer -- LEDGER [ADDRESS]`.
//!
//! Exactly once needs the work and the position to be stored *together*: here one line of a ledger holds both. A line that a
//! crash cut short is no line, so its record is handled again, and only then counts. (With a database: one transaction.)

use std::error::Error;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_client::{Client, ClientOptions, Delivery, Position, Start};

/// How long the room may be quiet before the program ends; a service would wait for ever.
const QUIET: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let ledger = PathBuf::from(arguments.next().ok_or("usage: consumer LEDGER [ADDRESS]")?);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7411".into());
    run(&ledger, &address, &mut std::io::stdout())
}

pub(crate) fn run(
    ledger: &Path,
    address: &str,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let (mut ledger, position) = open(ledger)?;
    let client = Client::connect(ClientOptions::new(address).user("orders-consumer"))?;
    let mut orders = client.subscribe("orders", Start::After(position))?;
    let mut handled = 0;
    while let Some(delivery) = orders.next_timeout(QUIET)? {
        let position = orders.position();
        match delivery {
            Delivery::Record(record) => writeln!(ledger, "{position} {}", record.text())?,
            Delivery::Gap(gap) => {
                writeln!(ledger, "{position} (up to {}: {})", gap.to, gap.reason)?
            }
            _ => {}
        }
        handled += 1;
    }
    ledger.sync_all()?;
    writeln!(
        out,
        "{handled} handled, the next one is behind {}",
        orders.position()
    )?;
    Ok(())
}

/// The ledger, ready to go on behind its last whole line, and the position there.
fn open(path: &Path) -> Result<(File, Position), Box<dyn Error>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let position = match text[..whole].lines().last() {
        Some(line) => line.split(' ').next().unwrap_or_default().parse()?,
        None => Position::BEGINNING,
    };
    let file = File::options().create(true).append(true).open(path)?;
    file.set_len(u64::try_from(whole)?)?;
    Ok((file, position))
}
