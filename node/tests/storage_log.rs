//! The segment log on a simulated disk: it does what a map would do, and what it acknowledged is found
//! after a power cut at any moment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

mod storage_support;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use bailiwick_node::log::sim::{Call, SimDisk};
use bailiwick_node::log::{LogError, LogOptions, Position, SegmentLog, WriterMode};
use proptest::prelude::*;
use storage_support::log::{DIR, GROUPS, ID, Model, Op, entry, heard, open, options, segment_path};

fn op() -> impl Strategy<Value = Op> {
    let group = 0..GROUPS.len();
    prop_oneof![
        6 => (group.clone(), 1_u64..5, 0_usize..300).prop_map(|(g, n, size)| Op::Append(g, n, size)),
        2 => (group.clone(), 0_u64..4).prop_map(|(g, back)| Op::Truncate(g, back)),
        2 => (group.clone(), 0_u64..6).prop_map(|(g, keep)| Op::Purge(g, keep)),
        1 => (group.clone(), 1_u64..9).prop_map(|(g, vote)| Op::Vote(g, vote)),
        1 => group.clone().prop_map(Op::Committed),
        1 => group.prop_map(Op::Forget),
        1 => Just(Op::Reopen),
        1 => Just(Op::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_log_does_what_a_map_does(ops in proptest::collection::vec(op(), 1..60)) {
        let mut disk = SimDisk::default();
        let mut log = open(&disk).unwrap();
        let mut model = Model::default();
        for op in &ops {
            match op {
                Op::Reopen => {
                    drop(log);
                    log = open(&disk).unwrap();
                }
                Op::Kill => {
                    // The old handle goes on to live on the old disk, as a killed process does not.
                    disk = disk.copy();
                    log = open(&disk).unwrap();
                }
                other => {
                    model.apply(other);
                    prop_assert!(model.run(&log, other).is_ok(), "{:?}", other);
                }
            }
            prop_assert_eq!(model.found(&log), model.expected());
        }
    }

    #[test]
    fn what_was_acknowledged_is_found_after_a_power_cut(
        ops in proptest::collection::vec(op(), 1..60), cut in 1_u64..150, seed in any::<u64>(),
    ) {
        let disk = SimDisk::default();
        let log = open(&disk).unwrap();
        disk.cut_power_at(cut);
        let mut before = Model::default();
        let mut under_way = None;
        for op in ops.iter().filter(|op| !matches!(op, Op::Reopen | Op::Kill)) {
            let mut after = before.clone();
            after.apply(op);
            if after.run(&log, op).is_err() {
                under_way = Some((op.clone(), after));
                break;
            }
            before = after;
        }
        let survived = disk.after_power_cut(seed);
        let found = before.found(&open(&survived).unwrap());
        let mut lawful = vec![before.expected()];
        if let Some((op, after)) = under_way {
            lawful.extend(before.halfway(&op));
            lawful.push(after.expected());
        }
        let found = found.without_committed();
        prop_assert!(
            lawful.iter().any(|l| l.clone().without_committed() == found),
            "found {found:?}\nlawful {lawful:?}"
        );
    }
}

/// Appends until the power fails; returns how many were acknowledged.
fn append_until_the_end(log: &SegmentLog, group: &str) -> u64 {
    let append = |index| heard(|done| log.append(&group.into(), vec![entry(1, index, 64)], done));
    (1..=60).take_while(|index| append(*index).is_ok()).count() as u64
}

/// Appends, purges and truncates, without waiting for the latter two; returns the last entry that
/// was acknowledged.
fn churn_until_the_end(log: &SegmentLog, group: &str) -> u64 {
    let group = group.into();
    let (mut last, mut term) = (0, 1);
    for round in 1..=80_u64 {
        let mut next = last + 1;
        if round % 5 == 0 && last > 4 {
            let upto = Position { term, index: last - 3 };
            if log.purge(&group, upto, Box::new(drop)).is_err() {
                return last;
            }
        }
        if round % 7 == 0 {
            (next, term) = (last, term + 1);
            if log.truncate(&group, next, Box::new(drop)).is_err() {
                return last;
            }
        }
        if heard(|done| log.append(&group, vec![entry(term, next, 200)], done)).is_err() {
            return last;
        }
        last = next;
    }
    last
}

#[test]
fn power_cuts_under_concurrent_writers_lose_nothing_acknowledged() {
    for seed in 0..1000_u64 {
        let disk = SimDisk::default();
        let options = LogOptions { writer: WriterMode::Thread, segment_bytes: 900, ..options() };
        let log = SegmentLog::open(Arc::new(disk.clone()), Path::new(DIR), ID, options).unwrap();
        disk.cut_power_at(1 + seed % 150);
        let acknowledged = std::thread::scope(|scope| {
            let one = scope.spawn(|| append_until_the_end(&log, GROUPS[0]));
            let other = scope.spawn(|| append_until_the_end(&log, GROUPS[1]));
            // What was acknowledged last may have been truncated again when the power failed.
            let churned = churn_until_the_end(&log, GROUPS[2]).saturating_sub(1);
            [one.join().unwrap(), other.join().unwrap(), churned]
        });
        let found = open(&disk.after_power_cut(seed)).unwrap();
        for (group, acknowledged) in GROUPS.into_iter().zip(acknowledged) {
            let last = found.last(group).unwrap().map_or(0, |last| last.index);
            assert!(
                last >= acknowledged,
                "seed {seed}: {group} ends at {last}, not {acknowledged}"
            );
            let purged = found.purged(group).unwrap().map_or(0, |purged| purged.index);
            let entries = found.read(group, 0..u64::MAX, usize::MAX).unwrap();
            let indexes = entries.iter().map(|e| e.at.index);
            assert!(indexes.eq(purged + 1..=last), "seed {seed}: {group} has a gap");
        }
    }
}

/// Segments were removed while a truncation was queued: the power failed before it was written, and the
/// entries that it should have voided were half gone.
#[test]
fn what_a_queued_truncation_voids_is_kept_until_it_is_written() {
    let (slow, fast): (Arc<str>, Arc<str>) = (GROUPS[0].into(), GROUPS[1].into());
    for (cut, seed) in (1..40).flat_map(|cut| (0..4).map(move |seed| (cut, seed))) {
        let disk = SimDisk::default();
        let options = LogOptions { writer: WriterMode::Thread, segment_bytes: 900, ..options() };
        let log = SegmentLog::open(Arc::new(disk.clone()), Path::new(DIR), ID, options).unwrap();
        let append = |group, from, to| {
            let entries = |index| vec![entry(1, index, 100)];
            (from..=to).for_each(|i| heard(|done| log.append(group, entries(i), done)).unwrap());
        };
        append(&slow, 1, 3);
        append(&fast, 1, 30);
        append(&slow, 4, 4);
        append(&fast, 31, 40);
        assert!(log.segment_count() > 3, "there is something to clean");
        disk.cut_power_at(cut);
        // The writer tells of the purge before it cleans: the truncation is queued in between.
        let (tell, told) = std::sync::mpsc::channel();
        let (again, group) = (log.clone(), slow.clone());
        let truncate = move |purged: Result<(), LogError>| {
            let done = Box::new(move |truncated| drop(tell.send(truncated)));
            drop(purged.and_then(|()| again.truncate(&group, 2, done)));
        };
        log.purge(&fast, Position { term: 1, index: 39 }, Box::new(truncate)).unwrap();
        // An answer, or none when the power failed first.
        let truncated = told.recv().is_ok_and(|outcome| outcome.is_ok());
        let found = open(&disk.after_power_cut(seed)).unwrap();
        let last = found.last(&slow).unwrap().unwrap().index;
        assert!(last == 1 || (last == 4 && !truncated), "cut {cut}, seed {seed}: ends at {last}");
    }
}

/// A log with three batches in one segment, left without being closed, and where the batches end.
fn three_batches() -> (SimDisk, Vec<usize>) {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let mut ends = vec![disk.bytes(&segment_path(1)).unwrap().len()];
    for index in [1, 3, 5] {
        let entries = vec![entry(1, index, 40), entry(1, index + 1, 40)];
        heard(|done| log.append(&GROUPS[0].into(), entries, done)).unwrap();
        ends.push(disk.bytes(&segment_path(1)).unwrap().len());
    }
    (disk.copy(), ends)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_written_on() {
    let (disk, ends) = three_batches();
    let whole = disk.bytes(&segment_path(1)).unwrap();
    for cut in ends[2]..whole.len() {
        disk.set_bytes(&segment_path(1), &whole[..cut]);
        let log = open(&disk).unwrap();
        let last = log.last(GROUPS[0]).unwrap().unwrap().index;
        assert!((4..=5).contains(&last), "cut at {cut}: {last} entries are left");
        heard(|done| log.append(&GROUPS[0].into(), vec![entry(2, last + 1, 9)], done)).unwrap();
        drop(log);
        assert_eq!(open(&disk).unwrap().last(GROUPS[0]).unwrap().unwrap().index, last + 1);
    }
}

#[test]
fn damage_in_the_middle_names_file_and_offset_and_is_never_dropped() {
    let (disk, ends) = three_batches();
    let whole = disk.bytes(&segment_path(1)).unwrap();
    for at in ends[0]..ends[2] {
        let mut bad = whole.clone();
        bad[at] ^= 0x10;
        disk.set_bytes(&segment_path(1), &bad);
        match open(&disk).map(|_| ()) {
            Err(LogError::Corrupt { path, offset, .. }) => {
                assert_eq!(path, segment_path(1));
                assert!(offset as usize <= at, "flip at {at}, reported at {offset}");
            }
            other => panic!("flip at {at}: {other:?}"),
        }
    }
}

#[test]
fn after_a_clean_close_even_the_last_record_is_known_to_be_damaged() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    heard(|done| log.append(&GROUPS[0].into(), vec![entry(1, 1, 40)], done)).unwrap();
    let end = disk.bytes(&segment_path(1)).unwrap().len();
    drop(log);
    let mut bad = disk.bytes(&segment_path(1)).unwrap();
    bad[end - 1] ^= 1;
    disk.set_bytes(&segment_path(1), &bad);
    assert!(matches!(open(&disk), Err(LogError::Corrupt { .. })));
}

#[test]
fn after_a_failed_sync_nothing_is_ever_written_again() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let group = GROUPS[0].into();
    heard(|done| log.append(&group, vec![entry(1, 1, 9)], done)).unwrap();
    disk.fail_from(1, Call::Sync, ErrorKind::Other);
    assert!(heard(|done| log.append(&group, vec![entry(1, 2, 9)], done)).is_err());
    // The disk would sync again, but what the failed sync was for may be gone.
    disk.fail_from(u64::MAX / 2, Call::Sync, ErrorKind::Other);
    let calls = disk.calls();
    for _ in 0..3 {
        let error = heard(|done| log.append(&group, vec![entry(1, 3, 9)], done)).unwrap_err();
        assert!(matches!(error, LogError::Poisoned(_)), "{error}");
        assert!(
            log.read(GROUPS[0], 0..9, 99).is_err() && log.save_committed(&group, None).is_err()
        );
    }
    assert_eq!(disk.calls(), calls, "a poisoned log touched the disk");
}

#[test]
fn a_full_and_a_read_only_disk_are_named_as_such() {
    for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem] {
        let disk = SimDisk::default();
        let log = open(&disk).unwrap();
        disk.fail_from(1, Call::Write, kind);
        let error = heard(|done| log.append(&GROUPS[0].into(), vec![entry(1, 1, 9)], done));
        let error = error.unwrap_err();
        let LogError::Poisoned(first) = &error else { panic!("{error}") };
        assert!(matches!(&**first, LogError::Io { source, .. } if source.kind() == kind));
        assert!(error.to_string().contains("seg-0000000001.log"), "{error}");
    }
}

#[test]
fn files_of_others_and_missing_files_are_told_apart() {
    let check = |spoil: &dyn Fn(&SimDisk), expected: fn(&LogError) -> bool| {
        let disk = SimDisk::default();
        let log = open(&disk).unwrap();
        for index in 1..200 {
            heard(|done| log.append(&GROUPS[0].into(), vec![entry(1, index, 100)], done)).unwrap();
        }
        drop(log);
        spoil(&disk);
        let error = open(&disk).map(|_| ()).unwrap_err();
        assert!(expected(&error), "{error}");
    };
    let rewrite = |at: usize, to: u8| {
        move |disk: &SimDisk| {
            let mut bytes = disk.bytes(&segment_path(2)).unwrap();
            bytes[at] = to;
            let checksum = crc32fast::hash(&bytes[..40]).to_le_bytes();
            bytes[40..44].copy_from_slice(&checksum);
            disk.set_bytes(&segment_path(2), &bytes);
        }
    };
    check(&rewrite(8, 2), |e| matches!(e, LogError::Newer { found: 2, known: 1, .. }));
    check(&rewrite(20, 99), |e| matches!(e, LogError::Foreign { .. }));
    check(&rewrite(12, 9), |e| matches!(e, LogError::Corrupt { offset: 0, .. }));
    let remove = |number| {
        move |disk: &SimDisk| {
            use bailiwick_node::log::Disk;
            disk.remove(&segment_path(number)).unwrap();
        }
    };
    check(&remove(2), |e| matches!(e, LogError::MissingSegment { .. }));
    check(&remove(1), |e| matches!(e, LogError::MissingSegment { .. }));
}

#[test]
fn a_slow_group_does_not_keep_old_segments_alive() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    let (slow, fast) = (GROUPS[0].into(), GROUPS[1].into());
    heard(|done| log.append(&slow, vec![entry(1, 7, 50), entry(1, 8, 50)], done)).unwrap();
    heard(|done| log.save_vote(&slow, "a vote".into(), done)).unwrap();
    for index in 1..2000_u64 {
        heard(|done| log.append(&fast, vec![entry(1, index, 100)], done)).unwrap();
        if index % 10 == 0 {
            heard(|done| log.purge(&fast, Position { term: 1, index }, done)).unwrap();
        }
    }
    assert!(log.segment_count() <= 4, "{} segments are left", log.segment_count());
    for log in [log, open(&disk.copy()).unwrap()] {
        let entries = log.read(GROUPS[0], 0..100, usize::MAX).unwrap();
        assert_eq!(entries, [entry(1, 7, 50), entry(1, 8, 50)]);
        assert_eq!(log.vote(GROUPS[0]).unwrap().as_deref(), Some(b"a vote".as_slice()));
        assert_eq!(log.last(GROUPS[1]).unwrap(), Some(Position { term: 1, index: 1999 }));
    }
}

#[test]
fn an_append_that_leaves_a_gap_changes_nothing() {
    let log = open(&SimDisk::default()).unwrap();
    let group = GROUPS[0].into();
    heard(|done| log.append(&group, vec![entry(1, 5, 1)], done)).unwrap();
    for wrong in [vec![entry(1, 7, 1)], vec![entry(1, 5, 1)], vec![entry(1, 6, 1), entry(1, 8, 1)]]
    {
        let error = heard(|done| log.append(&group, wrong.clone(), done)).unwrap_err();
        assert!(matches!(error, LogError::NotConsecutive { .. }), "{error}");
        assert_eq!(log.last(GROUPS[0]).unwrap().unwrap().index, 5);
    }
}
