//! `antiphon completions SHELL`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// Which shell; for bash: antiphon completions bash > ~/.local/share/bash-completion/completions/antiphon
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, output: &mut Output) -> Result<(), Failure> {
        // clap_complete panics if it cannot write, so it writes to memory.
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut Arguments::command(),
            "antiphon",
            &mut script,
        );
        output.bytes(&script)
    }
}
