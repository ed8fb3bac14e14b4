//! A disk over its boots: all but the last end by a cut.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::account::Account;
use super::guest::{LAST_PUBLISHES, Read, Told};
use super::machine::{Machine, Orders};
use super::needs::{self, MAKE_FILE_SYSTEM, Trouble};
use crate::history::{History, Room};
use crate::real::server::EXIT_STORAGE;
use crate::sim::random::Random;

/// Size of the disk.
const DISK_BYTES: u64 = 256 << 20;

/// Exit code of `antiphon history` for a room that is not there.
const REFUSED: i32 = 4;

/// strace counts the syncs of each thread. The first ones of a thread make files or elect a leader: lies begin behind them, so that there is
/// something to lose, and early enough that most cuts find some.
const LIES_FROM: (u64, u64) = (4, 12);

/// More than any boot publishes before it is cut.
const PUBLISHES_MAX: u64 = 1_000_000;

/// What to do.
#[derive(Clone, Debug)]
pub(super) struct Life<'a> {
    /// Where files of the run lie.
    pub(super) home: &'a Path,
    /// The guest's root.
    pub(super) initrd: &'a Path,
    /// For people.
    pub(super) origin: String,
    /// Boots that are cut.
    pub(super) cuts: u64,
    /// In each boot.
    pub(super) trouble: Trouble,
}

/// The numbers of a disk, or of several.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// Cuts.
    pub(super) cuts: u64,
    /// Those before anything was published in that boot.
    pub(super) early: u64,
    /// Those after the broker had ended because its disk failed.
    pub(super) failed: u64,
    /// Acks that came over the console.
    pub(super) acks: u64,
    /// Records that were on the disk, and whose ack had not come.
    pub(super) unacked: u64,
}

impl Count {
    pub(super) fn add(&mut self, other: &Count) {
        self.cuts += other.cuts;
        self.early += other.early;
        self.failed += other.failed;
        self.acks += other.acks;
        self.unacked += other.unacked;
    }
}

/// When the power goes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the guest is up: mostly while the broker recovers.
    Early(Duration),
    /// So long after so many acks.
    Acks(u64, Duration),
    /// Once the broker has ended because the disk failed, so long after publishing began.
    Failed(Duration),
    /// Not at all.
    Never,
}

/// How a boot ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// Its power was cut.
    Cut,
    /// In order.
    Ended,
}

/// A boot's progress.
#[derive(Debug)]
struct Boot<'a> {
    account: &'a mut Account,
    count: &'a mut Count,
    moment: Moment,
    /// When the power goes, once that is known.
    cut_at: Option<Instant>,
    acks: u64,
    /// The room that is being read, and what was read of it.
    reading: Option<(Room, Vec<Read>)>,
    is_publishing: bool,
    is_settled: bool,
    is_verified: bool,
}

/// Makes a disk and lives on it. The history is that of all boots.
///
/// # Errors
/// The guest, or a program in it, does not do what it should: not that a promise is broken, which the history tells.
pub(super) fn live(life: &Life<'_>, dice: &mut Random) -> io::Result<(History, Count)> {
    let disk = make_disk(life.home)?;
    let mut account = Account::new(&life.origin);
    let mut count = Count::default();
    for number in 1..=life.cuts + 1 {
        let is_last = number > life.cuts;
        let moment = if is_last {
            Moment::Never
        } else {
            draw(life.trouble, dice)
        };
        let (least, most) = LIES_FROM;
        let lies_from = dice.between(least, most);
        let orders = Orders {
            boot: number,
            publishes_max: if is_last {
                LAST_PUBLISHES
            } else {
                PUBLISHES_MAX
            },
            lies_from: (life.trouble == Trouble::Lie && !is_last).then_some(lies_from),
            fails_after: match moment {
                Moment::Failed(after) => Some(after),
                _ => None,
            },
        };
        account.boots(number);
        let machine = Machine::boot(life.home, life.initrd, &disk, orders)?;
        let ended = Boot::new(&mut account, &mut count, moment).run(machine);
        let ended = ended.map_err(|error| io::Error::other(format!("boot {number}: {error}")))?;
        assert_eq!(
            ended == End::Ended,
            is_last,
            "only the last boot ends in order"
        );
    }
    count.acks = account.acks();
    fs::remove_file(&disk)?;
    Ok((account.finish(), count))
}

fn draw(trouble: Trouble, dice: &mut Random) -> Moment {
    if trouble == Trouble::Errors {
        return Moment::Failed(Duration::from_micros(dice.between(1_000, 600_000)));
    }
    if dice.one_in(6) {
        return Moment::Early(Duration::from_millis(dice.below(1_500)));
    }
    let after = Duration::from_micros(dice.below(20_000));
    Moment::Acks(dice.between(1, 300), after)
}

fn make_disk(home: &Path) -> io::Result<PathBuf> {
    let disk = home.join("disk.img");
    File::create(&disk)?.set_len(DISK_BYTES)?;
    let program = needs::find(MAKE_FILE_SYSTEM).unwrap_or_else(|| MAKE_FILE_SYSTEM.into());
    let made = Command::new(program)
        .args(["-q", "-F"])
        .arg(&disk)
        .stdin(Stdio::null())
        .output()?;
    if !made.status.success() {
        let told = String::from_utf8_lossy(&made.stderr).into_owned();
        return Err(io::Error::other(format!("{MAKE_FILE_SYSTEM}: {told}")));
    }
    Ok(disk)
}

impl<'a> Boot<'a> {
    fn new(account: &'a mut Account, count: &'a mut Count, moment: Moment) -> Self {
        Self {
            account,
            count,
            moment,
            cut_at: None,
            acks: 0,
            reading: None,
            is_publishing: false,
            is_settled: false,
            is_verified: false,
        }
    }

    fn run(mut self, mut machine: Machine) -> io::Result<End> {
        loop {
            let told = match self.cut_at {
                Some(at) if Instant::now() >= at => break,
                Some(at) => machine.next_until(at),
                None => match machine.next()? {
                    Some(told) => Some(told),
                    None => return self.ended(),
                },
            };
            if let Some(told) = told {
                self.hear(told, &mut machine)?;
            }
        }
        self.count.cuts += 1;
        self.count.early += u64::from(!self.is_publishing);
        for told in machine.cut()? {
            // What was being read is not needed any more; acks count to the last one.
            if let Told::Ack { room, seq, link } = told {
                self.account.acked(room, seq, link);
            }
        }
        self.account.cut();
        Ok(End::Cut)
    }

    fn ended(self) -> io::Result<End> {
        if self.is_verified {
            return Ok(End::Ended);
        }
        Err(io::Error::other("the guest ended before it was to"))
    }

    fn hear(&mut self, told: Told, machine: &mut Machine) -> io::Result<()> {
        match told {
            Told::Up => {
                if let Moment::Early(after) = self.moment {
                    self.cut_at = Some(Instant::now() + after);
                }
            }
            Told::Reading(room) => self.reading = Some((room, Vec::new())),
            Told::Record(record) => {
                if let Some((_, records)) = &mut self.reading {
                    records.push(record);
                }
            }
            Told::ReadAll(code) => self.read(code)?,
            Told::Publishing => {
                self.is_publishing = true;
                let is_last = matches!(self.moment, Moment::Never);
                self.account.publishes(is_last);
            }
            Told::Ack { room, seq, link } => {
                self.account.acked(room, seq, link);
                self.acks += 1;
                if let Moment::Acks(acks, after) = self.moment
                    && self.acks == acks
                {
                    self.cut_at = Some(Instant::now() + after);
                }
            }
            Told::Published => {
                self.account.settles();
                self.is_settled = true;
            }
            Told::Broken(EXIT_STORAGE) => {
                self.count.failed += 1;
                self.cut_at = Some(Instant::now());
            }
            Told::Broken(code) => return Err(broken("serve, whose disk failed,", code)),
            Told::Stopped(0) => {}
            Told::Stopped(code) => return Err(broken("serve", code)),
            Told::Verified(0) => self.is_verified = true,
            Told::Verified(code) => return Err(broken("log verify", code)),
            Told::Failed(why) => return Err(self.why(why, machine)),
            Told::Ready | Told::Other(_) => {}
        }
        Ok(())
    }

    fn read(&mut self, code: i32) -> io::Result<()> {
        let Some((room, records)) = self.reading.take() else {
            return Ok(());
        };
        let is_none = code == REFUSED && records.is_empty();
        if code != 0 && !is_none {
            return Err(broken("history", code));
        }
        if self.is_settled {
            self.account.read_last(room, &records);
        } else {
            self.count.unacked += self.account.read(room, &records);
        }
        Ok(())
    }

    /// What the guest tells of its failure, up to its end.
    fn why(&self, why: String, machine: &mut Machine) -> io::Error {
        let mut text = why;
        while let Ok(Some(told)) = machine.next() {
            if let Told::Other(line) = told {
                text.push('\n');
                text.push_str(&line);
            }
        }
        io::Error::other(text)
    }
}

fn broken(what: &str, code: i32) -> io::Error {
    io::Error::other(format!("antiphon {what} ended with code {code}"))
}
