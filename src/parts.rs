//! Which part of the model an op belongs to: its block, and the weights or states that it uses.

use std::collections::HashMap;

use sharpi_ir::{Graph, NodeId, Operand, Symbols};

/// The block of each op of `order`: that of its weights and states, else that of its results'
/// names, else that of the latest of its operands. An op with weights of no block, such as the
/// head, belongs to none, and neither does an op that reads inputs alone.
pub fn blocks(graph: &Graph, symbols: &Symbols, order: &[NodeId]) -> HashMap<NodeId, usize> {
    let mut blocks = HashMap::new();
    for &node in order {
        let of_symbols = of_symbols(graph, symbols, node);
        let names = graph.results(node).iter().filter_map(|r| r.name.as_deref());
        let block = match of_symbols {
            Some(block) => block,
            None => names.filter_map(in_name).next_back().or_else(|| {
                let operands = graph.value_operands(node);
                operands.filter_map(|v| blocks.get(&v.node).copied()).max()
            }),
        };
        if let Some(block) = block {
            blocks.insert(node, block);
        }
    }
    blocks
}

/// `None` if the op has neither weights nor states, `Some(None)` if they are of no block.
fn of_symbols(graph: &Graph, symbols: &Symbols, node: NodeId) -> Option<Option<usize>> {
    let operands = graph.operands(node).into_iter();
    let mut names = operands.filter_map(|o| symbol_name(symbols, o)).peekable();
    names.peek()?;
    Some(names.find_map(|name| in_symbol(name).map(|(block, _)| block)))
}

/// Name of the weight or state in an operand slot.
pub fn symbol_name(symbols: &Symbols, operand: Operand) -> Option<&str> {
    match operand {
        Operand::Value(_) => None,
        Operand::Weight(w) => symbols.weight_of(w).map(|(name, _)| name),
        Operand::State(s) => symbols.state_of(s).map(|(name, _)| name),
    }
}

/// `blk.3.attn_q` is `attn_q` of block 3.
pub fn in_symbol(name: &str) -> Option<(usize, &str)> {
    let (block, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    Some((block.parse().ok()?, rest))
}

/// `Qcur-3` is of block 3.
fn in_name(name: &str) -> Option<usize> {
    name.rsplit_once('-')?.1.parse().ok()
}

/// The name without its block.
pub fn without_block(name: &str) -> &str {
    match in_name(name) {
        Some(_) => name.rsplit_once('-').map_or(name, |(stem, _)| stem),
        None => name,
    }
}

/// Names of the matrices that an op uses, without their block; of its other weights, or its state,
/// where it has none.
pub fn used(graph: &Graph, symbols: &Symbols, node: NodeId) -> Vec<String> {
    let operands = graph.operands(node);
    let named = |matrices: bool| {
        let names = operands.iter().filter_map(|o| match *o {
            Operand::Weight(w) => {
                let (name, weight) = symbols.weight_of(w)?;
                (weight.ty.rank() > 1 || !matrices).then_some(name)
            }
            Operand::State(s) => symbols
                .state_of(s)
                .map(|(name, _)| name)
                .filter(|_| !matrices),
            Operand::Value(_) => None,
        });
        let names = names.map(|name| in_symbol(name).map_or(name, |(_, rest)| rest).to_string());
        names.collect::<Vec<_>>()
    };
    let matrices = named(true);
    match matrices.is_empty() {
        true => named(false).into_iter().take(1).collect(),
        false => matrices,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_block() {
        assert_eq!(in_symbol("blk.12.attn_q"), Some((12, "attn_q")));
        assert_eq!(in_symbol("blk.4.nextn.eh_proj"), Some((4, "nextn.eh_proj")));
        assert_eq!(in_symbol("token_embd"), None);
        assert_eq!(without_block("l_out-12"), "l_out");
        assert_eq!(without_block("result_norm"), "result_norm");
    }
}
