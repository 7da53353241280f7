//! What can be asked without changing anything: committed offsets, descriptions, lists.

use ottla_protocol::{ErrorCode, Uuid};

use super::super::group::State;
use super::super::record::CommittedOffset;
use super::super::types::{CommittedOffsets, DescribedMember, Description, Listed};
use super::Shard;

impl Shard {
    /// The offset that `group_id` has committed for a partition; none if it never has (OC-07), or
    /// if it was committed for another topic of that name: zero ids match all.
    ///
    /// # Errors
    ///
    /// 14 or 16 (M16).
    pub fn committed(
        &self,
        group_id: &str,
        topic: &str,
        topic_id: Uuid,
        partition: i32,
    ) -> Result<Option<&CommittedOffset>, ErrorCode> {
        self.check_active()?;
        let offsets = self.offsets.group(group_id);
        let partitions = offsets.and_then(|topics| topics.get(topic));
        let value = partitions.and_then(|partitions| partitions.get(&partition));
        Ok(value.filter(|value| {
            value.topic_id.is_zero() || topic_id.is_zero() || value.topic_id == topic_id
        }))
    }

    /// All offsets that `group_id` has committed (OC-08), by topic and partition.
    ///
    /// # Errors
    ///
    /// 14 or 16 (M16).
    pub fn all_committed(&self, group_id: &str) -> Result<Vec<CommittedOffsets>, ErrorCode> {
        self.check_active()?;
        let Some(offsets) = self.offsets.group(group_id) else { return Ok(Vec::new()) };
        let topics = offsets.iter().map(|(topic, partitions)| {
            let partitions = partitions.iter().map(|(index, value)| (*index, value.clone()));
            (topic.clone(), partitions.collect())
        });
        Ok(topics.collect())
    }

    /// A group's state and members.
    ///
    /// # Errors
    ///
    /// 69 for a group that does not exist; 14 or 16 (M16).
    pub fn describe(&self, group_id: &str) -> Result<Description, ErrorCode> {
        self.check_active()?;
        let group = self.groups.get(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        let stable = group.state == State::Stable;
        let protocol_name = match &group.protocol_name {
            Some(name) if stable => name.clone(),
            _ => String::new(),
        };
        let members = group.members.iter().map(|(id, member)| DescribedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if stable { member.metadata(&protocol_name) } else { Default::default() },
            assignment: member.assignment.clone(),
        });
        Ok(Description {
            state: group.state.name(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            members: members.collect(),
            protocol_name,
        })
    }

    /// All groups of this shard.
    ///
    /// # Errors
    ///
    /// 14 or 16 (M16).
    pub fn list(&self) -> Result<Vec<Listed>, ErrorCode> {
        self.check_active()?;
        let groups = self.groups.values().map(|group| Listed {
            group_id: group.id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state.name(),
        });
        Ok(groups.collect())
    }
}
