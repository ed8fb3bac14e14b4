//! Programs of the system that power loss needs, and in which package each is.

use std::env;
use std::path::{Path, PathBuf};

/// The kernel that runs as a process.
pub(crate) const KERNEL: &str = "linux.uml";
/// Shell and tools of the guest; must be a static one.
pub(crate) const BUSYBOX: &str = "busybox";
/// Makes the disk.
pub(crate) const MAKE_FILE_SYSTEM: &str = "mkfs.ext4";
/// Tells which libraries a program loads.
pub(crate) const LIBRARIES: &str = "ldd";
/// Lies to the broker in the guest.
pub(crate) const STRACE: &str = "strace";

const PACKAGES: [(&str, &str); 5] = [
    (KERNEL, "user-mode-linux"),
    (BUSYBOX, "busybox-static"),
    (MAKE_FILE_SYSTEM, "e2fsprogs"),
    (LIBRARIES, "libc-bin"),
    (STRACE, "strace"),
];

/// What is not here, one line each.
pub(crate) fn missing(needs_strace: bool) -> Vec<String> {
    let packages = PACKAGES.iter();
    packages
        .filter(|(program, _)| needs_strace || *program != STRACE)
        .filter(|(program, _)| find(program).is_none())
        .map(|(program, package)| format!("{program} is not here (Debian package {package})"))
        .collect()
}

/// Where a program is: as the shell finds it, or where only root's shell looks.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let for_root = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(for_root)
        .map(|folder| folder.join(program))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_name_and_one_that_is_nowhere_is_not() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
