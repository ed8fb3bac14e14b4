//! Says hello in a room and reads it back: `cargo run -p antiphon-client --example hello`, with `antiphon serve` running.
//!
//! Takes the broker's address as its argument; 127.0.0.1:7411 without one.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use antiphon_client::{Client, ClientOptions, Delivery, Start};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:7411".into());
    run(&address, &mut std::io::stdout())
}

pub(crate) fn run(address: &str, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let client = Client::connect(ClientOptions::new(address).user("ann"))?;

    // The past (at most two records) and the present, as one stream.
    let mut lobby = client.subscribe("lobby", Start::Last(2))?;

    // Returns once the record is synced to disk.
    let receipt = client.publish("lobby", "hello")?;
    writeln!(out, "stored as {}", receipt.seq)?;

    while let Some(delivery) = lobby.next_timeout(Duration::from_secs(10))? {
        if let Delivery::Record(record) = &delivery {
            writeln!(
                out,
                "{} {}: {}",
                record.seq,
                record.sender_text(),
                record.text()
            )?;
        }
        if delivery.position() == receipt.position() {
            break;
        }
    }
    client.close(Duration::from_secs(5))?;
    Ok(())
}
