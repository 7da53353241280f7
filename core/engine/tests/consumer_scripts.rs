//! Runs the traces `scripts/consumer_*.txt` and `scripts/group_*.txt` against the state machine.
//!
//! A script is a list of steps: lines of commands, `----`, and what the machine did, up to an
//! empty line. `REWRITE=1 cargo test -p ottla-engine --test consumer_scripts` writes the present
//! behaviour into the files; read the difference before you keep it.

mod consumer_script;

use consumer_script::Env;
use std::fmt::Write;
use std::path::Path;

#[test]
fn traces_are_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the scripts are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("consumer_") || name.starts_with("group_")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no script in {}", folder.display());
    let mut failures = String::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("the script can be read");
        let (written, steps) = run(&text);
        assert!(steps > 0, "{} has no step", path.display());
        if written == text {
            continue;
        }
        if std::env::var_os("REWRITE").is_some() {
            std::fs::write(&path, written).expect("the script can be written");
        } else {
            let name = path.display();
            let _ = writeln!(failures, "{name}\n{}", difference(&text, &written));
        }
    }
    assert!(failures.is_empty(), "traces differ:\n{failures}");
}

/// The script with the output that the machine gives now, and how many steps it has.
fn run(text: &str) -> (String, usize) {
    let mut env = Env::default();
    let mut written = String::new();
    let mut steps = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(written, "{line}");
        if line == "----" {
            steps += 1;
            written.push_str(&env.take_output());
            // What the file says now is skipped up to the empty line.
            lines.by_ref().find(|line| line.is_empty());
            written.push('\n');
        } else if !line.is_empty() && !line.starts_with('#') {
            env.run(line);
        }
    }
    (written, steps)
}

fn difference(expected: &str, actual: &str) -> String {
    let mut expected = expected.lines().enumerate();
    let mut actual = actual.lines();
    loop {
        match (expected.next(), actual.next()) {
            (Some((_, e)), Some(a)) if e == a => {}
            (None, None) => return "only line ends differ".to_string(),
            (e, a) => {
                let line = e.map_or(0, |(index, _)| index + 1);
                let (e, a) = (e.map_or("(end)", |(_, e)| e), a.unwrap_or("(end)"));
                return format!("line {line}\n  written: {e}\n  now:     {a}");
            }
        }
    }
}
