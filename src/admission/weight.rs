//! How much there is in a text of JSON, from a look at its bytes.

/// How much there is in a JSON text that takes memory by itself.
#[derive(Debug, Default)]
pub(crate) struct Count {
    /// Objects.
    pub(crate) objects: usize,
    /// Values and members that follow others.
    pub(crate) values: usize,
}

/// Counts by brackets and commas, those inside of strings aside.
pub(crate) fn count(json: &[u8]) -> Count {
    let mut count = Count::default();
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => pass_over_string(&mut bytes),
            b'{' => count.objects += 1,
            b',' | b'[' => count.values += 1,
            _ => {}
        }
    }
    count
}

fn pass_over_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::objects("[{},{}]", 2, 2)]
    #[case::members(r#"{"a":1,"b":[2,3]}"#, 1, 3)]
    #[case::a_text_of_brackets(r#"["\"{},{},"]"#, 0, 1)]
    #[case::a_text_without_an_end(r#"["{,"#, 0, 1)]
    fn counts(#[case] json: &str, #[case] objects: usize, #[case] values: usize) {
        let count = count(json.as_bytes());
        assert_eq!((count.objects, count.values), (objects, values));
    }
}
