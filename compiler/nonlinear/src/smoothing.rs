//! Smoothing kernels of bounded or logistic shape, beside the Gaussian of [`crate::kernel`].
//!
//! Smoothing a function with a kernel is averaging it over random shifts, so its mean value, slope and curvature under
//! N(μ, s²) are those of the function itself under N(μ + u, s²), averaged over the shift u. All kernels here are scaled
//! by their standard deviation, so that a bandwidth means the same for each of them.

use crate::kernel::Smoothed;
use crate::quadrature::{normal_density, uniform_nodes};

/// The density of a random shift, of mean 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The normal density.
    Gaussian,
    /// ¾(1 − u²) on [−1, 1]
    Epanechnikov,
    /// ½ on [−1, 1]
    Box,
    /// e^u/(1 + e^u)²
    Logistic,
}

impl Kernel {
    /// The density at `u`, in the kernel's own unit.
    pub fn density(self, u: f64) -> f64 {
        match self {
            Kernel::Gaussian => normal_density(u),
            Kernel::Epanechnikov => (0.75 * (1.0 - u * u)).max(0.0),
            Kernel::Box if u.abs() <= 1.0 => 0.5,
            Kernel::Box => 0.0,
            Kernel::Logistic => {
                let e = libm::exp(-u.abs());
                e / ((1.0 + e) * (1.0 + e))
            }
        }
    }

    /// Its standard deviation in its own unit.
    pub fn deviation(self) -> f64 {
        match self {
            Kernel::Gaussian => 1.0,
            Kernel::Epanechnikov => libm::sqrt(0.2),
            Kernel::Box => libm::sqrt(1.0 / 3.0),
            Kernel::Logistic => std::f64::consts::PI / libm::sqrt(3.0),
        }
    }

    /// ReLU smoothed with the unit h, in closed form.
    pub fn relu(self, x: f64, h: f64) -> f64 {
        let t = x / h;
        match self {
            Kernel::Gaussian => x * crate::quadrature::normal_cdf(t) + h * normal_density(t),
            Kernel::Epanechnikov | Kernel::Box if t.abs() >= 1.0 => x.max(0.0),
            Kernel::Epanechnikov => h * (3.0 + 8.0 * t + 6.0 * t * t - t * t * t * t) / 16.0,
            Kernel::Box => (x + h) * (x + h) / (4.0 * h),
            Kernel::Logistic => h * (t.max(0.0) + libm::log1p(libm::exp(-t.abs()))),
        }
    }

    /// Far enough from 0 that less than 2^-50 of the kernel is left out, in its own unit.
    fn reach(self) -> f64 {
        match self {
            Kernel::Gaussian => 8.5,
            Kernel::Epanechnikov | Kernel::Box => 1.0,
            Kernel::Logistic => 36.0,
        }
    }

    /// The value at x of a function that is smooth but for its kinks, smoothed with a kernel of standard deviation
    /// `bandwidth`: the mean of f(x + u) over the shifts u.
    pub(crate) fn average(self, bandwidth: f64, kinks: &[f64], x: f64, f: impl Fn(f64) -> f64) -> f64 {
        if bandwidth <= 0.0 {
            return f(x);
        }
        let (reach, unit, nodes) = (self.reach(), bandwidth / self.deviation(), uniform_nodes(16));
        let inside = kinks.iter().map(|k| (k - x) / unit).filter(|u| u.abs() < reach);
        let mut ends: Vec<f64> = inside.chain([-reach, 0.0, reach]).collect();
        ends.sort_by(f64::total_cmp);
        let mut sum = 0.0;
        for pair in ends.windows(2) {
            let pieces = libm::ceil((pair[1] - pair[0]) / 4.0).max(1.0);
            let width = (pair[1] - pair[0]) / pieces;
            for piece in 0..pieces as usize {
                for &(t, weight) in &nodes {
                    let u = pair[0] + (piece as f64 + 0.5 + 0.5 * t) * width;
                    sum += width * weight * self.density(u) * f(x + unit * u);
                }
            }
        }
        sum
    }

    /// Mean value, slope and curvature of a function smoothed with a kernel of standard deviation `bandwidth`, from those
    /// of the function itself under the density shifted by any u.
    pub(crate) fn smoothed(self, bandwidth: f64, plain: impl Fn(f64) -> Smoothed) -> Smoothed {
        if bandwidth <= 0.0 {
            return plain(0.0);
        }
        let (reach, unit) = (self.reach(), bandwidth / self.deviation());
        let mut sum = Smoothed { value: 0.0, slope: 0.0, curvature: 0.0 };
        let pieces = libm::ceil(reach / 4.0);
        let width = 2.0 * reach / pieces;
        for piece in 0..pieces as usize {
            for (t, weight) in uniform_nodes(32) {
                let u = -reach + (piece as f64 + 0.5 + 0.5 * t) * width;
                let share = width * weight * self.density(u);
                let at = plain(unit * u);
                sum.value += share * at.value;
                sum.slope += share * at.slope;
                sum.curvature += share * at.curvature;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::smoothed;
    use hec_ir::tensor::Function;

    const ALL: [Kernel; 4] = [Kernel::Gaussian, Kernel::Epanechnikov, Kernel::Box, Kernel::Logistic];

    /// ∫ g(u)·K(u) du by midpoints.
    fn mean(kernel: Kernel, g: impl Fn(f64) -> f64) -> f64 {
        const N: i32 = 200_000;
        let reach = if kernel == Kernel::Logistic {
            40.0
        } else if kernel == Kernel::Gaussian {
            9.0
        } else {
            1.0
        };
        let step = 2.0 * reach / f64::from(N);
        let at = |i: i32| -reach + (f64::from(i) + 0.5) * step;
        (0..N).map(at).map(|u| g(u) * kernel.density(u) * step).sum()
    }

    #[test]
    fn closed_forms_of_relu_agree_with_quadrature() {
        for kernel in ALL {
            assert!((mean(kernel, |_| 1.0) - 1.0).abs() < 1e-8, "{kernel:?}");
            let deviation = libm::sqrt(mean(kernel, |u| u * u));
            assert!((deviation - kernel.deviation()).abs() < 1e-8, "{kernel:?}: {deviation}");
            for h in [0.5, 2.0] {
                for x in [-3.0, -0.7, 0.0, 0.3, 1.9] {
                    let exact = mean(kernel, |u| (x - h * u).max(0.0));
                    assert!((kernel.relu(x, h) - exact).abs() < 1e-8, "{kernel:?} {h} {x}: {exact}");
                    let found = kernel.average(h * kernel.deviation(), &[0.0], x, |x| x.max(0.0));
                    assert!((kernel.relu(x, h) - found).abs() < 1e-9, "{kernel:?} {h} {x}: {found}");
                }
            }
        }
        // The bias at 0 is also the largest difference.
        assert!((Kernel::Gaussian.relu(0.0, 2.0) - 2.0 / libm::sqrt(2.0 * std::f64::consts::PI)).abs() < 1e-15);
    }

    #[test]
    fn shifts_average_to_the_smoothed_function() {
        for kernel in ALL {
            for bandwidth in [0.0, 0.5, 2.0] {
                let found = kernel.smoothed(bandwidth, |u| smoothed(Function::Relu, 0.4 + u, 1.0));
                let unit = bandwidth / kernel.deviation();
                let by_shift =
                    |g: &dyn Fn(Smoothed) -> f64| mean(kernel, |u| g(smoothed(Function::Relu, 0.4 + unit * u, 1.0)));
                let exact = [by_shift(&|s| s.value), by_shift(&|s| s.slope), by_shift(&|s| s.curvature)];
                for (found, exact) in [found.value, found.slope, found.curvature].iter().zip(exact) {
                    assert!((found - exact).abs() < 1e-7, "{kernel:?} {bandwidth}: {found}, not {exact}");
                }
            }
        }
        let gaussian = Kernel::Gaussian.smoothed(0.75, |u| smoothed(Function::Relu, 0.4 + u, 1.0));
        let closed = smoothed(Function::Relu, 0.4, 1.25);
        assert!((gaussian.value - closed.value).abs() < 1e-12 && (gaussian.curvature - closed.curvature).abs() < 1e-12);
    }
}
