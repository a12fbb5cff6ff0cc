//! The tree keeps its own rules: which crate may know which, what a file must say first, what no file may hold.
//!
//! Each test lists every offender at once. The rules themselves are explained in `ARCHITECTURE.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

const LONGEST_FILE: usize = 600;
/// The only folder whose code may leave the checked part of the language.
const KERNELS: &str = "runtime/arith/src/simd/";

/// Which crates of the workspace each crate may depend on: those behind its arrows. Tests may depend on all.
const ARROWS: &[(&str, &[&str])] = &[
    ("hec-params", &[]),
    ("hec-poly", &[]),
    ("hec-ir", &["hec-params", "hec-poly"]),
    ("hec-import", LANGUAGES),
    ("hec-nonlinear", LANGUAGES),
    ("hec-tune", LANGUAGES),
    ("hec-optimize", LANGUAGES),
    ("hec-pack", LANGUAGES),
    ("hec-plan", LANGUAGES),
    ("hec-schedule", LANGUAGES),
    (
        "hec",
        &[
            "hec-ir",
            "hec-params",
            "hec-poly",
            "hec-import",
            "hec-nonlinear",
            "hec-tune",
            "hec-optimize",
            "hec-pack",
            "hec-plan",
            "hec-schedule",
        ],
    ),
    ("hec-arith", &["hec-params"]),
    ("hec-ckks", &["hec-arith", "hec-params", "hec-poly"]),
    ("hec-run", &["hec-arith", "hec-ckks", "hec-ir", "hec-params"]),
];
/// What a stage may know of the workspace.
const LANGUAGES: &[&str] = &["hec-ir", "hec-params", "hec-poly"];

/// A text file of the tree.
struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// `path:line: text` of the lines that a rule catches.
    fn caught(&self, caught: impl Fn(&str) -> bool) -> Vec<String> {
        let lines = self.lines().filter(|(_, line)| caught(line));
        lines.map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim())).collect()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every text file that `.gitignore` does not leave out, in order of paths.
static TREE: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let ignored: Vec<String> = read(".gitignore").lines().map(|l| l.trim_end_matches('/').to_owned()).collect();
    let mut files = Vec::new();
    walk(&root(), "", &ignored, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.iter().any(|f| f.path == "tests/tests/tidy.rs"), "the walk misses this file");
    files
});

fn walk(folder: &Path, prefix: &str, ignored: &[String], files: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let entry = entry.expect("readable");
        let name = entry.file_name().to_string_lossy().into_owned();
        let left_out = |rule: &String| rule.strip_prefix('*').map_or(name == *rule, |end| name.ends_with(end));
        if name == ".git" || ignored.iter().any(left_out) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{path}/"), ignored, files);
        } else if let Ok(text) = fs::read_to_string(entry.path())
            && !text.contains('\0')
        {
            files.push(Source { path, text });
        }
    }
}

/// A crate of the workspace, as cargo reads its manifest.
struct Package {
    name: String,
    /// Its folder, from the root.
    folder: String,
    /// Crates that it depends on outside its tests.
    dependencies: Vec<String>,
}

static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let base = format!("{}/", root().display());
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let package = |p: &serde_json::Value| {
        let listed = p["dependencies"].as_array().expect("a list").iter();
        Package {
            name: text(&p["name"]),
            folder: text(&p["manifest_path"]).replace(&base, "").replace("/Cargo.toml", ""),
            dependencies: listed.filter(|d| d["kind"] != "dev").map(|d| text(&d["name"])).collect(),
        }
    };
    metadata["packages"].as_array().expect("a list").iter().map(package).collect()
});

fn none(rule: &str, offenders: impl IntoIterator<Item = String>) {
    let offenders: Vec<String> = offenders.into_iter().collect();
    assert!(offenders.is_empty(), "{rule}:\n  {}\n", offenders.join("\n  "));
}

/// The code of a line: without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or("")
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

#[test]
fn crates_depend_only_where_the_architecture_points() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let members: Vec<&str> = PACKAGES.iter().map(|p| p.name.as_str()).collect();
    let mut offenders = Vec::new();
    for package in PACKAGES.iter().filter(|p| p.name != "hec-tests") {
        let Some(may) = allowed.get(package.name.as_str()) else {
            offenders.push(format!("{} has no entry in ARROWS", package.name));
            continue;
        };
        let of_ours = package.dependencies.iter().filter(|d| members.contains(&d.as_str()));
        let wrong = of_ours.filter(|d| !may.contains(&d.as_str()));
        offenders.extend(wrong.map(|d| format!("{} depends on {d}", package.name)));
    }
    let gone = ARROWS.iter().filter(|(name, _)| !members.contains(name));
    offenders.extend(gone.map(|(name, _)| format!("{name} has an entry in ARROWS but is no crate")));
    none("a crate may only depend on what ARCHITECTURE.md says", offenders);
}

#[test]
fn the_architecture_names_every_crate_beside_its_folder() {
    let rows = read("ARCHITECTURE.md");
    let named = |p: &&Package| {
        rows.lines().any(|row| row.contains(&format!("`{}", p.folder)) && row.contains(&format!("| {} |", p.name)))
    };
    let missing = PACKAGES.iter().filter(|p| !named(p)).map(|p| format!("{} in {}", p.name, p.folder));
    none("ARCHITECTURE.md has a row `| `folder` | crate | ... |` for every crate", missing);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let inherits = |p: &&Package| read(&format!("{}/Cargo.toml", p.folder)).contains("[lints]\nworkspace = true\n");
    let without = PACKAGES.iter().filter(|p| !inherits(p)).map(|p| format!("{}/Cargo.toml", p.folder));
    none("a manifest holds `[lints]` with `workspace = true`", without);
}

#[test]
fn every_source_file_says_first_what_it_is() {
    let silent = TREE.iter().filter(|f| f.is_rust() && !f.text.starts_with("//! ")).map(|f| f.path.clone());
    none("a source file begins with `//! ` and a sentence", silent);
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let length = |f: &Source| f.text.lines().count();
    let long = TREE.iter().filter(|f| f.is_rust() && length(f) > LONGEST_FILE);
    none("a source file has at most 600 lines", long.map(|f| format!("{}: {}", f.path, length(f))));
}

#[test]
fn only_the_kernels_are_unsafe() {
    let word = concat!("un", "safe");
    let elsewhere = TREE.iter().filter(|f| f.is_rust() && !f.path.starts_with(KERNELS));
    none(&format!("only {KERNELS} may use `{word}`"), elsewhere.flat_map(|f| f.caught(|l| has_word(code(l), word))));
}

#[test]
fn every_crate_root_forbids_unsafe_code() {
    let mut offenders = Vec::new();
    for package in PACKAGES.iter() {
        // Its kernels are the exception, each module with its own reason.
        let attribute = if package.name == "hec-arith" { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        let (lib, main, bins) = ("src/lib.rs", "src/main.rs", format!("{}/src/bin/", package.folder));
        let is_root = |f: &&Source| {
            [lib, main].iter().any(|r| f.path == format!("{}/{r}", package.folder)) || f.path.starts_with(&bins)
        };
        let roots: Vec<&Source> = TREE.iter().filter(is_root).collect();
        if roots.is_empty() {
            offenders.push(format!("{} has no root", package.folder));
        }
        let open = roots.into_iter().filter(|f| !f.text.contains(attribute));
        offenders.extend(open.map(|f| format!("{} lacks {attribute}", f.path)));
    }
    none("every crate root closes the door", offenders);
}

#[test]
fn nothing_is_left_undone() {
    // Written in two halves, so that this file does not catch itself.
    let macros = [concat!("to", "do!"), concat!("unimple", "mented!"), concat!("#[ig", "nore")];
    let notes = [concat!("FIX", "ME"), concat!("XX", "X")];
    let macros = TREE.iter().filter(|f| f.is_rust()).flat_map(|f| f.caught(|l| macros.iter().any(|m| l.contains(m))));
    let notes = TREE.iter().flat_map(|f| f.caught(|l| notes.iter().any(|n| has_word(l, n))));
    none("what is in the tree is finished", macros.chain(notes));
}

#[test]
fn no_file_speaks_of_a_machine() {
    let folders = ["work", "root", "tmp", "home", "Users"].map(|name| format!("/{name}"));
    let speaks = |line: &str| folders.iter().any(|folder| line.match_indices(folder).any(|at| is_absolute(line, at)));
    none("no absolute path of a machine", TREE.iter().flat_map(|f| f.caught(speaks)));
}

/// Whether the match begins a path and is a whole component of it.
fn is_absolute(line: &str, (at, folder): (usize, &str)) -> bool {
    let before = line[..at].chars().next_back();
    let after = line[at + folder.len()..].chars().next();
    let in_name = |c: char| c.is_alphanumeric() || "_-.~}*".contains(c);
    !before.is_some_and(in_name) && !after.is_some_and(in_name)
}

/// `.ci/run` takes the first such line out of the README.
#[test]
fn the_readme_holds_the_test_command_that_ci_runs() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else { return };
    assert!(read(".ci/run").contains(r"s/^\$ \(cargo test .*\)$/\1/p"), ".ci/run takes the command out of the README");
    assert!(readme.lines().any(|l| l.starts_with("$ cargo test ")), "README.md has no line `$ cargo test ...`");
}

#[test]
fn the_rules_catch_what_they_should() {
    let word = concat!("un", "safe");
    assert!(has_word(concat!("    un", "safe { }"), word) && !has_word("#![forbid(unsafe_code)]", word));
    let absolute = |line: &str, folder: &str| line.match_indices(folder).any(|at| is_absolute(line, at));
    assert!(absolute(concat!("see `/wo", "rk/x`"), concat!("/wo", "rk")), "a path in a sentence");
    assert!(!absolute("frame/work/x", concat!("/wo", "rk")), "a folder of the tree");
    assert!(!absolute("/workspace", concat!("/wo", "rk")), "another word");
}
