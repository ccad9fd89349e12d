//! Requests as XML, exactly as TAXII 1.1 has them.

use quick_xml::escape::escape;

use super::Timestamp;
use super::window::PollWindow;

/// The media type of a TAXII message.
pub const CONTENT_TYPE: &str = "application/xml";
/// `X-TAXII-Content-Type` and `X-TAXII-Accept`.
pub const MESSAGE_BINDING: &str = "urn:taxii.mitre.org:message:xml:1.1";
/// `X-TAXII-Services`
pub const SERVICES: &str = "urn:taxii.mitre.org:services:1.1";
/// `X-TAXII-Protocol` over TLS.
pub const PROTOCOL_HTTPS: &str = "urn:taxii.mitre.org:protocol:https:1.0";
/// `X-TAXII-Protocol` without.
pub const PROTOCOL_HTTP: &str = "urn:taxii.mitre.org:protocol:http:1.0";

const NAMESPACE: &str = "http://taxii.mitre.org/messages/taxii_xml_binding-1.1";

/// A request with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `@message_id`
    pub message_id: String,
    /// The whole message.
    pub xml: String,
}

impl Request {
    /// Poll_Request: the content of a window, in full, answered at once.
    #[must_use]
    pub fn poll(message_id: String, collection: &str, window: &PollWindow) -> Self {
        let stamp = |name: &str, stamp: &Option<Timestamp>| match stamp {
            Some(stamp) => {
                let text = escape(stamp.text());
                format!("  <taxii_11:{name}>{text}</taxii_11:{name}>\n")
            }
            None => String::new(),
        };
        let begin = stamp("Exclusive_Begin_Timestamp", &window.exclusive_begin);
        let end = stamp("Inclusive_End_Timestamp", &window.inclusive_end);
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <taxii_11:Poll_Request xmlns:taxii_11=\"{NAMESPACE}\" message_id=\"{}\" \
             collection_name=\"{}\">\n{begin}{end}  \
             <taxii_11:Poll_Parameters allow_asynch=\"false\">\n    \
             <taxii_11:Response_Type>FULL</taxii_11:Response_Type>\n  \
             </taxii_11:Poll_Parameters>\n</taxii_11:Poll_Request>\n",
            escape(message_id.as_str()),
            escape(collection)
        );
        Self { message_id, xml }
    }

    /// Discovery_Request: it spends no poll, and its answer tells the service's time.
    #[must_use]
    pub fn discovery(message_id: String) -> Self {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<taxii_11:Discovery_Request \
             xmlns:taxii_11=\"{NAMESPACE}\" message_id=\"{}\"/>\n",
            escape(message_id.as_str())
        );
        Self { message_id, xml }
    }

    /// Poll_Fulfillment: a further part of a result.
    #[must_use]
    pub fn fulfillment(
        message_id: String,
        collection: &str,
        result_id: &str,
        part_number: u32,
    ) -> Self {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<taxii_11:Poll_Fulfillment \
             xmlns:taxii_11=\"{NAMESPACE}\" message_id=\"{}\" collection_name=\"{}\" \
             result_id=\"{}\" result_part_number=\"{part_number}\"/>\n",
            escape(message_id.as_str()),
            escape(collection),
            escape(result_id)
        );
        Self { message_id, xml }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_request() {
        let window = PollWindow {
            exclusive_begin: Some(Timestamp::parse("2015-01-16T00:00:00+00:00").unwrap()),
            inclusive_end: Some(Timestamp::parse("2015-01-17T00:00:00Z").unwrap()),
        };
        let request = Request::poll("7".into(), "a\"<b>", &window);
        assert_eq!(
            request.xml,
            r#"<?xml version="1.0" encoding="UTF-8"?>
<taxii_11:Poll_Request xmlns:taxii_11="http://taxii.mitre.org/messages/taxii_xml_binding-1.1" message_id="7" collection_name="a&quot;&lt;b&gt;">
  <taxii_11:Exclusive_Begin_Timestamp>2015-01-16T00:00:00+00:00</taxii_11:Exclusive_Begin_Timestamp>
  <taxii_11:Inclusive_End_Timestamp>2015-01-17T00:00:00Z</taxii_11:Inclusive_End_Timestamp>
  <taxii_11:Poll_Parameters allow_asynch="false">
    <taxii_11:Response_Type>FULL</taxii_11:Response_Type>
  </taxii_11:Poll_Parameters>
</taxii_11:Poll_Request>
"#
        );
    }

    #[test]
    fn a_fulfillment() {
        let request = Request::fulfillment("8".into(), "c", "r&1", 1000);
        assert_eq!(
            request.xml,
            r#"<?xml version="1.0" encoding="UTF-8"?>
<taxii_11:Poll_Fulfillment xmlns:taxii_11="http://taxii.mitre.org/messages/taxii_xml_binding-1.1" message_id="8" collection_name="c" result_id="r&amp;1" result_part_number="1000"/>
"#
        );
    }
}
