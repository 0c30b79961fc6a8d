//! What an operator may set.

/// How the frozen generation keeps vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// As they came: scores are exact.
    Exact,
    /// In twelve bits a value: under half the memory. Scores are those of the rounded vectors, and a
    /// merge rounds what it keeps anew. Where vectors differ so much in extent that codes can't
    /// tell them apart they are kept as they came.
    Rounded,
}

/// How an index is built and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Links of a node in the frozen graph, at most. Twenty-one fill a cache line.
    pub links: usize,
    /// Candidates that the builder keeps per insertion.
    pub ef_construction: usize,
    /// Candidates among which a node's final links are chosen.
    pub ef_refine: usize,
    /// Candidates that a search should keep where none were tuned: [`crate::LiveIndex::ef`].
    pub ef: usize,
    /// Threads of a build. The graph is the same whatever their number.
    pub threads: usize,
    /// Vectors in the mutable segment from which [`crate::LiveIndex::needs_merge`] says yes.
    pub merge_at: usize,
    /// Vectors that the mutable segment takes at most; then upserts are refused until a merge.
    pub pending_max: usize,
    /// Vectors that one search may compare at most.
    pub budget: usize,
    /// How the frozen generation keeps vectors.
    pub keep: Keep,
    /// Bytes that opening a file may take.
    pub memory_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            links: 21,
            ef_construction: 40,
            ef_refine: 200,
            ef: 96,
            threads: 2,
            merge_at: 4096,
            pending_max: 262_144,
            budget: 2_000_000,
            keep: Keep::Exact,
            memory_max: 64 << 30,
        }
    }
}
