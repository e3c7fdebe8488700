//! What compiling takes beside the mapped file. A program of its own, as its allocator counts.

#[path = "support/header_only.rs"]
mod header_only;

use peak_alloc::PeakAlloc;
use sharpi_compile::CompileOptions;
use sharpi_compile::passes::compile;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MOST_BYTES: usize = 50_000_000;

#[test]
fn the_27b_model_is_compiled_in_less_than_50_mb() {
    let model = header_only::dense_27b(64);
    let options = CompileOptions::default();
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let module = model.lower(&options.lower).expect("graphs");
    let compiled = compile(module, &options.passes).expect("a plan");
    let (peak, kept) = (
        ALLOCATOR.peak_usage() - before,
        ALLOCATOR.current_usage() - before,
    );
    assert_eq!(compiled.plans.len(), 2);
    println!("peak {peak} bytes, of which the plan keeps {kept}");
    assert!(peak < MOST_BYTES, "{peak} bytes");
}
