//! Lists and ranges of numbers as llama-bench reads them: `1,2`, `1-8`, `1-8+2`, `1-8*2`.

/// Numbers to go through.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numbers(pub(super) Vec<usize>);

/// Each number is a row of the result: more are a slip of the keyboard.
const MOST: usize = 1024;

/// Reads numbers and ranges with commas between.
pub(super) fn parse(text: &str) -> Result<Numbers, String> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        range(part.trim(), &mut numbers)?;
    }
    Ok(Numbers(numbers))
}

/// As [`parse`], of numbers from 1 on.
pub(super) fn parse_positive(text: &str) -> Result<Numbers, String> {
    let numbers = parse(text)?;
    match numbers.0.contains(&0) {
        true => Err("0 is too few".into()),
        false => Ok(numbers),
    }
}

/// Reads a prompt's and a text's number of tokens, as in `512,128`.
pub(super) fn parse_pair(text: &str) -> Result<(usize, usize), String> {
    let pair = text.split_once(',');
    let pair = pair.and_then(|(p, g)| Some((p.trim().parse().ok()?, g.trim().parse().ok()?)));
    match pair {
        Some((0, _) | (_, 0)) | None => Err(format!(
            "{text:?} is no pair of a prompt's and a text's tokens, such as 512,128"
        )),
        Some(pair) => Ok(pair),
    }
}

fn range(part: &str, numbers: &mut Vec<usize>) -> Result<(), String> {
    let fault = || {
        format!(
            "{part:?} is neither a number nor a range: 8, 1-8, 1-8+2 (by steps) and 1-8*2 (by factors) can be read"
        )
    };
    let number = |text: &str| text.parse::<usize>().map_err(|_| fault());
    let Some((first, rest)) = part.split_once('-') else {
        numbers.push(number(part)?);
        return Ok(());
    };
    let (last, by, factor) = match (rest.split_once('+'), rest.split_once('*')) {
        (Some((last, by)), _) => (last, number(by)?, false),
        (None, Some((last, by))) => (last, number(by)?, true),
        (None, None) => (rest, 1, false),
    };
    let (mut at, last) = (number(first)?, number(last)?);
    if at > last {
        return Err(format!("{part:?} is empty: {at} is more than {last}"));
    }
    while at <= last {
        if numbers.len() == MOST {
            return Err(format!("{part:?} makes more than {MOST} numbers"));
        }
        numbers.push(at);
        let next = match factor {
            true => at.saturating_mul(by),
            false => at.saturating_add(by),
        };
        if next <= at {
            return Err(format!("{part:?} never ends"));
        }
        at = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_are_those_of_llama_bench() {
        let read = |text| parse(text).unwrap().0;
        assert_eq!(read("512"), [512]);
        assert_eq!(read("1,2"), [1, 2]);
        assert_eq!(read("1-4"), [1, 2, 3, 4]);
        assert_eq!(read("1-8+3"), [1, 4, 7]);
        assert_eq!(read("1-8*2"), [1, 2, 4, 8]);
        assert_eq!(read("0,1-8*2,7"), [0, 1, 2, 4, 8, 7]);
    }

    #[test]
    fn what_is_no_range_or_has_no_end_is_refused() {
        for text in ["", "x", "1-", "1-8*", "-1", "1-8+x", "1;2", "1-99999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for endless in ["1-8+0", "1-8*1", "0-8*2"] {
            assert!(parse(endless).unwrap_err().contains("never ends"));
        }
        assert!(parse("1,5-1").unwrap_err().contains("\"5-1\" is empty"));
        assert!(parse_positive("1,0").is_err());
    }

    #[test]
    fn a_pair_has_two_numbers_above_zero() {
        assert_eq!(parse_pair("512,128"), Ok((512, 128)));
        for text in ["512", "512,0", "0,1", "1,2,3", ""] {
            assert!(parse_pair(text).is_err(), "{text}");
        }
    }
}
