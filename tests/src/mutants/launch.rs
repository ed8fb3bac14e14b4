//! Runs the `sim` that has the planted bugs in it.

use std::process::Command;

/// Hands the arguments on to a build with the feature.
pub(crate) fn main(args: &[String]) -> Result<bool, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let status = Command::new(cargo)
        .args([
            "run",
            "--quiet",
            "--profile",
            "sim",
            "--manifest-path",
            manifest,
        ])
        .args([
            "--features",
            "planted-bugs",
            "--bin",
            "sim",
            "--",
            "mutants",
        ])
        .args(args)
        .status();
    let status = status.map_err(|error| format!("cargo cannot be run: {error}"))?;
    Ok(status.success())
}
