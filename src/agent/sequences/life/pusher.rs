//! A service that pushes, and pushes again what it is not told SUCCESS of.

use super::Life;
use crate::event::EventId;
use crate::tape::Tape;
use crate::taxii::status::StatusType;

/// Of a message that comes in this much is in memory.
const MEMORY: usize = 2000;

/// An Inbox_Message.
pub(super) struct Message {
    xml: String,
    events: Vec<EventId>,
    is_again: bool,
}

impl Life {
    /// A message comes in whole, the one before if that was not answered.
    pub(super) fn push(&mut self) -> Result<(), String> {
        let mut message = match self.unanswered.take() {
            Some(message) => message,
            None => self.message(),
        };
        let status = self.pushed(&message.xml);
        if status == Some(StatusType::Success) && !self.disk.is_stopped() {
            self.tally.pushed += 1;
            self.tally.pushed_again += u64::from(message.is_again);
            self.pushed.extend(message.events);
        } else {
            // Of a machine that has stopped nobody has heard anything.
            message.is_again = true;
            self.unanswered = Some(message);
        }
        self.look()
    }

    fn pushed(&mut self, xml: &str) -> Option<StatusType> {
        let inbox = self.agent().inbox()?.clone();
        let staging = inbox.make_room().ok()?;
        let mut body = Tape::new(staging.scratch(), MEMORY, 1 << 20);
        for piece in xml.as_bytes().chunks(MEMORY / 2) {
            body.append(piece).ok()?;
        }
        Some(inbox.receive(&mut body, staging).reply.status)
    }

    fn message(&mut self) -> Message {
        let package = self.generator.publication(self.cta.now());
        let mut xml = "<t:Inbox_Message message_id=\"1\" \
             xmlns:t=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\">"
            .to_owned();
        if self.random.u8(..4) == 0 {
            xml += "<t:Content_Block><t:Content><no-stix/></t:Content></t:Content_Block>";
        }
        xml += "<t:Content_Block><t:Content>";
        xml += &package.package_xml;
        xml += "</t:Content></t:Content_Block></t:Inbox_Message>";
        Message {
            xml,
            events: package.events,
            is_again: false,
        }
    }
}
