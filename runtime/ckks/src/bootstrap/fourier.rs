//! The transform between slots and coefficients as a product of sparse matrices (Chen, Chillotti, Song 2019; Han,
//! Hhan, Cheon 2019).
//!
//! A stage of the FFT on n slots has the diagonals 0, +h and −h. Consecutive stages multiply to a factor of a larger
//! radix r with at most 2r − 1 diagonals, all at multiples of one stride. Bit reversal is left out in both directions
//! and cancels.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::f64::consts::SQRT_2;
use std::sync::Arc;

use hec_params::{Level, Rotation};
use rayon::prelude::*;

use super::shape::{Direction, Encoding, Factor, Shape};
use crate::periodic::PeriodicEncoder;
use crate::{
    Ciphertext, CkksError, Complex, Context, EncodedDiagonals, Encoder, Evaluator, ExtendedPlaintext, LinearPlan,
    LinearTerm, MemoryBudget,
};

/// A matrix on n slots by its non-zero diagonals: out[i] = Σ_d diagonal_d[i]·in[i + d mod n].
#[derive(Clone, Debug)]
struct Matrix {
    n: usize,
    diagonals: BTreeMap<usize, Vec<Complex>>,
}

/// A chain of maps, one a level: first a rotation, then the maps.
#[derive(Debug)]
pub(super) struct Transform {
    turn: Rotation,
    maps: Vec<Map>,
}

#[derive(Debug)]
struct Map {
    plan: LinearPlan,
    diagonals: EncodedDiagonals,
}

impl Transform {
    /// The transform of this shape; each factor is unitary times its gain.
    pub fn new(context: &Arc<Context>, shape: &Shape, gains: &[f64], long: Encoding) -> Result<Self, CkksError> {
        let mut matrices: Vec<Matrix> = factors(context, shape);
        for (matrix, &gain) in matrices.iter_mut().zip(gains) {
            matrix.scale(gain);
        }
        let mut turn = 0;
        for (matrix, factor) in matrices.iter_mut().zip(&shape.factors).rev() {
            matrix.rotate_diagonals(turn);
            matrix.move_diagonals(factor.turn);
            turn += factor.turn;
        }
        let maps = matrices.iter().zip(&shape.factors).zip(shape.levels());
        let maps = maps.map(|((matrix, factor), level)| matrix.map(context, factor, level, long));
        let maps: Vec<Map> = maps.collect::<Result<_, _>>()?;
        if maps.len() < shape.factors.len() {
            return Err(CkksError::NoLevelLeft);
        }
        Ok(Transform { turn: shape.turn(), maps })
    }

    /// The rotation that must come before, at any level.
    pub fn turn(&self) -> Rotation {
        self.turn
    }

    /// Bytes of the encoded diagonals.
    pub fn bytes(&self) -> usize {
        self.maps.iter().map(|map| map.diagonals.bytes()).sum()
    }

    /// Apply all maps.
    pub fn apply(&self, evaluator: &Evaluator, x: &Ciphertext, budget: MemoryBudget) -> Result<Ciphertext, CkksError> {
        let mut x = Cow::Borrowed(x);
        for map in &self.maps {
            let outputs = evaluator.linear(&map.plan, &[&x], &map.diagonals, budget)?;
            x = Cow::Owned(outputs.into_iter().next().ok_or(CkksError::NoLevelLeft)?);
        }
        Ok(x.into_owned())
    }
}

/// The factors in the order in which they are applied, each unitary.
fn factors(context: &Context, shape: &Shape) -> Vec<Matrix> {
    let n = shape.slots.0;
    let stage = |&stage: &u32| Matrix::stage(context, n, stage as usize, shape.direction);
    let product = |factor: &Factor| factor.stages.iter().map(stage).reduce(|product, next| next.after(&product));
    shape.factors.iter().map(|factor| product(factor).unwrap_or(Matrix::one(n))).collect()
}

impl Matrix {
    fn one(n: usize) -> Self {
        Matrix { n, diagonals: BTreeMap::from([(0, vec![Complex { re: 1.0, im: 0.0 }; n])]) }
    }

    /// One stage, divided by √2 or multiplied by it, so that it is unitary.
    fn stage(context: &Context, n: usize, stage: usize, direction: Direction) -> Self {
        let (re, im) = context.fft().roots(stage);
        let half = re.len();
        let mut matrix = Matrix { n, diagonals: BTreeMap::new() };
        let unit = 1.0 / SQRT_2;
        for i in 0..n {
            let (j, is_left) = (i % half, i / half % 2 == 0);
            let (w, one) = (Complex { re: re[j] * unit, im: im[j] * unit }, Complex { re: unit, im: 0.0 });
            let conjugate = Complex { im: -w.im, ..w };
            let minus = |z: Complex| Complex { re: -z.re, im: -z.im };
            let other = if is_left { half } else { n - half };
            let (own, others) = match (direction, is_left) {
                (Direction::SlotsToCoeffs, true) => (one, w),
                (Direction::SlotsToCoeffs, false) => (minus(w), one),
                (Direction::CoeffsToSlots, true) => (one, one),
                (Direction::CoeffsToSlots, false) => (minus(conjugate), conjugate),
            };
            matrix.add(0, i, own);
            matrix.add(other % n, i, others);
        }
        matrix
    }

    fn add(&mut self, shift: usize, i: usize, value: Complex) {
        let n = self.n;
        let x = &mut self.diagonals.entry(shift).or_insert_with(|| vec![Complex::default(); n])[i];
        *x = Complex { re: x.re + value.re, im: x.im + value.im };
    }

    /// self·first.
    fn after(&self, first: &Matrix) -> Matrix {
        let mut product = Matrix { n: self.n, diagonals: BTreeMap::new() };
        for (&a, outer) in &self.diagonals {
            for (&b, inner) in &first.diagonals {
                for (i, &x) in outer.iter().enumerate() {
                    let y = inner[(i + a) % self.n];
                    let value = Complex { re: x.re * y.re - x.im * y.im, im: x.re * y.im + x.im * y.re };
                    product.add((a + b) % self.n, i, value);
                }
            }
        }
        product
    }

    fn scale(&mut self, gain: f64) {
        for value in self.diagonals.values_mut().flatten() {
            *value = Complex { re: value.re * gain, im: value.im * gain };
        }
    }

    /// rot_by · self · rot_−by.
    fn rotate_diagonals(&mut self, by: usize) {
        let by = by % self.n;
        self.diagonals.values_mut().for_each(|diagonal| diagonal.rotate_left(by));
    }

    /// Turn self into N with self = N·rot_turn.
    fn move_diagonals(&mut self, turn: usize) {
        let diagonals = std::mem::take(&mut self.diagonals);
        self.diagonals = diagonals.into_iter().map(|(d, v)| ((d + self.n - turn) % self.n, v)).collect();
    }

    /// The diagonals encoded for the plan of the factor, each rotated by minus its giant step.
    fn map(&self, context: &Arc<Context>, factor: &Factor, level: Level, long: Encoding) -> Result<Map, CkksError> {
        let (plan, encoder) = (factor.plan(), Encoder::new(context));
        let (scale, basis) = (context.scale(level)?, context.extended_basis(level));
        let all: Vec<_> = self.diagonals.values().zip(&plan.terms).collect();
        let slot = |&(values, term): &(&Vec<Complex>, &LinearTerm), i: usize| {
            values[(i + self.n - term.giant.0 as usize % self.n) % self.n]
        };
        let integers = |diagonal: &(&Vec<Complex>, &LinearTerm)| {
            let slots: Vec<Complex> = (0..context.parameters().slots().0).map(|i| slot(diagonal, i)).collect();
            encoder.encode_complex_integers(&slots, level, scale)
        };
        let residues = |diagonal: &(&Vec<Complex>, &LinearTerm)| {
            Ok::<_, CkksError>(ExtendedPlaintext { level, poly: encoder.residues(&integers(diagonal)?, basis) })
        };
        let all = all.par_iter();
        let diagonals = match (PeriodicEncoder::new(context, level, factor.period())?, long) {
            (Some(periodic), _) => {
                let encode = |diagonal| periodic.encode(|i| slot(diagonal, i));
                EncodedDiagonals::of_residues(level, all.map(encode).collect::<Result<_, _>>()?)
            }
            (None, Encoding::Residues) => {
                EncodedDiagonals::of_residues(level, all.map(residues).collect::<Result<_, _>>()?)
            }
            (None, Encoding::Integers) => {
                EncodedDiagonals::of_integers(level, all.map(integers).collect::<Result<_, _>>()?)
            }
        };
        Ok(Map { plan, diagonals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_params::LogN;

    impl Matrix {
        fn times(&self, x: &[Complex]) -> Vec<Complex> {
            let mut out = vec![Complex::default(); self.n];
            for (d, diagonal) in &self.diagonals {
                for (i, (out, v)) in out.iter_mut().zip(diagonal).enumerate() {
                    let x = x[(i + d) % self.n];
                    *out = Complex { re: out.re + v.re * x.re - v.im * x.im, im: out.im + v.re * x.im + v.im * x.re };
                }
            }
            out
        }
    }

    #[test]
    fn factors_are_the_transform_and_its_inverse() {
        let context = Context::toy(LogN(8));
        let n = context.parameters().slots().0;
        let x: Vec<Complex> = (0..n).map(|i| Complex { re: (i * i % 13) as f64, im: (i % 7) as f64 }).collect();
        let run = |direction, radices: &[u32], x: &[Complex]| {
            let shape = Shape::new(context.parameters().slots(), direction, radices, Level(9));
            let factors = factors(&context, &shape);
            assert!(factors.iter().zip(radices).all(|(f, r)| f.diagonals.len() < 2 << r), "too many diagonals");
            factors.iter().fold(x.to_vec(), |x, factor| factor.times(&x))
        };
        let slots = run(Direction::SlotsToCoeffs, &[3, 2, 2], &x);
        // The FFT begins with the bit reversal that is left out here.
        let reversed = |i: usize| x[i.reverse_bits() >> (usize::BITS - n.trailing_zeros())];
        let (mut re, mut im): (Vec<f64>, Vec<f64>) = (0..n).map(reversed).map(|z| (z.re, z.im)).unzip();
        context.fft().forward(&mut re, &mut im);
        let unit = 1.0 / (n as f64).sqrt();
        for (z, (re, im)) in slots.iter().zip(re.iter().zip(&im)) {
            assert!((z.re - re * unit).abs() < 1e-10 && (z.im - im * unit).abs() < 1e-10);
        }
        for (z, x) in run(Direction::CoeffsToSlots, &[4, 3], &slots).iter().zip(&x) {
            assert!((z.re - x.re).abs() < 1e-10 && (z.im - x.im).abs() < 1e-10);
        }
    }

    #[test]
    fn a_turn_is_a_rotation_before_the_matrix() {
        let diagonal = |x: usize| vec![Complex { re: x as f64, im: 0.0 }; 16];
        let mut matrix = Matrix { n: 16, diagonals: [14, 0, 2].map(|d| (d, diagonal(d + 1))).into() };
        let x: Vec<Complex> = (0..16).map(|i| Complex { re: (i * i) as f64, im: 0.0 }).collect();
        let expected = matrix.times(&x);
        matrix.move_diagonals(14);
        assert_eq!(matrix.diagonals.keys().copied().collect::<Vec<_>>(), [0, 2, 4]);
        let mut turned = x.clone();
        turned.rotate_left(14);
        assert_eq!(matrix.times(&turned), expected);
    }
}
