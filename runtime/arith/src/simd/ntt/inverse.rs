//! The inverse transform.

use super::super::field::{Factor, Residues};
use super::{BLOCK, CACHED, Factors, Octet, Tree, eighths, halves, octets, paired, place, quarters, root_radices};
use crate::Modulus;

pub(super) struct Inverse<'a, S: Residues, const TIGHT: bool> {
    pub(super) tree: Tree<'a, S>,
    pub(super) modulus: Modulus,
    /// 1/N mod p.
    pub(super) inverse_n: f64,
}

/// What a pass is: one whose factors serve many vectors or only one, or the one at the root, which applies 1/N.
const MANY: u8 = 0;
const ONCE: u8 = 1;
const ROOT: u8 = 2;

impl<S: Residues, const TIGHT: bool> Inverse<'_, S, TIGHT> {
    #[inline(always)]
    pub(super) fn run(&self, x: &mut [f64]) {
        let radices = root_radices(x.len());
        // Below the node `top` and its siblings, all passes are of radix 8.
        let top: usize = radices.iter().product();
        let whole = x.len() / top;
        let mut cached = whole;
        while cached > CACHED {
            cached /= 8;
        }
        for (i, range) in x.chunks_exact_mut(cached).enumerate() {
            let first = i * (cached / BLOCK);
            self.blocks(range, top * (whole / BLOCK), first);
            self.ascend(range, BLOCK, cached, top * (whole / BLOCK) + first);
        }
        self.ascend(x, cached, whole, top * (whole / cached));
        let mut node = top;
        for &radix in radices.iter().rev() {
            node /= radix;
            let t = x.len() / node;
            match (radix, node) {
                (4, 1) => self.radix4::<ROOT>(x, 1),
                (4, _) => {
                    for (i, x) in x.chunks_exact_mut(t).enumerate() {
                        self.radix4::<MANY>(x, node + i);
                    }
                }
                _ => self.radix2(x),
            }
        }
    }

    /// All levels of the blocks from number `first` on, of all `nodes` blocks.
    #[inline(always)]
    fn blocks(&self, x: &mut [f64], nodes: usize, first: usize) {
        let blocks = x.as_chunks_mut::<BLOCK>().0;
        match octets::<S>(blocks.len()) {
            1 => self.six_levels::<1>(blocks, nodes, first),
            2 => self.six_levels::<2>(blocks, nodes, first),
            _ => self.six_levels::<8>(blocks, nodes, first),
        }
    }

    /// `K` octets at a time.
    #[inline(always)]
    fn six_levels<const K: usize>(&self, blocks: &mut [[f64; BLOCK]], nodes: usize, first: usize) {
        let together = K * S::LANES / 8;
        for (i, x) in blocks.chunks_exact_mut(together).enumerate() {
            self.leaves::<K>(x, first + together * i);
        }
        if nodes == 1 {
            return self.radix8::<1, ROOT>(blocks.as_flattened_mut(), 1);
        }
        for (i, x) in blocks.chunks_exact_mut(together).enumerate() {
            self.block::<K>(x, nodes + first + together * i);
        }
    }

    /// From ranges of `from` elements, whose first node is `node`, to ranges of `to` elements.
    #[inline(always)]
    fn ascend(&self, x: &mut [f64], from: usize, to: usize, node: usize) {
        let (mut t, mut node) = (from, node);
        while t < to {
            (t, node) = (t * 8, node / 8);
            if paired::<S>() {
                self.three_levels::<2>(x, t, node);
            } else {
                self.three_levels::<1>(x, t, node);
            }
        }
    }

    /// Three levels, to ranges of `t` elements, the first of them at `node`.
    #[inline(always)]
    fn three_levels<const K: usize>(&self, x: &mut [f64], t: usize, node: usize) {
        if node == 1 {
            return self.radix8::<K, ROOT>(x, 1);
        }
        for (i, range) in x.chunks_exact_mut(t).enumerate() {
            self.radix8::<K, MANY>(range, node + i);
        }
    }

    /// The factors 1/N and w/N, w that of the root.
    #[inline(always)]
    fn root(&self) -> (Factor<S::Vector>, Factor<S::Vector>) {
        let (s, m) = (self.tree.s, self.tree.field);
        let w = self.modulus.mul(self.tree.twiddles.nodes[1], self.inverse_n);
        (s.factor(m, s.splat(self.inverse_n)), s.factor(m, s.splat(w)))
    }

    /// The root level, and 1/N. Tight: B is reduced to 1/2. From B to 1/2 + 2εB.
    #[inline(always)]
    fn radix2(&self, x: &mut [f64]) {
        let (s, m, (scale, w)) = (self.tree.s, self.tree.field, self.root());
        for (a, b) in halves(x, S::LANES) {
            let (u, v) = (s.load(a), s.load(b));
            let (u, v) = if TIGHT { (s.reduce(m, u), s.reduce(m, v)) } else { (u, v) };
            s.store(a, s.mul_factor(m, s.add(u, v), scale));
            s.store(b, s.mul_factor(m, s.sub(u, v), w));
        }
    }

    /// Two levels at node `k`. Tight: the first level's sums are reduced; from B ≤ 1.75 to 1 + 4εB < 1.75.
    /// Roomy: the sum of all four is reduced; from B ≤ 2 to 1 + 4εB. At the root, 1/N reduces every result.
    #[inline(always)]
    fn radix4<const PASS: u8>(&self, x: &mut [f64], k: usize) {
        let (s, m) = (self.tree.s, self.tree.field);
        let (scale, w1) = if PASS == ROOT { self.root() } else { (self.tree.node(k), self.tree.node(k)) };
        let (w2, w3) = (self.tree.node(2 * k), self.tree.node(2 * k + 1));
        for [x0, x1, x2, x3] in quarters(x, S::LANES) {
            let (u0, u1, u2, u3) = (s.load(x0), s.load(x1), s.load(x2), s.load(x3));
            let (v0, v2) = (s.add(u0, u1), s.add(u2, u3));
            let (v0, v2) = if TIGHT { (s.reduce(m, v0), s.reduce(m, v2)) } else { (v0, v2) };
            let v1 = s.mul_factor(m, s.sub(u0, u1), w2);
            let v3 = s.mul_factor(m, s.sub(u2, u3), w3);
            let (y0, y1) = (s.add(v0, v2), s.add(v1, v3));
            let (y0, y1) = if PASS == ROOT {
                (s.mul_factor(m, y0, scale), s.mul_factor(m, y1, scale))
            } else {
                (if TIGHT { y0 } else { s.reduce(m, y0) }, y1)
            };
            s.store(x0, y0);
            s.store(x1, y1);
            s.store(x2, s.mul_factor(m, s.sub(v0, v2), w1));
            s.store(x3, s.mul_factor(m, s.sub(v1, v3), w1));
        }
    }

    /// Three levels at node `k`.
    #[inline(always)]
    fn radix8<const K: usize, const PASS: u8>(&self, x: &mut [f64], k: usize) {
        let (s, m) = (self.tree.s, self.tree.field);
        let mut factors = [self.tree.nodes(k); K];
        let (scale, w) = if PASS == ROOT { self.root() } else { (factors[0][0], factors[0][0]) };
        for factors in &mut factors {
            factors[0] = w;
        }
        for x in eighths(x, K * S::LANES) {
            let mut r = self.tree.load_eighths::<K>(&x);
            self.butterflies::<K, PASS>(&mut r, &factors);
            if PASS == ROOT {
                for r in &mut r {
                    for sum in &mut r[..4] {
                        *sum = s.mul_factor(m, *sum, scale);
                    }
                }
            }
            self.tree.store_eighths(x, &r);
        }
    }

    /// The last three levels of the blocks that are `K` octets of columns, from node `k` on. Tight kernels have no room for
    /// the larger error of factors used once at a second pass.
    #[inline(always)]
    fn block<const K: usize>(&self, x: &mut [[f64; BLOCK]], k: usize) {
        let (mut r, factors) = self.tree.columns::<K>(x, k);
        if TIGHT {
            self.butterflies::<K, MANY>(&mut r, &factors);
        } else {
            self.butterflies::<K, ONCE>(&mut r, &factors);
        }
        for (i, r) in r.iter().enumerate() {
            let (block, column) = place::<S>(i);
            self.tree.store(&mut x[block], column, r);
        }
    }

    /// The first three levels of the blocks that are `K` octets of rows, from number `first` on, from reduced values.
    #[inline(always)]
    fn leaves<const K: usize>(&self, x: &mut [[f64; BLOCK]], first: usize) {
        let mut r = [self.tree.load(&x[0], 0); K];
        let mut factors = [self.tree.lanes(first, 0); K];
        for i in 1..K {
            let (block, group) = place::<S>(i);
            r[i] = self.tree.load(&x[block], group);
            factors[i] = self.tree.lanes(first + block, group);
        }
        self.butterflies::<K, ONCE>(&mut r, &factors);
        for (i, r) in r.into_iter().enumerate() {
            let (block, group) = place::<S>(i);
            self.tree.s.store_transposed(&mut x[block][8 * group..], r);
        }
    }

    /// Three levels on `K` octets, interleaved. Vectors with an even number are sums after the first level, and so on.
    ///
    /// Tight: from B ≤ 1.75. Of the first sums, two of four are reduced, so that the second level's operands are at most
    /// 1/2 + 2B < 4; then the sums of sums. Only vector 1 is left a sum of four products, and reduced; a sum of two is at
    /// most 2(1/2 + ε(1/2 + 2B)) ≤ 1.75. At the root, the sums of two products are reduced instead, so that 1/N is applied
    /// to at most 1.75.
    /// Roomy: of the last level's sums, the first two are reduced, sums of at least four; from B ≤ 1.2, with operands up
    /// to 8B < 16, to 1 + 8εB < 1.3.
    #[inline(always)]
    fn butterflies<const K: usize, const PASS: u8>(&self, r: &mut [Octet<S>; K], factors: &[Factors<S>; K]) {
        let root = PASS == ROOT;
        // Written out: loops of this size are not sure to be unrolled.
        self.butterfly::<K, PASS>(r, 0, 1, factors, 3, TIGHT);
        self.butterfly::<K, PASS>(r, 2, 3, factors, 4, false);
        self.butterfly::<K, PASS>(r, 4, 5, factors, 5, TIGHT);
        self.butterfly::<K, PASS>(r, 6, 7, factors, 6, false);

        self.butterfly::<K, PASS>(r, 0, 2, factors, 1, TIGHT || root);
        self.butterfly::<K, PASS>(r, 4, 6, factors, 2, TIGHT || root);
        self.butterfly::<K, PASS>(r, 1, 3, factors, 1, TIGHT && root);
        self.butterfly::<K, PASS>(r, 5, 7, factors, 2, TIGHT && root);

        self.butterfly::<K, PASS>(r, 0, 4, factors, 0, !TIGHT && !root);
        self.butterfly::<K, PASS>(r, 2, 6, factors, 0, false);
        self.butterfly::<K, PASS>(r, 1, 5, factors, 0, !root);
        self.butterfly::<K, PASS>(r, 3, 7, factors, 0, false);
    }

    /// The sum of vectors `i` and `j`, `reduced` or not, and the product of their difference with factor `w`, in every octet.
    #[inline(always)]
    fn butterfly<const K: usize, const PASS: u8>(
        &self,
        r: &mut [Octet<S>; K],
        i: usize,
        j: usize,
        factors: &[Factors<S>; K],
        w: usize,
        reduced: bool,
    ) {
        let (s, m) = (self.tree.s, self.tree.field);
        for (r, factors) in r.iter_mut().zip(factors) {
            let (sum, difference) = (s.add(r[i], r[j]), s.sub(r[i], r[j]));
            r[i] = if reduced { s.reduce(m, sum) } else { sum };
            r[j] = match PASS {
                ONCE => s.mul_once(m, difference, factors[w]),
                _ => s.mul_factor(m, difference, factors[w]),
            };
        }
    }
}
