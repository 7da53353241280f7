//! Which versions of each API a connection may use.

use ottla_protocol::messages::ApiKey;
use ottla_protocol::messages::api_versions::ApiVersion;
use std::ops::RangeInclusive;

/// What the broker behind one connection offers. It belongs to the connection, not to the broker:
/// after a rolling upgrade the next connection offers something else (trap 5).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VersionTable {
    offered: Vec<(i16, i16, i16)>,
}

impl VersionTable {
    /// The table that an ApiVersions response spells out.
    pub fn new(api_keys: &[ApiVersion]) -> Self {
        let mut offered: Vec<_> =
            api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        offered.sort_unstable();
        Self { offered }
    }

    /// The broker's range for an API.
    pub fn offered(&self, api_key: ApiKey) -> Option<(i16, i16)> {
        let at = self.offered.binary_search_by_key(&api_key.code(), |entry| entry.0).ok()?;
        Some((self.offered[at].1, self.offered[at].2))
    }

    /// The highest version that both sides speak, at most `cap`.
    pub fn pick(&self, api_key: ApiKey, cap: Option<i16>) -> Option<i16> {
        let (min, max) = self.offered(api_key)?;
        let ours = stable_versions(api_key);
        let min = min.max(*ours.start());
        let max = max.min(*ours.end()).min(cap.unwrap_or(i16::MAX));
        (min <= max).then_some(max)
    }
}

/// The versions that this client uses: those that it was written for, without an unstable one.
pub fn stable_versions(api_key: ApiKey) -> RangeInclusive<i16> {
    api_key.stable_versions()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(api: ApiKey, min_version: i16, max_version: i16) -> VersionTable {
        let entry =
            ApiVersion { api_key: api.code(), min_version, max_version, ..Default::default() };
        VersionTable::new(&[entry])
    }

    #[test]
    fn the_highest_common_version_is_picked() {
        assert_eq!(table(ApiKey::Produce, 0, 9).pick(ApiKey::Produce, None), Some(9));
        assert_eq!(table(ApiKey::Produce, 0, 99).pick(ApiKey::Produce, Some(12)), Some(12));
        assert_eq!(table(ApiKey::Produce, 14, 99).pick(ApiKey::Produce, None), None);
        assert_eq!(table(ApiKey::Produce, 3, 13).pick(ApiKey::Fetch, None), None);
    }

    /// Trap 5: brokers advertise Produce 0 to 2 although record batches need 3.
    #[test]
    fn advertised_produce_versions_below_3_are_never_used() {
        assert_eq!(table(ApiKey::Produce, 0, 2).pick(ApiKey::Produce, None), None);
    }

    #[test]
    fn an_unstable_latest_version_is_not_used() {
        let unstable = ApiKey::InitProducerId;
        assert!(unstable.latest_version_unstable());
        let newest = *unstable.valid_versions().end();
        assert_eq!(table(unstable, 0, 99).pick(unstable, None), Some(newest - 1));
    }
}
