//! What a receipt says of each store of a member: what of the person was in it, and whether it is gone.

use bailiwick_core::ids::{DomainId, UnixMillis};
use bailiwick_proto::peer::ErasureAnswer;
use bailiwick_proto::v1;

use super::person::moment;
use crate::users::Erasure;

/// What a member said of itself.
#[derive(Clone, Copy)]
pub(super) struct Member<'a>(pub(super) &'a ErasureAnswer);

impl Member<'_> {
    fn has_applied(self, erasure: &Erasure) -> bool {
        self.0.applied >= erasure.log_index
    }

    fn has_new_lists(self, erasure: &Erasure) -> bool {
        self.0.lists.is_none_or(|from| from >= erasure.log_index)
    }
}

/// One store: what of a person is in it, when it is done, and what it waits for until then, or why it stays.
struct Store {
    name: &'static str,
    what: &'static str,
    waits_for: &'static str,
    done: fn(Member<'_>, &Erasure) -> bool,
    ends: Ends,
}

/// How what a store has of a person ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// With the command, whose time the leader stamped.
    WithTheCommand,
    /// Some time after.
    Later,
    /// Not with the erasure.
    Kept,
}

const STORES: [Store; 8] = [
    Store {
        name: "rows",
        what: "consent, interests, profile, blocks, events, what the app said, slices noted",
        waits_for: "this member has yet to apply the erasure",
        done: |member, erasure| member.has_applied(erasure),
        ends: Ends::WithTheCommand,
    },
    Store {
        name: "keys",
        what: "the person's data key, wrapped",
        waits_for: "this member has yet to apply the erasure",
        done: |member, erasure| member.has_applied(erasure),
        ends: Ends::WithTheCommand,
    },
    Store {
        name: "counters",
        what: "the person among the people of items",
        waits_for: "this member has yet to apply the erasure",
        done: |member, erasure| member.has_applied(erasure),
        ends: Ends::WithTheCommand,
    },
    Store {
        name: "marks",
        what: "hashes by which events that are sent again are known, under keys that name nobody",
        waits_for: "the first events after the day that follows the erasure",
        done: |member, erasure| member.has_applied(erasure) && member.0.unmarked,
        ends: Ends::Later,
    },
    Store {
        name: "buffer",
        what: "events that waited for the group, sealed; those of before the erasure are dropped",
        waits_for: "what was taken before the erasure is looked at when the group takes it, within 24 h",
        done: |member, _| !member.0.waits,
        ends: Ends::Later,
    },
    Store {
        name: "lists",
        what: "lists of what people take together, in memory",
        waits_for: "they are made anew every ten minutes",
        done: |member, erasure| member.has_applied(erasure) && member.has_new_lists(erasure),
        ends: Ends::Later,
    },
    Store {
        name: "log_and_snapshots",
        what: "what was sealed under the person's data key, and its wrapping",
        waits_for: "the key epoch that wrapped the data key is destroyed",
        done: |member, erasure| member.0.epoch > erasure.epoch,
        ends: Ends::Later,
    },
    Store {
        name: "decisions",
        what: "the decision log: by which law it was decided, under a keyed hash; no item, no query",
        waits_for: "it is the proof of what was decided",
        done: |_, _| false,
        ends: Ends::Kept,
    },
];

/// What is to be said of every store of a member; of one that does not answer nothing is known to be done.
pub(super) fn stores(erasure: &Erasure, member: Option<Member<'_>>) -> Vec<v1::StoreErasure> {
    let told = |store: &Store| {
        let done = member.is_some_and(|member| (store.done)(member, erasure));
        let at = Some(erasure.erased).filter(|_| done && store.ends == Ends::WithTheCommand);
        let why = if member.is_some() { store.waits_for } else { "this member answers" };
        let (pending, kept) = match store.ends {
            Ends::Kept => (None, Some(store.waits_for.to_owned())),
            _ => ((!done).then(|| why.to_owned()), None),
        };
        v1::StoreErasure {
            store: store.name.to_owned(),
            what: store.what.to_owned(),
            done,
            at: at.and_then(moment),
            pending,
            kept,
        }
    };
    STORES.iter().map(told).collect()
}

/// What is to be said of another domain's slice.
pub(super) fn slice_told(slice: &(DomainId, Option<UnixMillis>)) -> v1::SliceErasure {
    let (domain, erased) = slice;
    v1::SliceErasure {
        domain: domain.to_string(),
        done: erased.is_some(),
        at: erased.and_then(moment),
        pending: erased.is_none().then(|| "that domain has yet to confirm it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure() -> Erasure {
        Erasure {
            asked: UnixMillis(1),
            erased: UnixMillis(2),
            log_index: 7,
            epoch: 1,
            slices: Vec::new(),
            holder: Vec::new(),
        }
    }

    fn check(answer: Option<ErasureAnswer>, done: &[&str]) {
        let told = stores(&erasure(), answer.as_ref().map(Member));
        let found: Vec<&str> = told.iter().filter(|s| s.done).map(|s| s.store.as_str()).collect();
        assert_eq!(found, done, "{answer:?}");
        let waits = |store: &v1::StoreErasure| store.pending.is_some() || store.kept.is_some();
        assert!(told.iter().all(|store| store.done != waits(store)));
        assert_eq!(told.len(), STORES.len());
    }

    #[test]
    fn a_store_is_done_when_its_member_says_so() {
        check(None, &[]);
        let behind =
            ErasureAnswer { applied: 6, lists: Some(5), waits: true, unmarked: true, epoch: 1 };
        check(Some(behind), &[]);
        let applied = ErasureAnswer { applied: 7, unmarked: false, ..behind };
        check(Some(applied), &["rows", "keys", "counters"]);
        let all =
            ErasureAnswer { applied: 9, lists: Some(7), waits: false, unmarked: true, epoch: 2 };
        let most = ["rows", "keys", "counters", "marks", "buffer", "lists", "log_and_snapshots"];
        check(Some(all), &most);
        check(Some(ErasureAnswer { lists: None, ..all }), &most);
    }
}
