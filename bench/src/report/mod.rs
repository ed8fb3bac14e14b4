//! `report.html`: a result as a page that can be looked at, sent and kept. One file, nothing is loaded from elsewhere.
//!
//! Rust gathers what is to be seen ([`Report`]); `report.js` draws it as SVG. The page says on its root element how many plots it
//! has (`data-plots`), which of them are empty (`data-broken`), and which script errors came (`data-errors`).

mod data;
pub mod markdown;

use std::fs;
use std::path::Path;

pub use self::data::Report;
use crate::error::BenchError;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

impl Report {
    /// The page.
    #[must_use]
    pub fn html(&self) -> String {
        let json = serde_json::to_string(self).expect("a report has only strings as keys");
        // Inside of a script element nothing may look like its end.
        let json = json.replace('<', "\\u003c");
        let title = escaped(&self.title);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main></main>\n\
             <script id=\"data\" type=\"application/json\">{json}</script>\n\
             <script>\n{SCRIPT}</script>\n</body>\n</html>\n"
        )
    }

    /// Writes the page.
    ///
    /// # Errors
    /// [`BenchError::File`].
    pub fn write(&self, path: &Path) -> Result<(), BenchError> {
        fs::write(path, self.html()).map_err(|error| BenchError::File {
            path: path.to_owned(),
            error,
        })
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
