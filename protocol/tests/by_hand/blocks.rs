//! Takes the bytes out of `schemas/BY_HAND.md`.

use std::collections::BTreeMap;
use std::path::Path;

/// The blocks that begin with three backticks, `bytes` and a name.
pub(crate) struct Blocks {
    /// The document.
    #[allow(dead_code, reason = "not every test looks at the prose")]
    pub(crate) text: String,
    blocks: BTreeMap<String, Vec<String>>,
}

/// Reads the document; `protocol` is the folder of that name.
pub(crate) fn read(protocol: &Path) -> Blocks {
    let path = protocol.join("schemas/BY_HAND.md");
    let text = std::fs::read_to_string(&path).expect("the document is part of the project");
    let mut blocks = BTreeMap::new();
    for block in text.split("\n```bytes ").skip(1) {
        let mut lines = block.lines().take_while(|line| *line != "```").map(str::to_owned);
        let name = lines.next().expect("a block has a name");
        blocks.insert(name, lines.collect());
    }
    Blocks { text, blocks }
}

impl Blocks {
    /// The bytes of a block: pairs of hexadecimal digits, which end at the first other word; a line
    /// that is another block's name stands for that block.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let lines = self.blocks.get(name).unwrap_or_else(|| panic!("a block is named {name}"));
        lines
            .iter()
            .flat_map(|line| {
                if self.blocks.contains_key(line) {
                    return self.bytes(line);
                }
                line.split(' ')
                    .take_while(|word| word.len() == 2)
                    .map_while(|word| u8::from_str_radix(word, 16).ok())
                    .collect()
            })
            .collect()
    }
}
