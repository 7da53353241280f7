//! A cluster of one answers the cluster's APIs as well.

use ottla_protocol::messages::update_features::FeatureUpdateKey;
use ottla_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, RemoveRaftVoterRequest, Response,
    UnregisterBrokerRequest, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use crate::broker::{Client, Process, folder};
use crate::support::{quorum, quorum_in};

fn update(
    client: &mut Client,
    feature: &str,
    level: i16,
    upgrade_type: i8,
) -> UpdateFeaturesResponse {
    let update = FeatureUpdateKey {
        feature: feature.to_owned(),
        max_version_level: level,
        upgrade_type,
        ..Default::default()
    };
    let request = UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
    match client.call(1, request) {
        Response::UpdateFeatures(response) => *response,
        other => panic!("{other:?}"),
    }
}

fn versions(client: &mut Client) -> ApiVersionsResponse {
    let request = ApiVersionsRequest {
        client_software_name: "test".into(),
        client_software_version: "1".into(),
        ..Default::default()
    };
    match client.call(3, request) {
        Response::ApiVersions(response) => *response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn features_are_finalised_and_taken_back_on_purpose_only() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    let before = versions(&mut client);
    assert_eq!(before.supported_features[0].name, "metadata.version");
    assert!(before.finalized_features.is_empty(), "AV-08: nothing at level 0");
    assert_eq!(update(&mut client, "metadata.version", 9, 1).error_code, 95);
    assert_eq!(update(&mut client, "nonsense", 1, 1).results[0].error_code, 95);
    assert_eq!(update(&mut client, "metadata.version", 1, 1).error_code, 0);
    let after = versions(&mut client);
    assert_eq!(after.finalized_features[0].max_version_level, 1);
    assert!(after.finalized_features_epoch > before.finalized_features_epoch);
    assert_eq!(update(&mut client, "metadata.version", 0, 1).error_code, 95, "a downgrade");
    assert_eq!(update(&mut client, "metadata.version", 0, 4).error_code, 95, "no such type");
    assert_eq!(update(&mut client, "metadata.version", 0, 2).error_code, 0);
    assert!(versions(&mut client).finalized_features.is_empty());
}

#[test]
fn it_is_its_own_quorum_which_cannot_be_changed() {
    let (_folder, data) = folder();
    let broker = Process::start(&data, &[]);
    let mut client = broker.connect();
    let described = quorum(&mut client).expect("a quorum");
    assert_eq!((described.leader_id, described.current_voters.len()), (1, 1));
    for version in 0..2 {
        let voters = quorum_in(&mut client, version).expect("a quorum").current_voters;
        assert_eq!(voters.len(), 1, "v{version}, without directories");
    }
    let remove = RemoveRaftVoterRequest {
        cluster_id: None,
        voter_id: 1,
        voter_directory_id: described.current_voters[0].replica_directory_id,
        ..Default::default()
    };
    let Response::RemoveRaftVoter(removed) = client.call(0, remove.clone()) else { panic!() };
    assert_eq!(removed.error_code, 35, "UNSUPPORTED_VERSION");
    let elsewhere = RemoveRaftVoterRequest { cluster_id: Some("elsewhere".into()), ..remove };
    let Response::RemoveRaftVoter(removed) = client.call(0, elsewhere) else { panic!() };
    assert_eq!(removed.error_code, 104, "INCONSISTENT_CLUSTER_ID");
    let request = UnregisterBrokerRequest { broker_id: 7, ..Default::default() };
    let Response::UnregisterBroker(response) = client.call(0, request) else { panic!() };
    assert_eq!(response.error_code, 102, "BROKER_ID_NOT_REGISTERED");
}
