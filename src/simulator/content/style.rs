//! The prefixes in which a package is written.

/// The prefixes, with their colon, for each namespace.
pub(super) struct Style {
    pub(super) stix: &'static str,
    pub(super) common: &'static str,
    pub(super) incident: &'static str,
    pub(super) indicator: &'static str,
    pub(super) ttp: &'static str,
    pub(super) campaign: &'static str,
    pub(super) cybox: &'static str,
    pub(super) cybox_common: &'static str,
}

pub(super) const STYLE_OF_THE_SAMPLE: Style = Style {
    stix: "s:",
    common: "sc:",
    incident: "inc:",
    indicator: "ind:",
    ttp: "ttp:",
    campaign: "camp:",
    cybox: "c:",
    cybox_common: "cc:",
};

pub(super) const STYLES: &[Style] = &[
    STYLE_OF_THE_SAMPLE,
    Style {
        stix: "",
        ..STYLE_OF_THE_SAMPLE
    },
    Style {
        stix: "stix:",
        common: "stixCommon:",
        incident: "incident:",
        indicator: "indicator:",
        ttp: "stix-ttp:",
        campaign: "campaign:",
        cybox: "cybox:",
        cybox_common: "cyboxCommon:",
    },
];

impl Style {
    /// The declarations, as attributes.
    pub(super) fn namespaces(&self) -> String {
        let bound = [
            (self.stix, "http://stix.mitre.org/stix-1"),
            (self.common, "http://stix.mitre.org/common-1"),
            (self.incident, "http://stix.mitre.org/Incident-1"),
            (self.indicator, "http://stix.mitre.org/Indicator-2"),
            (self.ttp, "http://stix.mitre.org/TTP-1"),
            (self.campaign, "http://stix.mitre.org/Campaign-1"),
            (self.cybox, "http://cybox.mitre.org/cybox-2"),
            (self.cybox_common, "http://cybox.mitre.org/common-2"),
            ("co:", "http://cybox.mitre.org/objects#CustomObject-1"),
            ("cta:", "http://cisco.com/td/cta"),
            ("xsi:", "http://www.w3.org/2001/XMLSchema-instance"),
        ];
        let declarations = bound.map(|(prefix, namespace)| match prefix.strip_suffix(':') {
            Some(prefix) => format!(" xmlns:{prefix}=\"{namespace}\""),
            None => format!(" xmlns=\"{namespace}\""),
        });
        declarations.concat()
    }
}
