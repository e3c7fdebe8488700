use proptest::prelude::*;

use super::*;

fn options() -> SamplerOptions {
    SamplerOptions::default()
        .temp(1.0)
        .top_k(0)
        .top_p(1.0)
        .min_p(0.0)
}

fn pick(options: SamplerOptions, logits: &[f32]) -> Option<u32> {
    Sampler::new(options).pick(&mut logits.to_vec(), 0)
}

fn logits() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-30f32..30.0, 1..40)
}

proptest! {
    #[test]
    fn the_best_of_one_is_the_greedy_choice(logits in logits(), seed: u64) {
        let greedy = pick(SamplerOptions::default(), &logits);
        prop_assert!(greedy.is_some());
        prop_assert_eq!(pick(options().top_k(1).seed(seed), &logits), greedy);
    }

    #[test]
    fn a_seed_fixes_the_choices(logits in logits(), seed: u64) {
        let choices = || {
            let mut sampler = Sampler::new(options().seed(seed));
            (0..8).map(|at| sampler.pick(&mut logits.clone(), at)).collect::<Vec<_>>()
        };
        prop_assert_eq!(choices(), choices());
    }

    #[test]
    fn some_token_is_left_however_strict_the_filters(
        logits in logits(), top_p in 0f32..=1.0, min_p in 0f32..=1.0, temp in 0.01f32..3.0,
    ) {
        let strict = options().temp(temp).top_p(top_p).min_p(min_p);
        prop_assert!(pick(strict, &logits).is_some());
        let strictest = options().top_p(0.0);
        prop_assert_eq!(pick(strictest, &logits), pick(SamplerOptions::default(), &logits));
    }
}

/// How often each id is drawn, per thousand.
fn frequencies(options: SamplerOptions, logits: &[f32]) -> Vec<i32> {
    let mut sampler = Sampler::new(options);
    let mut counts = vec![0; logits.len()];
    for at in 0..20_000 {
        counts[sampler.pick(&mut logits.to_vec(), at).unwrap() as usize] += 1;
    }
    counts.iter().map(|n| n / 20).collect()
}

fn assert_near(found: Vec<i32>, expected: [i32; 4]) {
    let near = found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= 15);
    assert!(near, "found {found:?}, expected {expected:?}");
}

#[test]
fn tokens_are_drawn_as_often_as_they_are_likely() {
    let logits = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
    assert_near(frequencies(options(), &logits), [400, 300, 200, 100]);
    let two = options().top_k(2);
    assert_near(frequencies(two, &logits), [571, 429, 0, 0]);
    let most = options().top_p(0.69);
    assert_near(frequencies(most, &logits), [571, 429, 0, 0]);
    let half = options().min_p(0.45);
    assert_near(frequencies(half, &logits), [444, 333, 222, 0]);
    let hot = options().temp(1e6);
    assert_near(frequencies(hot, &logits), [250, 250, 250, 250]);
}

#[test]
fn a_recent_token_is_less_likely_until_it_is_forgotten() {
    let options = SamplerOptions::default()
        .repeat_penalty(2.0)
        .repeat_last_n(2);
    let mut sampler = Sampler::new(options);
    let mut pick = |accepted| {
        sampler.accept(accepted);
        sampler.pick(&mut [3.0, 2.0, -1.0], 0)
    };
    assert_eq!(pick(0), Some(1));
    assert_eq!(pick(2), Some(1));
    assert_eq!(pick(2), Some(0));
}

#[test]
fn what_is_present_or_frequent_loses_and_a_bias_wins_or_excludes() {
    let chosen = |options: SamplerOptions, seen: &[u32]| {
        let mut sampler = Sampler::new(options);
        seen.iter().for_each(|id| sampler.accept(*id));
        sampler.pick(&mut [3.0, 2.5, -1.0], 0)
    };
    let options = SamplerOptions::default;
    assert_eq!(chosen(options().presence_penalty(0.6), &[0, 0, 0]), Some(1));
    assert_eq!(chosen(options().presence_penalty(0.4), &[0, 0, 0]), Some(0));
    assert_eq!(
        chosen(options().frequency_penalty(0.2), &[0, 0, 0]),
        Some(1)
    );
    assert_eq!(chosen(options().frequency_penalty(0.2), &[0, 0]), Some(0));
    let bias = |id, x| options().logit_bias(vec![(id, x), (99, 1.0)]);
    assert_eq!(chosen(bias(2, 5.0), &[]), Some(2));
    assert_eq!(chosen(bias(0, f32::NEG_INFINITY), &[]), Some(1));
}

#[test]
fn an_excluded_token_is_never_chosen() {
    let only = [f32::NEG_INFINITY, f32::NAN, -5.0];
    assert_eq!(pick(SamplerOptions::default(), &only), Some(2));
    assert_eq!(pick(options(), &only), Some(2));
    let none = [f32::NEG_INFINITY, f32::NAN];
    assert_eq!(pick(SamplerOptions::default(), &none), None);
    assert_eq!(pick(options(), &none), None);
}

#[test]
fn a_drafter_that_sees_the_same_logits_draws_the_same_and_one_that_sees_others_often_does() {
    let target = [1.5f32, 0.3, -0.4, 2.0, 1.9, -3.0, 0.0, 0.9];
    let near = target.map(|x| 0.95 * x + 0.05);
    let filters = [
        SamplerOptions::default(),
        options(),
        options().temp(0.7).top_k(4),
        options().top_p(0.8),
        options().temp(1.6).min_p(0.2),
    ];
    for filter in filters {
        let mut sampler = Sampler::new(filter.clone().seed(11));
        let mut same = |drafter: &[f32]| {
            let hits = (0..1000).filter(|at| {
                let proposal = sampler.propose(drafter, None, *at).expect("a proposal");
                Some(proposal.id) == sampler.pick(&mut target.clone(), *at)
            });
            hits.count()
        };
        assert_eq!(same(&target), 1000, "{filter:?}");
        assert!(same(&near) > 900, "{filter:?}");
    }
}

#[test]
fn the_probability_of_a_proposal_is_that_of_the_best_among_ten() {
    let mut logits = vec![0.0f32; 40];
    logits[7] = f32::ln(9.0);
    let proposal = Sampler::new(options().temp(0.0)).propose(&logits, None, 0);
    let Proposal { id, p } = proposal.expect("a proposal");
    assert_eq!(id, 7);
    assert!((p - 0.5).abs() < 1e-6, "{p}");
}
