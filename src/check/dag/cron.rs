//! Which cron expressions a schedule may be, by the rules of croniter.
//!
//! Airflow pins no croniter, and its releases differ: backward ranges, `W` and a seventh field came one after the other. So the
//! question has an answer for each [`Dialect`], and only what all of them refuse is surely wrong.

use super::cron_fields::{digits, fields, nearest_weekday, number};

/// A croniter whose rules differ from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// 2.0.7, of Airflow 2.7 and its time: five or six fields, ranges go upward only.
    Two,
    /// 6.0.0: seven fields, and ranges over the end (`sat-mon`).
    Six,
    /// 7.0.0: the nearest weekday (`15W`).
    Seven,
}

impl Dialect {
    /// All of them, the oldest first.
    pub const ALL: [Dialect; 3] = [Dialect::Two, Dialect::Six, Dialect::Seven];

    /// The release whose rules they are.
    pub fn release(self) -> &'static str {
        match self {
            Dialect::Two => "2.0.7",
            Dialect::Six => "6.0.0",
            Dialect::Seven => "7.0.0",
        }
    }

    fn range(self, field: usize) -> (u64, u64) {
        match field {
            0 | 5 => (0, 59),
            1 => (0, 23),
            2 => (1, 31),
            3 => (1, 12),
            4 if self == Dialect::Two => (0, 7),
            4 => (0, 6),
            _ => (1970, 2099),
        }
    }
}

const DAY: usize = 2;
const MONTH: usize = 3;
const WEEKDAY: usize = 4;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Their day and month names have no other spelling, and Airflow's own presets come before them.
const ALIASES: [&str; 7] = ["@midnight", "@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually"];

/// Why an expression is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The field, from 1, when it is one field's fault.
    pub field: Option<usize>,
    /// In a few words.
    pub why: &'static str,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.field {
            Some(field) => write!(f, "field {field}: {}", self.why),
            None => f.write_str(self.why),
        }
    }
}

/// Whether Airflow can use a text as a schedule, where croniter is of this dialect.
///
/// Where croniter draws a number by chance (`R`) the answer is yes: nothing sure can be said.
///
/// # Errors
/// Why not.
pub fn schedule(text: &str, dialect: Dialect) -> Result<(), Refusal> {
    // Airflow's presets, as it writes them; `@once` and `@continuous` are no cron at all.
    if matches!(text, "@once" | "@continuous" | "@quarterly") {
        return Ok(());
    }
    expression(text, dialect)
}

/// Whether croniter itself takes an expression. No presets of Airflow.
///
/// # Errors
/// Why not.
pub fn expression(text: &str, dialect: Dialect) -> Result<(), Refusal> {
    // Unicode's lower case: of the sign for Kelvin it is a `k`, which makes an alias.
    let text = text.to_lowercase();
    if ALIASES.contains(&text.as_str()) {
        return Ok(());
    }
    let fields = fields(&text, dialect);
    let most = if dialect == Dialect::Two { 6 } else { 7 };
    if !(5..=most).contains(&fields.len()) {
        let why =
            if dialect == Dialect::Two { "needs five or six fields" } else { "needs five to seven fields" };
        return Err(Refusal { field: None, why });
    }
    for field in 0..fields.len() {
        Field { dialect, fields: &fields, field }
            .check()
            .map_err(|why| Refusal { field: (why != MIXED).then_some(field + 1), why })?;
    }
    Ok(())
}

const NOT_KNOWN: &str = "not a number, a name or a range";
const OUT: &str = "out of range";
const MIXED: &str = "days of the week with and without `#` cannot be mixed";

/// One field of an expression.
struct Field<'a> {
    dialect: Dialect,
    fields: &'a [String],
    field: usize,
}

impl Field<'_> {
    fn check(&self) -> Result<(), &'static str> {
        let text = self.fields[self.field].as_str();
        if self.drawn(text)? {
            return Ok(());
        }
        let mut text = text;
        if text.contains('?') {
            if text != "?" {
                return Err("`?` stands alone");
            }
            if ![DAY, WEEKDAY].contains(&self.field) {
                return Err("`?` is for days only");
            }
            text = "*";
        }
        self.list(text)
    }

    /// The comma's parts. A range becomes its values, which are then looked at like written ones, as croniter does it.
    fn list(&self, text: &str) -> Result<(), &'static str> {
        let mut open: Vec<(String, Option<Nth>)> =
            text.split(',').map(|part| (part.to_owned(), None)).collect();
        let mut values: Vec<Item> = Vec::new();
        let mut with_nth: Vec<Item> = Vec::new();
        while let Some((part, nth)) = open.pop() {
            let (part, nth) = match nth {
                Some(_) => (part, nth),
                None if self.field == WEEKDAY => special_weekday(&part)?,
                None => (part, None),
            };
            if self.field == DAY && self.dialect == Dialect::Seven && nearest_weekday(&part) {
                let day = number(part.trim_matches('w'));
                if !(1..=31).contains(&day) {
                    return Err("no such day for `W`");
                }
                if !open.is_empty() || !values.is_empty() {
                    return Err("`W` stands alone");
                }
                values.push(Item::Number(day));
                continue;
            }
            if let Some((low, high, step, open_end)) = self.as_range(&part) {
                for value in self.range(&low, &high, step, open_end)? {
                    let nth = nth.filter(|nth| *nth == Nth::Counted);
                    open.push((value.to_string(), nth));
                }
                continue;
            }
            let value = self.value(&part)?;
            if nth.is_some() && !with_nth.contains(&value) {
                with_nth.push(value);
            }
            if !values.contains(&value) {
                values.push(value);
            }
        }
        let plain = values.iter().any(|value| *value != Item::Star && !with_nth.contains(value));
        if !with_nth.is_empty() && plain && values.len() != 7 { Err(MIXED) } else { Ok(()) }
    }

    /// `low-high`, `low-high/step`, `*/step` and `low/step`; the last without an end of its own.
    fn as_range(&self, part: &str) -> Option<(String, String, u64, bool)> {
        let (min, max) = self.dialect.range(self.field);
        let split = |text: &str| {
            let (low, rest) = text.split_once('-')?;
            let (high, step) = match rest.split_once('/') {
                Some((high, step)) => (high, Some(step)),
                None => (rest, None),
            };
            let whole = !low.is_empty() && !high.is_empty() && !high.contains('-');
            let step = match step {
                None => Some(1),
                Some(step) => digits(step).then(|| number(step)),
            };
            whole.then_some(())?;
            Some((low.to_owned(), high.to_owned(), step?))
        };
        let started = part.strip_prefix("*/").filter(|step| !step.is_empty());
        let first = started.map_or_else(|| part.to_owned(), |step| format!("{min}-{max}/{step}"));
        if let Some((low, high, step)) = split(&first) {
            return Some((low, high, step, false));
        }
        let (low, step) = part.rsplit_once('/')?;
        if low.is_empty() || step.is_empty() {
            return None;
        }
        split(&format!("{low}-{max}/{step}")).map(|(low, high, step)| (low, high, step, true))
    }

    fn range(&self, low: &str, high: &str, step: u64, open_end: bool) -> Result<Vec<u64>, &'static str> {
        let (min, max) = self.dialect.range(self.field);
        let high = if self.field == DAY && high == "l" { "31" } else { high };
        let bound = |text: &str| match self.named(text)? {
            Item::Number(number) => Ok(number),
            _ => Err(NOT_KNOWN),
        };
        let sunday = matches!(high, "0" | "sun");
        let (mut low, mut high) = (bound(low)?, bound(high)?);
        if self.dialect == Dialect::Two {
            if low > high {
                if self.field != WEEKDAY || !sunday {
                    return Err("a range that goes backward");
                }
                high = 7;
            }
        } else {
            (low, high) = (self.aliased(low), self.aliased(high));
        }
        if low.max(high) > max {
            return Err(OUT);
        }
        if step == 0 {
            return Err("a step of 0");
        }
        let by = usize::try_from(step).unwrap_or(usize::MAX);
        let values = |from: u64, to: u64| (from..=to).step_by(by).collect::<Vec<u64>>();
        Ok(match self.dialect {
            Dialect::Two => values(low, high),
            Dialect::Seven if open_end && low == high => vec![low],
            // An equal range, `jan-jan`, is the whole cycle.
            _ if low == high => values(min, max),
            _ if low < high => values(low, high),
            _ => {
                let mut over = values(low, max);
                // The step goes on over the end, except where it lands beyond what is skipped already.
                let last = over.last().copied().unwrap_or(low);
                let (skipped, at) = (max - last, last - min);
                let skip = if at + step > max - min + 1 && skipped < step { step - skipped } else { 0 };
                over.extend(values(min + skip, high));
                over
            }
        })
    }

    /// A single value: it is in the field's range, or a `*`, or the last day.
    fn value(&self, part: &str) -> Result<Item, &'static str> {
        if part.starts_with('-') {
            return Err("negative numbers are not allowed");
        }
        let item = if part == "*" { Item::Star } else { self.named(part)? };
        let Item::Number(number) = item else { return Ok(item) };
        let number = self.aliased(number);
        let (min, max) = self.dialect.range(self.field);
        if (min..=max).contains(&number) { Ok(Item::Number(number)) } else { Err(OUT) }
    }

    fn named(&self, text: &str) -> Result<Item, &'static str> {
        let position = |names: &[&str]| names.iter().position(|name| *name == text).map(|at| at as u64);
        if digits(text) {
            return Ok(Item::Number(number(text)));
        }
        let named = match self.field {
            DAY if text == "l" => return Ok(Item::Last),
            MONTH => position(&MONTHS).map(|at| at + 1),
            WEEKDAY => position(&WEEKDAYS),
            _ => None,
        };
        named.map(Item::Number).ok_or(NOT_KNOWN)
    }

    /// 7 is Sunday, and in some shapes 0 the first day of the month. Which shapes differs, and is croniter's, not ours.
    fn aliased(&self, number: u64) -> u64 {
        let count = self.fields.len();
        let kept = match self.dialect {
            Dialect::Two | Dialect::Six => match count {
                5 => [DAY, MONTH].contains(&self.field),
                6 => [MONTH, WEEKDAY].contains(&self.field),
                _ => [DAY, MONTH, WEEKDAY].contains(&self.field),
            },
            Dialect::Seven => [DAY, MONTH].contains(&self.field),
        };
        match (self.field, number) {
            (DAY | MONTH, 0) if !kept => 1,
            (WEEKDAY, 7) if !kept => 0,
            _ => number,
        }
    }

    /// `H` and `R`: a value that is a hash of an id, which Airflow does not give, or drawn by chance. Whether it is one.
    fn drawn(&self, text: &str) -> Result<bool, &'static str> {
        let Some(letter @ ('h' | 'r')) = text.chars().next() else { return Ok(false) };
        let mut rest = &text[1..];
        let mut bounds = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let Some((inside, after)) = inner.split_once(')') else { return Ok(false) };
            let Some((begin, end)) = inside.split_once('-') else { return Ok(false) };
            if !digits(begin) || !digits(end) {
                return Ok(false);
            }
            (bounds, rest) = (Some((number(begin), number(end))), after);
        }
        let divisor = match rest.strip_prefix('/') {
            Some(divisor) if digits(divisor) => Some(number(divisor)),
            None if rest.is_empty() => None,
            _ => return Ok(false),
        };
        if letter == 'h' {
            return Err("`H` needs an id, and Airflow gives none");
        }
        if let Some((begin, end)) = bounds {
            if begin >= end {
                return Err("the range of `R` is empty");
            }
            let (min, max) = self.dialect.range(self.field);
            let outside = |bound: u64| {
                let sunday = self.field == WEEKDAY && bound == 7;
                !sunday && !(min..=max).contains(&bound)
            };
            if self.dialect == Dialect::Seven && (outside(begin) || outside(end)) {
                return Err(OUT);
            }
        }
        if divisor == Some(0) { Err("a step of 0") } else { Ok(true) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nth {
    /// `#2`.
    Counted,
    /// `l5`, the last Friday.
    Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Number(u64),
    Star,
    Last,
}

/// `fri#2`, `mon-wed#1` and `l5`: the part without its counting.
fn special_weekday(part: &str) -> Result<(String, Option<Nth>), &'static str> {
    let plain = || Ok((part.to_owned(), None));
    if let Some((day, count)) = part.split_once('#') {
        let pair = |names: &[&str]| {
            day.split_once('-').is_some_and(|(a, b)| names.contains(&a) && names.contains(&b))
        };
        let word = !day.is_empty() && day.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !digits(count) || !(word || pair(&WEEKDAYS) || pair(&MONTHS)) {
            return plain();
        }
        return match number(count) {
            1..=5 => Ok((day.to_owned(), Some(Nth::Counted))),
            _ => Err("a week of the month is 1 to 5"),
        };
    }
    match part.strip_prefix('l') {
        Some(day) if digits(day) => Ok((day.to_owned(), Some(Nth::Last))),
        _ => plain(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> [bool; 3] {
        Dialect::ALL.map(|dialect| schedule(text, dialect).is_ok())
    }

    #[test]
    fn presets_of_airflow_are_schedules_as_airflow_writes_them() {
        for preset in
            ["@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"]
        {
            assert_eq!(taken(preset), [true; 3], "{preset}");
        }
        assert_eq!(taken("@DAILY"), [true; 3], "croniter lowers it");
        for none in ["@Once", "@QUARTERLY", "@every 5m", "@reboot", "", "None", "@daily "] {
            assert_eq!(taken(none), [false; 3], "{none}");
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        let why = |text: &str| schedule(text, Dialect::Seven).unwrap_err().to_string();
        assert_eq!(why("0 0 32 * *"), "field 3: out of range");
        assert_eq!(why("* * *"), "needs five to seven fields");
        assert_eq!(why("0 0 * * 1#2,3"), MIXED);
        assert_eq!(why("H 0 * * *"), "field 1: `H` needs an id, and Airflow gives none");
    }

    #[test]
    fn what_releases_do_not_agree_on() {
        assert_eq!(taken("0 0 * * fri-mon"), [false, true, true]);
        assert_eq!(taken("0 0 * * * * 2026"), [false, true, true]);
        assert_eq!(taken("0 0 15W * *"), [false, false, true]);
        assert_eq!(taken("0 0 * * sat-sun"), [true; 3]);
    }

    #[test]
    fn what_is_not_ascii_is_refused_but_for_what_older_releases_take_for_digits_and_spaces() {
        for none in [
            "é * * * *",
            "1 é 5 5",
            "* * * * ²",
            "0 0 * * mön",
            "１２３ * * * *",
            "* * * é-1 *",
            "＊ * * * *",
        ] {
            assert_eq!(taken(none), [false; 3], "{none}");
        }
        for older in
            ["* * * * １", "٣ * * * *", "*/１５ 0-２ * * *", "0\u{a0}0 * * *", "0 0\u{2003}* * fri#１"]
        {
            assert_eq!(taken(older), [true, true, false], "{older}");
        }
        assert_eq!(
            schedule("é * * * *", Dialect::Seven).unwrap_err().to_string(),
            format!("field 1: {NOT_KNOWN}")
        );
    }

    #[test]
    fn numbers_beyond_any_machine_are_out_of_range_and_no_panic() {
        let long = "9".repeat(40);
        assert_eq!(taken(&format!("{long} * * * *")), [false; 3]);
        assert_eq!(taken(&format!("*/{long} * * * *")), [true; 3]);
        assert_eq!(taken(&format!("0 0 * * 5-1/{long}")), [false, true, true]);
    }
}
