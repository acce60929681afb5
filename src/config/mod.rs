//! What the user said, and what it means.
//!
//! Owns the one table of options (`options`), its reading from flags, variables and the file (`said`), and its meaning
//! (`resolve`, into the types of `resolved`). Reads no clock and no process state: arguments, environment and the file's
//! text are passed in, so that a reload is the same call with another text. Called by `cli` and by the agent's reload.

pub mod docs;
pub mod duration;
pub mod errors;
pub mod gitconfig;
pub mod gitmeaning;
pub mod options;
pub mod proxy;
pub mod ref_rule;
mod resolve;
pub mod resolved;
pub mod said;
pub mod value;

pub use errors::{EXIT_USAGE, Errors, Problem};
pub use resolved::*;
pub use said::{Inputs, Surroundings};

/// Works out the configuration, or everything that is wrong with it.
///
/// `file` is the text of [`Inputs::config_file`], read by the caller; with a new text this is the reload. A file that was
/// named and whose text is not given is an error: it could not be read.
pub fn load(inputs: &Inputs, file: Option<&str>) -> Result<Config, Errors> {
    let mut errors = Errors::default();
    if let (Some(path), None) = (inputs.config_file(), file) {
        let hint = "it must exist, be readable and be UTF-8";
        errors.push(Problem::new(format!("config file `{}`: cannot be read", path.display())).hint(hint));
    }
    let said = said::Said::read(inputs, file, &mut errors);
    if file.is_some_and(|text| text.parse::<toml::Table>().is_err()) {
        // Nothing can be said about what is missing: it may be in the part that cannot be read.
        return Err(errors);
    }
    let config = resolve::resolve(&said, inputs, &mut errors);
    if errors.is_empty() { Ok(config) } else { Err(errors) }
}
