//! The same tokens as llama.cpp: free-running where the reference agrees with itself,
//! teacher-forced everywhere.

mod support;

use std::sync::Arc;

use rayon::prelude::*;
use sharpi_compile::Model;
use sharpi_compile::parity::{Capture, Compared, Mode, Outcome, ParityOptions, Verdict, compare};
use support::captured_models;

/// Every capture with what came of it; none is skipped.
fn compared(model: &Model, captures: &[Capture], mode: Mode) -> Vec<(Verdict, Compared)> {
    let options = ParityOptions {
        mode,
        cache_type: None,
        widths: Vec::new(),
        threads: 1,
        cancel: Arc::default(),
    };
    let outcomes = compare(model, captures, &options, &mut || ()).expect("a comparison");
    let outcome = |outcome: Outcome| match (outcome.verdict(), outcome) {
        (verdict, Outcome::Compared(compared)) => (verdict, *compared),
        (_, skipped) => panic!("{skipped:?}"),
    };
    outcomes.into_iter().map(outcome).collect()
}

/// Compares the captures that `wanted` names; how many, their ids, and those that differ though
/// nothing excuses it.
fn tally(mode: Mode, wanted: fn(&Capture) -> bool) -> (usize, usize, Vec<String>) {
    let (mut captures, mut ids, mut failures) = (0, 0, Vec::new());
    let compare = |(name, model, mut entries): (String, Model, Vec<Capture>)| {
        entries.retain(wanted);
        let outcomes = compared(&model, &entries, mode);
        (name, entries, outcomes)
    };
    let models: Vec<_> = captured_models().into_par_iter().map(compare).collect();
    for (name, entries, outcomes) in models {
        let mut rounds = (0, 0);
        let (mut places, mut expected_places) = (Vec::new(), Vec::new());
        for (capture, (verdict, compared)) in entries.iter().zip(outcomes) {
            let at = format!("{name} {} {:?}", capture.cache_type.name(), capture.prompt);
            for difference in &compared.differences {
                println!("{at}: {difference:?}");
            }
            if let Some(largest) = compared.largest_logit_difference {
                println!("{at}: largest difference of a top-five logit {largest}");
            }
            if let Some(compared) = &compared.rounds {
                let same = compared.same;
                rounds = (rounds.0 + same, rounds.1 + compared.expected);
                add(&mut places, &compared.places);
                add(&mut expected_places, &compared.expected_places);
                if let Some(fork) = &compared.fork {
                    println!(
                        "{at} n-max {}: {same} rounds, then {fork:?}",
                        capture.n_draft_max
                    );
                }
            }
            captures += 1;
            ids += compared.ids;
            if verdict == Verdict::Differs {
                let difference = compared.first_difference();
                failures.push(format!("{at}: {difference:?}, {:?}", compared.rounds));
            }
        }
        if rounds.1 > 0 {
            println!("{name}: {} of {} rounds the same", rounds.0, rounds.1);
            println!(
                "{name}: (drafted, accepted) by place {places:?}, {expected_places:?} in the reference"
            );
        }
    }
    println!("{captures} captures, {ids} ids");
    (captures, ids, failures)
}

/// Adds what was drafted and accepted at each place.
fn add(to: &mut Vec<(usize, usize)>, places: &[(usize, usize)]) {
    to.resize(to.len().max(places.len()), (0, 0));
    for (to, place) in to.iter_mut().zip(places) {
        *to = (to.0 + place.0, to.1 + place.1);
    }
}

#[test]
fn stable_captures_are_generated_id_by_id() {
    let (captures, ids, failures) = tally(Mode::Free, |c| c.n_draft_max == 0 && c.stable);
    assert!(
        captures >= 100 && ids >= 60 * captures,
        "{captures} captures, {ids} ids"
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn teacher_forced_choices_differ_only_where_the_reference_hesitates() {
    let (captures, ids, failures) = tally(Mode::Forced, |c| !c.top5.is_empty());
    assert!(
        captures >= 100 && ids >= 60 * captures,
        "{captures} captures, {ids} ids"
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn drafts_are_the_reference_s_round_by_round_and_so_are_the_ids() {
    let (captures, ids, failures) = tally(Mode::Free, |c| c.n_draft_max > 0 && c.stable);
    assert!(
        captures >= 140 && ids >= 60 * captures,
        "{captures} captures, {ids} ids"
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Where all products are of integers, little is left for the order of sums to decide.
#[test]
fn drafts_of_models_in_q8_0_are_the_reference_s_too() {
    let mut rounds = 0;
    for (name, model, mut captures) in captured_models() {
        captures.retain(|c| name.ends_with("-Q8_0") && c.n_draft_max > 0 && c.stable);
        for (_, compared) in compared(&model, &captures, Mode::Free) {
            let compared = compared.rounds.expect("rounds");
            assert_eq!(compared.same, compared.expected, "{name}");
            rounds += compared.same;
        }
    }
    assert!(rounds >= 1900, "{rounds} rounds");
}
