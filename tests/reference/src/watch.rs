//! Watches the tensors that llama.cpp computes.

use std::cell::RefCell;
use std::ffi::{CStr, c_void};
use std::mem;
use std::ptr;

use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_sys_2 as sys;
use sharpi_compile::parity::golden::{Tensor, fingerprint};

/// Elements shown of each end of a tensor.
const ENDS: usize = 8;
/// What only llama.cpp makes on its way: norms before their weights, the scores of experts with their
/// bias, the states of DeltaNet blocks, what an indexer makes of its cache, and what its sampler takes of the logits.
const ON_THE_WAY: [&str; 20] = [
    "norm",
    "ffn_moe_probs_biased",
    "conv_states",
    "conv_states_reshaped",
    "qkv_mixed_transposed",
    "conv_input",
    "conv_state_at",
    "conv_state_last",
    "conv_state_update",
    "state_predelta",
    "new_state",
    "indexer_pool_k_new",
    "indexer_k",
    "indexer_q",
    "indexer_score",
    "indexer_top_k",
    "indexer_sel",
    "kq_mask_qsa",
    "logits_seq_0_0",
    "top_k_rows",
];

/// A run of a graph.
pub struct Run {
    /// `trunk` or `mtp`.
    pub graph: &'static str,
    /// What it made, in order.
    pub tensors: Vec<Tensor>,
}

thread_local! {
    /// The callback runs in the thread that decodes.
    static RUNS: RefCell<Vec<Run>> = const { RefCell::new(Vec::new()) };
}

/// The runs since the last call.
pub fn take() -> Vec<Run> {
    RUNS.take()
}

/// The same parameters, for a context whose tensors are watched.
pub fn watched(params: LlamaContextParams, head: bool) -> LlamaContextParams {
    // SAFETY: the bindings' parameters are llama.cpp's and nothing else, of the same size.
    let mut params =
        unsafe { mem::transmute::<LlamaContextParams, sys::llama_context_params>(params) };
    params.cb_eval = Some(observe);
    params.cb_eval_user_data = ptr::without_provenance_mut(usize::from(head));
    // SAFETY: as above.
    unsafe { mem::transmute::<sys::llama_context_params, LlamaContextParams>(params) }
}

/// Asked of each tensor whether it is wanted, and called once more when it is there.
unsafe extern "C" fn observe(tensor: *mut sys::ggml_tensor, ask: bool, head: *mut c_void) -> bool {
    // SAFETY: llama.cpp hands over a tensor of the graph that it computes.
    let tensor = unsafe { &*tensor };
    if ask {
        return wanted(tensor);
    }
    let graph = if head.is_null() { "trunk" } else { "mtp" };
    RUNS.with_borrow_mut(|runs| see(runs, graph, tensor));
    true
}

/// Whether it is one of those that are named in the model's own code, of numbers in f32.
fn wanted(tensor: &sys::ggml_tensor) -> bool {
    let name = name(tensor);
    let block = name.rsplit_once('-').map_or(&*name, |(name, _)| name);
    let by_ggml = ["node_", "leaf_", "cache_"]
        .iter()
        .any(|p| name.starts_with(p));
    tensor.type_ == sys::GGML_TYPE_F32
        && !by_ggml
        && !name.contains(['(', ' '])
        && !ON_THE_WAY.contains(&block)
        && !repeats(tensor)
}

/// Whether it has the heads of another several times, as only llama.cpp needs them.
fn repeats(tensor: &sys::ggml_tensor) -> bool {
    // SAFETY: an operand is null or a tensor of the same graph.
    let operand = unsafe { tensor.src[0].as_ref() };
    operand.is_some_and(|operand| op(operand) == "REPEAT")
}

fn see(runs: &mut Vec<Run>, graph: &'static str, tensor: &sys::ggml_tensor) {
    let name = name(tensor);
    // Each graph begins with the same tensor.
    let begins = |run: &Run| run.graph != graph || run.tensors[0].name == name;
    if runs.last().is_none_or(begins) {
        let tensors = Vec::new();
        runs.push(Run { graph, tensors });
    }
    let seen = &mut runs.last_mut().expect("a run").tensors;
    // Of a product that is reshaped or gets a bias under the same name, the last is meant.
    if continues(tensor, &name) {
        let before = seen.iter().rposition(|t| t.name == name);
        before.map(|i| seen.remove(i));
    }
    seen.push(shown(tensor, name));
}

fn continues(tensor: &sys::ggml_tensor, called: &str) -> bool {
    // SAFETY: an operand is null or a tensor of the same graph.
    let operand = unsafe { tensor.src[0].as_ref() };
    let goes_on = matches!(op(tensor).as_str(), "RESHAPE" | "VIEW" | "ADD");
    goes_on && operand.is_some_and(|operand| name(operand) == called)
}

fn shown(tensor: &sys::ggml_tensor, name: String) -> Tensor {
    let values = values(tensor);
    let sum = values.iter().map(|&x| f64::from(x)).sum();
    let squares: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
    let ends = |values: &[f32]| values.iter().map(|&x| short(f64::from(x)) as f32).collect();
    let significant = tensor.ne.iter().rposition(|&n| n != 1).map_or(1, |i| i + 1);
    Tensor {
        name,
        op: op(tensor),
        ne: tensor.ne[..significant]
            .iter()
            .map(|&n| n as usize)
            .collect(),
        sum: short(sum),
        l2: short(squares.sqrt()),
        first: ends(&values[..values.len().min(ENDS)]),
        last: ends(&values[values.len().saturating_sub(ENDS)..]),
        bits: Some(fingerprint(&values)),
    }
}

/// The elements, the first dimension fastest.
fn values(tensor: &sys::ggml_tensor) -> Vec<f32> {
    let [n0, n1, n2, n3] = tensor.ne;
    let mut values = Vec::new();
    for (i3, i2) in (0..n3).flat_map(|i3| (0..n2).map(move |i2| (i3, i2))) {
        for (i1, i0) in (0..n1).flat_map(|i1| (0..n0).map(move |i0| (i1, i0))) {
            let steps = [i0, i1, i2, i3].into_iter().zip(tensor.nb);
            let at = steps.map(|(i, step)| i as usize * step).sum();
            // SAFETY: the tensor is computed, in this machine's memory, and its steps lead to
            // its elements, which are f32.
            values.push(unsafe { tensor.data.byte_add(at).cast::<f32>().read_unaligned() });
        }
    }
    values
}

fn name(tensor: &sys::ggml_tensor) -> String {
    // SAFETY: ggml ends names with NUL.
    let name = unsafe { CStr::from_ptr(tensor.name.as_ptr()) };
    name.to_string_lossy().into_owned()
}

fn op(tensor: &sys::ggml_tensor) -> String {
    // SAFETY: ggml gives a constant text; of activations it is the kind.
    let op = unsafe { CStr::from_ptr(sys::ggml_op_desc(tensor)) };
    op.to_string_lossy().into_owned()
}

/// Seven digits.
fn short(x: f64) -> f64 {
    format!("{x:.6e}").parse().expect("a number")
}
