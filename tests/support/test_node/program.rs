//! A real program as the engine of a node: each restart ends the running one and starts one with the new configuration.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};

use tempfile::TempDir;

use super::control::Inner;

/// An engine's program.
#[derive(Clone, Debug)]
pub enum Program {
    /// Xray: the program, or the folder of its Python package.
    Xray(PathBuf),
    /// sing-box.
    SingBox(PathBuf),
}

impl Program {
    /// The name and the type of the engine.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Xray(_) => "xray",
            Self::SingBox(_) => "sing-box",
        }
    }

    fn command(&self) -> Command {
        match self {
            Self::Xray(package) if package.is_dir() => {
                let mut command = Command::new("python3");
                command.args(["-c", "import sys, xray; xray.startFromJSON(open(sys.argv[1]).read())"]);
                command.env("PYTHONPATH", package);
                command
            }
            Self::Xray(program) => {
                let mut command = Command::new(program);
                command.args(["run", "-config"]);
                command
            }
            Self::SingBox(program) => {
                let mut command = Command::new(program);
                command.args(["run", "--disable-color", "--config"]);
                command
            }
        }
    }
}

/// The program with its present process, which ends with this value.
#[derive(Debug)]
pub struct RealEngine {
    program: Program,
    folder: TempDir,
    process: Option<Child>,
}

impl RealEngine {
    pub fn new(program: Program) -> Self {
        Self { program, folder: TempDir::new().expect("a folder"), process: None }
    }

    pub const fn name(&self) -> &'static str {
        self.program.name()
    }

    /// Ends the process and starts one with this configuration, whose lines go to the log of the node.
    pub fn restart(&mut self, config: &str, node: &Arc<Inner>) {
        self.end();
        let path = self.folder.path().join("config.json");
        std::fs::write(&path, config).expect("a file");
        let mut command = self.program.command();
        command.arg(&path).current_dir(self.folder.path()).stdin(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        forward(process.stdout.take(), Arc::downgrade(node));
        forward(process.stderr.take(), Arc::downgrade(node));
        self.process = Some(process);
    }

    /// Returns true if the process has not ended.
    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// Kills the process.
    pub fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for RealEngine {
    fn drop(&mut self) {
        self.end();
    }
}

fn forward(output: Option<impl Read + Send + 'static>, node: Weak<Inner>) {
    let Some(output) = output else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            match node.upgrade() {
                Some(node) => node.log(&format!("{line}\n")),
                None => return,
            };
        }
    });
}
