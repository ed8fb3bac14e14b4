//! `antiphon bench report`: a result as a page.

use std::path::PathBuf;

use antiphon_bench::report::{Report as Page, markdown};
use antiphon_bench::rivals::found::TournamentFile;
use clap::Args;

use super::failure;
use crate::failure::Failure;
use crate::output::{Output, note};

#[derive(Args, Debug)]
pub(super) struct Report {
    /// What a workload or `rivals` wrote.
    #[arg(value_name = "RESULT.json")]
    result: PathBuf,

    /// Where the page goes.
    #[arg(long, default_value = "report.html", value_name = "FILE")]
    out: PathBuf,

    /// Print the table of `rivals` as Markdown instead.
    #[arg(long)]
    markdown: bool,
}

impl Report {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let file = TournamentFile::read(&self.result).map_err(|error| failure(&error))?;
        if self.markdown {
            return output.bytes(markdown::table(&file).as_bytes());
        }
        let page = if file.rows.is_empty() {
            Page::of(&file.result)
        } else {
            Page::of_rivals(&file)
        };
        page.write(&self.out).map_err(|error| failure(&error))?;
        note(format_args!("report in {}", self.out.display()));
        Ok(())
    }
}
