//! Which replacement each function gets where the user pins nothing.

use crate::Choice;
use std::collections::BTreeMap;

/// A choice for all functions, and others for some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    default: Choice,
    layers: BTreeMap<String, Choice>,
}

impl Assignment {
    /// The same choice everywhere.
    pub fn uniform(default: Choice) -> Self {
        Assignment { default, layers: BTreeMap::new() }
    }

    /// With another choice for some layers.
    pub fn with<'a>(mut self, layers: impl IntoIterator<Item = &'a str>, choice: Choice) -> Self {
        self.layers.extend(layers.into_iter().map(|layer| (layer.to_owned(), choice)));
        self
    }

    /// The choice where nothing else is said.
    pub fn default_choice(&self) -> Choice {
        self.default
    }

    /// The choice for a layer.
    pub fn of(&self, layer: &str) -> Choice {
        self.layers.get(layer).copied().unwrap_or(self.default)
    }
}
