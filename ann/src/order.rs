//! Numbering nodes so that what is read together lies together.

/// Old numbers in the new order: breadth first, so that a node's neighbours are near each other.
pub(crate) fn breadth_first(lists: &[Vec<u32>]) -> Vec<u32> {
    let mut order: Vec<u32> = Vec::with_capacity(lists.len());
    let mut placed = vec![false; lists.len()];
    let mut done = 0;
    for start in (0u32..).take(lists.len()) {
        place(start, &mut placed, &mut order);
        while let Some(&node) = order.get(done) {
            done += 1;
            for &link in lists.get(node as usize).into_iter().flatten() {
                place(link, &mut placed, &mut order);
            }
        }
    }
    order
}

fn place(node: u32, placed: &mut [bool], order: &mut Vec<u32>) {
    if placed.get_mut(node as usize).is_some_and(|p| !std::mem::replace(p, true)) {
        order.push(node);
    }
}

/// The lists under new numbers, in the new order.
pub(crate) fn renumber(lists: &[Vec<u32>], order: &[u32]) -> Vec<Vec<u32>> {
    let mut new = vec![0u32; lists.len()];
    for (&old, number) in order.iter().zip(0..) {
        new.get_mut(old as usize).into_iter().for_each(|slot| *slot = number);
    }
    let renamed =
        |list: &Vec<u32>| list.iter().filter_map(|&l| new.get(l as usize)).copied().collect();
    order.iter().map(|&old| lists.get(old as usize).map(renamed).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_come_next_and_nobody_is_lost() {
        let lists = vec![vec![3], vec![0], vec![1], vec![2, 9]];
        let order = breadth_first(&lists);
        assert_eq!(order, [0, 3, 2, 1]);
        assert_eq!(renumber(&lists, &order), [vec![1], vec![2], vec![3], vec![0]]);
    }
}
