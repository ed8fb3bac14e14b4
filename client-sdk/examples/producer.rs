//! The durable producer: publishes the lines of a file to the room `orders`, each exactly once, however often it is killed and
//! started again: `cargo run -p antiphon-client --example producer -- FILE [ADDRESS]`.
//!
//! It keeps one thing, beside the file: the producer that the broker gave it. Line n always has number n, so whatever an
//! earlier run has published already is answered with its first receipt. (The broker knows a producer for 7 days.)

use std::error::Error;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_client::{Client, ClientOptions, Message, Producer, ProducerSeq, Receipts};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = PathBuf::from(arguments.next().ok_or("usage: producer FILE [ADDRESS]")?);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:7411".into());
    run(&file, &address, &mut std::io::stdout())
}

pub(crate) fn run(file: &Path, address: &str, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let kept = file.with_extension("producer");
    let options = ClientOptions::new(address).user("orders-producer");
    let client = match fs::read_to_string(&kept) {
        Ok(text) => Client::connect(options.producer(Producer(text.trim().parse()?)))?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let client = Client::connect(options.keep_producer())?;
            // Kept before anything is published under it.
            store(&kept, client.producer())?;
            client
        }
        Err(error) => return Err(error.into()),
    };

    let mut receipts = Receipts::new();
    for (number, line) in (1..).zip(fs::read_to_string(file)?.lines()) {
        let message = Message::new(line).producer_seq(ProducerSeq(number));
        receipts.add(number, client.publish_pipelined("orders", message)?);
    }
    let (mut new, mut known) = (0, 0);
    for (number, receipt) in &mut receipts {
        let receipt = receipt.map_err(|error| format!("line {number}: {error}"))?;
        *(if receipt.duplicate {
            &mut known
        } else {
            &mut new
        }) += 1;
    }
    writeln!(out, "{new} published, {known} were there already")?;
    client.close(Duration::from_secs(5))?;
    Ok(())
}

fn store(kept: &Path, producer: Producer) -> Result<(), Box<dyn Error>> {
    let new = kept.with_extension("producer-new");
    let mut file = fs::File::create(&new)?;
    write!(file, "{}", producer.0)?;
    file.sync_all()?;
    fs::rename(new, kept)?;
    Ok(())
}
