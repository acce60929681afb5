//! The fields of a cron expression, as Python makes them of its text, and the numbers in them.
//!
//! Until 7, croniter used Python's own idea of white space and of digits, which is Unicode's: a no-break space parts two fields,
//! and `٣` is a 3. Since then a field is of ASCII, and whatever else is in it makes it none.

use std::sync::LazyLock;

use super::cron::Dialect;

/// The fields of a text in lower case. Digits that a dialect knows are those of ASCII in them.
pub(super) fn fields(text: &str, dialect: Dialect) -> Vec<String> {
    let whole = dialect < Dialect::Seven;
    // Python's `str.split` also splits at the separators of files and records; since 7 only at cron's own.
    let space = |c: char| match c {
        ' ' | '\t'..='\r' => true,
        '\x1c'..='\x1f' => whole,
        c => whole && c.is_whitespace(),
    };
    let fields = text.split(space).filter(|field| !field.is_empty());
    fields.map(|field| if whole && !field.is_ascii() { plain(field) } else { field.to_owned() }).collect()
}

/// With ASCII's digits in the place of all others.
fn plain(field: &str) -> String {
    field.chars().map(|c| digit(c).map_or(c, |value| char::from(b'0' + value))).collect()
}

/// `15w` or `w15`.
pub(super) fn nearest_weekday(part: &str) -> bool {
    part.strip_suffix('w').is_some_and(digits) || part.strip_prefix('w').is_some_and(digits)
}

/// A number without a sign.
pub(super) fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Of digits; what is too large for a number is too large for any field.
pub(super) fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX >> 1)
}

/// The value of a digit of any script, as Python's `\d` and `int` know it.
fn digit(c: char) -> Option<u8> {
    static DIGITS: LazyLock<Option<regex::Regex>> = LazyLock::new(|| regex::Regex::new(r"^\p{Nd}$").ok());
    let digits = DIGITS.as_ref()?;
    let is_digit =
        |code: u32| char::from_u32(code).is_some_and(|c| digits.is_match(c.encode_utf8(&mut [0; 4])));
    if !is_digit(c.into()) {
        return None;
    }
    // Unicode promises that the ten of a script follow each other from its zero on, and has nothing but whole tens.
    let before = (0..u32::from(c)).rev().take_while(|code| is_digit(*code)).count();
    u8::try_from(before % 10).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_of_every_script_have_the_value_that_python_gives_them() {
        for (zero, nine) in [('0', '9'), ('٠', '٩'), ('०', '९'), ('０', '９'), ('𝟘', '𝟡'), ('𝟶', '𝟿')]
        {
            assert_eq!((digit(zero), digit(nine)), (Some(0), Some(9)), "{zero}");
        }
        for none in ['²', '½', 'Ⅷ', '一', 'a', 'é', '\u{a0}'] {
            assert_eq!(digit(none), None, "{none}");
        }
        let runs =
            (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter_map(digit).collect::<Vec<_>>();
        let counted: Vec<u8> = (0..10).cycle().take(runs.len()).collect();
        assert!(runs.len() >= 600 && runs == counted, "each script has its ten, from its zero on");
    }

    #[test]
    fn white_space_parts_fields_as_the_release_has_it() {
        let split = |text: &str| Dialect::ALL.map(|dialect| fields(text, dialect).len());
        assert_eq!(split(" a\tb\n"), [2, 2, 2]);
        for space in ["\u{1c}", "\u{85}", "\u{a0}", "\u{2003}", "\u{2028}", "\u{3000}"] {
            assert_eq!(split(&format!("a{space}b")), [2, 2, 1], "{space:?}");
        }
        assert_eq!(split("a\u{200b}b"), [1; 3]);
    }
}
