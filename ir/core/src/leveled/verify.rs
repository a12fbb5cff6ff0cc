//! Levels and scales of results: the evaluator "level and scale only", and the verifier built on it.

use super::{Circuit, Op, Scheme, Type, ValueId};
use crate::circuit::{Circuit as Slotwise, CircuitError, verify_client};
use crate::entity::Entity;
use crate::{ParametersError, Plain, Scale, Slots};
use std::collections::BTreeSet;
use std::fmt;

/// Why a leveled circuit is ill-formed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LeveledError {
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error(transparent)]
    Slots(#[from] CircuitError),
    #[error("input {0} has more than one node")]
    Input(u32),
    #[error("{value} = {op}: {reason}")]
    Type { value: ValueId, op: &'static str, reason: String },
    #[error("{value} is declared as {declared}, but it is {inferred}")]
    Declared { value: ValueId, declared: Type, inferred: Type },
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Type { count, level, scale, parts } = self;
        write!(f, "level {level}, scale 2^{:.3}, {parts} parts, {count} ciphertexts", libm::log2(scale.0))
    }
}

impl Op {
    /// Level, scale and parts of the result, given those of the arguments. `count` is the number of ciphertexts of an
    /// input, or of the outputs of a linear map.
    ///
    /// # Errors
    /// A reason in words.
    pub fn infer(self, args: &[Type], count: u32, scheme: &Scheme) -> Result<Type, String> {
        let parameters = scheme.parameters();
        if args.len() != self.arity() {
            return Err(format!("takes {} arguments, not {}", self.arity(), args.len()));
        }
        let canonical = |t: &Type| t.scale == parameters.scale(t.level);
        let squared = |t: &Type| t.scale == Scale(parameters.scale(t.level).0 * parameters.scale(t.level).0);
        let ensure = |ok: bool, reason: &str| if ok { Ok(()) } else { Err(reason.to_owned()) };
        if args.iter().any(|t| t.level > scheme.input_level()) {
            return Err("level above that of the inputs".to_owned());
        }
        let product = |t: &Type, parts: u8| {
            ensure(canonical(t) && t.parts == 2, "factors must be rescaled and relinearized")?;
            ensure(t.level.0 > 0, "no level is left for a product")?;
            Ok::<_, String>(Type { scale: Scale(t.scale.0 * t.scale.0), parts, ..*t })
        };
        match (self, args) {
            (Op::Input(_), []) => {
                let level = scheme.input_level();
                Ok(Type { count, level, scale: parameters.scale(level), parts: 2 })
            }
            (Op::Linear(_), [x]) => {
                ensure(canonical(x) && x.parts == 2, "the input must be rescaled and relinearized")?;
                let level = x.level.below().ok_or("no level is left for a linear map")?;
                Ok(Type { count, level, scale: parameters.scale(level), parts: 2 })
            }
            (Op::AddPlain(_) | Op::Negate, [x]) => Ok(*x),
            (Op::MulPlain(_), [x]) => product(x, 2),
            (Op::Square, [x]) => product(x, 3),
            (Op::Mul, [x, y]) => {
                ensure(x == y, "factors differ in level, scale or count")?;
                product(x, 3)
            }
            (Op::Add | Op::Sub, [x, y]) => {
                let same = x.level == y.level && x.scale == y.scale && x.count == y.count;
                ensure(same, "operands differ in level, scale or count")?;
                Ok(Type { parts: x.parts.max(y.parts), ..*x })
            }
            (Op::Rotate(r), [x]) => {
                ensure(x.parts == 2, "the input must be relinearized")?;
                ensure((r.0 as usize) < scheme.slots().0, "the rotation is not below the number of slots")?;
                Ok(*x)
            }
            (Op::Relinearize, [x]) => {
                ensure(x.parts == 3, "there is nothing to relinearize")?;
                Ok(Type { parts: 2, ..*x })
            }
            (Op::Rescale, [x]) => {
                ensure(squared(x), "the input is not a product at full scale")?;
                let level = x.level.below().ok_or("no level is left to rescale")?;
                Ok(Type { level, scale: parameters.scale(level), ..*x })
            }
            (Op::Adjust(level), [x]) => {
                ensure(canonical(x), "the input must be rescaled")?;
                ensure(level < x.level, "the target is not below the input's level")?;
                Ok(Type { level, scale: parameters.scale(level), ..*x })
            }
            (Op::Bootstrap(level), [x]) => {
                let bootstrap = scheme.bootstrap().ok_or("no bootstrap is chosen")?;
                let (from, to) = (bootstrap.input_level(), bootstrap.output_level());
                ensure(canonical(x) && x.parts == 2, "the input must be rescaled and relinearized")?;
                ensure(x.level == from, &format!("the input must be at level {from}"))?;
                ensure(level <= to, &format!("a bootstrap ends at level {to}"))?;
                Ok(Type { level, scale: parameters.scale(level), ..*x })
            }
            _ => Err("wrong number of arguments".to_owned()),
        }
    }
}

impl Circuit {
    /// Check parameters (security included), constants, levels, scales and outputs.
    ///
    /// # Errors
    /// The first reason found.
    pub fn verify(&self) -> Result<(), LeveledError> {
        let scheme = self.scheme()?;
        self.without_nodes(scheme.slots()).verify()?;
        let mut seen = BTreeSet::new();
        for (value, node) in self.nodes.iter() {
            let fail = |reason: String| LeveledError::Type { value, op: node.op.name(), reason };
            if let Some(late) = node.args.iter().find(|a| a.index() >= value.index()) {
                return Err(fail(format!("{late} is used before it is defined")));
            }
            if let Op::Input(i) = node.op
                && !seen.insert(i)
            {
                return Err(LeveledError::Input(i));
            }
            let inferred = self.infer(node.op, &node.args, &scheme).map_err(fail)?;
            if inferred != node.ty {
                return Err(LeveledError::Declared { value, declared: node.ty, inferred });
            }
        }
        for output in &self.outputs {
            let fail =
                |reason: &str| LeveledError::Type { value: output.value, op: "output", reason: reason.to_owned() };
            let node = self.nodes.get(output.value).ok_or_else(|| fail("not defined"))?;
            output.layout.verify().map_err(|e| fail(&e.to_string()))?;
            let fits = output.layout.slots == scheme.slots()
                && output.layout.ciphertexts() as u32 <= node.ty.count
                && node.ty.parts == 2;
            if !fits {
                return Err(fail("the layout does not fit the value, or the value is not relinearized"));
            }
            verify_client(&output.name, &output.layout, &output.client)?;
        }
        Ok(())
    }

    /// What is known of the result of `op` on `args`.
    ///
    /// # Errors
    /// A reason in words, when they do not fit.
    pub fn infer(&self, op: Op, args: &[ValueId], scheme: &Scheme) -> Result<Type, String> {
        let types: Vec<Type> = args
            .iter()
            .map(|&a| self.nodes.get(a).map(|n| n.ty).ok_or_else(|| format!("{a} is used before it is defined")))
            .collect::<Result<_, _>>()?;
        op.infer(&types, self.count_of(op, &types)?, scheme)
    }

    /// Ciphertexts in the result.
    fn count_of(&self, op: Op, args: &[Type]) -> Result<u32, String> {
        let first = args.first().map_or(0, |t| t.count);
        let same =
            |found: u32| if found == first { Ok(first) } else { Err(format!("{first} ciphertexts against {found}")) };
        match op {
            Op::Input(i) => {
                let input = self.inputs.get(i as usize).ok_or("no such input")?;
                Ok(input.layout.ciphertexts() as u32)
            }
            Op::Linear(map) => {
                let map = self.maps.get(map).ok_or("no such map")?;
                same(map.inputs).map(|_| map.outputs)
            }
            Op::AddPlain(plain) | Op::MulPlain(plain) => match self.plains.get(plain).ok_or("no such plaintext")? {
                Plain::Scalar(_) => Ok(first),
                Plain::Slots(vectors) => same(vectors.len() as u32),
            },
            _ => Ok(first),
        }
    }

    /// Constants and inputs alone, as a slot circuit, to check them by the same rules.
    fn without_nodes(&self, slots: Slots) -> Slotwise {
        let mut slotwise = Slotwise::new(self.name.clone(), slots);
        slotwise.inputs = self.inputs.clone();
        slotwise.maps = self.maps.clone();
        slotwise.plains = self.plains.clone();
        slotwise
    }
}
