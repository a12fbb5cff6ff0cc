//! Typed quantities, so that a level is never mistaken for a rotation.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Base-2 logarithm of the ring degree N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogN(pub u32);

impl LogN {
    /// The ring degree N.
    pub fn degree(self) -> usize {
        1 << self.0
    }

    /// The number of complex slots, N/2.
    pub fn slots(self) -> Slots {
        Slots(1 << (self.0 - 1))
    }
}

/// How many slots a ciphertext has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slots(pub usize);

impl Slots {
    /// The slots of each of so many inputs that share a ciphertext.
    pub fn shared_by(self, batch: Batch) -> Slots {
        Slots(self.0 / batch.0.max(1))
    }
}

/// How many inputs a program evaluates at once: a power of two. Slot s of the program is slots s·batch..(s+1)·batch of a
/// ciphertext, one for each input, so that the program itself is that of one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Batch(pub usize);

impl Batch {
    /// One input at a time.
    pub const ONE: Batch = Batch(1);

    /// Whether a ciphertext holds one input.
    pub fn is_one(&self) -> bool {
        *self == Batch::ONE
    }

    /// A rotation of the program's slots as one of the ciphertext's.
    pub fn rotation(self, rotation: Rotation) -> Rotation {
        Rotation(rotation.0.saturating_mul(self.0 as u32))
    }
}

impl Default for Batch {
    fn default() -> Self {
        Batch::ONE
    }
}

/// A ciphertext's level: how many rescales it can still take. At level ℓ it holds the primes of levels 0..=ℓ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Level(pub u32);

impl Level {
    /// The level as an index into per-level tables.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The level below, or `None` at the bottom.
    pub fn below(self) -> Option<Level> {
        self.0.checked_sub(1).map(Level)
    }
}

/// How many levels a computation uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Depth(pub u32);

/// The factor between a message and the integers that encode it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Scale(pub f64);

impl Scale {
    /// log2 of the scale.
    pub fn log2(self) -> f64 {
        libm::log2(self.0)
    }
}

/// A cyclic rotation of the slots to the left: slot `i` of the result is slot `i + r mod n` of the input.
///
/// Always stored reduced to `0..n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rotation(pub u32);

impl Rotation {
    /// The rotation by `steps` (negative: to the right), reduced modulo the number of slots.
    pub fn new(steps: i64, slots: Slots) -> Self {
        Rotation(steps.rem_euclid(slots.0 as i64) as u32)
    }

    /// Whether it does nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
