//! `antiphon ping`: succeeds only after the broker has greeted and answered.

use clap::Args;
use serde::Serialize;

use crate::connection::Target;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Ping {
    /// How many times.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
}

#[derive(Serialize)]
struct Pong {
    pong: bool,
    micros: u64,
}

impl Ping {
    pub(crate) fn run(self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let client = target.connect("ping")?;
        for _ in 0..self.count {
            let took = client.ping().map_err(|error| target.failure(&error))?;
            if output.is_json() {
                output.object(&Pong {
                    pong: true,
                    micros: took.as_micros().try_into().unwrap_or(u64::MAX),
                })?;
            } else {
                output.line(format_args!("pong in {:.3} ms", took.as_secs_f64() * 1e3))?;
            }
            output.flush()?;
        }
        Ok(())
    }
}
