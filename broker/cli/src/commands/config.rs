//! `antiphon config check|show`.

use std::path::PathBuf;

use antiphon_server::{Sources, config};
use clap::{Args, Subcommand};

use crate::commands::settings::{Settings, refused};
use crate::failure::Failure;
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether the configuration will do, and if not, what is wrong in which line.
    Check(Named),
    /// Print every setting with its value and where that came from; the output is itself a configuration file.
    Show(Named),
}

#[derive(Args, Debug)]
struct Named {
    /// The file; the same as --config FILE, before which it goes.
    file: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Named {
    fn sources(self) -> Result<Sources, Failure> {
        self.settings.sources_with(self.file)
    }
}

impl Config {
    pub(crate) fn run(self, output: &mut Output) -> Result<(), Failure> {
        let text = match self.action {
            Action::Check(named) => config::check(&named.sources()?),
            Action::Show(named) => config::show(&named.sources()?),
        };
        output.bytes(text.map_err(|error| refused(&error))?.as_bytes())
    }
}
