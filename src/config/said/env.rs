//! Variables.

use std::collections::BTreeMap;

use crate::config::options::{self, nearest};
use crate::config::said::{Layer, Origin, Setting};
use crate::secret::Secret;

/// Names beginning so are meant for us.
const PREFIXES: &[&str] = &["GITSYNC_", "GIT_SYNC_", "DAGSYNC_"];

/// The settings in the environment, and one warning for each name that looks like ours and is not.
pub(super) fn read(env: &BTreeMap<String, Secret>) -> (Layer, Vec<String>) {
    let set = |name: &str| env.get(name).map(Secret::expose).filter(|value| !value.is_empty());
    let mut layer = Layer::default();
    for opt in options::all() {
        let Some((var, value)) = opt.vars.iter().find_map(|var| Some((*var, set(var)?))) else { continue };
        let setting = match opt.split {
            Some(split) => {
                let values = value.split(split).filter(|part| !part.is_empty()).map(Secret::new).collect();
                Setting::several(values, Origin::Var(var))
            }
            None => Setting::one(value, Origin::Var(var)),
        };
        layer.set(opt.name, setting);
    }
    let known = || options::all().flat_map(|opt| opt.vars).copied();
    let warnings = env
        .keys()
        .filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| set(name).is_some() && !known().any(|var| var == *name) && !is_service_link(name))
        // Right name, wrong family first: `GITSYNC_KEEP` is ours, `GIT_SYNC_REF` never was.
        .map(|name| match known().find(|var| stem(var) == stem(name)).or_else(|| nearest(name, known())) {
            Some(near) => format!("unknown variable `{}`, did you mean `{near}`?", name.escape_debug()),
            None => format!("unknown variable `{}`", name.escape_debug()),
        })
        .collect();
    (layer, warnings)
}

fn stem(name: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// Kubernetes puts `DAGSYNC_SERVICE_HOST`, `DAGSYNC_PORT_1234_TCP` and so on into every pod of a namespace that has a
/// Service of that name.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.contains("_PORT_")
            && ["_TCP", "_UDP", "_SCTP", "_PROTO", "_ADDR"].iter().any(|end| name.ends_with(end)))
}
