//! From integers to residues.

use crate::{ArithError, Modulus, simd};

/// The residues of integers of at most 64 bits.
///
/// # Panics
/// If the slices differ in length.
pub fn embed_i64<T: Copy + Into<i64>>(m: Modulus, src: &[T], dst: &mut [f64]) {
    assert_eq!(src.len(), dst.len(), "slices of one length");
    const EXACT: u64 = 1 << 53;
    if src.iter().all(|&x| x.into().unsigned_abs() <= EXACT) {
        for (d, &x) in dst.iter_mut().zip(src) {
            *d = x.into() as f64;
        }
        simd::embed_reduce(m, dst);
    } else {
        for (d, &x) in dst.iter_mut().zip(src) {
            *d = m.from_i64(x.into());
        }
    }
}

/// The residues of `f64` values that are integers, of any magnitude, exactly.
///
/// # Errors
/// [`ArithError::NotAnInteger`] if a value is not finite or has a fraction; `dst` is then not meaningful.
///
/// # Panics
/// If the slices differ in length.
pub fn embed_f64(m: Modulus, src: &[f64], dst: &mut [f64]) -> Result<(), ArithError> {
    assert_eq!(src.len(), dst.len(), "slices of one length");
    let survey = simd::survey(src);
    // NaN compares unequal to zero as well.
    if survey.defect != 0.0 {
        return Err(ArithError::NotAnInteger);
    }
    dst.copy_from_slice(src);
    // One step divides a magnitude far above p by at least 2^51; see `embed_reduce`.
    let mut magnitude = survey.magnitude;
    while magnitude >= EMBED_ONE_STEP * m.p {
        simd::embed_reduce(m, dst);
        magnitude = (magnitude / EMBED_STEP).max(m.p);
    }
    simd::embed_reduce(m, dst);
    Ok(())
}

/// A step takes |x| to at most max(|x|·2^-51, p), and to a reduced residue if |x| < 2^49·p.
const EMBED_STEP: f64 = (1u64 << 51) as f64;
const EMBED_ONE_STEP: f64 = (1u64 << 49) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    /// x mod p from the bits of the `f64`: mantissa · 2^exponent.
    fn residue(x: f64, m: Modulus) -> u64 {
        let bits = x.abs().to_bits();
        let (exponent, mantissa) = ((bits >> 52) as i64 - 1075, bits & ((1 << 52) - 1) | 1 << 52);
        if x == 0.0 {
            return 0;
        }
        let magnitude = if exponent < 0 {
            (mantissa >> -exponent) % m.value()
        } else {
            m.mul_u64(mantissa % m.value(), m.pow_u64(2, exponent as u64))
        };
        if x < 0.0 { (m.value() - magnitude) % m.value() } else { magnitude }
    }

    #[test]
    fn floats_of_any_magnitude() {
        let values: Vec<f64> = (0..1024)
            .flat_map(|e| {
                let x = (2f64.powi(e) * 1.37).round();
                [x, -x, (2f64.powi(e) * 1.999_999_999).round(), 2f64.powi(e)]
            })
            .chain([0.0, f64::MAX, f64::MIN])
            .collect();
        for p in [3, 12289, 1073479681, 1125899906826241] {
            let m = Modulus::new(p);
            for &x in &values {
                let mut out = [0.0];
                embed_f64(m, &[x], &mut out).unwrap();
                assert!(out[0].abs() <= crate::REDUCED * m.p, "{x} mod {p} gave {}", out[0]);
                assert_eq!(m.to_u64(out[0]), residue(x, m), "{x} mod {p}");
            }
        }
    }

    #[test]
    fn fractions_and_infinities_are_refused() {
        let m = Modulus::new(12289);
        for bad in [0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300] {
            let mut src = vec![3.0; 21];
            src[17] = bad;
            assert_eq!(embed_f64(m, &src, &mut [0.0; 21]), Err(ArithError::NotAnInteger), "{bad}");
        }
    }

    #[test]
    fn integers() {
        let m = Modulus::new(1073479681);
        for src in [vec![0i64, 1, -1, 1 << 53, -(1 << 53), 77777777777], vec![i64::MIN, i64::MAX, 5, -5]] {
            let mut dst = vec![0.0; src.len()];
            embed_i64(m, &src, &mut dst);
            for (&x, &r) in src.iter().zip(&dst) {
                assert!(r.abs() <= crate::REDUCED * m.p);
                assert_eq!(m.to_u64(r), x.rem_euclid(1073479681) as u64);
            }
        }
        let mut dst = [0.0; 3];
        embed_i64(m, &[-1i8, 0, 1], &mut dst);
        assert_eq!(dst, [-1.0, 0.0, 1.0]);
    }
}
