//! What each operation adds to the variance of a slot.
//!
//! A polynomial whose N coefficients have independent errors of variance v, encoded at scale Δ, has the variance
//! N·v/(2Δ²) in the real part of every slot: Σ cos² over N coefficients is N/2. A polynomial with independent
//! coefficients of variance v, times the uniform ternary secret (variance 2/3), has coefficients of variance v·2N/3;
//! times its square (variance 8N/9), v·8N²/9 (Costache et al. 2023, §3).

use crate::{Level, Parameters, Plain, Scale};
use hec_params::ERROR_STD_DEV;

/// Variance of rounding to an integer.
const ROUNDING: f64 = 1.0 / 12.0;

/// The formulas for one parameter set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model<'a> {
    pub(super) parameters: &'a Parameters,
}

impl Model<'_> {
    fn degree(&self) -> f64 {
        self.parameters.log_n().degree() as f64
    }

    /// In a slot, from the variance of a coefficient.
    fn slot(&self, coefficient: f64, scale: Scale) -> f64 {
        self.degree() / 2.0 * coefficient / (scale.0 * scale.0)
    }

    /// Rounding of encoded slots to integers.
    pub(super) fn encoding(&self, scale: Scale) -> f64 {
        self.slot(ROUNDING, scale)
    }

    /// Rounding of a plaintext operand. A scalar is one integer, the same error in every slot.
    pub(super) fn plain(&self, plain: &Plain, scale: Scale) -> f64 {
        match plain {
            Plain::Scalar(_) => ROUNDING / (scale.0 * scale.0),
            Plain::Slots(_) => self.encoding(scale),
        }
    }

    /// Encryption under the secret key: the error σ and the rounding of the plaintext.
    pub(super) fn fresh(&self, scale: Scale) -> f64 {
        self.slot(ERROR_STD_DEV * ERROR_STD_DEV + ROUNDING, scale)
    }

    /// Variance of a coefficient after each part is divided and rounded: (1 + 2N/3 [+ 8N²/9 for a third part])/12.
    fn division(&self, parts: u8) -> f64 {
        let n = self.degree();
        let third = if parts > 2 { n * n * 8.0 / 9.0 } else { 0.0 };
        ROUNDING * (1.0 + n * 2.0 / 3.0 + third)
    }

    /// Rescaling to `scale`.
    pub(super) fn rescale(&self, scale: Scale, parts: u8) -> f64 {
        self.slot(self.division(parts), scale)
    }

    /// The inner product of hybrid key switching, divided by P but not yet rounded: N·σ²·Σ_j D_j²/12/P² a coefficient,
    /// D_j the product of the primes of digit j, which is uniform in ±D_j/2 (Han and Ki 2020, §3).
    pub(super) fn key_switch_product(&self, level: Level, scale: Scale) -> f64 {
        let product = |primes: &[u64]| primes.iter().fold(1.0, |product, &p| product * p as f64);
        let special = product(self.parameters.special());
        let primes: Vec<u64> = self.parameters.primes_at(level).collect();
        let ratio = |digit: &[u64]| product(digit) / special;
        let digits: f64 = primes.chunks(self.parameters.digit_size()).map(|digit| ratio(digit) * ratio(digit)).sum();
        self.slot(self.degree() * ERROR_STD_DEV * ERROR_STD_DEV * ROUNDING * digits, scale)
    }

    /// A rotation or relinearization: the inner product and the rounding of the division by P.
    pub(super) fn key_switch(&self, level: Level, scale: Scale) -> f64 {
        self.key_switch_product(level, scale) + self.slot(self.division(2), scale)
    }

    /// Giant steps of a linear map: each sum, at the scale of the products, is divided by P and its rotation switched;
    /// the division by P of the whole comes with the rescale (Bossuat et al. 2021, algorithm 6).
    pub(super) fn giant_steps(&self, level: Level, scale: Scale, giants: usize) -> f64 {
        let product = Scale(scale.0 * self.parameters.scale(level).0);
        giants as f64 * self.key_switch(level, product)
    }

    /// Relative error of an exact drop from `scale` to `level`: that of rounding the integer Δ(k+1)²/Δ.
    pub(super) fn adjust_factor(&self, scale: Scale, level: Level) -> f64 {
        let above = self.parameters.scale(Level(level.0 + 1)).0;
        let factor = above * (above / scale.0);
        ROUNDING / (factor * factor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::gauss::Gauss;
    use super::*;
    use hec_params::{ChainRequest, Depth, LogN, ParametersLiteral};

    const N: usize = 128;

    fn parameters() -> Parameters {
        let request = ChainRequest {
            log_n: LogN(7),
            depth: Depth(2),
            scale_bits: 36.0,
            base_bits: 44.0,
            digit_size: 1,
            insecure_toy: true,
        };
        Parameters::check(ParametersLiteral::new(&request).expect("fits")).expect("valid")
    }

    /// Product in Z[X]/(X^N + 1).
    fn negacyclic(a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; N];
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                let sign = if i + j < N { 1.0 } else { -1.0 };
                out[(i + j) % N] += sign * x * y;
            }
        }
        out
    }

    /// Mean square of the real parts of the slots, in the encoding's integers.
    fn slot_power(a: &[f64]) -> f64 {
        let slot = |odd: usize| -> f64 {
            let angle = |k: usize| std::f64::consts::PI * (odd * k % (2 * N)) as f64 / N as f64;
            a.iter().enumerate().map(|(k, x)| x * libm::cos(angle(k))).sum()
        };
        (0..N / 2).map(|j| slot(4 * j + 1)).map(|x| x * x).sum::<f64>() / (N / 2) as f64
    }

    fn polynomial(mut coefficient: impl FnMut() -> f64) -> Vec<f64> {
        (0..N).map(|_| coefficient()).collect()
    }

    /// Half the log2 of the ratio of variances: the error of the predicted standard deviation, in bits.
    fn bits(measured: f64, predicted: f64) -> f64 {
        0.5 * libm::log2(measured / predicted).abs()
    }

    #[test]
    fn divisions_are_rounding_times_powers_of_the_secret() {
        let parameters = parameters();
        let model = Model { parameters: &parameters };
        let mut random = Gauss::new(1);
        let rounds = 60;
        let (mut two, mut three) = (0.0, 0.0);
        for _ in 0..rounds {
            let secret = polynomial(|| (random.uniform() * 3.0).floor().min(2.0) - 1.0);
            let mut part = || polynomial(|| random.uniform() - 0.5);
            let (t0, t1, t2) = (part(), negacyclic(&part(), &secret), part());
            let t2 = negacyclic(&t2, &negacyclic(&secret, &secret));
            let sum: Vec<f64> = t0.iter().zip(&t1).map(|(a, b)| a + b).collect();
            two += slot_power(&sum) / f64::from(rounds);
            three += slot_power(&sum.iter().zip(&t2).map(|(a, b)| a + b).collect::<Vec<_>>()) / f64::from(rounds);
        }
        assert!(bits(two, model.rescale(Scale(1.0), 2)) < 0.1);
        assert!(bits(three, model.rescale(Scale(1.0), 3)) < 0.1);
    }

    #[test]
    fn key_switching_is_digits_times_errors() {
        let parameters = parameters();
        let model = Model { parameters: &parameters };
        let level = parameters.top_level();
        let special = parameters.special().iter().fold(1.0, |p, &q| p * q as f64);
        let mut random = Gauss::new(2);
        let rounds = 40;
        let mut measured = 0.0;
        for _ in 0..rounds {
            let mut sum = vec![0.0; N];
            for prime in parameters.primes_at(level) {
                let digit = polynomial(|| (random.uniform() - 0.5) * prime as f64 / special);
                let error = polynomial(|| ERROR_STD_DEV * random.next());
                sum.iter_mut().zip(negacyclic(&digit, &error)).for_each(|(s, x)| *s += x);
            }
            measured += slot_power(&sum) / f64::from(rounds);
        }
        assert!(bits(measured, model.key_switch_product(level, Scale(1.0))) < 0.1);
    }
}
