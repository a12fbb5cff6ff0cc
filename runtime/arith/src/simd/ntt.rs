//! The transforms: Cooley–Tukey forward, Gentleman–Sande backward, depth first.
//!
//! The butterfly tree has its root at node 1; node k over a range of elements has the children 2k and 2k + 1 over its
//! halves. A pass does three levels at once, on eight vectors in registers (radix 8); near the root, passes of radix 4 or 2
//! take the levels that are left over. The three levels nearest the leaves follow an 8×8 transposition, so that every lane
//! has its own node. A product is a chain of 17 cycles and keeps the multipliers busy for 4: eight butterflies of each level
//! are interleaved, on two groups of eight vectors, also where there are only 16 registers and some operands wait on the
//! stack: a processor that looks 128 or 256 instructions ahead sees too little else.
//!
//! Bounds, with B for magnitudes in units of p. *Tight* kernels serve p < 2^50 and reduce often enough for B < 4 at every
//! factor. *Roomy* kernels serve p < 2^48, where B < 16 is allowed and ε < 3/128: forward, values grow by at most 1/2 + εB
//! a level, from 2/3 to less than 12 after 17 levels, and only the last result is reduced. `bounds.rs` runs these very
//! kernels on bounds in place of values and checks every operation.

mod forward;
mod inverse;

use super::field::{Factor, Field, Residues};
use super::instructions::Simd;
use super::portable::Portable;
use crate::Modulus;
use crate::ntt::Twiddles;
use forward::Forward;
use inverse::Inverse;

/// Primes below this take the roomy kernels.
const ROOMY_BELOW: f64 = (1u64 << 48) as f64;

/// Ranges up to this many elements (32 KiB) are transformed pass by pass, longer ones depth first.
const CACHED: usize = 4096;

/// The three levels nearest the leaves, for eight nodes of them.
const BLOCK: usize = 64;

#[inline(always)]
pub(crate) fn forward<S: Residues>(s: S, x: &mut [f64], m: Modulus, twiddles: &Twiddles) {
    if x.len() < BLOCK {
        return small_forward(x, m, twiddles);
    }
    let tree = Tree { s, field: &s.field(m), twiddles };
    if m.p < ROOMY_BELOW {
        Forward::<S, false> { tree }.run(x);
    } else {
        Forward::<S, true> { tree }.run(x);
    }
}

#[inline(always)]
pub(crate) fn inverse<S: Residues>(s: S, x: &mut [f64], m: Modulus, twiddles: &Twiddles, inverse_n: f64) {
    if x.len() < BLOCK {
        return small_inverse(x, m, twiddles, inverse_n);
    }
    let tree = Tree { s, field: &s.field(m), twiddles };
    if m.p < ROOMY_BELOW {
        Inverse::<S, false> { tree, modulus: m, inverse_n }.run(x);
    } else {
        Inverse::<S, true> { tree, modulus: m, inverse_n }.run(x);
    }
}

/// The radices of the passes at the root that leave the other levels to passes of radix 8.
fn root_radices(len: usize) -> &'static [usize] {
    match (len.trailing_zeros() % 3, len) {
        (0, _) => &[],
        (2, _) => &[4],
        (_, 128) => &[2],
        _ => &[4, 4],
    }
}

/// Whether passes of radix 8 work on two groups of vectors at a time: not the portable ones, where nothing is gained.
const fn paired<S: Residues>() -> bool {
    S::LANES > 1
}

/// Octets of vectors worked on together within blocks: two, if there are so many blocks, and always whole blocks, so that a
/// transposition has been read before it is overwritten.
#[inline(always)]
fn octets<S: Residues>(blocks: usize) -> usize {
    (8 / S::LANES).max(blocks.min(2))
}

/// The block, and the column or group of rows within it, of octet `i`.
#[inline(always)]
fn place<S: Residues>(i: usize) -> (usize, usize) {
    (i * S::LANES / 8, i * S::LANES % 8)
}

/// Eight vectors.
type Octet<S> = [<S as Simd>::Vector; 8];

/// The factors of three levels: of a node, its two children and their four.
type Factors<S> = [Factor<<S as Simd>::Vector>; 7];

/// The twiddle factors, as vectors.
#[derive(Clone, Copy)]
struct Tree<'a, S: Residues> {
    s: S,
    field: &'a Field<S::Vector>,
    twiddles: &'a Twiddles,
}

impl<S: Residues> Tree<'_, S> {
    #[inline(always)]
    fn node(&self, k: usize) -> Factor<S::Vector> {
        self.s.factor(self.field, self.s.splat(self.twiddles.nodes[k]))
    }

    #[inline(always)]
    fn nodes(&self, k: usize) -> Factors<S> {
        let (below, last) = (2 * k, 4 * k);
        [
            self.node(k),
            self.node(below),
            self.node(below + 1),
            self.node(last),
            self.node(last + 1),
            self.node(last + 2),
            self.node(last + 3),
        ]
    }

    /// `K` octets of columns of blocks, of nodes from `k` on, and their factors.
    #[inline(always)]
    fn columns<const K: usize>(&self, x: &[[f64; BLOCK]], k: usize) -> ([Octet<S>; K], [Factors<S>; K]) {
        let mut r = [self.load(&x[0], 0); K];
        let mut factors = [self.nodes(k); K];
        for i in 1..K {
            let (block, column) = place::<S>(i);
            r[i] = self.load(&x[block], column);
            factors[i] = if column == 0 { self.nodes(k + block) } else { factors[i - 1] };
        }
        (r, factors)
    }

    /// The factors nearest the leaves, for `LANES` nodes of a block.
    #[inline(always)]
    fn lanes(&self, block: usize, group: usize) -> Factors<S> {
        let vectors = &self.twiddles.lanes[block];
        let mut factors = [self.s.factor(self.field, self.s.load(&vectors[group..])); 7];
        for (i, factor) in factors.iter_mut().enumerate().skip(1) {
            *factor = self.s.factor(self.field, self.s.load(&vectors[8 * i + group..]));
        }
        factors
    }

    /// Column vectors of a block as an 8×8 matrix.
    #[inline(always)]
    fn load(&self, x: &[f64; BLOCK], column: usize) -> Octet<S> {
        let mut r = [self.s.splat(0.0); 8];
        for (row, r) in r.iter_mut().enumerate() {
            *r = self.s.load(&x[8 * row + column..]);
        }
        r
    }

    #[inline(always)]
    fn store(&self, x: &mut [f64; BLOCK], column: usize, r: &Octet<S>) {
        for (row, r) in r.iter().enumerate() {
            self.s.store(&mut x[8 * row + column..], *r);
        }
    }

    /// The `K` vectors of every eighth, an octet for each.
    #[inline(always)]
    fn load_eighths<const K: usize>(&self, x: &[&mut [f64]; 8]) -> [Octet<S>; K] {
        let mut r = [[self.s.splat(0.0); 8]; K];
        for (i, r) in r.iter_mut().enumerate() {
            for (r, x) in r.iter_mut().zip(x) {
                *r = self.s.load(&x[i * S::LANES..]);
            }
        }
        r
    }

    #[inline(always)]
    fn store_eighths<const K: usize>(&self, x: [&mut [f64]; 8], r: &[Octet<S>; K]) {
        for (row, x) in x.into_iter().enumerate() {
            for (i, r) in r.iter().enumerate() {
                self.s.store(&mut x[i * S::LANES..], r[row]);
            }
        }
    }
}

/// The `i`-th vectors of both halves, for all i.
#[inline(always)]
fn halves(x: &mut [f64], lanes: usize) -> impl Iterator<Item = (&mut [f64], &mut [f64])> {
    let (low, high) = x.split_at_mut(x.len() / 2);
    low.chunks_exact_mut(lanes).zip(high.chunks_exact_mut(lanes))
}

/// The `i`-th vectors of all quarters.
#[inline(always)]
fn quarters(x: &mut [f64], lanes: usize) -> impl Iterator<Item = [&mut [f64]; 4]> {
    let (low, high) = x.split_at_mut(x.len() / 2);
    halves(low, lanes).zip(halves(high, lanes)).map(|((a, b), (c, d))| [a, b, c, d])
}

/// The `i`-th vectors of all eighths.
#[inline(always)]
fn eighths(x: &mut [f64], lanes: usize) -> impl Iterator<Item = [&mut [f64]; 8]> {
    let (low, high) = x.split_at_mut(x.len() / 2);
    quarters(low, lanes).zip(quarters(high, lanes)).map(|([a, b, c, d], [e, f, g, h])| [a, b, c, d, e, f, g, h])
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
