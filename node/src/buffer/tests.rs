//! Stories of events that wait for their group.

use std::cell::RefCell;

use bailiwick_core::pinned::Standpoint;
use bailiwick_core::policy::{AgeBand, Gpc, Service};

use futures::future::BoxFuture;

use super::*;
use crate::users::Facts;
use crate::users::testing::{NOW, event, person, vault, vault_with};

const GROUP: &str = "users-eu-0";
const HOUR: i64 = 3_600_000;

fn batch(id: &str, received: UnixMillis) -> Batch {
    Batch {
        person: person("alice"),
        received,
        asked: received.plus(-7),
        facts: Facts {
            home: "EU-DE".parse().unwrap(),
            location: "EU-FR".parse().unwrap(),
            service: Service::Social,
            age_band: AgeBand::SixteenSeventeen,
            gpc: Gpc::Sent,
        },
        events: vec![event(id, "canary-item", "like")],
    }
}

struct Story {
    root: tempfile::TempDir,
    buffer: EventBuffer,
}

impl Story {
    fn new() -> Self {
        Self::within(BufferBounds::default())
    }

    fn within(bounds: BufferBounds) -> Self {
        let root = tempfile::tempdir().unwrap();
        let buffer =
            EventBuffer::open(&root.path().join("buffer"), bounds, Offload::Inline).unwrap();
        Self { root, buffer }
    }

    /// The process ends, however, and another one opens the same directory.
    fn restarted(self) -> Self {
        let bounds = self.buffer.bounds;
        let buffer =
            EventBuffer::open(&self.root.path().join("buffer"), bounds, Offload::Inline).unwrap();
        Self { root: self.root, buffer }
    }

    fn put(&self, group: &str, id: &str, received: UnixMillis) {
        self.buffer.put(&vault(group), &batch(id, received)).unwrap();
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.root.path().join("buffer"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    /// Delivers with `verdict` by event id; the ids that were offered, in order.
    async fn deliver(
        &self,
        now: UnixMillis,
        verdict: impl Fn(&str) -> Delivery,
    ) -> (Vec<String>, Flushed) {
        let offered = RefCell::new(Vec::new());
        let home = Standpoint::attested("eu".parse().unwrap());
        let deliver = |found: Pinned<Batch>| -> BoxFuture<'static, Delivery> {
            let found = found.unpin(&home).unwrap();
            assert_eq!(found, batch(found.events[0].id.as_str(), found.received));
            let id = found.events[0].id.as_str().to_owned();
            let verdict = verdict(&id);
            offered.borrow_mut().push(id);
            Box::pin(async move { verdict })
        };
        let flushed = self.buffer.deliver(now, |group| Some(vault(&group.to_string())), deliver);
        let flushed = flushed.await.unwrap();
        (offered.into_inner(), flushed)
    }
}

#[tokio::test]
async fn batches_outlive_the_process_and_arrive_oldest_first() {
    let story = Story::new();
    for (id, hours) in [("b", 2), ("a", 1), ("c", 3)] {
        story.put(GROUP, id, NOW.plus(hours * HOUR));
    }
    let story = story.restarted();
    story.put(GROUP, "d", NOW.plus(4 * HOUR));
    assert_eq!(story.buffer.waiting().batches, 4);
    let (offered, flushed) = story.deliver(NOW.plus(5 * HOUR), |_| Delivery::Delivered).await;
    assert_eq!(offered, ["a", "b", "c", "d"]);
    assert_eq!(flushed, Flushed { delivered: 4, ..Flushed::default() });
    assert_eq!(story.buffer.waiting(), Waiting::default());
    assert!(story.restarted().files().is_empty());
}

#[tokio::test]
async fn a_group_that_is_not_back_keeps_its_order_and_holds_up_nobody_else() {
    let story = Story::new();
    story.put(GROUP, "a", NOW);
    story.put("users-eu-1", "b", NOW.plus(1));
    story.put(GROUP, "c", NOW.plus(2));
    let not_a = |id: &str| if id == "a" { Delivery::NotYet } else { Delivery::Delivered };
    let (offered, flushed) = story.deliver(NOW.plus(HOUR), not_a).await;
    assert_eq!(offered, ["a", "b"]);
    assert_eq!((flushed.delivered, flushed.waiting), (1, 2));
    let (offered, _) = story.deliver(NOW.plus(HOUR), |_| Delivery::Delivered).await;
    assert_eq!(offered, ["a", "c"]);
}

#[tokio::test]
async fn what_was_withdrawn_meanwhile_is_dropped_for_good() {
    let story = Story::new();
    story.put(GROUP, "a", NOW);
    let (_, flushed) = story.deliver(NOW, |_| Delivery::Dropped).await;
    assert_eq!((flushed.dropped, flushed.waiting), (1, 0));
    assert!(story.files().is_empty());
}

#[tokio::test]
async fn a_day_old_batch_is_not_delivered() {
    let story = Story::new();
    story.put(GROUP, "old", NOW);
    story.put(GROUP, "new", NOW.plus(1));
    let (offered, flushed) = story.deliver(NOW.plus(24 * HOUR + 1), |_| Delivery::Delivered).await;
    assert_eq!(offered, ["new"]);
    assert_eq!(flushed.expired, 1);
}

#[tokio::test]
async fn a_crash_leaves_whole_batches_or_none() {
    let story = Story::new();
    story.put(GROUP, "whole", NOW);
    for id in ["cut", "flipped", "empty"] {
        story.put(GROUP, id, NOW.plus(1));
    }
    let files = story.files();
    let bytes = fs::read(&files[1]).unwrap();
    fs::write(&files[1], &bytes[..bytes.len() / 2]).unwrap();
    let mut bytes = fs::read(&files[2]).unwrap();
    bytes[40] ^= 1;
    fs::write(&files[2], &bytes).unwrap();
    fs::write(&files[3], b"").unwrap();
    // Killed before the rename: nobody was told that it is stored.
    fs::write(files[0].with_file_name(format!("{:020}-{:020}.part", 7, 7)), b"half").unwrap();
    fs::write(files[0].with_file_name("notes.txt"), b"not ours").unwrap();
    let story = story.restarted();
    assert_eq!(story.buffer.waiting().batches, 1);
    let (offered, _) = story.deliver(NOW.plus(1), |_| Delivery::Delivered).await;
    assert_eq!(offered, ["whole"]);
    let endings: Vec<_> =
        story.files().iter().map(|f| f.extension().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(endings, ["torn", "torn", "torn", "txt"]);
    // What was set aside is personal too, and goes when its day is over.
    story.deliver(NOW.plus(25 * HOUR), |_| Delivery::Delivered).await;
    assert_eq!(story.files().len(), 1);
}

#[tokio::test]
async fn a_node_that_lacks_the_key_keeps_the_batch() {
    let story = Story::new();
    story.put(GROUP, "a", NOW);
    let other = |_: &GroupId| Some(vault_with(GROUP, &[(2, 2)]));
    let never = |_| -> BoxFuture<'static, _> { Box::pin(std::future::ready(Delivery::Delivered)) };
    let flushed = story.buffer.deliver(NOW, other, never).await.unwrap();
    assert_eq!(flushed, Flushed { waiting: 1, ..Flushed::default() });
    let flushed = story.buffer.deliver(NOW, |_| None, never).await.unwrap();
    assert_eq!(flushed.waiting, 1, "its group is not on this node now");
    assert_eq!(story.deliver(NOW, |_| Delivery::Delivered).await.1.delivered, 1);
}

#[test]
fn the_bounds_refuse_and_leave_nothing() {
    let story = Story::within(BufferBounds { batches_max: 1, ..BufferBounds::default() });
    story.put(GROUP, "a", NOW);
    let refused = story.buffer.put(&vault(GROUP), &batch("b", NOW)).unwrap_err();
    assert!(matches!(refused, BufferError::Full { batches: 1, .. }), "{refused}");
    assert_eq!(story.files().len(), 1);
    let story = Story::within(BufferBounds { bytes_max: 10, ..BufferBounds::default() });
    assert!(story.buffer.put(&vault(GROUP), &batch("b", NOW)).is_err());
    assert_eq!(story.buffer.waiting(), Waiting::default());
}

#[test]
fn a_failing_disk_is_told_and_frees_its_room() {
    let story = Story::new();
    fs::remove_dir_all(story.root.path().join("buffer")).unwrap();
    let error = story.buffer.put(&vault(GROUP), &batch("a", NOW)).unwrap_err();
    assert_eq!(error.kind(), bailiwick_core::kind::Kind::Unavailable);
    assert_eq!(story.buffer.waiting(), Waiting::default());
}

#[test]
fn files_and_their_names_tell_nothing() {
    let story = Story::new();
    story.put(GROUP, "canary-event", NOW);
    for file in story.files() {
        let mut bytes = fs::read(&file).unwrap();
        bytes.extend(file.to_string_lossy().bytes());
        for canary in ["canary-item", "canary-event", "alice", "EU-DE", "16-17"] {
            assert!(!bytes.windows(canary.len()).any(|w| w == canary.as_bytes()), "{canary}");
        }
    }
}
