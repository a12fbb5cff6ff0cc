//! The negacyclic number-theoretic transform modulo one prime.

use crate::order::bit_reverse;
use crate::{ArithError, Modulus, simd};
use hec_params::{LogN, is_prime};

/// Everything needed to transform limbs of one prime and one degree, both ways.
#[derive(Clone, Debug)]
pub struct NttTable {
    log_n: LogN,
    modulus: Modulus,
    pub(crate) forward: Twiddles,
    pub(crate) inverse: Twiddles,
    /// 1/N mod p, balanced.
    pub(crate) inverse_n: f64,
}

/// The twiddle factors of one direction, balanced (|w| < p/2).
#[derive(Clone, Debug)]
pub(crate) struct Twiddles {
    /// Root `i` is ψ^±bitrev(i): the node `i` of the butterfly tree, whose root is node 1 and whose node k has the
    /// children 2k and 2k + 1.
    pub(crate) nodes: Vec<f64>,
    /// The same for the three stages nearest the leaves, as vectors: for every 64 elements, 7 vectors of 8 lanes,
    /// lane l for group l of 8 elements. One vector for the stage of 8 elements, two for 4, four for 2.
    pub(crate) lanes: Vec<[f64; 56]>,
}

impl Twiddles {
    fn new(log_n: LogN, modulus: Modulus, root: u64) -> Self {
        let n = log_n.degree();
        let mut nodes = vec![0.0; n];
        let mut power = 1;
        for i in 0..n {
            nodes[bit_reverse(i, log_n.0)] = modulus.balance(power);
            power = modulus.mul_u64(power, root);
        }
        let lanes = (0..n / 64).map(|block| lane_twiddles(&nodes, block)).collect();
        Twiddles { nodes, lanes }
    }
}

fn lane_twiddles(nodes: &[f64], block: usize) -> [f64; 56] {
    let mut lanes = [0.0; 56];
    for lane in 0..8 {
        let group = nodes.len() / 8 + 8 * block + lane;
        let mut vector = 0;
        for children in [1, 2, 4] {
            for child in 0..children {
                lanes[8 * vector + lane] = nodes[children * group + child];
                vector += 1;
            }
        }
    }
    lanes
}

impl NttTable {
    /// Tables for the ring of degree N = 2^4..2^17 modulo a prime p < 2^50 with p ≡ 1 (mod 2N).
    pub fn new(log_n: LogN, p: u64) -> Result<Self, ArithError> {
        if !(4..=17).contains(&log_n.0) {
            return Err(ArithError::RingDegree(log_n.0));
        }
        if !Modulus::fits(p) || !is_prime(p) {
            return Err(ArithError::NotAPrime(p));
        }
        let n = log_n.degree() as u64;
        if p % (2 * n) != 1 {
            return Err(ArithError::NotNttFriendly { p, log_2n: log_n.0 + 1 });
        }
        let modulus = Modulus::new(p);
        let root = primitive_root(modulus, n);
        let inverse_root = modulus.pow_u64(root, p - 2);
        Ok(NttTable {
            log_n,
            modulus,
            forward: Twiddles::new(log_n, modulus, root),
            inverse: Twiddles::new(log_n, modulus, inverse_root),
            inverse_n: modulus.inv(n as f64),
        })
    }

    /// log2 of the degree.
    pub fn log_n(&self) -> LogN {
        self.log_n
    }

    /// The prime.
    pub fn modulus(&self) -> Modulus {
        self.modulus
    }

    /// From coefficients to values in the [evaluation order](crate::evaluation_exponents). Takes and gives reduced residues.
    ///
    /// # Panics
    /// If `x` is not N long.
    pub fn forward(&self, x: &mut [f64]) {
        assert_eq!(x.len(), self.log_n.degree(), "a limb of length N");
        simd::ntt_forward(x, self.modulus, &self.forward);
    }

    /// From values in the evaluation order to coefficients. Takes and gives reduced residues.
    ///
    /// # Panics
    /// If `x` is not N long.
    pub fn inverse(&self, x: &mut [f64]) {
        assert_eq!(x.len(), self.log_n.degree(), "a limb of length N");
        simd::ntt_inverse(x, self.modulus, &self.inverse, self.inverse_n);
    }

    /// As [`inverse`](Self::inverse), times one reduced residue `w`: in the place of 1/N, so at no cost.
    ///
    /// # Panics
    /// If `x` is not N long.
    pub fn inverse_times(&self, x: &mut [f64], w: f64) {
        assert_eq!(x.len(), self.log_n.degree(), "a limb of length N");
        simd::ntt_inverse(x, self.modulus, &self.inverse, self.modulus.mul(self.inverse_n, w));
    }
}

/// The primitive 2N-th root of unity that the smallest quadratic non-residue gives: the same on every machine.
fn primitive_root(modulus: Modulus, n: u64) -> u64 {
    let p = modulus.value();
    (2..p)
        .map(|g| modulus.pow_u64(g, (p - 1) / (2 * n)))
        .find(|&root| modulus.pow_u64(root, n) == p - 1)
        .expect("half of all residues modulo a prime are non-residues")
}
