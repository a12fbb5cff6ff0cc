//! What levels and scales follow from.

use crate::{Batch, Level, Parameters, ParametersError, ParametersLiteral, Slots};
use hec_params::{BootstrapChoice, BootstrapParameters};

/// Checked parameters, the bootstrap of a program that has one, and how many inputs share a ciphertext.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheme {
    parameters: Parameters,
    bootstrap: Option<BootstrapParameters>,
    batch: Batch,
}

impl Scheme {
    /// Check the parameters, security included, that they are those of the bootstrap, and that the slots hold the batch.
    ///
    /// # Errors
    /// What is wrong with any of them.
    pub fn check(
        parameters: &ParametersLiteral,
        bootstrap: Option<&BootstrapChoice>,
        batch: Batch,
    ) -> Result<Self, ParametersError> {
        let scheme = Scheme {
            parameters: Parameters::check(parameters.clone())?,
            bootstrap: bootstrap.cloned().map(BootstrapParameters::check).transpose()?,
            batch,
        };
        let slots = scheme.ciphertext_slots();
        if !batch.0.is_power_of_two() || batch.0 > slots.0 {
            return Err(ParametersError::Batch { batch: batch.0, slots: slots.0 });
        }
        match &scheme.bootstrap {
            Some(own) if *own.parameters() != scheme.parameters => {
                Err(ParametersError::Bootstrap("the parameters are not those that the choice makes"))
            }
            _ => Ok(scheme),
        }
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The bootstrap, if there is one.
    pub fn bootstrap(&self) -> Option<&BootstrapParameters> {
        self.bootstrap.as_ref()
    }

    /// How many inputs share a ciphertext.
    pub fn batch(&self) -> Batch {
        self.batch
    }

    /// The slots of a value: those of a ciphertext that are one input's.
    pub fn slots(&self) -> Slots {
        self.ciphertext_slots().shared_by(self.batch)
    }

    /// The slots of all inputs: all of the ring, or as many as a bootstrap keeps. These repeat in a ciphertext, so that they
    /// rotate as if there were no others.
    fn ciphertext_slots(&self) -> Slots {
        self.bootstrap.as_ref().map_or(self.parameters.slots(), |b| b.choice().slots)
    }

    /// The same for so many inputs, a power of two that the slots hold.
    pub fn with_batch(self, batch: Batch) -> Self {
        Scheme { batch, ..self }
    }

    /// The level of a fresh ciphertext: the highest that is the program's. Levels above it are those of a bootstrap.
    pub fn input_level(&self) -> Level {
        self.bootstrap.as_ref().map_or(self.parameters.top_level(), BootstrapParameters::output_level)
    }
}

impl From<Parameters> for Scheme {
    fn from(parameters: Parameters) -> Self {
        Scheme { parameters, bootstrap: None, batch: Batch::ONE }
    }
}

impl From<BootstrapParameters> for Scheme {
    fn from(bootstrap: BootstrapParameters) -> Self {
        Scheme { parameters: bootstrap.parameters().clone(), bootstrap: Some(bootstrap), batch: Batch::ONE }
    }
}
