//! Differential: the bytes that [`Converter`] makes against those that the git program checks out.

mod objects;

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use dagsync::config::{AutoCrlf, CheckoutConfig, Limits};
use dagsync::git::pack::Error;
use dagsync::tree::attributes::{Conversion, Converter};
use dagsync::tree::{Kind, Policy, walk};
use gix::bstr::ByteSlice as _;

/// The git program, deaf to the machine it runs on.
fn git(home: &Path) -> Command {
    let mut git = Command::new("git");
    git.env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(home)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    git
}

fn run(git: &mut Command) -> String {
    let out = git.output().unwrap();
    assert!(out.status.success(), "{git:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

/// One tree: paths and contents.
type Files = Vec<(String, Vec<u8>)>;

/// Commits each case to a branch of its own, `c0`, `c1`, …, in one process.
fn import(repo: &Path, cases: &[Files]) {
    run(git(repo).args(["init", "-q", "--bare", "."]));
    let mut child = git(repo).args(["fast-import", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stream = Vec::new();
    for (n, files) in cases.iter().enumerate() {
        write!(stream, "commit refs/heads/c{n}\ncommitter A <a@b> 0 +0000\ndata 0\n").unwrap();
        for (path, content) in files {
            write!(stream, "M 100644 inline {path}\ndata {}\n", content.len()).unwrap();
            stream.extend_from_slice(content);
            stream.push(b'\n');
        }
    }
    child.stdin.take().unwrap().write_all(&stream).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Converts a blob as if it were too large to be held, in pieces of random sizes.
fn in_pieces(rule: &Conversion, id: &gix::oid, blob: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let mut sizes = Vec::new();
    let mut out = Vec::new();
    let mut read = |to: &mut dyn Write| {
        let mut rest = blob;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(fastrand::usize(1..=rest.len().min(9)));
            sizes.push(piece.len());
            to.write_all(piece).map_err(Error::Output)?;
            rest = after;
        }
        Ok(())
    };
    rule.apply_in_pieces(id, &mut read, &mut out).unwrap();
    (out, sizes)
}

/// Checks out every case with git and converts every file; both must agree. Returns how many files changed.
fn compare(cases: &[Files], config: CheckoutConfig) -> usize {
    let home = tempfile::tempdir().unwrap();
    let repo_dir = home.path().join("r.git");
    std::fs::create_dir(&repo_dir).unwrap();
    import(&repo_dir, cases);
    let repo = gix::open_opts(&repo_dir, gix::open::Options::isolated()).unwrap();
    let mut changed = 0;
    for (n, files) in cases.iter().enumerate() {
        let out = home.path().join(format!("out{n}"));
        std::fs::create_dir(&out).unwrap();
        let autocrlf = match config.autocrlf {
            AutoCrlf::False => "false",
            AutoCrlf::True => "true",
            AutoCrlf::Input => "input",
        };
        let eol = if config.eol_crlf { "crlf" } else { "native" };
        run(git(&repo_dir)
            .args(["-c", &format!("core.autocrlf={autocrlf}"), "-c", &format!("core.eol={eol}")])
            .args(["-c", "core.bare=false"])
            .env("GIT_DIR", &repo_dir)
            .env("GIT_WORK_TREE", &out)
            .env("GIT_INDEX_FILE", home.path().join(format!("index{n}")))
            .args(["read-tree", "-u", "--reset", &format!("c{n}")]));
        let tree = repo.rev_parse_like(n);
        let (limits, policy) = (Limits::default(), Policy::default());
        let listing = walk(&repo.objects, &tree, &limits, &policy, &AtomicBool::new(false)).unwrap();
        assert_eq!(listing.entries().len(), files.len());
        let mut converter = Converter::new(&listing, &repo.objects, config).unwrap();
        for (path, content) in files {
            let entry = listing.find(path.as_str().into()).unwrap();
            assert_eq!(entry.size, content.len() as u64);
            let ours = match &mut converter {
                None => content.into(),
                Some(converter) => {
                    let rule = converter.rule(path.as_str().into());
                    let ours = converter.convert(path.as_str().into(), Kind::File, &entry.id, content);
                    assert!(!rule.is_identity() || *ours == **content, "{path}: said identity");
                    let (pieces, sizes) = in_pieces(&rule, &entry.id, content);
                    assert_eq!(
                        pieces.as_bstr(),
                        ours.as_bstr(),
                        "{path}: in pieces of {sizes:?} of {content:?}"
                    );
                    ours
                }
            };
            let git = std::fs::read(out.join(path)).unwrap();
            changed += usize::from(git != *content);
            if *ours != *git {
                let mut story = String::new();
                for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".gitattributes")) {
                    let _ = writeln!(story, "{name}:\n{}", text.as_bstr());
                }
                panic!(
                    "case {n} {config:?}: {path}\n{story}blob {:?}\ngit  {:?}\nours {:?}",
                    content.as_bstr(),
                    git.as_bstr(),
                    ours.as_bstr()
                );
            }
        }
    }
    changed
}

trait TreeOfCase {
    fn rev_parse_like(&self, n: usize) -> gix::ObjectId;
}

impl TreeOfCase for gix::Repository {
    fn rev_parse_like(&self, n: usize) -> gix::ObjectId {
        let mut reference = self.find_reference(&format!("refs/heads/c{n}")).unwrap();
        reference.peel_to_commit().unwrap().tree_id().unwrap().detach()
    }
}

fn pick<T: Copy>(rng: &mut fastrand::Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// Text made of what matters to a conversion.
fn content(rng: &mut fastrand::Rng) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[
        b"\n",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"import os",
        b"$Id$",
        b"$Id: x $",
        b"$Id: a b $",
        b"$Id:$",
        b"$Id: ",
        b"$",
        b"$I",
        b"$Id",
        b"$Idx",
        b" ",
        b"\t",
        "é".as_bytes(),
        "€".as_bytes(),
        "日本".as_bytes(),
        "🛩".as_bytes(),
        b"\xef\xbb\xbf",
        b"\x1a",
        b"x",
        b"abcdefghijklmnopqrstuvwxyz",
        b"$$",
        b":",
    ];
    const RARE: &[&[u8]] = &[b"\0", b"\xff", b"\x01\x02\x03", b"$Id\0$", b"$Id: \0 x $"];
    let mut out = Vec::new();
    for _ in 0..rng.usize(0..14) {
        let from = if rng.u8(..40) == 0 { RARE } else { PIECES };
        let piece: &[u8] = pick(rng, from);
        out.extend_from_slice(piece);
    }
    out
}

fn attributes(rng: &mut fastrand::Rng, top: bool) -> Vec<u8> {
    const PATTERNS: &[&str] = &[
        "*",
        "*.py",
        "*.txt",
        "a*",
        "/a.py",
        "sub/*",
        "sub/deep/b.txt",
        "**/b.txt",
        "sub/**",
        "deep/",
        "[ab].*",
        "!*.py",
        "\"b.txt\"",
        "\"a\\056py\"",
        "?.sql",
        "*.PY",
        "/sub/deep/*.sql",
        "sub",
        "**/deep/**",
        "c d.txt",
        "\\*.py",
    ];
    const SET: &[&str] = &[
        "text",
        "-text",
        "!text",
        "text=auto",
        "text=auto",
        "text=other",
        "eol=crlf",
        "eol=crlf",
        "eol=lf",
        "!eol",
        "-eol",
        "crlf",
        "-crlf",
        "crlf=input",
        "crlf=auto",
        "ident",
        "ident",
        "-ident",
        "!ident",
        "ident=x",
        "binary",
        "-binary",
        "!binary",
        "filter=lfs",
        "diff",
        "merge=ours",
        "win",
        "-win",
        "keyword",
        "working-tree-encoding=UTF-16",
        "working-tree-encoding=utf-16le-bom",
        "working-tree-encoding=UTF-16BE",
        "working-tree-encoding=UTF-8",
        "working-tree-encoding=latin-1",
        "working-tree-encoding=SHIFT-JIS",
        "working-tree-encoding=nonsense",
        "-working-tree-encoding",
        "!working-tree-encoding",
        "working-tree-encoding=",
        "working-tree-encoding=UTF-32",
    ];
    let mut out = Vec::new();
    if rng.u8(..20) == 0 {
        out.extend_from_slice(b"\xef\xbb\xbf");
    }
    for _ in 0..rng.usize(1..6) {
        match rng.u8(..14) {
            0 => out.extend_from_slice(b"# * eol=crlf"),
            1 if top || rng.bool() => {
                let name = pick(rng, &["win", "keyword", "binary"]);
                let what = pick(
                    rng,
                    &["eol=crlf", "ident text=auto", "-text", "win ident", "text !ident", "eol=crlf -text"],
                );
                out.extend_from_slice(format!("[attr]{name} {what}").as_bytes());
            }
            2 => out.extend_from_slice(format!("* {}eol=crlf", "x".repeat(rng.usize(2030..2050))).as_bytes()),
            _ => {
                if rng.u8(..8) == 0 {
                    out.extend_from_slice(b" \t");
                }
                out.extend_from_slice(pick(rng, PATTERNS).as_bytes());
                for _ in 0..rng.usize(1..4) {
                    out.push(pick(rng, b" \t "));
                    out.extend_from_slice(pick(rng, SET).as_bytes());
                }
            }
        }
        if rng.u8(..10) == 0 {
            out.push(b'\r');
        }
        out.push(b'\n');
    }
    if rng.u8(..6) == 0 {
        out.pop();
    }
    out
}

fn case(rng: &mut fastrand::Rng) -> Files {
    let mut files = Files::new();
    for folder in ["", "sub/", "sub/deep/", "other/"] {
        let top = folder.is_empty();
        if rng.u8(..3) == 0 || top {
            files.push((format!("{folder}.gitattributes"), attributes(rng, top)));
        }
        for name in ["a.py", "b.txt", "c.sql", "c d.txt"] {
            files.push((format!("{folder}{name}"), content(rng)));
        }
    }
    files
}

const CONFIGS: [CheckoutConfig; 5] = [
    CheckoutConfig { autocrlf: AutoCrlf::False, eol_crlf: false },
    CheckoutConfig { autocrlf: AutoCrlf::True, eol_crlf: false },
    CheckoutConfig { autocrlf: AutoCrlf::Input, eol_crlf: false },
    CheckoutConfig { autocrlf: AutoCrlf::False, eol_crlf: true },
    CheckoutConfig { autocrlf: AutoCrlf::Input, eol_crlf: true },
];

#[test]
fn random_trees_are_converted_as_git_checks_them_out() {
    // `DAGSYNC_SEED` and `DAGSYNC_CASES` for longer runs by hand.
    let number = |name, default| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let mut rng = fastrand::Rng::with_seed(number("DAGSYNC_SEED", 7));
    for config in CONFIGS {
        let cases: Vec<_> = (0..number("DAGSYNC_CASES", 60)).map(|_| case(&mut rng)).collect();
        let changed = compare(&cases, config);
        assert!(
            changed > cases.len() / 4,
            "{config:?}: only {changed} files changed, the test tests nothing"
        );
    }
}

#[test]
fn every_known_encoding_is_written_as_git_writes_it() {
    let labels = [
        "UTF-16",
        "UTF16",
        "utf-16",
        "UTF-16LE",
        "UTF-16BE",
        "UTF16LE",
        "UTF-16LE-BOM",
        "UTF-16BE-BOM",
        "utf16le-bom",
        "UTF-32",
        "UTF-32LE",
        "UTF32BE",
        "UTF-8",
        "utf8",
        "ASCII",
        "US-ASCII",
        "latin-1",
        "LATIN1",
        "ISO-8859-1",
        "ISO8859-1",
        "ISO-8859-2",
        "ISO-8859-5",
        "ISO-8859-7",
        "ISO-8859-9",
        "ISO-8859-15",
        "LATIN-9",
        "ISO-8859-16",
        "WINDOWS-1250",
        "CP1251",
        "windows-1252",
        "WINDOWS-1253",
        "CP1254",
        "CP1256",
        "CP1257",
        "KOI8-R",
        "KOI8-U",
        "CP866",
        "SHIFT-JIS",
        "SJIS",
        "CP932",
        "EUC-JP",
        "EUC-KR",
        "CP949",
        "GBK",
        "CP936",
        "GB18030",
        "no-such-encoding",
        "UTF-32BE-BOM",
        "UTF-",
    ];
    let texts = [
        "plain\n",
        "é ñ ü ß\n",
        "€ – “”\n",
        "Ў ў ╝ ╬ ж Я\n",
        "日本語 テスト ｱ 〜 ‖ ¢ £ ¬\n",
        "①Ⅱ髙\n",
        "한국어\n",
        "똠방각하\n",
        "中文 简体\n",
        "㐀 ⺁ ǹ\n",
        "ελληνικά\n",
        "שלום\n",
        "مرحبا\n",
        "\u{81}\n",
        "\u{feff}marked\n",
        "🛩\n",
        "～ － ∥ ￠\n",
        "—\n",
        "",
    ];
    let mut files = Files::new();
    let mut rules = String::new();
    for (n, label) in labels.iter().enumerate() {
        let _ = writeln!(rules, "e{n}/* working-tree-encoding={label}");
        for (t, text) in texts.iter().enumerate() {
            // C1 controls, which only glibc lets through there.
            if !(label.starts_with("EUC") && text.contains('\u{81}')) {
                files.push((format!("e{n}/t{t}"), text.as_bytes().to_vec()));
            }
        }
        files.push((format!("e{n}/bad"), b"not utf-8: \xff\xfe\n".to_vec()));
    }
    files.push((".gitattributes".into(), rules.into_bytes()));
    assert!(compare(&[files], CheckoutConfig::default()) > 150);
}

/// CVE-2021-21300 and its class: a filter named in the tree is a name and nothing else; an LFS pointer stays one.
#[test]
fn filters_in_gitattributes_do_not_run() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let rules = "*.bin filter=lfs diff=lfs merge=lfs -text\n*.x filter=evil eol=crlf\n*.y filter=lfs\n";
    let files: Files = [(".gitattributes", rules), ("a.bin", pointer), ("b.x", "touch\n"), ("c.y", pointer)]
        .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
        .into();
    assert_eq!(
        compare(&[files], CheckoutConfig::default()),
        1,
        "line ends are converted, filters are not run"
    );
}

/// The usual repository needs no converter at all, so that its files can be streamed.
#[test]
fn trees_whose_attributes_change_nothing_need_no_converter() {
    let converter = |rules: &str, config| {
        let mut o = objects::Objects::default();
        let root = o.tree_of(&[
            (objects::FILE, ".gitattributes".into(), rules.into()),
            (objects::FILE, "dags/a.py".into(), "x\n".into()),
        ]);
        let listing = o.walk(root).unwrap();
        Converter::new(&listing, &o, config).unwrap()
    };
    let [default, autocrlf, input, eol_crlf, _] = CONFIGS;
    let common = "* text=auto\n*.sh text eol=lf\n*.png binary\n*.ipynb filter=lfs diff=lfs -text\n";
    assert!(converter(common, default).is_none());
    assert!(converter(common, input).is_none());
    assert!(converter(common, eol_crlf).is_some());
    assert!(converter("", autocrlf).is_some());
    assert!(converter("", eol_crlf).is_none());
    let mut bat = converter("*.bat eol=crlf\n", default).unwrap();
    assert!(bat.rule("dags/a.py".into()).is_identity());
    assert!(!bat.rule("dags/a.bat".into()).is_identity());
    assert!(converter("[attr]win eol=crlf\n*.bat win\n", default).is_some());
}
