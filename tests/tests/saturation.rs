//! What equality saturation saves on the models that come with the project. A change that moves a figure moves a snapshot.
#![allow(clippy::unwrap_used, reason = "a test panics when it fails")]

use hec::{How, pipeline};
use hec_tests::{Model, Saved};

/// The table of one example. It is never worse with rewriting.
fn saved(name: &str, change: impl FnOnce(How) -> How) -> String {
    let model = Model::examples().into_iter().find(|m| m.name == name).unwrap();
    let how = change(model.how);
    let saved = Saved::of(&pipeline::import(&model.network, &how).unwrap(), &how).unwrap();
    let (before, after) = (&saved.before, &saved.after);
    assert!(after.depth <= before.depth && after.seconds <= before.seconds, "{name}: {saved}");
    format!("{}\n{saved}", Saved::heading())
}

#[test]
fn digits_take_five_levels_instead_of_nine() {
    insta::assert_snapshot!(saved("digits", |how| how));
}

/// Nothing but products with weights and squares: there is nothing to save.
#[test]
fn a_deep_network_stays_as_it_is() {
    insta::assert_snapshot!(saved("deep", |how| How { ring: Some(15), ..how }));
}
