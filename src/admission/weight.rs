//! How much memory an object would take once decoded: far more than its text, where it holds little but brackets.

/// The most JSON objects that are decoded. In a StatefulSet of 1.5 MB, the most that etcd stores, they have 48 bytes each.
const MOST_OBJECTS: usize = 1 << 15;
/// The most JSON values that are decoded.
const MOST_VALUES: usize = 1 << 19;
/// The shortest object, and what divides it from the next: `{},`.
const SHORTEST: usize = 3;

/// Why the text of a JSON value is not to be decoded, if so: it would take hundreds of bytes for each of its own.
pub(super) fn objection(json: &str) -> Option<String> {
    if json.len() <= MOST_OBJECTS * SHORTEST {
        return None;
    }
    let Count { objects, values } = count(json.as_bytes());
    (objects > MOST_OBJECTS || values > MOST_VALUES).then(|| {
        format!("it holds {objects} objects and {values} values; at most {MOST_OBJECTS} and {MOST_VALUES} are read")
    })
}

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
    #[case::as_many_as_may_be(format!("[{}{{}}]", "{},".repeat(MOST_OBJECTS - 1)), true)]
    #[case::one_more(format!("[{}{{}}]", "{},".repeat(MOST_OBJECTS)), false)]
    #[case::too_many_values(format!("[{}0]", "0,".repeat(MOST_VALUES + 1)), false)]
    #[case::a_long_text_of_brackets(format!(r#"["\"{}"]"#, "{},".repeat(MOST_VALUES)), true)]
    fn weighs(#[case] json: String, #[case] light: bool) {
        assert_eq!(objection(&json).is_none(), light);
    }
}
