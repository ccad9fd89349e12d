//! What is named, by a person or in the state, among what is configured.

use super::{OutputConfig, ServiceConfig};

/// No output has that name.
#[derive(Debug, thiserror::Error)]
#[error("there is no output {name:?} in the configuration; there are: {known}")]
pub struct UnknownOutput {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: String,
}

/// It is not certain which collection is meant.
#[derive(Debug, thiserror::Error)]
pub enum UnknownCollection {
    /// There is no such collection.
    #[error("there is no collection {name:?} in the configuration; there are: {known}")]
    NotThere {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Several services have it.
    #[error("the collection {collection:?} is polled from {services}: say which with --service")]
    Ambiguous {
        /// What was asked for.
        collection: String,
        /// Who has it.
        services: String,
    },
}

/// The output with a name.
pub fn find_output<'a>(
    outputs: &'a [OutputConfig],
    name: &str,
) -> Result<&'a OutputConfig, UnknownOutput> {
    let found = outputs.iter().find(|output| output.name == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        UnknownOutput {
            name: name.to_owned(),
            known: known.join(", "),
        }
    })
}

/// The service of that name that has the collection, or the only one.
pub fn find_collection<'a>(
    services: &'a [ServiceConfig],
    service: Option<&str>,
    collection: &str,
) -> Result<&'a ServiceConfig, UnknownCollection> {
    let has = |known: &&ServiceConfig| {
        service.is_none_or(|name| name == known.name)
            && known.collections.iter().any(|name| name == collection)
    };
    let found: Vec<&ServiceConfig> = services.iter().filter(has).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => {
            let keys = services.iter().flat_map(|service| {
                let names = service.collections.iter();
                names.map(|name| format!("{}/{name}", service.name))
            });
            Err(UnknownCollection::NotThere {
                name: service.map_or_else(
                    || collection.to_owned(),
                    |service| format!("{service}/{collection}"),
                ),
                known: keys.collect::<Vec<_>>().join(", "),
            })
        }
        several => {
            let services: Vec<&str> = several.iter().map(|known| known.name.as_str()).collect();
            Err(UnknownCollection::Ambiguous {
                collection: collection.to_owned(),
                services: services.join(" and "),
            })
        }
    }
}

/// Whether one of these services is asked for the collection.
#[must_use]
pub fn is_configured(services: &[ServiceConfig], service: &str, collection: &str) -> bool {
    let mut named = services.iter().filter(|known| known.name == service);
    named.any(|known| known.collections.iter().any(|name| name == collection))
}
