//! What `antiphon config check` and `antiphon config show` print.

use std::fmt::Write;

use crate::config::layer::flatten;
use crate::config::{ConfigError, Loaded, Origin, Sources};

/// Width that the origins are aligned to; longer lines push theirs to the right.
const ORIGIN_COLUMN: usize = 44;

/// Says that the configuration is good, and what it was made of.
///
/// # Errors
/// As [`crate::Config::load`]: what is wrong, where, and what to do.
pub fn check(sources: &Sources) -> Result<String, ConfigError> {
    let loaded = Loaded::load(sources)?;
    let count = |wanted: fn(&Origin) -> bool| {
        loaded
            .origins
            .values()
            .filter(|origin| wanted(origin))
            .count()
    };
    let from_file = count(|origin| matches!(origin, Origin::File(_)));
    let from_env = count(|origin| matches!(origin, Origin::Environment(_)));
    let from_flags = count(|origin| matches!(origin, Origin::Flag));
    let file = sources
        .file
        .as_ref()
        .map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
    Ok(format!(
        "configuration is valid ({file}: {from_file} settings, environment: {from_env}, flags: {from_flags}, the rest by default)\n"
    ))
}

/// The whole configuration as TOML, each value with a comment that says where it came from.
///
/// What is printed is itself a valid configuration file.
///
/// # Errors
/// As [`crate::Config::load`].
pub fn show(sources: &Sources) -> Result<String, ConfigError> {
    let loaded = Loaded::load(sources)?;
    let mut text = String::new();
    let mut section = "";
    let values = flatten(&loaded.config);
    for (key, value) in &values {
        let Some((in_section, field)) = key.split_once('.') else {
            continue;
        };
        if in_section != section {
            let gap = if text.is_empty() { "" } else { "\n" };
            writeln!(text, "{gap}[{in_section}]").expect("a string takes all");
            section = in_section;
        }
        let line = format!("{field} = {value}");
        writeln!(text, "{line:<ORIGIN_COLUMN$} # {}", loaded.origin(key))
            .expect("a string takes all");
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
