//! Where tensor data lies in a file.

use indexmap::IndexMap;

use super::error::{Fault, Malformed};
use super::tensor::Entry;
use super::value::Value;

/// The key that sets the alignment.
pub(super) const ALIGNMENT_KEY: &str = "general.alignment";

const DEFAULT_ALIGNMENT: u64 = 32;

/// The alignment of tensor data in bytes.
///
/// The format asks for a multiple of 8 in a `u32`, and its readers for a power
/// of two, so this asks for all of that.
pub(super) fn alignment(metadata: &IndexMap<String, Value>) -> Result<u64, Fault> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(value) => check_alignment(value),
    }
}

pub(super) fn check_alignment(value: &Value) -> Result<u64, Fault> {
    value
        .as_u64()
        .filter(|alignment| alignment.is_power_of_two() && (8..1 << 32).contains(alignment))
        .ok_or_else(|| Fault::Alignment {
            found: format!("{} {value}", value.type_name()),
        })
}

/// Turns the offsets of the entries into offsets in the file, and checks that
/// the data of each is aligned, inside the file and its own.
pub(super) fn place(
    entries: &mut [Entry],
    header_bytes: u64,
    alignment: u64,
    file_bytes: u64,
) -> Result<(), Malformed> {
    let data_start = u128::from(header_bytes).next_multiple_of(u128::from(alignment));
    for entry in &mut *entries {
        let start = start_in_file(entry, data_start, alignment, file_bytes)
            .map_err(|fault| at_offset(entry, fault))?;
        entry.info.offset = start;
    }
    check_overlap(entries)
}

fn start_in_file(
    entry: &Entry,
    data_start: u128,
    alignment: u64,
    file_bytes: u64,
) -> Result<u64, Fault> {
    let (found, bytes) = (entry.info.offset, entry.info.bytes);
    if found % alignment != 0 {
        return Err(Fault::Misaligned { found, alignment });
    }
    let start = data_start + u128::from(found);
    if start + u128::from(bytes) > u128::from(file_bytes) {
        return Err(Fault::OutOfRange {
            start,
            bytes,
            file_bytes,
        });
    }
    Ok(start as u64)
}

fn check_overlap(entries: &[Entry]) -> Result<(), Malformed> {
    let mut by_start: Vec<&Entry> = entries.iter().collect();
    by_start.sort_by_key(|entry| entry.info.offset);
    for pair in by_start.windows(2) {
        let (first, second) = (&pair[0].info, &pair[1].info);
        let end = first.offset + first.bytes;
        if second.offset < end {
            let fault = Fault::Overlap {
                start: second.offset,
                other: first.name.clone(),
                end,
            };
            return Err(at_offset(pair[1], fault));
        }
    }
    Ok(())
}

fn at_offset(entry: &Entry, fault: Fault) -> Malformed {
    Malformed::new(entry.offset_at, fault).within("tensor", &entry.info.name)
}
