//! What may be remembered of prompts, so that they need not be read again.

use std::path::PathBuf;

use sharpi_compile::engine::EngineOptions;

#[derive(clap::Args)]
pub(super) struct RememberArgs {
    /// MiB of memory for prompts that are remembered; 0 for none; also -cram
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    cache_ram: u64,
    /// Folder in which remembered prompts outlive the process
    #[arg(long, value_name = "DIR")]
    slot_save_path: Option<PathBuf>,
}

impl RememberArgs {
    pub(super) fn set(&self, options: EngineOptions) -> EngineOptions {
        options
            .prompt_memory(self.cache_ram << 20)
            .prompt_folder(self.slot_save_path.clone())
    }
}
