//! Where the elements of a tensor sit in the slots of ciphertexts.
//!
//! Each axis is split into digits with strides, as in CuTe layouts and tile tensors (Aharoni et al. 2023); row-major,
//! multiplexed (gap) packing (Lee et al. 2022) and spatial fragments are all of this form.

use crate::Slots;
use crate::tensor::Shape;

/// Where an element sits: which ciphertext, which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex {
    /// Which ciphertext of the bundle.
    pub ciphertext: u32,
    /// Which slot in it.
    pub slot: u32,
}

/// One digit of an axis index: `(index / divisor) % extent`, placed `stride` slots apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digit {
    /// Axis of the tensor.
    pub axis: u32,
    /// What the axis index is divided by.
    pub divisor: u32,
    /// How many values the digit has.
    pub extent: u32,
    /// Distance in slots between consecutive values of the digit.
    pub stride: u32,
}

impl Digit {
    /// Distance in slots between its first and its last value.
    fn reach(&self) -> usize {
        self.extent.saturating_sub(1) as usize * self.stride as usize
    }
}

/// A map from tensor indices to slots. Position = Σ digit value · stride; ciphertext = position / slots.
///
/// With `period` = p, everything repeats every p slots (p divides the number of slots and every position is below p):
/// slot s holds what slot s mod p holds. Slots that no element maps to hold 0 when encrypted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Shape of the tensor.
    pub shape: Shape,
    /// Slots of a ciphertext.
    pub slots: Slots,
    /// Digits of all axes.
    pub digits: Vec<Digit>,
    /// Replication period, if the content repeats.
    pub period: Option<u32>,
}

/// Why a layout is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LayoutError {
    #[error("axis {axis} of extent {extent} is not covered exactly by its digits")]
    Axis { axis: usize, extent: usize },
    #[error("two elements share position {0}")]
    Collision(usize),
    #[error("period {period} must divide {slots} slots and exceed every position (the last is {last})")]
    Period { period: u32, slots: usize, last: usize },
    #[error("the tensor takes {0} ciphertexts, more than can be addressed")]
    TooLarge(usize),
    #[error("a ciphertext must have at least one slot")]
    NoSlots,
    #[error("the digits interleave, and {0} elements are too many to check one by one: use larger strides")]
    Interleaved(usize),
}

impl Layout {
    /// Row-major, axis by axis, without gaps.
    pub fn row_major(shape: Shape, slots: Slots) -> Self {
        let mut digits = Vec::new();
        let mut stride = 1u32;
        for (axis, &extent) in shape.dims().iter().enumerate().rev() {
            // A tensor too large for 32 bits saturates, and is refused by `verify`.
            let extent = u32::try_from(extent).unwrap_or(u32::MAX);
            if extent > 1 {
                digits.push(Digit { axis: axis as u32, divisor: 1, extent, stride });
            }
            stride = stride.saturating_mul(extent);
        }
        digits.reverse();
        Layout { shape, slots, digits, period: None }
    }

    /// The same layout, repeated every `period` slots.
    pub fn with_period(mut self, period: u32) -> Self {
        self.period = Some(period);
        self
    }

    /// Position of an element, counted over all ciphertexts.
    fn position(&self, index: &[usize]) -> usize {
        self.digits
            .iter()
            .map(|d| (index[d.axis as usize] / d.divisor as usize % d.extent as usize) * d.stride as usize)
            .sum()
    }

    /// The slot of every element, in row-major order of the tensor.
    pub fn slot_indices(&self) -> Vec<SlotIndex> {
        let slots = self.slots.0;
        self.shape
            .indices()
            .map(|index| {
                let position = self.position(&index);
                SlotIndex { ciphertext: (position / slots) as u32, slot: (position % slots) as u32 }
            })
            .collect()
    }

    /// The largest position plus one.
    pub fn span(&self) -> usize {
        self.digits.iter().fold(1, |span: usize, d| span.saturating_add(d.reach()))
    }

    /// How many ciphertexts the tensor takes.
    pub fn ciphertexts(&self) -> usize {
        self.span().div_ceil(self.slots.0.max(1)).max(1)
    }

    /// Check that the digits cover every axis exactly and that no two elements share a slot.
    pub fn verify(&self) -> Result<(), LayoutError> {
        if self.slots.0 == 0 {
            return Err(LayoutError::NoSlots);
        }
        self.verify_axes()?;
        let span = self.span();
        if span > self.slots.0.saturating_mul(1 << 12) {
            return Err(LayoutError::TooLarge(self.ciphertexts()));
        }
        if let Some(period) = self.period
            && (period == 0 || !self.slots.0.is_multiple_of(period as usize) || span > period as usize)
        {
            return Err(LayoutError::Period { period, slots: self.slots.0, last: span - 1 });
        }
        self.verify_distinct()
    }

    /// Check that the digits of every axis tell all its indices apart.
    fn verify_axes(&self) -> Result<(), LayoutError> {
        for (axis, &extent) in self.shape.dims().iter().enumerate() {
            let mut digits: Vec<_> = self.digits.iter().filter(|d| d.axis as usize == axis).collect();
            digits.sort_by_key(|d| d.divisor);
            let mut covered = 1usize;
            for d in digits {
                if d.divisor as usize != covered || d.extent == 0 {
                    return Err(LayoutError::Axis { axis, extent });
                }
                covered = covered.saturating_mul(d.extent as usize);
            }
            if covered < extent {
                return Err(LayoutError::Axis { axis, extent });
            }
        }
        if self.digits.iter().any(|d| d.axis as usize >= self.shape.rank()) {
            return Err(LayoutError::Axis { axis: self.shape.rank(), extent: 0 });
        }
        Ok(())
    }

    /// Check that no two elements share a position.
    fn verify_distinct(&self) -> Result<(), LayoutError> {
        // When each stride exceeds all that the smaller ones reach together, positions are numbers in a mixed radix.
        let mut digits: Vec<_> = self.digits.iter().filter(|d| d.extent > 1).collect();
        digits.sort_by_key(|d| d.stride);
        let mut reach = 0usize;
        let nested = digits.iter().all(|d| {
            let above = d.stride as usize > reach;
            reach = reach.saturating_add(d.reach());
            above
        });
        if nested {
            return Ok(());
        }
        let elements = self.shape.dims().iter().fold(1usize, |n, &extent| n.saturating_mul(extent));
        if elements > 1 << 20 {
            return Err(LayoutError::Interleaved(elements));
        }
        let mut positions: Vec<usize> = self.shape.indices().map(|index| self.position(&index)).collect();
        positions.sort_unstable();
        match positions.windows(2).find(|w| w[0] == w[1]) {
            Some(pair) => Err(LayoutError::Collision(pair[0])),
            None => Ok(()),
        }
    }

    /// Put a tensor's data (row-major) into slot vectors, one for each ciphertext.
    pub fn pack(&self, data: &[f64]) -> Vec<Vec<f64>> {
        let mut out = vec![vec![0.0; self.slots.0]; self.ciphertexts()];
        for (at, &value) in self.slot_indices().iter().zip(data) {
            out[at.ciphertext as usize][at.slot as usize] = value;
        }
        if let Some(period) = self.period.map(|p| p as usize) {
            for vector in &mut out {
                for slot in period..vector.len() {
                    vector[slot] = vector[slot - period];
                }
            }
        }
        out
    }

    /// Read a tensor's data (row-major) out of slot vectors.
    pub fn unpack(&self, slots: &[Vec<f64>]) -> Vec<f64> {
        self.slot_indices().iter().map(|at| slots[at.ciphertext as usize][at.slot as usize]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn digit(largest: u32) -> impl Strategy<Value = Digit> {
        let digit = (0..3u32, 0..=largest, 0..=largest, 0..=largest);
        digit.prop_map(|(axis, divisor, extent, stride)| Digit { axis, divisor, extent, stride })
    }

    fn config() -> ProptestConfig {
        ProptestConfig { rng_seed: RngSeed::Fixed(2), failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn accepted_layouts_give_each_element_its_own_slot(
            dims in prop::collection::vec(1usize..5, 1..3),
            strides in prop::collection::vec(0u32..9, 2),
        ) {
            let digits = dims.iter().zip(&strides).enumerate().map(|(axis, (&extent, &stride))| Digit {
                axis: axis as u32,
                divisor: 1,
                extent: extent as u32,
                stride,
            });
            let layout = Layout { shape: Shape::new(dims.clone()), slots: Slots(8), digits: digits.collect(), period: None };
            let mut places = layout.slot_indices();
            places.sort();
            places.dedup();
            prop_assert_eq!(layout.verify().is_ok(), places.len() == layout.shape.elements());
        }

        #[test]
        fn hostile_layouts_are_refused_without_overflow(
            dims in prop::collection::vec(prop_oneof![0usize..4, Just(usize::MAX)], 0..4),
            digits in prop::collection::vec(prop_oneof![digit(4), digit(u32::MAX)], 0..5),
            slots in prop_oneof![0usize..9, Just(usize::MAX)],
            period in prop::option::of(0u32..9),
        ) {
            let layout = Layout { shape: Shape::new(dims), slots: Slots(slots), digits, period };
            if layout.verify().is_ok() {
                prop_assert!(layout.ciphertexts() <= 1 << 12);
            }
        }
    }
}
