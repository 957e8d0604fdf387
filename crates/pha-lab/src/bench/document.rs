//! Blocks of documents that are written by a program: `<!-- NAME -->` … `<!-- /NAME -->`, each on a line of its own.

use std::fs;

use anyhow::{Context, Result};

use crate::home;

/// The document with all figures.
pub(super) const BENCHMARKS: &str = "docs/benchmarks.md";

/// Replaces what stands in the block `name` of the document `file` of this tree.
pub(super) fn write(file: &str, name: &str, text: &str) -> Result<()> {
    let path = home::source().join(file);
    let old = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let new = replaced(&old, name, text).with_context(|| format!("{file} has no block {name}"))?;
    fs::write(&path, new).with_context(|| path.display().to_string())
}

fn replaced(document: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{}\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_block_changes() {
        let old = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n";
        assert_eq!(replaced(old, "x", "new\n").as_deref(), Some("a\n<!-- x -->\nnew\n<!-- /x -->\nb\n"));
        assert_eq!(replaced(old, "y", "new"), None);
        assert_eq!(replaced("<!-- x -->\nno end", "x", "new"), None);
    }

    #[test]
    fn the_documents_have_their_blocks() -> Result<()> {
        for (file, name) in [(BENCHMARKS, "figures"), (BENCHMARKS, "micro"), ("README.md", "figures")] {
            let text = fs::read_to_string(home::source().join(file))?;
            assert!(replaced(&text, name, "").is_some(), "{file}: {name}");
        }
        Ok(())
    }
}
