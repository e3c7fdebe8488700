//! Stages of a module on its way through the pipeline, and what must hold when each is reached.

use std::fmt;

use sharpi_ir::{Graph, Symbols};

use crate::check_plan::{check_memory, check_schedule};
use crate::label::Labels;
use crate::pass::Decisions;
use crate::quantize_activations::unrounded;

/// How far a module has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Stage {
    /// As lowered from the model file.
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

    /// All that keeps a graph from having reached this stage.
    pub(crate) fn offences(
        self,
        graph: &Graph,
        symbols: &Symbols,
        decisions: &Decisions,
    ) -> Vec<String> {
        match self {
            // Whatever verifies may be imported, also what an earlier run has dumped.
            Stage::Imported => Vec::new(),
            Stage::Fused => unrounded_activations(graph, symbols),
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
    use sharpi_ir::{Builder, DType, Op, Symbol, TensorType, Weight};

    #[test]
    fn every_activation_that_is_not_rounded_keeps_a_graph_from_being_fused() {
        let mut symbols = Symbols::default();
        let mut b = Builder::new(&mut symbols);
        let x = b.input(
            "x",
            TensorType::new(DType::F32, [Symbol::TOKENS.into(), 256.into()]),
        );
        for name in ["one", "other"] {
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
        let offences = Stage::Fused.offences(&graph, &symbols, &Decisions::default());
        let said = "= matmul : f32[T, 256] takes f32 elements, expected q8_k from a `quantize`";
        assert_eq!(offences, [format!("%0 {said}"), format!("%1 {said}")]);
    }
}
