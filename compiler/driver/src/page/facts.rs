//! What comes first: what the program is, how secure, what it takes, what to beware of.

use super::html::Html;
use crate::report::{Report, bytes};
use hec_ir::artifact::Manifest;
use hec_ir::tensor::Shape;

/// The top of the page.
pub(super) fn header(h: &mut Html, r: &Report, manifest: &Manifest) {
    h.element("header", &[], |h| {
        h.leaf("h1", &[], &r.network);
        let inputs = manifest.inputs.iter().map(|i| extents(&i.name, &i.shape));
        let outputs = manifest.outputs.iter().map(|o| extents(&o.name, &o.shape));
        let (inputs, outputs): (Vec<_>, Vec<_>) = (inputs.collect(), outputs.collect());
        let about = format!(
            "A program that computes on CKKS-encrypted data: {} to {}. The server that runs it sees neither.",
            inputs.join(", "),
            outputs.join(", ")
        );
        h.leaf("p", &[("class", "soft")], about);
        security(h, r);
        for warning in r.warnings.iter().filter(|w| !w.starts_with("INSECURE")) {
            h.leaf("p", &[("class", "warning")], warning);
        }
        h.element("dl", &[], |h| facts(h, r));
        client(h, r);
    });
}

fn extents(name: &str, shape: &Shape) -> String {
    let dims: Vec<String> = shape.dims().iter().map(usize::to_string).collect();
    format!("{name} [{}]", dims.join("×"))
}

fn security(h: &mut Html, r: &Report) {
    let line = r.security.to_string();
    if r.security.is_secure() {
        h.element("p", &[("class", "secure")], |h| {
            h.text(line);
            if let Some(b) = &r.bootstraps {
                h.text(format!(". {}", b.encapsulation));
            }
        });
    } else {
        h.element("p", &[("class", "insecure"), ("role", "alert")], |h| {
            h.leaf("strong", &[], "INSECURE");
            h.text("Toy parameters, below 128-bit security, for tests only. Do not encrypt anything that matters. ");
            h.text(line);
        });
    }
}

fn facts(h: &mut Html, r: &Report) {
    let p = &r.parameters;
    let mut fact = |title: &str, value: String, note: String| {
        h.element("div", &[], |h| {
            h.leaf("dt", &[], title);
            h.element("dd", &[], |h| {
                h.text(value);
                h.leaf("small", &[], note);
            });
        });
    };
    fact("Predicted time", seconds(r.seconds.1), format!("{} on one thread", seconds(r.seconds.0)));
    fact("Depth", format!("{} levels", r.depth.packed), format!("{} before rewriting", r.depth.before));
    match &r.bootstraps {
        Some(b) => fact("Bootstraps", b.count.to_string(), format!("level {} to {}, {} slots", b.from, b.to, b.slots)),
        None => fact("Bootstraps", "none".to_owned(), format!("parameters of {} levels", p.levels)),
    }
    fact("Ring", format!("N = 2^{}", p.log_n), format!("{} slots, scale 2^{:.0}", p.slots, p.log2_scale));
    if let Some(a) = &r.agreement {
        let note = format!("outputs within {:.1} % (rms)", 100.0 * a.relative_error);
        match a.classes {
            Some(share) => {
                fact("Same class", format!("{:.1} %", 100.0 * share), format!("of {} inputs; {note}", a.samples));
            }
            None => fact("Validation", format!("{} inputs", a.samples), note),
        }
    }
    fact("Noise", format!("2^{:.1}", r.log2_noise), "of the outputs' range".to_owned());
    fact("Evaluation keys", bytes(r.sizes.keys), format!("{} keys", r.sizes.key_count));
    fact("Request", bytes(r.sizes.request), "uploaded for one input".to_owned());
}

fn client(h: &mut Html, r: &Report) {
    let Some(c) = &r.client else { return };
    for (when, operations) in [("before encryption", &c.before), ("after decryption", &c.after)] {
        if !operations.is_empty() {
            h.leaf("p", &[("class", "soft")], format!("The client computes {when}: {}.", operations.join(", ")));
        }
    }
    h.leaf("p", &[("class", "soft")], format!("The client gets {} numbers of weights.", c.weights));
}

/// Seconds for people.
pub(super) fn seconds(s: f64) -> String {
    match s {
        s if s >= 100.0 => format!("{s:.0} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s => format!("{:.1} ms", 1000.0 * s),
    }
}
