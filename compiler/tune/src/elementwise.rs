//! Operations of each element, and their gradients, which are added to what is there.

use hec_ir::tensor::Function;

/// How far to each side of a number the difference is taken that stands for the derivative of a function.
const STEP: f64 = 1e-4;

/// out = x · factors, which repeat.
pub fn scale(factors: &[f32], x: &[f32], out: &mut [f32]) {
    for (x, out) in x.chunks_exact(factors.len()).zip(out.chunks_exact_mut(factors.len())) {
        out.iter_mut().zip(x).zip(factors).for_each(|((out, x), f)| *out = x * f);
    }
}

/// The gradient of the factors.
pub fn scale_outer(x: &[f32], d: &[f32], gradient: &mut [f32]) {
    for (x, d) in x.chunks_exact(gradient.len()).zip(d.chunks_exact(gradient.len())) {
        gradient.iter_mut().zip(x).zip(d).for_each(|((g, x), d)| *g += x * d);
    }
}

/// The gradient of the input.
pub fn scale_backward(factors: &[f32], d: &[f32], dx: &mut [f32]) {
    for (d, dx) in d.chunks_exact(factors.len()).zip(dx.chunks_exact_mut(factors.len())) {
        dx.iter_mut().zip(d).zip(factors).for_each(|((dx, d), f)| *dx += d * f);
    }
}

/// x += numbers, which repeat.
pub fn shift(numbers: &[f32], x: &mut [f32]) {
    for x in x.chunks_exact_mut(numbers.len()) {
        x.iter_mut().zip(numbers).for_each(|(x, c)| *x += c);
    }
}

/// The gradient of the numbers.
pub fn shift_outer(d: &[f32], gradient: &mut [f32]) {
    for d in d.chunks_exact(gradient.len()) {
        gradient.iter_mut().zip(d).for_each(|(g, d)| *g += d);
    }
}

/// out = x + factor·y
pub fn sum(factor: f32, x: &[f32], y: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(x).zip(y).for_each(|((out, x), y)| *out = x + factor * y);
}

/// dx += factor·d
pub fn add_times(factor: f32, d: &[f32], dx: &mut [f32]) {
    dx.iter_mut().zip(d).for_each(|(dx, d)| *dx += factor * d);
}

/// out = −x
pub fn negate(x: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = -x);
}

/// out = x·y
pub fn multiply(x: &[f32], y: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(x).zip(y).for_each(|((out, x), y)| *out = x * y);
}

/// The gradient of one factor, given the other.
pub fn multiply_backward(other: &[f32], d: &[f32], dx: &mut [f32]) {
    dx.iter_mut().zip(other).zip(d).for_each(|((dx, y), d)| *dx += y * d);
}

/// out = x^k
pub fn power(k: u32, x: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = x.powi(k as i32));
}

/// k·x^(k−1) times d.
pub fn power_backward(k: u32, x: &[f32], d: &[f32], dx: &mut [f32]) {
    dx.iter_mut().zip(x).zip(d).for_each(|((dx, x), d)| *dx += k as f32 * x.powi(k as i32 - 1) * d);
}

/// out = f(x)
pub fn function(f: Function, x: &[f32], out: &mut [f32]) {
    match f {
        Function::Relu => out.iter_mut().zip(x).for_each(|(out, x)| *out = x.max(0.0)),
        _ => out.iter_mut().zip(x).for_each(|(out, x)| *out = f.eval(f64::from(*x)) as f32),
    }
}

/// The derivative of f times d.
pub fn function_backward(f: Function, x: &[f32], d: &[f32], dx: &mut [f32]) {
    let slope = |x: f64| (f.eval(x + STEP) - f.eval(x - STEP)) / (2.0 * STEP);
    match f {
        Function::Relu => dx.iter_mut().zip(x).zip(d).for_each(|((dx, x), d)| *dx += if *x > 0.0 { *d } else { 0.0 }),
        _ => dx.iter_mut().zip(x).zip(d).for_each(|((dx, x), d)| *dx += (slope(f64::from(*x)) * f64::from(*d)) as f32),
    }
}

/// A range that is wider on both sides by a share of its width.
fn wider([lo, hi]: &[f32; 2], share: f32) -> [f32; 2] {
    [lo - share * (hi - lo), hi + share * (hi - lo)]
}

/// out = x within its range, made wider by a share of its width; the ranges repeat.
pub fn guard(ranges: &[[f32; 2]], share: f32, x: &[f32], out: &mut [f32]) {
    for (x, out) in x.chunks_exact(ranges.len()).zip(out.chunks_exact_mut(ranges.len())) {
        for ((out, x), range) in out.iter_mut().zip(x).zip(ranges) {
            let [lo, hi] = wider(range, share);
            *out = x.max(lo).min(hi);
        }
    }
}

/// The gradient within the ranges; beyond them there is none.
pub fn guard_backward(ranges: &[[f32; 2]], share: f32, x: &[f32], d: &[f32], dx: &mut [f32]) {
    for ((x, d), dx) in
        x.chunks_exact(ranges.len()).zip(d.chunks_exact(ranges.len())).zip(dx.chunks_exact_mut(ranges.len()))
    {
        for (((dx, d), x), range) in dx.iter_mut().zip(d).zip(x).zip(ranges) {
            let [lo, hi] = wider(range, share);
            *dx += if *x >= lo && *x <= hi { *d } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_has_no_gradient() {
        let (ranges, x) = ([[-1.0, 1.0], [0.0, 2.0]], [0.5, -0.5, 3.0, 1.5]);
        let (mut out, mut dx) = ([0.0; 4], [1.0; 4]);
        guard(&ranges, 0.0, &x, &mut out);
        guard_backward(&ranges, 0.0, &x, &[1.0, 2.0, 3.0, 4.0], &mut dx);
        assert_eq!((out, dx), ([0.5, 0.0, 1.0, 1.5], [2.0, 1.0, 1.0, 5.0]));
        guard(&ranges, 0.5, &x, &mut out);
        guard_backward(&ranges, 0.5, &x, &[1.0; 4], &mut dx);
        assert_eq!((out, dx), ([0.5, -0.5, 2.0, 1.5], [3.0, 2.0, 1.0, 6.0]));
    }
}
