//! UpdateFeatures (key 57), versions 0 to 2: how new a behaviour all nodes may rely on. What this
//! broker knows is in [`SUPPORTED`]; a level of 0 takes a feature away. A request is done whole or
//! not at all; before version 2 each feature has its result.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::update_features::{FeatureUpdateKey, UpdatableFeatureResult};
use ottla_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::{ApiError, RequestContext, code_and_message};
use crate::quorum::Command;

/// Features by name with their lowest and highest level. `metadata.version` is the set of commands
/// that every node can apply.
pub(super) const SUPPORTED: &[(&str, i16, i16)] = &[("metadata.version", 1, 1)];

/// From here on there are no results of single features.
const ONE_RESULT_SINCE: i16 = 2;
const UPGRADE: i8 = 1;
const UNSAFE_DOWNGRADE: i8 = 3;

pub(crate) async fn handle(
    context: &RequestContext,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let names: Vec<String> =
        request.feature_updates.iter().map(|update| update.feature.clone()).collect();
    let (error_code, error_message) = code_and_message(update(context, request).await);
    let result = |feature| UpdatableFeatureResult {
        feature,
        error_code,
        error_message: error_message.clone(),
        ..UpdatableFeatureResult::default()
    };
    let results = match context.api_version < ONE_RESULT_SINCE {
        true => names.into_iter().map(result).collect(),
        false => Vec::new(),
    };
    UpdateFeaturesResponse { error_code, error_message, results, ..Default::default() }
}

async fn update(context: &RequestContext, request: UpdateFeaturesRequest) -> Result<(), ApiError> {
    let broker = &context.broker;
    let expected = broker.image().features.clone();
    let mut features = expected.clone();
    let mut seen = BTreeSet::new();
    for update in &request.feature_updates {
        if !seen.insert(&update.feature) {
            let message = format!("Feature {} stands twice.", update.feature);
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
        check(context.api_version, update, &expected)
            .map_err(|message| ApiError::new(ErrorCode::InvalidUpdateVersion, message))?;
        match update.max_version_level {
            0 => drop(features.remove(&update.feature)),
            level => drop(features.insert(update.feature.clone(), level)),
        }
    }
    if !request.validate_only && features != expected {
        broker.propose(Command::UpdateFeatures { expected, features }).await?;
    }
    Ok(())
}

/// Why one feature cannot have the level that is asked for.
fn check(
    version: i16,
    update: &FeatureUpdateKey,
    present: &BTreeMap<String, i16>,
) -> Result<(), String> {
    let (name, level) = (update.feature.as_str(), update.max_version_level);
    let Some((_, min, max)) = SUPPORTED.iter().find(|(known, ..)| *known == name) else {
        return Err(format!(
            "Invalid update version {level} for feature {name}. This broker does not support this \
             feature."
        ));
    };
    if level != 0 && !(*min..=*max).contains(&level) {
        return Err(format!(
            "Invalid update version {level} for feature {name}. This broker supports levels {min} \
             to {max}."
        ));
    }
    let may_fall = match version {
        0 => update.allow_downgrade,
        _ if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&update.upgrade_type) => {
            return Err("The controller does not support the given upgrade type.".into());
        }
        _ => update.upgrade_type != UPGRADE,
    };
    if level < present.get(name).copied().unwrap_or(0) && !may_fall {
        return Err(format!(
            "Invalid update version {level} for feature {name}. Can't downgrade the version of \
             this feature without setting the upgrade type to either safe or unsafe downgrade."
        ));
    }
    Ok(())
}
