//! Drafting changes not a bit of the text, whatever is drafted.

mod support;

use std::sync::Arc;

use sharpi_compile::generate::{
    DraftOptions, Drafter, Drafting, GenerateError, GenerateOptions, Generator, MtpDrafter,
    Proposal, Round, Sampler, SamplerOptions, StopReason, Token,
};
use sharpi_compile::ir::DType;
use sharpi_compile::lower::{DraftVocabulary, LowerOptions};
use sharpi_compile::{CompileOptions, Executable, RunError, Session};
use support::{compile, feed, model, session};

fn n_max(n_max: usize) -> DraftOptions {
    DraftOptions::default().n_max(n_max)
}

fn greedy() -> Sampler {
    Sampler::new(SamplerOptions::default())
}

/// All tokens with all their logits, and why they ended.
fn told(
    executable: &Arc<Executable>,
    drafting: Option<Drafting>,
    prompt: &[u32],
    options: GenerateOptions,
) -> (Vec<Token>, Option<StopReason>, Vec<Round>) {
    let session = session(executable, 1);
    let mut generator = match drafting {
        Some(drafting) => Generator::with_drafting(session, greedy(), drafting, prompt, options),
        None => Generator::new(session, greedy(), prompt, options),
    }
    .expect("a generator");
    let tokens = generator.by_ref().map(|t| t.unwrap()).collect();
    (tokens, generator.stop_reason(), generator.rounds().to_vec())
}

fn bits(tokens: &[Token]) -> Vec<(u32, Vec<(u32, u32)>)> {
    let top = |t: &Token| t.top.iter().map(|(id, x)| (*id, x.to_bits())).collect();
    tokens.iter().map(|t| (t.id, top(t))).collect()
}

fn everything(max_tokens: usize) -> GenerateOptions {
    GenerateOptions::default()
        .max_tokens(Some(max_tokens))
        .logits_top(4096)
}

#[test]
fn drafts_of_every_depth_change_no_bit_of_the_logits() {
    for name in [
        "micro-dense-f32",
        "micro-moe-f32",
        "tiny-dense-Q4_K_M",
        "tiny-moe-Q4_K_M",
    ] {
        let executable = compile(&model(name), DType::F16);
        let prompt = [11, 5, 300, 42, 7];
        let (plain, ..) = told(&executable, None, &prompt, everything(48));
        for depth in 1..=8 {
            let fresh = session(&executable, 1);
            let drafter = MtpDrafter::new(&fresh, n_max(depth)).expect("a head");
            let (drafted, _, rounds) =
                told(&executable, Some(drafter.into()), &prompt, everything(48));
            assert!(bits(&drafted) == bits(&plain), "{name}, n-max {depth}");
            assert!(rounds.iter().any(|r| r.draft.len() == depth), "{name}");
        }
    }
}

#[test]
fn drafting_among_some_ids_or_at_a_depth_that_varies_changes_no_bit_of_the_logits() {
    let vocabularies = [
        None,
        Some(DraftVocabulary::First(300)),
        Some(DraftVocabulary::Ids((0..512).step_by(3).collect())),
    ];
    for name in ["micro-dense-f32", "tiny-dense-Q4_K_M", "tiny-moe-Q4_K_M"] {
        let model = model(name);
        let prompt = [11, 5, 300, 42, 7];
        let plain = compile(&model, DType::F16);
        let (plain, ..) = told(&plain, None, &prompt, everything(64));
        for (draft_vocabulary, adaptive) in
            vocabularies.iter().flat_map(|v| [(v, false), (v, true)])
        {
            let options = CompileOptions::default()
                .lower(LowerOptions::default().draft_vocabulary(draft_vocabulary.clone()));
            let executable = Arc::new(model.compile(&options).expect("a compiled model"));
            let fresh = session(&executable, 1);
            let options = n_max(6).adaptive(adaptive);
            let drafter = MtpDrafter::new(&fresh, options).expect("a head");
            let (drafted, _, rounds) =
                told(&executable, Some(drafter.into()), &prompt, everything(64));
            assert!(
                bits(&drafted) == bits(&plain),
                "{name}, {draft_vocabulary:?}"
            );
            let ids: Vec<u32> = (rounds.iter())
                .flat_map(|r| r.draft.iter().map(|(id, _)| *id))
                .collect();
            assert!(!ids.is_empty());
            match draft_vocabulary {
                None => {}
                Some(DraftVocabulary::First(n)) => {
                    assert!(ids.iter().all(|id| (*id as usize) < *n), "{ids:?}");
                }
                Some(DraftVocabulary::Ids(list)) => {
                    assert!(ids.iter().all(|id| list.contains(id)), "{ids:?}");
                }
            }
            // The third round finds out what one without a draft takes.
            assert_eq!(rounds[2].draft.is_empty(), adaptive, "{name}");
        }
    }
}

/// What an adversary proposes.
#[derive(Clone, Copy)]
enum Habit {
    Random,
    Right,
    HalfRight,
    EndOfText,
    AllInTurn,
}

/// Proposes what its habit is, knowing what is right, and compares the session's states with those
/// of one that never drafts.
struct Adversary {
    habit: Habit,
    right: Vec<u32>,
    end_of_text: u32,
    plain: Session,
    /// Two more, to go on from the states of both without touching these.
    spare: [Session; 2],
    prompt: usize,
    random: u64,
    rounds: usize,
}

impl Adversary {
    fn new(
        executable: &Arc<Executable>,
        habit: Habit,
        prompt: &[u32],
        right: &[Token],
        seed: usize,
    ) -> Adversary {
        let fresh = || session(executable, 1);
        Adversary {
            habit,
            right: right.iter().map(|t| t.id).collect(),
            end_of_text: 511,
            plain: fresh(),
            spare: [fresh(), fresh()],
            prompt: prompt.len(),
            random: seed as u64,
            rounds: 0,
        }
    }

    /// Whether one more token gives the same logits and leaves the same states in both sessions;
    /// it brings pending updates into the states.
    fn agree(&mut self, session: &Session, next: u32) -> bool {
        let [a, b] = &mut self.spare;
        a.restore(&session.save()).expect("a fitting session");
        b.restore(&self.plain.save()).expect("a fitting session");
        feed(a, &[next]) == feed(b, &[next]) && a.save() == b.save()
    }

    fn random(&mut self) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) as usize
    }
}

impl Drafter for Adversary {
    fn draft(
        &mut self,
        session: &mut Session,
        text: &[u32],
        most: usize,
    ) -> Result<Vec<Proposal>, RunError> {
        let seen = self.plain.position("trunk");
        for id in &text[seen..text.len() - 1] {
            feed(&mut self.plain, &[*id]);
        }
        assert!(
            self.agree(session, text[text.len() - 1]),
            "states at {}",
            text.len()
        );
        self.rounds += 1;
        let at = text.len() - self.prompt;
        let length = self.random() % (most.min(4) + 1);
        let mut habit = self.habit;
        if let Habit::AllInTurn = habit {
            let all = [
                Habit::Random,
                Habit::Right,
                Habit::HalfRight,
                Habit::EndOfText,
            ];
            habit = all[self.rounds % 4];
        }
        let wrong = self.random() as u32 % 512;
        let propose = |i: usize| match habit {
            Habit::Random => wrong,
            Habit::EndOfText if i == length / 2 => self.end_of_text,
            Habit::HalfRight if i >= length.div_ceil(2) => wrong,
            _ => self.right.get(at + i).copied().unwrap_or(wrong),
        };
        Ok((0..length)
            .map(|i| Proposal {
                id: propose(i),
                p: 1.0,
            })
            .collect())
    }
}

#[test]
fn whatever_is_proposed_text_logits_and_states_are_those_of_plain_decoding() {
    let habits = [
        Habit::Random,
        Habit::Right,
        Habit::HalfRight,
        Habit::EndOfText,
        Habit::AllInTurn,
    ];
    let dense = habits.iter().flat_map(|h| [("micro-dense-Q2_K", *h); 2]);
    let moe = ("micro-moe-f32", Habit::AllInTurn);
    let mut rounds = 0;
    for (i, (name, habit)) in dense.chain([moe]).enumerate() {
        let executable = compile(&model(name), DType::F16);
        let prompt = [3 + i as u32, 90, 200];
        let options = everything(500).logits_top(16);
        let (plain, ..) = told(&executable, None, &prompt, options.clone());
        let adversary = Adversary::new(&executable, habit, &prompt, &plain, i);
        let (drafted, stopped, made) = told(&executable, Some(adversary.into()), &prompt, options);
        assert!(bits(&drafted) == bits(&plain), "{name}");
        assert_eq!(stopped, Some(StopReason::Length));
        rounds += made.len();
    }
    println!("{rounds} rounds");
    assert!(rounds > 2000, "{rounds}");
}

/// The index, among greedy tokens, of one that was not there before it.
fn first_seen(tokens: &[Token], from: usize) -> usize {
    (from..tokens.len())
        .find(|&i| tokens[..i].iter().all(|t| t.id != tokens[i].id))
        .expect("a new token")
}

#[test]
fn a_text_that_ends_inside_a_draft_ends_where_it_ends_without() {
    let executable = compile(&model("micro-dense-f32"), DType::F16);
    let prompt = [3, 90, 200];
    let (plain, ..) = told(&executable, None, &prompt, everything(40));
    for from in 0..8 {
        let end = first_seen(&plain, from);
        let options = everything(40).end_of_text(vec![plain[end].id]);
        let right = Adversary::new(&executable, Habit::Right, &prompt, &plain, from);
        let (tokens, stopped, _) = told(&executable, Some(right.into()), &prompt, options);
        assert!(bits(&tokens) == bits(&plain[..end]));
        assert_eq!(stopped, Some(StopReason::EndOfText(plain[end].id)));
    }
}

#[test]
fn a_full_context_ends_the_text_where_it_ends_without_drafts() {
    let executable = compile(&model("micro-dense-f32"), DType::F16);
    let prompt: Vec<u32> = (0..500).map(|i| i % 450).collect();
    let options = GenerateOptions::default().max_tokens(None).logits_top(512);
    let (plain, stopped, _) = told(&executable, None, &prompt, options.clone());
    assert_eq!((plain.len(), stopped), (13, Some(StopReason::Context)));
    for depth in [1, 3, 8] {
        let fresh = session(&executable, 1);
        let drafter = MtpDrafter::new(&fresh, n_max(depth)).unwrap();
        let (drafted, stopped, _) =
            told(&executable, Some(drafter.into()), &prompt, options.clone());
        assert!(bits(&drafted) == bits(&plain), "n-max {depth}");
        assert_eq!(stopped, Some(StopReason::Context));
    }
}

#[test]
fn a_draft_ends_before_an_unlikely_token_and_is_dropped_when_too_short() {
    let executable = compile(&model("tiny-dense-Q4_K_M"), DType::F16);
    let prompt = [870, 25];
    let rounds = |draft: DraftOptions| {
        let fresh = session(&executable, 1);
        let drafter = MtpDrafter::new(&fresh, draft).unwrap();
        told(&executable, Some(drafter.into()), &prompt, everything(48)).2
    };
    let all = rounds(n_max(4));
    let likely = rounds(n_max(4).p_min(0.6));
    let lengths = |rounds: &[Round]| rounds.iter().map(|r| r.draft.len()).collect::<Vec<_>>();
    assert!(lengths(&all).iter().filter(|n| **n < 4).count() <= 4);
    assert!(likely.iter().flat_map(|r| &r.draft).all(|(_, p)| *p >= 0.6));
    assert!(lengths(&likely).contains(&0) && lengths(&likely).iter().any(|n| *n > 0));
    let long = rounds(n_max(4).p_min(0.6).n_min(3));
    assert!(lengths(&long).iter().all(|n| *n == 0 || *n >= 3));
}

#[test]
fn a_session_that_has_seen_tokens_cannot_start_to_draft() {
    let executable = compile(&model("micro-dense-f32"), DType::F16);
    let mut used = session(&executable, 1);
    feed(&mut used, &[1, 2]);
    let error = MtpDrafter::new(&used, n_max(2)).unwrap_err();
    assert!(matches!(error, GenerateError::LateDrafter), "{error}");
}
