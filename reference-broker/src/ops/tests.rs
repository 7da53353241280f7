use super::*;

#[test]
fn health_is_told_with_its_reasons() {
    let ops = Ops::default();
    ops.starting("its logs are being opened");
    assert_eq!(ops.health(), Health::Starting("its logs are being opened"));
    assert_eq!(Health::Ready.status(), 200);
    let failing = Health::Failing(vec!["the data folder failed".into()]);
    for (health, text) in [
        (ops.health(), r#"{"reasons":["its logs are being opened"],"status":"starting"}"#),
        (Health::Stopping, r#"{"reasons":[],"status":"stopping"}"#),
        (failing, r#"{"reasons":["the data folder failed"],"status":"failing"}"#),
    ] {
        assert_eq!(health.status(), 503);
        assert_eq!(health.json(), format!("{text}\n"));
    }
}

#[test]
fn a_broker_that_starts_tells_of_its_process_alone() {
    let text = Ops::default().metrics().expect("it is text");
    assert!(text.contains("ottla_broker_ready 0\n"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains("ottla_broker_partitions"), "{text}");
    if cfg!(target_os = "linux") {
        for name in ["resident_memory_bytes", "open_fds", "cpu_seconds_total"] {
            let line = text.lines().find(|line| line.starts_with(&format!("process_{name} ")));
            let value = line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value);
            let value: f64 = value.expect(name).parse().expect("it is a number");
            assert!(value > 0.0 || name.starts_with("cpu"), "{name} {value}");
        }
    }
}
