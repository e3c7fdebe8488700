//! Models split over several files.

use std::fs;
use std::path::{Path, PathBuf};

use sharpi_compile::gguf::write::Writer;
use sharpi_compile::gguf::{GgmlType, Gguf, GgufError};
use tempfile::TempDir;

use crate::round_trip::written;

/// A part that calls itself number `no` (from 0) of `count`.
fn part(no: u16, count: u16, tensor: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .metadata("split.no", no)
        .metadata("split.count", count)
        .metadata("split.tensors.count", 3i32)
        .tensor(tensor, GgmlType::I8, &[4], vec![no as u8; 4]);
    if no == 0 {
        writer.metadata("general.name", "whole");
    }
    written(&writer)
}

fn path(dir: &Path, part: u16) -> PathBuf {
    dir.join(format!("model-{part:05}-of-00003.gguf"))
}

/// A set of three parts.
fn set() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (no, tensor) in (0..).zip(["a", "b", "c"]) {
        fs::write(path(dir.path(), no + 1), part(no, 3, tensor)).unwrap();
    }
    dir
}

fn error(path: &Path) -> (GgufError, String) {
    let error = Gguf::open(path).unwrap_err();
    let message = error.to_string();
    (error, message)
}

#[test]
fn the_first_part_opens_the_whole_set() {
    let dir = set();
    let gguf = Gguf::open(path(dir.path(), 1)).unwrap();
    let found: Vec<_> = gguf
        .tensors()
        .values()
        .map(|t| (t.name.as_str(), t.part, gguf.data(t)))
        .collect();
    assert_eq!(
        found,
        [("a", 0, &[0; 4][..]), ("b", 1, &[1; 4]), ("c", 2, &[2; 4])]
    );
    assert_eq!(gguf.get("general.name").unwrap().as_str(), Some("whole"));
    let sizes = (1..=3).map(|no| fs::metadata(path(dir.path(), no)).unwrap().len());
    assert_eq!(gguf.file_bytes(), sizes.sum::<u64>());
}

#[test]
fn another_part_says_which_file_to_open() {
    let dir = set();
    let (second, first) = (path(dir.path(), 2), path(dir.path(), 1));
    let (error, message) = error(&second);
    assert!(matches!(error, GgufError::NotFirstPart { part: 2, .. }));
    assert_eq!(
        message,
        format!(
            "{}: this is part 2 of 3 of a split model; open the first part, {}",
            second.display(),
            first.display()
        )
    );
}

#[test]
fn a_missing_part_is_named() {
    let dir = set();
    let third = path(dir.path(), 3);
    fs::remove_file(&third).unwrap();
    let (error, message) = error(&path(dir.path(), 1));
    assert!(matches!(error, GgufError::MissingPart { part: 3, .. }));
    assert_eq!(
        message,
        format!(
            "{}: part 3 of 3 of the split model is missing",
            third.display()
        )
    );
}

#[test]
fn a_part_in_the_wrong_place_is_found_out() {
    let dir = set();
    let second = path(dir.path(), 2);
    fs::copy(path(dir.path(), 3), &second).unwrap();
    let (_, message) = error(&path(dir.path(), 1));
    assert_eq!(
        message,
        format!("{}: split.no: expected 1, found 2", second.display())
    );
}

#[test]
fn a_part_of_another_set_is_found_out() {
    let dir = set();
    let second = path(dir.path(), 2);
    fs::write(&second, part(1, 4, "b")).unwrap();
    let (_, message) = error(&path(dir.path(), 1));
    assert_eq!(
        message,
        format!("{}: split.count: expected 3, found 4", second.display())
    );
}

#[test]
fn a_whole_file_may_be_named_as_a_part() {
    let dir = tempfile::tempdir().unwrap();
    let mut whole = Writer::new();
    whole.tensor("a", GgmlType::I8, &[4], vec![0; 4]);
    for part in [1, 3] {
        fs::write(path(dir.path(), part), written(&whole)).unwrap();
        let gguf = Gguf::open(path(dir.path(), part)).unwrap();
        assert_eq!(gguf.tensors().len(), 1);
    }
}

#[test]
fn a_part_must_be_named_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.gguf");
    fs::write(&path, part(0, 3, "a")).unwrap();
    let (_, message) = error(&path);
    assert_eq!(
        message,
        format!(
            "{}: this is part 1 of 3 of a split model; \
             expected its name to end in -00001-of-00003.gguf",
            path.display()
        )
    );
}

#[test]
fn the_tensors_of_all_parts_are_counted() {
    let dir = set();
    let mut empty = Writer::new();
    empty
        .metadata("split.no", 2u16)
        .metadata("split.count", 3u16)
        .metadata("split.tensors.count", 3i32);
    fs::write(path(dir.path(), 3), written(&empty)).unwrap();
    let first = path(dir.path(), 1);
    let (_, message) = error(&first);
    assert_eq!(
        message,
        format!(
            "{}: split.tensors.count: expected 3 tensors in the whole set, found 2",
            first.display()
        )
    );
}

#[test]
fn a_tensor_in_two_parts_is_a_duplicate_in_the_second() {
    let dir = set();
    let second = path(dir.path(), 2);
    fs::write(&second, part(1, 3, "a")).unwrap();
    let (error, message) = error(&path(dir.path(), 1));
    let offset = error.offset().unwrap();
    assert_eq!(
        message,
        format!(
            "{}: offset {offset:#x}: tensor \"a\" occurs a second time",
            second.display()
        )
    );
}

#[test]
fn a_fault_in_a_part_names_the_part() {
    let dir = set();
    let third = path(dir.path(), 3);
    fs::write(&third, b"GG").unwrap();
    let (_, message) = error(&path(dir.path(), 1));
    assert_eq!(
        message,
        format!(
            "{}: offset 0x0: magic needs 4 bytes, but the file has 2 left",
            third.display()
        )
    );
}

#[test]
fn a_set_of_one_is_an_ordinary_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model-00001-of-00001.gguf");
    fs::write(&path, part(0, 1, "a")).unwrap();
    assert_eq!(Gguf::open(path).unwrap().tensors().len(), 1);
}

#[test]
fn one_part_cannot_be_read_from_memory() {
    let error = Gguf::from_bytes(part(0, 3, "a")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the bytes are one part of 3 of a split model, which has to be opened by path"
    );
}
