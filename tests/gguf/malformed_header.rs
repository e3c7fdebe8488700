//! Files whose header or metadata is broken.

use sharpi_compile::gguf::{Fault, Gguf};

use crate::raw::Raw;

#[test]
fn an_empty_file_has_no_magic() {
    Raw(vec![]).fails("offset 0x0: magic needs 4 bytes, but the file has 0 left");
}

#[test]
fn another_magic_is_shown() {
    Raw(b"tjgg\x03\0\0\0".to_vec()).fails(r#"offset 0x0: expected the magic "GGUF", found "tjgg""#);
}

#[test]
fn unsupported_versions_are_refused() {
    for version in [0, 1, 4] {
        Raw(b"GGUF".to_vec()).u32(version).fails(&format!(
            "offset 0x4: GGUF version {version} is not supported, expected 2 or 3"
        ));
    }
}

#[test]
fn a_big_endian_file_is_called_that() {
    Raw(b"GGUF\0\0\0\x03".to_vec())
        .fails("offset 0x4: the file is big-endian (version 3), expected a little-endian file");
}

#[test]
fn counts_beyond_the_file_are_refused_before_anything_is_allocated() {
    Raw::new(1 << 60, 0).fails(
        "offset 0x8: tensor count 1152921504606846976 needs at least 36893488147419103232 bytes, \
         but the file has 8 left",
    );
    Raw::new(0, u64::MAX).fails(
        "offset 0x10: metadata count 18446744073709551615 needs at least 258254417031933722610 \
         bytes, but the file has 0 left",
    );
}

#[test]
fn an_array_longer_than_the_file_is_refused() {
    let fault = Raw::new(0, 1).text("a").u32(9).u32(4).u64(1 << 60).fails(
        "offset 0x29: key \"a\": array length 1152921504606846976 needs at least \
         4611686018427387904 bytes, but the file has 0 left",
    );
    assert!(matches!(*fault, Fault::Count { count, .. } if count == 1 << 60));
}

#[test]
fn a_string_longer_than_the_file_is_refused() {
    Raw::new(0, 1)
        .text("a")
        .u32(8)
        .u64(u64::MAX)
        .bytes(b"xy")
        .fails(
            "offset 0x2d: key \"a\": string needs 18446744073709551615 bytes, \
         but the file has 2 left",
        );
}

#[test]
fn a_key_longer_than_the_file_is_refused() {
    Raw::new(0, 1)
        .u64(99)
        .bytes(b"abcdefgh")
        .fails("offset 0x20: key needs 99 bytes, but the file has 8 left");
}

#[test]
fn an_unknown_value_type_is_refused() {
    Raw::new(0, 1)
        .text("a")
        .u32(13)
        .u64(0)
        .fails("offset 0x21: key \"a\": expected a value type from 0 to 12, found 13");
    Raw::new(0, 1)
        .text("a")
        .u32(9)
        .u32(77)
        .u64(0)
        .fails("offset 0x25: key \"a\": expected a value type from 0 to 12, found 77");
}

#[test]
fn a_bool_is_zero_or_one() {
    Raw::new(0, 1)
        .text("a")
        .u32(7)
        .bytes(&[2])
        .fails("offset 0x25: key \"a\": expected a bool of 0 or 1, found 2");
    Raw::new(0, 1)
        .text("a")
        .u32(9)
        .u32(7)
        .u64(3)
        .bytes(&[0, 1, 255])
        .fails("offset 0x33: key \"a\": expected a bool of 0 or 1, found 255");
}

#[test]
fn keys_and_tokens_must_be_utf8_and_the_bad_byte_is_pointed_at() {
    Raw::new(0, 1)
        .text(b"ab\xff")
        .u32(0)
        .bytes(&[0])
        .fails("offset 0x22: expected UTF-8 in the key, found byte 0xff");
    Raw::new(0, 1)
        .text("tokenizer.ggml.tokens")
        .u32(9)
        .u32(8)
        .u64(2)
        .text("fine")
        .text(b"x\xc3")
        .fails(
            "offset 0x5a: key \"tokenizer.ggml.tokens\": expected UTF-8 in the string, found byte 0xc3",
        );
}

#[test]
fn other_text_that_is_no_utf8_is_read_with_replacement_characters() {
    let raw = Raw::new(0, 2)
        .text("quantize.imatrix.file")
        .u32(8)
        .text(b"D:\\\xc4\xa3\xd0\xcd\\imatrix.dat")
        .text("notes")
        .u32(9)
        .u32(8)
        .u64(2)
        .text("fine")
        .text(b"\xff");
    let gguf = Gguf::from_bytes(raw.0).unwrap();
    let path = gguf.get("quantize.imatrix.file").unwrap();
    assert_eq!(path.as_str(), Some("D:\\ģ\u{fffd}\u{fffd}\\imatrix.dat"));
    let notes = gguf.get("notes").unwrap().as_array().unwrap();
    assert_eq!(notes.as_strs().unwrap(), ["fine", "\u{fffd}"]);
}

#[test]
fn a_key_may_occur_only_once() {
    Raw::new(0, 2)
        .text("a")
        .u32(0)
        .bytes(&[1])
        .text("a")
        .u32(0)
        .bytes(&[1])
        .fails("offset 0x26: key \"a\" occurs a second time");
}

#[test]
fn a_long_key_is_cut_short_in_the_message() {
    let key = "k".repeat(1000);
    let shown = "k".repeat(60);
    Raw::new(0, 1).text(&key).u32(13).u64(0).fails(&format!(
        "offset 0x408: key \"{shown}\"… (1000 bytes): \
         expected a value type from 0 to 12, found 13"
    ));
}

fn nested(depth: u64) -> Raw {
    let raw = Raw::new(0, 1).text("a").u32(9);
    let raw = (1..depth).fold(raw, |raw, _| raw.u32(9).u64(1));
    raw.u32(0).u64(0)
}

#[test]
fn arrays_nest_to_a_limit() {
    assert!(Gguf::from_bytes(nested(8).0).is_ok());
    nested(9)
        .fails("offset 0x85: key \"a\": expected arrays nested at most 8 deep, found one deeper");
    nested(100_000)
        .fails("offset 0x85: key \"a\": expected arrays nested at most 8 deep, found one deeper");
}

#[test]
fn the_alignment_is_a_power_of_two_from_eight_up() {
    for alignment in [0, 4, 24, u32::MAX] {
        Raw::new(0, 1)
            .text("general.alignment")
            .u32(4)
            .u32(alignment)
            .fails(&format!(
                "offset 0x35: key \"general.alignment\": \
                 expected a power of two from 8 to 2^31, found u32 {alignment}"
            ));
    }
    Raw::new(0, 1)
        .text("general.alignment")
        .u32(8)
        .text("32")
        .fails(
            "offset 0x35: key \"general.alignment\": \
             expected a power of two from 8 to 2^31, found string \"32\"",
        );
}
