//! Shares of modules: how they look, and that together they compute what the whole computes.

#[path = "../common/mod.rs"]
mod common;
#[path = "../filetests/meaning.rs"]
#[allow(dead_code)]
mod meaning;
mod ranks;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sharpi_ir::text::{parse, print};
use sharpi_ir::{Module, verify};
use sharpi_passes::{Options, Shard, Stage, run_until, shard};

const SEPARATOR: &str = "; ----\n";

/// Cases of `fixtures/filetests/shard`: a comment that ends in `rank R of N`, a module, and the
/// share of that rank. `BLESS=1` writes the share anew.
#[test]
fn shares_look_as_their_cases_say_and_change_no_number() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/filetests/shard");
    let entries = fs::read_dir(folder).expect("a folder of cases");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let failures = paths.iter().filter_map(|path| {
        let failure = check(path).err()?;
        Some(format!("{}: {failure}", path.display()))
    });
    let failures: Vec<String> = failures.collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let (input, expected) = text.split_once(SEPARATOR).ok_or("no separator")?;
    let which = which(input).ok_or("no `rank R of N` at the end of the comment")?;
    let module = parse(input).map_err(|e| e.to_string())?;
    let share = shard(&module, which).map_err(|e| e.to_string())?;
    verify(&share).map_err(|e| e.to_string())?;
    ranks::same(&module, which.ranks, &|share| share)?;
    let found = print(&share);
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{input}{SEPARATOR}{found}");
        return fs::write(path, blessed).map_err(|e| e.to_string());
    }
    match found == expected {
        true => Ok(()),
        false => Err(format!("expected\n{expected}\nfound\n{found}")),
    }
}

fn which(text: &str) -> Option<Shard> {
    let comment = text
        .lines()
        .take_while(|line| line.starts_with(';'))
        .last()?;
    let (_, which) = comment.trim_end_matches('.').rsplit_once("rank ")?;
    let (rank, ranks) = which.split_once(" of ")?;
    Some(Shard {
        ranks: ranks.parse().ok()?,
        rank: rank.parse().ok()?,
    })
}

#[test]
fn a_rank_that_there_is_not_is_refused() {
    for (rank, ranks) in [(2, 2), (0, 0), (0, 1_000_000)] {
        let error = shard(&common::deltanet(1), Shard { ranks, rank }).expect_err("no such rank");
        let said = format!("there is no rank {rank} of {ranks}");
        assert!(error.to_string().starts_with(&said), "{error}");
    }
}

#[test]
fn a_graph_that_passes_have_worked_on_is_refused() {
    let fused = run_until(common::deltanet(1), Stage::Fused, &Options::default());
    let fused = fused.expect("a snapshot").module;
    let error = shard(&fused, Shard { ranks: 2, rank: 0 }).expect_err("fused ops");
    assert!(
        error.to_string().contains("is for passes to make"),
        "{error}"
    );
}

/// A share through all passes that rewrite.
fn fused(share: Module) -> Module {
    let fused = run_until(share, Stage::Fused, &Options::default());
    fused.expect("a snapshot").module
}

#[test]
fn fused_shares_of_a_model_compute_what_the_whole_computes() {
    for ranks in [2, 3, 4, 5, 7] {
        ranks::same(&common::deltanet(1), ranks, &fused).unwrap_or_else(|e| panic!("{e}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn shares_of_random_graphs_compute_what_the_whole_computes(
        picks in prop::collection::vec(any::<common::Picks>(), 1..24),
        outputs in prop::collection::vec(any::<usize>(), 1..4),
        ranks in 2usize..6,
        is_fused in any::<bool>(),
    ) {
        let module = common::random(&picks, &outputs);
        let prepare = |share| if is_fused { fused(share) } else { share };
        ranks::same(&module, ranks, &prepare).unwrap_or_else(|e| panic!("{e}"));
    }
}
