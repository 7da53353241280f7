//! Disks that lose, change or refuse bytes.

use crate::load::{PARTITIONS, TOPIC};
use crate::world::{Report, World, segments};
use crate::{Failure, network};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::time::{Duration, sleep};

/// The file that tells under which boot of the machine a node ran last.
const BOOT_ID: &str = ".boot_id";

fn folder(world: &World, id: i32, partition: i32) -> PathBuf {
    world.cluster.data_dir(id).join(format!("{TOPIC}-{partition}"))
}

/// Kills a node as a loss of power does: what was written last is gone.
fn lose_power(world: &mut World, id: i32) -> Result<(), Failure> {
    world.cluster.kill(id)?;
    fs::write(world.cluster.data_dir(id).join(BOOT_ID), "of another boot\n")?;
    for partition in 0..PARTITIONS {
        let logs = segments(&folder(world, id, partition), "log")?;
        let active = logs.last().ok_or("a partition without a segment")?;
        let len = fs::metadata(active)?.len();
        OpenOptions::new().write(true).open(active)?.set_len(len / 2)?;
    }
    Ok(())
}

pub(crate) async fn power_loss_of_one(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    world.progress(500).await?;
    lose_power(world, 1)?;
    world.progress(300).await?;
    world.cluster.start(1).await?;
    world.whole(TOPIC).await?;
    // It is in sync again, so it may lead.
    world.cluster.kill(2)?;
    world.progress(300).await?;
    world.cluster.start(2).await?;
    world.whole(TOPIC).await?;
    world.cluster.kill(3)?;
    world.progress(300).await?;
    world.finish().await
}

pub(crate) async fn power_loss_of_all(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    world.progress(500).await?;
    for id in [1, 2, 3] {
        lose_power(world, id)?;
    }
    world.cluster.start_all().await?;
    let mut report = world.finish().await?;
    world.must_have_told()?;
    let lost = report.lost();
    report.excuse();
    let note = "out of the contract without flush.messages=1 (reference-broker/README.md)";
    Ok(report.noting(format!("{lost} lost and told, {note}")))
}

pub(crate) async fn back_within_session(world: &mut World) -> Result<Report, Failure> {
    world.cluster.settings = vec!["broker.session.timeout.ms=9000".to_owned()];
    world.begin().await?;
    for id in [1, 2, 3] {
        world.progress(300).await?;
        lose_power(world, id)?;
        world.cluster.start(id).await?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}

pub(crate) async fn torn(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    world.progress(500).await?;
    lose_power(world, 2)?;
    let garbage: Vec<u8> = (0..250).collect();
    for partition in 0..PARTITIONS {
        let folder = folder(world, 2, partition);
        let logs = segments(&folder, "log")?;
        append(logs.last().ok_or("no segment")?, &garbage)?;
        for index in segments(&folder, "index")? {
            fs::remove_file(index)?;
        }
        for index in segments(&folder, "timeindex")? {
            fs::write(index, &garbage)?;
        }
    }
    for name in ["recovery-point-offset-checkpoint", "replication-offset-checkpoint"] {
        let file = world.cluster.data_dir(2).join(name);
        if file.exists() {
            fs::remove_file(file)?;
        }
    }
    world.cluster.start(2).await?;
    world.whole(TOPIC).await?;
    world.cluster.kill(1)?;
    world.progress(300).await?;
    world.finish().await
}

fn append(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).open(file)?;
    let len = file.metadata()?.len();
    file.write_all_at(bytes, len)?;
    Ok(())
}

pub(crate) async fn flipped_bit(world: &mut World) -> Result<Report, Failure> {
    world.cluster.settings = vec!["log.scrub.interval.ms=500".to_owned()];
    world.begin_with(3, &[("segment.bytes", "65536")]).await?;
    let folder = folder(world, 2, 0);
    while segments(&folder, "log")?.len() < 3 {
        world.progress(200).await?;
    }
    world.cluster.kill(2)?;
    let sealed = segments(&folder, "log")?.into_iter().next().ok_or("no segment")?;
    let file = File::options().read(true).write(true).open(sealed)?;
    let mut byte = [0];
    let at = file.metadata()?.len() / 2;
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 4], at)?;
    world.cluster.start(2).await?;
    world.progress(1000).await?;
    // At the end the files of all replicas are compared: it must have been repaired.
    world.finish().await
}

pub(crate) async fn disk_full(world: &mut World) -> Result<Report, Failure> {
    world.cluster.prepare(3)?;
    let disk = world.cluster.data_dir(3);
    network::run(
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "ottla"]).arg(&disk),
    )?;
    world.begin_prepared(&[]).await?;
    let ballast = disk.join("ballast");
    // Until nothing more fits; the error that ends it is what is wanted.
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=64k", &format!("of={}", ballast.display())])
        .output()?;
    if filled.status.success() {
        return Err("the disk has no end".into());
    }
    world.progress(2000).await?;
    fs::remove_file(&ballast)?;
    sleep(Duration::from_millis(500)).await;
    let ended = world.cluster.has_ended(3)?;
    if ended {
        world.cluster.reap(3);
    } else {
        world.cluster.kill(3)?;
    }
    world.cluster.start(3).await?;
    let report = world.finish().await?;
    let did = if ended { "the node ended" } else { "the node's partitions went offline" };
    network::run(Command::new("umount").arg("-l").arg(&disk))?;
    Ok(report.noting(format!("{did}; whole again after a restart with room")))
}

pub(crate) async fn empty_disk(world: &mut World) -> Result<Report, Failure> {
    world.begin().await?;
    let leader = world.leader(0).await?;
    for id in [leader, leader % 3 + 1] {
        world.cluster.kill(id)?;
        let folder = world.cluster.data_dir(id);
        fs::remove_dir_all(&folder)?;
        fs::create_dir(&folder)?;
        world.progress(300).await?;
        world.cluster.start(id).await?;
        world.whole(TOPIC).await?;
    }
    world.finish().await
}
