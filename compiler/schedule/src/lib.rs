//! Leveled circuits to programs: order, hoisting, registers, keys.
