//! The transforms: Cooley–Tukey forward, Gentleman–Sande backward, depth first.
//!
//! The butterfly tree has its root at node 1; node k over a range of elements has the children 2k and 2k + 1 over its
//! halves. Down to 64 elements two levels are done in one pass (radix 4); the last six levels in registers, three of them
//! after an 8×8 transposition so that every lane has its own node.
//!
//! Bounds, with B for magnitudes in units of p. *Tight* kernels serve p < 2^50 and reduce often enough for B < 4 at every
//! factor. *Roomy* kernels serve p < 2^48, where B < 16 is allowed and ε < 3/128: forward, values grow by at most 1/2 + εB
//! a level, from 2/3 to less than 12 after 17 levels, and only the last result is reduced. `bounds.rs` runs these very
//! kernels on bounds in place of values and checks every operation.

use super::field::{Factor, Field, Residues};
use super::portable::Portable;
use crate::Modulus;
use crate::ntt::Twiddles;

/// Primes below this take the roomy kernels.
const ROOMY_BELOW: f64 = (1u64 << 48) as f64;

/// Ranges up to this many elements (16 KiB) are transformed level by level, longer ones depth first.
const CACHED: usize = 2048;

#[inline(always)]
pub(crate) fn forward<S: Residues>(s: S, x: &mut [f64], m: Modulus, twiddles: &Twiddles) {
    if x.len() < 64 {
        return small_forward(x, m, twiddles);
    }
    let field = &s.field(m);
    if m.p < ROOMY_BELOW {
        Forward::<S, false> { s, field, twiddles }.run(x);
    } else {
        Forward::<S, true> { s, field, twiddles }.run(x);
    }
}

struct Forward<'a, S: Residues, const TIGHT: bool> {
    s: S,
    field: &'a Field<S::Vector>,
    twiddles: &'a Twiddles,
}

impl<S: Residues, const TIGHT: bool> Forward<'_, S, TIGHT> {
    #[inline(always)]
    fn run(&self, x: &mut [f64]) {
        // An odd number of levels above the blocks: one of them alone first.
        let (parts, first_node) = if x.len().trailing_zeros() % 2 == 1 { (2, 2) } else { (1, 1) };
        if parts == 2 {
            self.radix2(x);
        }
        let len = x.len() / parts;
        let mut top = len;
        let mut top_nodes = first_node;
        // Levels on ranges too long for the cache.
        while top > CACHED {
            for (i, range) in x.chunks_exact_mut(top).enumerate() {
                self.radix4(range, top_nodes + i);
            }
            top /= 4;
            top_nodes *= 4;
        }
        for (i, range) in x.chunks_exact_mut(top).enumerate() {
            let (mut t, mut nodes, mut first) = (top, top_nodes, i);
            while t > 64 {
                for (j, part) in range.chunks_exact_mut(t).enumerate() {
                    self.radix4(part, nodes + first + j);
                }
                t /= 4;
                nodes *= 4;
                first *= 4;
            }
            for (j, block) in range.as_chunks_mut::<64>().0.iter_mut().enumerate() {
                self.block(block, nodes + first + j, &self.twiddles.lanes[first + j]);
            }
        }
    }

    #[inline(always)]
    fn node(&self, k: usize) -> Factor<S::Vector> {
        self.s.factor(self.field, self.s.splat(self.twiddles.nodes[k]))
    }

    /// The root level. From 2/3 to 2/3 + 1/2 + 2ε/3.
    #[inline(always)]
    fn radix2(&self, x: &mut [f64]) {
        let (s, w) = (self.s, self.node(1));
        let (low, high) = x.split_at_mut(x.len() / 2);
        for (a, b) in low.chunks_exact_mut(S::LANES).zip(high.chunks_exact_mut(S::LANES)) {
            let (u, v) = (s.load(a), s.mul_factor(self.field, s.load(b), w));
            s.store(a, s.add(u, v));
            s.store(b, s.sub(u, v));
        }
    }

    /// Two levels at node `k`. Tight: from B to |u0| + 1 + ε(2B + 1/2 + εB) < 2 with |u0| = 1/2 and B ≤ 2.
    #[inline(always)]
    fn radix4(&self, x: &mut [f64], k: usize) {
        let (s, m) = (self.s, self.field);
        let (w1, w2, w3) = (self.node(k), self.node(2 * k), self.node(2 * k + 1));
        let (low, high) = x.split_at_mut(x.len() / 2);
        let (x0, x1) = low.split_at_mut(low.len() / 2);
        let (x2, x3) = high.split_at_mut(high.len() / 2);
        let pair = 2 * S::LANES;
        let quarters = x0.chunks_exact_mut(pair).zip(x1.chunks_exact_mut(pair));
        let quarters = quarters.zip(x2.chunks_exact_mut(pair).zip(x3.chunks_exact_mut(pair)));
        for ((x0, x1), (x2, x3)) in quarters {
            // Two independent vectors: one alone leaves the multipliers waiting for its chain.
            for o in [0, S::LANES] {
                let at = o..o + S::LANES;
                let u0 = s.load(&x0[at.clone()]);
                let u0 = if TIGHT { s.reduce(m, u0) } else { u0 };
                let u1 = s.load(&x1[at.clone()]);
                let u2 = s.mul_factor(m, s.load(&x2[at.clone()]), w1);
                let u3 = s.mul_factor(m, s.load(&x3[at.clone()]), w1);
                let (v0, v2) = (s.add(u0, u2), s.sub(u0, u2));
                let v1 = s.mul_factor(m, s.add(u1, u3), w2);
                let v3 = s.mul_factor(m, s.sub(u1, u3), w3);
                s.store(&mut x0[at.clone()], s.add(v0, v1));
                s.store(&mut x1[at.clone()], s.sub(v0, v1));
                s.store(&mut x2[at.clone()], s.add(v2, v3));
                s.store(&mut x3[at], s.sub(v2, v3));
            }
        }
    }

    /// The six levels at node `k` and below, to reduced results.
    #[inline(always)]
    fn block(&self, x: &mut [f64; 64], k: usize, lanes: &[f64; 56]) {
        let s = self.s;
        let mut buffer = [0.0; 64];
        let factors = [
            self.node(k),
            self.node(2 * k),
            self.node(2 * k + 1),
            self.node(4 * k),
            self.node(4 * k + 1),
            self.node(4 * k + 2),
            self.node(4 * k + 3),
        ];
        for column in (0..8).step_by(S::LANES) {
            let mut r = [s.splat(0.0); 8];
            for (row, r) in r.iter_mut().enumerate() {
                *r = s.load(&x[8 * row + column..]);
            }
            self.three_levels(&mut r, &factors);
            for (row, r) in r.iter().enumerate() {
                s.store(&mut buffer[8 * row + column..], *r);
            }
        }
        for group in (0..8).step_by(S::LANES) {
            let mut r = s.load_transposed(&buffer[8 * group..]);
            let mut factors = [s.factor(self.field, s.load(&lanes[group..])); 7];
            for (i, factor) in factors.iter_mut().enumerate().skip(1) {
                *factor = s.factor(self.field, s.load(&lanes[8 * i + group..]));
            }
            self.three_levels(&mut r, &factors);
            for (row, r) in r.iter().enumerate() {
                s.store(&mut x[8 * row + group..], s.reduce(self.field, *r));
            }
        }
    }

    /// Three levels on eight vectors. Tight: from B ≤ 3 to at most 1/2 + 3/2 + ε(B + 1.3 + 1.9) < 3.
    #[inline(always)]
    fn three_levels(&self, r: &mut [S::Vector; 8], factors: &[Factor<S::Vector>; 7]) {
        if TIGHT {
            for u in &mut r[..4] {
                *u = self.s.reduce(self.field, *u);
            }
        }
        for i in 0..4 {
            self.butterfly(r, i, i + 4, factors[0]);
        }
        for i in [0, 1, 4, 5] {
            self.butterfly(r, i, i + 2, factors[1 + i / 4]);
        }
        for i in [0, 2, 4, 6] {
            self.butterfly(r, i, i + 1, factors[3 + i / 2]);
        }
    }

    // A method: a closure would not be sure to be inlined, and outside the kernel the instructions are not enabled.
    #[inline(always)]
    fn butterfly(&self, r: &mut [S::Vector; 8], i: usize, j: usize, w: Factor<S::Vector>) {
        let (u, v) = (r[i], self.s.mul_factor(self.field, r[j], w));
        r[i] = self.s.add(u, v);
        r[j] = self.s.sub(u, v);
    }
}

#[inline(always)]
pub(crate) fn inverse<S: Residues>(s: S, x: &mut [f64], m: Modulus, twiddles: &Twiddles, inverse_n: f64) {
    if x.len() < 64 {
        return small_inverse(x, m, twiddles, inverse_n);
    }
    let field = &s.field(m);
    if m.p < ROOMY_BELOW {
        Inverse::<S, false> { s, modulus: m, field, twiddles, inverse_n }.run(x);
    } else {
        Inverse::<S, true> { s, modulus: m, field, twiddles, inverse_n }.run(x);
    }
}

struct Inverse<'a, S: Residues, const TIGHT: bool> {
    s: S,
    field: &'a Field<S::Vector>,
    twiddles: &'a Twiddles,
    modulus: Modulus,
    /// 1/N mod p.
    inverse_n: f64,
}

impl<S: Residues, const TIGHT: bool> Inverse<'_, S, TIGHT> {
    #[inline(always)]
    fn run(&self, x: &mut [f64]) {
        let odd = x.len().trailing_zeros() % 2 == 1;
        let first_node = if odd { 2 } else { 1 };
        let whole = x.len() / first_node;
        let mut cached = whole;
        while cached > CACHED {
            cached /= 4;
        }
        for (i, range) in x.chunks_exact_mut(cached).enumerate() {
            let first = i * (cached / 64);
            let nodes = first_node * (whole / 64) + first;
            for (j, block) in range.as_chunks_mut::<64>().0.iter_mut().enumerate() {
                self.block(block, nodes + j, &self.twiddles.lanes[first + j]);
            }
            self.ascend(range, 64, cached, nodes);
        }
        self.ascend(x, cached, whole, first_node * (whole / cached));
        if odd {
            self.radix2(x);
        } else if x.len() == 64 {
            self.scale(x);
        }
    }

    /// The factor 1/N, where there is no pass at the root to apply it.
    #[inline(always)]
    fn scale(&self, x: &mut [f64]) {
        let w = self.s.factor(self.field, self.s.splat(self.inverse_n));
        for x in x.chunks_exact_mut(S::LANES) {
            let scaled = self.s.mul_factor(self.field, self.s.load(x), w);
            self.s.store(x, scaled);
        }
    }

    /// From ranges of `from` elements, whose first node is `node`, to ranges of `to` elements.
    #[inline(always)]
    fn ascend(&self, x: &mut [f64], from: usize, to: usize, node: usize) {
        let (mut t, mut node) = (from, node);
        while t < to {
            t *= 4;
            node /= 4;
            if node == 1 {
                self.radix4::<true>(x, 1);
            } else {
                for (i, range) in x.chunks_exact_mut(t).enumerate() {
                    self.radix4::<false>(range, node + i);
                }
            }
        }
    }

    #[inline(always)]
    fn node(&self, k: usize) -> Factor<S::Vector> {
        self.s.factor(self.field, self.s.splat(self.twiddles.nodes[k]))
    }

    /// The factors 1/N and w/N, w that of the root.
    #[inline(always)]
    fn root(&self) -> (Factor<S::Vector>, Factor<S::Vector>) {
        let w = self.modulus.mul(self.twiddles.nodes[1], self.inverse_n);
        let (scale, w) = (self.s.splat(self.inverse_n), self.s.splat(w));
        (self.s.factor(self.field, scale), self.s.factor(self.field, w))
    }

    /// The root level, and 1/N. Tight: B is reduced to 1/2. From B to 1/2 + 2εB.
    #[inline(always)]
    fn radix2(&self, x: &mut [f64]) {
        let (s, m, (scale, w)) = (self.s, self.field, self.root());
        let (low, high) = x.split_at_mut(x.len() / 2);
        for (a, b) in low.chunks_exact_mut(S::LANES).zip(high.chunks_exact_mut(S::LANES)) {
            let (u, v) = (s.load(a), s.load(b));
            let (u, v) = if TIGHT { (s.reduce(m, u), s.reduce(m, v)) } else { (u, v) };
            s.store(a, s.mul_factor(m, s.add(u, v), scale));
            s.store(b, s.mul_factor(m, s.sub(u, v), w));
        }
    }

    /// Two levels at node `k`. Tight: the first level's sums are reduced; from B ≤ 1.6 to 1 + 4εB ≤ 1.6.
    /// Roomy: the sum of all four is reduced; from B ≤ 2 to 1 + 4εB. At the `ROOT`, 1/N reduces every result.
    #[inline(always)]
    fn radix4<const ROOT: bool>(&self, x: &mut [f64], k: usize) {
        let (s, m) = (self.s, self.field);
        let (scale, w1) = if ROOT { self.root() } else { (self.node(k), self.node(k)) };
        let (w2, w3) = (self.node(2 * k), self.node(2 * k + 1));
        let (low, high) = x.split_at_mut(x.len() / 2);
        let (x0, x1) = low.split_at_mut(low.len() / 2);
        let (x2, x3) = high.split_at_mut(high.len() / 2);
        let pair = 2 * S::LANES;
        let quarters = x0.chunks_exact_mut(pair).zip(x1.chunks_exact_mut(pair));
        let quarters = quarters.zip(x2.chunks_exact_mut(pair).zip(x3.chunks_exact_mut(pair)));
        for ((x0, x1), (x2, x3)) in quarters {
            for o in [0, S::LANES] {
                let at = o..o + S::LANES;
                let (u0, u1) = (s.load(&x0[at.clone()]), s.load(&x1[at.clone()]));
                let (u2, u3) = (s.load(&x2[at.clone()]), s.load(&x3[at.clone()]));
                let (v0, v2) = (s.add(u0, u1), s.add(u2, u3));
                let (v0, v2) = if TIGHT { (s.reduce(m, v0), s.reduce(m, v2)) } else { (v0, v2) };
                let v1 = s.mul_factor(m, s.sub(u0, u1), w2);
                let v3 = s.mul_factor(m, s.sub(u2, u3), w3);
                let (y0, y1) = (s.add(v0, v2), s.add(v1, v3));
                let (y0, y1) = if ROOT {
                    (s.mul_factor(m, y0, scale), s.mul_factor(m, y1, scale))
                } else {
                    (if TIGHT { y0 } else { s.reduce(m, y0) }, y1)
                };
                s.store(&mut x0[at.clone()], y0);
                s.store(&mut x1[at.clone()], y1);
                s.store(&mut x2[at.clone()], s.mul_factor(m, s.sub(v0, v2), w1));
                s.store(&mut x3[at], s.mul_factor(m, s.sub(v1, v3), w1));
            }
        }
    }

    /// The six levels below node `k`, from reduced values.
    #[inline(always)]
    fn block(&self, x: &mut [f64; 64], k: usize, lanes: &[f64; 56]) {
        let s = self.s;
        let mut buffer = [0.0; 64];
        for group in (0..8).step_by(S::LANES) {
            let mut r = [s.splat(0.0); 8];
            for (row, r) in r.iter_mut().enumerate() {
                *r = s.load(&x[8 * row + group..]);
            }
            let mut factors = [s.factor(self.field, s.load(&lanes[group..])); 7];
            for (i, factor) in factors.iter_mut().enumerate().skip(1) {
                *factor = s.factor(self.field, s.load(&lanes[8 * i + group..]));
            }
            self.three_levels::<false>(&mut r, &factors);
            s.store_transposed(&mut buffer[8 * group..], r);
        }
        let factors = [
            self.node(k),
            self.node(2 * k),
            self.node(2 * k + 1),
            self.node(4 * k),
            self.node(4 * k + 1),
            self.node(4 * k + 2),
            self.node(4 * k + 3),
        ];
        for column in (0..8).step_by(S::LANES) {
            let mut r = [s.splat(0.0); 8];
            for (row, r) in r.iter_mut().enumerate() {
                *r = s.load(&buffer[8 * row + column..]);
            }
            self.three_levels::<true>(&mut r, &factors);
            for (row, r) in r.iter().enumerate() {
                s.store(&mut x[8 * row + column..], *r);
            }
        }
    }

    /// Three levels on eight vectors; six in all, `UPPER` the second three. Tight: the sums of every other level are reduced,
    /// so that B ≤ 1.6 before such a level and B ≤ 0.8 after it. Roomy: of the last level's sums, those of sums of the level
    /// before are reduced; from B ≤ 1.2, with operands up to 8B < 16, to 1 + 8εB < 1.3.
    #[inline(always)]
    fn three_levels<const UPPER: bool>(&self, r: &mut [S::Vector; 8], factors: &[Factor<S::Vector>; 7]) {
        for i in [0, 2, 4, 6] {
            self.butterfly(r, i, i + 1, factors[3 + i / 2], TIGHT && !UPPER);
        }
        for i in [0, 1, 4, 5] {
            self.butterfly(r, i, i + 2, factors[1 + i / 4], TIGHT && UPPER);
        }
        for i in 0..4 {
            self.butterfly(r, i, i + 4, factors[0], if TIGHT { !UPPER } else { i < 2 });
        }
    }

    #[inline(always)]
    fn butterfly(&self, r: &mut [S::Vector; 8], i: usize, j: usize, w: Factor<S::Vector>, reduced: bool) {
        let (s, m, u, v) = (self.s, self.field, r[i], r[j]);
        let sum = s.add(u, v);
        r[i] = if reduced { s.reduce(m, sum) } else { sum };
        r[j] = s.mul_factor(m, s.sub(u, v), w);
    }
}

/// Level by level, one element at a time, every result reduced.
fn small_forward(x: &mut [f64], m: Modulus, twiddles: &Twiddles) {
    let (s, field) = (Portable, &Portable.field(m));
    let (mut t, mut nodes) = (x.len(), 1);
    while t > 1 {
        for (i, range) in x.chunks_exact_mut(t).enumerate() {
            let w = s.factor(field, twiddles.nodes[nodes + i]);
            let (low, high) = range.split_at_mut(t / 2);
            for (a, b) in low.iter_mut().zip(high) {
                let v = s.mul_factor(field, *b, w);
                (*a, *b) = (s.reduce(field, *a + v), s.reduce(field, *a - v));
            }
        }
        t /= 2;
        nodes *= 2;
    }
}

fn small_inverse(x: &mut [f64], m: Modulus, twiddles: &Twiddles, inverse_n: f64) {
    let (s, field) = (Portable, &Portable.field(m));
    let (mut t, mut nodes) = (2, x.len() / 2);
    while nodes > 0 {
        for (i, range) in x.chunks_exact_mut(t).enumerate() {
            let w = s.factor(field, twiddles.nodes[nodes + i]);
            let (low, high) = range.split_at_mut(t / 2);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (s.reduce(field, *a + *b), s.mul_factor(field, *a - *b, w));
            }
        }
        t *= 2;
        nodes /= 2;
    }
    let scale = s.factor(field, inverse_n);
    for x in x {
        *x = s.mul_factor(field, *x, scale);
    }
}
