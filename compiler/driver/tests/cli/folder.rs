//! A folder of its own for every test, and `hec` run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A new, empty folder.
pub struct Folder(PathBuf);

/// What a command left.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    /// The folder of a test, without what an earlier run left in it.
    pub fn new(test: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hec-cli").join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// With the files of the example `digits`.
    pub fn with_digits(test: &str) -> Folder {
        let folder = Folder::new(test);
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
        for file in ["digits.onnx", "calibration.npy", "test_images.npy", "test_labels.npy"] {
            fs::copy(example.join(file), folder.path(file)).unwrap();
        }
        folder
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> &Folder {
        fs::write(self.path(file), bytes).unwrap();
        self
    }

    pub fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    pub fn text(&self, file: &str) -> String {
        String::from_utf8(self.read(file)).unwrap()
    }

    /// Run `hec` with arguments that white space separates.
    pub fn run(&self, arguments: &str) -> Ran {
        self.run_with(arguments, |_| ())
    }

    /// As [`Folder::run`], changing how the program is started.
    pub fn run_with(&self, arguments: &str, change: impl FnOnce(&mut Command)) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hec"));
        command.args(arguments.split_whitespace()).current_dir(&self.0);
        change(&mut command);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(!stderr.contains("panicked"), "hec {arguments}:\n{stderr}");
        let code = output.status.code().unwrap_or_else(|| panic!("hec {arguments}: {}", output.status));
        Ran { code, stdout, stderr }
    }

    /// Run, expect success and silence on standard error; what was printed.
    pub fn hec(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "hec {arguments}:\n{}", ran.stderr);
        assert_eq!(ran.stderr, "", "hec {arguments}");
        ran.stdout
    }

    /// Run, expect a failure; the message without the frame and line breaks of its display.
    pub fn fails(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 1, "hec {arguments}:\n{}{}", ran.stdout, ran.stderr);
        let words: Vec<&str> = ran.stderr.split_whitespace().filter(|&word| word != "│").collect();
        words.join(" ")
    }

    /// Run, expect a failure whose message has all of these parts.
    pub fn fails_with(&self, arguments: &str, parts: &[&str]) {
        let message = self.fails(arguments);
        for part in parts {
            assert!(message.contains(part), "hec {arguments}: no `{part}` in\n{message}");
        }
    }
}
