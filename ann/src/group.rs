//! Equal vectors share a node: a graph of equal points can't be searched.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::matrix::Matrix;

/// Positions of equal rows, together; groups by the first of each, which comes first in it.
pub(crate) fn equal_rows(rows: &Matrix) -> Vec<Vec<u32>> {
    let bits = |at: u32| rows.row(at as usize).iter().map(|v| v.to_bits());
    let mut order: Vec<(u64, u32)> = rows.iter().map(hash).zip(0..).collect();
    order.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| bits(a.1).cmp(bits(b.1))).then(a.1.cmp(&b.1)));
    let equal = |a: &(u64, u32), b: &(u64, u32)| a.0 == b.0 && bits(a.1).eq(bits(b.1));
    let mut groups: Vec<Vec<u32>> =
        order.chunk_by(equal).map(|group| group.iter().map(|&(_, at)| at).collect()).collect();
    groups.sort_unstable_by_key(|group| group.first().copied());
    groups
}

fn hash(row: &[f32]) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.iter().for_each(|v| v.to_bits().hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_come_together_in_order() {
        let rows = Matrix::from_values(2, vec![1., 2., 3., 4., 1., 2., 5., 6., 3., 4., 1., 2.]);
        assert_eq!(equal_rows(&rows), [vec![0, 2, 5], vec![1, 4], vec![3]]);
    }
}
