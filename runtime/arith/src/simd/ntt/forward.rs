//! The forward transform.

use super::super::field::Residues;
use super::{BLOCK, CACHED, Factors, Octet, Tree, eighths, halves, octets, paired, place, quarters, root_radices};

pub(super) struct Forward<'a, S: Residues, const TIGHT: bool> {
    pub(super) tree: Tree<'a, S>,
}

impl<S: Residues, const TIGHT: bool> Forward<'_, S, TIGHT> {
    #[inline(always)]
    pub(super) fn run(&self, x: &mut [f64]) {
        // Ranges of t elements, the first of them at the node `nodes`.
        let (mut t, mut nodes) = (x.len(), 1);
        for &radix in root_radices(t) {
            for (i, range) in x.chunks_exact_mut(t).enumerate() {
                if radix == 4 {
                    self.radix4(range, nodes + i);
                } else {
                    self.radix2(range);
                }
            }
            (t, nodes) = (t / radix, nodes * radix);
        }
        while t > CACHED {
            self.three_levels(x, t, nodes);
            (t, nodes) = (t / 8, nodes * 8);
        }
        for (i, range) in x.chunks_exact_mut(t).enumerate() {
            self.cached(range, nodes, i);
        }
    }

    /// All levels of the range number `first` of a level of `nodes` ranges.
    #[inline(always)]
    fn cached(&self, x: &mut [f64], nodes: usize, first: usize) {
        let (mut t, mut nodes, mut first) = (x.len(), nodes, first);
        while t > BLOCK {
            self.three_levels(x, t, nodes + first);
            (t, nodes, first) = (t / 8, nodes * 8, first * 8);
        }
        let blocks = x.as_chunks_mut::<BLOCK>().0;
        match octets::<S>(blocks.len()) {
            1 => self.six_levels::<1>(blocks, nodes, first),
            2 => self.six_levels::<2>(blocks, nodes, first),
            _ => self.six_levels::<8>(blocks, nodes, first),
        }
    }

    /// The last six levels of the blocks from number `first` on, of all `nodes` blocks, `K` octets at a time.
    #[inline(always)]
    fn six_levels<const K: usize>(&self, blocks: &mut [[f64; BLOCK]], nodes: usize, first: usize) {
        let together = K * S::LANES / 8;
        for (i, x) in blocks.chunks_exact_mut(together).enumerate() {
            self.block::<K>(x, nodes + first + together * i);
        }
        for (i, x) in blocks.chunks_exact_mut(together).enumerate() {
            self.leaves::<K>(x, first + together * i);
        }
    }

    /// Three levels on ranges of `t` elements, from node `node` on.
    #[inline(always)]
    fn three_levels(&self, x: &mut [f64], t: usize, node: usize) {
        for (i, range) in x.chunks_exact_mut(t).enumerate() {
            if paired::<S>() {
                self.radix8::<2>(range, node + i);
            } else {
                self.radix8::<1>(range, node + i);
            }
        }
    }

    /// One level, at the root. From 2/3 to 2/3 + 1/2 + 2ε/3.
    #[inline(always)]
    fn radix2(&self, x: &mut [f64]) {
        let (s, m, w) = (self.tree.s, self.tree.field, self.tree.node(1));
        for (a, b) in halves(x, S::LANES) {
            let (u, v) = (s.load(a), s.mul_factor(m, s.load(b), w));
            s.store(a, s.add(u, v));
            s.store(b, s.sub(u, v));
        }
    }

    /// Two levels at node `k`. Tight: from B to |u0| + 1 + ε(2B + 1/2 + εB) < 2 with |u0| = 1/2 and B ≤ 2.
    #[inline(always)]
    fn radix4(&self, x: &mut [f64], k: usize) {
        let (s, m) = (self.tree.s, self.tree.field);
        let (w1, w2, w3) = (self.tree.node(k), self.tree.node(2 * k), self.tree.node(2 * k + 1));
        for [x0, x1, x2, x3] in quarters(x, S::LANES) {
            let (u0, u1) = (s.load(x0), s.load(x1));
            let u0 = if TIGHT { s.reduce(m, u0) } else { u0 };
            let (u2, u3) = (s.mul_factor(m, s.load(x2), w1), s.mul_factor(m, s.load(x3), w1));
            let (v0, v2) = (s.add(u0, u2), s.sub(u0, u2));
            let v1 = s.mul_factor(m, s.add(u1, u3), w2);
            let v3 = s.mul_factor(m, s.sub(u1, u3), w3);
            s.store(x0, s.add(v0, v1));
            s.store(x1, s.sub(v0, v1));
            s.store(x2, s.add(v2, v3));
            s.store(x3, s.sub(v2, v3));
        }
    }

    /// Three levels at node `k`.
    #[inline(always)]
    fn radix8<const K: usize>(&self, x: &mut [f64], k: usize) {
        let factors = [self.tree.nodes(k); K];
        for x in eighths(x, K * S::LANES) {
            let mut r = self.tree.load_eighths::<K>(&x);
            self.butterflies::<K, false>(&mut r, &factors);
            self.tree.store_eighths(x, &r);
        }
    }

    /// The first three levels of the blocks that are `K` octets of columns, from node `k` on.
    #[inline(always)]
    fn block<const K: usize>(&self, x: &mut [[f64; BLOCK]], k: usize) {
        let (mut r, factors) = self.tree.columns::<K>(x, k);
        self.butterflies::<K, true>(&mut r, &factors);
        for (i, r) in r.iter().enumerate() {
            let (block, column) = place::<S>(i);
            self.tree.store(&mut x[block], column, r);
        }
    }

    /// The last three levels of the blocks that are `K` octets of rows, from number `first` on, to reduced results.
    #[inline(always)]
    fn leaves<const K: usize>(&self, x: &mut [[f64; BLOCK]], first: usize) {
        let (s, m) = (self.tree.s, self.tree.field);
        let mut r = [s.load_transposed(&x[0]); K];
        let mut factors = [self.tree.lanes(first, 0); K];
        for i in 1..K {
            let (block, group) = place::<S>(i);
            r[i] = s.load_transposed(&x[block][8 * group..]);
            factors[i] = self.tree.lanes(first + block, group);
        }
        self.butterflies::<K, true>(&mut r, &factors);
        for (i, r) in r.iter_mut().enumerate() {
            for r in r.iter_mut() {
                *r = s.reduce(m, *r);
            }
            let (block, group) = place::<S>(i);
            self.tree.store(&mut x[block], group, r);
        }
    }

    /// Three levels on `K` octets, interleaved. Tight: only the first two of eight operands are added to others at two levels
    /// or more, and reduced; from B ≤ 2.8 to 1/2 + 3/2 + ε(B + (B + 0.8) + 2.1) ≤ 2.8, or 3.1 if the factors are used `ONCE`.
    #[inline(always)]
    fn butterflies<const K: usize, const ONCE: bool>(&self, r: &mut [Octet<S>; K], factors: &[Factors<S>; K]) {
        if TIGHT {
            for r in r.iter_mut() {
                r[0] = self.tree.s.reduce(self.tree.field, r[0]);
                r[1] = self.tree.s.reduce(self.tree.field, r[1]);
            }
        }
        // Written out: loops of this size are not sure to be unrolled.
        self.butterfly::<K, ONCE>(r, 0, 4, factors, 0);
        self.butterfly::<K, ONCE>(r, 2, 6, factors, 0);
        self.butterfly::<K, ONCE>(r, 1, 5, factors, 0);
        self.butterfly::<K, ONCE>(r, 3, 7, factors, 0);

        self.butterfly::<K, ONCE>(r, 0, 2, factors, 1);
        self.butterfly::<K, ONCE>(r, 1, 3, factors, 1);
        self.butterfly::<K, ONCE>(r, 4, 6, factors, 2);
        self.butterfly::<K, ONCE>(r, 5, 7, factors, 2);

        self.butterfly::<K, ONCE>(r, 0, 1, factors, 3);
        self.butterfly::<K, ONCE>(r, 2, 3, factors, 4);
        self.butterfly::<K, ONCE>(r, 4, 5, factors, 5);
        self.butterfly::<K, ONCE>(r, 6, 7, factors, 6);
    }

    /// Vector `i` plus and minus vector `j` times factor `w`, in every octet.
    // A method: a closure would not be sure to be inlined, and outside the kernel the instructions are not enabled.
    #[inline(always)]
    fn butterfly<const K: usize, const ONCE: bool>(
        &self,
        r: &mut [Octet<S>; K],
        i: usize,
        j: usize,
        factors: &[Factors<S>; K],
        w: usize,
    ) {
        let (s, m) = (self.tree.s, self.tree.field);
        for (r, factors) in r.iter_mut().zip(factors) {
            let (u, w) = (r[i], factors[w]);
            let v = if ONCE { s.mul_once(m, r[j], w) } else { s.mul_factor(m, r[j], w) };
            r[i] = s.add(u, v);
            r[j] = s.sub(u, v);
        }
    }
}
