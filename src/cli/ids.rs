//! Token ids on the command line.

/// Ids written as `1,2,3`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ids(pub(super) Vec<u32>);

/// Reads `1,2,3`; spaces and the brackets of a JSON list may stand.
pub(super) fn parse(text: &str) -> Result<Ids, String> {
    let list = text.trim();
    let inner = list.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let list = inner.unwrap_or(list).trim();
    if list.is_empty() {
        return Ok(Ids(Vec::new()));
    }
    let id = |part: &str| {
        let expected = "expected token ids with commas between, such as \"870,25\"";
        (part.trim().parse()).map_err(|_| format!("{:?} is no token id; {expected}", part.trim()))
    };
    list.split(',').map(id).collect::<Result<_, _>>().map(Ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_people_write_and_paste_them() {
        assert_eq!(parse("870,25"), Ok(Ids(vec![870, 25])));
        assert_eq!(parse(" [870, 25] "), Ok(Ids(vec![870, 25])));
        assert_eq!(parse(""), Ok(Ids(vec![])));
        assert!(parse("870;25").is_err());
        assert!(parse("-1").is_err());
        assert!(parse("1,,2").is_err());
    }
}
