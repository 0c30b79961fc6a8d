//! A graph laid out flat: the same number of cache lines for every node, as many links on each as fit.
//!
//! While nodes can be told apart by three bytes a link takes three, so that a line holds twenty-one: most
//! nodes' links then cost one line, where four bytes a link would cost two.

use crate::error::AnnError;
use crate::memory::Huge;
use crate::sift::prefetch;
use crate::table::Table;

/// Bytes of a cache line.
const LINE: usize = 64;
/// Links of a line, of three bytes each.
const NARROW: usize = LINE / 3;
/// Links of a line, of four bytes each.
const WIDE: usize = LINE / 4;
/// Nodes up to which three bytes tell them apart.
const NARROW_NODES: usize = 1 << 24;

/// Links between nodes. Nodes with fewer links than there is room for point to themselves: a walk has
/// seen them already.
///
/// INVARIANT: every link is below `nodes`.
#[derive(Debug)]
pub(crate) struct Graph {
    bytes: Table<u8>,
    /// Bytes of a node's links, whole lines.
    stride: usize,
    nodes: usize,
}

impl Graph {
    /// A graph of these lists; links beyond the nodes, or beyond `room`, are left out.
    pub(crate) fn of(lists: &[Vec<u32>], room: usize) -> Result<Self, AnnError> {
        let nodes = lists.len();
        let known = |&link: &u32| (link as usize) < nodes;
        Self::filled(nodes, room, lists.iter().map(|list| list.iter().copied().filter(known)))
    }

    /// A graph of `room` links for each of `nodes`, one after the other; `None` if a link leads nowhere.
    pub(crate) fn of_table(
        links: &[u32],
        room: usize,
        nodes: usize,
    ) -> Result<Option<Self>, AnnError> {
        let fits = room > 0 && nodes.checked_mul(room) == Some(links.len());
        if !fits || !links.iter().all(|&link| (link as usize) < nodes) {
            return Ok(None);
        }
        let lists = links.chunks_exact(room).zip(0u32..);
        let lists = lists.map(|(list, own)| list.iter().copied().filter(move |&link| link != own));
        Self::filled(nodes, room, lists).map(Some)
    }

    fn filled(
        nodes: usize,
        room: usize,
        lists: impl Iterator<Item = impl Iterator<Item = u32>>,
    ) -> Result<Self, AnnError> {
        let per_line = if nodes <= NARROW_NODES { NARROW } else { WIDE };
        let stride = room.div_ceil(per_line).max(1) * LINE;
        let (mut bytes, narrow) = (Huge::zeros(nodes * stride)?, nodes <= NARROW_NODES);
        for ((row, list), own) in bytes.chunks_exact_mut(stride).zip(lists).zip(0u32..) {
            let links = list.take(room).chain(std::iter::repeat(own));
            for (slot, link) in slots(row, narrow).zip(links) {
                slot.iter_mut().zip(link.to_le_bytes()).for_each(|(byte, b)| *byte = b);
            }
        }
        Ok(Self { bytes: bytes.into(), stride, nodes })
    }

    /// A graph of such bytes as [`Graph::table`] has, `stride` of them for each of `nodes`; `None` if they are
    /// not as many, or a link leads nowhere.
    pub(crate) fn of_bytes(bytes: Table<u8>, stride: usize, nodes: usize) -> Option<Self> {
        let lines = stride > 0 && stride.is_multiple_of(LINE);
        let fits = lines && nodes.checked_mul(stride) == Some(bytes.len());
        let graph = Self { bytes, stride, nodes };
        (fits && graph.leads_somewhere()).then_some(graph)
    }

    fn leads_somewhere(&self) -> bool {
        let all = Links { lines: self.bytes.as_chunks().0, narrow: self.is_narrow() };
        let mut last = 0;
        all.each(|link| last = last.max(link));
        self.nodes == 0 || (last as usize) < self.nodes
    }

    fn is_narrow(&self) -> bool {
        self.nodes <= NARROW_NODES
    }

    /// Links that a node has room for.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.stride / LINE * if self.is_narrow() { NARROW } else { WIDE }
    }

    /// Cache lines of a node's links.
    pub(crate) fn lines(&self) -> usize {
        self.stride / LINE
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of a node's links.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The links of all nodes, as they are searched.
    pub(crate) fn table(&self) -> &[u8] {
        &self.bytes
    }

    /// The node's links, filled up with the node itself.
    #[inline(always)]
    pub(crate) fn links(&self, node: u32) -> Links<'_> {
        let at = node as usize * self.stride;
        let row = self.bytes.get(at..at + self.stride).unwrap_or_default();
        Links { lines: row.as_chunks().0, narrow: self.is_narrow() }
    }

    /// Asks for a node's links.
    #[inline(always)]
    pub(crate) fn prefetch(&self, node: u32) {
        for line in (0..self.stride).step_by(LINE) {
            prefetch(&self.bytes, node as usize * self.stride + line);
        }
    }
}

/// The bytes of each link of a node.
fn slots(row: &mut [u8], narrow: bool) -> impl Iterator<Item = &mut [u8]> {
    let size = if narrow { LINE / NARROW } else { LINE / WIDE };
    row.chunks_exact_mut(LINE).flat_map(move |line| line.chunks_exact_mut(size))
}

/// The links of one node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links<'a> {
    lines: &'a [[u8; LINE]],
    narrow: bool,
}

impl Links<'_> {
    /// How many there are, those to the node itself too.
    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.lines.len() * if self.narrow { NARROW } else { WIDE }
    }

    /// Calls `visit` with each. A loop of fixed length over each line, which the compiler unrolls.
    #[inline(always)]
    pub(crate) fn each(self, mut visit: impl FnMut(u32)) {
        for line in self.lines {
            if self.narrow {
                // One byte more than a link is read: the last link ends a byte before its line.
                line.windows(4).step_by(3).for_each(|four| visit(number(four) & 0x00FF_FFFF));
            } else {
                line.as_chunks().0.iter().for_each(|&four| visit(u32::from_le_bytes(four)));
            }
        }
    }

    /// All of them.
    pub(crate) fn to_vec(self) -> Vec<u32> {
        let mut links = Vec::with_capacity(self.len());
        self.each(|link| links.push(link));
        links
    }
}

#[inline(always)]
fn number(four: &[u8]) -> u32 {
    four.first_chunk().map_or(0, |&four| u32::from_le_bytes(four))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn links_are_kept_and_filled_up_with_the_node_itself(
            lists in prop::collection::vec(prop::collection::vec(0u32..40, 0..50), 1..40),
            room in 1usize..50,
        ) {
            let graph = Graph::of(&lists, room).unwrap();
            assert!(graph.room() >= room && graph.nodes() == lists.len());
            let count = u32::try_from(lists.len()).unwrap();
            for (list, own) in lists.iter().zip(0u32..) {
                let mut expected: Vec<u32> =
                    list.iter().copied().filter(|&l| l < count).take(room).collect();
                expected.resize(graph.room(), own);
                assert_eq!(graph.links(own).to_vec(), expected);
            }
            let table: Vec<u32> = (0..count).flat_map(|own| graph.links(own).to_vec()).collect();
            let again = Graph::of_table(&table, graph.room(), lists.len()).unwrap().unwrap();
            for own in 0..count {
                let proper = |graph: &Graph| {
                    let mut links = graph.links(own).to_vec();
                    links.retain(|&link| link != own);
                    links
                };
                assert_eq!(proper(&again), proper(&graph));
            }
        }
    }

    #[test]
    fn a_table_that_leads_nowhere_is_refused() {
        assert!(Graph::of_table(&[0, 1, 1, 0], 2, 2).unwrap().is_some());
        assert!(Graph::of_table(&[0, 1, 2, 0], 2, 2).unwrap().is_none());
        assert!(Graph::of_table(&[0, 1, 1], 2, 2).unwrap().is_none());
        assert!(Graph::of_table(&[], 0, 0).unwrap().is_none());
        let bytes = |links: &[u32]| {
            let mut line = vec![0_u8; LINE];
            for (slot, link) in line.chunks_exact_mut(3).zip(links) {
                slot.copy_from_slice(&link.to_le_bytes()[..3]);
            }
            Table::from(Huge::of(&line).unwrap())
        };
        assert!(Graph::of_bytes(bytes(&[0; 21]), LINE, 1).is_some());
        assert!(Graph::of_bytes(bytes(&[0; 21]), LINE, 2).is_none());
        assert!(Graph::of_bytes(bytes(&[0; 21]), 0, 0).is_none());
        assert!(Graph::of_bytes(bytes(&[1; 21]), LINE, 1).is_none());
        let last = [&[0; 20][..], &[1]].concat();
        assert!(Graph::of_bytes(bytes(&last), LINE, 1).is_none());
    }
}
