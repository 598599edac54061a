use std::{fmt, io, process::Stdio};

use tokio::process::Command;

use super::{InvalidAuthorize, UserAgent};

/// A command that opens a browser, such as `xdg-open`: it is started with the address as its last
/// argument, as `$BROWSER` is. No shell is involved.
#[derive(Clone)]
pub struct BrowserCommand {
    program: String,
    arguments: Vec<String>,
}

impl BrowserCommand {
    /// A program and the arguments that precede the address.
    ///
    /// # Errors
    ///
    /// When the program has no name.
    pub fn new(
        command: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, InvalidAuthorize> {
        let mut words = command.into_iter().map(Into::into);
        let program = words.next().filter(|program| !program.is_empty());
        Ok(Self {
            program: program.ok_or(InvalidAuthorize::Command)?,
            arguments: words.collect(),
        })
    }
}

impl UserAgent for BrowserCommand {
    fn open(&self, address: &str) -> io::Result<()> {
        // The runtime collects it when it ends; a browser may well outlive us.
        Command::new(&self.program)
            .args(&self.arguments)
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(drop)
    }
}

impl fmt::Debug for BrowserCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BrowserCommand")
            .field(&self.program)
            .finish()
    }
}
