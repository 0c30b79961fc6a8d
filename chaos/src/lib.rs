//! Faults by seed and on real processes.
