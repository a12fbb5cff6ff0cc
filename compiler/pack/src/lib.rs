//! Tensor graphs to slot circuits: layouts, diagonals, polynomial trees.
