//! Where the adapter is started: what its configuration names is beside that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::CommandError;
use crate::import::{Adapter, Appenders, read_logback};

/// Larger files are not the adapter's.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// How files are named that Spring reads.
const ENDS: [&str; 3] = ["properties", "yml", "yaml"];
/// Where the adapter keeps its status, unless its configuration says so.
const STATUS_FILE: &str = "taxii-status.xml";

/// The folder that the adapter is started in.
pub(super) struct Home(PathBuf);

impl Home {
    /// application.yml lies there, or in `config` below it.
    pub(super) fn of(application: &Path) -> Self {
        let absolute = std::path::absolute(application).unwrap_or_else(|_| application.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let is_config = folder.file_name().is_some_and(|name| name == "config");
        let home = folder.parent().filter(|_| is_config).unwrap_or(folder);
        Self(home.to_owned())
    }

    fn place(&self, named: &str) -> PathBuf {
        let named = named.strip_prefix("file:").unwrap_or(named);
        self.0.join(named)
    }

    pub(super) fn status_file(&self, adapter: &Adapter) -> PathBuf {
        self.place(adapter.status_file.as_deref().unwrap_or(STATUS_FILE))
    }

    pub(super) fn feeds(&self, adapter: &Adapter) -> Result<Vec<String>, CommandError> {
        let mut feeds = adapter.feeds.clone();
        if let Some(named) = &adapter.feed_names_file {
            let text = read(&self.place(named))?;
            let lines = text.lines().map(|line| line.trim().to_owned());
            feeds.extend(lines.filter(|line| !line.is_empty()));
        }
        Ok(feeds)
    }

    /// What Spring reads besides: files beside it and in the other of the two folders, of these profiles too.
    pub(super) fn others(&self, application: &Path, profiles: &[String]) -> Vec<PathBuf> {
        let application = std::path::absolute(application);
        let own = ["schedule".to_owned()];
        let profiles = own.iter().chain(profiles);
        let stems = profiles.map(|profile| format!("application-{profile}"));
        let stems: Vec<String> = stems.chain(["application".to_owned()]).collect();
        let mut others = Vec::new();
        for folder in [self.0.clone(), self.0.join("config")] {
            for stem in &stems {
                others.extend(ENDS.map(|end| folder.join(format!("{stem}.{end}"))));
            }
        }
        others.retain(|path| application.as_ref().ok() != Some(path) && path.exists());
        others
    }

    pub(super) fn appenders(&self, adapter: &Adapter) -> Result<Appenders, String> {
        let named = adapter.logging_config.as_ref();
        let named = named.ok_or("no logging.config is known")?;
        let path = self.place(named);
        let text = read(&path).map_err(|error| error.to_string())?;
        let found = read_logback(&text);
        let found = found.map_err(|error| format!("{}: {error}", path.display()))?;
        if found.all.is_empty() {
            return Err(format!(
                "{} sends what is for the logger \"output\" to no appender",
                path.display()
            ));
        }
        Ok(found)
    }
}

pub(super) fn read(path: &Path) -> Result<String, CommandError> {
    let cannot = |error: io::Error| {
        CommandError::Failed(format!("{} cannot be read: {error}", path.display()))
    };
    let found = fs::metadata(path).map_err(cannot)?;
    if found.len() > MAX_FILE_BYTES {
        let too_large = io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes"));
        return Err(cannot(too_large));
    }
    fs::read_to_string(path).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_beside_where_the_adapter_is_started() {
        let place = |yml: &str, named: &str| Home::of(Path::new(yml)).place(named);
        let home = Path::new("/data/adapter");
        assert_eq!(
            place("/data/adapter/config/application.yml", "config/logback.xml"),
            home.join("config/logback.xml")
        );
        assert_eq!(place("/data/adapter/application.yml", "x"), home.join("x"));
        assert_eq!(
            place("/data/adapter/application.yml", "file:/x"),
            Path::new("/x")
        );
    }
}
