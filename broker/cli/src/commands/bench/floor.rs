//! `antiphon bench floor`: the process behind the figures called "floor".

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use antiphon_bench::rivals::floor::serve;
use clap::Args;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Args, Debug)]
pub(super) struct Floor {
    /// The file that takes what is to be kept [default: nothing is kept].
    file: Option<PathBuf>,
}

impl Floor {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::failed)?;
        antiphon_bench::affinity::raise_descriptors().map_err(Failure::failed)?;
        let address = listener.local_addr().map_err(Failure::failed)?;
        output.line(address)?;
        output.flush()?;
        serve(listener, self.file.as_deref()).map_err(Failure::failed)
    }
}
