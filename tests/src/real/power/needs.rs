//! Programs of the system that power loss needs, and in which package each is.

use std::env;
use std::fs;
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

/// Puts a disk that can be told to fail in front of the guest's.
const DEVICE_MAPPER: &str = "dmsetup";
/// The part of the guest's kernel for that.
pub(crate) const MODULE: &str = "dm-mod.ko";
/// Where modules of that kernel are, by its version.
const MODULES: &str = "/usr/lib/uml/modules";

/// What happens beside cuts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// Nothing.
    Cuts,
    /// From some sync on, syncs are claimed and not done.
    Lie,
    /// The disk fails for a moment; the power is cut once the broker has ended.
    Errors,
}

impl Trouble {
    /// Programs that the guest needs for it.
    pub(crate) fn programs(self) -> Vec<&'static str> {
        match self {
            Trouble::Cuts => vec![BUSYBOX],
            Trouble::Lie => vec![BUSYBOX, STRACE],
            Trouble::Errors => vec![BUSYBOX, DEVICE_MAPPER],
        }
    }
}

const PACKAGES: [(&str, &str); 6] = [
    (KERNEL, "user-mode-linux"),
    (BUSYBOX, "busybox-static"),
    (MAKE_FILE_SYSTEM, "e2fsprogs"),
    (LIBRARIES, "libc-bin"),
    (STRACE, "strace"),
    (DEVICE_MAPPER, "dmsetup"),
];

/// What is not here, one line each.
pub(crate) fn missing(trouble: Trouble) -> Vec<String> {
    let mut needed = vec![KERNEL, MAKE_FILE_SYSTEM, LIBRARIES];
    needed.extend(trouble.programs());
    let packages = PACKAGES.iter();
    let mut missing: Vec<String> = packages
        .filter(|(program, _)| needed.contains(program))
        .filter(|(program, _)| find(program).is_none())
        .map(|(program, package)| format!("{program} is not here (Debian package {package})"))
        .collect();
    if trouble == Trouble::Errors && device_mapper().is_none() {
        missing.push(format!(
            "no {MODULE} below {MODULES} (Debian package user-mode-linux)"
        ));
    }
    missing
}

/// The module of the guest's kernel that maps disks.
pub(crate) fn device_mapper() -> Option<PathBuf> {
    let versions = fs::read_dir(MODULES).ok()?;
    versions
        .filter_map(Result::ok)
        .map(|version| version.path().join("kernel/drivers/md").join(MODULE))
        .find(|module| module.is_file())
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
