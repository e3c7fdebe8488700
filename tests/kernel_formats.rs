//! Each weight format's bit layout, on blocks worked out by hand.

use sharpi_compile::kernels::quant::{WeightType, dequantize_row};

/// A zeroed block with some bytes set, in f32.
fn block(ty: WeightType, bytes: &[(usize, u8)]) -> Vec<f32> {
    let mut block = vec![0; ty.block_bytes()];
    for (at, byte) in bytes {
        block[*at] = *byte;
    }
    let mut out = vec![f32::NAN; ty.block_len()];
    dequantize_row(ty, &block, &mut out);
    out
}

/// The upper byte of 1.0 and of 2.0 in half precision; the lower one is 0.
const ONE: u8 = 0x3c;
const TWO: u8 = 0x40;

/// Asserts that `out` is `rest` but for the values named.
fn assert_values(out: &[f32], rest: f32, named: &[(usize, f32)]) {
    for (i, got) in out.iter().enumerate() {
        let want = named
            .iter()
            .find(|(at, _)| *at == i)
            .map_or(rest, |(_, value)| *value);
        assert_eq!(*got, want, "weight {i}");
    }
}

#[test]
fn floats_are_widened() {
    assert_eq!(block(WeightType::F32, &[(3, 0x40), (2, 0x20)]), [2.5]);
    assert_eq!(
        block(WeightType::F16, &[(1, TWO), (0, 1)]),
        [2.0 + 1.0 / 512.0]
    );
    assert_eq!(block(WeightType::BF16, &[(1, 0xbf), (0, 0x80)]), [-1.0]);
}

#[test]
fn q8_0_is_a_scale_and_signed_bytes() {
    let out = block(WeightType::Q8_0, &[(1, TWO), (2, 0x80), (33, 5)]);
    assert_values(&out, 0.0, &[(0, -256.0), (31, 10.0)]);
}

#[test]
fn q4_0_has_the_upper_half_in_the_high_nibbles_minus_eight() {
    let out = block(WeightType::Q4_0, &[(1, TWO), (2, 0xf1), (17, 0x9a)]);
    assert_values(&out, -16.0, &[(0, -14.0), (16, 14.0), (15, 4.0), (31, 2.0)]);
}

#[test]
fn q4_1_adds_its_minimum() {
    let out = block(WeightType::Q4_1, &[(1, TWO), (3, ONE), (4, 0xf1)]);
    assert_values(&out, 1.0, &[(0, 3.0), (16, 31.0)]);
}

#[test]
fn q5_0_takes_fifth_bits_in_weight_order() {
    let out = block(WeightType::Q5_0, &[(1, ONE), (2, 1), (4, 1), (6, 0xf1)]);
    assert_values(&out, -16.0, &[(0, 1.0), (16, 15.0)]);
}

#[test]
fn q5_1_takes_fifth_bits_and_adds_its_minimum() {
    let out = block(
        WeightType::Q5_1,
        &[(1, ONE), (3, TWO), (7, 0x80), (8, 0x21)],
    );
    assert_values(&out, 2.0, &[(0, 3.0), (16, 4.0), (31, 18.0)]);
}

#[test]
fn q2_k_has_four_pairs_a_byte_and_a_scale_and_minimum_for_each_sixteen() {
    // Byte 16 of the second half holds weights 144, 176, 208 and 240; their sub-blocks are
    // 9, 11, 13 and 15.
    let bytes = [
        (81, ONE),
        (83, TWO),
        (9, 0x03),
        (11, 0x12),
        (15, 0x0f),
        (16 + 48, 0b10_01_11_01),
    ];
    let out = block(WeightType::Q2_K, &bytes);
    assert_eq!(out[144], 3.0);
    assert_eq!(out[176], 2.0 * 3.0 - 2.0);
    assert_eq!((out[177], out[191], out[192]), (-2.0, -2.0, 0.0));
    assert_eq!(out[208], 0.0);
    assert_eq!(out[240], 15.0 * 2.0);
}

#[test]
fn q3_k_subtracts_four_where_the_third_bit_is_clear_and_spreads_its_scales() {
    // Scales 0..3 from bytes 96.., with 32 subtracted: scale 1 = 0x15 − 32, scale 9 = 0x2f − 32.
    let scales = [(97, 0xf5), (105, 0b00_10_00_01)];
    let quants = [(32 + 16, 0b11), (16, 0b1_0001), (32 + 32 + 16, 0b10)];
    let out = block(
        WeightType::Q3_K,
        &[&scales[..], &quants, &[(109, ONE)]].concat(),
    );
    assert_eq!(out[16], (21.0 - 32.0) * 3.0, "third bit set");
    assert_eq!(out[17], (21.0 - 32.0) * -4.0, "third bit clear");
    assert_eq!(
        out[144],
        (47.0 - 32.0) * 2.0,
        "bit 4 of the mask is weight 128's row"
    );
    assert_eq!(out[145], (47.0 - 32.0) * -4.0);
    assert_eq!(out[0], -32.0 * -4.0);
}

#[test]
fn q4_k_packs_eight_scales_and_minimums_of_six_bits() {
    // Sub-block 1: scale 63, min 3. Sub-block 6: scale 0x2a (upper bits in byte 4 + 2),
    // min 0x15 (upper bits in byte 4 + 6).
    let scales = [
        (5, 63),
        (9, 3),
        (4 + 10, 0x5a),
        (4 + 2, 0b10 << 6),
        (4 + 6, 0b01 << 6),
    ];
    let quants = [(16 + 4, 0x20), (16 + 96 + 31, 0x07)];
    let out = block(
        WeightType::Q4_K,
        &[&scales[..], &quants, &[(1, ONE), (3, TWO)]].concat(),
    );
    assert_eq!(out[36], 63.0 * 2.0 - 6.0);
    assert_eq!(out[37], -6.0);
    assert_eq!(out[192 + 31], 42.0 * 7.0 - 2.0 * 21.0);
    assert_eq!((out[0], out[255]), (0.0, 0.0));
}

#[test]
fn q5_k_has_the_fifth_bit_of_a_sub_block_at_its_own_place() {
    let bytes = [
        (1, ONE),
        (4, 1),
        (4 + 9, 2),
        (16 + 3, 0b0010_0001),
        (48 + 3, 0x02),
    ];
    let out = block(WeightType::Q5_K, &bytes);
    assert_eq!(out[3], 18.0, "scale 1, 2 + 16");
    assert_eq!(out[5 * 32 + 3], 2.0 * 16.0, "sub-block 5, scale 2");
    assert_values(&out, 0.0, &[(3, 18.0), (163, 32.0)]);
}

#[test]
fn q6_k_joins_nibbles_with_pairs_and_subtracts_thirty_two() {
    // Second half, byte 5 of the nibbles and of the pairs; scales 8, 10, 12, 14 of its rows.
    let scales = [(192 + 8, 1), (192 + 10, 2), (192 + 12, 0xff), (192 + 14, 3)];
    let quants = [
        (64 + 5, 0x9a),
        (64 + 37, 0x21),
        (128 + 32 + 5, 0b11_01_00_10),
    ];
    let out = block(
        WeightType::Q6_K,
        &[&scales[..], &quants, &[(209, ONE)]].concat(),
    );
    assert_eq!(out[128 + 5], (10 + 32 - 32) as f32);
    assert_eq!(out[160 + 5], 2.0 * (1.0 - 32.0));
    assert_eq!(out[192 + 5], -(9.0 + 16.0 - 32.0));
    assert_eq!(out[224 + 5], 3.0 * (2.0 + 48.0 - 32.0));
    assert_eq!(out[128], -32.0);
}

#[test]
fn iq4_nl_looks_its_nibbles_up() {
    let out = block(WeightType::IQ4_NL, &[(1, ONE), (2, 0xf8), (17, 0x07)]);
    assert_values(&out, -127.0, &[(0, 1.0), (16, 113.0), (15, -10.0)]);
}

#[test]
fn iq4_xs_has_six_bit_scales_in_two_places_and_nibbles_by_sub_block() {
    // Sub-block 3: low bits 5 (byte 1, high nibble), upper bits 0b10; the others have −32.
    let bytes = [(1, ONE), (2, 0b1000_0000), (5, 0x50), (8 + 48, 0xf8)];
    let out = block(WeightType::IQ4_XS, &bytes);
    assert_eq!(out[96], 5.0);
    assert_eq!(out[112], 5.0 * 113.0);
    assert_eq!(out[97], 5.0 * -127.0);
    assert_eq!(out[0], 32.0 * 127.0);
}

#[test]
fn row_sizes_are_those_of_the_file_format() {
    let sizes = WeightType::ALL.map(|ty| ty.row_bytes(256));
    assert_eq!(
        sizes,
        [
            1024, 512, 512, 272, 144, 160, 176, 192, 84, 110, 144, 176, 210, 144, 136
        ]
    );
}
