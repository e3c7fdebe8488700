//! Files as older converters wrote them give the same bits.

mod support;

use sharpi_compile::ir::DType;
use support::{compile, feed, model, session};

#[test]
fn a_joint_matrix_of_a_deltanet_block_gives_the_bits_of_its_parts() {
    for ty in ["", "-Q8_0"] {
        let logits = ["", "-joint"].map(|form| {
            let model = model(&format!("micro-qwen3next{form}{ty}"));
            let joint = model.gguf().tensor("blk.0.ssm_in.weight").is_some();
            assert_eq!(joint, form == "-joint");
            let mut session = session(&compile(&model, DType::F16), 2);
            let ids: Vec<u32> = (0..40).map(|i| i * 37 % 320).collect();
            let runs = [&ids[..16], &ids[16..17], &ids[17..32], &ids[32..]];
            let rows: Vec<Vec<f32>> = runs
                .into_iter()
                .flat_map(|run| feed(&mut session, run))
                .collect();
            rows.concat()
                .into_iter()
                .map(f32::to_bits)
                .collect::<Vec<_>>()
        });
        assert!(logits[0] == logits[1], "micro-qwen3next{ty}");
    }
}
