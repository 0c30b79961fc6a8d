//! The index that a node holds: a frozen generation and a mutable segment, read as one.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::attributes::{Attributes, ColumnKind, Kinds};
use crate::bitmap::{Bitmap, contains};
use crate::deaths::Deaths;
use crate::error::AnnError;
use crate::filter::{Filter, Prepared};
use crate::find::{Ask, Found, Matches};
use crate::frozen::Frozen;
use crate::options::Options;
use crate::plan::Plan;
use crate::segment::{Segment, Sequence};
use crate::space::{ROW_LIMIT, Row, Space};

/// With fewer dead than one in so many a search looks at deaths only at its end.
const DEAD_SHARE: usize = 16;

/// A row that a search found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The row.
    pub row: Row,
    /// Its exact score under the space's metric; greater is better.
    pub score: f32,
}

/// A search with all that may be said about it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What to look near.
    pub query: &'a [f32],
    /// Rows wanted.
    pub k: usize,
    /// Candidates that a walk keeps.
    pub ef: usize,
    /// Which rows may be returned.
    pub filter: Filter<'a>,
    /// Vectors to compare at most; the index's own budget if none.
    pub budget: Option<usize>,
    /// The way to go, whatever it costs; the cheapest if none.
    pub plan: Option<Plan>,
}

/// What a search found and what it cost.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The rows, best first.
    pub hits: Vec<Hit>,
    /// How the frozen generation was searched; none if nothing was.
    pub plan: Option<Plan>,
    /// Vectors of the frozen generation compared.
    pub compared: usize,
    /// Its nodes whose links were followed.
    pub expanded: usize,
    /// Its nodes whose vectors were compared themselves, not only their codes.
    pub rescored: usize,
    /// Whether the budget sufficed.
    pub complete: bool,
}

/// A vector index that is searched while it changes. `Send + Sync`: share it in an `Arc`.
///
/// Writers take turns; readers work on the state that was current when they began, and never wait.
#[derive(Debug)]
pub struct LiveIndex {
    pub(crate) space: Space,
    pub(crate) options: Options,
    pub(crate) state: ArcSwap<State>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) merging: Mutex<()>,
    /// As tuned; 0 if never.
    pub(crate) ef: AtomicUsize,
}

/// What a reader sees: all writes up to `now`, none after.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) generation: Arc<Generation>,
    pub(crate) segment: Segment,
    /// Columns that some row has or had.
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) now: Sequence,
    pub(crate) live: usize,
}

/// A frozen index and the deaths of its slots since it was made.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) frozen: Frozen,
    pub(crate) deaths: Deaths,
    pub(crate) number: u64,
}

/// What only writers need.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    /// Where in the segment a row's vector is.
    pub(crate) fresh: HashMap<Row, usize>,
    /// Rows written while a merge runs: what it read of them is out of date.
    pub(crate) journal: Option<Vec<Row>>,
}

impl Generation {
    pub(crate) fn new(frozen: Frozen, number: u64) -> Self {
        let deaths = Deaths::none(frozen.slots.len());
        Self { frozen, deaths, number }
    }

    #[inline(always)]
    pub(crate) fn spares(&self, slot: u32, now: Sequence) -> bool {
        self.deaths.spares(slot, now)
    }
}

impl State {
    pub(crate) fn new(generation: Generation, segment: Segment) -> Self {
        let live = generation.frozen.slots.len() + segment.len();
        let kinds = Arc::default();
        Self { generation: Arc::new(generation), segment, kinds, now: 0, live }
    }

    pub(crate) fn live_slot(&self, row: Row) -> Option<u32> {
        let slot = self.generation.frozen.slots.slot(row)?;
        self.generation.spares(slot, self.now).then_some(slot)
    }

    /// Ends the row's vector with the write `self.now`; false if there is none.
    fn end(&mut self, row: Row, writer: &mut Writer) -> bool {
        let was = self.now - 1;
        let fresh = writer.fresh.remove(&row).and_then(|at| self.segment.death(at));
        let slot =
            self.generation.frozen.slots.slot(row).filter(|&s| self.generation.spares(s, was));
        let frozen = slot.is_some_and(|slot| self.generation.deaths.mark(slot, self.now));
        let found =
            usize::from(fresh.map(|death| death.mark(self.now)).is_some()) + usize::from(frozen);
        self.live -= found;
        found > 0
    }

    fn vector(&self, row: Row) -> Option<Vec<f32>> {
        let fresh = self.segment.entry(row, self.now).map(|entry| entry.vector.to_vec());
        fresh.or_else(|| self.live_slot(row).map(|slot| self.generation.frozen.vector(slot)))
    }

    /// What the frozen generation holds for each of the queries.
    fn search(&self, ask: Ask<'_>, queries: &[&[f32]], filter: Filter<'_>) -> Vec<Found> {
        let generation = &*self.generation;
        let slots = &generation.frozen.slots;
        let alive = |slot: u32| generation.spares(slot, self.now);
        let accepts =
            |slot: u32| alive(slot) && slots.row(slot).is_some_and(|row| filter.accepts(row, None));
        let frozen = &generation.frozen;
        match filter {
            Filter::All => frozen.find_all(ask, queries, self.all(), &alive),
            Filter::Rows(rows) => frozen.find_all(ask, queries, Matches::Rows(rows), &accepts),
            Filter::Prepared(set) => match set.nodes(&self.generation) {
                Some((nodes, matches)) if slots.single() => {
                    let accepts = |slot: u32| contains(nodes, slot) && alive(slot);
                    frozen.find_all(ask, queries, matches, &accepts)
                }
                Some((nodes, matches)) => {
                    let among = |slot: u32| contains(nodes, slots.node(slot));
                    let accepts = |slot: u32| among(slot) && accepts(slot);
                    frozen.find_all(ask, queries, matches, &accepts)
                }
                None => frozen.find_all(ask, queries, Matches::Rows(set.rows()), &accepts),
            },
            // A predicate is picked by columns instead.
            Filter::Where(_) | Filter::Matching(_) => {
                frozen.find_all(ask, queries, Matches::Unknown, &accepts)
            }
        }
    }

    fn all(&self) -> Matches<'static> {
        let (slots, fresh) = (self.generation.frozen.slots.len(), self.segment.len());
        // What lives in the generation is at least what lives less all that is fresh.
        let dead = slots.saturating_sub(self.live.saturating_sub(fresh));
        if dead * DEAD_SHARE < slots { Matches::Most } else { Matches::All }
    }

    fn hits(&self, ask: Ask<'_>, filter: Filter<'_>, frozen: &Found) -> Vec<Hit> {
        let slots = &self.generation.frozen.slots;
        let of_slot = |&(score, slot): &(f32, u32)| Some(Hit { row: slots.row(slot)?, score });
        let accepts = |row, known: Option<&Attributes>| filter.accepts(row, known);
        // What is worse than all that the generation gave need not be scored.
        let last = frozen.best.get(ask.k - 1);
        let least = last.map_or(f32::NEG_INFINITY, |(score, _)| *score);
        let fresh = match self.segment.len() {
            0 => Vec::new(),
            _ => self.segment.best(ask.space, ask.query, (ask.k, least), self.now, accepts),
        };
        let fresh = fresh.into_iter().map(|(score, row)| Hit { row, score });
        let mut hits: Vec<Hit> = frozen.best.iter().filter_map(of_slot).chain(fresh).collect();
        hits.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
        hits.truncate(ask.k);
        hits
    }
}

impl LiveIndex {
    /// An empty index.
    ///
    /// # Errors
    /// [`AnnError::Dimensions`] when the space has none or too many.
    pub fn new(space: Space, options: Options) -> Result<Self, AnnError> {
        space.check()?;
        let state =
            State::new(Generation::new(Frozen::empty(&space)?, 0), Segment::new(space.dimensions));
        Ok(Self::of(space, options, state))
    }

    pub(crate) fn of(space: Space, options: Options, state: State) -> Self {
        let fresh = state.segment.live(0, state.now).map(|e| e.row).zip(0..).collect();
        Self {
            space,
            options,
            state: ArcSwap::from_pointee(state),
            writer: Mutex::new(Writer { fresh, journal: None }),
            merging: Mutex::new(()),
            ef: AtomicUsize::new(0),
        }
    }

    /// The space of the vectors.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Live rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.load().live
    }

    /// Whether no row lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Vectors in the mutable segment, replaced ones too.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.state.load().segment.len()
    }

    /// Bytes of the frozen generation's tables.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state.load().generation.frozen.bytes()
    }

    /// The number of the current generation: 0 at first, one more after each merge.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state.load().generation.number
    }

    /// The vector of a live row, as it is compared: at unit length for cosine, rounded where
    /// [`crate::Keep`] says so.
    #[must_use]
    pub fn vector(&self, row: Row) -> Option<Vec<f32>> {
        self.state.load().vector(row)
    }

    /// Sets the vector of a row, of which nothing else is known: attributes that it had are gone. The next search
    /// finds it.
    ///
    /// # Errors
    /// [`AnnError`] of kind `Invalid` for a vector that can't be compared, [`AnnError::Full`] when a
    /// merge must come first.
    pub fn upsert(&self, row: Row, vector: &[f32]) -> Result<(), AnnError> {
        self.put(row, vector, None)
    }

    /// Sets the vector and the attributes of a row, at once: no search sees one without the other. Columns that
    /// are new become columns of the index.
    ///
    /// # Errors
    /// As [`LiveIndex::upsert`], and [`AnnError::Column`] for a value that its column does not take.
    pub fn upsert_with(
        &self,
        row: Row,
        vector: &[f32],
        attributes: &Attributes,
    ) -> Result<(), AnnError> {
        let some = (!attributes.is_empty()).then(|| Arc::new(attributes.clone()));
        self.put(row, vector, some)
    }

    /// Makes a column known before a row has it: until then a predicate that names it is refused.
    ///
    /// # Errors
    /// [`AnnError::Column`] where it is of another kind, or one too many.
    pub fn declare(&self, column: &str, kind: ColumnKind) -> Result<(), AnnError> {
        let _one_at_a_time = self.writer();
        let state = self.state.load();
        if let Some(kinds) = state.kinds.with(column, kind)? {
            self.state.store(Arc::new(State { kinds: Arc::new(kinds), ..State::clone(&state) }));
        }
        Ok(())
    }

    fn put(
        &self,
        row: Row,
        vector: &[f32],
        attributes: Option<Arc<Attributes>>,
    ) -> Result<(), AnnError> {
        if row >= ROW_LIMIT {
            return Err(AnnError::RowTooLarge { row, limit: ROW_LIMIT });
        }
        let vector = self.space.admit(vector)?;
        let mut writer = self.writer();
        let state = self.state.load();
        let (pending, max) = (state.segment.len(), self.options.pending_max);
        if pending >= max || state.now >= Sequence::MAX - 2 {
            return Err(AnnError::Full { pending, max });
        }
        let kinds = attributes.as_ref().map(|known| state.kinds.admitting(known)).transpose()?;
        let mut next = State { now: state.now + 1, ..State::clone(&state) };
        kinds.flatten().into_iter().for_each(|kinds| next.kinds = Arc::new(kinds));
        next.end(row, &mut writer);
        next.segment = state.segment.with(row, &vector, attributes);
        next.live += 1;
        writer.fresh.insert(row, pending);
        writer.note(row);
        self.state.store(Arc::new(next));
        Ok(())
    }

    /// Forgets a row. No later search returns it. Whether there was one.
    pub fn remove(&self, row: Row) -> bool {
        let mut writer = self.writer();
        let state = self.state.load();
        let mut next = State { now: state.now.saturating_add(1), ..State::clone(&state) };
        let found = next.end(row, &mut writer);
        if found {
            writer.note(row);
            self.state.store(Arc::new(next));
        }
        found
    }

    /// The `k` live rows nearest to `query` that `filter` accepts, best first, with exact scores.
    ///
    /// `ef` is how many candidates the walk keeps, at least `k`: more is slower and misses less.
    ///
    /// # Errors
    /// [`AnnError`] of kind `Invalid` for a query that can't be compared.
    pub fn search<'a>(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        filter: impl Into<Filter<'a>>,
    ) -> Result<Vec<Hit>, AnnError> {
        self.answer(&Request { query, k, ef, filter: filter.into(), budget: None, plan: None })
            .map(|answer| answer.hits)
    }

    /// As [`LiveIndex::search`], with a budget and an account of the work.
    ///
    /// # Errors
    /// [`AnnError`] of kind `Invalid` for a query that can't be compared.
    pub fn answer(&self, request: &Request<'_>) -> Result<Answer, AnnError> {
        let mut answers = self.answers(request, &[request.query])?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Answers to several queries, in their order, all on one state of the index. Walks take turns, so
    /// that one works while the others wait for memory: cheaper by the query than one by one.
    ///
    /// # Errors
    /// [`AnnError`] of kind `Invalid` for the first query that can't be compared.
    pub fn search_batch(
        &self,
        queries: &[&[f32]],
        k: usize,
        ef: usize,
        filter: Filter<'_>,
    ) -> Result<Vec<Vec<Hit>>, AnnError> {
        let request = Request { query: &[], k, ef, filter, budget: None, plan: None };
        let answers = self.answers(&request, queries)?;
        Ok(answers.into_iter().map(|answer| answer.hits).collect())
    }

    /// Answers to `queries`, all that `request` says else being alike.
    fn answers(&self, request: &Request<'_>, queries: &[&[f32]]) -> Result<Vec<Answer>, AnnError> {
        let admitted: Result<Vec<Vec<f32>>, AnnError> =
            queries.iter().map(|query| self.space.admit(query)).collect();
        let admitted = admitted?;
        let queries: Vec<&[f32]> = admitted.iter().map(Vec::as_slice).collect();
        let state = self.state.load_full();
        let picked = state.pick(&request.filter)?;
        let k = request.k.min(state.live);
        if k == 0 {
            return Ok(vec![Answer::default(); queries.len()]);
        }
        let ask = Ask {
            space: &self.space,
            query: &[],
            k,
            ef: request.ef.min(state.live),
            budget: request.budget.unwrap_or(self.options.budget),
            plan: request.plan,
        };
        let found = match &picked {
            Some(picked) => state.search_among(ask, &queries, picked),
            None => state.search(ask, &queries, request.filter),
        };
        let answer = |(query, found): (&&[f32], Found)| Answer {
            hits: state.hits(Ask { query, ..ask }, request.filter, &found),
            plan: Some(found.plan),
            compared: found.compared,
            expanded: found.expanded,
            rescored: found.rescored,
            complete: !found.cut,
        };
        Ok(queries.iter().zip(found).map(answer).collect())
    }

    /// Looks up where the rows of a set are, so that searches among them need not.
    #[must_use]
    pub fn prepare(&self, rows: Bitmap) -> Prepared {
        Prepared::new(rows, &self.state.load().generation)
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn note(&mut self, row: Row) {
        if let Some(journal) = &mut self.journal {
            journal.push(row);
        }
    }
}
