//! What some faults need of the machine, whether it is here, and what to say if it is not.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something that not every machine lets a test have.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Means {
    /// `strace`, and the right to trace.
    Strace,
    /// The right to mount a file system.
    Mount,
    /// The right to use a file as a disk, and a program that makes an ext4 file system on it.
    Loop,
}

impl Means {
    /// Why it is not to be had; `None`: it is.
    pub fn missing(self) -> Option<String> {
        let tried = match self {
            Means::Strace => try_strace(),
            Means::Mount => try_mount(),
            Means::Loop => try_loop(),
        };
        tried.err().map(|error| error.to_string())
    }
}

fn try_strace() -> io::Result<()> {
    let run = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"])
        .args(["-e", "inject=fdatasync:error=EIO:when=1"])
        .arg("true")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| missing("strace cannot be started (package strace)", &error))?;
    if run.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    Err(missing("strace may not trace (CAP_SYS_PTRACE)", &told))
}

fn try_mount() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    Mounted::tmpfs(folder.path(), "1m").map(drop)
}

fn try_loop() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("place");
    fs::create_dir(&place)?;
    Mounted::ext4(&place, &folder.path().join("image"), 16 << 20).map(drop)
}

fn missing(what: &str, why: &impl ToString) -> io::Error {
    io::Error::other(format!("{what}: {}", why.to_string().trim()))
}

/// Runs a program of the system to its end.
fn run(program: &str, args: &[OsString]) -> io::Result<()> {
    let ran = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| missing(program, &error))?;
    if ran.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    Err(missing(program, &told))
}

/// A file system that is mounted as long as the value lives.
#[derive(Debug)]
pub struct Mounted {
    place: PathBuf,
}

impl Mounted {
    /// A file system in memory of this size, on an existing folder.
    ///
    /// # Errors
    /// It may not be mounted.
    pub fn tmpfs(place: &Path, size: &str) -> io::Result<Self> {
        let size = format!("size={size}").into();
        let words = [
            "-t".into(),
            "tmpfs".into(),
            "-o".into(),
            size,
            "none".into(),
        ];
        Self::mount(&words, place)
    }

    /// An ext4 file system of `bytes` in the file `image`, which is made, on an existing folder.
    ///
    /// # Errors
    /// It cannot be made, or may not be mounted.
    pub fn ext4(place: &Path, image: &Path, bytes: u64) -> io::Result<Self> {
        File::create(image)?.set_len(bytes)?;
        run("mkfs.ext4", &["-q".into(), "-F".into(), image.into()])?;
        Self::mount(&["-o".into(), "loop".into(), image.into()], place)
    }

    fn mount(words: &[OsString], place: &Path) -> io::Result<Self> {
        let mut words = words.to_vec();
        words.push(place.into());
        run("mount", &words)?;
        Ok(Self {
            place: place.to_path_buf(),
        })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, so that a process that still holds a file keeps nothing mounted behind our back.
        let unmounted = run("umount", &["-l".into(), self.place.clone().into()]);
        if let Err(error) = unmounted {
            eprintln!("{} stays mounted: {error}", self.place.display());
        }
    }
}

/// The words in front of a broker's command line under which strace meddles with its calls.
///
/// With `-D` it is the broker that is our child; strace looks on from beside, and ends with it. Not with `--seccomp-bpf`: signals
/// are not injected then.
pub fn strace(injection: &str) -> Vec<OsString> {
    let call = injection.split(':').next().unwrap_or_default();
    let words = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e"];
    let mut words: Vec<OsString> = words.map(OsString::from).to_vec();
    words.push(format!("trace={call}").into());
    words.push("-e".into());
    words.push(format!("inject={injection}").into());
    words
}
