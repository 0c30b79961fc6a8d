//! The catalogue: its replicated rows and what a node keeps of them in memory.

mod machine;
mod rows;
mod shelf;

pub use machine::CatalogMachine;
pub use rows::{FORMAT, facts_of, row_of};
pub use shelf::{Catalogue, IndexFault, ShelfView};
