//! Which links a node keeps: near ones, but none in the shadow of a nearer one.
//!
//! The heuristic of Malkov and Yashunin (arXiv 1603.09320, algorithm 4): a candidate is kept if it is
//! no nearer to any neighbour kept so far than to the node, so that links point in all directions.

use crate::kernel::squared_distance;
use crate::matrix::Rows;

/// A candidate link: squared distance and node.
pub(crate) type Near = (f32, u32);

/// Of `candidates`, at most `room` diverse ones, nearest first.
pub(crate) fn prune(rows: Rows<'_>, node: u32, mut candidates: Vec<Near>, room: usize) -> Vec<u32> {
    candidates.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    candidates.dedup_by_key(|near| near.1);
    let mut kept: Vec<u32> = Vec::with_capacity(room);
    for (distance, candidate) in candidates {
        if kept.len() == room {
            break;
        }
        let vector = rows.row(candidate as usize);
        let open = |&other: &u32| squared_distance(vector, rows.row(other as usize)) >= distance;
        if candidate != node && kept.iter().all(open) {
            kept.push(candidate);
        }
    }
    kept
}

/// `links` as candidates of `node`.
pub(crate) fn measured<'a>(
    rows: Rows<'a>,
    node: u32,
    links: &'a [u32],
) -> impl Iterator<Item = Near> + 'a {
    let own = rows.row(node as usize);
    links.iter().map(move |&link| (squared_distance(own, rows.row(link as usize)), link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_nearer_neighbour_is_left_out() {
        // On a line: 0 at the origin, 1 and 2 to the right, 3 to the left.
        let rows = Rows::new(1, &[0.0, 1.0, 2.0, -1.5]);
        let all: Vec<Near> = measured(rows, 0, &[1, 2, 3, 1]).collect();
        assert_eq!(prune(rows, 0, all.clone(), 8), [1, 3]);
        assert_eq!(prune(rows, 0, all, 1), [1]);
    }
}
