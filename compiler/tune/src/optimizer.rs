//! Adam (Kingma and Ba, 2015) with a cosine schedule (Loshchilov and Hutter, 2017) and gradients of bounded norm.

use std::f64::consts::PI;

/// Shares of the past in the means of the gradient and of its square.
const DECAY: [f32; 2] = [0.9, 0.99];
/// Keeps steps finite where gradients vanish.
const EPSILON: f32 = 1e-8;
/// The largest norm of a gradient, in units of the parameters.
const LARGEST_NORM: f64 = 1.0;
/// Share of the steps in which the rate rises from zero.
const WARM_UP: f64 = 0.03;

/// The optimiser's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Mean gradient of each parameter.
    pub first: Vec<f32>,
    /// Mean square of the gradient of each parameter.
    pub second: Vec<f32>,
    /// Steps made.
    pub steps: usize,
}

impl Adam {
    /// At the start.
    pub fn new(parameters: usize) -> Self {
        Adam { first: vec![0.0; parameters], second: vec![0.0; parameters], steps: 0 }
    }

    /// One step. Parameters are measured in units of their own: a step moves each by about `rate` units.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &[f32], units: &[f32], rate: f64) {
        self.steps += 1;
        let square: f64 = gradient.iter().zip(units).map(|(g, u)| f64::from(g * u) * f64::from(g * u)).sum();
        let clip = (LARGEST_NORM / libm::sqrt(square).max(f64::MIN_POSITIVE)).min(1.0) as f32;
        let correct = |decay: f32| 1.0 - libm::pow(f64::from(decay), self.steps as f64);
        let rate = (rate / correct(DECAY[0])) as f32;
        let largest = (1.0 / correct(DECAY[1])) as f32;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for (((parameter, gradient), unit), (first, second)) in
            parameters.iter_mut().zip(gradient).zip(units).zip(moments)
        {
            let gradient = clip * gradient * unit;
            *first = DECAY[0] * *first + (1.0 - DECAY[0]) * gradient;
            *second = DECAY[1] * *second + (1.0 - DECAY[1]) * gradient * gradient;
            *parameter -= rate * unit * *first / ((*second * largest).sqrt() + EPSILON);
        }
    }
}

/// The share of the rate at a step: a short rise, then half a cosine down to zero.
pub fn schedule(step: usize, steps: usize) -> f64 {
    let warm = (WARM_UP * steps as f64).max(1.0);
    let at = step as f64 + 1.0;
    if at < warm {
        return at / warm;
    }
    0.5 * (1.0 + libm::cos(PI * (at - warm) / (steps as f64 - warm).max(1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_badly_scaled_bowl() {
        let (target, curvature, units) = ([3.0f32, -2e-3], [1.0f32, 1e6], [1.0f32, 1e-3]);
        let (mut x, mut adam) = (vec![0.0, 0.0], Adam::new(2));
        for step in 0..400 {
            let gradient: Vec<f32> = (0..2).map(|i| curvature[i] * (x[i] - target[i])).collect();
            adam.step(&mut x, &gradient, &units, 0.1 * schedule(step, 400));
        }
        assert!((0..2).all(|i| (x[i] - target[i]).abs() < 1e-2 * units[i]), "{x:?}");
    }

    #[test]
    fn the_rate_rises_and_falls_to_zero() {
        let rates: Vec<f64> = (0..100).map(|s| schedule(s, 100)).collect();
        assert!(rates[0] < 0.5 && rates[3] > 0.99 && rates[99] < 1e-3);
        assert!(rates[3..].windows(2).all(|w| w[0] >= w[1]));
    }
}
