//! Made-up models: they have the shapes of the real ones, and they count upwards.

use std::io::{self, Write};
use std::sync::Arc;

use sharpi_compile::generate::{
    DraftOptions, GenerateOptions, Generator, MtpDrafter, Round, Sampler, SamplerOptions,
};
use sharpi_compile::gguf::Gguf;
use sharpi_compile::lower::{Arch, DeltaNet, Experts, Hparams};
use sharpi_compile::synth::{Preset, Synth, Weights};
use sharpi_compile::{CompileOptions, Model, Session, SessionOptions};

/// Tokens generated.
const TOKENS: usize = 600;
const PROMPT: [u32; 3] = [300, 301, 302];

/// As small as blocks of 256 allow.
fn small(experts: Option<Experts>) -> Hparams {
    let mut hparams = Preset::Dense0_8B.hparams();
    hparams.blocks.truncate(4);
    Hparams {
        arch: match experts {
            None => Arch::QWEN35,
            Some(_) => Arch::QWEN35MOE,
        },
        context_length: 1024,
        embedding: 256,
        vocabulary: 1024,
        heads: 2,
        kv_heads: 1,
        head_dim: 128,
        attention_scale: 1.0 / 128f32.sqrt(),
        deltanet: hparams.deltanet.map(|deltanet| DeltaNet {
            k_heads: 2,
            v_heads: 4,
            ..deltanet
        }),
        ffn_width: experts.is_none().then_some(512),
        experts,
        ..hparams
    }
}

fn mixture() -> Hparams {
    small(Some(Experts {
        count: 8,
        used: 2,
        width: 256,
        shared_width: 512,
    }))
}

fn synth(hparams: &Hparams, mtp_acceptance: f64) -> Synth {
    Synth {
        hparams: hparams.clone(),
        weights: Weights::Counting { mtp_acceptance },
        seed: 1,
    }
}

fn written(synth: &Synth) -> Vec<u8> {
    let mut bytes = Vec::new();
    let writer = synth.writer().unwrap();
    writer.write(&mut bytes).unwrap();
    assert_eq!(writer.file_bytes().unwrap(), bytes.len() as u64);
    bytes
}

fn model(synth: &Synth) -> Model {
    Model::from_gguf(Gguf::from_bytes(written(synth)).unwrap())
}

/// What a model says after the prompt, drafting two tokens a round.
fn drafted(model: &Model) -> (Vec<u32>, Vec<Round>) {
    let executable = Arc::new(model.compile(&CompileOptions::default()).unwrap());
    let options = SessionOptions::default()
        .context(1024)
        .threads(2)
        .rollback(3);
    let session = Session::new(executable, &options).unwrap();
    let drafter = MtpDrafter::new(&session, DraftOptions::default()).unwrap();
    let options = GenerateOptions::default().max_tokens(Some(TOKENS));
    let sampler = Sampler::new(SamplerOptions::default());
    let mut generator =
        Generator::with_drafting(session, sampler, drafter, &PROMPT, options).unwrap();
    let ids = generator.by_ref().map(|token| token.unwrap().id).collect();
    (ids, generator.rounds().to_vec())
}

/// Of the drafts that were looked at, the part that held.
fn acceptance(rounds: &[Round]) -> f64 {
    let accepted: usize = rounds.iter().map(|r| r.accepted).sum();
    let missed = rounds.iter().filter(|r| r.accepted < r.draft.len()).count();
    accepted as f64 / (accepted + missed) as f64
}

#[test]
fn each_token_is_followed_by_its_successor_and_the_head_errs_as_often_as_asked() {
    let expected: Vec<u32> = (303..303 + TOKENS as u32).collect();
    for hparams in [small(None), mixture()] {
        for asked in [0.3, 0.8, 1.0] {
            let (ids, rounds) = drafted(&model(&synth(&hparams, asked)));
            assert_eq!(ids, expected, "{:?}", hparams.arch);
            let found = acceptance(&rounds);
            println!("{:?}: asked for {asked}, found {found:.3}", hparams.arch);
            assert!((found - asked).abs() < 0.07, "{found} in place of {asked}");
        }
    }
}

#[test]
fn a_written_model_has_the_sizes_it_was_made_with() {
    for hparams in [small(None), mixture()] {
        assert_eq!(model(&synth(&hparams, 0.5)).hparams().unwrap(), hparams);
    }
}

#[test]
fn a_small_model_of_every_architecture_has_the_sizes_it_was_made_with() {
    for preset in Preset::ALL.into_iter().filter(|preset| preset.is_micro()) {
        let synth = Synth {
            hparams: preset.hparams(),
            weights: preset.weights(1.0),
            seed: 0,
        };
        assert_eq!(model(&synth).hparams().unwrap(), synth.hparams);
    }
    for arch in Arch::ALL {
        let preset = Preset::Micro(arch);
        assert!(Preset::ALL.contains(&preset));
        assert_eq!(preset.hparams().arch, arch);
    }
}

#[test]
fn the_vocabulary_reads_and_spells_the_ids() {
    let tokenizer = model(&synth(&small(None), 0.5)).tokenizer().unwrap();
    assert_eq!(tokenizer.decode(&[300, 301], true), " 300 301");
    let ids = tokenizer.encode("a t<|im_end|>", true);
    assert_eq!(ids.last(), Some(&1023));
    assert_eq!(tokenizer.decode(&ids, true), "a t<|im_end|>");
}

#[test]
fn the_seed_and_nothing_else_decides_about_the_weights() {
    let first = synth(&small(None), 0.5);
    assert!(written(&first) == written(&first));
    let second = Synth { seed: 2, ..first };
    assert!(written(&second) != written(&synth(&small(None), 0.5)));
}

#[test]
fn no_two_tensors_of_one_type_begin_alike() {
    let model = model(&synth(&small(None), 0.5));
    let gguf = model.gguf();
    let random = gguf.tensors().values().filter(|t| t.bytes > 40_000);
    let starts = random.map(|t| (&t.name, &gguf.data(t)[16..100]));
    let starts: Vec<_> = starts
        .filter(|(name, _)| !name.contains("eh_proj"))
        .collect();
    assert!(starts.len() > 20);
    for (i, (name, start)) in starts.iter().enumerate() {
        let same = starts[..i].iter().find(|(_, other)| other == start);
        assert_eq!(same, None, "{name}");
    }
}

#[test]
fn presets_have_the_sizes_of_the_real_files() {
    let mut found = String::new();
    for preset in Preset::ALL.into_iter().filter(|preset| !preset.is_micro()) {
        let header = synth(&preset.hparams(), 0.8).header().unwrap();
        let (tensors, bytes) = (header.tensor_count(), header.file_bytes().unwrap());
        found += &format!(
            "{preset}: {tensors} tensors, {:.2} GB\n",
            bytes as f64 / 1e9
        );
    }
    insta::assert_snapshot!(found, @r"
    0.8b: 336 tensors, 0.69 GB
    2b: 336 tensors, 1.62 GB
    4b: 442 tensors, 3.22 GB
    9b: 442 tensors, 5.91 GB
    27b: 866 tensors, 17.26 GB
    35b-a3b: 753 tensors, 21.79 GB
    qwen3-0.6b: 311 tensors, 0.48 GB
    qwen3-30b-a3b: 579 tensors, 18.55 GB
    qwen3-next-80b-a3b: 863 tensors, 49.65 GB
    qwen3.8-flash-next: 1256 tensors, 86.08 GB
    glm-4.5-air: 801 tensors, 72.17 GB
    qwen2.5-1.5b: 339 tensors, 1.11 GB
    llama-3.2-1b: 148 tensors, 0.95 GB
    mixtral-8x7b: 323 tensors, 28.26 GB
    smollm3-3b: 327 tensors, 2.06 GB
    ");
}

#[test]
fn a_failing_writer_ends_the_file() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_sub(bytes.len());
            match self.0 {
                0 => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(bytes.len()),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let writer = synth(&small(None), 0.5).writer().unwrap();
    let error = writer.write(Full(1 << 20)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
