//! Keys, memory, parameters; and the linear layers that were re-fitted.

use super::html::Html;
use super::table::{self, Heading, cell, name, words};
use crate::report::{Report, bytes};
use hec_nonlinear::Method;

/// The section.
pub(super) fn section(h: &mut Html, r: &Report) {
    let about = "What the server holds while it evaluates one request, and what the client uploads.";
    super::section(h, "sizes", "Keys, memory and parameters", about, |h| {
        let (s, p) = (&r.sizes, &r.parameters);
        let digits = format!("{} special primes, digits of {} primes", p.special, p.digit_size);
        let shared = if p.batch.is_one() { String::new() } else { format!(", which {} inputs share", p.batch.0) };
        let mut rows = vec![
            ("evaluation keys, in memory", bytes(s.keys), format!("{} keys, made once by the client", s.key_count)),
            ("request", bytes(s.request), "encrypted input, uploaded each time".to_owned()),
            ("ciphertexts at once", bytes(s.ciphertexts), "most that live at one time".to_owned()),
            ("constants", bytes(s.constants), "weights as they are stored".to_owned()),
            ("memory", bytes(s.peak), "predicted, for all of it".to_owned()),
            ("evaluation keys, in a file", bytes(s.stored_keys), "uploaded once".to_owned()),
            ("ring", format!("N = 2^{}", p.log_n), format!("{} slots a ciphertext{shared}", p.slots)),
            ("levels", p.levels.to_string(), format!("scale 2^{:.1}, base 2^{:.1}", p.log2_scale, p.log2_base)),
            ("key switching", r.total.key_switches.to_string(), digits),
        ];
        if let Some(b) = &r.bootstraps {
            let slots = format!("of {} slots, level {} to {}", b.slots, b.from, b.to);
            rows.push(("bootstraps", b.count.to_string(), slots));
            rows.push(("their mean error", format!("2^{:.1}", b.log2_error), "of slots in [−1, 1]".to_owned()));
            let chance = "at most, that any of them fails".to_owned();
            rows.push(("their failure", format!("2^{:.0}", b.log2_failure), chance));
        }
        let columns = [Heading::Word("what"), Heading::Number("size"), Heading::Word("which is")];
        table::table(h, "Keys, memory and parameters", &columns, |h| {
            table::body(h, |h| {
                for (what, size, about) in &rows {
                    h.element("tr", &[], |h| {
                        name(h, what, "");
                        cell(h, size);
                        words(h, about);
                    });
                }
            });
        });
    });
}

/// Linear layers that were re-fitted.
pub(super) fn corrections(h: &mut Html, r: &Report) {
    if r.corrections.is_empty() {
        return;
    }
    let about = "Linear layers after polynomials, re-fitted to give what the original network gives there. Errors are rms on \
                 the validation inputs, relative to the layer's values.";
    super::section(h, "corrections", "Linear layers re-fitted", about, |h| {
        let columns =
            [Heading::Word("layer"), Heading::Number("before"), Heading::Number("after"), Heading::Word("how")];
        table::table(h, "Corrections", &columns, |h| {
            table::body(h, |h| {
                for c in &r.corrections {
                    h.element("tr", &[], |h| {
                        name(h, &c.layer, "");
                        cell(h, format!("{:.2} %", 100.0 * c.before));
                        cell(h, format!("{:.2} %", 100.0 * c.after));
                        words(
                            h,
                            match c.method {
                                Method::None => "as it was".to_owned(),
                                Method::Bias => "new bias".to_owned(),
                                Method::Ridge(penalty) => format!("ridge regression, penalty {penalty}"),
                            },
                        );
                    });
                }
            });
        });
    });
}
