//! What `--version` says.

use std::sync::LazyLock;

use sharpi_compile::exec::simd;

const NUMBER: &str = env!("CARGO_PKG_VERSION");

/// The number and the commit.
pub(super) fn short() -> &'static str {
    static SHORT: LazyLock<String> = LazyLock::new(|| match option_env!("SHARPI_COMMIT") {
        Some(commit) => format!("{NUMBER} (commit {commit})"),
        None => NUMBER.into(),
    });
    &SHORT
}

/// The commit, the target and the features, a line each.
pub(super) fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{NUMBER}\n\
             commit:   {}\n\
             target:   {}, {} build\n\
             features: kernels for {}; here {} is used",
            option_env!("SHARPI_COMMIT").unwrap_or("unknown, built outside of a git checkout"),
            env!("SHARPI_TARGET"),
            env!("SHARPI_PROFILE"),
            kernels().join(", "),
            simd::used()
        )
    });
    &LONG
}

/// The instruction sets that kernels are compiled for.
fn kernels() -> &'static [&'static str] {
    match cfg!(target_arch = "x86_64") {
        true => &simd::NAMES,
        false => &simd::NAMES[..1],
    }
}
