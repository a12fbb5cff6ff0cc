//! Gaussian samples that are the same on every machine. They model noise; they protect nothing.

/// Splitmix64 (Steele, Lea, Flood 2014) and the Box–Muller transform.
#[derive(Clone, Debug)]
pub(super) struct Gauss {
    state: u64,
    second: Option<f64>,
}

impl Gauss {
    pub(super) fn new(seed: u64) -> Self {
        Gauss { state: seed, second: None }
    }

    /// Uniform in (0, 1].
    pub(super) fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + 1.0 / (1u64 << 53) as f64
    }

    /// Mean 0, variance 1.
    pub(super) fn next(&mut self) -> f64 {
        if let Some(second) = self.second.take() {
            return second;
        }
        let radius = (-2.0 * libm::log(self.uniform())).sqrt();
        let angle = std::f64::consts::TAU * self.uniform();
        self.second = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }
}
