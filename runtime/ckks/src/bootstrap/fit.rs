//! The polynomials of eval-mod.
//!
//! The cosine is needed near integers only, and most overflows are small: it is fitted by least squares on nodes
//! clustered at the integers (Han, Ki 2020), weighted by the probability of the overflow.

use std::f64::consts::{PI, TAU};

use hec_params::{BootstrapParameters, overflow_probability};

/// Nodes of a cluster.
const CLUSTER: usize = 8;
/// Weight of the most improbable overflow, which must still be corrected, if not as precisely.
const LEAST_WEIGHT: f64 = 1.0 / 256.0;
/// Nodes of the arcsine.
const NODES: usize = 256;
/// Messages may exceed the largest by this factor: noise, or a little carelessness.
const MARGIN: f64 = 1.03;

/// x mod 1 for x = I + m/ratio, |I| ≤ bound, |m| ≤ 1, as an approximation of m:
/// m ≈ arcsine(D_r(⋯ D_1(cosine(y)))) with y = (x − 1/4)/range and D_j(c) = c² − shift_j.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModOne {
    /// |x − 1/4| ≤ range.
    pub range: f64,
    /// Chebyshev coefficients of α_0·cos(2π(x − 1/4)/2^r) in y, of even index.
    pub cosine: Vec<f64>,
    /// α_1, …, α_r with α_j = α_(j−1)²/2: the double angle of α·cos is α²·cos² − α²/2, without a factor 2.
    pub shifts: Vec<f64>,
    /// Chebyshev coefficients of the arcsine on [−1, 1], of odd index; empty if there is none.
    pub arcsine: Vec<f64>,
}

impl ModOne {
    /// For the message ratio q(0)/(largest message) that there really is.
    pub fn new(parameters: &BootstrapParameters, ratio: f64) -> Self {
        let sine = parameters.choice().sine;
        let reach = MARGIN / ratio;
        let range = f64::from(parameters.bound()) + 0.25 + reach;
        let (scale, arcsine) =
            if sine.arcsine == 1 { (slope(ratio), Vec::new()) } else { arcsine(ratio, sine.arcsine) };
        let mut amplitudes = vec![scale];
        for _ in 0..sine.double_angles {
            amplitudes.push((2.0 * amplitudes[amplitudes.len() - 1]).sqrt());
        }
        amplitudes.reverse();
        let angle = 2f64.powi(sine.double_angles as i32);
        let wave = |x: f64| amplitudes[0] * (TAU * (x - 0.25) / angle).cos();
        let (mut nodes, mut weights, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let bound = i64::from(parameters.bound());
        for overflow in -bound..=bound {
            let weight = overflow_probability(parameters.choice().weight, overflow).sqrt().max(LEAST_WEIGHT);
            for t in chebyshev_nodes(CLUSTER) {
                let x = overflow as f64 + reach * t;
                nodes.push((x - 0.25) / range);
                weights.push(weight);
                values.push(wave(x));
            }
        }
        let indices: Vec<usize> = (0..=sine.degree).step_by(2).collect();
        let cosine = chebyshev_fit(&nodes, &weights, &values, &indices);
        ModOne { range, cosine, shifts: amplitudes.split_off(1), arcsine }
    }
}

/// The line through 0 that is nearest to ratio·x on the values of sin(2πx).
fn slope(ratio: f64) -> f64 {
    let (mut numerator, mut denominator) = (0.0, 0.0);
    for t in chebyshev_nodes(NODES) {
        let s = (TAU * t / ratio).sin();
        numerator += s * t;
        denominator += s * s;
    }
    numerator / denominator
}

/// The largest sine s, as 1/s, and the polynomial of odd degree that takes sin(2πm/ratio)/s to m.
fn arcsine(ratio: f64, degree: usize) -> (f64, Vec<f64>) {
    let largest = (TAU * MARGIN / ratio).min(PI / 2.0).sin();
    let nodes = chebyshev_nodes(NODES);
    let values: Vec<f64> = nodes.iter().map(|u| (u * largest).asin() * ratio / TAU).collect();
    let indices: Vec<usize> = (1..=degree).step_by(2).collect();
    (1.0 / largest, chebyshev_fit(&nodes, &[1.0; NODES], &values, &indices))
}

fn chebyshev_nodes(count: usize) -> Vec<f64> {
    (0..count).map(|i| (PI * (i as f64 + 0.5) / count as f64).cos()).collect()
}

/// The coefficients, constant term first, of the sum of T_i over `indices` that is nearest to `values` in weighted
/// least squares, by Householder's method.
fn chebyshev_fit(nodes: &[f64], weights: &[f64], values: &[f64], indices: &[usize]) -> Vec<f64> {
    let rows = nodes.len();
    let column = |&i: &usize| -> Vec<f64> {
        nodes.iter().zip(weights).map(|(x, w)| w * (i as f64 * x.clamp(-1.0, 1.0).acos()).cos()).collect()
    };
    let mut columns: Vec<Vec<f64>> = indices.iter().map(column).collect();
    let mut right: Vec<f64> = values.iter().zip(weights).map(|(v, w)| v * w).collect();
    let mut diagonal = vec![0.0; columns.len()];
    for k in 0..columns.len() {
        let (done, rest) = columns.split_at_mut(k + 1);
        let pivot = &mut done[k];
        let norm = pivot[k..].iter().map(|x| x * x).sum::<f64>().sqrt();
        diagonal[k] = if pivot[k] > 0.0 { -norm } else { norm };
        pivot[k] -= diagonal[k];
        let square: f64 = pivot[k..].iter().map(|x| x * x).sum();
        for column in rest.iter_mut().chain([&mut right]) {
            let dot: f64 = (k..rows).map(|i| pivot[i] * column[i]).sum();
            (k..rows).for_each(|i| column[i] -= 2.0 * dot / square * pivot[i]);
        }
    }
    let mut coefficients = vec![0.0; indices.last().map_or(0, |last| last + 1)];
    for k in (0..indices.len()).rev() {
        let known: f64 = (k + 1..indices.len()).map(|j| columns[j][k] * coefficients[indices[j]]).sum();
        coefficients[indices[k]] = (right[k] - known) / diagonal[k];
    }
    coefficients
}

#[cfg(test)]
mod tests {
    use super::*;
    use hec_params::{BootstrapChoice, Depth, LogN, Order, Sine, Slots};

    fn value(coefficients: &[f64], x: f64) -> f64 {
        hec_poly::evaluate(hec_poly::Basis::Chebyshev, coefficients, x)
    }

    #[test]
    fn reduces_modulo_one_as_well_as_predicted() {
        for (degree, double_angles) in [(30, 3), (46, 2)] {
            for (arcsine, ratio_bits) in [(1, 10.0), (3, 6.0), (5, 4.5), (7, 4.0)] {
                let choice = BootstrapChoice {
                    log_n: LogN(16),
                    slots: Slots(1 << 15),
                    order: Order::CoeffsFirst,
                    levels: Depth(1),
                    scale_bits: 40.0,
                    base_bits: 49.5,
                    eval_bits: 49.0,
                    boost_bits: 0.0,
                    coeffs_to_slots: vec![8, 7],
                    slots_to_coeffs: vec![15],
                    sine: Sine { degree, double_angles, arcsine, ratio_bits },
                    weight: 32,
                    log2_failure: -100.0,
                    digit_size: 4,
                    insecure_toy: false,
                };
                let parameters = BootstrapParameters::check(choice).expect("valid");
                let ratio = ratio_bits.exp2();
                let fit = ModOne::new(&parameters, ratio);
                let (mut square, mut worst) = (0.0, 0.0f64);
                for overflow in -15..=15i64 {
                    for m in (-50..=50).map(|i| f64::from(i) / 50.0) {
                        let y = (overflow as f64 + m / ratio - 0.25) / fit.range;
                        let wave = fit.shifts.iter().fold(value(&fit.cosine, y), |c, shift| c * c - shift);
                        let out = if fit.arcsine.is_empty() { wave } else { value(&fit.arcsine, wave) };
                        square += overflow_probability(32, overflow) * (out - m).powi(2) / 101.0;
                        worst = worst.max((out - m).abs());
                    }
                }
                let predicted = parameters.error().systematic;
                let name = format!(
                    "{degree} {double_angles} {arcsine}: rms {:.1}, worst {:.1}, predicted {:.1}",
                    square.sqrt().log2(),
                    worst.log2(),
                    predicted.log2()
                );
                assert!(square.sqrt() < predicted && square.sqrt() > predicted / 16.0, "{name}");
                // Even the most improbable overflow that counts as a success is corrected.
                assert!(worst < 1.0 / 1024.0, "{name}");
            }
        }
    }
}
