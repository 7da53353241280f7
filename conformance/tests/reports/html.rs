//! Pages are well-formed whatever a target says, hold nothing from elsewhere, and tell everything.

use super::sample::{frame, outcome, report};
use super::xml::{self, Page};
use ottla_conformance::report::{Keep, Report, Side, badge, to_html, to_markdown, to_matrix};
use ottla_conformance::verdict::Verdict;
use ottla_conformance::wire::Way;

const HOSTILE: &str = "</p><script>alert('1')</script> \"&amp;\" & <img src=x onerror=y> ]]> --> \
    \u{0}\u{1b}[31m \u{202e}evil\u{feff} %00 \u{1f980}";

/// A page that is well-formed, and whose links lead somewhere.
fn page(html: &str) -> Page {
    let page = xml::read(html).unwrap_or_else(|error| panic!("{error}"));
    for link in &page.links {
        match link.strip_prefix('#') {
            Some(id) => assert!(page.ids.contains(id), "nothing has the id {id}"),
            None => assert!(link.starts_with("https://"), "{link}"),
        }
    }
    for foreign in ["link", "img", "iframe", "object", "base"] {
        assert!(!page.elements.iter().any(|name| name == foreign), "an element {foreign}");
    }
    assert_eq!(page.elements.iter().filter(|name| *name == "script").count(), 1);
    for foreign in ["@import", "url("] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    page
}

/// A report in which everything that a target or a file can choose is hostile.
fn hostile() -> Report {
    let mut failed = outcome(&format!("fetch/{HOSTILE}@v3"), Verdict::Fail, HOSTILE);
    failed.statement = Some(HOSTILE.to_owned());
    let mut known = outcome("fetch/oversized-first-batch@v12", Verdict::Fail, HOSTILE);
    known.statement = Some("K-FETCH-005".to_owned());
    known.evaluated = vec!["K-FETCH-005".to_owned(), HOSTILE.to_owned()];
    known.wire = vec![
        frame(Way::Sent, "0000000c0001000c0000000100026262"),
        frame(Way::Received, "not hex"),
        frame(Way::Received, "3c2f7072653e3c7363726970743e"),
        frame(Way::Received, "0000000a00000001003c2f7072653e"),
    ];
    let mut bad_harness = outcome("x", Verdict::HarnessError, "the test panicked");
    bad_harness.wire = vec![frame(Way::Sent, "")];
    let mut report = report(HOSTILE, vec![failed, known, bad_harness]);
    report.suite = HOSTILE.to_owned();
    report.ended_ms = u64::MAX;
    report
}

#[test]
fn hostile_reports_make_well_formed_pages() {
    let report = hostile();
    page(&to_html(&report));
    let mut client = report.clone();
    client.side = Side::Client;
    page(&to_html(&client));
    page(&to_matrix(&[report.clone(), report, client]));
    page(&to_matrix(&[]));
}

#[test]
fn a_run_tells_every_test_with_its_statements() {
    let mut failed = outcome("fetch/oversized-first-batch@v12", Verdict::Fail, "it is 7, not 8");
    failed.statement = Some("K-FETCH-005".to_owned());
    failed.evaluated = vec!["K-FETCH-005".to_owned()];
    failed.wire = vec![frame(Way::Sent, "0000000c0003000000000001ffff00000000")];
    let mut open = outcome("fetch/long-poll@v11", Verdict::Info, "the target waits");
    open.evaluated = vec!["K-FETCH-001".to_owned()];
    let lacks = outcome("fetch/long-poll@v13", Verdict::Unsupported, "ApiVersions lists 4 to 12");
    let html = to_html(&report("B", vec![failed, open, lacks]));
    page(&html);
    for part in [
        "although it is larger than MaxBytes",
        "it is 7, not 8",
        "the target waits",
        "ApiVersions lists 4 to 12",
        "Metadata v0 request",
        "ottla-conformance one fetch/oversized-first-batch@v12",
        "2026-11-22 19:23:23",
        "1 of 2",
    ] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn a_matrix_has_a_cell_for_each_statement_and_target() {
    let test = |verdict| {
        let mut test = outcome("fetch/oversized-first-batch@v12", verdict, "because");
        test.evaluated = vec!["K-FETCH-005".to_owned()];
        test.statement = (verdict == Verdict::Fail).then(|| "K-FETCH-005".to_owned());
        test
    };
    let mut client = report("C", vec![outcome("client/x", Verdict::Pass, "")]);
    client.side = Side::Client;
    client.outcomes[0].evaluated = vec!["K-CLIENT-CONSUMER-001".to_owned()];
    let reports =
        [report("A", vec![test(Verdict::Pass)]), report("B", vec![test(Verdict::Fail)]), client];
    let html = to_matrix(&reports);
    let ids = page(&html).ids;
    for id in ["row-K-FETCH-005", "K-FETCH-005-t0", "K-FETCH-005-t1", "K-CLIENT-CONSUMER-001-t0"] {
        assert!(ids.contains(id), "{id}");
    }
    assert!(!ids.contains("row-K-METADATA-001"), "a statement that no test decided");
    for part in ["PASS, 1 of 1 tests", "FAIL, 1 of 1 tests", ">Brokers<", ">Clients<", "because"] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn reports_of_before_are_read() {
    let old = r#"{"suite": "ottla-conformance 0.1.0", "target": "T", "run": "r", "ended_ms": 1,
        "took_ms": 2, "round_trip_us": 3, "patience_ms": 4, "advertised": {"0": [0, 3]},
        "outcomes": [{"test": "a/b@v1", "profile": "core", "verdict": "PASS", "took_ms": 1}]}"#;
    let report: Report = serde_json::from_str(old).expect("an old report");
    assert_eq!((report.side, report.outcomes[0].wire.len()), (Side::Broker, 0));
    page(&to_html(&report));
    let again = serde_json::to_value(&report).expect("plain data");
    assert!(again.get("side").is_none() && again["outcomes"][0].get("wire").is_none());
}

#[test]
fn the_results_make_a_page() {
    let folder = format!("{}/results", env!("CARGO_MANIFEST_DIR"));
    let mut reports = Vec::new();
    for entry in std::fs::read_dir(folder).expect("results") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).expect("text");
            // Beside the reports there may be other tables.
            reports.extend(serde_json::from_str::<Report>(&text).ok());
        }
    }
    assert!(reports.len() >= 3, "only {} reports", reports.len());
    page(&to_matrix(&reports));
    page(&to_html(&reports[0]));
}

#[test]
fn the_badge_counts_what_was_decided() {
    let outcomes = [
        ("a@v1", Verdict::Pass),
        ("b@v1", Verdict::Info),
        ("c@v1", Verdict::Unsupported),
        ("d@v1", Verdict::Fail),
        ("e@v1", Verdict::NonStrict),
    ];
    let outcomes = outcomes.map(|(test, verdict)| outcome(test, verdict, "")).to_vec();
    let report = report("T", outcomes);
    assert_eq!(badge(&report), "ottla-conformance 0.1.0: core 2/4");
    assert!(to_markdown(&report).contains("`ottla-conformance 0.1.0: core 2/4`"));
}

#[test]
fn wire_logs_are_kept_of_what_did_not_pass() {
    for (verdict, keep, kept) in [
        (Verdict::Pass, Keep::Failures, false),
        (Verdict::Unsupported, Keep::Failures, false),
        (Verdict::Info, Keep::Failures, true),
        (Verdict::Fail, Keep::Failures, true),
        (Verdict::Pass, Keep::All, true),
    ] {
        let mut one = outcome("a", verdict, "");
        one.trace = super::log::trace();
        let mut report = report("T", vec![one]);
        report.keep_wire(keep);
        assert_eq!(!report.outcomes[0].wire.is_empty(), kept, "{verdict} {keep:?}");
    }
}
