//! `antiphon redact ROOM SEQ --as USER`: takes a record back that this user sent. Its place stays, its body is shown to nobody any more.

use antiphon_client::{Message, Seq};
use clap::Args;
use serde::Serialize;

use crate::connection::Target;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Redact {
    /// The room.
    room: String,
    /// Seq of the record, as `history` prints it.
    seq: u64,
    /// Who sent it: nobody else may take it back.
    #[arg(long = "as", value_name = "USER", env = "ANTIPHON_USER")]
    user: String,
    /// Why; everybody can read it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Serialize)]
struct Redacted<'a> {
    room: &'a str,
    /// Of the record that says so.
    seq: u64,
    redacted: u64,
}

impl Redact {
    pub(crate) fn run(self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let client = target.connect(&self.user)?;
        let message = Message::redact(Seq(self.seq), &self.reason);
        let receipt = client
            .publish(&self.room, message)
            .map_err(|error| target.publish_failure(&error))?;
        if output.is_json() {
            return output.object(&Redacted {
                room: &self.room,
                seq: receipt.seq.0,
                redacted: self.seq,
            });
        }
        output.line(receipt.seq)
    }
}
