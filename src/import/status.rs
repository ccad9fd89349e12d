//! What the adapter's taxii-status.xml says: how far each feed is.

use crate::taxii::Timestamp;
use crate::tree::Element;

/// A feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Its name: a collection here.
    pub name: String,
    /// How far it is.
    pub state: FeedState,
}

/// How far a feed is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedState {
    /// Everything up to here was fetched: a checkpoint.
    Fetched(Timestamp),
    /// Some parts of an answer that ends here were fetched, and others not: to begin here would leave
    /// those out.
    Between(Timestamp),
    /// It does not tell, for this reason.
    Unknown(String),
}

/// Reads taxii-status.xml.
pub fn read(text: &str) -> Result<Vec<Feed>, String> {
    let root = Element::read(text).map_err(|error| error.to_string())?;
    if root.name != "taxii-status" {
        return Err(format!("it is not a taxii-status, but {:?}", root.name));
    }
    let feeds = root.elements().filter(|element| element.name == "feed");
    let feeds = feeds.filter_map(|feed| {
        Some(Feed {
            name: feed.attribute("name")?.to_owned(),
            state: state(feed),
        })
    });
    Ok(feeds.collect())
}

fn state(feed: &Element) -> FeedState {
    let Some(text) = feed.attribute("lastUpdate") else {
        return FeedState::Unknown("it has no lastUpdate: it was never fetched".to_owned());
    };
    let stamp = match Timestamp::parse(text) {
        Ok(stamp) => stamp,
        Err(error) => return FeedState::Unknown(format!("lastUpdate: {error}")),
    };
    let has_more = feed.attribute("more") == Some("true");
    if has_more || feed.attribute("resultPartNumber").is_some() {
        FeedState::Between(stamp)
    } else {
        FeedState::Fetched(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feed_tells_how_far_it_is() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n\
            <taxii-status>\n\
            <feed name=\"one\" lastUpdate=\"2026-03-01T10:00:00.123+01:00\" ioErrorCount=\"1\"/>\n\
            <feed name=\"two\" lastUpdate=\"2026-03-01T00:00:00Z\" more=\"true\" resultId=\"r\" \
            resultPartNumber=\"1\"/>\n\
            <feed name=\"half\" lastUpdate=\"2026-03-01T00:00:00Z\" more=\"true\"/>\n\
            <feed name=\"three\"/>\n<feed name=\"four\" lastUpdate=\"soon\"/>\n</taxii-status>";
        let feeds = read(text).unwrap();
        let stamp = |text| Timestamp::parse(text).unwrap();
        assert_eq!(
            feeds[0].state,
            FeedState::Fetched(stamp("2026-03-01T10:00:00.123+01:00"))
        );
        assert_eq!(
            feeds[1].state,
            FeedState::Between(stamp("2026-03-01T00:00:00Z"))
        );
        assert_eq!(feeds[2].state, feeds[1].state);
        assert!(matches!(&feeds[3].state, FeedState::Unknown(why) if why.contains("never")));
        assert!(matches!(&feeds[4].state, FeedState::Unknown(_)));
        assert!(read("<other/>").unwrap_err().contains("\"other\""));
        assert!(read("<taxii-status>").is_err());
    }
}
