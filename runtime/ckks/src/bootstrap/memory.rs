//! How much memory a bootstrap takes, before there is one.

use hec_params::{BootstrapParameters, Level};
use hec_poly::{Basis, EvaluationTree, Parity};

use super::shape::{Encoding, Shape};
use crate::MemoryBudget;

/// Bytes, beside keys and the budget for sums of transforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootstrapMemory {
    /// The encoded transforms, which are kept.
    pub diagonals: usize,
    /// Ciphertexts and digits while two ciphertexts are bootstrapped.
    pub working: usize,
}

/// Sizes in limbs.
struct Sizes<'a>(&'a BootstrapParameters);

impl BootstrapMemory {
    /// For these parameters, with so much for diagonals, on the threads of the current pool.
    pub fn of(parameters: &BootstrapParameters, diagonals: MemoryBudget) -> Self {
        let sizes = Sizes(parameters);
        let shapes = [Shape::coeffs_to_slots(parameters), Shape::slots_to_coeffs(parameters)];
        let diagonals = sizes.diagonals(&shapes, Self::encoding(parameters, diagonals));
        let maps = shapes.iter().map(|shape| sizes.map(shape)).max().unwrap_or(0);
        let limb = parameters.choice().log_n.degree() * size_of::<f64>();
        BootstrapMemory { diagonals, working: maps.max(sizes.eval_mod()) * limb }
    }

    /// With residues if all of them fit.
    pub(super) fn encoding(parameters: &BootstrapParameters, diagonals: MemoryBudget) -> Encoding {
        let shapes = [Shape::coeffs_to_slots(parameters), Shape::slots_to_coeffs(parameters)];
        let fits = Sizes(parameters).diagonals(&shapes, Encoding::Residues) <= diagonals.0;
        if fits { Encoding::Residues } else { Encoding::Integers }
    }
}

impl Sizes<'_> {
    fn diagonals(&self, shapes: &[Shape], long: Encoding) -> usize {
        shapes.iter().map(|shape| shape.bytes(self.0.parameters(), long)).sum()
    }

    fn poly(&self, level: Level) -> usize {
        self.0.parameters().prime_count(level)
    }

    /// The largest map: input, digits, the sum of the output and what it is turned into, the sums of one giant step;
    /// baby rotations of one limb on each thread.
    fn map(&self, shape: &Shape) -> usize {
        let parameters = self.0.parameters();
        let poly = self.poly(shape.level);
        let extended = poly + parameters.special().len();
        let digits = poly.div_ceil(parameters.digit_size());
        let most = shape.factors.iter().map(|factor| factor.diagonals()).max().unwrap_or(0);
        let on_a_thread = 4 * most.isqrt() + 2 * digits + 8;
        4 * poly + digits * extended + 6 * extended + rayon::current_num_threads() * on_a_thread
    }

    /// Both arguments and what they are parts of; the powers, and products from the root of the tree to a leaf, of one or
    /// on several threads of both.
    fn eval_mod(&self) -> usize {
        let level = self.0.eval_mod_level();
        let sine = self.0.choice().sine;
        let tree = EvaluationTree::new(Basis::Chebyshev, sine.degree, Parity::Even);
        // The degree has been checked, and has a tree.
        let powers = tree.as_ref().map_or(0, |tree| {
            // T_i lies ⌈log2 i⌉ levels down.
            let down = |i: usize| i.next_power_of_two().trailing_zeros();
            tree.powers().iter().map(|p| 2 * self.poly(Level(level.0.saturating_sub(down(p.index))))).sum()
        });
        let depth = tree.as_ref().map_or(0, |tree| tree.depth()) as usize;
        let at_once = rayon::current_num_threads().min(2);
        12 * self.poly(level) + at_once * (4 * depth * self.poly(level) + powers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Bootstrapper, Content, Context, Encoder, EvaluationKeys, Evaluator, KeyRequest, MemoryBudget, SecretKey,
    };
    use hec_params::{BootstrapLiteral, Depth, LogN, Slots};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use std::sync::Arc;

    #[test]
    fn is_what_a_bootstrap_takes() {
        let literal = BootstrapLiteral::new(LogN(9), Slots(1 << 8), 15.0, Depth(4));
        let parameters = BootstrapLiteral { insecure_toy: true, ..literal }.search().expect("exists");
        let context = Context::new(parameters.parameters().clone()).expect("valid");
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let secret = SecretKey::generate(&context, rng);
        let mut request = KeyRequest::default();
        request.bootstrap(&parameters);
        let keys = EvaluationKeys::generate(&context, &secret, &request, rng).expect("makes");
        let evaluator = Evaluator::new(&context, &Arc::new(keys)).expect("belongs");
        let made = |budget| {
            let bootstrapper = Bootstrapper::with_diagonals(&context, &parameters, budget).expect("encodes");
            assert_eq!(BootstrapMemory::of(&parameters, budget).diagonals, bootstrapper.bytes());
            bootstrapper
        };
        let all = made(MemoryBudget::DIAGONALS);
        let bootstrapper = made(MemoryBudget(0)).with_budget(MemoryBudget(0));
        assert!(bootstrapper.bytes() < all.bytes());
        let BootstrapMemory { working, .. } = BootstrapMemory::of(&parameters, MemoryBudget(0));
        let level = parameters.input_level();
        let plaintext = Encoder::new(&context).encode(&[0.5; 256], level, context.scale(level).expect("exists"));
        let a = secret.encrypt(&context, &plaintext.expect("fits"), rng).expect("fits").expand(&context).expect("fits");
        let limb = context.degree() * size_of::<f64>();
        context.pool().measure();
        let held = context.pool().measure();
        bootstrapper.bootstrap_pair(&evaluator, [&a, &a]).expect("bootstraps");
        let pair = (context.pool().measure() - held) * limb;
        let real = bootstrapper.bootstrap(&evaluator, &a, Content::Real).expect("bootstraps");
        let alone = (context.pool().measure() - held) * limb;
        let same = all.bootstrap(&evaluator, &a, Content::Real).expect("bootstraps");
        let slots = |a| Encoder::new(&context).decode(&secret.decrypt(&context, a).expect("own")).expect("fits");
        assert_eq!(slots(&real), slots(&same));
        println!("two: {pair} bytes, one: {alone}, of {working}");
        // How much runs at a time, of one or of two, and so how much is held, is up to the machine.
        let most = alone.max(pair);
        assert!(most <= working && working < 3 * most);
    }
}
