//! A graph laid out flat: the same number of links for every node, on whole cache lines.

use crate::error::AnnError;
use crate::memory::Huge;
use crate::sift::prefetch;

/// Links of a cache line.
const PER_LINE: usize = 16;

/// Links between nodes. Nodes with fewer links than there is room for point to themselves: a walk has
/// seen them already.
///
/// INVARIANT: every link is below `nodes`.
#[derive(Debug)]
pub(crate) struct Graph {
    links: Huge<u32>,
    stride: usize,
    nodes: usize,
}

impl Graph {
    /// A graph of these lists; links beyond the nodes, or beyond `room`, are left out.
    pub(crate) fn of(lists: &[Vec<u32>], room: usize) -> Result<Self, AnnError> {
        let stride = room.next_multiple_of(PER_LINE).max(PER_LINE);
        let mut links = Huge::zeros(lists.len() * stride)?;
        for ((slots, list), node) in links.chunks_exact_mut(stride).zip(lists).zip(0u32..) {
            slots.fill(node);
            let known = list.iter().filter(|&&link| (link as usize) < lists.len());
            slots.iter_mut().zip(known.take(room)).for_each(|(slot, link)| *slot = *link);
        }
        Ok(Self { links, stride, nodes: lists.len() })
    }

    /// A graph of `room` links for each of `nodes`, as [`Graph::table`] gave them; none if a link leads
    /// nowhere.
    pub(crate) fn of_table(links: Huge<u32>, room: usize, nodes: usize) -> Option<Self> {
        let fits = room > 0
            && room.is_multiple_of(PER_LINE)
            && nodes.checked_mul(room) == Some(links.len());
        let known = links.iter().all(|&link| (link as usize) < nodes);
        (fits && known).then_some(Self { links, stride: room, nodes })
    }

    /// All links, and how many a node has room for.
    pub(crate) fn table(&self) -> (&[u32], usize) {
        (&self.links, self.stride)
    }

    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    pub(crate) fn bytes(&self) -> usize {
        self.links.len() * 4
    }

    /// The node's links, filled up with the node itself.
    #[inline]
    pub(crate) fn links(&self, node: u32) -> &[u32] {
        let at = node as usize * self.stride;
        self.links.get(at..at + self.stride).unwrap_or_default()
    }

    /// Asks for a node's links.
    #[inline]
    pub(crate) fn prefetch(&self, node: u32) {
        for line in (0..self.stride).step_by(PER_LINE) {
            prefetch(&self.links, node as usize * self.stride + line);
        }
    }
}
