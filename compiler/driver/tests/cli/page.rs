//! `hec report --html`: the page, by itself and in a browser.

use crate::Folder;
use crate::failures::npy;
use crate::networks::{SQUARES, relus};
use std::path::PathBuf;
use std::process::Command;

/// Elements without an end tag.
const VOID: [&str; 2] = ["meta", "link"];
/// Limits of a page: bytes, and milliseconds until a browser has loaded it.
const MOST_BYTES: usize = 5 << 20;
const MOST_MILLISECONDS: f64 = 2000.0;
/// Width of a phone.
const PHONE: u32 = 360;

/// The page of a program.
fn page(folder: &Folder, program: &str) -> String {
    assert_eq!(folder.hec(&format!("report {program} --html page.html")), "");
    folder.text("page.html")
}

/// Follow the tags of a page: all are closed in order, every attribute has quotes, every `&` begins an entity. Calls back
/// with the open elements, their attributes last, for every element and every text.
fn walk(page: &str, mut at: impl FnMut(&[&str], &str, &str)) {
    let rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a page says first that it is HTML");
    let mut open: Vec<&str> = Vec::new();
    let mut pieces = rest.split('<');
    assert_eq!(pieces.next(), Some(""));
    for piece in pieces {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("`<{piece}` has no end"));
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "`{name}` is closed too early");
        } else {
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "<{tag}>");
            assert_eq!(attributes.matches('"').count(), 2 * attributes.matches("=\"").count(), "<{tag}>");
            open.push(name);
            at(&open, attributes, "");
            if VOID.contains(&name) {
                open.pop();
            }
        }
        assert!(!text.contains('>') || open.last() == Some(&"style"), "`>` in `{text}`");
        for entity in [tag, text].iter().flat_map(|t| t.split('&').skip(1)) {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|e| entity.starts_with(e));
            assert!(known, "`&{entity}`");
        }
        at(&open, "", text.trim());
    }
    assert!(open.is_empty(), "{open:?} stay open");
}

/// Headings and captions in order.
fn outline(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    walk(page, |open, _, text| {
        if let Some(name @ ("h1" | "h2" | "caption")) = open.last().copied()
            && !text.is_empty()
        {
            lines.push(format!("{name} {text}"));
        }
    });
    lines
}

#[test]
fn a_page_has_a_section_for_everything_that_is_known() {
    let folder = Folder::with_digits("page-digits");
    folder.hec("compile digits.onnx --calibrate calibration.npy");
    let page = page(&folder, "digits.hec");
    let expected = [
        "h1 digits",
        "h2 Levels along the network",
        "h2 Errors by layer",
        "caption Errors by layer, relative",
        "h2 Fitted polynomials",
        "h2 Rings compared",
        "caption Rings and their programs",
        "h2 Rules that fired",
        "caption Rules of the optimizer",
        "h2 Layers and predicted time",
        "caption Operations by layer",
        "h2 Keys, memory and parameters",
        "caption Keys, memory and parameters",
        "h2 Linear layers re-fitted",
        "caption Corrections",
    ];
    assert_eq!(outline(&page), expected);
    // A figure for each function: itself, what it saw, and what stands in its place; a security line, and no shouting.
    let paths = |class: &str| page.matches(&format!("<path class=\"{class}\"")).count();
    assert_eq!((page.matches("<figure>").count(), paths("exact"), paths("density")), (2, 2, 2));
    assert!(paths("fitted") >= 2);
    assert!(page.contains("128-bit classical security") && !page.contains("INSECURE"));
    for layer in ["conv1", "relu1", "conv2", "relu2", "fc"] {
        assert!(page.contains(layer), "no {layer}");
    }
    // Nothing of it runs, and nothing is loaded.
    assert!(!page.contains("<script") && !page.contains("://") && page.len() < 200_000, "{} bytes", page.len());
    open(&folder);
}

#[test]
fn the_same_program_gives_the_same_page() {
    let folder = Folder::new("page-same");
    folder.write("squares.hel", SQUARES);
    folder.hec("compile squares.hel");
    folder.hec("compile squares.hel -o again.hec");
    assert_eq!(page(&folder, "squares.hec"), page(&folder, "again.hec"));
    // What the report does not hold has no section: nothing was replaced.
    let page = page(&folder, "squares.hec");
    assert!(outline(&page).iter().all(|line| line != "h2 Fitted polynomials"), "{:?}", outline(&page));
}

#[test]
fn a_page_of_toy_parameters_shouts() {
    let folder = Folder::new("page-toy");
    folder.write("squares.hel", SQUARES);
    folder.hec("compile squares.hel --ring 12 --insecure-toy");
    let page = page(&folder, "squares.hec");
    assert!(page.contains("<p class=\"insecure\" role=\"alert\"><strong>INSECURE</strong>"), "{page}");
}

#[test]
fn names_of_a_model_are_texts_and_nothing_else() {
    let folder = Folder::new("page-names");
    folder.write("odd.hel", SQUARES.replace("\"act\"", "\"<script>alert('&')</script>\""));
    folder.hec("compile odd.hel");
    let page = page(&folder, "odd.hec");
    walk(&page, |open, _, _| assert_ne!(open.last(), Some(&"script")));
    assert!(page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"), "{page}");
}

#[test]
fn a_page_marks_every_bootstrap() {
    let folder = crate::bootstraps::folder("page-bootstraps");
    folder.hec("compile deep.hel --calibrate x.npy --insecure-toy --ring 5 --bootstrap always");
    let json: serde_json::Value = serde_json::from_str(&folder.hec("report deep.hec --json")).unwrap();
    let mut lifts = 0;
    walk(&page(&folder, "deep.hec"), |open, attributes, _| {
        lifts += u64::from(open.last() == Some(&"path") && attributes.starts_with("class=\"lift\""));
    });
    assert_eq!(lifts, json["bootstraps"]["count"].as_u64().unwrap());
}

/// As many functions and bootstraps as a ResNet-20 has: the page depends on their number, not on how large tensors are.
fn with_many_layers(test: &str) -> Folder {
    let folder = Folder::new(test);
    let inputs: Vec<f64> = (0..40).map(|i| 0.2 + 0.1 * f64::from(i * 7 % 11) / 11.0).collect();
    // What comes after the last matrix is the client's, so that 19 are left.
    folder.write("relus.hel", relus(20)).write("x.npy", npy("10, 4", &inputs));
    folder.hec(
        "compile relus.hel --calibrate x.npy --activation relu=lsq:2 --min-agreement 0 --insecure-toy --ring 5 --bootstrap \
         always",
    );
    folder
}

#[test]
fn a_page_of_many_layers_is_small_and_opens_at_once() {
    let folder = with_many_layers("page-many");
    let page = page(&folder, "relus.hec");
    walk(&page, |_, _, _| ());
    println!("{} bytes", page.len());
    assert_eq!(page.matches("<figure>").count(), 19, "one figure for each ReLU");
    assert!(page.len() < MOST_BYTES / 10, "{} bytes", page.len());
    open(&folder);
}

/// Debian's Chromium, or another one.
fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name)));
    found.into_iter().find(|path| path.is_file())
}

/// Loads the page in a frame of a phone's width, and tells how that went.
const FRAME: &str = r#"<!DOCTYPE html><html><body><script>
const start = performance.now();
function loaded(frame) {
  const inside = frame.contentWindow, root = frame.contentDocument.documentElement;
  const told = {
    milliseconds: performance.now() - start,
    requests: inside.performance.getEntriesByType("resource").length,
    width: root.scrollWidth,
    room: root.clientWidth,
    height: root.scrollHeight,
    drawings: frame.contentDocument.querySelectorAll("svg").length,
  };
  document.body.textContent = "told:" + JSON.stringify(told) + ":told";
}
</script><iframe src="page.html" width="WIDTH" height="800" style="border:0" onload="loaded(this)"></iframe></body></html>"#;

/// Open the page that lies in a folder: at once, without errors or requests, and not wider than a phone.
fn open(folder: &Folder) {
    let Some(chromium) = chromium() else {
        println!("skipped: there is no chromium, chromium-browser or google-chrome to open the page in");
        return;
    };
    folder.write("frame.html", FRAME.replace("WIDTH", &PHONE.to_string()));
    let profile = folder.path("profile");
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--allow-file-access-from-files", "--host-resolver-rules=MAP * ~NOTFOUND"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", folder.path("frame.html").display()))
        .output()
        .unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{log}");
    let told =
        dom.split("told:").nth(1).and_then(|t| t.split(":told").next()).unwrap_or_else(|| panic!("{dom}\n{log}"));
    let told: serde_json::Value = serde_json::from_str(told.trim_end_matches(':')).unwrap();
    println!("{told}");
    let complaints: Vec<&str> = log.lines().filter(|l| l.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert_eq!(told["requests"], 0);
    assert!(told["milliseconds"].as_f64().unwrap() < MOST_MILLISECONDS, "{told}");
    // What is wider than the screen scrolls by itself.
    assert_eq!(told["width"], told["room"], "the page is wider than a phone");
    assert!(told["height"].as_u64().unwrap() > 1000 && told["drawings"].as_u64().unwrap() > 10, "{told}");
}
