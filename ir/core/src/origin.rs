//! Where a value comes from.

/// The ONNX nodes that a value stands for, and what the compiler did with them. Carried through all four levels, so
/// that a report or an error at any level names the user's layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Names of the source nodes, in the order of the model. The first one names the layer in reports.
    pub nodes: Vec<String>,
    /// What was done, for people: `kernel degree 2, rms 2^-4.1`. Empty when nothing was.
    pub note: String,
}

impl Origin {
    /// From one node.
    pub fn node(name: impl Into<String>) -> Self {
        Origin { nodes: vec![name.into()], note: String::new() }
    }

    /// The same nodes with a note.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Both origins, without repeating a node; notes are joined by `; `.
    pub fn merge(&self, other: &Origin) -> Origin {
        let mut merged = self.clone();
        for node in &other.nodes {
            if !merged.nodes.contains(node) {
                merged.nodes.push(node.clone());
            }
        }
        if !other.note.is_empty() && other.note != merged.note {
            if !merged.note.is_empty() {
                merged.note.push_str("; ");
            }
            merged.note.push_str(&other.note);
        }
        merged
    }

    /// The layer's name for reports and errors.
    pub fn layer(&self) -> &str {
        self.nodes.first().map_or("(compiler)", String::as_str)
    }
}
