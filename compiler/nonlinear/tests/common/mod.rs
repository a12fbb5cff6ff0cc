//! What tests of whole networks share.

use hec_ir::tensor::{Shape, Tensor};

/// Pseudo-random numbers in (−1, 1).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn tensor(&mut self, dims: &[usize], size: f64) -> Tensor {
        let shape = Shape::new(dims);
        let data = (0..shape.elements()).map(|_| size * self.next()).collect();
        Tensor { shape, data }
    }
}
