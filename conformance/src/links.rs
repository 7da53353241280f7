//! Where the sources of a statement are to be read.

/// Number and page of a proposal a line, below [`WIKI`].
const PROPOSALS: &str = include_str!("kips.txt");
const WIKI: &str = "https://cwiki.apache.org/confluence/";

/// The address of a source as statements name it: a proposal, an issue, an RFC, a message
/// definition, the protocol guide. What has no page of its own has none.
pub fn link(source: &str) -> Option<String> {
    if source.starts_with("KIP-") {
        let page = PROPOSALS.lines().filter_map(|line| line.split_once(' '));
        let page = page.filter(|(number, _)| *number == source).map(|(_, page)| page).next();
        return Some(format!(
            "{WIKI}{}",
            page.unwrap_or("display/KAFKA/Kafka+Improvement+Proposals")
        ));
    }
    if let Some(number) = source.strip_prefix("RFC ") {
        return Some(format!("https://www.rfc-editor.org/rfc/rfc{number}"));
    }
    if source.starts_with("KAFKA-") && !source.contains(' ') {
        return Some(format!("https://issues.apache.org/jira/browse/{source}"));
    }
    if let Some(message) = source.strip_suffix(".json") {
        let folder = "https://github.com/apache/kafka/blob/4.3/clients/src/main/resources";
        return Some(format!("{folder}/common/message/{message}.json"));
    }
    if source == "protocol guide" {
        return Some("https://kafka.apache.org/protocol.html".to_owned());
    }
    let (repository, number) = source.split_once('#')?;
    let (owner, name) = repository.split_once('/')?;
    let is_word = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let is_thread = is_word(owner) && is_word(name) && number.parse::<u32>().is_ok();
    is_thread.then(|| format!("https://github.com/{repository}/issues/{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_pages() {
        for (source, page) in [
            ("KIP-74", "display/KAFKA/KIP-74%3A+Add+Fetch+Response+Size+Limit+in+Bytes"),
            ("KIP-79", "pages/viewpage.action?pageId=65868090"),
            ("KIP-99999", "display/KAFKA/Kafka+Improvement+Proposals"),
        ] {
            assert_eq!(link(source), Some(format!("{WIKI}{page}")));
        }
        for (source, page) in [
            ("RFC 5802", "https://www.rfc-editor.org/rfc/rfc5802"),
            ("KAFKA-6946", "https://issues.apache.org/jira/browse/KAFKA-6946"),
            (
                "redpanda-data/redpanda#1532",
                "https://github.com/redpanda-data/redpanda/issues/1532",
            ),
        ] {
            assert_eq!(link(source).as_deref(), Some(page));
        }
        for source in ["seen 4.3.1", "LogValidator:549", "BATCH.md", "a/b#c", "x y/z#1"] {
            assert_eq!(link(source), None, "{source}");
        }
    }

    #[test]
    fn every_line_is_a_proposal() {
        for line in PROPOSALS.lines() {
            let (number, page) = line.split_once(' ').expect("a number and a page");
            assert!(number["KIP-".len()..].parse::<u32>().is_ok(), "{line}");
            assert!(page.starts_with("display/KAFKA/KIP-") || page.contains("pageId="), "{line}");
        }
    }
}
