//! Searches for bootstraps.

use hec_params::{BootstrapLiteral, Depth, LogN, Slots};

#[test]
fn searches_of_other_levels_share_what_is_precise() {
    let literal = BootstrapLiteral::new(LogN(16), Slots(1 << 12), 17.0, Depth(0));
    let precise = literal.precise();
    for levels in [3, 9] {
        let literal = BootstrapLiteral { levels: Depth(levels), ..literal.clone() };
        let found = literal.search_among(&precise).expect("fits");
        assert_eq!(found.choice().levels, Depth(levels));
        assert_eq!(literal.search(), Ok(found));
    }
}
