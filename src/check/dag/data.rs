//! Data files beside the DAGs: whether they can be read at all.

use saphyr_parser::Parser;
use serde::de::IgnoredAny;

use super::super::{Code, Issue};

/// Larger ones are data, not settings; to read them would take longer than they are worth.
pub const LARGEST_DATA: usize = 1 << 20;

/// What is wrong with a file of this name. Nothing is said of templates, and of what is neither YAML nor JSON.
pub fn data_syntax(name: &[u8], bytes: &[u8]) -> Option<Issue> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    let read = match &name[dot + 1..] {
        b"yaml" | b"yml" => yaml,
        b"json" => json,
        _ => return None,
    };
    let text = std::str::from_utf8(bytes).ok()?;
    let template = ["{{", "{%", "<%", "${"].iter().any(|mark| text.contains(mark));
    if template || text.len() > LARGEST_DATA {
        return None;
    }
    read(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// What this parser refuses by the letter of YAML 1.2 and PyYAML, which reads these files, may take.
const STRICTER: &[&str] = &[
    "invalid indentation",
    "comments must be separated",
    "simple key expect ':'",
    "while parsing a flow sequence",
    "':' may not precede",
    "while scanning a plain scalar, found a tab",
    "missing explicit document end",
];

fn yaml(text: &str) -> Option<Issue> {
    for event in Parser::new_from_str(text) {
        if let Err(error) = event {
            if STRICTER.iter().any(|start| error.info().starts_with(start)) {
                return None;
            }
            let (line, column) = (short(error.marker().line()), short(error.marker().col() + 1));
            return Some(Issue::at(line, column, Code::DataSyntax, format!("no YAML: {}", error.info())));
        }
    }
    None
}

fn json(text: &str) -> Option<Issue> {
    // Comments, which many a tool allows in its own files, and what Python writes for numbers that are none.
    let comment =
        text.lines().any(|line| ["//", "/*", "#"].iter().any(|mark| line.trim_start().starts_with(mark)));
    if comment || text.trim().is_empty() || ["NaN", "Infinity"].iter().any(|word| text.contains(word)) {
        return None;
    }
    // Several values, one after the other, are a format of their own.
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let error = values.find_map(Result::err)?;
    if error.to_string().contains("recursion") {
        return None;
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    Some(Issue::at(
        short(error.line()),
        short(error.column()),
        Code::DataSyntax,
        format!("no JSON: {message}"),
    ))
}

fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> Option<(u32, String)> {
        data_syntax(name.as_bytes(), text.as_bytes()).map(|issue| (issue.line, issue.message))
    }

    #[test]
    fn yaml_that_pyyaml_reads_is_not_complained_about() {
        for good in [
            "",
            "# nothing\n",
            "a: 1\nb: [1, 2]\n",
            "---\na: 1\n---\nb: 2\n...\n",
            "x: &anchor {a: 1}\ny: *anchor\nz:\n  <<: *anchor\n  b: 2\n",
            "a: !Custom [1]\nb: !!python/tuple [1]\nc: !vault |\n  abc\n",
            "%YAML 1.1\n---\na: yes\n",
            "a: |\n  text\n  more\nb: >-\n  folded\n",
            "\u{feff}a: 1\n",
            "a: \"x\\n\"\nb: 'it''s'\n? complex\n: value\n",
            "- a\n- b:\n  - c\n",
            "a: http://x/y?z=1#f\nb: 12:30\n",
            "sql: SELECT * FROM t WHERE a = 'b'\n",
            "a:\n- 1\n- 2\n",
            "{a: 1, b: {c: d}}",
            "a: b\r\nc: d\r\n",
            "a: 'text\nat the left'\n",
            "a: [\n  b,\n]\n",
        ] {
            assert_eq!(found("x.yaml", good), None, "{good:?}");
        }
    }

    #[test]
    fn broken_yaml_and_json_have_their_place() {
        assert_eq!(found("x.yml", "a: 1\nb: [1, 2\nc: 3\n").map(|(line, _)| line > 1), Some(true));
        assert!(found("x.yaml", "a: 'x\n").is_some());
        assert_eq!(found("x.yaml", "a: b: c\n").map(|(line, _)| line), Some(1));
        let (line, message) = found("x.json", "{\n  \"a\": 1,\n}\n").unwrap();
        assert_eq!((line, message.starts_with("no JSON: ")), (3, true), "{message}");
        assert!(found("x.json", "{\"a\": }").is_some() && found("x.json", "{\"a\"").is_some());
    }

    #[test]
    fn templates_lines_of_json_comments_and_other_files_are_left_alone() {
        for (name, text) in [
            ("x.yaml", "a: {{ value }}\nb: [\n"),
            ("x.yml", "{% if a %}\nb: [\n{% endif %}\n"),
            ("x.json", "{\"a\": {{ b }}}"),
            ("x.json", "{\"a\": 1}\n{\"a\": 2}\n"),
            ("x.json", "// settings\n{\"a\": 1,}\n"),
            ("x.json", "{\"a\": NaN}"),
            ("x.json", ""),
            ("x.txt", "a: ["),
            ("yaml", "a: ["),
        ] {
            assert_eq!(found(name, text), None, "{name} {text:?}");
        }
        assert!(data_syntax(b"x.yaml", b"a: \xff[").is_none(), "another encoding is not our business");
        let deep = "[".repeat(5000) + &"]".repeat(5000);
        assert_eq!(found("x.json", &deep), None, "deep is not wrong");
    }
}
