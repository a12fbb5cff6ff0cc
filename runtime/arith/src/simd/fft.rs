//! The butterflies of a complex transform, real and imaginary parts apart.

use super::instructions::Simd;
use super::portable::Portable;

/// Both parts of a pair of complex vectors.
type Pair<V> = [(V, V); 2];

/// (u, v) → (u + w·v, u − w·v).
#[inline(always)]
fn forward<S: Simd>(s: S, [u, v]: Pair<S::Vector>, w: (S::Vector, S::Vector)) -> Pair<S::Vector> {
    let re = s.mul_sub(v.0, w.0, s.mul(v.1, w.1));
    let im = s.mul_add(v.0, w.1, s.mul(v.1, w.0));
    [(s.add(u.0, re), s.add(u.1, im)), (s.sub(u.0, re), s.sub(u.1, im))]
}

/// (u, v) → (u + v, (u − v)·w̄).
#[inline(always)]
fn inverse<S: Simd>(s: S, [u, v]: Pair<S::Vector>, w: (S::Vector, S::Vector)) -> Pair<S::Vector> {
    let (re, im) = (s.sub(u.0, v.0), s.sub(u.1, v.1));
    let product = (s.mul_add(re, w.0, s.mul(im, w.1)), s.mul_sub(im, w.0, s.mul(re, w.1)));
    [(s.add(u.0, v.0), s.add(u.1, v.1)), product]
}

/// One stage: `body` on the halves of every range of twice as many elements as there are roots.
#[inline(always)]
fn stage<S: Simd, const INVERSE: bool>(s: S, re: &mut [f64], im: &mut [f64], roots: (&[f64], &[f64])) {
    let half = roots.0.len();
    for (re, im) in re.chunks_exact_mut(2 * half).zip(im.chunks_exact_mut(2 * half)) {
        let ((ur, vr), (ui, vi)) = (re.split_at_mut(half), im.split_at_mut(half));
        let u = ur.chunks_exact_mut(S::LANES).zip(ui.chunks_exact_mut(S::LANES));
        let v = vr.chunks_exact_mut(S::LANES).zip(vi.chunks_exact_mut(S::LANES));
        let w = roots.0.chunks_exact(S::LANES).zip(roots.1.chunks_exact(S::LANES));
        for ((u, v), w) in u.zip(v).zip(w) {
            let pair = [(s.load(u.0), s.load(u.1)), (s.load(v.0), s.load(v.1))];
            let w = (s.load(w.0), s.load(w.1));
            let [sum, difference] = if INVERSE { inverse(s, pair, w) } else { forward(s, pair, w) };
            s.store(u.0, sum.0);
            s.store(u.1, sum.1);
            s.store(v.0, difference.0);
            s.store(v.1, difference.1);
        }
    }
}

#[inline(always)]
pub(crate) fn fft_forward<S: Simd>(s: S, re: &mut [f64], im: &mut [f64], roots: (&[f64], &[f64])) {
    if roots.0.len() < S::LANES {
        stage::<Portable, false>(Portable, re, im, roots);
    } else {
        stage::<S, false>(s, re, im, roots);
    }
}

#[inline(always)]
pub(crate) fn fft_inverse<S: Simd>(s: S, re: &mut [f64], im: &mut [f64], roots: (&[f64], &[f64])) {
    if roots.0.len() < S::LANES {
        stage::<Portable, true>(Portable, re, im, roots);
    } else {
        stage::<S, true>(s, re, im, roots);
    }
}
