//! Programs of this workspace that tests run as processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// How to find a program, and how to build it.
pub(crate) struct Program {
    /// Relative to the folder of the profile.
    pub(crate) file: &'static str,
    /// What `cargo build` is told.
    pub(crate) build: &'static [&'static str],
    /// The folders of what it is made of.
    pub(crate) sources: &'static [&'static str],
}

impl Program {
    /// Where it is. `cargo test` builds everything; with a single test, what is missing or older
    /// than its sources is built here.
    pub(crate) fn path(&self) -> Result<PathBuf, String> {
        // target/PROFILE/deps/test-HASH
        let test = std::env::current_exe().map_err(|error| error.to_string())?;
        let profile = test.parent().and_then(Path::parent);
        let profile = profile.ok_or("the test is in no target folder")?;
        let file = profile.join(format!("{}{}", self.file, std::env::consts::EXE_SUFFIX));
        let built = fs::metadata(&file).and_then(|metadata| metadata.modified());
        if built.is_err() || built.is_ok_and(|built| built < self.newest_source()) {
            self.build(profile)?;
        }
        file.exists().then(|| file.clone()).ok_or_else(|| {
            format!(
                "{} is missing: run `cargo build {}` with the flags of the test",
                file.display(),
                self.build.join(" ")
            )
        })
    }

    fn build(&self, profile: &Path) -> Result<(), String> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet"])
            .args(self.build)
            .arg("--target-dir")
            .args(profile.parent())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => {}
            Some(name) => {
                cargo.args(["--profile", name]);
            }
        }
        // What cargo tells the test of its package makes build scripts run anew.
        for (name, _) in std::env::vars_os() {
            let own = [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_CRATE_",
                "CARGO_BIN_",
            ];
            if own
                .iter()
                .any(|own| name.to_string_lossy().starts_with(own))
            {
                cargo.env_remove(name);
            }
        }
        let output = cargo.output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!(
                "{} does not build:\n{}",
                self.file,
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }

    /// When anything that it is made of was changed last.
    fn newest_source(&self) -> SystemTime {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let newest = self
            .sources
            .iter()
            .map(|folder| newest_in(&root.join(folder)));
        newest.max().unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

fn newest_in(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            match metadata.is_dir() {
                true => newest_in(&entry.path()),
                false => metadata.modified().unwrap(),
            }
        })
        .max()
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
