//! A world with an inbox, and somebody who pushes to it.

use std::path::Path;
use std::time::Duration;

use cta_forwarder::event::EventId;
use cta_forwarder::simulator::content::{ContentGenerator, PackageSize};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::world::{Setup, World, assert_same};

/// What does not come in this time does not come: only a failure waits for it.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const NAMESPACE_1_0: &str = "http://taxii.mitre.org/messages/taxii_xml_binding-1";
pub(crate) const NAMESPACE_1_1: &str = "http://taxii.mitre.org/messages/taxii_xml_binding-1.1";

/// Each package has so many events.
const SIZE: PackageSize = PackageSize {
    incidents: 2,
    indicators: 1,
    flows: 3,
    exact: true,
};

/// A world whose agent has an inbox.
pub(crate) struct Inboxed {
    pub(crate) world: World,
    pub(crate) url: String,
    generator: ContentGenerator,
    /// What was answered with SUCCESS.
    pub(crate) taken: Vec<EventId>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// An answer, with what it says.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) http: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) status: String,
    pub(crate) in_response_to: String,
    pub(crate) xml: String,
}

impl Told {
    /// SUCCESS, or why not.
    #[track_caller]
    pub(crate) fn is(&self, status: &str) -> &Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(self.xml.contains(text), "{self:#?}");
        self
    }
}

/// A folder of the project with certificates.
pub(crate) fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls");
    folder.join(name).display().to_string()
}

impl Inboxed {
    /// An inbox with these keys beside its address and the collections `gold` and `tin`.
    pub(crate) fn new(keys: &str) -> Self {
        Self::with(keys, Setup::default())
    }

    pub(crate) fn with(keys: &str, setup: Setup) -> Self {
        let inbox = format!(
            "[inbox]\nlisten = \"127.0.0.1:0\"\ncollections = [\"gold\", \"tin\"]\n{keys}\n"
        );
        let world = World::new(Setup {
            outputs: format!("{}\n{inbox}", setup.outputs),
            ..setup
        });
        let (url, stop, server) = listen(&world);
        Self {
            world,
            url,
            generator: ContentGenerator::new(23).with_size(SIZE),
            taken: Vec::new(),
            stop,
            server,
        }
    }

    /// Ends the agent, and starts another one on the same state.
    pub(crate) async fn restart(&mut self) {
        self.stop.send_replace(true);
        (&mut self.server).await.unwrap();
        self.world.restart();
        (self.url, self.stop, self.server) = listen(&self.world);
    }

    /// A STIX package, and its events.
    pub(crate) fn package(&mut self) -> (String, Vec<EventId>) {
        let publication = self.generator.publication(self.world.cta.now());
        (publication.package_xml.to_string(), publication.events)
    }

    /// Pushes a package to a collection in TAXII 1.1; what is taken is remembered.
    pub(crate) async fn push_to(&mut self, collection: &str) -> Told {
        let (package, events) = self.package();
        let to =
            format!("<t:Destination_Collection_Name>{collection}</t:Destination_Collection_Name>");
        let told = self.post(message_1_1("7", &to, &block(&package))).await;
        if told.status == "SUCCESS" {
            self.taken.extend(events);
        }
        told
    }

    pub(crate) async fn post(&self, message: impl Into<Vec<u8>>) -> Told {
        post_to(&reqwest::Client::new(), &self.url, message).await
    }

    /// Everything that was taken is in the file, once, and all adds up.
    #[track_caller]
    pub(crate) fn assert_exactly_once(&self) {
        assert_same("the file", &self.taken, &self.world.ids_in_file());
        self.world.assert_adds_up();
    }

    /// Nothing of what was refused is left.
    #[track_caller]
    pub(crate) fn assert_nothing_is_left(&self) {
        let spool = self.world.state_folder().join("spool");
        for folder in ["staging", "ready", "dead-letters"] {
            let left: Vec<_> = std::fs::read_dir(spool.join(folder)).unwrap().collect();
            assert!(left.is_empty(), "{folder}: {left:?}");
        }
        let records = self.world.ledger();
        let pushed = records.iter().filter(|record| record["type"] == "pushed");
        assert_eq!(pushed.count(), 0);
    }
}

impl Drop for Inboxed {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn listen(world: &World) -> (String, watch::Sender<bool>, JoinHandle<()>) {
    let (stop, stopped) = watch::channel(false);
    let inbox = world.agent.inbox().unwrap().clone();
    let server = tokio::spawn(inbox.listen(stopped).unwrap());
    let board = &world.agent.house().board;
    // It says so as soon as it answers.
    let url = loop {
        match board.inbox_activity().url {
            Some(url) => break url,
            None => std::thread::yield_now(),
        }
    };
    (url, stop, server)
}

pub(crate) async fn post_to(
    client: &reqwest::Client,
    url: &str,
    message: impl Into<Vec<u8>>,
) -> Told {
    let post = client.post(url).header(CONTENT_TYPE, "application/xml");
    told(post.body(message.into())).await
}

/// What is answered to a request.
pub(crate) async fn told(request: reqwest::RequestBuilder) -> Told {
    let answer = request.timeout(LIMIT).send().await.unwrap();
    let http = answer.status().as_u16();
    let headers = answer.headers().clone();
    let xml = answer.text().await.unwrap();
    let attribute = |name: &str| {
        let (_, rest) = xml.split_once(&format!(" {name}=\"")).unwrap_or_default();
        rest.split('"').next().unwrap().to_owned()
    };
    Told {
        http,
        headers,
        status: attribute("status_type"),
        in_response_to: attribute("in_response_to"),
        xml,
    }
}

pub(crate) fn message_1_1(id: &str, before: &str, blocks: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<t:Inbox_Message xmlns:t=\"{NAMESPACE_1_1}\" \
         message_id=\"{id}\">{before}{blocks}</t:Inbox_Message>"
    )
}

pub(crate) fn message_1_0(id: &str, before: &str, blocks: &str) -> String {
    format!(
        "<Inbox_Message xmlns=\"{NAMESPACE_1_0}\" xmlns:t=\"{NAMESPACE_1_0}\" \
         message_id=\"{id}\">{before}{blocks}</Inbox_Message>"
    )
}

/// A Content_Block of TAXII 1.1.
pub(crate) fn block(content: &str) -> String {
    block_of("urn:stix.mitre.org:xml:1.1.1", content)
}

pub(crate) fn block_of(binding: &str, content: &str) -> String {
    format!(
        "<t:Content_Block><t:Content_Binding binding_id=\"{binding}\"/>\
         <t:Content>{content}</t:Content></t:Content_Block>"
    )
}

/// A Content_Block of TAXII 1.0.
pub(crate) fn block_1_0(content: &str) -> String {
    format!(
        "<t:Content_Block><t:Content_Binding>urn:stix.mitre.org:xml:1.0</t:Content_Binding>\
         <t:Content>{content}</t:Content></t:Content_Block>"
    )
}
