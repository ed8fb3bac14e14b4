//! Where the `antiphon` binary is.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// The binary of the same build profile as the running program, built first so that it is never an old one.
///
/// `ANTIPHON_BINARY` names another one, which is taken as it is.
///
/// # Errors
/// The build fails, or the running program does not lie in a target folder.
pub fn antiphon() -> io::Result<PathBuf> {
    if let Some(path) = env::var_os("ANTIPHON_BINARY") {
        return Ok(path.into());
    }
    // target/PROFILE/kill-replay, or target/PROFILE/deps/a_test-0123456789abcdef.
    let program = env::current_exe()?;
    let folder = program
        .ancestors()
        .skip(1)
        .find(|folder| folder.file_name().is_some_and(|name| name != "deps"));
    let folder =
        folder.ok_or_else(|| io::Error::other("the running program lies in no target folder"))?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => "dev",
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let mut build = Command::new(cargo);
    build.args([
        "build",
        "--quiet",
        "--package",
        "antiphon",
        "--profile",
        profile,
        "--manifest-path",
        manifest,
    ]);
    if let Some(target) = folder.parent() {
        build.arg("--target-dir").arg(target);
    }
    let status = build.status()?;
    if !status.success() {
        return Err(io::Error::other(
            "cargo build of antiphon failed; set ANTIPHON_BINARY to use one that is built",
        ));
    }
    Ok(folder.join("antiphon"))
}
