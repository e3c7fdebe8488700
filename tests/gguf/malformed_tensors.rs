//! Files whose tensor table is broken.

use crate::raw::Raw;

const F32: u32 = 0;
const Q8_0: u32 = 8;
const I8: u32 = 24;

#[test]
fn a_tensor_has_one_to_four_dimensions() {
    Raw::new(1, 0)
        .tensor("t", &[], F32, 0)
        .data(64)
        .fails("offset 0x21: tensor \"t\": expected 1 to 4 dimensions, found 0");
    Raw::new(1, 0)
        .tensor("t", &[1; 5], F32, 0)
        .data(64)
        .fails("offset 0x21: tensor \"t\": expected 1 to 4 dimensions, found 5");
    Raw::new(1, 0)
        .text("t")
        .u32(u32::MAX)
        .data(64)
        .fails("offset 0x21: tensor \"t\": expected 1 to 4 dimensions, found 4294967295");
}

#[test]
fn a_dimension_is_not_zero() {
    Raw::new(1, 0)
        .tensor("t", &[4, 0], F32, 0)
        .data(64)
        .fails("offset 0x2d: tensor \"t\": expected dimension 1 to be at least 1, found 0");
}

#[test]
fn the_size_of_a_tensor_fits_64_bits() {
    Raw::new(1, 0)
        .tensor("t", &[1 << 32, 1 << 32], I8, 0)
        .data(64)
        .fails(
            "offset 0x21: tensor \"t\": \
             I8 tensor of dimensions [4294967296, 4294967296] overflows a 64-bit size",
        );
    Raw::new(1, 0)
        .tensor("t", &[1 << 63], F32, 0)
        .data(64)
        .fails(
            "offset 0x21: tensor \"t\": \
         F32 tensor of dimensions [9223372036854775808] overflows a 64-bit size",
        );
}

#[test]
fn a_row_is_whole_blocks() {
    Raw::new(1, 0)
        .tensor("t", &[33, 32], Q8_0, 0)
        .data(4096)
        .fails(
            "offset 0x35: tensor \"t\": expected rows of whole Q8_0 blocks of 32, \
             found rows of 33",
        );
}

#[test]
fn unknown_and_removed_types_are_told_apart() {
    Raw::new(1, 0)
        .tensor("t", &[32], 1000, 0)
        .data(64)
        .fails("offset 0x2d: tensor \"t\": tensor type 1000 is not known");
    for (id, name) in [
        (4, "Q4_2"),
        (5, "Q4_3"),
        (31, "Q4_0_4_4"),
        (38, "IQ4_NL_8_8"),
    ] {
        Raw::new(1, 0).tensor("t", &[32], id, 0).data(64).fails(&format!(
            "offset 0x2d: tensor \"t\": tensor type {id} ({name}) has been removed from the format"
        ));
    }
}

#[test]
fn data_starts_on_the_alignment() {
    Raw::new(1, 0).tensor("t", &[4], F32, 8).data(64).fails(
        "offset 0x31: tensor \"t\": expected a data offset that is a multiple of 32, found 8",
    );
}

#[test]
fn data_ends_inside_the_file() {
    Raw::new(1, 0)
        .tensor("t", &[8], F32, 0)
        .data(31)
        .fails("offset 0x31: tensor \"t\": data needs 32 bytes at 0x40, but the file ends at 0x5f");
    Raw::new(1, 0)
        .tensor("t", &[8], F32, u64::MAX - 31)
        .data(64)
        .fails(
            "offset 0x31: tensor \"t\": data needs 32 bytes at 0x10000000000000020, \
             but the file ends at 0x80",
        );
}

#[test]
fn tensors_do_not_overlap() {
    Raw::new(2, 0)
        .tensor("a", &[16], F32, 32)
        .tensor("b", &[16], F32, 0)
        .data(128)
        .fails(
            "offset 0x31: tensor \"a\": data at 0x80 lies inside tensor \"b\", which ends at 0xa0",
        );
}

#[test]
fn a_tensor_name_occurs_only_once() {
    Raw::new(2, 0)
        .tensor("a", &[8], F32, 0)
        .tensor("a", &[8], F32, 32)
        .data(64)
        .fails("offset 0x39: tensor \"a\" occurs a second time");
}

#[test]
fn a_tensor_name_is_utf8() {
    Raw::new(1, 0)
        .text(b"\x80")
        .data(64)
        .fails("offset 0x20: expected UTF-8 in the tensor name, found byte 0x80");
}
