//! What levels and scales follow from.

use crate::{Level, Parameters, ParametersError, ParametersLiteral, Slots};
use hec_params::{BootstrapChoice, BootstrapParameters};

/// Checked parameters, and the bootstrap of a program that has one.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheme {
    parameters: Parameters,
    bootstrap: Option<BootstrapParameters>,
}

impl Scheme {
    /// Check the parameters, security included, and that they are those of the bootstrap.
    ///
    /// # Errors
    /// What is wrong with either.
    pub fn check(parameters: &ParametersLiteral, bootstrap: Option<&BootstrapChoice>) -> Result<Self, ParametersError> {
        let scheme = Scheme {
            parameters: Parameters::check(parameters.clone())?,
            bootstrap: bootstrap.cloned().map(BootstrapParameters::check).transpose()?,
        };
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

    /// The slots of a value: all of the ring, or as many as a bootstrap keeps. These repeat in a ciphertext, so that they
    /// rotate as if there were no others.
    pub fn slots(&self) -> Slots {
        self.bootstrap.as_ref().map_or(self.parameters.slots(), |b| b.choice().slots)
    }

    /// The level of a fresh ciphertext: the highest that is the program's. Levels above it are those of a bootstrap.
    pub fn input_level(&self) -> Level {
        self.bootstrap.as_ref().map_or(self.parameters.top_level(), BootstrapParameters::output_level)
    }
}

impl From<Parameters> for Scheme {
    fn from(parameters: Parameters) -> Self {
        Scheme { parameters, bootstrap: None }
    }
}

impl From<BootstrapParameters> for Scheme {
    fn from(bootstrap: BootstrapParameters) -> Self {
        Scheme { parameters: bootstrap.parameters().clone(), bootstrap: Some(bootstrap) }
    }
}
