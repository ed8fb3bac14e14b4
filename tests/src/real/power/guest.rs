//! What runs in the guest, and the lines in which it tells of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::initrd::Initrd;
use super::needs::{self, Trouble};
use crate::history::{Link, Room, Seq};
use crate::real::seat::room_name;

/// How many rooms are published to, each by one user.
pub(super) const ROOMS: u32 = 3;

/// Publishes that one `antiphon pub` may have under way, and its generator in its pipe: what may be on disk unacked.
pub(super) const UNDER_WAY_MAX: u64 = 2_000;

/// Publishes per room of a boot that ends in order.
pub(super) const LAST_PUBLISHES: u64 = 20;

/// The first process of the guest. It gets its numbers from the kernel's command line.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /tmp /data
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox --install -s /bin 2>/tmp/install
ip link set lo up
ulimit -n 4096
echo @up

end() {
  sync
  poweroff -f
}
give_up() {
  echo "@failed $1"
  tail -n 20 /tmp/broker.log
  end
}

disk=/dev/ubda
if [ -n "$AT_ERRORS" ]; then
  insmod /dm-mod.ko || give_up "no device mapper"
  mount -t sysfs none /sys
  sectors=$(cat /sys/block/ubda/size)
  dmsetup --noudevsync create disk --table "0 $sectors linear /dev/ubda 0" || give_up "no mapped disk"
  disk=/dev/dm-0
fi
# What the disk does from now on.
map() {
  dmsetup --noudevsync suspend --noflush --nolockfs disk
  dmsetup --noudevsync load disk --table "0 $sectors $1"
  dmsetup --noudevsync resume disk
}
mount -t ext4 $disk /data || give_up "the disk cannot be mounted"

front=""
if [ -n "$AT_LIE" ]; then
  front="strace -D -f -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:retval=0:when=$AT_LIE+"
fi
$front antiphon --json serve --data /data/broker --listen 127.0.0.1:7411 \
  --set data.segment_bytes=4MiB --set admin.enabled=false >/tmp/ready 2>/tmp/broker.log &
broker=$!
until grep -q ready /tmp/ready; do
  kill -0 $broker 2>/dev/null || give_up "the broker ended"
  usleep 10000
done
echo @ready

read_all() {
  room=1
  while [ $room -le $AT_ROOMS ]; do
    echo "@read $room"
    antiphon --json history room-$room --last 10000000 2>/tmp/history.log
    echo "@end $?"
    room=$((room + 1))
  done
}

filling=................
for i in 1 2 3 4 5 6 7; do filling=$filling$filling; done
say() {
  n=0
  while [ $n -lt $AT_MOST ]; do
    left=$(((n * 7 + $1) % 13 + 1))
    while [ $left -gt 0 ] && [ $n -lt $AT_MOST ]; do
      left=$((left - 1))
      n=$((n + 1))
      size=$(((n * 997) % 1600))
      echo "room $1 boot $AT_BOOT no. $n ${filling:0:$size}"
    done
    usleep 4000
  done
}

read_all
echo @publish
room=1
publishers=""
while [ $room -le $AT_ROOMS ]; do
  say $room | antiphon --json pub room-$room --as user-$room 2>/tmp/pub-$room.log &
  publishers="$publishers $!"
  room=$((room + 1))
done
if [ -n "$AT_ERRORS" ]; then
  usleep $AT_ERRORS
  map error
  usleep 300000
  # The disk is well again, and the kernel has told of its failure: who goes on now acks what is not there.
  map "linear /dev/ubda 0"
  wait $broker
  echo "@broken $?"
  sleep 1000
fi
for publisher in $publishers; do wait $publisher || give_up "a publisher ended, code $?"; done
echo @published
read_all
kill -TERM $broker
wait $broker
echo "@stopped $?"
antiphon log verify /data/broker >/tmp/verify.log 2>&1
echo "@verified $?"
umount /data
end
"#;

/// The guest's root, with the broker `binary`.
pub(super) fn root(binary: &Path, home: &Path, trouble: Trouble) -> io::Result<Vec<u8>> {
    let mut initrd = Initrd::default();
    for folder in ["proc", "dev", "tmp", "data"] {
        initrd.folder(folder);
    }
    initrd.file("init", INIT.as_bytes());
    for program in trouble.programs() {
        let path = needs::find(program).ok_or_else(|| io::Error::other(program))?;
        initrd.program(&format!("bin/{program}"), &path)?;
    }
    if trouble == Trouble::Errors {
        let module = needs::device_mapper().ok_or_else(|| io::Error::other(needs::MODULE))?;
        initrd.file("dm-mod.ko", &fs::read(module)?);
    }
    initrd.program("bin/antiphon", &slim(binary, home))?;
    Ok(initrd.finish())
}

/// The program without what only a debugger reads, if that can be had: five times smaller, and the guest boots from it sooner.
fn slim(binary: &Path, home: &Path) -> PathBuf {
    let slim = home.join("antiphon");
    let stripped = Command::new("strip")
        .arg("-o")
        .args([&slim, binary])
        .stderr(Stdio::null())
        .status();
    match stripped {
        Ok(status) if status.success() => slim,
        _ => binary.to_path_buf(),
    }
}

/// What is published in a room under a number, as `init` says it.
pub(super) fn body(room: Room, boot: u64, number: u64) -> String {
    let filling = ".".repeat((number * 997 % 1_600) as usize);
    format!("room {} boot {boot} no. {number} {filling}", room.0)
}

/// The boot in which a body was published.
pub(super) fn boot_of(body: &str) -> Option<u64> {
    body.split(' ').nth(3)?.parse().ok()
}

/// A record as `antiphon history` prints it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Read {
    pub(super) seq: Seq,
    pub(super) link: Link,
    pub(super) user: String,
    pub(super) producer_seq: u64,
    pub(super) text: String,
}

/// A line of the guest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Told {
    /// The guest runs.
    Up,
    /// The broker has recovered.
    Ready,
    /// A room's records follow.
    Reading(Room),
    /// One of them.
    Record(Read),
    /// That were all; the exit code of the program that read them.
    ReadAll(i32),
    /// Publishing begins.
    Publishing,
    /// A publish was acked.
    Ack { room: Room, seq: Seq, link: Link },
    /// All is published that was to be.
    Published,
    /// The broker was told to end, and did, with this code.
    Stopped(i32),
    /// The disk failed, and the broker ended with this code.
    Broken(i32),
    /// What `antiphon log verify` says of the directory.
    Verified(i32),
    /// Something went wrong; what follows is the end of the broker's log.
    Failed(String),
    /// Not ours: the kernel's, or the log of a broker that failed.
    Other(String),
}

/// Understands a line. One that was cut off is none of ours.
pub(super) fn understand(line: &str) -> Told {
    let line = line.trim_end();
    let told = match line.strip_prefix('@') {
        Some(sign) => understand_sign(sign),
        None => understand_json(line),
    };
    told.unwrap_or_else(|| Told::Other(line.to_owned()))
}

fn understand_sign(sign: &str) -> Option<Told> {
    let (word, rest) = sign.split_once(' ').unwrap_or((sign, ""));
    Some(match word {
        "up" => Told::Up,
        "ready" => Told::Ready,
        "read" => Told::Reading(Room(rest.parse().ok()?)),
        "end" => Told::ReadAll(rest.parse().ok()?),
        "publish" => Told::Publishing,
        "published" => Told::Published,
        "stopped" => Told::Stopped(rest.parse().ok()?),
        "broken" => Told::Broken(rest.parse().ok()?),
        "verified" => Told::Verified(rest.parse().ok()?),
        "failed" => Told::Failed(rest.to_owned()),
        _ => return None,
    })
}

fn understand_json(line: &str) -> Option<Told> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let room = value["room"].as_str()?;
    let room = (1..=ROOMS)
        .map(Room)
        .find(|known| room_name(*known) == room)?;
    let (seq, link) = value["position"].as_str()?.split_once(':')?;
    let seq = Seq(seq.parse().ok()?);
    let link = Link(u64::from_str_radix(link, 16).ok()?);
    if value["duplicate"].is_boolean() {
        return Some(Told::Ack { room, seq, link });
    }
    Some(Told::Record(Read {
        seq,
        link,
        user: value["user"].as_str()?.to_owned(),
        producer_seq: value["producer_seq"].as_u64()?,
        text: value["text"].as_str()?.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_guest_are_understood_and_others_are_let_be() {
        let ack = r#"{"room":"room-2","seq":7,"position":"7:00000000000000ff","duplicate":false}"#;
        assert_eq!(
            understand(&format!("{ack}\r")),
            Told::Ack {
                room: Room(2),
                seq: Seq(7),
                link: Link(255)
            }
        );
        assert!(matches!(understand(&ack[..40]), Told::Other(_)));
        assert_eq!(understand("@read 3\r"), Told::Reading(Room(3)));
        assert_eq!(understand("@end 4"), Told::ReadAll(4));
        assert_eq!(
            understand("@failed it broke"),
            Told::Failed("it broke".to_owned())
        );
        let noise = "EXT4-fs (ubda): recovery complete";
        assert_eq!(understand(noise), Told::Other(noise.to_owned()));
        let record = r#"{"room":"room-1","seq":1,"position":"1:2","user":"user-1","text":"room 1 boot 5 no. 1 ","producer":9,"producer_seq":1}"#;
        let Told::Record(read) = understand(record) else {
            panic!("{record}");
        };
        assert_eq!(
            (read.seq, read.link, read.producer_seq),
            (Seq(1), Link(2), 1)
        );
        assert_eq!(boot_of(&read.text), Some(5));
    }

    #[test]
    fn a_body_has_the_length_that_the_guest_gives_it() {
        assert_eq!(
            body(Room(1), 2, 1).len(),
            "room 1 boot 2 no. 1 ".len() + 997
        );
        assert_eq!(boot_of(&body(Room(1), 22, 3)), Some(22));
        assert_eq!(boot_of("something else"), None);
    }
}
