//! A pass of one's own in the pipeline: `cargo run --release --example own_pass`.

use std::error::Error;

use sharpi_compile::ir::text::{parse, print};
use sharpi_compile::ir::{Graph, NodeId, Op, Patch, Symbols, Value};
use sharpi_compile::passes::rewrite::{Rule, rewrite};
use sharpi_compile::passes::{Context, Options, Pass, PassError, Pipeline, Stats, compile};

/// Takes away factors of 1, so that what is the same without them is found to be the same.
struct DropNeutral;

impl Pass for DropNeutral {
    fn name(&self) -> &'static str {
        "drop-neutral"
    }

    fn doc(&self) -> &'static str {
        "takes away factors of 1"
    }

    fn run(&self, graph: &mut Graph, context: &mut Context<'_>) -> Result<Stats, PassError> {
        let rule = Rule {
            name: "factor-of-1",
            find: factor_of_1,
        };
        rewrite(graph, context, &[rule])
    }
}

/// What the rule makes of an op; a patch is checked before anything changes.
fn factor_of_1(graph: &Graph, node: NodeId, _: &Symbols) -> Option<Patch> {
    let Op::Scale { by: 1.0 } = graph.op(node)? else {
        return None;
    };
    let x = graph.value_operands(node).next()?;
    let mut patch = Patch::new("factor-of-1");
    patch.replace(Value { node, result: 0 }, x.into());
    patch.erase(node);
    Some(patch)
}

const MODULE: &str = "module @twice {
  graph @g(%x: f32[T, 64]) -> (%y: f32[T, 64]) where T in 1..=8 {
    %0 = scale %x {by = 1.0} : f32[T, 64]
    %1 = silu %0 : f32[T, 64]
    %2 = silu %x : f32[T, 64]
    %3 = add %1, %2 : f32[T, 64]
    return %y = %3
  }
}
";

/// The graph as it was compiled, and what each pass did.
pub fn text() -> Result<String, Box<dyn Error>> {
    let options = Options::default().pipeline(Pipeline::default().before("cse", DropNeutral)?);
    let compiled = compile(parse(MODULE)?, &options)?;
    Ok(format!("{}{}", print(&compiled.module), compiled.report))
}

/// Prints it.
pub fn main() -> Result<(), Box<dyn Error>> {
    print!("{}", text()?);
    Ok(())
}
