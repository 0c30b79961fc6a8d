//! Packs, meet and decision.
