//! What there is to know of a program's bootstraps, in the words of the compiler's report.

use hec_ir::leveled::Scheme;
use hec_ir::program::{Op, Program};
use hec_params::BootstrapParameters;
use serde::Serialize;

/// The bootstraps of a program.
#[derive(Serialize)]
pub struct Bootstraps {
    /// Ciphertexts that are bootstrapped, where the program is known.
    count: Option<usize>,
    /// Slots that each holds.
    slots: usize,
    /// The level at which each starts.
    from: u32,
    /// The level at which each ends.
    to: u32,
    /// log2 of the predicted mean error of one, for slots in [-1, 1].
    log2_error: f64,
    /// log2 of the probability that one fails, at most.
    log2_failure_of_one: f64,
    /// log2 of the probability that any of them fails, at most.
    log2_failure: Option<f64>,
    /// What the security of the sparse secret rests on.
    encapsulation: String,
}

impl Bootstraps {
    /// Of a program; `None` if it has none.
    pub fn of(program: &Program, scheme: &Scheme) -> Option<Self> {
        let lifted = program.instructions.iter().filter(|i| matches!(i.op, Op::Bootstrap(_)));
        let count = lifted.map(|i| i.ty.count as usize).sum();
        let parameters = scheme.bootstrap().filter(|_| count > 0)?;
        let log2_failure = parameters.log2_failure() + (count as f64).log2();
        Some(Bootstraps { count: Some(count), log2_failure: Some(log2_failure), ..Self::each(parameters) })
    }

    /// Of a program of which only the parameters are known.
    pub fn each(parameters: &BootstrapParameters) -> Self {
        Bootstraps {
            count: None,
            slots: parameters.choice().slots.0,
            from: parameters.input_level().0,
            to: parameters.output_level().0,
            log2_error: -parameters.error().bits(),
            log2_failure_of_one: parameters.log2_failure(),
            log2_failure: None,
            encapsulation: parameters.encapsulation_report().to_string(),
        }
    }

    /// What they do, and how they may fail.
    pub fn describe(&self) -> String {
        let Bootstraps { slots, from, to, log2_error, log2_failure_of_one, .. } = self;
        let count = self.count.map_or(String::new(), |count| format!("{count} of "));
        let any = self.log2_failure.map_or(String::new(), |any| format!(", any of them with 2^{any:.0}"));
        format!(
            "{count}{slots} slots, level {from} → {to}, error 2^{log2_error:.1}, each fails with probability at most \
             2^{log2_failure_of_one:.0}{any}"
        )
    }

    /// The security of the sparse secret.
    pub fn encapsulation(&self) -> &str {
        &self.encapsulation
    }
}
