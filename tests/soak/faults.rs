//! What goes wrong at the service, at Splunk and at the syslog receiver, at random.

use std::collections::BTreeSet;
use std::fs;

use cta_forwarder::event::EventId;
use cta_forwarder::simulator::ArmedFault;
use cta_forwarder::simulator::cta::{BadBlock, CtaFault, CtaFaultOn};
use cta_forwarder::simulator::hec::{AckPolicy, HecFault, HecFaultOn};
use cta_forwarder::simulator::syslog::{SyslogFault, SyslogFaultOn};

use super::Soak;

/// Faults that go on for some rounds.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Rounds until each is there again.
    cta_away: u8,
    splunk_away: u8,
    siem_away: u8,
    acks_held: u8,
    /// What was published when the last useless answer was made ready. Six of them in a row are a
    /// window that is given up, which is not what is tried here.
    published_at_useless: Option<BTreeSet<EventId>>,
}

impl Soak {
    /// Makes something fail in three rounds of four.
    pub(crate) async fn fail_at_random(&mut self) {
        self.go_on_with_outages().await;
        if self.random.u8(..) < 120 {
            self.fail_at_the_service().await;
        }
        if self.random.u8(..) < 120 {
            self.fail_at_splunk().await;
        }
        if self.random.u8(..) < 120 {
            self.fail_at_the_siem().await;
        }
    }

    /// Nothing fails any more.
    pub(crate) async fn mend_all(&mut self) {
        self.faults = Faults::default();
        self.rig.cta.clear_faults();
        self.rig.hec.clear_faults();
        self.siem.clear_faults();
        self.rig.cta.accept_connections().await.unwrap();
        self.rig.hec.accept_connections().await.unwrap();
        self.siem.accept_connections().await.unwrap();
        self.acknowledge(AckPolicy::AtOnce);
    }

    fn acknowledge(&mut self, policy: AckPolicy) {
        let hec = &self.rig.hec;
        hec.change_rules(|rules| rules.acknowledgement = Some(policy));
        if policy != AckPolicy::Held {
            hec.release_acks();
        }
    }

    async fn go_on_with_outages(&mut self) {
        let ends = |rounds: &mut u8| {
            let is_last = *rounds == 1;
            *rounds = rounds.saturating_sub(1);
            is_last
        };
        if ends(&mut self.faults.cta_away) {
            self.rig.cta.accept_connections().await.unwrap();
        }
        if ends(&mut self.faults.splunk_away) {
            self.rig.hec.accept_connections().await.unwrap();
        }
        if ends(&mut self.faults.siem_away) {
            self.siem.accept_connections().await.unwrap();
        }
        if ends(&mut self.faults.acks_held) {
            self.acknowledge(AckPolicy::AtOnce);
        }
    }

    async fn fail_at_the_service(&mut self) {
        let status = |status| CtaFault::HttpStatus {
            status,
            status_type: None,
        };
        let retry = || CtaFault::StatusMessage {
            status_type: "RETRY".to_owned(),
            message: "later".to_owned(),
            details: vec![("ESTIMATED_WAIT".to_owned(), "1".to_owned())],
        };
        let passing = [
            status(500),
            status(503),
            status(429),
            status(401),
            retry(),
            CtaFault::HangUp,
            CtaFault::NoProgress,
            CtaFault::WrongInResponseTo,
            CtaFault::SlowAnswer {
                piece_bytes: 4096,
                pause_ms: 10,
            },
            CtaFault::BadBlock {
                block: BadBlock::NotStix,
            },
            CtaFault::BadBlock {
                block: BadBlock::Broken,
            },
            CtaFault::BadBlock {
                block: BadBlock::Encrypted,
            },
        ];
        let useless = [
            CtaFault::CutAnswer,
            CtaFault::StalledAnswer,
            CtaFault::MalformedXml,
            CtaFault::Doctype,
            CtaFault::InvalidUtf8,
            CtaFault::HtmlPage,
        ];
        let on = [CtaFaultOn::Poll, CtaFaultOn::Fulfillment];
        let on = *self.random.choice(&on).unwrap();
        match self.random.u8(..10) {
            0 if self.faults.cta_away == 0 => {
                self.rig.cta.refuse_connections().await.unwrap();
                self.faults.cta_away = self.random.u8(1..=3);
            }
            1 => {
                let expired = CtaFault::ExpiredResult {
                    status_type: "NOT_FOUND".to_owned(),
                };
                let expired = ArmedFault::once(expired).on(CtaFaultOn::Fulfillment);
                self.rig.cta.set_fault(expired);
            }
            2..5 if self.has_come_through() => {
                let fault = self.random.choice(&useless).unwrap().clone();
                let times = self.random.u32(1..=2);
                self.rig
                    .cta
                    .set_fault(ArmedFault::times(times, fault).on(on));
                self.faults.published_at_useless = Some(self.books.all());
            }
            _ => {
                let fault = self.random.choice(&passing).unwrap().clone();
                let times = self.random.u32(1..=2);
                self.rig
                    .cta
                    .set_fault(ArmedFault::times(times, fault).on(on));
            }
        }
    }

    /// Whether a window has been committed since the last useless answer was made ready and met.
    fn has_come_through(&self) -> bool {
        let Some(before) = &self.faults.published_at_useless else {
            return true;
        };
        let local = fs::read_to_string(self.rig.path("local.jsonl")).unwrap_or_default();
        let new = self.books.all();
        let mut new = new.difference(before);
        self.rig.cta.faults().is_empty() && new.any(|id| local.contains(&id.to_string()))
    }

    async fn fail_at_splunk(&mut self) {
        let code = |code, event| HecFault::Code { code, event };
        let status = |status, after: Option<&str>| HecFault::HttpStatus {
            status,
            retry_after: after.map(str::to_owned),
        };
        // These leave no doubt whether something was taken.
        let clear = [
            code(8, 0),
            code(9, 0),
            code(24, 0),
            code(25, 0),
            code(26, 0),
            code(6, 0),
            code(6, 3),
            code(12, 1),
            code(13, 2),
            code(15, 5),
            status(500, None),
            status(503, Some("1")),
            status(429, Some("0")),
            status(413, None),
            status(401, None),
            HecFault::LoginPage,
        ];
        let breaking = [
            HecFault::Reset,
            HecFault::HangUp,
            HecFault::AnswerLost,
            HecFault::HalfAnswer,
            HecFault::BlackHole,
            HecFault::OtherBody {
                body: "{\"text\":".to_owned(),
            },
            HecFault::SlowAnswer {
                piece_bytes: 10,
                pause_ms: 40,
            },
        ];
        match self.random.u8(..10) {
            0 if self.faults.splunk_away == 0 => {
                self.rig.hec.refuse_connections().await.unwrap();
                self.faults.splunk_away = self.random.u8(1..=3);
                self.books.splunk_outages += 1;
            }
            1 => self.rig.hec.forget_acks(),
            2 if self.faults.acks_held == 0 => {
                self.acknowledge(AckPolicy::Held);
                self.faults.acks_held = self.random.u8(1..=3);
            }
            3 if self.faults.acks_held == 0 => {
                let times = self.random.u32(..4);
                self.acknowledge(AckPolicy::AfterAsked(times));
            }
            4 => {
                let fault = self.random.choice(&breaking).unwrap().clone();
                self.rig
                    .hec
                    .set_fault(ArmedFault::once(fault).on(HecFaultOn::Acks));
                // What was told true in an answer that is lost.
                self.books.splunk_outages += 1;
            }
            5..7 => {
                let fault = self.random.choice(&breaking).unwrap().clone();
                self.rig.hec.set_fault(ArmedFault::once(fault));
                self.books.splunk_breaks += 1;
            }
            _ => {
                let fault = self.random.choice(&clear).unwrap().clone();
                let times = self.random.u32(1..=3);
                self.rig.hec.set_fault(ArmedFault::times(times, fault));
            }
        }
    }

    async fn fail_at_the_siem(&mut self) {
        let faults = [
            SyslogFault::Reset,
            SyslogFault::HangUp,
            SyslogFault::ServerClose,
            SyslogFault::AnswerLost,
            SyslogFault::HalfAnswer,
            SyslogFault::WrongTransaction,
            SyslogFault::SwappedAnswer,
            SyslogFault::Code { code: 500 },
            SyslogFault::LateAnswer { pause_ms: 100 },
            SyslogFault::BlackHole,
            SyslogFault::Mute,
        ];
        match self.random.u8(..10) {
            0 if self.faults.siem_away == 0 => {
                self.siem.refuse_connections().await.unwrap();
                self.faults.siem_away = self.random.u8(1..=3);
            }
            1 => self.siem.close_connections(),
            _ => {
                let fault = self.random.choice(&faults).unwrap().clone();
                let on = if self.random.bool() {
                    SyslogFaultOn::Message
                } else {
                    SyslogFaultOn::MessageNumber(self.random.usize(..30))
                };
                let times = self.random.u32(1..=3);
                self.siem.set_fault(ArmedFault::times(times, fault).on(on));
            }
        }
    }
}
