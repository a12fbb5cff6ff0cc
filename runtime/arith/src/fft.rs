//! Stages of a complex transform, on slices of real and of imaginary parts.

use crate::simd;

fn check(re: &[f64], im: &[f64], roots: (&[f64], &[f64])) {
    let half = roots.0.len();
    assert!(half.is_power_of_two() && roots.1.len() == half, "a power of two of roots");
    assert!(re.len() == im.len() && re.len().is_multiple_of(2 * half), "whole ranges of twice as many elements");
}

/// One stage of Cooley and Tukey: in every range of twice as many elements as there are roots w, its halves u and v become
/// u + w·v and u − w·v.
///
/// # Panics
/// If the slices differ in length, or are not made of such ranges.
pub fn fft_forward(re: &mut [f64], im: &mut [f64], roots: (&[f64], &[f64])) {
    check(re, im, roots);
    simd::fft_forward(re, im, roots);
}

/// One stage of Gentleman and Sande, twice the inverse of [`fft_forward`]: u and v become u + v and (u − v)·w̄.
///
/// # Panics
/// As [`fft_forward`].
pub fn fft_inverse(re: &mut [f64], im: &mut [f64], roots: (&[f64], &[f64])) {
    check(re, im, roots);
    simd::fft_inverse(re, im, roots);
}
