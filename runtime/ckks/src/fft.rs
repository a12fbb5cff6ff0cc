//! The canonical embedding: evaluation at ζ^(5^j), j = 0..n, of a real polynomial of degree below 2n.
//!
//! Slots are visited in the orbit of 5, so that the automorphism X ↦ X^(5^r) rotates them by r (Cheon, Kim, Kim, Song
//! 2017; the transform by stages as in Cheon, Han, Kim, Kim, Song 2018).

use hec_params::Slots;
use std::f64::consts::TAU;

/// Twiddle factors of the transform on n slots.
#[derive(Debug)]
pub(crate) struct SpecialFft {
    /// Stage of length 2, 4, .., n: half as many roots each. Those of fewer slots are the first of them.
    stages: Vec<Stage>,
}

/// Roots of a stage: real and imaginary parts.
type Stage = (Vec<f64>, Vec<f64>);

/// log2 of the slots whose both parts and roots fill half of a first-level cache: so many stages are done range by range,
/// while a range is in cache.
const CACHED: usize = 9;

impl SpecialFft {
    pub fn new(slots: Slots) -> Self {
        let n = slots.0;
        let stage = |log: u32| {
            let length = 1usize << log;
            // 5^j modulo 4·length, as a share of the full turn.
            let order = 4 * length as u64;
            let orbit = std::iter::successors(Some(1u64), |&g| Some(g * 5 % order));
            orbit.take(length / 2).map(|g| root_of_unity(g, order)).unzip()
        };
        SpecialFft { stages: (1..=n.trailing_zeros()).map(stage).collect() }
    }

    /// The roots (re, im) of the stage of length 2^(stage+1): half as many. They do not depend on n.
    pub fn roots(&self, stage: usize) -> (&[f64], &[f64]) {
        let (re, im) = &self.stages[stage];
        (re, im)
    }

    /// The stages of so many slots, at most n: those done range by range, the length of a range, and the others.
    fn stages(&self, slots: usize) -> (&[Stage], usize, &[Stage]) {
        let stages = &self.stages[..slots.trailing_zeros() as usize];
        let (inner, outer) = stages.split_at(stages.len().min(CACHED));
        (inner, 1 << inner.len(), outer)
    }

    /// From as many complex coefficients (a[k] + i·a[k+n]) to slots, in place; n or fewer, a power of two.
    pub fn forward(&self, re: &mut [f64], im: &mut [f64]) {
        bit_reverse(re);
        bit_reverse(im);
        let (inner, range, outer) = self.stages(re.len());
        for (re, im) in re.chunks_mut(range).zip(im.chunks_mut(range)) {
            inner.iter().for_each(|(wr, wi)| hec_arith::fft_forward(re, im, (wr, wi)));
        }
        outer.iter().for_each(|(wr, wi)| hec_arith::fft_forward(re, im, (wr, wi)));
    }

    /// From slots to as many complex coefficients, in place.
    pub fn inverse(&self, re: &mut [f64], im: &mut [f64]) {
        let (inner, range, outer) = self.stages(re.len());
        outer.iter().rev().for_each(|(wr, wi)| hec_arith::fft_inverse(re, im, (wr, wi)));
        for (re, im) in re.chunks_mut(range).zip(im.chunks_mut(range)) {
            inner.iter().rev().for_each(|(wr, wi)| hec_arith::fft_inverse(re, im, (wr, wi)));
        }
        bit_reverse(re);
        bit_reverse(im);
        let share = 1.0 / re.len() as f64;
        re.iter_mut().chain(im).for_each(|x| *x *= share);
    }
}

fn bit_reverse(values: &mut [f64]) {
    let bits = values.len().trailing_zeros();
    if bits == 0 {
        return;
    }
    for i in 0..values.len() {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            values.swap(i, j);
        }
    }
}

/// e^(2πi·k/order), from an angle of at most an eighth of a turn: then sine and cosine lose nothing to the rounding
/// of 2π. `order` is a multiple of 8.
fn root_of_unity(k: u64, order: u64) -> (f64, f64) {
    let octant = order / 8;
    let (turns, rest) = (k / octant % 8, k % octant);
    let angle = |steps: u64| (TAU * (steps as f64 / order as f64)).sin_cos();
    // Odd octants are reached backwards from their end.
    let (s, c) = if turns % 2 == 0 { angle(rest) } else { angle(octant - rest) };
    match turns {
        0 => (c, s),
        1 => (s, c),
        2 => (-s, c),
        3 => (-c, s),
        4 => (-c, -s),
        5 => (-s, -c),
        6 => (s, -c),
        _ => (c, -s),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_direct_evaluation_and_inverts() {
        let n = 16usize;
        let fft = SpecialFft::new(Slots(n));
        let a: Vec<f64> = (0..2 * n).map(|k| ((k * k + 3) % 17) as f64 - 8.0).collect();
        let (mut re, mut im) = (a[..n].to_vec(), a[n..].to_vec());
        fft.forward(&mut re, &mut im);
        let mut power = 1u64;
        for j in 0..n {
            let (mut x, mut y) = (0.0, 0.0);
            for (k, a) in a.iter().enumerate() {
                let (s, c) = (TAU * ((power * k as u64) % (4 * n as u64)) as f64 / (4 * n) as f64).sin_cos();
                x += a * c;
                y += a * s;
            }
            assert!((x - re[j]).abs() < 1e-12 && (y - im[j]).abs() < 1e-12, "slot {j}");
            power = power * 5 % (4 * n as u64);
        }
        fft.inverse(&mut re, &mut im);
        for (k, x) in re.iter().chain(&im).enumerate() {
            assert!((x - a[k]).abs() < 1e-13, "coefficient {k}");
        }
    }
}
