//! Each weight format's bit layout, on blocks worked out by hand.

use sharpi_kernels::quant::{WeightType, dequantize_row};

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
fn mxfp4_is_an_exponent_and_nibbles_of_e2m1() {
    // 2^(130 − 128), and values twice those of E2M1.
    let out = block(WeightType::MXFP4, &[(0, 130), (1, 0xf7), (16, 0x19)]);
    assert_values(&out, 0.0, &[(0, 48.0), (16, -48.0), (15, -4.0), (31, 4.0)]);
    for (exponent, d) in [
        (0, 2f32.powi(-128)),
        (1, 2f32.powi(-127)),
        (2, 2f32.powi(-126)),
    ] {
        let out = block(WeightType::MXFP4, &[(0, exponent), (1, 1)]);
        assert_values(&out, 0.0, &[(0, d)]);
    }
}

/// Eight weights from `at` on, a hexadecimal byte each, the last one foremost, as ggml's tables
/// have their magnitudes.
fn assert_point(out: &[f32], at: usize, unit: f32, magnitudes: u64, negative: u8) {
    for (i, byte) in magnitudes.to_le_bytes().into_iter().enumerate() {
        let sign = if negative >> i & 1 == 1 { -1.0 } else { 1.0 };
        assert_eq!(
            out[at + i],
            sign * unit * f32::from(byte),
            "weight {}",
            at + i
        );
    }
}

#[test]
fn iq2_xxs_has_four_indices_signs_by_seven_and_a_scale_for_each_32_weights() {
    // Sub-block 2: indices 255, 128, 100, 0; the signs of the second and fourth eight, of which
    // one is made even; scale 9.
    let signs = (0b101_0011u32 << 7 | 0b000_0001 << 21 | 9 << 28).to_le_bytes();
    let quants = [(18, 255), (19, 128), (20, 100)];
    let signs: Vec<_> = (22..).zip(signs).collect();
    let out = block(
        WeightType::IQ2_XXS,
        &[&[(1, ONE)], &quants[..], &signs].concat(),
    );
    let unit = 19.0 / 8.0;
    assert_point(&out, 64, unit, 0x2b2b_2b19_0808_1908, 0);
    assert_point(&out, 72, unit, 0x082b_2b08_0808_2b08, 0b0101_0011);
    assert_point(&out, 80, unit, 0x0819_2b08_0808_1908, 0);
    assert_point(&out, 88, unit, 0x0808_0808_0808_0808, 0b1000_0001);
    assert_eq!((out[63], out[96]), (1.0, 1.0));
}

#[test]
fn iq2_xs_has_nine_bits_of_index_and_seven_of_signs_and_scales_for_each_16_weights() {
    // Weights 248.. and 136..: indices 511 and 300; scales 15 and 8.
    let word = |index: u16, signs: u16| (index | signs << 9).to_le_bytes();
    let ([a, b], [c, d]) = (word(511, 0b000_0111), word(300, 0));
    let quants = [(64, a), (65, b), (36, c), (37, d)];
    let scales = [(66 + 7, 0x40), (66 + 4, 0x0b)];
    let out = block(
        WeightType::IQ2_XS,
        &[&[(1, ONE)], &quants[..], &scales].concat(),
    );
    assert_point(&out, 248, 9.0 / 8.0, 0x2b2b_2b2b_2b2b_2b2b, 0b1000_0111);
    assert_point(&out, 136, 23.0 / 8.0, 0x1908_1908_0819_1908, 0);
    assert_eq!((out[0], out[239], out[144]), (1.0, 1.0, 1.0));
}

#[test]
fn iq2_s_has_two_more_bits_of_each_index_and_whole_bytes_of_signs() {
    // Weights 232..: the upper two bits of index 512, its signs, scale 3 of that sub-block.
    let bytes = [
        (1, ONE),
        (34 + 29, 0b0110_0001),
        (66 + 7, 0b10 << 2),
        (74 + 7, 3),
    ];
    let out = block(WeightType::IQ2_S, &bytes);
    assert_point(&out, 232, 7.0 / 8.0, 0x1908_0819_082b_1919, 0b0110_0001);
    assert_eq!((out[224], out[240]), (7.0, 1.0));
}

#[test]
fn iq3_xxs_has_indices_of_four_weights_and_signs_by_seven() {
    // Sub-block 7: its third and fourth indices are 255 and 100, the signs between them odd in
    // number; scale 4.
    let signs = (0b010_0101u32 << 7 | 4 << 28).to_le_bytes();
    let signs: Vec<_> = (66 + 28..).zip(signs).collect();
    let bytes = [&[(1, TWO), (2 + 58, 255), (2 + 59, 100)], &signs[..]].concat();
    let out = block(WeightType::IQ3_XXS, &bytes);
    assert_point(
        &out,
        232,
        2.0 * 9.0 / 4.0,
        0x1404_0c1c_3e34_1c04,
        0b1010_0101,
    );
    assert_eq!((out[0], out[240]), (2.0, 18.0));
}

#[test]
fn iq3_s_has_the_ninth_bits_of_indices_and_whole_bytes_of_signs() {
    // Sub-block 3: its second index is 256 + 255, its third 256 + 44; scale 6.
    let bytes = [
        (1, ONE),
        (2 + 25, 0xff),
        (2 + 26, 44),
        (66 + 3, 0b0110),
        (74 + 12, 0b1100_0000),
        (74 + 13, 0b0000_0001),
        (106 + 1, 0x60),
    ];
    let out = block(WeightType::IQ3_S, &bytes);
    assert_point(&out, 96, 13.0, 0x0f0f_0101_0101_0101, 0b1100_0000);
    assert_point(&out, 104, 13.0, 0x0101_0101_0703_0503, 0b0000_0001);
    assert_eq!((out[95], out[128]), (1.0, 1.0));
}

/// Eight weights from `at` on of IQ1: −1, 0 or 1, a hexadecimal byte each as in ggml's table, and all
/// moved by as much.
fn assert_moved(out: &[f32], at: usize, scale: f32, point: u64, by: f32) {
    for (i, byte) in point.to_le_bytes().into_iter().enumerate() {
        let value = scale * (f32::from(byte as i8) + by);
        assert_eq!(out[at + i], value, "weight {}", at + i);
    }
}

#[test]
fn iq1_s_has_indices_of_eleven_bits_and_for_each_32_weights_a_scale_and_a_direction() {
    // Sub-block 2: its second index is 0x5a3; scale 3, down.
    let word = (1u16 << 15 | 3 << 12 | 5 << 3).to_le_bytes();
    let bytes = [
        (1, ONE),
        (2 + 9, 0xa3),
        (34 + 4, word[0]),
        (34 + 5, word[1]),
    ];
    let out = block(WeightType::IQ1_S, &bytes);
    assert_moved(&out, 72, 7.0, 0x01ff_ffff_01ff_ffff, -0.125);
    assert_eq!((out[64], out[95]), (7.0 * -1.125, 7.0 * -1.125));
    assert_eq!((out[63], out[96]), (-0.875, -0.875));
}

#[test]
fn iq1_m_has_a_direction_for_each_eight_weights_and_its_factor_above_the_scales() {
    // Weights 184..: index 0x30c, down; the scale of 176.. is 6. The factor's nibbles are 0, 0, 12, 3.
    let bytes = [(23, 0x0c), (32 + 11, 0xb0), (48 + 5, 0xcc), (48 + 7, 0x30)];
    let out = block(WeightType::IQ1_M, &bytes);
    assert_moved(&out, 184, 13.0, 0x00ff_0001_0001_ff01, -0.125);
    assert_eq!((out[176], out[183]), (13.0 * -0.875, 13.0 * -0.875));
    assert_eq!((out[175], out[192]), (-0.875, -0.875));
}

#[test]
fn tq1_0_has_five_digits_a_byte_and_four_in_the_last_bytes() {
    // Of 243 and 256: digits 2 1 0 2 1, 0 2 0 0 0 and 1 0 0 2, of which a fifth is 0.
    let bytes = [(53, ONE), (3, 207), (47, 57), (50, 92)];
    let out = block(WeightType::TQ1_0, &bytes);
    let named = [
        (3, 1.0),
        (35, 0.0),
        (99, 1.0),
        (131, 0.0),
        (191, 1.0),
        (242, 0.0),
        (254, 1.0),
    ];
    assert_values(&out, -1.0, &named);
}

#[test]
fn tq2_0_has_four_pairs_a_byte_minus_one() {
    let out = block(WeightType::TQ2_0, &[(65, TWO), (32 + 5, 0b10_01_00_11)]);
    assert_values(&out, -2.0, &[(133, 4.0), (197, 0.0), (229, 2.0)]);
}

#[test]
fn nvfp4_has_a_float_of_eight_bits_for_each_sixteen_weights() {
    // Scales 1/2, NaN which is nothing, and the second of the subnormal ones.
    let scales = [(1, 0x38), (2, 0x7f), (3, 0x02)];
    let quants = [(4 + 8, 0xf7), (4 + 16, 0x11), (4 + 31, 0x21)];
    let out = block(WeightType::NVFP4, &[scales, quants].concat());
    let least = 2f32.powi(-9);
    let named = [(16, 6.0), (24, -6.0), (55, least), (63, 2.0 * least)];
    assert_values(&out, 0.0, &named);
}

#[test]
fn q1_0_is_a_scale_and_signs() {
    let out = block(WeightType::Q1_0, &[(1, TWO), (5, 0b1000_0001), (17, 0b10)]);
    assert_values(&out, -2.0, &[(24, 2.0), (31, 2.0), (121, 2.0)]);
}

#[test]
fn q2_0_has_four_neighbours_a_byte_minus_one() {
    let out = block(WeightType::Q2_0, &[(1, TWO), (2 + 9, 0b11_10_01_00)]);
    assert_values(&out, -2.0, &[(37, 0.0), (38, 2.0), (39, 4.0)]);
}

#[test]
fn row_sizes_are_those_of_the_file_format() {
    let sizes = WeightType::ALL.map(|ty| ty.row_bytes(256));
    assert_eq!(
        sizes,
        [
            1024, 512, 512, 272, 144, 160, 176, 192, 84, 110, 144, 176, 210, 144, 136, 136, 66, 74,
            82, 98, 110, 50, 56, 54, 66, 144, 36, 72
        ]
    );
}
