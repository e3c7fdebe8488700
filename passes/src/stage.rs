//! Stages of a module on its way through the pipeline, and what must hold when each is reached.

use std::fmt;

use sharpi_ir::plain::Plain;
use sharpi_ir::{Graph, Module, Symbols};

use crate::check_plan::{check_memory, check_schedule};
use crate::error::CompileError;
use crate::label::Labels;
use crate::pass::Decisions;
use crate::quantize_activations::unrounded;

/// How far a module has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Stage {
    /// As lowered from the model file: ops that do one thing each.
    Imported,
    /// All rewriting done: every product takes an activation of the type it is computed in.
    Fused,
    /// Every op stands in a step, after what it depends on.
    Scheduled,
    /// Every value has its place; no two that are alive at the same time share bytes.
    Planned,
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Stage; 4] = [
        Stage::Imported,
        Stage::Fused,
        Stage::Scheduled,
        Stage::Planned,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Imported => "imported",
            Stage::Fused => "fused",
            Stage::Scheduled => "scheduled",
            Stage::Planned => "planned",
        }
    }

    /// Checks that every op of a module may stand at this stage, whatever is decided about it.
    ///
    /// # Errors
    /// [`CompileError::Stage`] with every op of every graph that may not.
    pub fn check(self, module: &Module) -> Result<(), CompileError> {
        let graphs = module.graphs.iter();
        let illegal = graphs.flat_map(|(name, graph)| {
            let found = self.illegal_ops(graph, &module.symbols).into_iter();
            found.map(move |offence| format!("@{}: {offence}", Plain(name)))
        });
        let offences: Vec<String> = illegal.collect();
        match offences.is_empty() {
            true => Ok(()),
            false => Err(CompileError::Stage {
                stage: self,
                offences,
            }),
        }
    }

    fn illegal_ops(self, graph: &Graph, symbols: &Symbols) -> Vec<String> {
        match self {
            Stage::Imported => ops_of_passes(graph),
            Stage::Fused | Stage::Scheduled | Stage::Planned => {
                unrounded_activations(graph, symbols)
            }
        }
    }

    /// All that keeps a graph from having reached this stage through passes.
    pub(crate) fn offences(
        self,
        graph: &Graph,
        symbols: &Symbols,
        decisions: &Decisions,
    ) -> Vec<String> {
        match self {
            Stage::Imported | Stage::Fused => self.illegal_ops(graph, symbols),
            Stage::Scheduled => match &decisions.schedule {
                Some(schedule) => strings(check_schedule(graph, &schedule.steps)),
                None => vec!["there is no schedule".into()],
            },
            Stage::Planned => match (&decisions.schedule, &decisions.memory) {
                (Some(s), Some(memory)) => strings(check_memory(graph, &s.steps, memory)),
                (Some(_) | None, Some(_) | None) => vec!["there is no memory plan".into()],
            },
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn strings(faults: Vec<impl ToString>) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn ops_of_passes(graph: &Graph) -> Vec<String> {
    let labels = Labels::new(graph);
    let order = graph.order().into_iter();
    let made = order.filter(|node| graph.op(*node).is_some_and(|op| !op.facts().imported));
    made.map(|node| format!("{} is for passes to make", labels.node(node)))
        .collect()
}

fn unrounded_activations(graph: &Graph, symbols: &Symbols) -> Vec<String> {
    let labels = Labels::new(graph);
    (graph.nodes())
        .filter_map(|node| {
            let found = unrounded(graph, node, symbols)?;
            Some(format!(
                "{} takes {} elements, expected {} from a `quantize`",
                labels.node(node),
                graph.ty(found.x).dtype,
                found.to
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, run_until};
    use sharpi_ir::{Builder, DType, Op, Symbol, TensorType, Weight};

    /// `@one` and `@other`, with two products each.
    fn products() -> Module {
        let mut module = Module::new("m");
        for name in ["one", "other"] {
            let mut b = Builder::new(&mut module.symbols);
            b.bound(Symbol::TOKENS, 1..=8);
            let rows = TensorType::new(DType::F32, [Symbol::TOKENS.into(), 256.into()]);
            let x = b.input("x", rows);
            for name in ["y", "z"] {
                let ty = TensorType::fixed(DType::Q4_K, &[256, 256]);
                let source = name.to_string();
                let weight = b
                    .symbols()
                    .weight(
                        name,
                        Weight {
                            ty,
                            source,
                            rows: None,
                        },
                    )
                    .unwrap();
                let y = b.value(Op::Matmul {}, &[x.into(), weight.into()]).unwrap();
                b.output(name, y);
            }
            let graph = b.finish();
            module.graphs.insert(name.into(), graph);
        }
        module
    }

    fn offences(stage: Stage, module: &Module) -> Vec<String> {
        match stage.check(module) {
            Ok(()) => Vec::new(),
            Err(CompileError::Stage { offences, .. }) => offences,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn every_activation_that_is_not_rounded_keeps_a_module_from_being_fused() {
        let module = products();
        let said = "= matmul : f32[T, 256] takes f32 elements, expected q8_k from a `quantize`";
        let of = |graph: &str| {
            [
                format!("@{graph}: %0 {said}"),
                format!("@{graph}: %1 {said}"),
            ]
        };
        assert_eq!(offences(Stage::Imported, &module), [""; 0]);
        for stage in [Stage::Fused, Stage::Scheduled, Stage::Planned] {
            assert_eq!(offences(stage, &module), [of("one"), of("other")].concat());
        }
    }

    #[test]
    fn every_op_that_passes_have_made_keeps_a_module_from_being_as_imported() {
        let fused = run_until(products(), Stage::Fused, &Options::default());
        let fused = fused.expect("a snapshot").module;
        let said = "%0, %1 = product : f32[T, 256], f32[T, 256] is for passes to make";
        let expected = ["one", "other"].map(|graph| format!("@{graph}: {said}"));
        assert_eq!(offences(Stage::Imported, &fused), expected);
        assert_eq!(offences(Stage::Fused, &fused), [""; 0]);
    }
}
