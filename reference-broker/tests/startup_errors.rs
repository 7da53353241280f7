//! What keeps a broker from starting is said in one line that names the thing and what to do, with
//! exit status 1.

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use support::{BINARY, Process, command, folder, refused};

/// The one line; it must hold each of `words`.
fn assert_line(output: &Output, words: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "no ready line: {output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    for word in words {
        assert!(errors[0].contains(word), "'{word}' is not in: {}", errors[0]);
    }
}

#[test]
fn a_port_that_is_in_use() {
    let (_folder, data) = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut command = Command::new(BINARY);
    command.args(["dev", "--port", &port, "--data-dir"]).arg(&data);
    assert_line(&refused(command), &[&format!("127.0.0.1:{port}"), "another process", "--port"]);
}

#[test]
fn a_data_folder_without_write_permission() {
    let (holder, _) = folder();
    let parent = holder.path().join("parent");
    std::fs::create_dir(&parent).unwrap();
    let data = parent.join("data");
    let root = rustix::process::geteuid().is_root();
    if root {
        // Root may write everywhere but below a file.
        std::fs::write(&data, b"a file").unwrap();
        let below = data.join("below");
        assert_line(&refused(command(&below, &[])), &[below.to_str().unwrap()]);
    } else {
        std::fs::set_permissions(&parent, std::fs::Permissions::from_mode(0o500)).unwrap();
        let output = refused(command(&data, &[]));
        assert_line(&output, &[data.to_str().unwrap(), "not writable", "log.dirs"]);
    }
}

#[test]
fn a_data_folder_that_another_broker_has() {
    let (_folder, data) = folder();
    let _broker = Process::start(&data, &[]);
    let output = refused(command(&data, &[]));
    assert_line(&output, &[data.to_str().unwrap(), "in use by another broker"]);
}

#[test]
fn a_data_folder_of_another_node_or_cluster() {
    let (_folder, data) = folder();
    assert_eq!(Process::start(&data, &[]).terminate(), Some(0));
    let output = refused(command(&data, &["node.id=9"]));
    assert_line(&output, &["meta.properties", "node.id 1", "node.id 9"]);
    let output = refused(command(&data, &["cluster.id=elsewhere"]));
    assert_line(&output, &["meta.properties", "cluster.id elsewhere"]);
}

#[test]
fn an_unknown_property_and_a_bad_value() {
    let (_folder, data) = folder();
    let output = refused(command(&data, &["num.partition=3"]));
    assert_line(&output, &["num.partition", "did you mean 'num.partitions'"]);
    let output = refused(command(&data, &["num.partitions=0"]));
    assert_line(&output, &["num.partitions", "'0'", "between 1 and"]);
}

#[test]
fn a_configuration_file_is_blamed_by_name_and_line() {
    let (holder, _) = folder();
    let file = holder.path().join("server.properties");
    std::fs::write(&file, "node.id=1\nlog.segment.byte=1\n").unwrap();
    let mut command = Command::new(BINARY);
    command.args(["run", "--config"]).arg(&file);
    let output = refused(command);
    assert_line(&output, &["server.properties", "line 2", "did you mean 'log.segment.bytes'"]);
    let mut command = Command::new(BINARY);
    command.args(["run", "--config", "/nonexistent/server.properties"]);
    assert_line(&refused(command), &["/nonexistent/server.properties"]);
}

#[test]
fn a_corrupt_metadata_log() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    broker.connect().create_topic("t", 1, &[]);
    broker.kill();
    flip(&data.join("cluster-metadata.log"), 20);
    let output = refused(command(&data, &[]));
    assert_line(&output, &["cluster-metadata.log", "byte 0", "restore"]);
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
