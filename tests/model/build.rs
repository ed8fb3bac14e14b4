//! Writes the production files into the build directory once as they are and once per planted mistake, with loom's types in place of the real ones.
//!
//! So there is no second copy of the logic, and production code knows nothing of models. A line that is to be replaced must stand in its file exactly
//! once: whoever changes it is told here.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

include!("src/mistakes.rs");

/// What is modelled: name of the module, and the file.
const FILES: [(&str, &str); 6] = [
    ("wake", "broker/server/src/wake.rs"),
    ("lanes", "broker/server/src/lanes.rs"),
    ("places", "broker/server/src/places.rs"),
    ("channel", "broker/core/src/channel.rs"),
    ("identity", "broker/core/src/identity.rs"),
    ("leading", "broker/core/src/leading.rs"),
];

/// The models, which are compiled once per variant, as each variant has types of its own.
const MODELS: [&str; 6] = [
    "sleeping",
    "lanes",
    "places",
    "channels",
    "identities",
    "leading",
];

/// What a name stands for in a model. All else is used as it is.
const NAMES: [(&str, &str); 6] = [
    ("crate::", "super::"),
    ("std::sync::atomic", "crate::world::atomic"),
    ("core::sync::atomic", "crate::world::atomic"),
    ("use mio::", "use crate::world::mio::"),
    (
        "use crossbeam_channel::",
        "use crate::world::crossbeam_channel::",
    ),
    (
        "use crossbeam_queue::",
        "use crate::world::crossbeam_queue::",
    ),
];

/// Loom's atomics cannot be made in a constant, and two partitions are enough.
const SPELLINGS: [(&str, &str); 2] = [
    (
        "[const { AtomicU32::new(HERE) }; Slot::COUNT as usize]",
        "core::array::from_fn(|_| AtomicU32::new(HERE))",
    ),
    ("[AtomicU32; Slot::COUNT as usize]", "[AtomicU32; 2]"),
];

fn main() {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo tells it"));
    let root = manifest
        .ancestors()
        .nth(2)
        .expect("the crate stands in tests/");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo tells it"));
    let mut list = String::new();
    println!("cargo::rerun-if-changed=src");
    for (_, file) in FILES {
        println!("cargo::rerun-if-changed={}", root.join(file).display());
    }
    variant(root, &manifest, &out, "as_written", None, &mut list);
    for mistake in MISTAKES {
        variant(
            root,
            &manifest,
            &out,
            mistake.name,
            Some(mistake),
            &mut list,
        );
    }
    let mut all = String::from(
        "/// Every variant: its name, and its models.\npub const VARIANTS: &[(&str, &[Model])] = &[\n",
    );
    let names = MISTAKES.iter().map(|mistake| mistake.name);
    for name in std::iter::once("as_written").chain(names) {
        writeln!(all, "    (\"{name}\", &[").expect("a string takes all");
        for model in MODELS {
            writeln!(all, "        {name}::models::{model}::MODEL,").expect("a string takes all");
        }
        all.push_str("    ]),\n");
    }
    all.push_str("];\n");
    fs::write(out.join("variants.rs"), list + &all).expect("a writable build directory");
}

/// Writes the files of one variant, and adds its module to `list`.
fn variant(
    root: &Path,
    manifest: &Path,
    out: &Path,
    name: &str,
    mistake: Option<&Mistake>,
    list: &mut String,
) {
    let folder = out.join(name);
    fs::create_dir_all(&folder).expect("a writable build directory");
    writeln!(list, "#[allow(warnings, clippy::all)]\nmod {name} {{\n    pub(crate) mod production {{\n        use crate::production::{{core, limits}};")
        .expect("a string takes all");
    for (module, file) in FILES {
        let mut text = fs::read_to_string(root.join(file)).expect("a production file");
        if let Some(mistake) = mistake.filter(|mistake| mistake.file == module) {
            let count = text.matches(mistake.from).count();
            assert!(
                count == 1,
                "{file} has {count} places like this, and the mistake {name} needs one:\n{}",
                mistake.from
            );
            text = text.replace(mistake.from, mistake.to);
        }
        // Unit tests are for the real types.
        if let Some((code, _)) = text.split_once("#[cfg(test)]\nmod tests") {
            text = code.to_owned();
        }
        for (from, to) in NAMES.into_iter().chain(SPELLINGS) {
            text = text.replace(from, to);
        }
        let path = folder.join(format!("{module}.rs"));
        fs::write(&path, text).expect("a writable build directory");
        writeln!(list, "    #[path = {path:?}]\n    pub(crate) mod {module};")
            .expect("a string takes all");
    }
    list.push_str("    }\n    pub(crate) mod models {\n        use super::production;\n");
    for model in MODELS {
        let path = manifest.join("src/models").join(format!("{model}.rs"));
        writeln!(
            list,
            "        #[path = {path:?}]\n        pub(crate) mod {model};"
        )
        .expect("a string takes all");
    }
    list.push_str("    }\n}\n");
}
