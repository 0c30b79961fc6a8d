//! Every node must be on some way from the pivots: what can't be reached can't be found.

use crate::codes::Order;
use crate::error::AnnError;
use crate::grow::nearby;
use crate::matrix::Rows;
use crate::walk::{Map, Scratch};

/// Rounds of mending. Each links every lost node; a later one is needed only where making room cut
/// another node off.
const ROUNDS: usize = 8;
/// Reachable nodes near a lost one that may be asked to link to it.
const NEARBY: usize = 128;

/// Links every node that can't be reached from a node near it.
pub(crate) fn repair(
    rows: Rows<'_>,
    order: Order,
    lists: &mut [Vec<u32>],
    room: usize,
) -> Result<(), AnnError> {
    for _ in 0..ROUNDS {
        let map = Map::of(rows, order, lists, room)?;
        let reached = reachable(&map, lists);
        let lost: Vec<u32> =
            (0u32..).zip(&reached).filter(|(_, reached)| !**reached).map(|(n, _)| n).collect();
        if lost.is_empty() {
            break;
        }
        let mut incoming = incoming(lists);
        let mut scratch = Scratch::default();
        for node in lost {
            let query = map.coder.query(rows.row(node as usize));
            let near = nearby(&map, &query, NEARBY, &mut scratch);
            adopt(lists, &mut incoming, room, node, &near);
        }
    }
    Ok(())
}

/// Which nodes the pivots lead to.
fn reachable(map: &Map, lists: &[Vec<u32>]) -> Vec<bool> {
    let mut reached = vec![false; lists.len()];
    let mut open: Vec<u32> = map.pivots().to_vec();
    while let Some(node) = open.pop() {
        if reached.get_mut(node as usize).is_some_and(|r| !std::mem::replace(r, true)) {
            open.extend(lists.get(node as usize).into_iter().flatten());
        }
    }
    reached
}

/// Links into each node.
fn incoming(lists: &[Vec<u32>]) -> Vec<u32> {
    let mut counts = vec![0; lists.len()];
    for &link in lists.iter().flatten() {
        counts.get_mut(link as usize).into_iter().for_each(|count| *count += 1);
    }
    counts
}

/// Has the nearest of `near` that can link to `node`: one with room, or one with a link to a node
/// that has others.
fn adopt(lists: &mut [Vec<u32>], incoming: &mut [u32], room: usize, node: u32, near: &[u32]) {
    let count = |incoming: &[u32], n: u32| incoming.get(n as usize).copied().unwrap_or(0);
    for &parent in near.iter().filter(|&&parent| parent != node) {
        let Some(list) = lists.get_mut(parent as usize) else { continue };
        if list.len() >= room {
            let spare = list.iter().rposition(|&link| count(incoming, link) > 1);
            let Some(spare) = spare else { continue };
            let dropped = list.remove(spare);
            incoming.get_mut(dropped as usize).into_iter().for_each(|count| *count -= 1);
        }
        list.push(node);
        incoming.get_mut(node as usize).into_iter().for_each(|count| *count += 1);
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn islands_are_linked_to_the_mainland() {
        // 4,000 points on a line; each tenth is linked to by nobody.
        let count = 4000_u16;
        let values: Vec<f32> = (0..count).map(f32::from).collect();
        let rows = Rows::new(1, &values);
        let neighbours = |n: u16| -> Vec<u32> {
            let near = [n.wrapping_sub(2), n.wrapping_sub(1), n + 1, n + 2, n + 3];
            near.into_iter().filter(|&m| m < count && m % 10 != 5).map(u32::from).collect()
        };
        let mut lists: Vec<Vec<u32>> = (0..count).map(neighbours).collect();
        let lost = |lists: &[Vec<u32>]| {
            let map = Map::of(rows, Order::Distance, lists, 6).unwrap();
            reachable(&map, lists).iter().filter(|r| !**r).count()
        };
        assert!(lost(&lists) > 200);
        repair(rows, Order::Distance, &mut lists, 6).unwrap();
        assert_eq!(lost(&lists), 0);
        assert!(lists.iter().all(|list| list.len() <= 6));
    }
}
