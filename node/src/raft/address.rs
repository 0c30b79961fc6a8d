//! Which member a message of Raft is meant for.
//!
//! A peer is found by its name, and a node that lost everything comes back under its name as another member.
//! A vote that it gave, or an append that it took, in the place of its old self could count for what that one
//! forgot, so every message names the member, and a node refuses what is meant for another.

use bytes::Bytes;
use prost::Message;

use super::types::RaftId;

/// The field that names the member, in every message that members send each other.
const TAG: u32 = 15;

#[derive(Clone, PartialEq, Message)]
struct AddressForm {
    #[prost(uint64, tag = "15")]
    to: RaftId,
}

/// An encoded message with the member that it is meant for. Of a protobuf message unknown fields are skipped, so
/// the address is appended rather than the message built anew.
#[must_use]
pub fn to(member: RaftId, message: &Bytes) -> Bytes {
    let mut addressed = Vec::with_capacity(message.len() + 11);
    addressed.extend_from_slice(message);
    prost::encoding::uint64::encode(TAG, &member, &mut addressed);
    addressed.into()
}

/// Whether a message is meant for `member`. One that names nobody is meant for nobody.
#[must_use]
pub fn is_for(member: RaftId, message: &Bytes) -> bool {
    let form = message.get(1..).map(AddressForm::decode);
    form.and_then(Result::ok).is_some_and(|form| form.to == member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::codec::Wire as _;
    use crate::raft::types::Vote;

    #[test]
    fn a_message_reaches_the_member_that_it_names_and_reads_as_before() {
        let vote = Vote::new(3, 7);
        let plain = vote.encode();
        let addressed = to(42, &plain);
        assert!(is_for(42, &addressed) && !is_for(41, &addressed));
        assert!(!is_for(7, &plain), "it names nobody");
        assert_eq!(Vote::decode(addressed).unwrap(), vote);
    }
}
