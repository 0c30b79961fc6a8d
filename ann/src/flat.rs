//! An index out of one flat file ([`crate::write`]): read and mapped it is the same bytes in other memory, and
//! what is made of them, and how that answers, is the same.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use crate::attributes::Kinds;
use crate::bytes::{HASH_BYTES, differs, unusable};
use crate::codes::{Coder, Codes};
use crate::columns::Columns;
use crate::error::AnnError;
use crate::frozen::{Frozen, search_order};
use crate::graph::Graph;
use crate::header::{Header, Part, Section};
use crate::live::{Generation, LiveIndex, State};
use crate::matrix::Rows;
use crate::memory::{Huge, Plain};
use crate::options::{Keep, Options};
use crate::plan::Costs;
use crate::pool::NODES_MAX;
use crate::segment::{Entry, Segment};
use crate::slots::Slots;
use crate::space::Space;
use crate::spread::Spread;
use crate::store::{Opened, Saved};
use crate::table::{Store, Table};
use crate::vectors::Vectors;
use crate::walk::Map;
use crate::write::CHUNK;

/// Bytes that an open index has of its own for each slot: its death and a bit.
const SLOT_BYTES: u64 = 5;
/// The same for each fresh row, besides five for each of its values.
const FRESH_BYTES: u64 = 64;
/// What the sets of columns take at most once all were asked for, and what fresh rows' attributes do, by the bytes
/// that they have in the file.
const COLUMNS_SHARE: u64 = 3;
const KNOWN_SHARE: u64 = 16;

/// A file whose head, checksums and gaps are in order.
pub(crate) struct Flat {
    store: Arc<Store>,
    header: Header,
    sha256: [u8; HASH_BYTES],
}

/// Looks through a whole file: its head, whether every section is what its checksum says, and whether there is
/// nothing in between.
fn look_through(file: &[u8]) -> Result<(Header, [u8; HASH_BYTES]), AnnError> {
    let (content, sha256) =
        file.split_last_chunk::<HASH_BYTES>().ok_or_else(|| unusable("it is too short"))?;
    let header = Header::decode(content)?;
    let between = |from: u64, to: u64| {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        content.get(place(from)..place(to)).unwrap_or_default()
    };
    let mut end = header.encode().map_or(0, |head| head.len() as u64);
    for (part, section) in header.parts().zip(header.sections) {
        if between(end, section.offset).iter().any(|&byte| byte != 0) {
            return Err(unusable("there is something between its sections"));
        }
        end = section.offset.saturating_add(section.bytes);
        if crc32fast::hash(between(section.offset, end)) != section.crc {
            return Err(unusable(&format!("its section {part:?} is damaged")));
        }
    }
    Ok((header, *sha256))
}

/// Turns the numbers of a file round where the processor has them the other way.
fn turn(file: &mut [u8], header: &Header) {
    for part in Part::ALL {
        let bytes = matches!(
            part,
            Part::Codes | Part::Links | Part::Note | Part::Columns | Part::FreshColumns
        );
        if bytes || part == Part::Vectors && header.rounded {
            continue;
        }
        let Section { offset, bytes, .. } = header.section(part);
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let section = file.get_mut(place(offset)..place(offset.saturating_add(bytes)));
        section.unwrap_or_default().as_chunks_mut::<4>().0.iter_mut().for_each(|n| n.reverse());
    }
}

impl Flat {
    /// Reads a file of `bytes` bytes that must be what the hash at its end says.
    pub(crate) fn read(
        mut source: impl Read,
        bytes: u64,
        expected: Option<&[u8; HASH_BYTES]>,
    ) -> Result<Self, AnnError> {
        let short = || unusable("it ends too early");
        let bytes = usize::try_from(bytes).map_err(|_| short())?;
        let mut file = Huge::zeros(bytes)?;
        let mut hash = Sha256::new();
        let (content, end) = file.split_at_mut(bytes.saturating_sub(HASH_BYTES));
        for some in content.chunks_mut(CHUNK) {
            source.read_exact(some).map_err(|_| short())?;
            hash.update(some);
        }
        source.read_exact(end).map_err(|_| short())?;
        let found: [u8; HASH_BYTES] = hash.finalize().into();
        differs(&found, end, expected)?;
        let (header, sha256) = look_through(&file)?;
        if cfg!(target_endian = "big") {
            turn(&mut file, &header);
        }
        Ok(Self { store: Arc::new(Store::Read(file)), header, sha256 })
    }

    /// Maps a file. Not all of it need be in memory. The hash at its end is compared with `expected`, not with
    /// what the file is: that is what the checksums are for.
    pub(crate) fn map(
        file: &File,
        expected: Option<&[u8; HASH_BYTES]>,
    ) -> std::io::Result<Result<Self, AnnError>> {
        let store = Store::map(file)?;
        Ok(look_through(store.bytes()).and_then(|(header, sha256)| {
            differs(&sha256, &sha256, expected)?;
            Ok(Self { store: Arc::new(store), header, sha256 })
        }))
    }

    /// Bytes that an index made of it takes of its own, besides the file.
    pub(crate) fn own_bytes(&self) -> u64 {
        let count = |part: Part| self.header.section(part).bytes / 4;
        let fresh = count(Part::FreshRows).saturating_mul(FRESH_BYTES);
        let values = count(Part::FreshVectors).saturating_mul(5);
        let columns = self.header.section(Part::Columns).bytes.saturating_mul(COLUMNS_SHARE);
        let known = self.header.section(Part::FreshColumns).bytes.saturating_mul(KNOWN_SHARE);
        let slots = count(Part::Rows).saturating_mul(SLOT_BYTES);
        [fresh, values, columns, known].into_iter().fold(slots, u64::saturating_add)
    }

    fn table<T: Plain>(&self, part: Part) -> Result<Table<T>, AnnError> {
        let Section { offset, bytes, .. } = self.header.section(part);
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let table = Table::of(&self.store, place(offset)..place(offset.saturating_add(bytes)));
        table.ok_or_else(|| unusable("a section has no whole numbers"))
    }

    /// The index, if the file is of this space and none of its tables contradicts another.
    pub(crate) fn index(self, space: &Space, options: Options) -> Result<Opened, AnnError> {
        self.of(space)?;
        self.opened(self.frozen()?, options)
    }

    /// The same of a file from elsewhere: what it says of its vectors is looked at too, and they are kept as the
    /// options say.
    pub(crate) fn checked(self, space: &Space, options: Options) -> Result<Opened, AnnError> {
        self.of(space)?;
        let frozen = self.frozen()?;
        frozen.check(space)?;
        let frozen = match frozen.keeps(options.keep) {
            true => frozen,
            false => frozen.kept(space, options.keep)?,
        };
        self.opened(frozen, options)
    }

    /// Refuses a file of another space.
    fn of(&self, space: &Space) -> Result<(), AnnError> {
        let found = &self.header.space;
        if found != space {
            let (found, expected) = (found.to_string(), space.to_string());
            return Err(AnnError::OtherSpace { found, expected });
        }
        Ok(())
    }

    fn opened(&self, frozen: Frozen, options: Options) -> Result<Opened, AnnError> {
        let (header, note) = (&self.header, self.table::<u8>(Part::Note)?.to_vec());
        let state = self.state(frozen)?;
        let bytes = self.store.bytes().len() as u64;
        let saved = Saved { sha256: self.sha256, bytes, rows: state.live, stamp: header.stamp };
        let index = LiveIndex::of(header.space.clone(), options, state);
        index.ef.store(header.ef as usize, Ordering::Relaxed);
        Ok(Opened { index, saved, note })
    }

    fn frozen(&self) -> Result<Frozen, AnnError> {
        let header = &self.header;
        let (space, stride) = (&header.space, header.stride as usize);
        let nodes = usize::try_from(header.nodes).ok().filter(|&nodes| nodes <= NODES_MAX);
        let nodes = nodes.ok_or_else(|| unusable("it has too many nodes"))?;
        let unfit = || unusable("its measures are none");
        let coder = Coder::of_fit(header.fit, space.dimensions, search_order(space.metric));
        let coder = coder.ok_or_else(unfit)?;
        let codes = Codes::of_bytes(self.table(Part::Codes)?, &coder, nodes);
        let codes = codes.ok_or_else(|| unusable("it has other codes than nodes"))?;
        let graph = Graph::of_bytes(self.table(Part::Links)?, stride, nodes);
        let graph = graph.ok_or_else(|| unusable("a link leads nowhere"))?;
        let vectors = match header.rounded {
            true => Vectors::Rest(self.table(Part::Vectors)?),
            false => Vectors::Exact(self.table(Part::Vectors)?),
        };
        if !vectors.count(nodes, space.dimensions) {
            return Err(unusable("it has other vectors than nodes"));
        }
        let [rows, bounds, places] =
            [Part::Rows, Part::Bounds, Part::Places].map(|p| self.table(p));
        let slots = Slots::of_tables(rows?, bounds?, places?, nodes);
        let slots = slots.ok_or_else(|| unusable("its rows contradict each other"))?;
        let columns = Columns::of(self.table(Part::Columns)?, slots.len())?;
        Ok(Frozen {
            map: Map::of_codes(coder, codes, graph)?,
            slots,
            costs: Costs::of_numbers(header.costs).ok_or_else(unfit)?,
            spread: Spread::of_numbers(header.spread).ok_or_else(unfit)?,
            coarse: header.coarse,
            vectors,
            columns,
        })
    }

    fn state(&self, frozen: Frozen) -> Result<State, AnnError> {
        let space = &self.header.space;
        let (dead, fresh) = (self.table(Part::Dead)?, self.table(Part::FreshRows)?);
        let vectors = self.table(Part::FreshVectors)?;
        let rows = Rows::new(space.dimensions, &vectors);
        if fresh.len().checked_mul(space.dimensions) != Some(vectors.len()) {
            return Err(unusable("it has other fresh vectors than fresh rows"));
        }
        rows.iter().try_for_each(|vector| space.check_kept(vector))?;
        let columns = Columns::of(self.table(Part::FreshColumns)?, fresh.len())?;
        columns.check()?;
        let known = columns.shared_rows()?;
        let kinds = kinds_of(&frozen.columns, &columns)?;
        let entries = fresh.iter().zip(rows.iter()).zip(&known);
        let entries = entries.map(|((&row, vector), known)| Entry {
            row,
            vector,
            attributes: known.as_ref(),
        });
        let segment = Segment::of(space.dimensions, entries);
        let state = State::opened(Generation::new(frozen, 1), segment, &dead, &fresh);
        let state = state.ok_or_else(|| unusable("its lists of rows contradict each other"))?;
        Ok(State { kinds: Arc::new(kinds), ..state })
    }
}

/// The columns of a file: of its generation, and of its fresh rows.
fn kinds_of(frozen: &Columns, fresh: &Columns) -> Result<Kinds, AnnError> {
    let kinds = Kinds::default();
    let all = kinds.and(frozen.kinds().chain(fresh.kinds()));
    Ok(all.map_err(|_| unusable("its columns contradict each other"))?.unwrap_or(kinds))
}

impl Frozen {
    /// Whether columns are as they should be, each vector such as the space admits, and each code that of its vector. Where vectors are kept
    /// in twelve bits the code is the greater part of the vector, so that only the former can be told.
    pub(crate) fn check(&self, space: &Space) -> Result<(), AnnError> {
        let nodes = u32::try_from(self.nodes()).unwrap_or_default();
        let mut room = Vec::new();
        self.columns.check()?;
        (0..nodes).try_for_each(|node| space.check_kept(self.node_vector(node, &mut room)))?;
        match &self.vectors {
            Vectors::Exact(values) => {
                let rows = Rows::new(space.dimensions, values);
                let fit = self.map.codes.fit(&self.map.coder, rows);
                fit.then_some(()).ok_or_else(|| unusable("its codes are of other vectors"))
            }
            Vectors::Rest(_) => Ok(()),
        }
    }

    /// Whether vectors are kept in this way, as far as they can be.
    pub(crate) fn keeps(&self, keep: Keep) -> bool {
        match self.vectors {
            Vectors::Exact(_) => keep == Keep::Exact || self.coarse,
            Vectors::Rest(_) => keep == Keep::Rounded,
        }
    }

    /// The same nodes with vectors kept in another way.
    pub(crate) fn kept(self, space: &Space, keep: Keep) -> Result<Self, AnnError> {
        let nodes = u32::try_from(self.nodes()).unwrap_or_default();
        let mut vectors = Huge::zeros(self.nodes() * space.dimensions)?;
        let mut room = Vec::new();
        for (slot, node) in vectors.chunks_exact_mut(space.dimensions).zip(0..nodes) {
            slot.copy_from_slice(self.node_vector(node, &mut room));
        }
        let kept = Self::of_parts(space, self.slots, vectors, self.map.graph, keep)?;
        Ok(Self { columns: self.columns, ..kept })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attributes::Attributes;
    use crate::filter::Filter;
    use crate::header::START;
    use crate::live::Request;
    use crate::plan::Plan;
    use crate::predicate::Predicate;
    use crate::space::Metric;

    fn space(metric: Metric) -> Space {
        Space::new("m1", 5, metric).unwrap()
    }

    fn options(keep: Keep) -> Options {
        Options { threads: 1, keep, ..Options::default() }
    }

    /// Vectors of some rows, two of three alike; some dead, some fresh.
    fn index(metric: Metric, keep: Keep) -> LiveIndex {
        let index = LiveIndex::new(space(metric), options(keep)).unwrap();
        let vector = |row: u32| {
            let of = row / 3 * 2 + row % 3 / 2 + 1;
            [1.0, 2.0, 3.0, 4.0, 5.0].map(|v| (of as f32 * v).sin())
        };
        let known = |row: u32| {
            let known = Attributes::new().with_number("year", row.into());
            known.with_keyword("colour", ["red", "green", "blue"][row as usize % 3])
        };
        let put = |row, of| index.upsert_with(row, &vector(of), &known(of)).unwrap();
        (0..90).for_each(|row| put(row, row));
        index.merge().unwrap();
        (0..5).for_each(|row| _ = index.remove(row * 7));
        (0..5).for_each(|row| put(row * 11, row + 200));
        index
    }

    /// Puts all checksums right, as far as the head says where they are.
    fn reseal(file: &mut [u8]) -> Option<()> {
        let (content, end) = file.split_last_chunk_mut::<HASH_BYTES>()?;
        let length = u32::from_le_bytes(*content.get(START..)?.first_chunk()?) as usize;
        let number = |content: &[u8], at: usize| {
            let bytes = content.get(at..)?.first_chunk()?;
            usize::try_from(u64::from_le_bytes(*bytes)).ok()
        };
        let table = length.checked_sub(4 + Part::ALL.len() * 20)?;
        for at in (0..Part::ALL.len()).map(|part| table + part * 20) {
            let (offset, bytes) = (number(content, at)?, number(content, at + 8)?);
            let crc = crc32fast::hash(content.get(offset..offset.checked_add(bytes)?)?);
            content.get_mut(at + 16..at + 20)?.copy_from_slice(&crc.to_le_bytes());
        }
        let crc = crc32fast::hash(content.get(..length - 4)?);
        content.get_mut(length - 4..length)?.copy_from_slice(&crc.to_le_bytes());
        end.copy_from_slice(&Sha256::digest(content));
        Some(())
    }

    /// Where the columns of both kinds of rows lie, and what is between.
    fn columns_of(file: &[u8]) -> std::ops::Range<usize> {
        let (header, _) = look_through(file).unwrap();
        let [from, to] = [Part::Columns, Part::FreshColumns].map(|part| header.section(part));
        usize::try_from(from.offset).unwrap()..usize::try_from(to.offset + to.bytes).unwrap()
    }

    /// Asks an index, whose answers may be any, all that leads into its tables.
    fn ask(index: &LiveIndex) {
        let query = [0.3, -0.2, 0.5, 0.1, 0.9];
        let sparse = (0..200).step_by(3).collect();
        let prepared = index.prepare((0..150).collect());
        for filter in [
            Filter::All,
            Filter::Rows(&sparse),
            Filter::Prepared(&prepared),
            Filter::Where(&|row| row % 2 == 0),
        ] {
            for plan in [None, Some(Plan::Scan), Some(Plan::Through), Some(Plan::TwoHop)] {
                let request = Request { query: &query, k: 10, ef: 20, filter, budget: None, plan };
                let hits = index.answer(&request).unwrap().hits;
                assert!(hits.len() <= 10);
            }
        }
        let some = Predicate::between("year", 3, 70);
        for predicate in [
            Predicate::is("colour", "red"),
            Predicate::And(vec![Predicate::is("colour", "blue"), some.clone()]),
            Predicate::Not(Box::new(some.clone())),
            some,
            Predicate::between("year", 5, 6),
        ] {
            // A column may have been forged away, or the rows of a keyword.
            for plan in [None, Some(Plan::Scan), Some(Plan::Through), Some(Plan::TwoHop)] {
                let filter = Filter::Matching(&predicate);
                let request = Request { query: &query, k: 10, ef: 20, filter, budget: None, plan };
                _ = index.answer(&request).map(|answer| assert!(answer.hits.len() <= 10));
            }
            _ = index.matching(&predicate);
        }
        _ = (0..200).map(|row| index.attributes(row)).collect::<Vec<_>>();
        _ = (0..200).map(|row| index.vector(row)).collect::<Vec<_>>();
        (0..9).for_each(|row| index.upsert(row * 20, &query).unwrap());
        (0..9).for_each(|row| _ = index.remove(row * 13));
        index.to_bytes(0).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Who forges a file with all its checksums makes answers wrong, and nothing else.
        #[test]
        fn a_forged_file_leads_nobody_astray(
            metric in prop_oneof![Just(Metric::Cosine), Just(Metric::InnerProduct), Just(Metric::L2)],
            rounded in any::<bool>(),
            forged in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..5),
        ) {
            let keep = if rounded { Keep::Rounded } else { Keep::Exact };
            let mut file = index(metric, keep).to_bytes(7).unwrap();
            let columns = columns_of(&file);
            for (at, byte, place) in forged {
                let at = match place {
                    0 => at.index(400),
                    1 => columns.start + at.index(columns.len()),
                    _ => at.index(file.len() - HASH_BYTES),
                };
                file[at] = byte;
            }
            reseal(&mut file);
            if let Ok(index) = LiveIndex::from_bytes(&file, &space(metric), options(keep)) {
                ask(&index);
                index.merge().unwrap();
                ask(&index);
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("index");
            std::fs::write(&path, &file).unwrap();
            if let Ok(opened) = LiveIndex::map(&path, &space(metric), options(keep), None) {
                ask(&opened.index);
            }
        }
    }

    #[test]
    fn what_is_put_right_is_what_was_written() {
        let whole = index(Metric::L2, Keep::Exact).to_bytes(7).unwrap();
        let mut file = whole.clone();
        reseal(&mut file).unwrap();
        assert_eq!(file, whole);
    }

    #[test]
    fn numbers_are_turned_round_and_bytes_are_not() {
        for keep in [Keep::Exact, Keep::Rounded] {
            let file = index(Metric::Cosine, keep).to_bytes(7).unwrap();
            let (header, _) = look_through(&file).unwrap();
            let mut turned = file.clone();
            turn(&mut turned, &header);
            for part in Part::ALL {
                let Section { offset, bytes, .. } = header.section(part);
                let range =
                    usize::try_from(offset).unwrap()..usize::try_from(offset + bytes).unwrap();
                let same = file[range.clone()] == turned[range.clone()];
                let bytes =
                    matches!(part, Part::Codes | Part::Links | Part::Columns | Part::FreshColumns)
                        || part == Part::Vectors && keep == Keep::Rounded;
                assert_eq!(same, bytes || range.is_empty(), "{part:?}");
                let back = turned[range.clone()].chunks(4).flat_map(|n| n.iter().rev());
                assert!(same || back.eq(&file[range]));
            }
        }
    }

    /// A merge makes a generation in memory; the file is let go when nobody searches the old one any more.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_mapping_goes_with_its_last_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        index(Metric::L2, Keep::Exact).save(&path, 0).unwrap();
        let is_mapped = || {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            maps.contains(folder.path().to_str().unwrap())
        };
        let open = || LiveIndex::map(&path, &space(Metric::L2), options(Keep::Exact), None);
        let index = open().unwrap().index;
        let reader = index.state.load_full();
        let vectors = || {
            let frozen = &reader.generation.frozen;
            (0..90).map(|slot| frozen.vector(slot)).collect::<Vec<_>>()
        };
        let before = vectors();
        index.merge().unwrap();
        assert!(is_mapped());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(vectors(), before);
        drop(reader);
        assert!(!is_mapped());
    }
}
