//! The catalogue: its replicated rows and what a node keeps of them in memory.

mod inner;
mod machine;
mod naming;
mod rows;
mod shelf;

pub use machine::CatalogMachine;
pub use naming::may_propose;
pub use rows::{FORMAT, facts_of, row_of, row_of_space};
pub use shelf::{Catalogue, IndexFault, ShelfView};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
