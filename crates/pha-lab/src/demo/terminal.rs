//! The terminal while the live screen is shown: keys at once and unseen, an alternate screen, and all of it undone at
//! the end. `stty` does what would need system calls.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The screen in its special mode, until dropped.
#[derive(Debug)]
pub(super) struct Terminal {
    before: String,
    hangups: u32,
}

/// What a wait for a key brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A key.
    Pressed(u8),
    /// None within a quarter of a second.
    None,
    /// The terminal is gone.
    HungUp,
}

impl Terminal {
    pub(super) fn open() -> Result<Self> {
        let terminal = Self { before: stty(&["-g"])?.trim().to_owned(), hangups: 0 };
        terminal.seize()?;
        Ok(terminal)
    }

    /// Takes the terminal: no echo, Ctrl-C is a key, a read waits 0.2 s at most.
    pub(super) fn seize(&self) -> Result<()> {
        stty(&["-icanon", "-echo", "-isig", "min", "0", "time", "2"])?;
        put("\x1b[?1049h\x1b[?25l\x1b[2J")
    }

    /// Gives it back, for another program or for good.
    pub(super) fn release(&self) -> Result<()> {
        put("\x1b[?25h\x1b[?1049l")?;
        stty(&[self.before.as_str()]).map(drop)
    }

    /// Draws `lines` from the top and clears what was there before.
    pub(super) fn draw(&self, lines: &[String]) -> Result<()> {
        let text: String = lines.iter().map(|line| format!("{line}\x1b[K\r\n")).collect();
        put(&format!("\x1b[H{text}\x1b[J"))
    }

    /// The next key.
    pub(super) fn key(&mut self) -> Key {
        let (mut byte, started) = ([0], Instant::now());
        match std::io::stdin().read(&mut byte) {
            Ok(1) => Key::Pressed(byte[0]),
            // A terminal without a key makes us wait; one that is gone does not.
            Ok(_) if started.elapsed() > Duration::from_millis(50) => {
                self.hangups = 0;
                Key::None
            }
            Ok(_) | Err(_) => {
                self.hangups += 1;
                if self.hangups > 20 { Key::HungUp } else { Key::None }
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.release();
    }
}

fn put(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("terminal")
}

fn stty(arguments: &[&str]) -> Result<String> {
    let output = Command::new("stty").args(arguments).stdin(Stdio::inherit()).output().context("stty")?;
    ensure!(output.status.success(), "stty: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
