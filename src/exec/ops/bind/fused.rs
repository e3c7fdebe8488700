//! Ops that do what stands behind their products.

use std::sync::Arc;

use sharpi_ir::{Bias, Epilogue, Gating, slot};

use super::{bias, rotation, turn};
use crate::exec::ops::Weight;
use crate::exec::ops::activations::Activations;
use crate::exec::ops::attention::{Store, Turn};
use crate::exec::ops::deltanet::ConvSilu;
use crate::exec::ops::moe_fused::{Choice, MoeSum, Shared};
use crate::exec::ops::parts::{BindError, Parts};
use crate::exec::ops::product::{OntoResidual, Part, Product, ScaledSilu, Swiglu, chunk_columns};
use sharpi_kernels::attention::Side;

pub(super) fn product(
    mut p: Parts<'_>,
    norm_eps: Option<f32>,
    epilogue: &Epilogue,
) -> Result<Product, BindError> {
    use slot::Product as of;
    let (x, weights) = p.products(of::x, (of::norm, norm_eps), of::weights)?;
    let parts = match epilogue {
        Epilogue::None => {
            let results = weights.into_iter().zip(p.results);
            results.map(|(w, y)| Part::plain(&x, w, y)).collect()
        }
        Epilogue::Swiglu { to } => {
            let (to, y) = (p.format(*to)?, p.result(0)?);
            let columns = chunk_columns(&x, &weights, to.block_len());
            vec![Part::then(weights, columns, Swiglu { to, y })]
        }
        Epilogue::Add => {
            let (residual, y) = (Some(p.value(of::residual)?), p.result(0)?);
            let columns = chunk_columns(&x, &weights, 1);
            vec![Part::then(weights, columns, OntoResidual { residual, y })]
        }
        Epilogue::Silu { by, to } => {
            let (by, to, y) = (*by, p.format(*to)?, p.result(0)?);
            let columns = chunk_columns(&x, &weights, to.block_len());
            vec![Part::then(weights, columns, ScaledSilu { by, to, y })]
        }
        Epilogue::ConvSilu => {
            let (kernel, state) = (p.weight(of::kernel)?, p.state(of::window)?.index);
            let columns = chunk_columns(&x, &weights, 1);
            let end = ConvSilu::new(&kernel, columns, state, p.result(0)?);
            vec![Part::then(weights, columns, end)]
        }
        Epilogue::Store {
            bias: biased,
            norm_eps,
            n_rot,
            freq_base,
            scaling,
        } => {
            let rotation = rotation(*n_rot, *freq_base, scaling);
            let turn = turn(&mut p, (of::key_norm, *norm_eps), rotation)?;
            let biases = [of::key_bias, of::value_bias].map(|name| bias(&mut p, *biased, name));
            let [keys, values] = biases;
            stores(p, &x, weights, (turn, keys?, values?))?
        }
    };
    Ok(Product { x, parts })
}

/// Keys go into the cache head by head.
fn stores(
    mut p: Parts<'_>,
    x: &Activations,
    weights: Vec<Arc<Weight>>,
    (turn, key_bias, value_bias): (Turn, Option<Vec<f32>>, Option<Vec<f32>>),
) -> Result<Vec<Part>, BindError> {
    let Ok([keys, values]) = <[Arc<Weight>; 2]>::try_from(weights) else {
        return p.fail("keys and values are not two weights");
    };
    let (state, layout) = p.kv(slot::Product::cache)?;
    let pos = p.value(slot::Product::pos)?;
    let store = |side, bias, turn| Store {
        side,
        pos: pos.clone(),
        bias,
        turn,
        state,
        layout,
    };
    let values = vec![values];
    let columns = chunk_columns(x, &values, layout.v.piece(Side::Values, layout.dim));
    Ok(vec![
        Part::then(
            vec![keys],
            layout.dim,
            store(Side::Keys, key_bias, Some(turn)),
        ),
        Part::then(values, columns, store(Side::Values, value_bias, None)),
    ])
}

pub(super) fn moe_sum(
    mut p: Parts<'_>,
    (gating, biased): (Gating, Bias),
    (min, scale): (Option<f32>, Option<f32>),
) -> Result<MoeSum, BindError> {
    use slot::MoeSum as of;
    let (x, weight) = p.matmul(of::x, of::weight)?;
    let gate = match p.has(of::gate) {
        true => Some(p.value(of::gate)?),
        false => None,
    };
    let shared = match p.has(of::shared) {
        true => Some(Shared {
            y: p.value(of::shared)?,
            gate,
        }),
        false => None,
    };
    let choice = Choice {
        used: x.dims[0],
        gating,
        bias: bias(&mut p, biased, of::bias)?,
    };
    Ok(MoeSum {
        x: Activations::plain(x),
        choice,
        logits: p.value(of::logits)?,
        shared,
        weight,
        min,
        scale,
        end: OntoResidual {
            residual: match p.has(of::residual) {
                true => Some(p.value(of::residual)?),
                false => None,
            },
            y: p.result(0)?,
        },
    })
}
