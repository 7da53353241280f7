//! ListGroups (asked of every broker), DescribeGroups and DeleteGroups (asked of each group's
//! coordinator).

use super::items::{Items, item_by_item};
use super::{Operation, Outcomes, Partition, is_transient, unexpected};
use crate::call::Target;
use crate::cluster::Metadata;
use crate::error::Error;
use crate::group::consumer_protocol::decode_assignment;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use ottla_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest, Request, Response,
};
use std::collections::{BTreeMap, BTreeSet};

/// A group in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// The group's id.
    pub group_id: String,
    /// `consumer` for consumers; empty for a group that has offsets only.
    pub protocol_type: String,
    /// `Stable`, `Empty`, ...; empty from brokers before 2.6.
    pub state: String,
    /// `Classic`, `Consumer`, ...; empty from brokers before 3.8.
    pub group_type: String,
}

/// Lists the groups of all brokers (API key 16).
#[derive(Debug, Default)]
pub struct ListGroups {
    asked: bool,
    open: BTreeSet<Target>,
    groups: BTreeMap<String, GroupListing>,
}

impl Operation for ListGroups {
    type Answer = Vec<GroupListing>;

    fn what(&self) -> &'static str {
        "list groups"
    }

    fn requests(&mut self, metadata: &Metadata) -> Vec<(Target, Request)> {
        if !self.asked {
            self.open = metadata.brokers().map(|broker| Target::Node(broker.node_id)).collect();
            self.asked = !self.open.is_empty();
        }
        let request = || Request::ListGroups(Box::<ListGroupsRequest>::default());
        self.open.iter().map(|target| (target.clone(), request())).collect()
    }

    fn read(&mut self, target: &Target, response: Response) -> Result<(), Error> {
        let Response::ListGroups(response) = response else { return Err(unexpected(&response)) };
        match ErrorCode::from_code(response.error_code) {
            Some(ErrorCode::None) => {}
            Some(code) if is_transient(code) => return Ok(()),
            _ => return Err(Error::from_raw_code(response.error_code, "list groups")),
        }
        self.open.remove(target);
        for group in response.groups {
            let listing = GroupListing {
                group_id: group.group_id.clone(),
                protocol_type: group.protocol_type,
                state: group.group_state,
                group_type: group.group_type,
            };
            self.groups.insert(group.group_id, listing);
        }
        Ok(())
    }

    fn answer(&mut self) -> Option<Vec<GroupListing>> {
        let done = self.asked && self.open.is_empty();
        done.then(|| std::mem::take(&mut self.groups).into_values().collect())
    }
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// The id that the coordinator gave it.
    pub member_id: String,
    /// `group.instance.id`, for a static member.
    pub group_instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// Where it connects from.
    pub client_host: String,
    /// Its partitions; empty for a group that is not of consumers.
    pub assignment: Vec<Partition>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// The group's id.
    pub group_id: String,
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead` (there is none).
    pub state: String,
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// The assignor that was voted for.
    pub protocol: String,
    /// The members.
    pub members: Vec<MemberDescription>,
}

/// Describes classic groups (API key 15).
#[derive(Debug)]
pub struct DescribeGroups {
    items: Items<String, (), GroupDescription>,
}

impl DescribeGroups {
    /// These groups.
    pub fn new(groups: impl IntoIterator<Item = String>) -> Self {
        Self { items: Items::new(groups.into_iter().map(|group| (group, ()))) }
    }
}

fn member(member: &DescribedGroupMember) -> MemberDescription {
    let assignment = decode_assignment(&member.member_assignment).unwrap_or_default();
    MemberDescription {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        assignment: assignment.into_iter().map(|at| (at.topic.to_string(), at.partition)).collect(),
    }
}

fn description(group: &DescribedGroup) -> GroupDescription {
    GroupDescription {
        group_id: group.group_id.clone(),
        state: group.group_state.clone(),
        protocol_type: group.protocol_type.clone(),
        protocol: group.protocol_data.clone(),
        members: group.members.iter().map(member).collect(),
    }
}

impl Operation for DescribeGroups {
    type Answer = Outcomes<String, GroupDescription>;

    fn what(&self) -> &'static str {
        "describe groups"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let request = |group: &String| DescribeGroupsRequest {
            groups: vec![group.clone()],
            ..Default::default()
        };
        self.items
            .open
            .keys()
            .map(|group| {
                let request = Request::DescribeGroups(Box::new(request(group)));
                (Target::Group(group.clone()), request)
            })
            .collect()
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::DescribeGroups(response) = response else {
            return Err(unexpected(&response));
        };
        for group in &response.groups {
            let what = format!("cannot describe group {:?}", group.group_id);
            let message = group.error_message.as_deref();
            self.items
                .settle(&group.group_id, group.error_code, message, what, || description(group));
        }
        Ok(())
    }

    item_by_item!();
}

/// Deletes groups that have no members, with their offsets (API key 42).
#[derive(Debug)]
pub struct DeleteGroups {
    items: Items<String, (), ()>,
}

impl DeleteGroups {
    /// These groups.
    pub fn new(groups: impl IntoIterator<Item = String>) -> Self {
        Self { items: Items::new(groups.into_iter().map(|group| (group, ()))) }
    }
}

impl Operation for DeleteGroups {
    type Answer = Outcomes<String, ()>;

    fn what(&self) -> &'static str {
        "delete groups"
    }

    fn requests(&mut self, _: &Metadata) -> Vec<(Target, Request)> {
        let request = |group: &String| DeleteGroupsRequest {
            groups_names: vec![group.clone()],
            ..Default::default()
        };
        self.items
            .open
            .keys()
            .map(|group| {
                let request = Request::DeleteGroups(Box::new(request(group)));
                (Target::Group(group.clone()), request)
            })
            .collect()
    }

    fn read(&mut self, _: &Target, response: Response) -> Result<(), Error> {
        let Response::DeleteGroups(response) = response else {
            return Err(unexpected(&response));
        };
        for group in &response.results {
            let what = format!("cannot delete group {:?}", group.group_id);
            self.items.settle(&group.group_id, group.error_code, None, what, || ());
        }
        Ok(())
    }

    item_by_item!();
}
