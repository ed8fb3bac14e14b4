//! `antiphon cluster init`: the file that the nodes of a new cluster share.

use antiphon_server::config::new_cluster;
use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the settings of a new cluster on this machine, as a file for `serve --config`; each node adds --set data.node=N.
    Init(Init),
}

#[derive(Args, Debug)]
struct Init {
    /// How many nodes; of an even number, no more may fail than of one less.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=7))]
    nodes: u8,
}

impl Cluster {
    pub(crate) fn run(self, output: &mut Output) -> Result<(), Failure> {
        let Action::Init(init) = self.action;
        let text = new_cluster(init.nodes).map_err(|error| Failure::failed(&error))?;
        output.bytes(text.as_bytes())
    }
}
