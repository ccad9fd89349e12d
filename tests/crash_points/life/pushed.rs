//! A service that pushes, and pushes again what it is not told SUCCESS of.

use super::{Died, LIMIT, Life, PACKAGES, TICK};

/// What stands around the Content_Blocks.
const BEGIN: &str = "<t:Inbox_Message xmlns:t=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\" \
     message_id=\"1\">";
const END: &str = "</t:Inbox_Message>";

impl Life {
    /// Messages are pushed, one after the other; an error is the agent's death.
    pub(super) async fn is_pushed_to(&mut self) -> Result<(), Died> {
        // The second call's error only says that there was a first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        self.start_to_die();
        for _ in 0..3 {
            let message = self.message();
            self.unanswered = Some(message);
            while !self.push().await {
                self.tick().await?;
            }
            self.all_is_done().await?;
        }
        Ok(())
    }

    /// What was not answered.
    pub(super) async fn push_again(&mut self) {
        let pushing = async {
            while !self.push().await {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::time::timeout(LIMIT, pushing).await.unwrap();
    }

    fn message(&mut self) -> String {
        let now = self.rig.cta.now();
        let mut message = BEGIN.to_owned();
        // As many events as one request to Splunk takes, and so one of them is in flight at most.
        let mut events = 0;
        for _ in 0..PACKAGES {
            let package = self.rig.generator.publication(now);
            if events + package.events.len() > super::IN_REQUEST {
                break;
            }
            events += package.events.len();
            self.published.extend(&package.events);
            self.rig.pushed.extend(&package.events);
            message += "<t:Content_Block><t:Content>";
            message += &package.package_xml;
            message += "</t:Content></t:Content_Block>";
        }
        assert!(events > 0);
        message + END
    }

    /// Whether nothing waits for an answer any more.
    async fn push(&mut self) -> bool {
        let Some(message) = &self.unanswered else {
            return true;
        };
        let log = self.rig.log();
        let url = log.rsplit_once("inbox listens").and_then(|(_, line)| {
            let (_, url) = line.split_once("url=\"")?;
            url.split_once('"').map(|(url, _)| url.to_owned())
        });
        let Some(url) = url else {
            return false;
        };
        let post = reqwest::Client::new().post(url).timeout(LIMIT);
        let Ok(answer) = post.body(message.clone()).send().await else {
            return false;
        };
        let said = answer.text().await.unwrap_or_default();
        let is_taken = said.contains("status_type=\"SUCCESS\"");
        if is_taken {
            self.unanswered = None;
        }
        is_taken
    }
}
