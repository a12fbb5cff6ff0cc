//! Slot circuits to leveled circuits: parameters, levels, scales.
