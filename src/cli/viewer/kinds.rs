//! Kinds of ops, and a colour for each, where no page chooses it.

/// What an op does, by its mnemonic, as the page sorts them.
pub(in crate::cli) fn kind_of(mnemonic: &str) -> Kind {
    match mnemonic {
        "matmul" | "eh_proj" | "product" | "moe_matmul" | "moe_swiglu" | "moe_sum" => Kind::Product,
        "attention" | "rope_attention" | "kv_store" | "rope" | "pool_keys" | "choose_blocks" => {
            Kind::Attention
        }
        "causal_conv" | "dilated_conv" | "stream_conv" | "gdn_scan" | "gated_delta_net" => {
            Kind::Recurrent
        }
        "rmsnorm" | "l2norm" => Kind::Norm,
        "softmax" | "topk_router" | "expert_rows" | "expert_sum" => Kind::Routing,
        "quantize" => Kind::Rounding,
        "embed" | "get_rows" | "concat" | "split" | "reshape" | "streams" | "ngram_rows" => {
            Kind::Moving
        }
        _ => Kind::Elementwise,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Kind {
    Product,
    Attention,
    Recurrent,
    Norm,
    Routing,
    Rounding,
    Moving,
    Elementwise,
}

impl Kind {
    /// As the page names it.
    #[cfg(test)]
    fn name(self) -> &'static str {
        match self {
            Kind::Product => "product",
            Kind::Attention => "attention",
            Kind::Recurrent => "recurrent",
            Kind::Norm => "norm",
            Kind::Routing => "routing",
            Kind::Rounding => "rounding",
            Kind::Moving => "moving",
            Kind::Elementwise => "elementwise",
        }
    }
}

pub(in crate::cli) fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Product => "#3b72c4",
        Kind::Attention => "#8a55b8",
        Kind::Recurrent => "#1b8a78",
        Kind::Norm => "#b9801a",
        Kind::Routing => "#b8477f",
        Kind::Rounding => "#c2602c",
        Kind::Moving => "#71716d",
        Kind::Elementwise => "#55863a",
    }
}

#[cfg(test)]
mod tests {
    use sharpi_ir::Op;

    use super::*;

    #[test]
    fn the_page_sorts_ops_and_colours_kinds_as_pictures_do() {
        let script = include_str!("../../serve/page/kinds.js");
        let style = include_str!("../../serve/page/colours.css");
        for signature in Op::SIGNATURES {
            let kind = kind_of(signature.mnemonic);
            let line = script
                .lines()
                .find(|line| line.trim().starts_with(&format!("[\"{}\"", kind.name())));
            let words = line.map(|line| line.replace('"', " ")).unwrap_or_default();
            let listed = words
                .split([' ', ']'])
                .any(|word| word == signature.mnemonic);
            assert_eq!(listed, kind != Kind::Elementwise, "{}", signature.mnemonic);
            let expected = format!("--kind-{}: light-dark({}", kind.name(), colour(kind));
            assert!(style.contains(&expected), "{expected}");
        }
    }
}
