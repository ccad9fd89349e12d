//! Words for the content: from the vendor's sample, from real logs, and from the edges of XML.

pub(super) const TITLES: &[&str] = &[
    "malware|using automatically generated domain (DGA)",
    "command and control | beaconing\n  to a rare host",
    "  exfiltration:  upload & tunnelling  ",
    "ad injector <click fraud>",
    "Trojaner \u{201e}Größenwahn\u{201c} \u{2013} 悪意のある通信",
    "anomalous swflow 'scan' \"wide\"",
];

pub(super) const ACTIVITIES: &[&str] = &[
    "communication to automatically generated domain\n(DGA)",
    "url string as comunication channel",
    "anonymization software (Tor)",
    "horizontal scan & lateral move",
];

pub(super) const CAMPAIGNS: &[&str] = &["#CZWB01", "#CSAL\u{d6}1", "Zeus & Sons"];

pub(super) const NAMES: &[&str] = &[
    "JohnDoe",
    "CORP\\jane.o'brien",
    "Jörg  Müßig",
    "山田\n太郎",
    "svc-backup@example.com",
    "<unknown>",
];

pub(super) const DISCOVERY_METHODS: &[&str] = &["Log Review", "NIDS", "Agent Disclosure"];

pub(super) const CONFIDENCES: &[&str] = &["Low", "Medium", "High", "95"];

pub(super) const RISKS: &[&str] = &["3", "5", "9", "high"];

pub(super) const RISK_CATEGORIES: &[&str] = &["malware", "information stealer", "botnet & C2"];

/// Ids and names.
pub(super) const TOOLS: &[(&str, &str); 2] = &[
    ("cta:tool-cta", "Cognitive Threat Analytics"),
    ("cta:tool-amp", "Advanced\nMalware  Protection"),
];

pub(super) const URLS: &[&str] = &[
    "",
    "http://www.example.com/",
    "http://x.example/?a=1&b=<2>&c=%20\"q\"",
    "https://bücher.example/пример?x=]]>&y=&amp;",
    "tunnel://203.0.113.9:443/",
];

pub(super) const USER_AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36",
    "  padded agent  ",
    "",
    "two\nlines",
];

pub(super) const CATEGORIES: &[&str] = &["unclassified", "Computers & Internet", "News", ""];

pub(super) const CONTENT_TYPES: &[&str] =
    &["text/html; charset=utf-8", "application/x-dosexec", ""];

pub(super) const OPERATORS: &[&str] = &["AND", "OR"];

/// Edges of what a value may be.
pub(super) const ODD_VALUES: &[&str] = &[
    "007",
    "-0",
    "99999999999999999999",
    " 42 ",
    "n/a",
    "a##comma##b",
    "\u{1f480}",
    "{\"json\": \"inside\"}",
];
