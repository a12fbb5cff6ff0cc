//! Bootstrapping: the same slots at a higher level.
//!
//! A ciphertext at level 0 is read modulo all primes, which adds an unknown multiple q(0)·I to its message;
//! coeffs-to-slots brings the coefficients into slots, eval-mod removes the multiple slot by slot, slots-to-coeffs,
//! before or after, undoes the change of place (Cheon, Han, Kim, Kim, Song 2018).

mod encapsulation;
mod eval_mod;
mod fit;
mod fourier;
mod memory;
mod polynomial;
mod shape;

use std::sync::Arc;

use hec_params::{BootstrapParameters, Level, Order, Rotation, Scale};

pub(crate) use encapsulation::EncapsulationKeys;
pub use memory::BootstrapMemory;

use self::eval_mod::EvalMod;
use self::fourier::Transform;
use self::shape::Shape;
use crate::{Ciphertext, CkksError, Complex, Context, Encoder, Evaluator, KeyName, KeyRequest, MemoryBudget};

/// What the slots of a ciphertext hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Real numbers, up to noise.
    Real,
    /// Complex numbers.
    Complex,
}

/// Everything about a bootstrap that depends on the parameters alone.
#[derive(Debug)]
pub struct Bootstrapper {
    context: Arc<Context>,
    parameters: BootstrapParameters,
    budget: MemoryBudget,
    /// The integer by which a message is multiplied before the raise.
    lift: f64,
    coeffs_to_slots: Transform,
    eval_mod: EvalMod,
    slots_to_coeffs: Transform,
}

impl Bootstrapper {
    /// Fit the polynomials and encode the transforms, within [`MemoryBudget::DIAGONALS`].
    ///
    /// # Errors
    /// As [`Bootstrapper::with_diagonals`].
    pub fn new(context: &Arc<Context>, parameters: &BootstrapParameters) -> Result<Self, CkksError> {
        Self::with_diagonals(context, parameters, MemoryBudget::DIAGONALS)
    }

    /// Fit the polynomials and encode the transforms. If not all residues of the diagonals fit into the budget, those of
    /// long period are kept as integers, which are transformed at each use.
    ///
    /// # Errors
    /// [`CkksError::WrongParameters`] if the context is not one of these parameters.
    pub fn with_diagonals(
        context: &Arc<Context>,
        parameters: &BootstrapParameters,
        diagonals: MemoryBudget,
    ) -> Result<Self, CkksError> {
        if context.parameters() != parameters.parameters() {
            return Err(CkksError::WrongParameters);
        }
        let long = BootstrapMemory::encoding(parameters, diagonals);
        let choice = parameters.choice();
        let slots = choice.slots;
        let base = parameters.parameters().primes_at(Level(0)).fold(1.0, |q, p| q * p as f64);
        let bottom = context.scale(Level(0))?.0;
        let wanted = base / bottom / choice.sine.ratio_bits.exp2();
        // Before the raise slots-to-coeffs can multiply by any number, otherwise it must be an integer.
        let (lift, gain) = match choice.order {
            Order::CoeffsFirst => (1.0, wanted),
            Order::CoeffsLast => (wanted.round().max(1.0), 1.0),
        };
        let eval_mod = EvalMod::new(parameters, base / (bottom * lift * gain))?;
        let root = (slots.0 as f64).sqrt();
        // All of the gain comes first, so that the noise of later factors does not grow.
        let mut gains = vec![1.0; choice.slots_to_coeffs.len()];
        if let Some(first) = gains.first_mut() {
            // At the end, parts come out doubled.
            let half = if choice.order == Order::CoeffsLast { 0.5 } else { 1.0 };
            *first = half * gain * root;
        }
        let slots_to_coeffs = Transform::new(context, &Shape::slots_to_coeffs(parameters), &gains, long)?;
        let raised = parameters.raised_level();
        let repetitions = parameters.parameters().slots().0 / slots.0;
        // Twice the real part is taken, and the trace multiplies by the repetitions.
        let share = context.scale(raised)?.0 / (base * eval_mod.range() * 2.0 * repetitions as f64 * root);
        let factors = choice.coeffs_to_slots.len();
        let gains = vec![share.powf(1.0 / factors as f64); factors];
        let coeffs_to_slots = Transform::new(context, &Shape::coeffs_to_slots(parameters), &gains, long)?;
        Ok(Bootstrapper {
            context: Arc::clone(context),
            parameters: parameters.clone(),
            budget: MemoryBudget::default(),
            lift,
            coeffs_to_slots,
            eval_mod,
            slots_to_coeffs,
        })
    }

    /// The same, with so much memory for the sums of a transform.
    pub fn with_budget(self, budget: MemoryBudget) -> Self {
        Bootstrapper { budget, ..self }
    }

    /// The parameters.
    pub fn parameters(&self) -> &BootstrapParameters {
        &self.parameters
    }

    /// Bytes of the encoded transforms.
    pub fn bytes(&self) -> usize {
        self.coeffs_to_slots.bytes() + self.slots_to_coeffs.bytes()
    }

    /// The same slots, at the output level.
    ///
    /// Slots repeat with the period of the parameters, and their real and imaginary parts lie in [−1, 1]. Real slots
    /// lose their imaginary parts, which noise would make grow from one operation to the next.
    ///
    /// # Errors
    /// Missing keys, a ciphertext below the input level or of another key.
    pub fn bootstrap(&self, evaluator: &Evaluator, a: &Ciphertext, content: Content) -> Result<Ciphertext, CkksError> {
        let w = self.coefficients(evaluator, a)?;
        match (self.parameters.choice().order, content) {
            // The imaginary parts of the coefficients hold nothing but multiples of q(0).
            (Order::CoeffsFirst, Content::Real) => self.eval_mod.apply(evaluator, &twice_real(evaluator, &w)?),
            (Order::CoeffsFirst, Content::Complex) => self.reduced(evaluator, &w),
            (Order::CoeffsLast, Content::Real) => twice_real(evaluator, &self.half_slots(evaluator, &w)?),
            (Order::CoeffsLast, Content::Complex) => {
                let mut slots = self.half_slots(evaluator, &w)?;
                evaluator.double(&mut slots);
                Ok(slots)
            }
        }
    }

    /// Two ciphertexts of real slots in one bootstrap, as real and imaginary parts.
    ///
    /// # Errors
    /// As [`Bootstrapper::bootstrap`].
    pub fn bootstrap_pair(
        &self,
        evaluator: &Evaluator,
        [a, b]: [&Ciphertext; 2],
    ) -> Result<[Ciphertext; 2], CkksError> {
        let level = self.parameters.input_level();
        let (a, b) = (evaluator.adjust(a, level)?, evaluator.adjust(b, level)?);
        let joined = evaluator.add(&a, &times_i(evaluator, &b)?)?;
        let w = self.coefficients(evaluator, &joined)?;
        match self.parameters.choice().order {
            Order::CoeffsFirst => self.eval_mod.apply_both(evaluator, &twice_parts(evaluator, &w)?),
            Order::CoeffsLast => twice_parts(evaluator, &self.half_slots(evaluator, &w)?),
        }
    }

    /// Bootstrap, then bootstrap the error that this has made, enlarged by 2^`gain_bits`: the error of the result is
    /// smaller by as much, down to what the scale allows, for one level more (Bae, Cheon, Cho, Kim, Kim 2022).
    ///
    /// The error of one bootstrap must be at most 2^−`gain_bits`.
    ///
    /// # Errors
    /// As [`Bootstrapper::bootstrap`].
    pub fn bootstrap_twice(
        &self,
        evaluator: &Evaluator,
        a: &Ciphertext,
        content: Content,
        gain_bits: u32,
    ) -> Result<Ciphertext, CkksError> {
        let gain = f64::from(gain_bits.min(40)).exp2();
        let a = evaluator.adjust(a, self.parameters.input_level())?;
        let first = self.bootstrap(evaluator, &a, content)?;
        let error = evaluator.sub(&a, &evaluator.adjust(&first, a.level())?)?;
        let error = error.times_integer(evaluator, gain, error.scale());
        let second = self.bootstrap(evaluator, &error, content)?;
        let second = evaluator.rescale(&evaluator.mul_scalar(&second, 1.0 / gain)?)?;
        evaluator.add(&evaluator.adjust(&first, second.level())?, &second)
    }

    /// Eval-mod of real and imaginary parts.
    fn reduced(&self, evaluator: &Evaluator, w: &Ciphertext) -> Result<Ciphertext, CkksError> {
        let [re, im] = self.eval_mod.apply_both(evaluator, &twice_parts(evaluator, w)?)?;
        evaluator.add(&re, &times_i(evaluator, &im)?)
    }

    /// From coefficients to half of the slots.
    fn half_slots(&self, evaluator: &Evaluator, w: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.slots_of(evaluator, &self.reduced(evaluator, w)?)
    }

    /// Half of the coefficients of m + q(0)·I, in slots, at the level of eval-mod.
    fn coefficients(&self, evaluator: &Evaluator, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
        if evaluator.context().fingerprint() != self.context.fingerprint() {
            return Err(CkksError::WrongParameters);
        }
        let missing = CkksError::MissingKey { name: KeyName::Encapsulate };
        let keys = evaluator.keys.encapsulation().ok_or(missing)?;
        let mut x = evaluator.adjust(a, self.parameters.input_level())?;
        if self.parameters.choice().order == Order::CoeffsFirst {
            x = self.slots_of(evaluator, &x)?;
        } else {
            x = x.times_integer(evaluator, self.lift, x.scale());
        }
        // The automorphism permutes coefficients, so that it may come before the raise, where it costs least.
        let x = evaluator.rotate(&x, self.coeffs_to_slots.turn())?;
        let mut x = keys.raise(&self.context, &x)?;
        for rotation in trace_rotations(&self.parameters) {
            x = evaluator.add(&x, &evaluator.rotate(&x, rotation)?)?;
        }
        self.coeffs_to_slots.apply(evaluator, &x, self.budget)
    }

    fn slots_of(&self, evaluator: &Evaluator, x: &Ciphertext) -> Result<Ciphertext, CkksError> {
        let turned = evaluator.rotate(x, self.slots_to_coeffs.turn())?;
        self.slots_to_coeffs.apply(evaluator, &turned, self.budget)
    }
}

impl KeyRequest {
    /// Ask for everything that a bootstrap needs too.
    pub fn bootstrap(&mut self, parameters: &BootstrapParameters) {
        let (raised, eval) = (parameters.raised_level(), parameters.eval_mod_level());
        let [first, last] = [Shape::coeffs_to_slots(parameters), Shape::slots_to_coeffs(parameters)];
        first.request_keys(self);
        last.request_keys(self);
        self.rotation(last.turn(), parameters.slots_to_coeffs_level());
        self.rotation(first.turn(), Level(0));
        trace_rotations(parameters).for_each(|rotation| self.rotation(rotation, raised));
        self.relinearize = self.relinearize.max(Some(eval));
        self.conjugate = self.conjugate.max(Some(eval));
        self.encapsulate = Some(parameters.clone());
    }
}

/// Rotations that sum up to the trace into the ring of the slots that repeat.
fn trace_rotations(parameters: &BootstrapParameters) -> impl Iterator<Item = Rotation> {
    let (own, all) = (parameters.choice().slots.0, parameters.parameters().slots().0);
    std::iter::successors(Some(own), |r| Some(2 * r)).take_while(move |&r| r < all).map(|r| Rotation(r as u32))
}

/// a + conj(a).
fn twice_real(evaluator: &Evaluator, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
    evaluator.add(a, &evaluator.conjugate(a)?)
}

/// a + conj(a), and (a − conj(a))/i.
fn twice_parts(evaluator: &Evaluator, a: &Ciphertext) -> Result<[Ciphertext; 2], CkksError> {
    let conjugate = evaluator.conjugate(a)?;
    Ok([evaluator.add(a, &conjugate)?, times_i(evaluator, &evaluator.sub(&conjugate, a)?)?])
}

/// i·a: the product with X^(N/2), which is exact.
fn times_i(evaluator: &Evaluator, a: &Ciphertext) -> Result<Ciphertext, CkksError> {
    let context = evaluator.context();
    let i = vec![Complex { re: 0.0, im: 1.0 }; context.parameters().slots().0];
    evaluator.mul_plain(a, &Encoder::new(context).encode_complex(&i, a.level(), Scale(1.0))?)
}
