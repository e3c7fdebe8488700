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
    Sampler::new(options).pick(&mut logits.to_vec())
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
            (0..8).map(|_| sampler.pick(&mut logits.clone())).collect::<Vec<_>>()
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
    for _ in 0..20_000 {
        counts[sampler.pick(&mut logits.to_vec()).unwrap() as usize] += 1;
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
        sampler.pick(&mut [3.0, 2.0, -1.0])
    };
    assert_eq!(pick(0), Some(1));
    assert_eq!(pick(2), Some(1));
    assert_eq!(pick(2), Some(0));
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

/// Whether counts are as likely as they are with these probabilities: Pearson's χ², at a level
/// that one correct sampler in a thousand misses.
fn assert_distributed(counts: &[usize], odds: &[(u32, f64)]) {
    let total: usize = counts.iter().sum();
    let mut chi2 = 0.0;
    for (id, count) in counts.iter().enumerate() {
        let p = odds.iter().find(|(i, _)| *i as usize == id);
        match p.map_or(0.0, |(_, p)| *p) {
            0.0 => assert_eq!(*count, 0, "id {id} has no chance"),
            p => chi2 += (*count as f64 - p * total as f64).powi(2) / (p * total as f64),
        }
    }
    // 99.9 % quantiles of χ² with 1 to 7 degrees of freedom.
    let limits = [10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32];
    assert!(
        chi2 < limits[odds.len() - 2],
        "χ² {chi2}: {counts:?}, {odds:?}"
    );
}

#[test]
fn a_draft_changes_no_probability_whatever_drafts_and_however_it_is_filtered() {
    let target = [1.5f32, 0.3, -0.4, 2.0, 1.9, -3.0, 0.0, 0.9];
    let drafters: [[f32; 8]; 4] = [
        target,
        [0.0; 8],
        [-3.0, 2.0, 2.5, -1.0, 0.5, 3.0, 0.0, -9.0],
        // Never proposes what the target likes best.
        [
            0.0,
            1.0,
            1.0,
            f32::NEG_INFINITY,
            f32::NEG_INFINITY,
            1.0,
            1.0,
            1.0,
        ],
    ];
    let filters = [
        options(),
        options().temp(0.7).top_k(4),
        options().top_p(0.8),
        options().temp(1.6).min_p(0.2),
    ];
    for filter in filters {
        for drafter in drafters {
            let mut sampler = Sampler::new(filter.clone().seed(11));
            let (mut counts, mut accepted) = ([0; 8], 0);
            for _ in 0..40_000 {
                let proposal = sampler.propose(&drafter).expect("a proposal");
                let verdict = sampler.verify(&mut target.clone(), Some(&proposal));
                let verdict = verdict.expect("a token");
                counts[verdict.id() as usize] += 1;
                accepted += usize::from(matches!(verdict, Verdict::Accepted(_)));
            }
            assert_distributed(&counts, &sampler.odds(&target));
            let same = drafter == target && filter == options();
            assert_eq!(accepted == 40_000, same, "{accepted} accepted");
        }
    }
}

#[test]
fn a_certain_draft_is_accepted_as_often_as_its_token_is_likely() {
    let target = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
    for draft in 0..5 {
        let mut sampler = Sampler::new(options());
        let (mut counts, mut accepted) = ([0; 4], 0i32);
        for _ in 0..40_000 {
            let proposal = Proposal::certain(draft);
            let verdict = sampler.verify(&mut target.clone(), Some(&proposal));
            let verdict = verdict.expect("a token");
            counts[verdict.id() as usize] += 1;
            accepted += i32::from(verdict == Verdict::Accepted(draft));
        }
        assert_distributed(&counts, &sampler.odds(&target));
        let expected = [16_000, 12_000, 8_000, 4_000, 0][draft as usize];
        assert!((accepted - expected).abs() < 500, "{accepted} of {draft}");
    }
}

#[test]
fn without_temperature_only_the_best_token_is_accepted() {
    let mut sampler = Sampler::new(SamplerOptions::default());
    let mut verdict = |draft| {
        let proposal = Proposal::certain(draft);
        sampler.verify(&mut [0.0, 2.0, 1.0], Some(&proposal))
    };
    assert_eq!(verdict(1), Some(Verdict::Accepted(1)));
    assert_eq!(verdict(2), Some(Verdict::Chosen(1)));
}
