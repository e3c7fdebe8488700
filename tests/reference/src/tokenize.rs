//! Ids of many texts beside llama.cpp's, by each rule that parts words.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use sharpi_compile::Model;
use sharpi_compile::gguf::Gguf;

use crate::backend;
use crate::llama::Llama;
use crate::words::{RULES, fingerprints, ids, texts, vocabulary};

/// Differing texts that are shown of a rule.
const SHOWN: usize = 3;

#[derive(Args)]
pub struct TokenizeArgs {
    /// Model file in GGUF whose byte-level vocabulary is taken
    #[arg(short, long, value_name = "FILE")]
    model: PathBuf,
    /// Texts to compare
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3000)]
    count: usize,
    /// File for the fingerprints of llama.cpp's ids
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl TokenizeArgs {
    /// Compares by every rule; fails where any text differs.
    pub fn run(self) -> Result<()> {
        let source = Gguf::open(&self.model)?;
        let texts = texts(self.count);
        let (mut all, mut found) = (0, BTreeMap::new());
        for rule in RULES {
            let (differing, ids) = compare(&source, rule, &texts)?;
            println!(
                "{rule}: {} of {} texts have the same ids",
                texts.len() - differing,
                texts.len()
            );
            all += differing;
            found.insert(rule, fingerprints(&ids));
        }
        if let Some(path) = &self.output {
            fs::write(path, serde_json::to_vec(&found)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        ensure!(all == 0, "{all} texts differ");
        Ok(())
    }
}

/// How many texts differ, and llama.cpp's ids.
fn compare(source: &Gguf, rule: &str, texts: &[String]) -> Result<(usize, Vec<Vec<u32>>)> {
    let bytes = vocabulary(source, rule);
    let file = std::env::temp_dir().join(format!("vocabulary-{}-{rule}.gguf", std::process::id()));
    fs::write(&file, &bytes)?;
    let llama = Llama::load_vocabulary(backend()?, &file);
    fs::remove_file(&file)?;
    let llama = llama?;
    let tokenizer = Model::from_gguf(Gguf::from_bytes(bytes)?).tokenizer()?;
    let all = ids(&tokenizer, texts);
    let mut theirs = Vec::new();
    let mut differing = 0;
    for (text, here) in texts.iter().zip(all) {
        let there: Vec<u32> = llama.tokenize(text).iter().map(|id| id.0 as u32).collect();
        if here != there {
            differing += 1;
            if differing <= SHOWN {
                println!("{rule}: {text:?}\n  here      {here:?}\n  llama.cpp {there:?}");
            }
        }
        theirs.push(there);
    }
    Ok((differing, theirs))
}
