//! A compiled model, its ops bound to kernels.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use sharpi_ir::{
    DType, Dim, Graph, Index, Module, NodeId, NodeKind, Op, Operand, RowSet, StateId, StateType,
    Symbol, TensorType, Value, WeightId,
};
use sharpi_passes::{Compiled, Plan, Report};

use super::check_states::check_states;
use super::fingerprint::{Fingerprint, fingerprint, proof};
use super::footprint::StateBytes;
use super::load::{LoadOptions, LoadReport, PrepareError, Progress, load, packed_bytes};
use crate::exec::ops::{Axis, BindError, Bound, Kernel, Slot, State, Weight, bind};
use crate::gguf::{Gguf, TensorInfo};
use crate::ranks::{Remote, Transport};

/// Compiled graphs over a model's weights; sessions share it.
pub struct Executable {
    compiled: Compiled,
    pub(super) graphs: IndexMap<String, BoundGraph>,
    loading: LoadReport,
    packed_bytes: usize,
    /// Whole weights with the names of their tensors.
    weights: Vec<(String, Arc<Weight>)>,
    fingerprint: OnceLock<Fingerprint>,
    gguf: Arc<Gguf>,
    proof: OnceLock<[[u8; 32]; 2]>,
    /// Of a share the module that is shared, as imported.
    whole: Option<Module>,
    role: Role,
}

/// Who else runs the model.
enum Role {
    /// Nobody.
    Alone,
    /// Ranks that have their shares of it under the same number.
    Leads(Remote),
    /// Ranks of which one says what to do.
    Follows(Arc<dyn Transport>),
}

/// An input of a graph.
pub(super) struct BoundInput {
    pub(super) name: String,
    pub(super) slot: Slot,
    /// What its numbers count, if they are whole.
    pub(super) index: Option<Index>,
}

/// An output of a graph.
pub(super) struct BoundOutput {
    pub(super) slot: Slot,
    /// What its numbers count, if they are whole.
    pub(super) index: Option<Index>,
}

/// A graph whose ops know where their operands lie.
pub(super) struct BoundGraph {
    pub(super) inputs: Vec<BoundInput>,
    pub(super) outputs: IndexMap<String, BoundOutput>,
    pub(super) steps: Vec<Vec<Box<dyn Kernel>>>,
    /// The ops of the kernels.
    ops: Vec<Vec<NodeId>>,
    /// Named values that a step completes, views of them included.
    pub(super) names: Vec<Vec<(String, Slot)>>,
    pub(super) states: Vec<StateId>,
    /// Bytes that a token takes in the log of a recurrent state.
    pub(super) rollback: IndexMap<StateId, usize>,
    pub(super) arena_bytes: usize,
    pub(super) bounds: IndexMap<Symbol, RangeInclusive<usize>>,
}

impl Executable {
    /// Binds every op of every graph and loads the weights.
    pub(crate) fn new(
        compiled: Compiled,
        gguf: &Arc<Gguf>,
        options: &LoadOptions,
        progress: Progress<'_>,
    ) -> Result<Executable, PrepareError> {
        let weights = RefCell::default();
        let mut graphs = IndexMap::new();
        for (name, graph) in &compiled.module.graphs {
            let Some(plan) = compiled.plans.get(name) else {
                continue;
            };
            let binder = Binder {
                module: &compiled.module,
                graph,
                plan,
                gguf,
                weights: &weights,
            };
            graphs.insert(name.clone(), binder.graph()?);
        }
        check_states(&compiled.module, &graphs)?;
        let weights = weights.into_inner();
        let matrices: Vec<Arc<Weight>> = (weights.values().filter(|w| w.multiplied))
            .map(|w| w.weight.clone())
            .collect();
        let symbols = &compiled.module.symbols;
        let whole = |(id, w): (WeightId, BoundWeight)| {
            let (_, declared) = symbols.weight_of(id)?;
            let source = declared.source.clone();
            (declared.rows.is_none()).then_some((source, w.weight))
        };
        let mut whole: Vec<_> = weights.into_iter().filter_map(whole).collect();
        whole.sort_by(|(a, _), (b, _)| a.cmp(b));
        let loading = load(gguf, &matrices, options, progress)?;
        Ok(Executable {
            compiled,
            graphs,
            loading,
            packed_bytes: packed_bytes(&matrices),
            weights: whole,
            fingerprint: OnceLock::new(),
            gguf: gguf.clone(),
            proof: OnceLock::new(),
            whole: None,
            role: Role::Alone,
        })
    }

    /// Makes it the share of rank 0, which leads the ranks that have the others of `whole`.
    pub(crate) fn lead(&mut self, whole: Module, remote: Remote) {
        (self.whole, self.role) = (Some(whole), Role::Leads(remote));
    }

    /// Makes it the share of another rank.
    pub(crate) fn follow(&mut self, transport: Arc<dyn Transport>) {
        self.role = Role::Follows(transport);
    }

    /// What the other ranks know it by, if this one leads them.
    pub(super) fn remote(&self) -> Option<&Remote> {
        match &self.role {
            Role::Leads(remote) => Some(remote),
            Role::Alone | Role::Follows(_) => None,
        }
    }

    /// The way to the other ranks.
    pub(super) fn transport(&self) -> Option<&Arc<dyn Transport>> {
        match &self.role {
            Role::Leads(remote) => Some(remote.leader.transport()),
            Role::Follows(transport) => Some(transport),
            Role::Alone => None,
        }
    }

    /// How many ranks run it together.
    pub fn ranks(&self) -> usize {
        self.transport().map_or(1, |transport| transport.ranks())
    }

    /// Whether it computes only with what other ranks give.
    pub(super) fn gathers(&self) -> bool {
        let mut graphs = self.module().graphs.values();
        graphs.any(|graph| {
            graph
                .nodes()
                .any(|n| matches!(graph.op(n), Some(Op::AllGather { .. })))
        })
    }

    /// The module, of a share the whole.
    fn whole(&self) -> &Module {
        self.whole.as_ref().unwrap_or(&self.compiled.module)
    }

    /// What tells this model and its cache types from others, as far as saved sessions go.
    pub fn identity(&self) -> [u8; 32] {
        self.fingerprint()
    }

    /// Types of the cached keys and values, f32 where nothing is cached.
    pub fn cache_types(&self) -> [DType; 2] {
        let mut states = self.module().symbols.states();
        let cache = states.find_map(|(_, _, ty)| match ty {
            StateType::Kv { k, v, .. } => Some([*k, *v]),
            StateType::Recurrent(_) => None,
        });
        cache.unwrap_or([DType::F32; 2])
    }

    /// Two BLAKE3 hashes of what decides the logits: of the trunk's states and the constants of its
    /// ops, and of names, types, shapes and all bytes of the tensors that it computes with. The first
    /// time it reads all of them.
    pub fn proof(&self) -> [[u8; 32]; 2] {
        let find = || proof(self.whole(), &self.gguf);
        *self.proof.get_or_init(find)
    }

    /// What tells this model from others.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let find = || fingerprint(self.module(), &self.weights, self.ranks());
        *self.fingerprint.get_or_init(find)
    }

    /// Bytes that the matrices take in the layout of the kernels, loaded or not.
    pub(super) fn packed_bytes(&self) -> usize {
        self.packed_bytes
    }

    /// Bytes of the values of a run.
    pub(super) fn arena_bytes(&self) -> usize {
        let graphs = self.graphs.values();
        graphs.map(|g| g.arena_bytes).max().unwrap_or(0)
    }

    /// Bytes of every state of a session of up to `context` tokens, of which the last `rollback` of a
    /// run can be taken back.
    pub(super) fn states(
        &self,
        context: usize,
        rollback: usize,
    ) -> impl Iterator<Item = StateBytes> {
        let log_bytes = |id| {
            let graphs = self.graphs.values();
            let logs = graphs.filter_map(|g| g.rollback.get(&id));
            logs.copied().max().unwrap_or(0)
        };
        let states = self.compiled.module.symbols.states();
        states.map(move |(id, _, ty)| StateBytes::new(ty, context, rollback, log_bytes(id)))
    }

    /// What loading the weights took.
    pub fn loading(&self) -> LoadReport {
        self.loading
    }

    /// The compiled graphs.
    pub fn module(&self) -> &Module {
        &self.compiled.module
    }

    /// Steps and places of a graph.
    pub fn plan(&self, graph: &str) -> Option<&Plan> {
        self.compiled.plans.get(graph)
    }

    /// The op of a step's kernel; reshapes and the like have none.
    pub fn op(&self, graph: &str, step: usize, kernel: usize) -> Option<NodeId> {
        let ops = self.graphs.get(graph)?.ops.get(step)?;
        ops.get(kernel).copied()
    }

    /// What the passes did.
    pub fn report(&self) -> &Report {
        &self.compiled.report
    }

    /// Most tokens in one run.
    pub fn max_tokens(&self) -> usize {
        self.most(Symbol::TOKENS)
    }

    /// Most rows of logits in one run.
    pub fn max_rows(&self) -> usize {
        self.most(Symbol::ROWS)
    }

    /// The ids that an output of logits is about, column by column; `None` for all, from 0 on.
    pub fn logit_ids(&self, graph: &str) -> Option<&RowSet> {
        let module = self.whole();
        let graph = module.graphs.get(graph)?;
        let operands = graph.nodes().flat_map(|node| graph.operands(node));
        // Of no other matrix are rows chosen.
        operands.into_iter().find_map(|operand| match operand {
            Operand::Weight(w) => module.symbols.weight_of(w)?.1.rows.as_ref(),
            Operand::Value(_) | Operand::State(_) => None,
        })
    }

    fn most(&self, symbol: Symbol) -> usize {
        let bounds = self.graphs.values().filter_map(|g| g.bounds.get(&symbol));
        bounds.map(|range| *range.end()).min().unwrap_or(0)
    }
}

/// A weight that some op reads.
struct BoundWeight {
    weight: Arc<Weight>,
    /// Whether an op multiplies by it; rows of an embedding are read where they lie.
    multiplied: bool,
}

struct Binder<'a> {
    module: &'a Module,
    graph: &'a Graph,
    plan: &'a Plan,
    gguf: &'a Arc<Gguf>,
    /// Those of all graphs: what two of them read is loaded once.
    weights: &'a RefCell<IndexMap<WeightId, BoundWeight>>,
}

impl Binder<'_> {
    fn graph(&self) -> Result<BoundGraph, BindError> {
        let graph = self.graph;
        let mut inputs = Vec::new();
        for &node in graph.inputs() {
            if let NodeKind::Input(name) = graph.kind(node) {
                let v = Value { node, result: 0 };
                inputs.push(BoundInput {
                    name: name.clone(),
                    slot: self.slot(v)?,
                    index: graph.ty(v).index,
                });
            }
        }
        let mut outputs = IndexMap::new();
        for (name, v) in graph.outputs() {
            let (slot, index) = (self.slot(*v)?, graph.ty(*v).index);
            outputs.insert(name.clone(), BoundOutput { slot, index });
        }
        let (mut steps, mut ops, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for step in &self.plan.steps {
            let (mut kernels, mut nodes) = (Vec::new(), Vec::new());
            let mut named = Vec::new();
            for &node in step {
                if let Some(kernel) = self.kernel(node)? {
                    kernels.push(kernel);
                    nodes.push(node);
                }
                self.names(node, &mut named)?;
            }
            steps.push(kernels);
            ops.push(nodes);
            names.push(named);
        }
        let mut states: Vec<StateId> = graph.nodes().filter_map(|n| graph.state(n)).collect();
        states.sort_unstable();
        states.dedup();
        Ok(BoundGraph {
            inputs,
            outputs,
            steps,
            ops,
            names,
            states,
            rollback: self.plan.rollback.clone(),
            arena_bytes: self.plan.memory.arena_bytes,
            bounds: graph.bounds().clone(),
        })
    }

    fn kernel(&self, node: NodeId) -> Result<Option<Box<dyn Kernel>>, BindError> {
        let Some(op) = self.graph.op(node) else {
            return Ok(None);
        };
        let operands = self.graph.operands(node).into_iter().enumerate();
        let operands: Result<Vec<Bound>, BindError> = operands
            .map(|(slot, o)| self.operand(op, slot, o))
            .collect();
        let results: Result<Vec<Slot>, BindError> =
            self.graph.values(node).map(|v| self.slot(v)).collect();
        bind(op, operands?, results?)
    }

    fn operand(&self, op: &Op, slot: usize, operand: Operand) -> Result<Bound, BindError> {
        let fail = |message: String| BindError {
            op: op.mnemonic(),
            message,
        };
        match operand {
            Operand::Value(v) => Ok(Bound::Value(self.slot(v)?)),
            Operand::State(s) => match self.module.symbols.state_of(s) {
                Some((_, ty)) => Ok(Bound::State(State {
                    index: s.index(),
                    ty: ty.clone(),
                })),
                None => Err(fail("its state is undeclared".into())),
            },
            Operand::Weight(w) => {
                let weight = self.weight(w, &fail)?;
                let mut weights = self.weights.borrow_mut();
                let bound = weights.entry(w).or_insert(BoundWeight {
                    weight,
                    multiplied: false,
                });
                bound.multiplied |= op.operand(slot).is_some_and(|o| o.kind.is_matrix());
                Ok(Bound::Weight(bound.weight.clone()))
            }
        }
    }

    fn weight(
        &self,
        w: WeightId,
        fail: &impl Fn(String) -> BindError,
    ) -> Result<Arc<Weight>, BindError> {
        if let Some(bound) = self.weights.borrow().get(&w) {
            return Ok(bound.weight.clone());
        }
        let declared = self.module.symbols.weight_of(w);
        let (name, weight) = declared.ok_or_else(|| fail("a weight is undeclared".into()))?;
        let tensor = self.gguf.tensor(&weight.source);
        let tensor = tensor.filter(|tensor| holds(tensor, weight));
        let dims = fixed(&weight.ty);
        let data = tensor
            .zip(dims)
            .and_then(|(tensor, dims)| Weight::new(self.gguf, tensor, weight, dims));
        match data {
            Some(data) if Some(data.file_bytes()) == weight.ty.bytes(&|_| 0) => Ok(Arc::new(data)),
            Some(_) | None => Err(fail(format!(
                "@{name}: the file's tensor `{}` does not hold {}",
                weight.source, weight.ty
            ))),
        }
    }

    fn slot(&self, v: Value) -> Result<Slot, BindError> {
        let ty = self.graph.ty(v);
        let op = self.graph.op(v.node).map_or("input", |op| op.mnemonic());
        let fail = |message: String| BindError { op, message };
        let axis = match ty.shape.first() {
            Some(Dim::Sym(s)) if *s == Symbol::TOKENS => Axis::Tokens,
            Some(Dim::Sym(s)) if *s == Symbol::ROWS => Axis::Rows,
            Some(Dim::Sym(_) | Dim::Fixed(_)) | None => {
                return Err(fail(format!("{ty} does not start with T or R")));
            }
        };
        let dims: Option<Vec<usize>> = ty.shape[1..].iter().map(|d| d.fixed()).collect();
        let dims = dims.ok_or_else(|| fail(format!("{ty} has a second symbolic dimension")))?;
        let placed = self.plan.memory.placements.get(&v);
        let placed = placed.ok_or_else(|| fail(format!("{ty} has no place in the plan")))?;
        Ok(Slot {
            offset: placed.offset,
            axis,
            dims,
            dtype: ty.dtype,
        })
    }

    /// Named f32 results of a node and of the views of them.
    fn names(&self, node: NodeId, named: &mut Vec<(String, Slot)>) -> Result<(), BindError> {
        for v in self.graph.values(node) {
            if let Some(name) = self.graph.name(v)
                && self.graph.ty(v).dtype == DType::F32
            {
                named.push((name.to_string(), self.slot(v)?));
            }
            for (user, _) in self.graph.users(v) {
                if self.graph.op(user).is_some_and(|op| op.facts().view) {
                    self.names(user, named)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a tensor has a weight's type and dimensions, or more rows where some are chosen.
fn holds(tensor: &TensorInfo, weight: &sharpi_ir::Weight) -> bool {
    let same_type = (tensor.ty.name()).eq_ignore_ascii_case(weight.ty.dtype.name());
    let Some(wanted) = fixed(&weight.ty) else {
        return false;
    };
    // GGUF lists the fastest dimension first, and may leave out or write trailing ones of 1.
    let significant = |dims: Vec<u64>| {
        let ones = dims.iter().rev().take_while(|n| **n == 1).count();
        dims[..dims.len() - ones].to_vec()
    };
    let wanted: Vec<u64> = wanted.iter().rev().map(|n| *n as u64).collect();
    let found = &tensor.dims;
    let same_shape = match (&weight.rows, &wanted[..]) {
        // Rows of f32 may be written one behind the other, as one vector.
        (None, [_, _]) if found.len() == 1 => found[0] == wanted.iter().product::<u64>(),
        (None, _) => significant(found.clone()) == significant(wanted),
        (Some(_), [_]) => significant(found.clone()).len() <= 1,
        (Some(_), [n, _, behind @ ..]) => {
            let behind = significant(behind.to_vec());
            found.first() == Some(n) && significant(found[found.len().min(2)..].to_vec()) == behind
        }
        (Some(_), []) => false,
    };
    same_type && same_shape
}

fn fixed(ty: &TensorType) -> Option<Vec<usize>> {
    ty.shape.iter().map(|d| d.fixed()).collect()
}
