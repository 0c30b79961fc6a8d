//! What people of this domain took along with what a person liked.

use std::collections::HashMap;

use bailiwick_core::policy::{Signal, SignalSet};
use bailiwick_core::ranking::{Part, Row, Source, SourceError};

use crate::catalog::ShelfView;

/// Lists of home over a pool of rows.
pub(super) struct Together<'a> {
    pub(super) shelf: &'a ShelfView<'a>,
    /// The signal that the pool rests on.
    pub(super) signal: Signal,
    /// The newest first, each with its weight.
    pub(super) rows: Vec<(Row, f32)>,
}

/// The sum of what lists say of an item, and the row that says most of it.
#[derive(Clone, Copy)]
struct Said {
    sum: f32,
    most: f32,
    by: Row,
}

impl Together<'_> {
    pub(super) const NAME: &'static str = "taken_together";

    fn said(&self) -> HashMap<u32, Said> {
        let mut said: HashMap<u32, Said> = HashMap::new();
        let Some(lists) = self.shelf.lists() else { return said };
        for (row, weight) in &self.rows {
            let Some(number) = self.shelf.number(*row) else { continue };
            for (other, along) in lists.of(number) {
                let share = weight * along;
                let entry = said.entry(*other).or_insert(Said { sum: 0.0, most: share, by: *row });
                entry.sum += share;
                if share > entry.most {
                    (entry.most, entry.by) = (share, *row);
                }
            }
        }
        said
    }
}

impl Source for Together<'_> {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn needs(&self) -> SignalSet {
        [self.signal].into_iter().collect()
    }

    fn candidates(
        &self,
        wanted: usize,
        keep: &dyn Fn(Row) -> bool,
    ) -> Result<Vec<(Row, Part)>, SourceError> {
        let kept = |(number, said): (u32, Said)| {
            let row = self.shelf.numbered(number)?;
            (said.sum > 0.0 && keep(row)).then_some((row, said))
        };
        let mut found: Vec<(Row, Said)> = self.said().into_iter().filter_map(kept).collect();
        // The row breaks ties, since the order of a hash map is not the same twice.
        found.sort_by(|(a, x), (b, y)| y.sum.total_cmp(&x.sum).then(a.cmp(b)));
        found.truncate(wanted);
        let greatest = found.first().map_or(1.0, |(_, said)| said.sum);
        let part = |said: Said| Part {
            source: Self::NAME,
            signal: Some(self.signal),
            score: said.sum / greatest,
            from: Some(said.by),
        };
        Ok(found.into_iter().map(|(row, said)| (row, part(said))).collect())
    }
}
