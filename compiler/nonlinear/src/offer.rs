//! What each function could become, side by side in one graph: for a search that weighs levels against errors.

use crate::menu::Order;
use crate::sensitivity::{PredictedErrors, share};
use crate::{Choice, Fit};
use hec_ir::entity::EntityVec;
use hec_ir::tensor::{Graph, Node, ShapeError, ValueId};

/// A polynomial network in which other polynomials may be taken instead of some values.
///
/// Each function is the most precise of its candidates, which costs no error; the others cost what they are off more.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The network, the other candidates among its values.
    pub graph: Graph,
    /// The most precise choice of each layer that has others.
    pub precise: Vec<(String, Choice)>,
    /// What may be taken instead.
    pub candidates: Vec<Offered>,
    /// The error of the network that was built, in the same measure.
    pub built: f64,
}

/// A polynomial that may be taken instead of a more precise one.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// The layer.
    pub layer: String,
    /// Family and degree.
    pub choice: Choice,
    /// The value of the most precise polynomial.
    pub value: ValueId,
    /// The value of this one.
    pub instead: ValueId,
    /// What it adds to the error of the outputs, in a measure that is summed over the layers: a power of the relative error,
    /// as errors of layers are neither independent nor all alike.
    pub error: f64,
}

/// A function with all its fits, what was taken first.
pub(crate) struct Fitted<'a> {
    pub order: &'a Order,
    pub others: Vec<Fit>,
}

impl Offer {
    /// Of a network that was built; functions for which `is_open` is false stay as they are. `None` where nothing is left
    /// to choose.
    ///
    /// # Errors
    /// When a candidate does not fit its place.
    pub(crate) fn new(
        built: &Graph,
        functions: &[Fitted<'_>],
        errors: &PredictedErrors,
        is_open: impl Fn(&str) -> bool,
    ) -> Result<Option<Self>, ShapeError> {
        let mut graph = Graph { nodes: EntityVec::new(), outputs: Vec::new(), ..built.clone() };
        let mut offer = Offer { graph: Graph::default(), precise: Vec::new(), candidates: Vec::new(), built: 0.0 };
        let mut mapped: EntityVec<ValueId, ValueId> = EntityVec::new();
        for (id, node) in built.nodes.iter() {
            let args = node.args.iter().map(|&a| mapped[a]).collect();
            let mut new = graph.nodes.push(Node { args, ..node.clone() });
            let here = functions.iter().find(|f| f.order.place.is_some_and(|(_, value)| value == id));
            let adds = |f: &Fitted<'_>| errors.layers.iter().find(|e| e.layer == f.order.layer).map(|e| e.adds);
            if let Some(function) = here.filter(|f| is_open(&f.order.layer))
                && let (Some(adds), Some((argument, _))) = (adds(function), function.order.place)
            {
                let place = (mapped[argument], new);
                new = offer.add(&mut graph, function, adds, place, node)?;
            }
            mapped.push(new);
        }
        graph.outputs = built.outputs.clone();
        graph.outputs.iter_mut().for_each(|o| o.value = mapped[o.value]);
        offer.graph = graph;
        Ok((!offer.candidates.is_empty()).then_some(offer))
    }

    /// The candidates of one function; gives the most precise one's value.
    fn add(
        &mut self,
        graph: &mut Graph,
        function: &Fitted<'_>,
        adds: f64,
        (x, taken): (ValueId, ValueId),
        node: &Node,
    ) -> Result<ValueId, ShapeError> {
        let own = &function.order.fit;
        // What an error of one of the function's values makes at the outputs.
        let gain = adds / own.errors.relative;
        if !(gain.is_finite() && gain > 0.0) {
            return Ok(taken);
        }
        let mut fits: Vec<(&Fit, ValueId)> = vec![(own, taken)];
        for fit in precise(function) {
            fits.push((fit, fit.formula.emit(graph, x, &fit.groups, &node.origin)?));
        }
        let error = |fit: &Fit| share(gain * fit.errors.relative);
        let best = fits.iter().map(|(fit, _)| error(fit)).fold(f64::INFINITY, f64::min);
        let Some(&(precise, value)) = fits.iter().find(|(fit, _)| error(fit) == best) else { return Ok(taken) };
        self.precise.push((function.order.layer.clone(), precise.choice));
        self.built += error(own) - best;
        self.candidates.extend(fits.into_iter().filter(|(_, instead)| *instead != value).map(|(fit, instead)| {
            Offered {
                layer: function.order.layer.clone(),
                choice: fit.choice,
                value,
                instead,
                error: error(fit) - best,
            }
        }));
        Ok(value)
    }
}

/// Of the other fits those that are more precise than all that cost less.
fn precise<'a>(function: &'a Fitted<'_>) -> Vec<&'a Fit> {
    let own = &function.order.fit;
    let cost = |fit: &Fit| (fit.formula.depth(), fit.formula.products());
    let mut all: Vec<&Fit> = function.others.iter().collect();
    all.sort_by(|a, b| cost(a).cmp(&cost(b)).then(a.errors.relative.total_cmp(&b.errors.relative)));
    let mut kept: Vec<&Fit> = Vec::new();
    for fit in all {
        let is_better = |other: &Fit| fit.errors.relative < other.errors.relative;
        if kept.last().is_none_or(|last| is_better(last)) && (cost(fit) < cost(own) || is_better(own)) {
            kept.push(fit);
        }
    }
    kept
}
