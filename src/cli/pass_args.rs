//! Which passes run.

use std::path::PathBuf;

use sharpi_passes::Options;

#[derive(clap::Args)]
pub(super) struct PassArgs {
    /// Of the passes that are not required, run these alone
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    passes: Option<Vec<String>>,
    /// Passes not to run
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    skip_pass: Vec<String>,
    /// Most rewrites that optional passes make, to find a bad one by halving; required passes do
    /// their work whatever it is
    #[arg(long, value_name = "N")]
    fuel: Option<usize>,
    /// Write the graphs into this folder, as imported and after each pass
    #[arg(long, value_name = "DIR")]
    dump_after_each: Option<PathBuf>,
}

impl PassArgs {
    pub(super) fn options(&self) -> Options {
        Options::default()
            .only(self.passes.clone())
            .skip(self.skip_pass.clone())
            .fuel(self.fuel)
            .dump_after_each(self.dump_after_each.clone())
    }
}
