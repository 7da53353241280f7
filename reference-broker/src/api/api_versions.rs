//! ApiVersions (key 18), versions 0 to 4.
//!
//! The first request of every connection. A version that is not known is answered in version 0 with
//! error 35 and the versions that are (AV-02), so that the client can ask again on the same
//! connection; the response's header is always version 0 (KIP-511). Version 5's check of cluster
//! and node id (AV-09) is not served.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::api_versions::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::update_features::SUPPORTED;
use super::{APIS, RequestContext, served_versions};

pub(crate) async fn handle(
    context: &RequestContext,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    // AV-04: from version 3 the client says what it is, and must say it so that it can be logged.
    if context.api_version >= 3
        && !(is_software_name(&request.client_software_name)
            && is_software_name(&request.client_software_version))
    {
        return ApiVersionsResponse {
            error_code: ErrorCode::InvalidRequest.code(),
            ..ApiVersionsResponse::default()
        };
    }
    let image = context.broker.image();
    let supported = |(name, min_version, max_version): &(&str, i16, i16)| SupportedFeatureKey {
        name: (*name).to_owned(),
        min_version: *min_version,
        max_version: *max_version,
        ..SupportedFeatureKey::default()
    };
    let finalized = |(name, level): (&String, &i16)| FinalizedFeatureKey {
        name: name.clone(),
        max_version_level: *level,
        min_version_level: *level,
        ..FinalizedFeatureKey::default()
    };
    ApiVersionsResponse {
        api_keys: all(),
        supported_features: SUPPORTED.iter().map(supported).collect(),
        finalized_features: image.features.iter().map(finalized).collect(),
        finalized_features_epoch: i64::try_from(image.applied).unwrap_or(i64::MAX),
        ..ApiVersionsResponse::default()
    }
}

/// AV-02: the answer to a version that is not known; to be written in version 0.
pub(crate) fn unsupported_version() -> ApiVersionsResponse {
    ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: all(),
        ..ApiVersionsResponse::default()
    }
}

fn all() -> Vec<ApiVersion> {
    let advertised = |api: &ApiKey| {
        let versions = served_versions(*api);
        // AV-07: librdkafka takes a broker without Produce v0 for one that has no Produce at all,
        // so the range starts at 0 although 0 to 2 are refused (KAFKA-18659).
        let min_version = if *api == ApiKey::Produce { 0 } else { *versions.start() };
        ApiVersion {
            api_key: api.code(),
            min_version,
            max_version: *versions.end(),
            ..ApiVersion::default()
        }
    };
    APIS.iter().map(advertised).collect()
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_software_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_the_pattern() {
        for good in ["a", "apache-kafka-java", "4.3.1", "a--b"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "a_b", "é"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }

    #[test]
    fn every_range_is_whole_and_no_key_stands_twice() {
        let advertised = all();
        assert!(advertised.windows(2).all(|pair| pair[0].api_key < pair[1].api_key));
        assert!(advertised.iter().all(|range| range.min_version <= range.max_version));
        assert_eq!((advertised[0].api_key, advertised[0].min_version), (0, 0));
    }
}
